use std::sync::Arc;

use skein_protocol::ids::ThreadId;
use uuid::Uuid;

use super::super::{Callee, Content, Entry, ModelSettings, ToolResult};
use super::*;

const SCENARIO: &str = r#"
[[turn]]
when = "weather"
[[turn.answer]]
steps = [
  { think = "Where?" },
  { say = "Let me look. " },
  { wait = "1h" },
  { call = "look", server = "sky", arguments = { where = "here" } },
  { usage = { input = 5, cached = 2, output = 3, reasoning = 1 } },
]
[[turn.answer]]
steps = [{ say = "It is {results}." }]

[[turn]]
when = "break"
[[turn.answer]]
steps = [{ say = "a" }, { again = "cut" }, { fail = "no more", kind = "serverOverloaded" }]

[[turn]]
when = "hang"
[[turn.answer]]
steps = [{ hang = true }]

[[turn]]
[[turn.answer]]
steps = [{ say = "You said {said}, entry {entries}." }, { stream = 2, text = "x", every = "1s" }]
"#;

fn user(text: &str) -> Entry {
    Entry::User(vec![Content::Text(text.into())])
}

fn call(id: &str) -> Entry {
    let callee = Callee::Helper { server: "sky".into(), tool: "look".into() };
    Entry::Call(ToolCall::new(id, callee, "{}"))
}

async fn answer(scenario: &str, history: Vec<Entry>) -> (Vec<ModelEvent>, Result<(), ProviderError>) {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("scenario.toml"), scenario).unwrap();
    let model = Scripted::new(home.path().to_owned(), Tasks::new());
    let (events, mut read) = mpsc::channel(64);
    let (thread, settings) = (ThreadId::new(Uuid::nil()), ModelSettings::default());
    let prompt = Prompt {
        thread,
        model: "scenario.toml".into(),
        settings,
        history,
        tools: Arc::new([]),
        tool_choice: crate::ToolChoice::Auto,
    };
    let ended = model.answer(prompt, events, CancellationToken::new()).await;
    let mut all = Vec::new();
    while let Some(event) = read.recv().await {
        all.push(event);
    }
    (all, ended)
}

#[tokio::test(start_paused = true)]
async fn steps_become_events_in_their_order() {
    let (events, ended) = answer(SCENARIO, vec![user("the weather?")]).await;
    assert_eq!(ended, Ok(()));
    let usage =
        TokenUsage { input: 5, cached_input: 2, cache_write_input: 0, output: 3, reasoning_output: 1 };
    let callee = Callee::Helper { server: "sky".into(), tool: "look".into() };
    let thought = Reasoning { summary: vec!["Where?".into()], ..Reasoning::default() };
    let expected = [
        ModelEvent::ReasoningDelta { of: Thoughts::Summary, part: 0, text: "Where?".into() },
        ModelEvent::Reasoning(thought),
        ModelEvent::TextDelta("Let me look. ".into()),
        ModelEvent::ToolCall(ToolCall::new("scripted-1-1", callee, "{\"where\":\"here\"}")),
        ModelEvent::Usage(usage),
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn with_results_the_next_answer_is_given() {
    let result = |id: &str, text: &str| Entry::Result(ToolResult::text(id, text, false));
    let history = vec![user("the weather?"), call("1"), call("2"), result("1", "warm"), result("2", "dry")];
    let (events, _) = answer(SCENARIO, history.clone()).await;
    assert_eq!(events, [ModelEvent::TextDelta("It is warm\ndry.".into())]);
    let more = [call("3"), result("3", "late")];
    let (_, ended) = answer(SCENARIO, history.into_iter().chain(more).collect()).await;
    assert!(ended.unwrap_err().message.contains("no answer left"));
}

#[tokio::test(start_paused = true)]
async fn it_fails_and_begins_anew_as_scripted() {
    let (events, ended) = answer(SCENARIO, vec![user("break")]).await;
    assert!(matches!(&events[1], ModelEvent::Again(error) if error.message == "cut"), "{events:?}");
    assert_eq!(ended.unwrap_err().info, Some(CodexErrorInfo::ServerOverloaded));
    let (events, _) =
        answer(SCENARIO, vec![user("one"), Entry::Assistant("two".into()), user("three")]).await;
    assert_eq!(events[0], ModelEvent::TextDelta("You said three, entry 3.".into()));
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn an_error_of_a_scenario_names_its_file() {
    for wrong in ["[[turn]]", "[[turn]]\n[[turn.answer]]\nsteps = [{ sing = 1 }]", "[[turn"] {
        let (_, ended) = answer(wrong, vec![user("x")]).await;
        assert!(ended.unwrap_err().message.contains("scenario.toml"), "{wrong}");
    }
}

#[tokio::test]
async fn a_hang_ends_when_it_is_cancelled() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("s"), SCENARIO).unwrap();
    let model = Scripted::new(home.path().to_owned(), Tasks::new());
    let (events, _heard) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let (thread, settings) = (ThreadId::new(Uuid::nil()), ModelSettings::default());
    let (model_name, history) = ("s".to_owned(), vec![user("hang")]);
    let prompt = Prompt {
        thread,
        model: model_name,
        settings,
        history,
        tools: Arc::new([]),
        tool_choice: crate::ToolChoice::Auto,
    };
    model.answer(prompt, events, cancel).await.unwrap();
}
