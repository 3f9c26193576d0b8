//! What an answer of Chat Completions says, chunk by chunk. Pure.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::thought::{self, DETAILS, THOUGHTS};
use crate::http::form::{Flow, Stopped, StreamReader, Wrong, call_id, count, more, some_text, text};
use crate::http::said::Said;
use crate::policy;
use crate::{Callee, ModelEvent, Reasoning, Thoughts, ToolCall, Usage};

/// Members of a call that are not its server's own.
const CALL: [&str; 4] = ["index", "id", "type", "function"];

/// Reads one answer.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The answer, for calls without an id.
    answer: Uuid,
    /// What the model thinks, and the server's word for it, until something else comes. Without a word it stood in the content.
    thought: Option<(Option<&'static str>, String)>,
    /// Whether it has thought at all.
    has_thought: bool,
    /// The same in a form of the server's own (`reasoning_details`), piece by piece.
    details: Vec<Value>,
    calls: Vec<Coming>,
    /// The whole message, from servers that say it beside its pieces or instead of them; the last one counts.
    message: Value,
    /// Bytes of thoughts and calls that came, which are held back until they are whole.
    held: usize,
    usage: Option<Usage>,
    /// Whether it is whole, once the reason of its end has come. Without one it broke off, whatever else says that it is over.
    finished: Option<Result<(), Stopped>>,
}

/// A call that comes in pieces.
#[derive(Debug)]
struct Coming {
    /// Its number in the stream.
    index: i64,
    id: String,
    name: String,
    arguments: String,
    /// What only the server knows of it.
    more: Map<String, Value>,
}

