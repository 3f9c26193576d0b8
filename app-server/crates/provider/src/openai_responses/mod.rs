//! OpenAI's Responses (`POST /responses`). Nothing is stored there. Reasoning arrives sealed and goes back until the
//! turn ends.

use serde_json::Value;
use uuid::Uuid;

use super::http::form::{StreamReader, WireForm};
use super::prompt::Prompt;
use super::spec::ProviderSpec;

mod request;
mod stream;
#[cfg(test)]
mod tests;

/// The interface.
#[derive(Debug, Clone, Copy)]
pub struct ResponsesApi;

impl WireForm for ResponsesApi {
    fn path(&self) -> &'static str {
        "responses"
    }

    fn request(&self, prompt: &Prompt, spec: &ProviderSpec) -> Value {
        request::body(prompt, spec)
    }

    fn reader(&self, answer: Uuid) -> Box<dyn StreamReader> {
        Box::new(stream::ResponsesReader::new(answer))
    }
}
