//! `--listen unix://PATH`: a websocket at a given path. The server of this process takes its connections as those of the
//! control socket: the kernel says which process is at the other end.
//!
//! For `skein app-server` the home's server may be another process, as programs start one for each session. Then bytes are
//! relayed to its control socket, where every connection looks like one of this process. So the relay closes connections
//! of the server's own helpers (MCP server processes), which are below it in the process table. A start with `-c` settings
//! about threads relays messages instead, and adds the settings to requests.
//!
//! `proxy` carries bytes between standard streams and such a socket.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use nix::unistd::geteuid;
use serde_json::json;
use skein_app_server::policy;
use skein_base::system::peers::{self, UnixPeer};
use skein_base::system::proc::{self, Process};
use skein_store::home::named_socket::NamedSocket;
use skein_store::home::{HomePaths, STDIO, UNIX};
use tokio::io::{AsyncWriteExt, copy, copy_bidirectional, stdin, stdout};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime;

use super::app_server::MessageTarget;
use super::bridge::CarriedSettings;
use super::serve::{self, ListenArgs, ReadyLine, Signals, StartArgs, stopped};
use super::{client, home, out, relay};

/// The path in `unix://PATH`, if any; `None` for another kind of address.
pub(super) fn named(listen: &str) -> Option<Option<PathBuf>> {
    let path = listen.strip_prefix(UNIX)?;
    Some((!path.is_empty()).then(|| PathBuf::from(path)))
}

/// Listens at the path, or at the home's own without one, until a signal.
///
/// # Errors
/// The socket or the home is not available.
pub(super) fn listen(path: Option<PathBuf>, start: StartArgs) -> anyhow::Result<ExitCode> {
    let config = start.clone().load(ListenArgs::at(STDIO))?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let done = runtime.block_on(serve_at(path, MessageTarget::new(start, config)));
    // A read that hangs on a disk must not delay the exit.
    runtime.shutdown_background();
    done.map(|()| ExitCode::SUCCESS)
}

/// The line that says where the server listens.
fn ready(address: &str, home: &Path) -> String {
    json!({ "address": address, "pid": std::process::id(), "home": out::path(home) }).to_string()
}

async fn serve_at(path: Option<PathBuf>, mut place: MessageTarget) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals")?;
    let door = open(path.as_deref(), place.home())?;
    let listener = UnixListener::from_std(door.listener()?)?;
    drop(place.stream().await?);
    let settings = place.carried_settings();
    if let Some(warning) = settings.no_effect().filter(|_| place.server().is_none()) {
        tracing::warn!("{warning}");
    }
    let settings = settings.are_about_threads().then(|| RefCell::new(settings));
    let address = format!("{UNIX}{}", door.path().display());
    let mut announced = ReadyLine::print(ready(&address, place.home()))?;
    let mut relays = FuturesUnordered::new();
    let served = loop {
        let server = place.server();
        let visitor = tokio::select! {
            accepted = listener.accept() => accepted,
            // The end of one relay does not affect the others.
            Some(()) = relays.next() => continue,
            error = announced.failed() => break Err(error),
            () = stopped(&mut signals, server.as_deref()) => break Ok(()),
        };
        let Some(visitor) = taken(visitor).await else { continue };
        let relayed = tokio::select! {
            relayed = bring_in(visitor, &mut place) => relayed,
            () = stopped(&mut signals, server.as_deref()) => break Ok(()),
        };
        match relayed {
            Ok(relayed) => {
                relays.extend(relayed.map(|(visitor, link)| relay(visitor, link, settings.as_ref())))
            }
            Err(error) => tracing::warn!("a connection is closed: {}", out::causes(&error)),
        }
    };
    // No new connections. A server in this process closes the existing ones.
    drop((listener, door));
    if let Some(server) = place.server() {
        let goodbyes = async { while relays.next().await.is_some() {} };
        tokio::join!(serve::stop(&server, &mut signals), goodbyes);
    }
    served
}

/// The accepted connection. After an error it pauses, as the next try would fail, too.
async fn taken(accepted: io::Result<(UnixStream, SocketAddr)>) -> Option<UnixStream> {
    match accepted {
        Ok((visitor, _)) => Some(visitor),
        Err(error) => {
            tracing::error!(%error, "no socket can be accepted; trying again");
            tokio::time::sleep(policy::ACCEPT_PAUSE).await;
            None
        }
    }
}

