//! Reads the stream of an answer of Messages. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::http::form::{Flow, Stopped, StreamError, StreamReader, call_id, count, more, some_text, text};
use crate::http::report::ErrorReport;
use crate::{Callee, ModelEvent, Reasoning, Thoughts, TokenUsage, ToolCall, policy};

/// Members of a call that the interface defines.
const CALL: [&str; 4] = ["type", "id", "name", "input"];

#[derive(Debug)]
pub(crate) struct MessagesReader {
    /// The answer's id, for calls without one.
    answer: Uuid,
    /// Open blocks, by number.
    blocks: BTreeMap<i64, Block>,
    /// Bytes of thoughts and calls held back until they are complete.
    buffered: usize,
    calls: usize,
    begun: bool,
    usage: TokenUsage,
    /// Whether the finish reason has arrived.
    finished: bool,
}

/// A block in pieces.
#[derive(Debug)]
enum Block {
    Text,
    Thought {
        text: String,
        signature: String,
    },
    /// A thought that only its provider can read.
    Sealed(Value),
    Call {
        id: Option<String>,
        name: String,
        input: Value,
        arguments: String,
        more: Map<String, Value>,
    },
    /// A kind that Skein does not request.
    Other,
}

impl StreamReader for MessagesReader {
    fn read_event(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<Flow, StreamError> {
        let event: Value = serde_json::from_str(data).map_err(|_| StreamError::garbage(data))?;
        match text(&event, "type").unwrap_or_default() {
            "message_start" => self.count(&event["message"]["usage"]),
            "content_block_start" => self.begin(&event, out)?,
            "content_block_delta" => self.delta(&event, out)?,
            "content_block_stop" => self.end(event["index"].as_i64().unwrap_or(0), out),
            "message_delta" => {
                self.count(&event["usage"]);
                self.finish(text(&event["delta"], "stop_reason"), out)?;
            }
            "message_stop" => {
                self.last_word(&event["message"], out)?;
                return if self.cut(out)? { Ok(Flow::Over) } else { Err(StreamError::Cut) };
            }
            "error" => return Err(StreamError::Reported(ErrorReport::of(&event))),
            "" => match ErrorReport::in_place_of_answer(&event) {
                Some(report) => return Err(StreamError::Reported(report)),
                None if !event.is_object() => return Err(StreamError::garbage(data)),
                None => {}
            },
            _ => {}
        }
        Ok(Flow::On)
    }

    fn cut(&mut self, out: &mut Vec<ModelEvent>) -> Result<bool, StreamError> {
        if self.finished {
            // Some servers leave out the block ends and send only the finish reason.
            while let Some(index) = self.blocks.keys().next().copied() {
                self.end(index, out);
            }
            self.give_usage(out);
        }
        Ok(self.finished)
    }

    fn is_finished(&self) -> bool {
        self.finished
    }

    fn whole(&mut self, body: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        if !body["content"].is_array() {
            return Err(StreamError::garbage(&body.to_string()));
        }
        self.last_word(body, out)?;
        // A whole body cannot have broken off.
        self.finished = true;
        self.cut(out).map(|_| ())
    }
}

impl MessagesReader {
    pub(crate) fn new(answer: Uuid) -> Self {
        Self {
            answer,
            blocks: BTreeMap::new(),
            buffered: 0,
            calls: 0,
            begun: false,
            usage: TokenUsage::default(),
            finished: false,
        }
    }

    /// Takes a whole message, which some servers send at the end. Without earlier pieces everything counts, otherwise
    /// only its final text.
    fn last_word(&mut self, message: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        let blocks: &[Value] = message["content"].as_array().map_or(&[], Vec::as_slice);
        if self.begun {
            let last = blocks.iter().rposition(|block| block["type"] != "text").map_or(0, |other| other + 1);
            let text: String = blocks[last..].iter().filter_map(|block| text(block, "text")).collect();
            if !text.is_empty() {
                out.push(ModelEvent::Message(text.into()));
            }
            return Ok(());
        }
        for (index, block) in (0_i64..).zip(blocks) {
            self.begin(&json!({ "index": index, "content_block": block }), out)?;
            self.end(index, out);
        }
        self.count(&message["usage"]);
        self.finish(text(message, "stop_reason"), out)
    }

