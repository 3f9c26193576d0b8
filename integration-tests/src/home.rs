//! A real server on a fresh home: set up, started, killed, started again, and ended with nothing left.

mod pid_one;
mod server;
mod setup;

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_protocol::ids::{ThreadId, TurnId};
use tempfile::TempDir;

pub use self::pid_one::{PID_ONE, bring_in_an_orphan, can_be_pid_one};
pub use self::server::Exit;
use self::server::Server;
pub use self::setup::{Helper, Setup};
use crate::client::Client;
use crate::fixture::{self, Force, Order, Summary};
use crate::process::{Family, Process, marked, wait_until};

/// How long a test waits for the end of a server or of its helpers. Far above what either takes: a test says what has
/// to come, and the demo, which measures, says how soon.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Lines of the server's log that a failed test shows.
const LOG_LINES: usize = 150;

/// A home with its server. A test ends with [`Home::finish`]; when it does not get there, dropping this kills what was
/// started and shows the server's log.
#[derive(Debug)]
pub struct Home {
    setup: Setup,
    folder: TempDir,
    server: Server,
    histories: Option<Summary>,
    finished: bool,
}

impl Home {
    /// What a server is started from. Without any change: a home with defaults and no helper.
    #[must_use]
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// Starts a server with one helper named `helper`, which does what it is told.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::setup().helper(Helper::named("helper")?).start().await
    }

    /// Starts a server as [`Home::start`] does, with `count` clients that are subscribed to one thread. The first of them has
    /// started a turn there that says `prompt`.
    ///
    /// # Errors
    /// When the server does not start, or refuses a client.
    pub async fn with_turn(
        count: usize,
        prompt: &str,
    ) -> anyhow::Result<(Self, Vec<Client>, ThreadId, TurnId)> {
        let home = Self::start().await?;
        let mut first = home.client().await?;
        let thread = first.start_said_thread("words").await?;
        let mut clients = vec![first];
        for _ in 1..count {
            let mut client = home.client().await?;
            client.resume(thread).await?;
            clients.push(client);
        }
        let turn = clients[0].start_turn(thread, prompt).await?;
        Ok((home, clients, thread, turn))
    }

    async fn new(setup: Setup) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("skein-test-").tempdir()?;
        // As the server makes one: a folder that it did not make it does not change.
        DirBuilder::new().mode(0o700).create(folder.path().join("home"))?;
        let histories = match setup.histories {
            Some((size, seed)) => {
                let home = folder.path().join("home");
                let order = Order { home, size, seed, force: Force::No };
                Some(fixture::build(&order, &ProgressBar::hidden())?)
            }
            None => None,
        };
        if let Some(archive) = setup.left {
            let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
            archive.set_preserve_permissions(true);
            archive.unpack(folder.path())?;
        }
        let settings = folder.path().join("home/config.toml");
        fs::write(&settings, setup.config())?;
        // Its helpers have variables, which may be secrets: a server warns of a file that others can read.
        fs::set_permissions(&settings, Permissions::from_mode(0o600))?;
        let server = Server::start(&setup, folder.path()).await?;
        Ok(Self { setup, folder, server, histories, finished: false })
    }

    /// The histories that the home had before its server started.
    ///
    /// # Errors
    /// When the setup named none.
    pub fn histories(&self) -> anyhow::Result<&Summary> {
        self.histories.as_ref().context("the home began without histories")
    }

    /// Where the server listens, as `ws://ADDRESS:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.server.address
    }

    /// The server's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid
    }

    /// The value that marks every process of this home; helpers that a test brings itself need it too.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.setup.mark
    }

    /// The home's folder.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The log so far. The server writes its log after it acts: wait for a line with [`Home::until_line`], and
    /// look for the absence of one in [`Home::whole_log`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.folder.path().join(server::LOG))?)
    }

    /// Stops the server, and returns all that it has logged.
    ///
    /// # Errors
    /// When it does not end with 0, or the log cannot be read.
    pub async fn whole_log(&mut self) -> anyhow::Result<String> {
        self.stop().await?;
        self.log()
    }

    /// Waits until the server has logged a line that has all of these texts.
    ///
    /// # Errors
    /// When it has not in time; the error shows the log.
    pub async fn until_line(&self, texts: &[&str]) -> anyhow::Result<()> {
        let has = |line: &str| texts.iter().all(|text| line.contains(text));
        let logged = || self.log().is_ok_and(|log| log.lines().any(has)).then_some(());
        let waited = wait_until(&format!("a line of the log with {texts:?}"), PATIENCE, logged).await;
        waited.with_context(|| self.log().unwrap_or_default())
    }

    /// Waits until the server has logged `text` so many times.
    ///
    /// # Errors
    /// When it has not within `bound`.
    pub async fn until_logged(&self, text: &str, times: usize, bound: Duration) -> anyhow::Result<()> {
        let what = format!("{text:?} {times} times in the log");
        let logged = || self.log().is_ok_and(|log| log.matches(text).count() >= times);
        wait_until(&what, bound, || logged().then_some(())).await
    }

    /// A folder beside the home, for what a test needs.
    #[must_use]
    pub fn beside(&self) -> &Path {
        self.folder.path()
    }

    /// Where the rollout of a thread is.
    #[must_use]
    pub fn rollout(&self, thread: ThreadId) -> PathBuf {
        let name = thread.to_string();
        self.path().join("threads").join(&name[name.len() - 2..]).join(format!("{name}.jsonl"))
    }

    /// A connected client that is initialised.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::ready(self.address()).await
    }

    /// Everything that the server started and that lives, wherever it descends from now.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.pid(), &self.setup.mark)
    }

    /// Waits until there are so many helpers' processes, guards not counted.
    ///
    /// # Errors
    /// When it does not come to that within `bound`.
    pub async fn until_helpers(&self, count: usize, bound: Duration) -> anyhow::Result<Family> {
        let what = format!("{count} processes of helpers");
        let waited =
            wait_until(&what, bound, || Some(self.family()).filter(|f| f.helpers.len() == count)).await;
        waited.with_context(|| format!("there are {:#?}", self.family()))
    }

    /// Waits until neither helper nor guard is left.
    ///
    /// # Errors
    /// When something is left after `bound`, which is named.
    pub async fn until_zero(&self, bound: Duration) -> anyhow::Result<()> {
        let waited =
            wait_until("no helper and no guard", bound, || (self.family().count() == 0).then_some(())).await;
        waited.with_context(|| format!("left: {:#?}", self.family()))
    }

    /// Sends a signal to the server.
    ///
    /// # Errors
    /// When there is none.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.server.signal(signal)
    }

    /// Waits for the server's end.
    ///
    /// # Errors
    /// When it does not come within `bound`.
    pub async fn exited(&mut self, bound: Duration) -> anyhow::Result<Exit> {
        self.server.exited(bound).await
    }

    /// Kills the server with SIGKILL. What it started is not touched.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        // Guards are known by their helpers, which may be gone before them.
        let _ = self.family();
        self.signal(Signal::SIGKILL)?;
        self.exited(PATIENCE).await?;
        Ok(())
    }

    /// Kills the server and all its guards at the same moment, so that nobody is left who could clean up: they are stopped
    /// before, since whoever died last would do it.
    ///
    /// # Errors
    /// When they do not end.
    pub async fn kill_with_guards(&mut self) -> anyhow::Result<()> {
        let _ = self.family();
        self.signal(Signal::SIGSTOP)?;
        let guards = self.family().guards;
        for order in [Signal::SIGSTOP, Signal::SIGKILL] {
            for guard in &guards {
                // One that had just done its work may be gone; below it is seen that all are.
                kill(Pid::from_raw(guard.pid.cast_signed()), order).ok();
            }
        }
        self.kill().await?;
        let gone = || (self.family().guards.is_empty()).then_some(());
        wait_until("the end of all guards", PATIENCE, gone).await
    }

    /// Ends the server with SIGTERM; it has to do so well and in time.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)?;
        let exit = self.exited(PATIENCE).await?;
        ensure!(exit == Exit::Code(0), "the server has ended with {exit:?}");
        Ok(())
    }

    /// Starts a server on the same home, after the first has ended.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.server = Server::start(&self.setup, self.folder.path()).await?;
        Ok(())
    }

    /// Ends the server and waits for its end, unless it has ended already; nothing that it started may be left.
    ///
    /// # Errors
    /// When the server does not end well, or something is left.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        if !self.server.has_ended() {
            self.stop().await?;
            let left = self.family();
            ensure!(left.count() == 0, "the server has ended and left {left:#?}");
        }
        self.until_zero(PATIENCE).await?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.server.kill_now();
        for Process { pid, .. } in marked(&self.setup.mark) {
            // It carries the mark of this test, so it was started by its server; it may have ended meanwhile.
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).ok();
        }
        let log = fs::read_to_string(self.folder.path().join(server::LOG)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("--- the server's log, its last {LOG_LINES} lines:");
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            eprintln!("{line}");
        }
        eprintln!("--- the end of the server's log");
    }
}
