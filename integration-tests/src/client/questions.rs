//! The server's questions, and their answers.

use anyhow::Context;
use serde::Serialize;
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::ids::RequestId;
use skein_protocol::table::ServerRequest;

use super::transcript::Author;
use super::{Client, Received};

impl Client {
    /// Takes the next question of this kind.
    ///
    /// # Errors
    /// As [`Client::until`], or when it has another shape.
    pub async fn next_request<R: ServerRequest>(&mut self) -> anyhow::Result<(RequestId, R::Params)> {
        let is_it = |message: &Received| message.id().is_some() && message.method() == Some(R::INFO.wire);
        let received = self.until(R::INFO.wire, is_it).await?;
        received.question::<R>()?.with_context(|| format!("not {}", R::INFO.wire))
    }

    /// Answers a question.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn answer_request<R: ServerRequest>(
        &mut self,
        id: &RequestId,
        response: &R::Response,
    ) -> anyhow::Result<()>
    where
        R::Response: Serialize,
    {
        self.send(&envelope::response(id, response), Author::Types).await
    }

    /// Answers a question with an error.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn refuse_request(&mut self, id: &RequestId, message: &str) -> anyhow::Result<()> {
        let error = WireError::internal("refused", message);
        self.send(&envelope::error_reply(Some(id), &error), Author::Types).await
    }
}
