//! `skein questions`: what the threads of a home ask their users.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use skein_base::clock::{Clock, WallMs};
use skein_protocol::ids::RequestId;
use skein_protocol::methods::{SkeinQuestionsAnswer, SkeinQuestionsList};
use skein_protocol::question::{
    ListedQuestion, QuestionKind, SkeinQuestionsAnswerParams, SkeinQuestionsListParams,
    SkeinQuestionsListResponse,
};

use super::conversation::dialog::UserQuestion;
use super::conversation::view::cut;
use super::out::one_line;
use super::outputs::AnsweredOutcome;
use super::session::HomeClient;
use super::threads::list::age;
use super::threads::{ThreadsHome, with_home};
use super::{print_json, print_line};

/// The longest text of a question in a line, in characters.
const TEXT: usize = 60;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct QuestionsArgs {
    #[command(flatten)]
    target: ThreadsHome,
    #[command(subcommand)]
    command: Option<QuestionsCommand>,
}

#[derive(Debug, Subcommand)]
enum QuestionsCommand {
    /// List the questions that wait for an answer, the oldest first.
    List(ListQuestions),
    /// Print a question in full.
    Show(ShowQuestion),
    /// Answer a question. Its turn goes on, also where its thread is not loaded.
    Answer(AnswerQuestion),
}

#[derive(Debug, Args)]
struct ListQuestions {
    #[command(flatten)]
    target: ThreadsHome,
}

#[derive(Debug, Args)]
struct ShowQuestion {
    /// The id of the question, as the list shows it.
    id: i64,
    #[command(flatten)]
    target: ThreadsHome,
}

#[derive(Debug, Args)]
struct AnswerQuestion {
    /// The id of the question, as the list shows it.
    id: i64,
    /// accept, decline or cancel; or the words for a question of a model.
    #[arg(required_unless_present = "result", conflicts_with = "result")]
    answer: Option<String>,
    /// The fields of a form that is accepted, as a JSON object.
    #[arg(long, value_name = "JSON", value_parser = parsed)]
    content: Option<Value>,
    /// The whole result, as JSON: for several questions of a model, or the call of a client's tool.
    #[arg(long, value_name = "JSON", value_parser = parsed)]
    result: Option<Value>,
    #[command(flatten)]
    target: ThreadsHome,
}

