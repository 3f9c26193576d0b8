//! The clients of a home: at which of its servers they are, and what they have begun.

use anyhow::Context;
use skein_protocol::extension::SkeinStatusResponse;
use skein_protocol::ids::{ThreadId, TurnId};

use super::{Helper, Home};
use crate::client::Client;

impl Home {
    /// Starts a server like [`Home::start`], with one client.
    ///
    /// # Errors
    /// Fails if the server does not start.
    pub async fn with_client() -> anyhow::Result<(Self, Client)> {
        Self::setup().helper(Helper::named("helper")?).start_with_client().await
    }

    /// Starts a server like [`Home::start`], with one client that has made a thread.
    ///
    /// # Errors
    /// Fails if the server does not start, or refuses the thread.
    pub async fn with_thread() -> anyhow::Result<(Self, Client, ThreadId)> {
        let (home, mut client) = Self::with_client().await?;
        let thread = client.start_thread().await?.id;
        Ok((home, client, thread))
    }

    /// Starts a server like [`Home::start`], with `count` clients subscribed to one thread. The first client
    /// has started a turn there with `prompt`.
    ///
    /// # Errors
    /// Fails if the server does not start, or refuses a client.
    pub async fn with_turn(
        count: usize,
        prompt: &str,
    ) -> anyhow::Result<(Self, Vec<Client>, ThreadId, TurnId)> {
        let home = Self::start().await?;
        let mut first = home.client().await?;
        let thread = first.start_thread_with("words").await?;
        let mut clients = vec![first];
        for _ in 1..count {
            let mut client = home.client().await?;
            client.resume(thread).await?;
            clients.push(client);
        }
        let turn = clients[0].start_turn(thread, prompt).await?;
        Ok((home, clients, thread, turn))
    }

    /// A connected, initialised client.
    ///
    /// # Errors
    /// Fails if the server does not answer.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::ready(self.address()).await
    }

    /// A client of the server with the threads, which counts what happens to them. It is that of [`Home::client`], unless a home of the
    /// test run has two servers.
    ///
    /// # Errors
    /// Fails if the server does not answer.
    pub async fn client_at_owner(&self) -> anyhow::Result<Client> {
        Client::ready(self.server.addresses.first().context("it has no address")?).await
    }

    /// Whether clients come in at the server with the threads: the home has no second one.
    pub fn has_one_server(&self) -> bool {
        self.server.addresses.first().is_some_and(|owner| owner == self.address())
    }

    /// The state of the server with the threads.
    ///
    /// # Errors
    /// Fails if the server does not answer.
    pub async fn status(&self) -> anyhow::Result<SkeinStatusResponse> {
        let mut client = self.client_at_owner().await?;
        let status = client.status().await?;
        client.close().await?;
        Ok(status)
    }

    /// Several connected, initialised clients.
    ///
    /// # Errors
    /// Fails if the server does not answer.
    pub async fn clients<const COUNT: usize>(&self) -> anyhow::Result<[Client; COUNT]> {
        let mut clients = Vec::with_capacity(COUNT);
        for _ in 0..COUNT {
            clients.push(self.client().await?);
        }
        clients.try_into().map_err(|_| anyhow::anyhow!("there are not {COUNT} clients"))
    }
}