    fn begin(&mut self, event: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        self.begun = true;
        let content = &event["content_block"];
        let block = match text(content, "type").unwrap_or_default() {
            "text" => Block::Text,
            "thinking" => Block::Thought { text: String::new(), signature: String::new() },
            "redacted_thinking" => Block::Sealed(content.clone()),
            "tool_use" => Block::Call {
                id: some_text(content, "id").map(ToOwned::to_owned),
                name: text(content, "name").unwrap_or_default().to_owned(),
                input: content["input"].clone(),
                arguments: String::new(),
                more: more(content, &CALL),
            },
            _ => Block::Other,
        };
        let index = event["index"].as_i64().unwrap_or(0);
        self.blocks.insert(index, block);
        self.buffered += content.to_string().len();
        if self.blocks.len() > policy::MODEL_OPEN_ITEMS || self.buffered > policy::MODEL_ANSWER_BYTES {
            return Err(StreamError::TooLong);
        }
        // A block may begin with a piece.
        for (key, kind) in
            [("text", "text_delta"), ("thinking", "thinking_delta"), ("signature", "signature_delta")]
        {
            if let Some(piece) = some_text(content, key) {
                self.delta(&json!({ "index": index, "delta": { "type": kind, key: piece } }), out)?;
            }
        }
        Ok(())
    }

    fn delta(&mut self, event: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        let delta = &event["delta"];
        let piece = |key: &str| text(delta, key).unwrap_or_default();
        self.buffered += match self.blocks.get_mut(&event["index"].as_i64().unwrap_or(0)) {
            Some(Block::Text) => {
                let piece = piece("text");
                if !piece.is_empty() {
                    out.push(ModelEvent::TextDelta(piece.to_owned()));
                }
                0
            }
            Some(Block::Thought { text, signature }) => {
                text.push_str(piece("thinking"));
                signature.push_str(piece("signature"));
                if !piece("thinking").is_empty() {
                    let piece = piece("thinking").to_owned();
                    out.push(ModelEvent::ReasoningDelta { of: Thoughts::Summary, part: 0, text: piece });
                }
                piece("thinking").len() + piece("signature").len()
            }
            Some(Block::Call { arguments, .. }) => {
                arguments.push_str(piece("partial_json"));
                piece("partial_json").len()
            }
            Some(Block::Sealed(_) | Block::Other) | None => 0,
        };
        if self.buffered > policy::MODEL_ANSWER_BYTES { Err(StreamError::TooLong) } else { Ok(()) }
    }

    fn end(&mut self, index: i64, out: &mut Vec<ModelEvent>) {
        match self.blocks.remove(&index) {
            Some(Block::Thought { text, signature }) => {
                let own_form = json!({ "type": "thinking", "thinking": text, "signature": signature });
                // An unsigned thought would be refused.
                let own_form = (!signature.is_empty()).then_some(own_form);
                let summary = Some(text).filter(|text| !text.is_empty()).into_iter().collect();
                out.push(ModelEvent::Reasoning(Reasoning { summary, content: Vec::new(), own_form }));
            }
            Some(Block::Sealed(block)) => {
                out.push(ModelEvent::Reasoning(Reasoning { own_form: Some(block), ..Reasoning::default() }));
            }
            Some(Block::Call { id, name, input, arguments, more }) => {
                let id = id.unwrap_or_else(|| call_id(self.answer, self.calls));
                self.calls += 1;
                // Servers that send a call whole put the arguments into the block's start.
                let arguments = match arguments.trim().is_empty() {
                    true if input.is_object() => input.to_string(),
                    true => "{}".to_owned(),
                    false => arguments,
                };
                out.push(ModelEvent::ToolCall(ToolCall {
                    id,
                    callee: Callee::Offered(name),
                    arguments,
                    more,
                }));
            }
            Some(Block::Text | Block::Other) | None => {}
        }
    }

    fn finish(&mut self, reason: Option<&str>, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        let why = match reason {
            None => return Ok(()),
            Some("max_tokens") => Stopped::Length,
            Some("refusal") => Stopped::Refusal,
            Some("model_context_window_exceeded") => Stopped::Context,
            Some(_) => {
                self.finished = true;
                return Ok(());
            }
        };
        self.give_usage(out);
        Err(StreamError::Stopped(why))
    }

    /// Updates the usage so far; later counts replace earlier ones.
    fn count(&mut self, usage: &Value) {
        let take = |field: &mut i64, pointer: &str| {
            if usage.pointer(pointer).is_some_and(Value::is_i64) {
                *field = count(usage, pointer);
            }
        };
        // This interface counts the three apart; `give_usage` adds them up.
        take(&mut self.usage.input, "/input_tokens");
        take(&mut self.usage.cached_input, "/cache_read_input_tokens");
        take(&mut self.usage.cache_write_input, "/cache_creation_input_tokens");
        take(&mut self.usage.output, "/output_tokens");
        take(&mut self.usage.reasoning_output, "/output_tokens_details/thinking_tokens");
    }

    fn give_usage(&mut self, out: &mut Vec<ModelEvent>) {
        let usage = std::mem::take(&mut self.usage);
        if usage != TokenUsage::default() {
            let input =
                usage.input.saturating_add(usage.cached_input).saturating_add(usage.cache_write_input);
            out.push(ModelEvent::Usage(TokenUsage { input, ..usage }));
        }
    }
}
