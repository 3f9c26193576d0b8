//! Helpers for the tests of all interfaces, and the tests of the transport.

use std::sync::Arc;

use skein_protocol::ids::ThreadId;
use uuid::Uuid;

use super::*;
use crate::{Callee, Content, Entry, Image, ModelSettings, Reasoning, ToolCall, ToolResult, ToolSpec};

mod dialects;
mod server;
mod transport;

use super::played::played;

/// The events of a stream.
pub(crate) fn read(form: &dyn WireForm, text: &str) -> (Vec<ModelEvent>, Result<(), ModelError>) {
    played(form, text.as_bytes(), |_| false)
}

/// The same, of events by their data.
pub(crate) fn read_data(
    form: &dyn WireForm,
    data: &[serde_json::Value],
) -> (Vec<ModelEvent>, Result<(), ModelError>) {
    read(form, &data.iter().map(|data| format!("data: {data}\n\n")).collect::<String>())
}

/// A stream reads the same in any pieces: cut at each place alone, and at all of them.
pub(crate) fn says_the_same_in_pieces(form: &dyn WireForm, text: &str) {
    let whole = read(form, text);
    for place in 0..text.len() {
        assert_eq!(played(form, text.as_bytes(), |at| at == place), whole, "cut at {place}");
    }
    assert_eq!(played(form, text.as_bytes(), |_| true), whole);
}

pub(crate) fn text(text: &str) -> ModelEvent {
    ModelEvent::TextDelta(text.to_owned())
}

pub(crate) fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall::new(id, Callee::Offered(name.to_owned()), arguments)
}

/// A conversation with everything that there is: `thought` is in the provider's own form.
pub(crate) fn prompt(model: &str, thought: serde_json::Value) -> Prompt {
    let says = |text: &str| Content::Text(text.to_owned());
    let data = Image::Data { media_type: "image/png".to_owned(), base64: "AAAA".to_owned() };
    let url = Image::Url("https://example.org/a.png".to_owned());
    let failed =
        ToolResult { id: "2".to_owned(), content: vec![says("no sky"), Content::Image(data)], failed: true };
    let helper = Callee::Helper { server: "files".to_owned(), tool: "read".to_owned() };
    let own = Reasoning { own_form: Some(thought), ..Reasoning::default() };
    let foreign =
        Reasoning { own_form: Some(serde_json::json!({ "type": "foreign" })), ..Reasoning::default() };
    Prompt {
        thread: ThreadId::new(Uuid::nil()),
        model: model.to_owned(),
        settings: ModelSettings { instructions: Some("Be kind.".to_owned()), ..ModelSettings::default() },
        history: vec![
            Entry::User(vec![says("What is this?"), Content::Image(url)]),
            Entry::Assistant("A picture.".into()),
            Entry::User(vec![says("And the sky?")]),
            Entry::Developer("The user is in a hurry.".to_owned()),
            Entry::Reasoning(foreign),
            Entry::Reasoning(own),
            Entry::Assistant("I look.".into()),
            Entry::Call(call("1", "look", "{\"at\":\"sky\"}")),
            Entry::Call(ToolCall { callee: helper, ..call("2", "", "") }),
            Entry::Result(ToolResult::text("1", "blue", false)),
            Entry::Result(failed),
        ],
        tools: Arc::new([ToolSpec {
            name: "look".to_owned(),
            description: "Looks.".to_owned(),
            parameters: serde_json::json!({ "type": "object", "properties": {} }),
        }]),
        tool_choice: crate::ToolChoice::Auto,
    }
}