fn parsed(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

impl QuestionsArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            None => ListQuestions { target: self.target }.run().await,
            Some(QuestionsCommand::List(list)) => list.run().await,
            Some(QuestionsCommand::Show(show)) => show.run().await,
            Some(QuestionsCommand::Answer(answer)) => answer.run().await,
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ListQuestions {
    async fn run(self) -> anyhow::Result<()> {
        let data = with_home(&self.target, all).await?;
        if self.target.json {
            return print_json(&SkeinQuestionsListResponse { data, next_cursor: None });
        }
        if data.is_empty() {
            return print_line("no question waits for an answer");
        }
        let now = Clock.wall();
        data.iter().try_for_each(|question| print_line(&line(question, now)))
    }
}

impl ShowQuestion {
    async fn run(self) -> anyhow::Result<()> {
        let question = with_home(&self.target, async |home| find(home, self.id).await).await?;
        if self.target.json {
            return print_json(&question);
        }
        print_line(&format!("thread {}{}", question.thread_id, named(&question)))?;
        print_line(&text(&question))?;
        if let Some(arguments) = question.params["_meta"].get("tool_params").filter(|given| !given.is_null())
        {
            print_line(&format!("  {}", one_line(&arguments.to_string())))?;
        }
        print_line(&format!("answer it: skein questions answer {} {}", question.id, choices(question.kind)))
    }
}

impl AnswerQuestion {
    async fn run(self) -> anyhow::Result<()> {
        with_home(&self.target, async |home| {
            let result = match &self.result {
                Some(result) => result.clone(),
                None => self.result_for(&find(home, self.id).await?)?,
            };
            let params = SkeinQuestionsAnswerParams { id: self.id, result };
            home.call::<SkeinQuestionsAnswer>(&params).await
        })
        .await?;
        match self.target.json {
            true => print_json(&AnsweredOutcome { answered: self.id }),
            false => print_line(&format!("question {} is answered; its turn goes on", self.id)),
        }
    }

    /// The result of the request that the question is.
    fn result_for(&self, question: &ListedQuestion) -> anyhow::Result<Value> {
        let answer = self.answer.as_deref().unwrap_or_default();
        match question.kind {
            QuestionKind::Approval
            | QuestionKind::MayHaveRun
            | QuestionKind::Elicitation
            | QuestionKind::Budget => {
                if !["accept", "decline", "cancel"].contains(&answer) {
                    bail!("question {} takes accept, decline or cancel, not {answer:?}", self.id);
                }
                let content = self.content.clone().map(|content| json!({ "content": content }));
                let mut result = content.unwrap_or_else(|| json!({}));
                result["action"] = json!(answer);
                Ok(result)
            }
            QuestionKind::Input => {
                let asked = question.params["questions"].as_array().map(Vec::as_slice).unwrap_or_default();
                let [one] = asked else {
                    bail!("question {} has {} parts; give all answers with --result", self.id, asked.len())
                };
                let part = one["id"].as_str().context("the server is of another version")?;
                Ok(json!({ "answers": { part: { "answers": [answer] } } }))
            }
            QuestionKind::ClientCall => {
                bail!("question {} is the call of a client's tool; give its result with --result", self.id)
            }
        }
    }
}

/// All open questions of a home.
async fn all(home: &mut HomeClient) -> anyhow::Result<Vec<ListedQuestion>> {
    let (mut found, mut params) = (Vec::new(), SkeinQuestionsListParams::default());
    loop {
        let page = home.call::<SkeinQuestionsList>(&params).await?;
        found.extend(page.data);
        params.cursor = page.next_cursor;
        if params.cursor.is_none() {
            return Ok(found);
        }
    }
}

async fn find(home: &mut HomeClient, id: i64) -> anyhow::Result<ListedQuestion> {
    let found = all(home).await?.into_iter().find(|question| question.id == id);
    found
        .with_context(|| format!("no question {id} waits for an answer; skein questions lists those that do"))
}

/// A line of the list: id, age, thread and text.
fn line(question: &ListedQuestion, now: WallMs) -> String {
    let (age, text) = (age(now, WallMs(question.asked_at).seconds()), text(question));
    let first = text.lines().next().unwrap_or_default();
    format!("{}  {age:>5}  {}{}", question.id, cut(first, TEXT), named(question))
}

fn named(question: &ListedQuestion) -> String {
    let name = question.thread_name.as_deref().unwrap_or_default();
    if name.is_empty() { String::new() } else { format!("  ({})", one_line(name)) }
}

/// The text of a question for the terminal.
fn text(question: &ListedQuestion) -> String {
    let (id, params) = (RequestId::Integer(question.id), question.params.to_string());
    let known = match question.kind {
        QuestionKind::Approval
        | QuestionKind::MayHaveRun
        | QuestionKind::Elicitation
        | QuestionKind::Budget => UserQuestion::elicitation(&id, &params),
        QuestionKind::Input => UserQuestion::of_model(&id, &params),
        QuestionKind::ClientCall => None,
    };
    known
        .map_or_else(|| one_line(&format!("{} {params}", question.method)).into_owned(), |known| known.text())
}

/// The answers that a kind of question takes.
fn choices(kind: QuestionKind) -> &'static str {
    match kind {
        QuestionKind::Approval | QuestionKind::MayHaveRun | QuestionKind::Budget => "accept|decline|cancel",
        QuestionKind::Elicitation => "accept|decline|cancel [--content JSON]",
        QuestionKind::Input => "WORDS",
        QuestionKind::ClientCall => "--result JSON",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        answer: AnswerQuestion,
    }

    fn question(kind: QuestionKind, params: Value) -> ListedQuestion {
        let thread_id = "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b".parse().unwrap();
        ListedQuestion {
            id: 7,
            thread_id,
            thread_name: Some("the \u{1b}[31mshop".to_owned()),
            turn_id: "t".to_owned().into(),
            item_id: None,
            kind,
            method: "test/ask".to_owned(),
            params,
            asked_at: 0,
            expires_at: None,
            loaded: false,
        }
    }

    fn result(kind: QuestionKind, params: Value, line: &[&str]) -> Result<Value, String> {
        let given =
            Program::try_parse_from(["answer", "7"].iter().chain(line)).map_err(|bad| bad.to_string())?;
        given.answer.result_for(&question(kind, params)).map_err(|why| why.to_string())
    }

    #[test]
    fn an_answer_becomes_the_result_that_its_question_takes() {
        use QuestionKind::{Approval, ClientCall, Elicitation, Input, MayHaveRun};
        let one = || json!({ "questions": [{ "id": "q1", "question": "Which?" }] });
        let two = || json!({ "questions": [{ "id": "a" }, { "id": "b" }] });
        let table = [
            (Approval, json!({}), vec!["accept"], Ok(json!({ "action": "accept" }))),
            (MayHaveRun, json!({}), vec!["cancel"], Ok(json!({ "action": "cancel" }))),
            (
                Elicitation,
                json!({}),
                vec!["accept", "--content", r#"{"a":1}"#],
                Ok(json!({ "action": "accept", "content": { "a": 1 } })),
            ),
            (Input, one(), vec!["red"], Ok(json!({ "answers": { "q1": { "answers": ["red"] } } }))),
            (
                Approval,
                json!({}),
                vec!["yes"],
                Err("question 7 takes accept, decline or cancel, not \"yes\""),
            ),
            (Input, two(), vec!["red"], Err("question 7 has 2 parts; give all answers with --result")),
            (
                ClientCall,
                json!({}),
                vec!["accept"],
                Err("question 7 is the call of a client's tool; give its result with --result"),
            ),
        ];
        for (kind, params, line, expected) in table {
            assert_eq!(result(kind, params, &line), expected.map_err(str::to_owned), "{line:?}");
        }
        assert!(result(Approval, json!({}), &[]).unwrap_err().contains("required"), "an answer is needed");
    }

    #[test]
    fn a_line_is_harmless_and_says_what_is_asked_where_and_since_when() {
        let params =
            json!({ "message": "Allow \u{7}remove?", "_meta": { "codex_approval_kind": "mcp_tool_call" } });
        let shown = line(&question(QuestionKind::Approval, params), WallMs(7_200_000));
        assert!(shown.starts_with("7     2h  Allow "), "{shown}");
        assert!(shown.ends_with("shop)") && !shown.contains(['\u{1b}', '\u{7}']), "{shown}");
        let unknown = line(&question(QuestionKind::ClientCall, json!({ "tool": "x" })), WallMs(0));
        assert!(unknown.contains(r#"now  test/ask {"tool":"x"}"#), "{unknown}");
    }
}
