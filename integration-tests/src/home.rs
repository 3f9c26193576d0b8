//! A real server on a fresh home: set up, started, killed, restarted, and stopped with no process left.

mod clients;
mod database;
mod edge;
mod pid_one;
mod server;
mod setup;

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_protocol::ids::ThreadId;
use tempfile::TempDir;

use self::database::HomeDatabase;
use self::edge::Seen;
pub use self::pid_one::{PID_ONE, bring_in_an_orphan, can_be_pid_one};
pub use self::server::Exit;
use self::server::Server;
pub use self::setup::{Helper, Setup};
use crate::fixture::{self, Force, Order, Summary};
use crate::paths::run_skein;
use crate::process::{Family, Process, freeze, tagged, wait_until};

/// Limit for the end of a server or of its helpers. The limit is far above the usual time, also where several programs
/// wait for each processor: tests check only that the end comes. The demo measures how soon.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of the server's log in the output of a failed test.
const LOG_LINES: usize = 150;

/// A home with its server. A test ends with [`Home::finish`]. On a failed test, drop kills all started
/// processes and prints the server's log.
#[derive(Debug)]
pub struct Home {
    setup: Setup,
    folder: TempDir,
    server: Server,
    /// The home of the server that clients connect to, if it is another one.
    edge: Option<Box<Home>>,
    /// The database of its threads, if the test run has one.
    database: Option<HomeDatabase>,
    histories: Option<Summary>,
    finished: bool,
}

impl Home {
    /// The defaults for a server: an unchanged home without helpers.
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// The server of [`Home::start`], with its threads in files also where others of the test run are in a database: for tests
    /// that look at the files, or that run programs on them.
    ///
    /// # Errors
    /// Fails if the scriptable helper is not built.
    pub fn in_files() -> anyhow::Result<Setup> {
        Ok(Self::setup().in_files().helper(Helper::named("helper")?))
    }

