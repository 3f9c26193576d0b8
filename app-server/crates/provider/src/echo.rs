//! The offline default. It answers with the user's text, one delta a word. It runs lines that begin with `/`, or with
//! `::` for chat programs that keep the slash for themselves:
//!
//! - `/tool SERVER TOOL {json}`: calls a tool; several lines are parallel calls; the answer is the results' text
//! - `/call NAME {json}`: calls a tool by the name under which models are offered it
//! - `/ask TEXT`: asks the user; the answer is the user's
//! - `/stream COUNT [BYTES] [PER_SECOND]`: sends that many deltas
//! - `/fail TEXT`: fails
//! - `/hang`: waits until interrupted
//! - `/panic`: panics, on a server for tests only

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Callee, ModelEvent, Prompt, Provider, ProviderError, TokenUsage, ToolCall};

/// The provider's name in `model_provider`, and the name of its only model.
pub const NAME: &str = "echo";

/// The largest text of one `/stream` delta, in bytes.
const MOST_DELTA_BYTES: usize = 64 * 1024;

/// The most deltas of a `/stream` in a second.
const MOST_PER_SECOND: f64 = 1e6;

/// The echo provider.
#[derive(Debug, Default, Clone, Copy)]
pub struct Echo {
    /// Whether `/panic` works. It shows that a panic in one turn leaves the others alone. `/panic process` ends the
    /// program.
    pub faults: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Script {
    Say(String),
    Call(Vec<ToolCall>),
    Ask(String),
    Stream { count: u64, bytes: usize, per_second: Option<f64> },
    Fail(String),
    Hang,
}

#[async_trait]
impl Provider for Echo {
    async fn answer(
        &self,
        prompt: Prompt,
        events: mpsc::Sender<ModelEvent>,
        cancel: CancellationToken,
    ) -> Result<(), ProviderError> {
        let input = prompt.last_words();
        if self.faults && input.trim() == "/panic" {
            std::panic::resume_unwind(Box::new("/panic"));
        }
        if self.faults && input.trim() == "/panic process" {
            break_all();
        }
        let results = prompt.last_results();
        let script = if results.is_empty() {
            parse(&input)?
        } else {
            let texts: Vec<String> = results.iter().map(|result| result.texts()).collect();
            Script::Say(texts.join("\n"))
        };
        let written = play(script, &events, &cancel).await?;
        let tokens = |text: &str| i64::try_from(text.split_whitespace().count()).unwrap_or(i64::MAX);
        let usage = TokenUsage { input: tokens(&input), output: written, ..TokenUsage::default() };
        // A turn that has ended no longer wants the usage.
        events.send(ModelEvent::Usage(usage)).await.ok();
        Ok(())
    }

    fn reads_context(&self) -> bool {
        false
    }
}

/// A panic that cannot unwind: nothing is caught, dropped or written afterwards.
extern "C" fn break_all() -> ! {
    std::panic::panic_any("/panic process")
}

/// Plays a script. Returns the number of tokens (words, deltas) sent.
async fn play(
    script: Script,
    events: &mpsc::Sender<ModelEvent>,
    cancel: &CancellationToken,
) -> Result<i64, ProviderError> {
    match script {
        Script::Say(text) => {
            let words: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
            for word in &words {
                if !give(events, cancel, ModelEvent::TextDelta((*word).to_owned())).await {
                    break;
                }
            }
            Ok(i64::try_from(words.len()).unwrap_or(i64::MAX))
        }
        Script::Call(calls) => {
            for call in calls {
                give(events, cancel, ModelEvent::ToolCall(call)).await;
            }
            Ok(1)
        }
        Script::Ask(text) => {
            give(events, cancel, ModelEvent::Question(text)).await;
            Ok(1)
        }
        Script::Stream { count, bytes, per_second } => {
            stream(count, bytes, per_second, events, cancel).await;
            Ok(i64::try_from(count).unwrap_or(i64::MAX))
        }
        Script::Fail(message) => Err(ProviderError::new(message)),
        Script::Hang => {
            cancel.cancelled().await;
            Ok(0)
        }
    }
}

async fn stream(
    count: u64,
    bytes: usize,
    per_second: Option<f64>,
    events: &mpsc::Sender<ModelEvent>,
    cancel: &CancellationToken,
) {
    let mut pace = per_second.map(|rate| tokio::time::interval(Duration::from_secs_f64(1.0 / rate)));
    for number in 0..count {
        if let Some(pace) = &mut pace {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = pace.tick() => {}
            }
        }
        if !give(events, cancel, ModelEvent::TextDelta(numbered(number, bytes))).await {
            return;
        }
    }
}