fn open(path: Option<&Path>, home: &Path) -> anyhow::Result<NamedSocket> {
    Ok(match path {
        Some(path) => NamedSocket::open(&std::path::absolute(path).context("the socket's path")?)?,
        None => NamedSocket::open_in(&HomePaths::new(home))?,
    })
}

/// Gives a connection to the server of this process, or returns it with a link to the server in another one.
async fn bring_in(
    visitor: UnixStream,
    place: &mut MessageTarget,
) -> anyhow::Result<Option<(UnixStream, UnixStream)>> {
    let link = if place.server().is_none() { Some(place.stream().await?) } else { None };
    // Connecting may have made this process the server.
    if let Some(server) = place.server() {
        server.bring_in(visitor).await;
        return Ok(None);
    }
    let link = link.context("no server")?;
    may_be_relayed(&peers::peer_of_unix(&visitor)?, &peers::peer_of_unix(&link)?)?;
    Ok(Some((visitor, link)))
}

/// Refuses other users, and the helpers of the server.
fn may_be_relayed(visitor: &UnixPeer, server: &UnixPeer) -> anyhow::Result<()> {
    ensure!(visitor.uid == geteuid().as_raw(), "it is of another user");
    let is_helper = match (visitor.pid, server.pid) {
        (Some(pid), Some(server)) => {
            let is_server = |above: &Process| (above.pid == server).then_some(());
            // One whose parents end too fast to tell counts as a helper.
            proc::find_above(Process::read, pid, is_server) != Ok(None) || visitor.has_ended()
        }
        // Helpers are in the PID namespace of their server, or in one below it.
        (None, Some(_)) | (Some(_), None) => false,
        (None, None) => true,
    };
    ensure!(!is_helper, "a helper may not connect; one with may_connect in its settings uses control.sock");
    Ok(())
}

/// Relays until both sides have ended. A broken connection counts as an end.
async fn relay(mut visitor: UnixStream, mut link: UnixStream, settings: Option<&RefCell<CarriedSettings>>) {
    let ended = match settings {
        Some(settings) => relay::with_settings(visitor, link, settings).await,
        None => copy_bidirectional(&mut visitor, &mut link).await.map(drop).map_err(Into::into),
    };
    if let Err(error) = ended {
        tracing::debug!("a connection has broken: {}", out::causes(&error));
    }
}

/// Carries bytes between standard streams and a socket.
#[derive(Debug, Clone, Args)]
pub(super) struct Proxy {
    /// The socket [default: app-server-control/app-server-control.sock in the home, else the control socket of its
    /// server].
    #[arg(long, value_name = "PATH")]
    sock: Option<PathBuf>,
}

impl Proxy {
    /// Runs until the server ends the connection.
    ///
    /// # Errors
    /// There is no listener at the socket, or the standard streams break.
    pub(super) fn run(&self, start: &StartArgs) -> anyhow::Result<ExitCode> {
        let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
        let done = runtime.block_on(async { carry(self.reach(start).await?).await });
        // A pending read of standard input must not delay the exit.
        runtime.shutdown_background();
        done.map(|()| ExitCode::SUCCESS)
    }

    async fn reach(&self, start: &StartArgs) -> anyhow::Result<UnixStream> {
        if let Some(path) = &self.sock {
            return connect(path).await;
        }
        let root = std::path::absolute(home(start.home.as_ref())?).context("the home's path")?;
        match UnixStream::connect(HomePaths::new(&root).named_socket()).await {
            Ok(stream) => Ok(stream),
            Err(_) => client::stream(&root).await,
        }
    }
}

async fn connect(path: &Path) -> anyhow::Result<UnixStream> {
    UnixStream::connect(path)
        .await
        .with_context(|| format!("failed to connect to socket at {}", path.display()))
}

async fn carry(link: UnixStream) -> anyhow::Result<()> {
    let (mut from, mut to) = link.into_split();
    let inward = async {
        copy(&mut stdin(), &mut to).await?;
        // The other side may still send.
        to.shutdown().await?;
        std::future::pending::<io::Result<()>>().await
    };
    let outward = async {
        let mut out = stdout();
        copy(&mut from, &mut out).await?;
        out.flush().await
    };
    tokio::select! {
        done = inward => done.context("standard input"),
        done = outward => done.context("standard output"),
    }
}
