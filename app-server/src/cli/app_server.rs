//! `skein app-server`: the protocol on standard streams, for programs that start a server of their own. There is one server for
//! a home: whoever comes second is a bridge to the first.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};
use skein_app_server::config::{ClientSettings, Config};
use skein_app_server::telemetry::{self, Stderr};
use skein_app_server::{Server, StartError, policy};
use skein_base::clock::Clock;
use skein_store::home::{HomeError, SERVE, STDIO};
use tokio::net::UnixStream;
use tokio::runtime;

use super::bridge::{Bridge, Ended, Whose};
use super::client;
use super::home_alone;
use super::out::causes;
use super::serve::{self, Serve, Signals, Start, stopped};
use super::socket::{self, Proxy};

#[derive(Debug, Args)]
pub(super) struct AppServer {
    /// stdio://; unix://PATH, a socket for websockets; unix://, the same in the home; or ws://127.0.0.1:PORT, which is skein serve
    /// [default: stdio://].
    #[arg(long, value_name = "URL")]
    listen: Option<String>,
    #[command(flatten)]
    start: Start,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What an app-server is asked for beside serving.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Carry bytes between standard input and output and the socket of an app-server that listens at unix://PATH.
    Proxy(Proxy),
}

impl AppServer {
    pub(super) fn new(listen: Option<String>, start: Start, command: Option<Command>) -> Self {
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

    /// The same, for who prints no word of its own.
    pub(super) fn speak(self) -> anyhow::Result<ExitCode> {
        if let Some(Command::Proxy(proxy)) = self.command {
            telemetry::start(Stderr::Queued);
            return proxy.run(&self.start);
        }
        if let Some(path) = self.listen.as_deref().and_then(socket::named) {
            telemetry::start(Stderr::Queued);
            return socket::listen(path, self.start, Others::Join);
        }
        if let Some(listen) = self.listen.filter(|listen| listen != STDIO) {
            return Serve::new(listen, self.start).run();
        }
        telemetry::start(Stderr::Queued);
        let config = self.start.clone().load(Some(STDIO.to_owned()))?;
        let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
        let done = runtime.block_on(speak(Place::new(self.start, config, Others::Join)));
        // A read of standard input may be under way for ever; it must not hold the exit.
        runtime.shutdown_background();
        done.map(|()| ExitCode::SUCCESS)
    }
}

/// Carries messages until the input ends: to the server of the home, to the next one when that is gone, or to one of its own,
/// which then ends with the last other client.
async fn speak(mut place: Place) -> anyhow::Result<()> {
    let mut signals = Signals::of_client().context("signals")?;
    let mut bridge = Bridge::new(place.start.clone().flags(Some(STDIO.to_owned())), &place.config);
    let spoken = carry(&mut place, &mut bridge, &mut signals).await;
    if let Err(error) = &spoken {
        bridge.give_up(error).await;
    }
    signals.has_own_client(false);
    if let Some(server) = &place.server {
        // Others need it for as long as nobody wants this process itself to end.
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

/// Why a conversation is over.
enum Over {
    Input,
    Signal,
}

async fn carry(place: &mut Place, bridge: &mut Bridge, signals: &mut Signals) -> anyhow::Result<Over> {
    // Links that were lost soon, one after the other.
    let mut lost = 0;
    loop {
        // Until there is a link, every client of this process is another program's.
        signals.has_own_client(false);
        let server = place.server.clone();
        let found = bridge.meanwhile(place.link(lost), stopped(signals, server.as_deref())).await?;
        signals.has_own_client(true);
        let since = Clock.now();
        let ended = match found {
            Ok(link) => {
                let server = place.server.as_deref();
                let whose = if server.is_some() { Whose::Ours } else { Whose::Theirs };
                bridge.carry(link?, whose, stopped(signals, server)).await?
            }
            Err(ended) => ended,
        };
        let reason = match ended {
            Ended::Input => return Ok(Over::Input),
            Ended::Signal => return Ok(Over::Signal),
            Ended::Server(reason) => reason,
        };
        lost = if Clock.now() < since + policy::RELINK_SETTLED { lost + 1 } else { 1 };
        if reason.is_ours() || lost > policy::RELINKS {
            anyhow::bail!("the server of {} has ended the connection{reason}", place.config.home.display())
        }
        tracing::warn!("the server has ended the connection{reason}; looking for another one");
    }
}

/// What to do when another process serves the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Messages go there.
    Join,
    /// It has to be this process.
    Refuse,
}

/// Where a client's messages go.
pub(super) struct Place {
    start: Start,
    config: Config,
    others: Others,
    /// The server of the home, once it is this process.
    server: Option<Arc<Server>>,
}

impl Place {
    pub(super) fn new(start: Start, config: Config, others: Others) -> Self {
        Self { start, config, others, server: None }
    }

    /// The home.
    pub(super) fn home(&self) -> &Path {
        &self.config.home
    }

    /// Fails where another process serves the home and this start has `-c` settings about threads, which then hold for nobody.
    ///
    /// # Errors
    /// Names the settings that would have no effect, and the way out.
    pub(super) fn settings_hold(&self) -> anyhow::Result<()> {
        if self.server.is_some() || !ClientSettings::of(&self.config, &self.start.settings).of_threads {
            return Ok(());
        }
        anyhow::bail!(
            "another process serves {}, and the -c settings of this start have no effect there; write them into config.toml, \
             or give them to that process, and start it again",
            self.config.home.display()
        )
    }

    /// The server of the home, if it is this process.
    pub(super) fn server(&self) -> Option<&Server> {
        self.server.as_deref()
    }

    /// A connection to the control socket of the server of the home, which this process becomes where there is none.
    ///
    /// # Errors
    /// When the home cannot be had, or its server does not answer within a while.
    pub(super) async fn stream(&mut self) -> anyhow::Result<UnixStream> {
        self.until_reached(false, async |home| client::stream(home).await).await
    }

    /// A link to the server of the home, which this process becomes where there is none. `lost` links were lost before.
    async fn link(&mut self, lost: u32) -> anyhow::Result<Box<dyn client::Link>> {
        if lost > 0 {
            tokio::time::sleep(policy::RELINK_FIRST * 2_u32.saturating_pow(lost - 1)).await;
            self.look_again();
        }
        self.until_reached(lost > 0, async |home| client::link(home).await).await
    }

    /// Tries for a while. What is refused for good may be so only while servers change.
    async fn until_reached<T>(
        &mut self,
        servers_change: bool,
        connect: impl AsyncFn(&Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let until = Clock.now() + policy::OWNER_WAIT;
        loop {
            let refused = match self.reach(&connect).await {
                Ok(link) => return Ok(link),
                Err(Refused::Now(error)) if servers_change => error,
                Err(Refused::Now(error)) => return Err(error),
                Err(Refused::Yet(error)) => error,
            };
            if Clock.now() >= until {
                return Err(refused);
            }
            tokio::time::sleep(skein_store::policy::HOME_LOOK).await;
        }
    }

    /// The settings may have changed since this process was started as a bridge.
    fn look_again(&mut self) {
        if self.server.is_some() {
            return;
        }
        match self.start.clone().load(Some(STDIO.to_owned())) {
            Ok(config) => self.config = config,
            Err(error) => tracing::warn!("the settings of the start stay in force: {}", causes(&error)),
        }
    }

    async fn reach<T>(&mut self, connect: impl AsyncFn(&Path) -> anyhow::Result<T>) -> Result<T, Refused> {
        if self.server.is_none() {
            match Server::start(self.config.clone()).await {
                Ok(server) => {
                    serve::warn_of_readers(&self.config);
                    serve::ignore_background_stops();
                    self.server = Some(Arc::new(server));
                }
                Err(StartError::Home(HomeError::Served { holder, home })) => {
                    let serves = holder.doing.as_deref().is_none_or(|doing| doing == SERVE);
                    if !serves || self.others == Others::Refuse {
                        return Err(Refused::Now(HomeError::Served { holder, home }.into()));
                    }
                }
                Err(error) => return Err(Refused::Now(error.into())),
            }
        }
        // Who serves may have ended meanwhile: then the home is free.
        connect(&self.config.home).await.map_err(Refused::Yet)
    }
}

/// Why there is no link.
enum Refused {
    /// It may be there in a moment.
    Yet(anyhow::Error),
    /// It will not, unless this is a change of servers.
    Now(anyhow::Error),
}
