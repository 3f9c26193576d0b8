//! `skein app-server`: the protocol on standard streams, for programs that start a server of their own. A home has
//! one server: a second process becomes a bridge to it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};
use skein_app_server::telemetry::{self, Stderr};
use skein_app_server::{Server, StartError, policy};
use skein_base::clock::Clock;
use skein_config::ServerConfig;
use skein_store::home::{HomeError, SERVE, STDIO};
use tokio::net::UnixStream;
use tokio::runtime;

use super::bridge::{Bridge, BridgeEnd, CarriedSettings, ServerOwner};
use super::out::causes;
use super::serve::{self, ListenArgs, Serve, Signals, StartArgs, stopped};
use super::service_manager::{self, ServiceManager};
use super::socket::{self, Proxy};
use super::{client, home_alone};

#[derive(Debug, Args)]
pub(super) struct AppServer {
    /// stdio://; unix://PATH, a socket for websockets; unix://, the same in the home; or ws://127.0.0.1:PORT, which is skein serve
    /// [default: stdio://].
    #[arg(long, value_name = "URL")]
    listen: Option<String>,
    #[command(flatten)]
    start: StartArgs,
    #[command(subcommand)]
    command: Option<AppServerCommand>,
}

/// Sub-commands of an app-server.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum AppServerCommand {
    /// Carry bytes between standard input and output and the socket of an app-server that listens at unix://PATH.
    Proxy(Proxy),
}

impl AppServer {
    pub(super) fn new(listen: Option<String>, start: StartArgs, command: Option<AppServerCommand>) -> Self {
        Self { listen, start, command }
    }

    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.speak().map_err(anyhow::Error::downcast) {
            Ok(code) => Ok(code),
            Err(Ok(error @ HomeError::Served { .. })) => home_alone::refused(error, false),
            Err(Ok(error)) => Err(error.into()),
            Err(Err(error)) => Err(error),
        }
    }

    /// Speaks the protocol without printing anything else.
    pub(super) fn speak(mut self) -> anyhow::Result<ExitCode> {
        // An editor may have inherited the address of its own service manager: only skein serve is a service.
        self.start.passed = service_manager::take().1;
        if let Some(AppServerCommand::Proxy(proxy)) = self.command {
            telemetry::start(Stderr::Queued);
            return proxy.run(&self.start);
        }
        if let Some(path) = self.listen.as_deref().and_then(socket::named) {
            telemetry::start(Stderr::Queued);
            return socket::listen(path, self.start);
        }
        if let Some(listen) = self.listen.filter(|listen| listen != STDIO) {
            return Serve::new(listen, self.start).run_for(ServiceManager::default());
        }
        telemetry::start(Stderr::Queued);
        let config = self.start.clone().load(ListenArgs::at(STDIO))?;
        let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
        let done = runtime.block_on(speak(MessageTarget::new(self.start, config)));
        // A pending read of standard input must not delay the exit.
        runtime.shutdown_background();
        done.map(|()| ExitCode::SUCCESS)
    }
}

/// Carries messages until the input ends: to the server of the home, to its successor, or to one in this process,
/// which then ends with its last other client.
async fn speak(mut place: MessageTarget) -> anyhow::Result<()> {
    let mut signals = Signals::of_client().context("signals")?;
    let mut bridge = Bridge::new(place.start.clone().flags(ListenArgs::at(STDIO)), &place.config);
    let spoken = carry(&mut place, &mut bridge, &mut signals).await;
    if let Err(error) = &spoken {
        bridge.give_up(error).await;
    }
    signals.has_own_client(false);
    if let Some(server) = &place.server {
        // Other clients need the server until this process itself is asked to end.
        if !matches!(spoken, Ok(Over::Signal)) {
            tokio::select! {
                () = server.deserted() => {}
                () = stopped(&mut signals, Some(server)) => {}
            }
        }
        serve::stop(server, &mut signals).await;
    }
    spoken.map(|_| ())
}

/// The reason why a conversation is over.
enum Over {
    Input,
    Signal,
}