/// A delta of about this many bytes that shows its number.
fn numbered(number: u64, bytes: usize) -> String {
    let mut text = format!("{number} ");
    while text.len() < bytes {
        let missing = (bytes - text.len()).min(64);
        text.push_str(&".".repeat(missing));
    }
    text
}

/// Sends an event. Returns false after a cancel and after the end of the turn.
async fn give(events: &mpsc::Sender<ModelEvent>, cancel: &CancellationToken, event: ModelEvent) -> bool {
    tokio::select! {
        biased;
        () = cancel.cancelled() => false,
        sent = events.send(event) => sent.is_ok(),
    }
}

/// Reads the lines. A text without commands is echoed.
fn parse(text: &str) -> Result<Script, ProviderError> {
    let mut calls = Vec::new();
    for line in text.lines().map(str::trim) {
        let Some(line) = line.strip_prefix('/').or_else(|| line.strip_prefix("::")) else { continue };
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "tool" => calls.push(parse_tool(rest, calls.len())?),
            "call" => calls.push(parse_call(rest, calls.len())?),
            "ask" if rest.is_empty() => return Err(usage("/ask TEXT")),
            "ask" => return Ok(Script::Ask(rest.to_owned())),
            "stream" => return parse_stream(rest),
            "fail" => return Ok(Script::Fail(rest.to_owned())),
            "hang" => return Ok(Script::Hang),
            _ => {}
        }
    }
    if calls.is_empty() { Ok(Script::Say(text.to_owned())) } else { Ok(Script::Call(calls)) }
}

fn parse_tool(rest: &str, number: usize) -> Result<ToolCall, ProviderError> {
    let mut words = rest.splitn(3, char::is_whitespace);
    let (Some(server), Some(tool)) = (words.next().filter(|w| !w.is_empty()), words.next()) else {
        return Err(usage("/tool SERVER TOOL {json}"));
    };
    let callee = Callee::Helper { server: server.to_owned(), tool: tool.to_owned() };
    calling(callee, words.next(), number, &format!("/tool {server} {tool}"))
}

fn parse_call(rest: &str, number: usize) -> Result<ToolCall, ProviderError> {
    let (name, arguments) = match rest.split_once(char::is_whitespace) {
        Some((name, arguments)) => (name, Some(arguments)),
        None => (rest, None),
    };
    if name.is_empty() {
        return Err(usage("/call NAME {json}"));
    }
    calling(Callee::Offered(name.to_owned()), arguments, number, &format!("/call {name}"))
}

fn calling(
    callee: Callee,
    arguments: Option<&str>,
    number: usize,
    line: &str,
) -> Result<ToolCall, ProviderError> {
    let arguments = arguments.map_or("{}", str::trim);
    let read: Value = serde_json::from_str(arguments)
        .map_err(|error| ProviderError::new(format!("the arguments of {line} are not JSON: {error}")))?;
    if !read.is_object() {
        return Err(usage(&format!("{line} {{json}}, the arguments being an object")));
    }
    Ok(ToolCall::new(format!("call-{number}"), callee, arguments))
}

fn parse_stream(rest: &str) -> Result<Script, ProviderError> {
    let wrong = || usage("/stream COUNT [BYTES] [PER_SECOND]");
    let mut words = rest.split_whitespace();
    let count = words.next().and_then(|w| w.parse().ok()).ok_or_else(wrong)?;
    let bytes: usize = words.next().map_or(Ok(8), str::parse).map_err(|_| wrong())?;
    let per_second: Option<f64> = words.next().map(str::parse).transpose().map_err(|_| wrong())?;
    let paced = per_second.is_none_or(|rate| rate > 0.001 && rate <= MOST_PER_SECOND);
    if bytes > MOST_DELTA_BYTES || !paced || words.next().is_some() {
        return Err(wrong());
    }
    Ok(Script::Stream { count, bytes, per_second })
}

