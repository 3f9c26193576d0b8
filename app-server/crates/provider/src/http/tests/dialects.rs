//! Recorded answers of providers, over the real transport: each case of `dialects/*.http`, and what becomes of it by
//! `dialects/outcomes.txt`. Behind each name stands where its shape comes from: `read` was looked up for it, `known` was
//! not. The words are our own. `SKEIN_WRITE_SNAPSHOTS=1` writes that table anew; its difference is to be read.

use std::fmt::Write;

use super::server::Reply;
use super::transport::Asked;
use super::*;

const FILES: &[(&str, &str)] = &[
    ("openai-responses", include_str!("../../dialects/openai-responses.http")),
    ("openai-chat", include_str!("../../dialects/openai-chat.http")),
    ("anthropic", include_str!("../../dialects/anthropic.http")),
    ("gemini", include_str!("../../dialects/gemini.http")),
    ("mistral", include_str!("../../dialects/mistral.http")),
    ("xai", include_str!("../../dialects/xai.http")),
    ("openrouter", include_str!("../../dialects/openrouter.http")),
    ("bedrock", include_str!("../../dialects/bedrock.http")),
    ("ollama", include_str!("../../dialects/ollama.http")),
    ("lmstudio", include_str!("../../dialects/lmstudio.http")),
    ("vllm", include_str!("../../dialects/vllm.http")),
    ("llamacpp", include_str!("../../dialects/llamacpp.http")),
    ("litellm", include_str!("../../dialects/litellm.http")),
];
const OUTCOMES: &str = include_str!("../../dialects/outcomes.txt");
const OUTCOMES_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dialects/outcomes.txt");

/// One answer of a provider.
struct Case<'a> {
    name: &'a str,
    api: WireApi,
    reply: Reply,
}

/// The cases of a file: a name behind `###`, comments with the source, interface and status, headers, an empty line, the body.
fn cases(file: &str) -> Vec<Case<'_>> {
    let cases = file.split("### ").filter(|case| !case.trim().is_empty());
    cases.map(case).collect()
}

fn case(text: &str) -> Case<'_> {
    let (head, body) = text.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let name = lines.next().unwrap();
    let mut lines = lines.skip_while(|line| line.starts_with('#'));
    let (api, status) = lines.next().unwrap().split_once(' ').unwrap();
    let mut headers: String = lines.map(|line| format!("{line}\r\n")).collect();
    if !headers.to_ascii_lowercase().contains("content-type") {
        let kind = if status == "200" { "text/event-stream" } else { "application/json" };
        headers = format!("content-type: {kind}\r\n{headers}");
    }
    let api = match api {
        "responses" => WireApi::Responses,
        "chat" => WireApi::Chat,
        "anthropic" => WireApi::Anthropic,
        other => panic!("{name}: {other}"),
    };
    let reply = Reply::with(&format!("{status} Status"), &headers, &format!("{}\n\n", body.trim_end()));
    Case { name, api, reply }
}

impl Case<'_> {
    /// The outcome up to the next try, in lines.
    async fn outcome(self) -> Vec<String> {
        let empty = Reply::with("400 Bad", "content-type: application/json\r\n", "{}");
        let asked = Asked::with([self.reply, empty], |spec| {
            (spec.wire_api, spec.request_max_retries, spec.stream_max_retries) = (self.api, 1, 1);
        });
        let asked = asked.await;
        let origin = asked.server.base_url.trim_end_matches("/v1").to_owned();
        let (events, result) = asked.end().await;
        let mut lines = Lines::default();
        for event in events {
            if let ModelEvent::Again(error) = event {
                let ProviderError { message, info, details, stopped: _, wait: _ } = error;
                lines.push(format!("again {}: {message}: {}", word(info), details.unwrap_or_default()));
                return lines.finished(&origin);
            }
            lines.event(event);
        }
        match result {
            Ok(()) => lines.push("end".to_owned()),
            Err(error) => lines.push(format!("fails {}: {}", word(error.info), error.message)),
        }
        lines.finished(&origin)
    }
}

fn word(info: Option<CodexErrorInfo>) -> String {
    serde_json::to_string(&info).unwrap().replace('"', "")
}

#[derive(Default)]
struct Lines {
    done: Vec<String>,
    /// The open piece: its kind, and the text so far.
    open: Option<(String, String)>,
}

impl Lines {
    fn push(&mut self, line: String) {
        if let Some((kind, text)) = self.open.take() {
            self.done.push(format!("{kind} {text:?}"));
        }
        self.done.push(line);
    }

    fn piece(&mut self, kind: &str, piece: &str) {
        match &mut self.open {
            Some((open, text)) if open == kind => text.push_str(piece),
            _ => {
                let line = self.open.replace((kind.to_owned(), piece.to_owned()));
                self.done.extend(line.map(|(kind, text)| format!("{kind} {text:?}")));
            }
        }
    }

    fn event(&mut self, event: ModelEvent) {
        match event {
            ModelEvent::TextDelta(text) => self.piece("says", &text),
            ModelEvent::ReasoningDelta { of, part, text } => {
                self.piece(&format!("thinks {of:?} {part}"), &text)
            }
            ModelEvent::MessageStarted(phase) => self.push(format!("begins a message{}", shown(phase))),
            ModelEvent::Message(whole) => {
                self.push(format!("has said {:?}{}", whole.text, shown(whole.phase)));
            }
            ModelEvent::Reasoning(Reasoning { summary, content, own_form }) => {
                let back = own_form.map_or("nothing".to_owned(), |own| own.to_string());
                self.push(format!("has thought {summary:?} {content:?}, and gets back {back}"));
            }
            ModelEvent::ToolCall(call) => {
                let more = serde_json::to_string(&call.more).unwrap();
                let more =
                    if call.more.is_empty() { String::new() } else { format!(", and gets back {more}") };
                self.push(format!("calls {} {} {}{more}", call.id, call.callee.name(), call.arguments));
            }
            ModelEvent::Usage(usage) => self.push(format!(
                "has read {} ({} from its cache, {} into it) and written {} ({} of them thoughts)",
                usage.input,
                usage.cached_input,
                usage.cache_write_input,
                usage.output,
                usage.reasoning_output
            )),
            ModelEvent::Question(_) | ModelEvent::Again(_) => panic!("{event:?}"),
        }
    }

    /// Without what is another one each time.
    fn finished(mut self, origin: &str) -> Vec<String> {
        self.push(String::new());
        let hours = |line: String| match line.split_once("try again in ") {
            Some((before, wait)) if wait.ends_with(" h") => format!("{before}try again in some hours"),
            _ => line,
        };
        self.done.into_iter().map(|line| hours(line.replace(origin, "ORIGIN"))).collect()
    }
}

fn shown(phase: Option<skein_protocol::response_item::MessagePhase>) -> String {
    phase.map(|phase| format!(", {phase:?}")).unwrap_or_default()
}

#[tokio::test]
async fn every_dialect_becomes_what_the_table_says() {
    let mut table = String::new();
    for (provider, file) in FILES {
        for case in cases(file) {
            writeln!(table, "{provider}: {}", case.name).unwrap();
            for line in case.outcome().await {
                writeln!(table, "{}", format!("    {line}").trim_end()).unwrap();
            }
        }
    }
    if std::env::var_os("SKEIN_WRITE_SNAPSHOTS").is_some() {
        std::fs::write(OUTCOMES_FILE, &table).unwrap();
        return;
    }
    for (now, before) in table.split("\n\n").zip(OUTCOMES.split("\n\n")) {
        assert_eq!(now, before);
    }
    assert_eq!(table.len(), OUTCOMES.len(), "a case more, or less");
}
