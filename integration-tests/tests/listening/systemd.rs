//! The protocols of systemd: sockets that it has opened (sd_listen_fds(3)), and news about the service (sd_notify(3)). A
//! stand-in speaks them here; no systemd runs beside tests.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::{Client, paths};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

/// A service whose socket outlives it.
pub(super) struct Unit {
    socket: std::net::TcpListener,
    news: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Unit {
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let news = UnixDatagram::bind(folder.path().join("notify"))?;
        Ok(Self { socket: std::net::TcpListener::bind("127.0.0.1:0")?, news, folder })
    }

    pub(super) fn address(&self) -> Result<String> {
        Ok(format!("ws://{}", self.socket.local_addr()?))
    }

    /// Starts the service as systemd does: the socket is descriptor 3, and the variables name it and its process.
    pub(super) fn start(&self) -> Result<Child> {
        let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 0</dev/null";
        let socket = OwnedFd::from(self.socket.try_clone()?);
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(paths::skein()?);
        command.args(["serve", "--listen", "systemd://", "--home"]).arg(self.folder.path().join("home"));
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command.stdin(Stdio::from(socket)).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        command.spawn().context("no service")
    }

    /// The folder of its home.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until the service says this.
    pub(super) async fn until(&self, word: &str) -> Result<()> {
        let wait = async {
            let mut heard = [0; 4096];
            loop {
                let length = self.news.recv(&mut heard).await?;
                let text = String::from_utf8_lossy(&heard[..length]).into_owned();
                if text.lines().any(|line| line == word) {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.with_context(|| format!("no {word}"))?
    }
}

pub(super) fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = child.id().context("it has ended")?.cast_signed();
    kill(Pid::from_raw(pid), signal).context("no signal")
}

pub(super) async fn ended(mut child: Child) -> Result<()> {
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.context("it serves on")??;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_passed_socket_is_served_and_waits_through_a_restart() -> Result<()> {
    let unit = Unit::new()?;
    let address = unit.address()?;
    let mut first = unit.start()?;
    unit.until("READY=1").await?;
    let mut lines = BufReader::new(first.stdout.take().context("no stdout")?).lines();
    let ready = lines.next_line().await?.context("no line")?;
    ensure!(ready.contains(&address), "{ready}");
    Client::ready(&address).await?;
    signal(&first, Signal::SIGHUP)?;
    unit.until("RELOADING=1").await?;
    unit.until("READY=1").await?;
    signal(&first, Signal::SIGTERM)?;
    unit.until("STOPPING=1").await?;
    ended(first).await?;
    // Nobody serves; the socket takes the connection, which the next service answers.
    let early = tokio::spawn(async move { Client::ready(&address).await });
    let second = unit.start()?;
    unit.until("READY=1").await?;
    tokio::time::timeout(PATIENCE, early).await.context("the early client waits")???;
    signal(&second, Signal::SIGTERM)?;
    ended(second).await?;
    ensure!(nobody_left(unit.folder.path()), "a process of the home is left");
    Ok(())
}

pub(super) fn nobody_left(folder: &Path) -> bool {
    let folder = folder.display().to_string();
    !skein_integration_tests::process::all().iter().any(|process| process.command.contains(&folder))
}
