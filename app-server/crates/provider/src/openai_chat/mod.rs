//! OpenAI's Chat Completions (`POST /chat/completions`), also spoken by Ollama, vLLM, llama.cpp and many others.
//! Requests stay minimal, as each server refuses other members.

use serde_json::Value;
use uuid::Uuid;

use super::http::form::{StreamReader, WireForm};
use super::prompt::Prompt;
use super::spec::ProviderSpec;

mod request;
mod stream;
#[cfg(test)]
mod tests;
mod thought;

/// The interface.
#[derive(Debug, Clone, Copy)]
pub struct ChatApi;

impl WireForm for ChatApi {
    fn path(&self) -> &'static str {
        "chat/completions"
    }

    fn request(&self, prompt: &Prompt, spec: &ProviderSpec) -> Value {
        request::body(prompt, spec)
    }

    fn reader(&self, answer: Uuid) -> Box<dyn StreamReader> {
        Box::new(stream::ChatReader::new(answer))
    }
}
