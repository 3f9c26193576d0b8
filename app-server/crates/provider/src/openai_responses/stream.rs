//! What an answer of Responses says, event by event. Pure.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use skein_protocol::response_item::MessagePhase;
use uuid::Uuid;

use crate::http::form::{Flow, Stopped, StreamReader, Wrong, call_id, count, more, some_text, text};
use crate::http::said::Said;
use crate::{AssistantMessage, Callee, ModelEvent, Reasoning, Thoughts, ToolCall, Usage};

/// Members of a thought that go back to the model.
const SEALED: [&str; 5] = ["type", "id", "summary", "content", "encrypted_content"];

/// Members of a call that are not its server's own: its id there is known to nobody where nothing is stored.
const CALL: [&str; 6] = ["type", "id", "call_id", "name", "arguments", "status"];

/// Reads one answer.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The answer, for calls without an id.
    answer: Uuid,
    /// How many items were whole.
    items: usize,
}

impl StreamReader for Reader {
    fn hear(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<Flow, Wrong> {
        // Not of this interface, but of servers that speak several. The end that it stands behind is missing.
        if data == "[DONE]" {
            return Err(Wrong::Cut);
        }
        let event: Value = serde_json::from_str(data).map_err(|_| Wrong::garbage(data))?;
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
                return Err(Wrong::Said(Said::of(&event)));
            }
            // Servers between us and the model name no type for an error of their own.
            "" => match Said::in_place_of_answer(&event) {
                Some(said) => return Err(Wrong::Said(said)),
                None if !event.is_object() => return Err(Wrong::garbage(data)),
                None => {}
            },
            _ => {}
        }
        Ok(Flow::On)
    }

    fn cut(&mut self, _out: &mut Vec<ModelEvent>) -> Result<bool, Wrong> {
        Ok(false)
    }

    /// The end and its reason are one event.
    fn is_finished(&self) -> bool {
        false
    }

    fn whole(&mut self, body: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Wrong> {
        if !body["output"].is_array() {
            return Err(Wrong::garbage(&body.to_string()));
        }
        self.end(body, out)
    }
}

impl Reader {
    /// Of the answer that is to come.
    pub(crate) fn new(answer: Uuid) -> Self {
        Self { answer, items: 0 }
    }

    /// An item is whole.
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

    /// The answer is whole. It has all items once more; they count where none came before.
    fn end(&mut self, response: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Wrong> {
        match text(response, "status").unwrap_or_default() {
            "failed" => return Err(Wrong::Said(Said::of(response))),
            "cancelled" => return Err(Wrong::Cut),
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

/// Which part of the answer a message is. A word that is not known says nothing.
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
    // What is neither sealed nor open would be looked for where nothing is stored.
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
        out.push(ModelEvent::Usage(Usage {
            input: count(usage, "/input_tokens"),
            cached_input: count(usage, "/input_tokens_details/cached_tokens"),
            cache_write_input: count(usage, "/input_tokens_details/cache_write_tokens"),
            output: count(usage, "/output_tokens"),
            reasoning_output: count(usage, "/output_tokens_details/reasoning_tokens"),
        }));
    }
}

fn incomplete(response: &Value, out: &mut Vec<ModelEvent>) -> Wrong {
    usage(response, out);
    match response.pointer("/incomplete_details/reason").and_then(Value::as_str) {
        Some("content_filter") => Wrong::Stopped(Stopped::Filter),
        Some("max_output_tokens" | "max_tokens") | None => Wrong::Stopped(Stopped::Length),
        Some(other) => Wrong::Said(Said {
            message: format!("the answer is not complete: {other}"),
            words: vec!["bad_request".to_owned()],
            ..Said::default()
        }),
    }
}