    /// Starts a server with one scriptable helper named `helper`.
    ///
    /// # Errors
    /// Fails if the server does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::setup().helper(Helper::named("helper")?).start().await
    }

    async fn new(mut setup: Setup) -> anyhow::Result<Self> {
        let database = match setup.may_use_a_database() {
            true => HomeDatabase::make().await?,
            false => None,
        };
        if let Some(database) = &database {
            setup = setup.set("store.url", database.url());
            if edge::is_wanted() && setup.may_have_an_edge() {
                setup = setup.set("cluster.node_name", "owner");
            }
        }
        let folder = tempfile::Builder::new().prefix("skein-test-").tempdir()?;
        // Same mode as the server uses; the server does not change the mode of an existing folder.
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
        // Variables of helpers may be secrets; the server warns of a file that others can read.
        fs::set_permissions(&settings, Permissions::from_mode(0o600))?;
        if let Some(user) = setup.user {
            for path in [folder.path().to_owned(), folder.path().join("home"), settings] {
                chown(path, Some(user), Some(user))?;
            }
        }
        let server = Server::start(&setup, folder.path()).await?;
        let mut home = Self { setup, folder, server, edge: None, database, histories, finished: false };
        home.start_edge().await?;
        Ok(home)
    }

    /// Starts the second server of its database, if the test run wants one.
    async fn start_edge(&mut self) -> anyhow::Result<()> {
        if let Some(database) = &self.database
            && self.setup.is_in_a_cluster()
        {
            let seen =
                Seen { working: self.folder.path().to_owned(), database: database.folder().to_owned() };
            let edge = Box::pin(Self::new(self.setup.for_edge(seen))).await?;
            edge.until_line(&[edge::OBSERVES]).await?;
            self.edge = Some(Box::new(edge));
        }
        Ok(())
    }

    /// The histories in the home before its server started.
    ///
    /// # Errors
    /// Fails if the setup named none.
    pub fn histories(&self) -> anyhow::Result<&Summary> {
        self.histories.as_ref().context("the home began without histories")
    }

    /// Address of the server, as `ws://ADDRESS:PORT` or `unix://PATH`.
    pub fn address(&self) -> &str {
        self.addresses().first().map_or("", String::as_str)
    }

    /// All addresses of the server, ports first.
    pub fn addresses(&self) -> &[String] {
        self.edge.as_deref().map_or(&self.server.addresses, Self::addresses)
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.server.pid
    }

    /// The tag on every process of this home. Helpers that a test starts by itself need the tag too.
    pub fn tag(&self) -> &str {
        &self.setup.tag
    }

    /// Whether its threads are in a database.
    pub fn has_database(&self) -> bool {
        self.setup.has_database()
    }

    /// Folder of the home.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The log so far. The server logs after it acts, so wait for a line with [`Home::until_line`]. Check for
    /// the absence of a line with [`Home::whole_log`].
    ///
    /// # Errors
    /// Fails if the log cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.folder.path().join(server::LOG))?)
    }

    /// Stops the server and returns its complete log.
    ///
    /// # Errors
    /// Fails if the server does not exit with 0, or the log cannot be read.
    pub async fn whole_log(&mut self) -> anyhow::Result<String> {
        self.stop().await?;
        self.log()
    }

    /// Waits until the server has logged a line with all these texts.
    ///
    /// # Errors
    /// Fails if no such line comes in time. The error shows the log.
    pub async fn until_line(&self, texts: &[&str]) -> anyhow::Result<()> {
        let has = |line: &str| texts.iter().all(|text| line.contains(text));
        let logged = || self.log().is_ok_and(|log| log.lines().any(has)).then_some(());
        let waited = wait_until(&format!("a line of the log with {texts:?}"), PATIENCE, logged).await;
        waited.with_context(|| self.log().unwrap_or_default())
    }

    /// Waits until the log has `text` this many times.
    ///
    /// # Errors
    /// Fails if this takes longer than `bound`.
    pub async fn until_logged(&self, text: &str, times: usize, bound: Duration) -> anyhow::Result<()> {
        let what = format!("{text:?} {times} times in the log");
        let logged = || self.log().is_ok_and(|log| log.matches(text).count() >= times);
        wait_until(&what, bound, || logged().then_some(())).await
    }

    /// A folder beside the home, for a test's own files.
    pub fn beside(&self) -> &Path {
        self.folder.path()
    }

    /// Path of a thread's rollout.
    pub fn rollout(&self, thread: ThreadId) -> PathBuf {
        let name = thread.to_string();
        self.path().join("threads").join(&name[name.len() - 2..]).join(format!("{name}.jsonl"))
    }

    /// All living processes that the server started, whatever their parent is now.
    pub fn family(&self) -> Family {
        Family::of(self.pid(), &self.setup.tag)
    }

    /// Waits until this many helper processes live, not counting guards.
    ///
    /// # Errors
    /// Fails if the count is different after [`PATIENCE`].
    pub async fn until_helpers(&self, count: usize) -> anyhow::Result<Family> {
        let what = format!("{count} processes of helpers");
        let found = || Some(self.family()).filter(|family| family.helpers.len() == count);
        let waited = wait_until(&what, PATIENCE, found).await;
        waited.with_context(|| format!("there are {:#?}", self.family()))
    }

    /// Waits until no helper and no guard is left.
    ///
    /// # Errors
    /// Fails if a process is left after `bound`. The error names it.
    pub async fn until_drained(&self, bound: Duration) -> anyhow::Result<()> {
        let waited =
            wait_until("no helper and no guard", bound, || (self.family().count() == 0).then_some(())).await;
        waited.with_context(|| format!("left: {:#?}", self.family()))
    }

    /// Sends a signal to the server.
    ///
    /// # Errors
    /// Fails if the server is not running.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.server.signal(signal)
    }

    /// Waits for the server to exit.
    ///
    /// # Errors
    /// Fails if the server does not exit within `bound`.
    pub async fn exited(&mut self, bound: Duration) -> anyhow::Result<Exit> {
        self.server.exited(bound).await
    }

    /// Kills the server with SIGKILL. Its helpers and guards are not signalled.
    ///
    /// # Errors
    /// Fails if the server does not end.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        // Remember the guards now: they are found through their helpers, which may end first.
        let _ = self.family();
        self.signal(Signal::SIGKILL)?;
        self.exited(PATIENCE).await?;
        if let Some(edge) = self.edge.as_mut().filter(|edge| !edge.server.has_ended()) {
            Box::pin(edge.kill()).await?;
        }
        Ok(())
    }

    /// Kills the server and all its guards at the same moment, so that no process is left to clean up. All of
    /// them are stopped first, because the last one to die would clean up.
    ///
    /// # Errors
    /// Fails if they do not end.
    pub async fn kill_with_guards(&mut self) -> anyhow::Result<()> {
        let _ = self.family();
        freeze(self.pid()).await?;
        let guards = self.family().guards;
        // A guard that has just finished may be gone; the check below proves that all are gone.
        for guard in &guards {
            freeze(guard.pid).await.ok();
        }
        for guard in &guards {
            kill(Pid::from_raw(guard.pid.cast_signed()), Signal::SIGKILL).ok();
        }
        self.kill().await?;
        let gone = || (self.family().guards.is_empty()).then_some(());
        wait_until("the end of all guards", PATIENCE, gone).await
    }

    /// Stops the server with SIGTERM. The server must exit with 0 in time.
    ///
    /// # Errors
    /// Fails if the server does not exit, or not with 0.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(edge) = self.edge.as_mut().filter(|edge| !edge.server.has_ended()) {
            Box::pin(edge.stop()).await?;
        }
        self.signal(Signal::SIGTERM)?;
        let exit = self.exited(PATIENCE).await?;
        ensure!(exit == Exit::Code(0), "the server has ended with {exit:?}");
        Ok(())
    }

    /// Starts a server on the same home after the first one has ended.
    ///
    /// # Errors
    /// Fails if the server does not start.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.server = Server::start(&self.setup, self.folder.path()).await?;
        if let Some(edge) = &mut self.edge {
            let before = edge.log()?.matches(edge::OBSERVES).count();
            Box::pin(edge.start_again()).await?;
            edge.until_logged(edge::OBSERVES, before + 1, PATIENCE).await?;
        }
        Ok(())
    }

    /// Starts the tested program from now on, in place of [`Setup::program`].
    pub fn use_tested_program(&mut self) {
        self.setup.program = None;
    }

    /// Stops the server and starts another one on the same home.
    ///
    /// # Errors
    /// Fails if the server does not stop with 0, or the next one does not start.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Kills the server and starts another one on the same home.
    ///
    /// # Errors
    /// Fails if the next server does not start.
    pub async fn restart_after_kill(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        self.start_again().await
    }

    /// Waits until no helper is left beside the running server, then ends like [`Home::finish`].
    ///
    /// # Errors
    /// Fails if a helper is left, or the server does not stop with 0.
    pub async fn finish_drained(self) -> anyhow::Result<()> {
        self.until_drained(PATIENCE).await?;
        self.finish().await
    }

    /// Stops the server and waits for its exit, unless it has already exited. No process of the server may be
    /// left, and `skein fsck` finds no fault in its threads.
    ///
    /// # Errors
    /// Fails if the server does not exit with 0, a process is left, or there is a fault.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.end().await?;
        // A server that was killed leaves what the next one cleans up, and made histories have faults.
        if self.server.has_stopped() && self.setup.histories.is_none() {
            self.check().await?;
        }
        self.remove_database().await
    }

    /// The same for a home in which the test has made faults.
    ///
    /// # Errors
    /// Fails if the server does not exit with 0, or a process is left.
    pub async fn finish_with_faults(mut self) -> anyhow::Result<()> {
        self.end().await?;
        self.remove_database().await
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        if let Some(edge) = &mut self.edge {
            Box::pin(edge.end()).await?;
        }
        if !self.server.has_ended() {
            self.stop().await?;
            let left = self.family();
            ensure!(left.count() == 0, "the server has ended and left {left:#?}");
        }
        self.until_drained(PATIENCE).await?;
        self.finished = true;
        Ok(())
    }

    async fn check(&self) -> anyhow::Result<()> {
        let done = run_skein(&self.path(), ["fsck"]).await?;
        let says =
            [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        ensure!(done.status.success(), "skein fsck: {says}");
        Ok(())
    }

    async fn remove_database(&mut self) -> anyhow::Result<()> {
        match self.database.take() {
            Some(database) => database.remove().await,
            None => Ok(()),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.server.kill_now();
        for Process { pid, .. } in tagged(&self.setup.tag) {
            // The process carries the tag of this test, so this server started it; it may have ended by now.
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
