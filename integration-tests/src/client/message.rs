//! One message from the server.

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::Value;
use skein_protocol::envelope::{self, Stamp};
use skein_protocol::error::WireError;
use skein_protocol::ids::RequestId;
use skein_protocol::table::{Notification, ServerRequest};

/// A message as received.
#[derive(Debug, Clone)]
pub struct Received {
    /// The text of the frame.
    pub text: String,
    value: Value,
}

impl Received {
    /// Parses a frame.
    ///
    /// # Errors
    /// Fails if it is not a JSON object.
    pub fn read(text: String) -> anyhow::Result<Self> {
        let value: Value = serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?;
        anyhow::ensure!(value.is_object(), "not an object: {text}");
        Ok(Self { text, value })
    }

    /// The method of a notification or of a server request.
    pub fn method(&self) -> Option<&str> {
        self.value["method"].as_str()
    }

    /// The id of an answer or of a server request.
    pub fn id(&self) -> Option<RequestId> {
        serde_json::from_value(self.value.get("id")?.clone()).ok()
    }

    /// Whether this answers the request with this id.
    pub fn answers(&self, id: &RequestId) -> bool {
        self.method().is_none() && self.id().as_ref() == Some(id)
    }

    /// Whether this refuses a message whose id the server could not read.
    pub fn refuses_unknown(&self) -> bool {
        self.method().is_none() && self.value.get("id").is_none_or(Value::is_null)
    }

    /// Whether this is a notification of this kind.
    pub fn notifies<N: Notification>(&self) -> bool {
        self.method() == Some(N::INFO.wire) && self.value.get("id").is_none()
    }

    /// The params, if this is a notification of this kind.
    ///
    /// # Errors
    /// Fails if they have another shape.
    pub fn notification<N: Notification>(&self) -> anyhow::Result<Option<N::Params>> {
        if self.notifies::<N>() { self.params().map(Some) } else { Ok(None) }
    }

    /// Id and params, if this is a server request of this kind.
    ///
    /// # Errors
    /// Fails if they have another shape.
    pub fn question<R: ServerRequest>(&self) -> anyhow::Result<Option<(RequestId, R::Params)>> {
        match self.id() {
            Some(id) if self.method() == Some(R::INFO.wire) => Ok(Some((id, self.params()?))),
            Some(_) | None => Ok(None),
        }
    }

    /// The event number and epoch beside the method of a notification.
    ///
    /// # Errors
    /// Fails if they have another shape.
    pub fn stamp(&self) -> anyhow::Result<Stamp> {
        Ok(envelope::stamp(&self.text)?)
    }

    /// The message as JSON.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The result or the error of an answer.
    ///
    /// # Errors
    /// Fails if this is not an answer, or has another shape.
    pub fn into_answer<T: DeserializeOwned>(mut self) -> anyhow::Result<Result<T, WireError>> {
        if let Some(error) = self.value.get_mut("error") {
            let error = serde_json::from_value(error.take());
            return Ok(Err(error.with_context(|| self.text.clone())?));
        }
        let result = self.value.get_mut("result").map(Value::take);
        let result = result.with_context(|| format!("neither result nor error: {}", self.text))?;
        Ok(Ok(serde_json::from_value(result).with_context(|| self.text.clone())?))
    }

    fn params<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let params = self.value["params"].clone();
        serde_json::from_value(params).with_context(|| format!("params of another shape: {}", self.text))
    }
}