fn usage(form: &str) -> ProviderError {
    ProviderError::new(format!("the echo model expects {form}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use skein_protocol::ids::ThreadId;
    use uuid::Uuid;

    use super::super::{Content, Entry, ModelSettings, ToolResult};
    use super::*;

    fn prompt(history: Vec<Entry>) -> Prompt {
        let thread = ThreadId::new(Uuid::nil());
        Prompt {
            thread,
            model: NAME.into(),
            settings: ModelSettings::default(),
            history,
            tools: Arc::new([]),
            tool_choice: crate::ToolChoice::Auto,
        }
    }

    fn words(text: &str) -> Entry {
        Entry::User(vec![Content::Text(text.into())])
    }

    async fn events_of(text: &str, results: Vec<ToolResult>) -> Vec<ModelEvent> {
        let (events, mut input) = mpsc::channel(256);
        let results = results.into_iter().map(Entry::Result);
        let history = std::iter::once(words(text)).chain(results).collect();
        Echo::default().answer(prompt(history), events, CancellationToken::new()).await.unwrap();
        let mut all = Vec::new();
        while let Some(event) = input.recv().await {
            all.push(event);
        }
        all
    }

    fn text_of(events: &[ModelEvent]) -> String {
        let text = |event: &ModelEvent| match event {
            ModelEvent::TextDelta(delta) => Some(delta.clone()),
            ModelEvent::MessageStarted(_)
            | ModelEvent::Message(_)
            | ModelEvent::ReasoningDelta { .. }
            | ModelEvent::Reasoning(_)
            | ModelEvent::ToolCall(_)
            | ModelEvent::Question(_)
            | ModelEvent::Usage(_)
            | ModelEvent::Again(_) => None,
        };
        events.iter().filter_map(text).collect()
    }

    #[tokio::test]
    async fn text_comes_back_a_delta_a_word() {
        let events = events_of("one two\nthree", Vec::new()).await;
        assert_eq!(text_of(&events), "one two\nthree");
        assert_eq!(events.len(), 4, "three deltas and the usage: {events:?}");
    }

    #[tokio::test]
    async fn several_tool_lines_are_one_parallel_round() {
        let events = events_of("/tool a echo {\"text\":\"x\"}\n::tool b pid", Vec::new()).await;
        let (ModelEvent::ToolCall(first), ModelEvent::ToolCall(second)) = (&events[0], &events[1]) else {
            panic!("{events:?}")
        };
        let helper = |server: &str, tool: &str| Callee::Helper { server: server.into(), tool: tool.into() };
        assert_eq!((&first.callee, &second.callee), (&helper("a", "echo"), &helper("b", "pid")));
        assert_eq!(first.arguments, "{\"text\":\"x\"}");
        assert_ne!(first.id, second.id);
        let events = events_of("/call look {\"a\":1}", Vec::new()).await;
        let ModelEvent::ToolCall(call) = &events[0] else { panic!("{events:?}") };
        assert_eq!((&call.callee, call.arguments.as_str()), (&Callee::Offered("look".into()), "{\"a\":1}"));
    }

    #[tokio::test]
    async fn the_results_are_the_answer() {
        let result = |text: &str| ToolResult::text("call", text, false);
        let events = events_of("/tool a echo", vec![result("one"), result("two")]).await;
        assert_eq!(text_of(&events), "one\ntwo");
    }

    #[tokio::test]
    async fn a_stream_has_as_many_deltas_as_asked() {
        let events = events_of("/stream 5 20", Vec::new()).await;
        assert_eq!(events.len(), 6);
        assert!(text_of(&events).starts_with("0 ...") && text_of(&events).contains("4 "));
    }

    #[test]
    fn wrong_lines_say_what_would_be_right() {
        for wrong in [
            "/tool",
            "/tool a",
            "/tool a b {",
            "/tool a b []",
            "/call",
            "/call a {",
            "/stream",
            "/stream 1 2 0",
            "/stream 1 8 1e12",
            "/ask",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse("a /tool in a text"), Ok(Script::Say("a /tool in a text".into())));
        assert_eq!(parse("/fail no money"), Ok(Script::Fail("no money".into())));
        assert_eq!(parse("::hang"), Ok(Script::Hang));
    }

    #[tokio::test]
    async fn a_hang_ends_when_it_is_cancelled() {
        let cancel = CancellationToken::new();
        let (events, _heard) = mpsc::channel(1);
        cancel.cancel();
        Echo::default().answer(prompt(vec![words("/hang")]), events, cancel).await.unwrap();
    }
}
