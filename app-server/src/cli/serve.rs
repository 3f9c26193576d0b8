//! `skein serve`: from settings to a server, and from a signal to its end.

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use nix::sys::signal::{self as signals, SaFlags, SigAction, SigHandler, SigSet, sigaction};
use skein_app_server::config::{Config, Flags};
use skein_app_server::telemetry::{self, Stderr};
use skein_app_server::{Server, StartError, room};
use skein_base::tasks;
use skein_store::home::STDIO;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::app_server::Others;
use super::out::path;
use super::{home_alone, print_line, socket};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen: ws://127.0.0.1:PORT (port 0 takes a free one), or unix://PATH, or unix:// for a socket in the home
    /// [default: ws://127.0.0.1:4500].
    #[arg(long, value_name = "URL")]
    listen: Option<String>,
    #[command(flatten)]
    start: Start,
}

/// What a server is started with, wherever it listens.
#[derive(Debug, Default, Clone, Args)]
pub(super) struct Start {
    /// The folder with everything that lasts [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// A setting over those of config.toml, such as -c unload.grace=2s. -c @FILE takes settings as TOML from a file that only you can
    /// read: every user of the machine can read a command line. A secret of a helper is better named in its env_vars.
    #[arg(short = 'c', value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Serve the method that waits until every thread has caught up; for tests.
    #[arg(long)]
    pub test_fences: bool,
    /// The program that guards helpers.
    #[arg(long, value_name = "PATH", hide = true)]
    pub guard: Option<PathBuf>,
}

impl Start {
    /// The settings of this start; what is odd in them is in the log.
    pub(super) fn load(self, listen: Option<String>) -> anyhow::Result<Config> {
        room::look()?;
        let config = Config::load(&self.flags(listen))
            .map_err(|errors| anyhow::anyhow!("these settings cannot be used:\n{errors}"))?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        if !config.unused.is_empty() {
            tracing::info!("these keys of Codex have no effect here: {}", config.unused.join(", "));
        }
        Ok(config)
    }

    /// What the command line says.
    pub(super) fn flags(self, listen: Option<String>) -> Flags {
        let Self { home, settings, test_fences, guard } = self;
        Flags { home, listen, guard, test_fences, settings }
    }
}

impl Serve {
    pub(super) fn new(listen: String, start: Start) -> Self {
        Self { listen: Some(listen), start }
    }

    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        telemetry::start(Stderr::Queued);
        anyhow::ensure!(
            self.listen.as_deref() != Some(STDIO),
            "skein serve does not speak on standard streams; skein app-server does"
        );
        if let Some(path) = self.listen.as_deref().and_then(socket::named) {
            let served = socket::listen(path, self.start, Others::Refuse).map_err(anyhow::Error::downcast);
            return match served {
                Ok(code) => Ok(code),
                Err(Ok(error)) => home_alone::refused(error, false),
                Err(Err(error)) => Err(error),
            };
        }
        let config = self.start.load(self.listen)?;
        let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
        let served = runtime.block_on(serve(config));
        // The server has joined everything that matters; a read that still hangs on a disk must not hold the exit.
        runtime.shutdown_background();
        match served.map_err(anyhow::Error::downcast) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(Ok(StartError::Home(error))) => home_alone::refused(error, false),
            Err(Ok(error)) => Err(error.into()),
            Err(Err(error)) => Err(error),
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals")?;
    let home = config.home.clone();
    warn_of_readers(&config);
    let server = Server::start(config).await?;
    let ready = serde_json::json!({
        "address": server.address().map(|address| format!("ws://{address}")),
        "pid": std::process::id(),
        "home": path(&home),
    });
    let mut announced = Announcement::print(ready.to_string())?;
    let served = tokio::select! {
        error = announced.failed() => Err(error),
        () = stopped(&mut signals, Some(&server)) => Ok(()),
    };
    stop(&server, &mut signals).await;
    served
}

/// The line that says where a server listens. While nobody reads stdout, the server serves on and hears its signals.
#[derive(Debug)]
pub(super) struct Announcement {
    /// None once it is printed.
    printed: Option<oneshot::Receiver<anyhow::Result<()>>>,
}

impl Announcement {
    /// Begins to print the line.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn print(line: String) -> anyhow::Result<Self> {
        let (done, printed) = oneshot::channel();
        let print = move || {
            // The server may have ended meanwhile.
            let _ = done.send(print_line(&line));
        };
        tasks::thread("skein-ready", print).context("stdout")?;
        Ok(Self { printed: Some(printed) })
    }

    /// Waits until the line cannot be printed; never returns where it can.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        if let Some(printed) = &mut self.printed {
            let printed = printed.await.context("stdout").flatten();
            self.printed = None;
            if let Err(error) = printed {
                return error;
            }
        }
        std::future::pending().await
    }
}

/// Whoever serves says that others can read its secrets; a client of another process has nothing to do with it.
pub(super) fn warn_of_readers(config: &Config) {
    if config.is_open_to_others() {
        tracing::warn!(home = %config.home.display(), "others can read config.toml, and it has secrets: chmod 600 it");
    }
}

