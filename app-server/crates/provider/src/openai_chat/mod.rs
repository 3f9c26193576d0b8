//! OpenAI's Chat Completions (`POST /chat/completions`), as OpenAI, Ollama, vLLM, llama.cpp and many others have it. Asks for as
//! little as it can, as each of them refuses other words.

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
pub struct Chat;

impl WireForm for Chat {
    fn path(&self) -> &'static str {
        "chat/completions"
    }

    fn request(&self, prompt: &Prompt, spec: &ProviderSpec) -> Value {
        request::body(prompt, spec)
    }

    fn reader(&self, answer: Uuid) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::new(answer))
    }
}
