//! Reads the stream of an answer of Responses. Pure.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use skein_protocol::response_item::MessagePhase;
use uuid::Uuid;

use crate::http::form::{Flow, Stopped, StreamError, StreamReader, call_id, count, more, some_text, text};
use crate::http::report::ErrorReport;
use crate::{AssistantMessage, Callee, ModelEvent, Reasoning, Thoughts, TokenUsage, ToolCall};

/// Members of a thought that go back to the model.
const SEALED: [&str; 5] = ["type", "id", "summary", "content", "encrypted_content"];

/// Members of a call that the interface defines. Its item id is useless where nothing is stored.
const CALL: [&str; 6] = ["type", "id", "call_id", "name", "arguments", "status"];

#[derive(Debug)]
pub(crate) struct ResponsesReader {
    /// The answer's id, for calls without one.
    answer: Uuid,
    /// The number of complete items.
    items: usize,
}

impl StreamReader for ResponsesReader {
    fn read_event(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<Flow, StreamError> {
        // Sent by servers that speak several interfaces. The final event is missing.
        if data == "[DONE]" {
            return Err(StreamError::Cut);
        }
        let event: Value = serde_json::from_str(data).map_err(|_| StreamError::garbage(data))?;
        match text(&event, "type").unwrap_or_default() {
            "response.output_text.delta" | "response.refusal.delta" => {
                out.extend(some_text(&event, "delta").map(|delta| ModelEvent::TextDelta(delta.to_owned())));
            }
            "response.output_item.added" if event["item"]["type"] == "message" => {
                out.push(ModelEvent::MessageStarted(phase(&event["item"])));
            }
            "response.reasoning_summary_text.delta" => {
                think(&event, Thoughts::Summary, "/summary_index", out);
            }
            "response.reasoning_text.delta" => think(&event, Thoughts::Content, "/content_index", out),
            "response.output_item.done" => self.item(&event["item"], out),
            "response.completed" | "response.done" => {
                return self.end(&event["response"], out).map(|()| Flow::Over);
            }
            "response.incomplete" => return Err(incomplete(&event["response"], out)),
            "response.failed" | "error" => {
                usage(&event["response"], out);
                return Err(StreamError::Reported(ErrorReport::of(&event)));
            }
            // Servers in between send their own errors without a type.
            "" => match ErrorReport::in_place_of_answer(&event) {
                Some(report) => return Err(StreamError::Reported(report)),
                None if !event.is_object() => return Err(StreamError::garbage(data)),
                None => {}
            },
            _ => {}
        }
        Ok(Flow::On)
    }

    fn cut(&mut self, _out: &mut Vec<ModelEvent>) -> Result<bool, StreamError> {
        Ok(false)
    }

    /// The end and its reason are one event.
    fn is_finished(&self) -> bool {
        false
    }

    fn whole(&mut self, body: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        if !body["output"].is_array() {
            return Err(StreamError::garbage(&body.to_string()));
        }
        self.end(body, out)
    }
}

impl ResponsesReader {
    pub(crate) fn new(answer: Uuid) -> Self {
        Self { answer, items: 0 }
    }

    /// Takes a complete item.
    fn item(&mut self, item: &Value, out: &mut Vec<ModelEvent>) {
        self.items += 1;
        match text(item, "type").unwrap_or_default() {
            "reasoning" => out.push(ModelEvent::Reasoning(thought(item))),
            "function_call" => out.push(ModelEvent::ToolCall(self.call(item))),
            "message" => {
                let parts = item["content"].as_array().into_iter().flatten();
                let texts = parts.filter_map(|part| text(part, "text").or_else(|| text(part, "refusal")));
                let message = AssistantMessage { text: texts.collect(), phase: phase(item) };
                out.push(ModelEvent::Message(message));
            }
            _ => {}
        }
    }

    fn call(&self, item: &Value) -> ToolCall {
        let id = some_text(item, "call_id").or_else(|| some_text(item, "id"));
        ToolCall {
            id: id.map_or_else(|| call_id(self.answer, self.items), ToOwned::to_owned),
            callee: Callee::Offered(text(item, "name").unwrap_or_default().to_owned()),
            arguments: some_text(item, "arguments").unwrap_or("{}").to_owned(),
            more: more(item, &CALL),
        }
    }

    /// Takes the final event. It repeats all items; they count only if none arrived before.
    fn end(&mut self, response: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        match text(response, "status").unwrap_or_default() {
            "failed" => return Err(StreamError::Reported(ErrorReport::of(response))),
            "cancelled" => return Err(StreamError::Cut),
            _ => {}
        }
        if self.items == 0 {
            for item in response["output"].as_array().into_iter().flatten() {
                self.item(item, out);
            }
        }
        if text(response, "status") == Some("incomplete") {
            return Err(incomplete(response, out));
        }
        usage(response, out);
        Ok(())
    }
}

/// The phase of a message, if it is a known one.
fn phase(item: &Value) -> Option<MessagePhase> {
    MessagePhase::deserialize(&item["phase"]).ok()
}

fn think(event: &Value, of: Thoughts, index: &str, out: &mut Vec<ModelEvent>) {
    let part = usize::try_from(count(event, index)).unwrap_or(0);
    if let Some(delta) = some_text(event, "delta") {
        out.push(ModelEvent::ReasoningDelta { of, part, text: delta.to_owned() });
    }
}

fn thought(item: &Value) -> Reasoning {
    let parts = |key: &str| -> Vec<String> {
        let parts = item[key].as_array().into_iter().flatten();
        parts.filter_map(|part| text(part, "text")).map(ToOwned::to_owned).collect()
    };
    let content = parts("content");
    // The server would look for an item that is neither sealed nor open, although nothing is stored.
    let goes_back = item["encrypted_content"].is_string() || !content.is_empty();
    let own_form = goes_back.then(|| {
        let kept = SEALED.iter().filter_map(|key| Some(((*key).to_owned(), item.get(*key)?.clone())));
        let mut own: Map<String, Value> = kept.filter(|(_, value)| !value.is_null()).collect();
        own.entry("summary").or_insert_with(|| json!([]));
        Value::Object(own)
    });
    Reasoning { summary: parts("summary"), content, own_form }
}

fn usage(response: &Value, out: &mut Vec<ModelEvent>) {
    let usage = &response["usage"];
    if usage.is_object() {
        out.push(ModelEvent::Usage(TokenUsage {
            input: count(usage, "/input_tokens"),
            cached_input: count(usage, "/input_tokens_details/cached_tokens"),
            cache_write_input: count(usage, "/input_tokens_details/cache_write_tokens"),
            output: count(usage, "/output_tokens"),
            reasoning_output: count(usage, "/output_tokens_details/reasoning_tokens"),
        }));
    }
}

fn incomplete(response: &Value, out: &mut Vec<ModelEvent>) -> StreamError {
    usage(response, out);
    match response.pointer("/incomplete_details/reason").and_then(Value::as_str) {
        Some("content_filter") => StreamError::Stopped(Stopped::Filter),
        Some("max_output_tokens" | "max_tokens") | None => StreamError::Stopped(Stopped::Length),
        Some(other) => StreamError::Reported(ErrorReport {
            message: format!("the answer is not complete: {other}"),
            words: vec!["bad_request".to_owned()],
            ..ErrorReport::default()
        }),
    }
}
