//! `skein app-server`: the protocol on standard streams, for programs that start a server of their own. There is one server for
//! a home: whoever comes second is a bridge to the first.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use skein_app_server::clock::Clock;
use skein_app_server::config::{Config, STDIO};
use skein_app_server::home::{HomeError, SERVE};
use skein_app_server::{Server, StartError, policy, telemetry};
use tokio::runtime;

use super::bridge::{self, Ended};
use super::client;
use super::home_alone;
use super::serve::{self, Asked, Serve, Signals, Start};

#[derive(Debug, Args)]
pub struct AppServer {
    /// stdio://, or ws://127.0.0.1:PORT, which is skein serve [default: stdio://].
    #[arg(long, value_name = "URL")]
    listen: Option<String>,
    #[command(flatten)]
    start: Start,
}

impl AppServer {
    pub fn new(listen: Option<String>, start: Start) -> Self {
        Self { listen, start }
    }

    pub fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(listen) = self.listen.filter(|listen| listen != STDIO) {
            return Serve::new(listen, self.start).run();
        }
        telemetry::start();
        let config = self.start.load(Some(STDIO.to_owned()))?;
        let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
        let done = runtime.block_on(speak(config));
        // A read of standard input may be under way for ever; it must not hold the exit.
        runtime.shutdown_background();
        match done.map_err(anyhow::Error::downcast) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(Ok(error @ HomeError::Served { .. })) => home_alone::refused(error, false),
            Err(Ok(error)) => Err(error.into()),
            Err(Err(error)) => Err(error),
        }
    }
}

/// Serves the home, or reaches who does.
async fn speak(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals")?;
    let until = Clock.now() + policy::OWNER_WAIT;
    loop {
        let refused = match Server::start(config.clone()).await {
            Ok(server) => return own(&config, &server, &mut signals).await,
            Err(StartError::Home(HomeError::Served { holder, home })) => {
                let serves = holder.doing.as_deref().is_none_or(|doing| doing == SERVE);
                if !serves {
                    return Err(HomeError::Served { holder, home }.into());
                }
                match client::link(&config.home).await {
                    Ok(link) => return carry(&config, link, &mut signals).await,
                    // It may have ended meanwhile: then the home is free.
                    Err(error) => error,
                }
            }
            Err(error) => return Err(error.into()),
        };
        if Clock.now() >= until {
            return Err(refused);
        }
        tokio::time::sleep(policy::HOME_LOOK).await;
    }
}

/// Carries messages to the server of the home and back.
async fn carry(config: &Config, link: Box<dyn client::Link>, signals: &mut Signals) -> anyhow::Result<()> {
    match bridge::run(link, config.limits.message_bytes, stopped(signals)).await? {
        Ended::Input => Ok(()),
        Ended::Server(reason) => {
            anyhow::bail!("the server of {} has ended the connection{reason}", config.home.display())
        }
    }
}

/// Serves the home, and is the first client of it. Ends with its input, or with the last other client.
async fn own(config: &Config, server: &Server, signals: &mut Signals) -> anyhow::Result<()> {
    let carried = async {
        let link = client::link(&config.home).await?;
        carry(config, link, signals).await
    };
    let carried = carried.await;
    if carried.is_ok() {
        tokio::select! {
            () = server.deserted() => {}
            () = stopped(signals) => {}
        }
    }
    serve::stop(server, signals).await;
    carried
}

/// Until a signal asks for the end.
async fn stopped(signals: &mut Signals) {
    while let Asked::Reload = signals.next().await {}
}
