//! The server's requests, and the answers of a test.

use anyhow::Context;
use serde::Serialize;
use skein_protocol::approval::McpServerElicitationRequestParams;
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::ids::RequestId;
use skein_protocol::notifications::ServerRequestResolved;
use skein_protocol::server_requests::McpServerElicitationRequest;
use skein_protocol::table::ServerRequest;

use super::transcript::Author;
use super::{Client, Received};

impl Client {
    /// Takes the next server request of this kind.
    ///
    /// # Errors
    /// Fails like [`Client::until`], or if the request has another shape.
    pub async fn next_request<R: ServerRequest>(&mut self) -> anyhow::Result<(RequestId, R::Params)> {
        let is_it = |message: &Received| message.id().is_some() && message.method() == Some(R::INFO.wire);
        let received = self.until(R::INFO.wire, is_it).await?;
        received.question::<R>()?.with_context(|| format!("not {}", R::INFO.wire))
    }

    /// Takes the next question of a helper, or about a call of a helper's tool.
    ///
    /// # Errors
    /// Fails like [`Client::next_request`].
    pub async fn helper_question(
        &mut self,
    ) -> anyhow::Result<(RequestId, McpServerElicitationRequestParams)> {
        self.next_request::<McpServerElicitationRequest>().await
    }

    /// Number of server requests received so far.
    pub fn questions(&self) -> usize {
        self.record.iter().filter(|message| message.method().is_some() && message.id().is_some()).count()
    }

    /// Waits for the notification that a server request is resolved.
    ///
    /// # Errors
    /// Fails if no such notification comes.
    pub async fn resolved(&mut self, id: &RequestId) -> anyhow::Result<()> {
        self.next::<ServerRequestResolved>(|resolved| resolved.request_id == *id).await?;
        Ok(())
    }

    /// Answers a server request.
    ///
    /// # Errors
    /// Fails if the connection has ended.
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

    /// Answers a server request with an error.
    ///
    /// # Errors
    /// Fails if the connection has ended.
    pub async fn refuse_request(&mut self, id: &RequestId, message: &str) -> anyhow::Result<()> {
        let error = WireError::internal("refused", message);
        self.send(&envelope::error_reply(Some(id), &error), Author::Types).await
    }
}
