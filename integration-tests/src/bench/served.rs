//! One server of a benchmark, from start to exit.

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

/// Limit for a server's start, and for its exit.
const BOUND: Duration = Duration::from_secs(60);

/// A running server, with an initialised client.
pub(super) struct Served {
    child: Child,
    pub pid: u32,
    pub address: String,
    pub client: Client,
}

/// Times since the start of the program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// Time to the answer to `initialize`.
    pub answer: Duration,
    /// Time to the first page of threads after that.
    pub page: Duration,
    /// Resident memory at that time, bytes.
    pub resident: u64,
}

impl Served {
    /// Starts a server, initialises, and asks for the first page.
    pub(super) async fn start(plan: &Plan, place: &Place) -> Result<(Self, Start)> {
        Self::start_with(plan, place, &[]).await
    }

    /// Starts a server with more arguments.
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

    /// Waits until lists are complete; `None` if that takes longer than `limit`.
    pub(super) async fn until_indexed(&mut self, limit: Duration) -> Result<Option<Duration>> {
        let began = Instant::now();
        while began.elapsed() < limit {
            // The server delays each answer for a while until the index is complete.
            let page = list(&mut self.client, None).await?;
            if page.skein.is_some_and(|skein| skein.indexing.is_none()) {
                return Ok(Some(began.elapsed()));
            }
        }
        Ok(None)
    }

    /// The server's own report on its index, if it has one.
    pub(super) async fn index_status(&mut self) -> Result<Option<Value>> {
        let status = self.client.call_raw(SkeinStatus::INFO.wire, &serde_json::json!({})).await?;
        Ok(status.ok().and_then(|status| status.get("index").cloned()))
    }

    /// Kills the server in the middle of a turn, like a crash.
    pub(super) async fn crash(mut self) -> Result<()> {
        let thread = self.client.start_thread().await?.id;
        self.client.start_turn(thread, "/hang").await?;
        self.child.kill().await.context("the server cannot be killed")
    }

    /// Stops the server in order.
    pub(super) async fn stop(mut self) -> Result<()> {
        // The server is an unreaped child of ours, so the signal cannot reach another process.
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

/// Address that the server reports at its start.
async fn address(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.take().context("no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(BOUND, lines.next_line()).await;
    let Some(line) = line.with_context(|| format!("the server does not accept within {BOUND:?}"))?? else {
        bail!("the server has ended at its start; its log is beside the home");
    };
    let ready: Value = serde_json::from_str(&line).with_context(|| format!("not the ready line: {line}"))?;
    let address = ready.get("address").and_then(Value::as_str);
    Ok(address.with_context(|| format!("no address in {line}"))?.to_owned())
}
