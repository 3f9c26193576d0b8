//! One server of a benchmark: from the start of its program to its end.

use std::fs::OpenOptions;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use skein_protocol::methods::{SkeinStatus, ThreadList};
use skein_protocol::table::Method;
use skein_protocol::thread::{ThreadListParams, ThreadListResponse};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::Plan;
use super::homes::Place;
use crate::client::Client;

/// How long a server may take to accept, and to end.
const BOUND: Duration = Duration::from_secs(60);

/// A server that runs, with a client that has said hello.
pub(super) struct Served {
    child: Child,
    pub pid: u32,
    pub address: String,
    pub client: Client,
}

/// How long it took from the start of the program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// To the answer to `initialize`.
    pub answer: Duration,
    /// To the first page of threads behind it.
    pub page: Duration,
    /// Resident bytes then.
    pub resident: u64,
}

impl Served {
    /// Starts a server, says hello and asks for the first page.
    pub(super) async fn start(plan: &Plan, place: &Place) -> Result<(Self, Start)> {
        Self::start_with(plan, place, &[]).await
    }

    /// The same with more arguments.
    pub(super) async fn start_with(plan: &Plan, place: &Place, arguments: &[&str]) -> Result<(Self, Start)> {
        let log = plan.cache.join(format!("{}.log", place.name));
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(&plan.server);
        command
            .args(["serve", "--listen", "ws://127.0.0.1:0", "--home"])
            .arg(&place.home)
            .args(arguments)
            .env_remove("SKEIN_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let began = Instant::now();
        let mut child =
            command.spawn().with_context(|| format!("{} does not start", plan.server.display()))?;
        let address = address(&mut child).await?;
        let mut client = Client::connect(&address).await?;
        client.initialize().await?;
        let answer = began.elapsed();
        list(&mut client, None).await?;
        let page = began.elapsed();
        let pid = child.id().context("the server has ended")?;
        let resident = crate::process::resident(pid).unwrap_or_default();
        Ok((Self { child, pid, address, client }, Start { answer, page, resident }))
    }

    /// Waits until lists are complete; `None` when they are not within `limit`.
    pub(super) async fn until_indexed(&mut self, limit: Duration) -> Result<Option<Duration>> {
        let began = Instant::now();
        while began.elapsed() < limit {
            // Each answer waits for the index for a while by itself.
            let page = list(&mut self.client, None).await?;
            if page.skein.is_some_and(|skein| skein.indexing.is_none()) {
                return Ok(Some(began.elapsed()));
            }
        }
        Ok(None)
    }

    /// What the server tells of its index, when it does.
    pub(super) async fn said_of_index(&mut self) -> Result<Option<Value>> {
        let status = self.client.call_raw(SkeinStatus::INFO.wire, &serde_json::json!({})).await?;
        Ok(status.ok().and_then(|status| status.get("index").cloned()))
    }

    /// Kills it in the middle of a turn, as a crash does.
    pub(super) async fn crash(mut self) -> Result<()> {
        let thread = self.client.start_thread().await?.id;
        self.client.start_turn(thread, "/hang").await?;
        self.child.kill().await.context("the server cannot be killed")
    }

    /// Ends it in order.
    pub(super) async fn stop(mut self) -> Result<()> {
        // It is our child and was not waited for, so the signal meets nobody else.
        kill(Pid::from_raw(self.pid.cast_signed()), Signal::SIGTERM).context("SIGTERM")?;
        let ended = tokio::time::timeout(BOUND, self.child.wait()).await;
        let status = ended.with_context(|| format!("the server has not ended within {BOUND:?}"))??;
        anyhow::ensure!(status.success(), "the server has ended with {status}");
        Ok(())
    }
}

/// A page of threads, of the default length.
pub(super) async fn list(client: &mut Client, cursor: Option<String>) -> Result<ThreadListResponse> {
    client.call::<ThreadList>(ThreadListParams { cursor, ..ThreadListParams::default() }).await
}

/// Where the server says that it listens.
async fn address(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.take().context("no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(BOUND, lines.next_line()).await;
    let Some(line) = line.with_context(|| format!("the server does not accept within {BOUND:?}"))?? else {
        bail!("the server has ended at its start; its log is beside the home");
    };
    let ready: Value = serde_json::from_str(&line).with_context(|| format!("not its line: {line}"))?;
    let address = ready.get("address").and_then(Value::as_str);
    Ok(address.with_context(|| format!("no address in {line}"))?.to_owned())
}
