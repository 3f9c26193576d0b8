//! The protocols of systemd: sockets that it has opened (sd_listen_fds(3)), and news about the service (sd_notify(3)). A
//! stand-in speaks them here; no systemd runs beside tests.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
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

/// The error of `skein serve` that starts with these variables, this shell redirection and this descriptor as standard input.
async fn refused(variables: &str, redirection: &str, passed: OwnedFd) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{variables} exec \"$@\" {redirection} 0</dev/null"), "sh"])
        .arg(paths::skein()?);
    command.args(["serve", "--listen", "systemd://", "--home"]).arg(folder.path());
    command.stdin(Stdio::from(passed)).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.context("it serves")??;
    let errors = String::from_utf8(ended.stderr)?;
    ensure!(ended.status.code() == Some(1), "{:?}: {errors}", ended.status);
    let mut lines = errors.lines().filter(|line| line.contains("--listen systemd://"));
    let line = lines.next().with_context(|| errors.clone())?.to_owned();
    ensure!(lines.next().is_none(), "{errors}");
    Ok(line)
}

fn port() -> Result<OwnedFd> {
    Ok(TcpListener::bind("127.0.0.1:0")?.into())
}

#[tokio::test]
async fn wrong_variables_of_a_socket_unit_have_one_line_each() -> Result<()> {
    for (variables, redirection, what) in [
        ("LISTEN_PID=$$ LISTEN_FDS=one", "3<&0", "(LISTEN_FDS is \"one\")"),
        ("LISTEN_PID=$$ LISTEN_FDS=0", "3<&0", "(LISTEN_FDS is 0)"),
        ("LISTEN_PID=1 LISTEN_FDS=1", "3<&0", "(LISTEN_PID is \"1\")"),
        ("LISTEN_PID=$$ LISTEN_FDS=2", "3<&0 4<&0", "finds one socket twice, as descriptors 3 and 4"),
        ("LISTEN_PID=$$ LISTEN_FDS=2", "3<&0 4<&-", "finds no open descriptor 4"),
    ] {
        let line = refused(variables, redirection, port()?).await?;
        ensure!(line.contains(what), "{variables}: {line}");
    }
    Ok(())
}

#[tokio::test]
async fn a_passed_descriptor_that_no_client_can_connect_to_has_one_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let packets = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    bind(packets.as_raw_fd(), &UnixAddr::new(&folder.path().join("packets"))?)?;
    listen(&packets, Backlog::new(1)?)?;
    let nameless = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(nameless.as_raw_fd(), &UnixAddr::new_abstract(folder.path().as_os_str().as_encoded_bytes())?)?;
    listen(&nameless, Backlog::new(1)?)?;
    let server = TcpListener::bind("127.0.0.1:0")?;
    let connected = TcpStream::connect(server.local_addr()?)?;
    for (passed, what) in [
        (packets, "no stream socket"),
        (UdpSocket::bind("127.0.0.1:0")?.into(), "no stream socket"),
        (connected.into(), "does not listen"),
        (std::fs::File::open("/dev/null")?.into(), "no socket: write ListenStream="),
        (nameless, "neither TCP nor a unix socket with a path"),
    ] {
        let line = refused("LISTEN_PID=$$ LISTEN_FDS=1", "3<&0", passed).await?;
        ensure!(line.contains("takes no descriptor 3") && line.contains(what), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn only_serve_tells_the_service_manager_of_its_own() -> Result<()> {
    let unit = Unit::new()?;
    let mut command = Command::new(paths::skein()?);
    command.args(["app-server", "--home"]).arg(unit.folder.path().join("home"));
    command.env("NOTIFY_SOCKET", unit.folder.path().join("notify"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    ended(command.spawn()?).await?;
    // A process that has ended sends nothing any more.
    let heard = unit.news.try_recv(&mut [0; 100]);
    ensure!(heard.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{heard:?}");
    Ok(())
}

pub(super) fn nobody_left(folder: &Path) -> bool {
    let folder = folder.display().to_string();
    !skein_integration_tests::process::all().iter().any(|process| process.command.contains(&folder))
}
