//! Reads the stream of an answer of Chat Completions. Pure.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::thought::{self, DETAILS, THOUGHTS};
use crate::http::form::{Flow, Stopped, StreamError, StreamReader, call_id, count, more, some_text, text};
use crate::http::report::ErrorReport;
use crate::{Callee, ModelEvent, Reasoning, Thoughts, TokenUsage, ToolCall, policy};

/// Members of a call that the interface defines.
const CALL: [&str; 4] = ["index", "id", "type", "function"];

#[derive(Debug)]
pub(crate) struct ChatReader {
    /// The answer's id, for calls without one.
    answer: Uuid,
    /// The open thought and its member name, which is `None` for a thought inside the content.
    thought: Option<(Option<&'static str>, String)>,
    has_thought: bool,
    /// Thoughts in the server's own form (`reasoning_details`).
    details: Vec<Value>,
    calls: Vec<Coming>,
    /// The last whole message, which some servers send beside its pieces or instead of them.
    message: Value,
    /// Bytes of thoughts and calls held back until they are complete.
    buffered: usize,
    usage: Option<TokenUsage>,
    /// Set with the finish reason: whether the answer is complete. An answer without one broke off.
    finished: Option<Result<(), Stopped>>,
}

/// A call in pieces.
#[derive(Debug)]
struct Coming {
    /// The number in the stream.
    index: i64,
    id: String,
    name: String,
    arguments: String,
    /// Members that only the server knows.
    more: Map<String, Value>,
}

impl StreamReader for ChatReader {
    fn read_event(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<Flow, StreamError> {
        if data == "[DONE]" {
            return self.end(out).map(|()| Flow::Over);
        }
        let chunk: Value = serde_json::from_str(data).map_err(|_| StreamError::garbage(data))?;
        self.chunk(&chunk, out).map(|()| Flow::On)
    }

    fn cut(&mut self, out: &mut Vec<ModelEvent>) -> Result<bool, StreamError> {
        match self.finished {
            Some(_) => self.end(out).map(|()| true),
            None => Ok(false),
        }
    }

    fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    fn whole(&mut self, body: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        if !body["choices"].is_array() {
            return Err(StreamError::garbage(&body.to_string()));
        }
        self.chunk(body, out)?;
        // A whole body cannot have broken off.
        self.finished.get_or_insert(Ok(()));
        self.end(out)
    }
}

impl ChatReader {
    pub(crate) fn new(answer: Uuid) -> Self {
        Self {
            answer,
            thought: None,
            has_thought: false,
            calls: Vec::new(),
            message: Value::Null,
            details: Vec::new(),
            buffered: 0,
            usage: None,
            finished: None,
        }
    }

    fn chunk(&mut self, chunk: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        if let Some(report) = ErrorReport::in_place_of_answer(chunk) {
            return Err(StreamError::Reported(report));
        }
        if !chunk.is_object() {
            return Err(StreamError::garbage(&chunk.to_string()));
        }
        if chunk["usage"].is_object() {
            self.usage = Some(usage(&chunk["usage"]));
        }
        let Some(choice) = chunk.pointer("/choices/0") else { return Ok(()) };
        self.delta(&choice["delta"], out)?;
        if choice["message"].is_object() {
            self.message = choice["message"].clone();
        }
        if let Some(report) = ErrorReport::in_place_of_answer(choice) {
            return Err(StreamError::Reported(report));
        }
        some_text(choice, "finish_reason").map_or(Ok(()), |reason| self.finish(reason))
    }

