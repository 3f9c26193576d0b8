//! Tokens, tickets and sessions of a home, and the clients that send them.

use anyhow::{Context, ensure};
use serde_json::json;

use crate::client::Client;
use crate::home::Home;
use crate::http::{Answer, Request};
use crate::paths;

/// The origin of the page that tests use. [`crate::home::Setup::set`] allows it by `browser.origins`.
pub const PAGE: &str = "http://localhost:5173";

impl Home {
    /// Runs a command of `skein` on the home. Returns its output without the last line break.
    ///
    /// # Errors
    /// Fails if the command does not exit with 0.
    pub async fn skein(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = paths::run_skein(&self.path(), arguments).await?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// A new token of this name and scope.
    ///
    /// # Errors
    /// Fails if the home refuses it.
    pub async fn token(&self, name: &str, scope: &str) -> anyhow::Result<String> {
        self.skein(&["token", "create", name, "--scope", scope]).await
    }

    /// A client with a new token of this scope, which is also the token's name.
    ///
    /// # Errors
    /// Fails if the home refuses the token, or the client.
    pub async fn client_of(&self, scope: &str) -> anyhow::Result<Client> {
        bearer(self.address(), &self.token(scope, scope).await?).await
    }

    /// A new ticket of this scope.
    ///
    /// # Errors
    /// Fails if nobody serves the home.
    pub async fn ticket(&self, scope: &str) -> anyhow::Result<String> {
        let address = self.skein(&["url", "--scope", scope]).await?;
        let ticket = address.split_once("#ticket=").with_context(|| format!("no ticket: {address}"))?.1;
        Ok(ticket.to_owned())
    }

    /// Redeems a ticket as this page.
    ///
    /// # Errors
    /// Fails if no answer comes.
    pub async fn redeem(&self, origin: &str, ticket: &str) -> anyhow::Result<Answer> {
        redeeming(origin, ticket).send(self.address()).await
    }

    /// A new session of this page and scope.
    ///
    /// # Errors
    /// Fails if the page is not allowed.
    pub async fn session(&self, origin: &str, scope: &str) -> anyhow::Result<String> {
        let answer = self.redeem(origin, &self.ticket(scope).await?).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.json()?["session"].as_str().context("no session")?.to_owned())
    }
}

/// The request by which this page redeems a ticket.
pub fn redeeming(origin: &str, ticket: &str) -> Request {
    Request::new("POST", "/auth/session").header("Origin", origin).json(&json!({ "ticket": ticket }))
}

/// An initialised client that sends this token.
///
/// # Errors
/// Fails if the server refuses it.
pub async fn bearer(address: &str, token: &str) -> anyhow::Result<Client> {
    let mut client = Client::connect_with(address, &[("Authorization", &format!("Bearer {token}"))]).await?;
    client.initialize().await?;
    Ok(client)
}

/// An initialised client that is a page of this origin, and sends its session or token as a browser does.
///
/// # Errors
/// Fails if the server refuses it.
pub async fn page(address: &str, origin: &str, secret: &str) -> anyhow::Result<Client> {
    let offered = format!("skein.v1, skein.auth.{secret}");
    let headers = [("Origin", origin), ("Sec-WebSocket-Protocol", offered.as_str())];
    let mut client = Client::connect_with(address, &headers).await?;
    client.initialize().await?;
    Ok(client)
}