impl StreamReader for Reader {
    fn hear(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<Flow, Wrong> {
        if data == "[DONE]" {
            return self.end(out).map(|()| Flow::Over);
        }
        let chunk: Value = serde_json::from_str(data).map_err(|_| Wrong::garbage(data))?;
        self.chunk(&chunk, out).map(|()| Flow::On)
    }

    fn cut(&mut self, out: &mut Vec<ModelEvent>) -> Result<bool, Wrong> {
        match self.finished {
            Some(_) => self.end(out).map(|()| true),
            None => Ok(false),
        }
    }

    fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    fn whole(&mut self, body: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Wrong> {
        if !body["choices"].is_array() {
            return Err(Wrong::garbage(&body.to_string()));
        }
        self.chunk(body, out)?;
        // It cannot have broken off.
        self.finished.get_or_insert(Ok(()));
        self.end(out)
    }
}

impl Reader {
    /// Of the answer that is to come.
    pub(crate) fn new(answer: Uuid) -> Self {
        Self {
            answer,
            thought: None,
            has_thought: false,
            calls: Vec::new(),
            message: Value::Null,
            details: Vec::new(),
            held: 0,
            usage: None,
            finished: None,
        }
    }

    fn chunk(&mut self, chunk: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Wrong> {
        if let Some(said) = Said::in_place_of_answer(chunk) {
            return Err(Wrong::Said(said));
        }
        if !chunk.is_object() {
            return Err(Wrong::garbage(&chunk.to_string()));
        }
        if chunk["usage"].is_object() {
            self.usage = Some(usage(&chunk["usage"]));
        }
        let Some(choice) = chunk.pointer("/choices/0") else { return Ok(()) };
        self.delta(&choice["delta"], out)?;
        if choice["message"].is_object() {
            self.message = choice["message"].clone();
        }
        if let Some(said) = Said::in_place_of_answer(choice) {
            return Err(Wrong::Said(said));
        }
        some_text(choice, "finish_reason").map_or(Ok(()), |reason| self.finish(reason))
    }

    fn delta(&mut self, delta: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Wrong> {
        self.think_of(delta, out)?;
        for word in ["content", "refusal"] {
            self.say(&delta[word], out)?;
        }
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            self.thought_is_over(out);
            self.call(piece)?;
        }
        Ok(())
    }

    /// Thoughts that stand beside the content.
    fn think_of(&mut self, delta: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Wrong> {
        for piece in delta[DETAILS].as_array().into_iter().flatten() {
            thought::join(&mut self.details, piece);
            self.hold(piece.to_string().len())?;
        }
        let piece = THOUGHTS.iter().find_map(|word| Some((*word, some_text(delta, word)?)));
        piece.map_or(Ok(()), |(word, piece)| self.think(Some(word), piece, out))
    }

    /// A piece of the content: a text, or a list of texts and thoughts.
    fn say(&mut self, content: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Wrong> {
        if let Some(piece) = content.as_str().filter(|piece| !piece.is_empty()) {
            self.thought_is_over(out);
            out.push(ModelEvent::TextDelta(piece.to_owned()));
        }
        for part in content.as_array().into_iter().flatten() {
            match text(part, "type") {
                Some("thinking") => {
                    let thought = texts(&part["thinking"]);
                    if !thought.is_empty() {
                        self.think(None, &thought, out)?;
                    }
                }
                Some("text" | "output_text") | None => self.say(&part["text"], out)?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn think(
        &mut self,
        word: Option<&'static str>,
        piece: &str,
        out: &mut Vec<ModelEvent>,
    ) -> Result<(), Wrong> {
        let (_, thought) = self.thought.get_or_insert_with(|| (word, String::new()));
        thought.push_str(piece);
        self.has_thought = true;
        out.push(ModelEvent::ReasoningDelta { of: Thoughts::Content, part: 0, text: piece.to_owned() });
        self.hold(piece.len())
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Wrong> {
        self.held += bytes;
        if self.held > policy::MODEL_ANSWER_BYTES { Err(Wrong::TooLong) } else { Ok(()) }
    }

    /// A whole thought is given where something else begins.
    fn thought_is_over(&mut self, out: &mut Vec<ModelEvent>) {
        if let Some((word, thought)) = self.thought.take() {
            let own_form = word.map(|word| json!({ word: thought }));
            out.push(ModelEvent::Reasoning(Reasoning {
                summary: Vec::new(),
                content: vec![thought],
                own_form,
            }));
        }
    }

    /// A piece of a call: of the one with its number, unless it has another id, or begins with a name what has one.
    fn call(&mut self, piece: &Value) -> Result<(), Wrong> {
        let (id, function) = (some_text(piece, "id"), &piece["function"]);
        let name = some_text(function, "name");
        let last = self.calls.last().map_or(-1, |call| call.index);
        // Servers that send each call whole leave the number out.
        let index =
            piece["index"].as_i64().unwrap_or(if name.is_some() { last.saturating_add(1) } else { last });
        let more = more(piece, &CALL);
        let bytes: usize = more.values().map(|value| value.to_string().len()).sum();
        self.hold(bytes)?;
        let call = self.open(index, id)?;
        call.more.extend(more);
        let before = call.name.len() + call.arguments.len();
        if let Some(name) = name.filter(|name| *name != call.name) {
            call.name.push_str(name);
        }
        match &function["arguments"] {
            Value::String(piece) => call.arguments.push_str(piece),
            // As an object, from servers that send each call whole.
            whole @ Value::Object(_) => call.arguments = whole.to_string(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {}
        }
        let added = (call.name.len() + call.arguments.len()).saturating_sub(before);
        self.hold(added)
    }

    /// The call of this number, unless it has another id; else a new one.
    fn open(&mut self, index: i64, id: Option<&str>) -> Result<&mut Coming, Wrong> {
        let open = self.calls.iter().rposition(|call| call.index == index);
        let open =
            open.filter(|at| id.is_none_or(|id| id == self.calls[*at].id) || self.calls[*at].name.is_empty());
        let at = open.unwrap_or(self.calls.len());
        if at >= policy::MODEL_OPEN_ITEMS {
            return Err(Wrong::TooLong);
        }
        if at == self.calls.len() {
            let id = id.map_or_else(|| call_id(self.answer, at), ToOwned::to_owned);
            self.calls.push(Coming {
                index,
                id,
                name: String::new(),
                arguments: String::new(),
                more: Map::new(),
            });
        }
        Ok(&mut self.calls[at])
    }

    /// The reason of the end. What the answer cost comes behind it.
    fn finish(&mut self, reason: &str) -> Result<(), Wrong> {
        // Some have the provider's own word behind it: "content_filter: RECITATION".
        let kind = reason.split(':').next().unwrap_or(reason).to_ascii_lowercase();
        self.finished = Some(match kind.as_str() {
            "length" | "max_tokens" => Err(Stopped::Length),
            "content_filter" | "sensitive" | "safety" | "recitation" => Err(Stopped::Filter),
            "refusal" => Err(Stopped::Refusal),
            "model_length" | "model_context_window_exceeded" => Err(Stopped::Context),
            "abort" => return Err(Wrong::Cut),
            "error"
            | "network_error"
            | "insufficient_system_resource"
            | "function_call_filter"
            | "malformed_function_call" => {
                let message = format!("the answer ended with {reason:?}");
                return Err(Wrong::Said(Said { message, ..Said::default() }));
            }
            _ => Ok(()),
        });
        Ok(())
    }

    /// Takes the message that was said whole: its text holds, whatever the pieces said, its calls if none came in pieces.
    fn last_word(&mut self, out: &mut Vec<ModelEvent>) -> Result<(), Wrong> {
        let message = std::mem::take(&mut self.message);
        if !self.has_thought {
            self.think_of(&message, out)?;
            let parts = message["content"].as_array().into_iter().flatten();
            let thought: String = parts.map(|part| texts(&part["thinking"])).collect();
            if !thought.is_empty() {
                self.think(None, &thought, out)?;
            }
        }
        let text = Some(texts(&message["content"])).filter(|text| !text.is_empty());
        if let Some(text) = text.or_else(|| some_text(&message, "refusal").map(ToOwned::to_owned)) {
            self.thought_is_over(out);
            out.push(ModelEvent::Message(text.into()));
        }
        if self.calls.is_empty() {
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                self.call(call)?;
            }
        }
        Ok(())
    }

    /// Gives what was held back. Calls of an answer that is cut off may be cut off, too.
    fn end(&mut self, out: &mut Vec<ModelEvent>) -> Result<(), Wrong> {
        let whole = self.finished.ok_or(Wrong::Cut)?;
        self.last_word(out)?;
        self.thought_is_over(out);
        if !self.details.is_empty() {
            // Of the whole answer: servers give some of it beside the calls that it is for.
            let own_form = Some(json!({ DETAILS: std::mem::take(&mut self.details) }));
            out.push(ModelEvent::Reasoning(Reasoning { own_form, ..Reasoning::default() }));
        }
        for call in self.calls.drain(..).filter(|_| whole.is_ok()) {
            let arguments = if call.arguments.trim().is_empty() { "{}".to_owned() } else { call.arguments };
            out.push(ModelEvent::ToolCall(ToolCall {
                id: call.id,
                callee: Callee::Offered(call.name),
                arguments,
                more: call.more,
            }));
        }
        out.extend(self.usage.take().map(ModelEvent::Usage));
        whole.map_err(Wrong::Stopped)
    }
}

/// The texts of a content, whatever its form.
fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part.as_str().or_else(|| text(part, "text"))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

fn usage(usage: &Value) -> Usage {
    let cached = count(usage, "/prompt_tokens_details/cached_tokens");
    // xAI and Google count thoughts in the total only.
    let (read, written) = (count(usage, "/prompt_tokens"), count(usage, "/completion_tokens"));
    let written = written.max(count(usage, "/total_tokens").saturating_sub(read));
    Usage {
        input: read,
        // DeepSeek's word.
        cached_input: cached.max(count(usage, "/prompt_cache_hit_tokens")),
        cache_write_input: count(usage, "/prompt_tokens_details/cache_write_tokens"),
        output: written,
        reasoning_output: count(usage, "/completion_tokens_details/reasoning_tokens"),
    }
}