    fn delta(&mut self, delta: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
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

    /// Thoughts beside the content.
    fn think_of(&mut self, delta: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        for piece in delta[DETAILS].as_array().into_iter().flatten() {
            thought::join(&mut self.details, piece);
            self.hold(piece.to_string().len())?;
        }
        let piece = THOUGHTS.iter().find_map(|word| Some((*word, some_text(delta, word)?)));
        piece.map_or(Ok(()), |(word, piece)| self.think(Some(word), piece, out))
    }

    /// A piece of the content: a text, or a list of texts and thoughts.
    fn say(&mut self, content: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
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
    ) -> Result<(), StreamError> {
        let (_, thought) = self.thought.get_or_insert_with(|| (word, String::new()));
        thought.push_str(piece);
        self.has_thought = true;
        out.push(ModelEvent::ReasoningDelta { of: Thoughts::Content, part: 0, text: piece.to_owned() });
        self.hold(piece.len())
    }

    fn hold(&mut self, bytes: usize) -> Result<(), StreamError> {
        self.buffered += bytes;
        if self.buffered > policy::MODEL_ANSWER_BYTES { Err(StreamError::TooLong) } else { Ok(()) }
    }

    /// Emits the open thought when something else begins.
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

    /// Adds a piece to the call with its number. A new id, or a name where the call has one, starts another call.
    fn call(&mut self, piece: &Value) -> Result<(), StreamError> {
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
            // An object comes from servers that send each call whole.
            whole @ Value::Object(_) => call.arguments = whole.to_string(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {}
        }
        let added = (call.name.len() + call.arguments.len()).saturating_sub(before);
        self.hold(added)
    }

    /// The call of this number unless it has another id; else a new one.
    fn open(&mut self, index: i64, id: Option<&str>) -> Result<&mut Coming, StreamError> {
        let open = self.calls.iter().rposition(|call| call.index == index);
        let open =
            open.filter(|at| id.is_none_or(|id| id == self.calls[*at].id) || self.calls[*at].name.is_empty());
        let at = open.unwrap_or(self.calls.len());
        if at >= policy::MODEL_OPEN_ITEMS {
            return Err(StreamError::TooLong);
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

    /// Records the finish reason. The usage comes after it.
    fn finish(&mut self, reason: &str) -> Result<(), StreamError> {
        // Some append the provider's own word: "content_filter: RECITATION".
        let kind = reason.split(':').next().unwrap_or(reason).to_ascii_lowercase();
        self.finished = Some(match kind.as_str() {
            "length" | "max_tokens" => Err(Stopped::Length),
            "content_filter" | "sensitive" | "safety" | "recitation" => Err(Stopped::Filter),
            "refusal" => Err(Stopped::Refusal),
            "model_length" | "model_context_window_exceeded" => Err(Stopped::Context),
            "abort" => return Err(StreamError::Cut),
            "error"
            | "network_error"
            | "insufficient_system_resource"
            | "function_call_filter"
            | "malformed_function_call" => {
                let message = format!("the answer ended with {reason:?}");
                return Err(StreamError::Reported(ErrorReport { message, ..ErrorReport::default() }));
            }
            _ => Ok(()),
        });
        Ok(())
    }

    /// Takes the whole message: its text replaces the pieces; its calls count if none came in pieces.
    fn last_word(&mut self, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
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

    /// Emits everything held back. A truncated answer drops its calls, which may be truncated, too.
    fn end(&mut self, out: &mut Vec<ModelEvent>) -> Result<(), StreamError> {
        let whole = self.finished.ok_or(StreamError::Cut)?;
        self.last_word(out)?;
        self.thought_is_over(out);
        if !self.details.is_empty() {
            // The details belong to the whole answer: servers send some of them beside calls.
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
        whole.map_err(StreamError::Stopped)
    }
}

fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part.as_str().or_else(|| text(part, "text"))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

fn usage(usage: &Value) -> TokenUsage {
    let cached = count(usage, "/prompt_tokens_details/cached_tokens");
    // xAI and Google count reasoning in the total only.
    let (read, written) = (count(usage, "/prompt_tokens"), count(usage, "/completion_tokens"));
    let written = written.max(count(usage, "/total_tokens").saturating_sub(read));
    TokenUsage {
        input: read,
        // DeepSeek's name.
        cached_input: cached.max(count(usage, "/prompt_cache_hit_tokens")),
        cache_write_input: count(usage, "/prompt_tokens_details/cache_write_tokens"),
        output: written,
        reasoning_output: count(usage, "/completion_tokens_details/reasoning_tokens"),
    }
}
