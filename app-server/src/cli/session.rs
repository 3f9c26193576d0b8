//! A client of the home's server. While nobody serves the home, this process does, without a port.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use skein_app_server::telemetry::{self, Stderr};
use skein_protocol::envelope;
use skein_protocol::ids::RequestId;
use skein_protocol::table::Method;
use skein_store::home::STDIO;
use tokio::runtime;

use super::app_server::MessageTarget;
use super::client::CliClient;
use super::conversation::input::Interrupts;
use super::progress::Waiting;
use super::say;
use super::serve::{ListenArgs, StartArgs};

/// A connection to the home's server, which may be in this process.
pub(super) struct HomeClient {
    target: MessageTarget,
    client: CliClient,
    json: bool,
}

impl HomeClient {
    /// Connects to the server of a home, or becomes it. With `json` nothing shows that it waits.
    ///
    /// # Errors
    /// The home is not available, or its server does not answer.
    pub(super) async fn open(home: Option<PathBuf>, json: bool) -> anyhow::Result<Self> {
        if std::env::var_os("SKEIN_LOG").is_some() {
            telemetry::start(Stderr::Direct);
        }
        let start = StartArgs { home, ..StartArgs::default() };
        let config = start.clone().load(ListenArgs::at(STDIO))?;
        let missing = config.missing_key(|name| std::env::var_os(name));
        let mut target = MessageTarget::new(start, config);
        let waiting = Waiting::of(&format!("waiting for the server of {}", target.home().display()), json);
        let link = target.link(0).await?;
        let client = CliClient::greet(link).await?;
        drop(waiting);
        if let Some(missing) = missing.filter(|_| target.server().is_some()) {
            say(missing);
        }
        Ok(Self { target, client, json })
    }

    /// Whether the output is JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Calls a method; messages before the answer go to `early`.
    ///
    /// # Errors
    /// The server refuses it, or is gone.
    pub(super) async fn call_keeping<M: Method>(
        &mut self,
        params: &M::Params,
        early: &mut VecDeque<String>,
    ) -> anyhow::Result<M::Response> {
        let params = RawValue::from_string(serde_json::to_string(params)?)?;
        let keep = |text: &str| {
            early.push_back(text.to_owned());
            Ok(())
        };
        let answer = self.client.call(M::INFO.wire, Some(&params), keep).await?;
        envelope::result(&answer).context("the server is of another version")
    }

    /// Calls a method, and drops messages before the answer.
    ///
    /// # Errors
    /// As [`HomeClient::call_keeping`].
    pub(super) async fn call<M: Method>(&mut self, params: &M::Params) -> anyhow::Result<M::Response> {
        self.call_keeping::<M>(params, &mut VecDeque::new()).await
    }

    /// The next message of the server.
    ///
    /// # Errors
    /// The server is gone.
    pub(super) async fn next(&mut self) -> anyhow::Result<String> {
        self.client
            .next()
            .await?
            .context("the server has ended the connection; the thread is kept: skein threads")
    }

    /// Answers a request of the server.
    ///
    /// # Errors
    /// The server is gone.
    pub(super) async fn answer(&mut self, id: &RequestId, result: &Value) -> anyhow::Result<()> {
        self.client.send(json!({ "id": id, "result": result }).to_string()).await
    }

    /// Refuses a request of the server.
    ///
    /// # Errors
    /// The server is gone.
    pub(super) async fn refuse(&mut self, id: &RequestId, why: &str) -> anyhow::Result<()> {
        let error = json!({ "code": -32_601, "message": why });
        self.client.send(json!({ "id": id, "error": error }).to_string()).await
    }

    /// Leaves. A server in this process ends once its other clients have left, or at Ctrl-C.
    pub(super) async fn close(self) {
        let Self { target, client, json } = self;
        client.close().await;
        let Some(server) = target.server() else { return };
        let Ok(mut interrupts) = Interrupts::new() else { return server.stop().await };
        let others = async {
            if tokio::time::timeout(OTHERS, server.deserted()).await.is_err() {
                say("other programs use the server in this process; it ends with them, or at Ctrl-C");
                server.deserted().await;
            }
        };
        tokio::select! {
            () = others => {}
            () = interrupts.next() => {}
        }
        let _waiting = Waiting::of("waiting for helpers and files to close", json);
        let stop = server.stop();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = interrupts.next() => server.stop_now(),
            }
        }
    }
}

/// How long the end of this client's own connection may take.
const OTHERS: Duration = Duration::from_secs(1);

/// Runs a command that may serve the home.
///
/// # Errors
/// The command's, or the system's for its threads.
pub(super) fn run<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let done = runtime.block_on(command);
    // A pending read of standard input must not delay the exit.
    runtime.shutdown_background();
    done
}
