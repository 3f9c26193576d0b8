//! Anthropic's Messages (`POST /messages`). Reasoning is signed and goes back unchanged until the turn ends.

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
pub struct MessagesApi;

impl WireForm for MessagesApi {
    fn path(&self) -> &'static str {
        "messages"
    }

    fn key_header(&self, key: &str) -> (&'static str, String) {
        ("x-api-key", key.to_owned())
    }

    fn own_headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn request(&self, prompt: &Prompt, spec: &ProviderSpec) -> Value {
        request::body(prompt, spec)
    }

    fn reader(&self, answer: Uuid) -> Box<dyn StreamReader> {
        Box::new(stream::MessagesReader::new(answer))
    }
}