async fn carry(
    place: &mut MessageTarget,
    bridge: &mut Bridge,
    signals: &mut Signals,
) -> anyhow::Result<Over> {
    // Consecutive links that were lost early.
    let mut lost = 0;
    loop {
        // Until a link exists, all clients of this process belong to other programs.
        signals.has_own_client(false);
        let server = place.server.clone();
        let found = bridge.meanwhile(place.link(lost), stopped(signals, server.as_deref())).await?;
        signals.has_own_client(true);
        let since = Clock.now();
        let ended = match found {
            Ok(link) => {
                let server = place.server.as_deref();
                let whose = if server.is_some() { ServerOwner::Ours } else { ServerOwner::Theirs };
                bridge.carry(link?, whose, stopped(signals, server)).await?
            }
            Err(ended) => ended,
        };
        let reason = match ended {
            BridgeEnd::Input => return Ok(Over::Input),
            BridgeEnd::Signal => return Ok(Over::Signal),
            BridgeEnd::Server(reason) => reason,
        };
        lost = if Clock.now() < since + policy::RELINK_SETTLED { lost + 1 } else { 1 };
        if reason.is_ours() || lost > policy::RELINKS {
            anyhow::bail!("the server of {} has ended the connection{reason}", place.config.home.display())
        }
        tracing::warn!("the server has ended the connection{reason}; looking for another one");
    }
}

/// The destination of a client's messages.
pub(super) struct MessageTarget {
    start: StartArgs,
    config: ServerConfig,
    /// The server of the home, if it runs in this process.
    server: Option<Arc<Server>>,
}

impl MessageTarget {
    pub(super) fn new(start: StartArgs, config: ServerConfig) -> Self {
        Self { start, config, server: None }
    }

    pub(super) fn home(&self) -> &Path {
        &self.config.home
    }

    /// The `-c` settings, for requests to the server of another process.
    pub(super) fn carried_settings(&self) -> CarriedSettings {
        CarriedSettings::of(self.start.clone().flags(ListenArgs::at(STDIO)), &self.config)
    }

    /// The server of the home, if it runs in this process.
    pub(super) fn server(&self) -> Option<Arc<Server>> {
        self.server.clone()
    }

    /// Connects to the control socket of the home's server; without a server, this process becomes it.
    ///
    /// # Errors
    /// The home is not available, or its server does not answer for a while.
    pub(super) async fn stream(&mut self) -> anyhow::Result<UnixStream> {
        self.until_reached(false, async |home| client::stream(home).await).await
    }

    /// A link to the server of the home, which this process becomes if there is none. `lost` counts earlier links.
    ///
    /// # Errors
    /// As [`MessageTarget::stream`].
    pub(super) async fn link(&mut self, lost: u32) -> anyhow::Result<Box<dyn client::MessageStream>> {
        if lost > 0 {
            tokio::time::sleep(policy::RELINK_FIRST * 2_u32.saturating_pow(lost - 1)).await;
            self.look_again();
        }
        self.until_reached(lost > 0, async |home| client::link(home).await).await
    }

    /// Retries for a while: even a final refusal may come from a change of servers.
    async fn until_reached<T>(
        &mut self,
        servers_change: bool,
        connect: impl AsyncFn(&Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let until = Clock.now() + policy::OWNER_WAIT;
        loop {
            let refused = match self.reach(&connect).await {
                Ok(link) => return Ok(link),
                Err(NoLink::Now(error)) if servers_change => error,
                Err(NoLink::Now(error)) => return Err(error),
                Err(NoLink::Yet(error)) => error,
            };
            if Clock.now() >= until {
                return Err(refused);
            }
            tokio::time::sleep(skein_store::policy::HOME_LOOK).await;
        }
    }

    /// The settings may have changed since this process started as a bridge.
    fn look_again(&mut self) {
        if self.server.is_some() {
            return;
        }
        match self.start.clone().load(ListenArgs::at(STDIO)) {
            Ok(config) => self.config = config,
            Err(error) => tracing::warn!("the settings of the start stay in force: {}", causes(&error)),
        }
    }

    async fn reach<T>(&mut self, connect: impl AsyncFn(&Path) -> anyhow::Result<T>) -> Result<T, NoLink> {
        if self.server.is_none() {
            match Server::start(self.config.clone()).await {
                Ok(server) => {
                    serve::warn_of_readers(&self.config);
                    serve::warn_of_missing_key(&self.config);
                    serve::ignore_background_stops();
                    self.server = Some(Arc::new(server));
                }
                Err(StartError::Home(HomeError::Served { holder, home })) => {
                    let serves = holder.doing.as_deref().is_none_or(|doing| doing == SERVE);
                    if !serves {
                        return Err(NoLink::Now(HomeError::Served { holder, home }.into()));
                    }
                }
                Err(error) => return Err(NoLink::Now(error.into())),
            }
        }
        // The server may have ended meanwhile; then the home is free.
        connect(&self.config.home).await.map_err(NoLink::Yet)
    }
}

/// The reason for a missing link.
enum NoLink {
    /// A retry may succeed at once.
    Yet(anyhow::Error),
    /// A retry helps only during a change of servers.
    Now(anyhow::Error),
}
