//! `--listen unix://PATH`: the websocket at a path of one's own. What comes there is carried, byte by byte, to the control
//! socket of the home's server. That is this process where the home has none; for `skein app-server` it may be another one,
//! as programs start one for each of their sessions.
//!
//! `proxy` carries bytes between standard streams and such a socket.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use skein_app_server::policy;
use skein_store::home::doorway::Doorway;
use skein_store::home::{HomePaths, STDIO, UNIX};
use tokio::io::{AsyncWriteExt, copy, copy_bidirectional, stdin, stdout};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime;

use super::app_server::{Others, Place};
use super::serve::{self, Announcement, Signals, Start, stopped};
use super::{client, home, out};

/// The path in `unix://PATH`, or that there is none; `None` for another kind of address.
pub(super) fn named(listen: &str) -> Option<Option<PathBuf>> {
    let path = listen.strip_prefix(UNIX)?;
    Some((!path.is_empty()).then(|| PathBuf::from(path)))
}

/// Listens at the path, or at the home's own where none is named, until a signal.
///
/// # Errors
/// When the socket or the home cannot be had.
pub(super) fn listen(path: Option<PathBuf>, start: Start, others: Others) -> anyhow::Result<ExitCode> {
    let config = start.clone().load(Some(STDIO.to_owned()))?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let done = runtime.block_on(serve_at(path, Place::new(start, config, others)));
    // A read that hangs on a disk must not hold the exit.
    runtime.shutdown_background();
    done.map(|()| ExitCode::SUCCESS)
}

/// The line that says where the server listens.
fn ready(address: &str, home: &Path) -> String {
    json!({ "address": address, "pid": std::process::id(), "home": out::path(home) }).to_string()
}

async fn serve_at(path: Option<PathBuf>, mut place: Place) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals")?;
    let door = open(path.as_deref(), place.home())?;
    let listener = UnixListener::from_std(door.listener()?)?;
    drop(place.stream().await?);
    place.settings_hold()?;
    let address = format!("{UNIX}{}", door.path().display());
    let mut announced = Announcement::print(ready(&address, place.home()))?;
    let mut relays = FuturesUnordered::new();
    let served = loop {
        let visitor = tokio::select! {
            accepted = listener.accept() => accepted,
            // The end of one relay says nothing about the others.
            Some(()) = relays.next() => continue,
            error = announced.failed() => break Err(error),
            () = stopped(&mut signals, place.server()) => break Ok(()),
        };
        let Some(visitor) = taken(visitor).await else { continue };
        let link = tokio::select! {
            link = place.stream() => link,
            () = stopped(&mut signals, None) => break Ok(()),
        };
        match link {
            Ok(link) => relays.push(relay(visitor, link)),
            Err(error) => tracing::warn!("a connection is closed: {}", out::causes(&error)),
        }
    };
    // Nobody new; those who are here are told goodbye by the server, if it ends with this process.
    drop((listener, door));
    if let Some(server) = place.server() {
        let goodbyes = async { while relays.next().await.is_some() {} };
        tokio::join!(serve::stop(server, &mut signals), goodbyes);
    }
    served
}

/// The connection that was accepted. After an error it waits a moment: the next try would fail, too.
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

fn open(path: Option<&Path>, home: &Path) -> anyhow::Result<Doorway> {
    Ok(match path {
        Some(path) => Doorway::open(&std::path::absolute(path).context("the socket's path")?)?,
        None => Doorway::open_in(&HomePaths::new(home))?,
    })
}

/// Until both sides have ended. An end that is no word of goodbye is one all the same.
async fn relay(mut visitor: UnixStream, mut link: UnixStream) {
    if let Err(error) = copy_bidirectional(&mut visitor, &mut link).await {
        tracing::debug!(%error, "a connection has broken");
    }
}

/// Carries bytes between standard streams and a socket.
#[derive(Debug, Clone, Args)]
pub(super) struct Proxy {
    /// The socket [default: app-server-control/app-server-control.sock in the home, else the control socket of its server].
    #[arg(long, value_name = "PATH")]
    sock: Option<PathBuf>,
}

impl Proxy {
    /// Until the server ends the connection.
    ///
    /// # Errors
    /// When nobody listens at the socket, or the standard streams break.
    pub(super) fn run(&self, start: &Start) -> anyhow::Result<ExitCode> {
        let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
        let done = runtime.block_on(async { carry(self.reach(start).await?).await });
        // A read of standard input may be under way for ever; it must not hold the exit.
        runtime.shutdown_background();
        done.map(|()| ExitCode::SUCCESS)
    }

    async fn reach(&self, start: &Start) -> anyhow::Result<UnixStream> {
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
        // Whoever says nothing more may still be told something.
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