/// Waits until a signal asks for the end. Meanwhile SIGHUP makes the server read its settings again, if there is one. Ctrl-Z stops
/// this process, unless it serves others.
pub(super) async fn stopped(signals: &mut Signals, server: Option<&Server>) {
    let mut asked = signals.next().await;
    loop {
        match asked {
            Asked::Stop => return,
            Asked::Pause => {
                signals.pause(server);
                asked = signals.next().await;
                continue;
            }
            Asked::Reload => {}
        }
        let reload = async {
            if let Some(server) = server {
                server.reload().await;
            }
        };
        asked = tokio::select! {
            () = reload => signals.next().await,
            // A disk that hangs keeps nobody from stopping; a newer look at the settings replaces this one.
            sooner = signals.next() => sooner,
        };
    }
}

/// Stops the server; a signal that comes meanwhile shortens every wait.
pub(super) async fn stop(server: &Server, signals: &mut Signals) {
    let mut stop = pin!(server.stop());
    loop {
        tokio::select! {
            () = &mut stop => return,
            asked = signals.next() => match asked {
                Asked::Stop => server.stop_now(),
                // A server that is stopping ignores SIGHUP and Ctrl-Z.
                Asked::Reload | Asked::Pause => {}
            },
        }
    }
}

/// The signals that the server hears.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    /// Ctrl-Z, where it does not simply stop the process.
    terminal: Option<Signal>,
    /// The clients of its server that belong to this process.
    own_clients: usize,
    /// Held, and not looked at: a write above the limit for files (RLIMIT_FSIZE) fails then as on a full disk, and does not end the
    /// process.
    _file_size: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            terminal: None,
            own_clients: 0,
            _file_size: signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?,
        })
    }

    /// The same for a process that is the client of one program, and may serve others: Ctrl-Z in the terminal of that program does
    /// not stop it while it does. A process that was started with Ctrl-Z ignored goes on ignoring it.
    pub(super) fn of_client() -> std::io::Result<Self> {
        let terminal = if ignores(signals::SIGTSTP)? {
            None
        } else {
            Some(signal(SignalKind::from_raw(nix::libc::SIGTSTP))?)
        };
        Ok(Self { terminal, ..Self::new()? })
    }

    /// Whether a client of the server belongs to this process from now on.
    pub(super) fn has_own_client(&mut self, has: bool) {
        self.own_clients = usize::from(has);
    }

    /// Stops this process as Ctrl-Z does, unless it serves others.
    fn pause(&self, server: Option<&Server>) {
        let clients = server.map_or(0, Server::clients);
        if clients > self.own_clients {
            tracing::warn!(clients, "this process is not stopped: it serves other clients");
        } else if let Err(error) = suspend() {
            tracing::warn!(%error, "this process cannot be stopped");
        }
    }

    /// What the next one asks for. The end of a terminal (SIGHUP) does not end the server.
    async fn next(&mut self) -> Asked {
        let (signal, asked) = tokio::select! {
            _ = self.term.recv() => ("SIGTERM", Asked::Stop),
            _ = self.int.recv() => ("SIGINT", Asked::Stop),
            _ = self.hup.recv() => ("SIGHUP", Asked::Reload),
            () = typed(&mut self.terminal) => ("SIGTSTP", Asked::Pause),
        };
        tracing::info!(signal, ?asked, "a signal");
        asked
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Stop,
    Reload,
    Pause,
}

/// Stops this process as if it had no handler for Ctrl-Z. The kernel decides: it does not stop a process that no other process of its
/// session could continue.
fn suspend() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action is no code of ours.
    let handler = unsafe { sigaction(signals::SIGTSTP, &default) }?;
    let stopped = signals::raise(signals::SIGTSTP);
    // SAFETY: this handler was there before.
    unsafe { sigaction(signals::SIGTSTP, &handler) }?;
    stopped
}

/// Whether this process ignores a signal for which it has no handler yet.
fn ignores(signal: signals::Signal) -> nix::Result<bool> {
    // SAFETY: the default action is no code of ours.
    let before = unsafe { signals::signal(signal, SigHandler::SigDfl) }?;
    let is_ignored = matches!(before, SigHandler::SigIgn);
    if is_ignored {
        // SAFETY: to ignore a signal is no code of ours.
        unsafe { signals::signal(signal, SigHandler::SigIgn) }?;
    }
    Ok(is_ignored)
}

async fn typed(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// A server reads and writes at a terminal in the background like anywhere else: it gets an error at the most. It would be stopped,
/// with all of its clients.
pub(super) fn ignore_background_stops() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    for stop in [Signal::SIGTTIN, Signal::SIGTTOU] {
        // SAFETY: to ignore a signal is no code of ours.
        if let Err(error) = unsafe { signal(stop, SigHandler::SigIgn) } {
            tracing::warn!(%error, %stop, "a signal of the terminal cannot be ignored");
        }
    }
}
