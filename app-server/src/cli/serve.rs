//! `skein serve`: starts a server from its settings, and stops it on a signal.

use std::future::pending;
use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use nix::sys::signal::{self as signals, SaFlags, SigAction, SigHandler, SigSet, sigaction};
use sd_notify::NotifyState;
use skein_app_server::telemetry::{self, LogFormat};
use skein_app_server::{Server, StartError, policy, room};
use skein_base::tasks;
use skein_config::{Flags, PassedSockets, ServerConfig};
use skein_store::home::STDIO;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::out::{path, print_error};
use super::service_manager::{self, ServiceManager};
use super::ws_auth::WsAuthArgs;
use super::{home_alone, print_line, url};

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    listen: ListenArgs,
    /// The lines of the log, such as debug, or skein_app_server::http=debug,warn [default: $SKEIN_LOG, or info].
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// The form of log lines on stderr.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    log_format: LogForm,
    /// Bound the log on stderr, a file. `skein open` starts a server so.
    #[arg(long, hide = true)]
    background: bool,
    #[command(flatten)]
    start: StartArgs,
}

/// Where a server listens.
#[derive(Debug, Default, Clone, Args)]
pub(super) struct ListenArgs {
    /// Where to listen; may be given several times. ws://ADDRESS:PORT (port 0 takes a free one), wss:// with a certificate, unix://PATH,
    /// unix:// for a socket in the home, or systemd:// for the sockets of a service manager [default: ws://127.0.0.1:4500].
    #[arg(long, value_name = "URL")]
    pub listen: Vec<String>,
    /// Short for --listen ws://127.0.0.1:PORT.
    #[arg(long, value_name = "PORT", conflicts_with = "listen")]
    pub port: Option<u16>,
    /// The certificate of wss:// and those that lead to its authority, as PEM. SIGHUP reads it again.
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate, as PEM.
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

impl ListenArgs {
    /// Listening at this place only.
    pub(super) fn at(place: impl Into<String>) -> Self {
        Self { listen: vec![place.into()], ..Self::default() }
    }

    fn places(self) -> Vec<String> {
        let port = self.port.map(|port| format!("ws://{}:{port}", Ipv4Addr::LOCALHOST));
        self.listen.into_iter().chain(port).collect()
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum LogForm {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// The arguments of a server.
#[derive(Debug, Default, Clone, Args)]
pub(super) struct StartArgs {
    /// The folder for all persistent data [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// A setting over those of config.toml, such as -c unload.grace=2s. -c @FILE takes settings as TOML from a file that only you can
    /// read: every user of the machine can read a command line. A secret of a helper is better named in its env_vars.
    #[arg(short = 'c', value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// The PostgreSQL database with the threads, in the place of files in the home, such as
    /// postgres:///skein?host=/run/postgresql [default: $SKEIN_STORE, or store.url in config.toml].
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The name of this server among others of the same database [default: cluster.node_name in config.toml; without one the server
    /// has the database alone].
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Where the other servers of the database reach this one [default: cluster.listen in config.toml, or a free port of 127.0.0.1].
    #[arg(long, value_name = "IP:PORT")]
    pub cluster_listen: Option<String>,
    /// The host and port that they use, where --cluster-listen says less [default: cluster.advertise in config.toml].
    #[arg(long, value_name = "HOST:PORT")]
    pub cluster_advertise: Option<String>,
    #[command(flatten)]
    pub auth: WsAuthArgs,
    /// Serve the method that waits until every thread has caught up; for tests.
    #[arg(long)]
    pub test_fences: bool,
    /// The program that guards helpers.
    #[arg(long, value_name = "PATH", hide = true)]
    pub guard: Option<PathBuf>,
    /// The sockets of a service manager.
    #[arg(skip)]
    pub passed: PassedSockets,
}

impl StartArgs {
    /// Loads the settings of this start; the log has the warnings.
    pub(super) fn load(self, listen: ListenArgs) -> anyhow::Result<ServerConfig> {
        room::look()?;
        let ws_auth = self.auth.read()?;
        let config = ServerConfig::load(&Flags { ws_auth, ..self.flags(listen) })
            .map_err(|errors| anyhow::anyhow!("these settings cannot be used:\n{errors}"))?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        if !config.unused.is_empty() {
            tracing::info!("these keys of Codex have no effect here: {}", config.unused.join(", "));
        }
        Ok(config)
    }

    /// The settings of the command line, without `--ws-auth`.
    pub(super) fn flags(self, listen: ListenArgs) -> Flags {
        let Self {
            home,
            settings,
            store,
            node_name,
            cluster_listen,
            cluster_advertise,
            test_fences,
            guard,
            passed,
            auth: _,
        } = self;
        let (tls_cert, tls_key) = (listen.tls_cert.clone(), listen.tls_key.clone());
        let listen = listen.places();
        Flags {
            home,
            listen,
            tls_cert,
            tls_key,
            passed,
            guard,
            test_fences,
            store,
            node_name,
            cluster_listen,
            cluster_advertise,
            settings,
            ws_auth: None,
        }
    }
}

impl Serve {
    pub(super) fn new(listen: String, start: StartArgs) -> Self {
        Self {
            listen: ListenArgs::at(listen),
            log: None,
            log_format: LogForm::Text,
            background: false,
            start,
        }
    }

    pub(super) fn run(mut self) -> anyhow::Result<ExitCode> {
        let (manager, passed) = service_manager::take();
        self.start.passed = passed;
        self.run_for(manager)
    }

    /// Serves, and tells this service manager about it.
    pub(super) fn run_for(self, manager: ServiceManager) -> anyhow::Result<ExitCode> {
        let format = match self.log_format {
            LogForm::Text => LogFormat::Text,
            LogForm::Json => LogFormat::Json,
        };
        if self.background {
            telemetry::bound(policy::SERVER_LOG_BYTES);
        }
        telemetry::start_server(self.log.as_deref(), format)
            .context("--log takes a filter such as debug, or skein_app_server::http=debug,warn")?;
        anyhow::ensure!(
            !self.listen.listen.iter().any(|place| place == STDIO),
            "skein serve does not speak on standard streams; skein app-server does"
        );
        let is_for_people = matches!(format, LogFormat::Text) && std::io::stderr().is_terminal();
        let config = self.start.load(self.listen)?;
        let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
        let served = runtime.block_on(serve(config, is_for_people, manager));
        // The server has joined its tasks; a read that still hangs on a disk must not delay the exit.
        runtime.shutdown_background();
        match served.map_err(anyhow::Error::downcast) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(Ok(StartError::Home(error))) => home_alone::refused(error, false),
            Err(Ok(error)) => Err(error.into()),
            Err(Err(error)) => Err(error),
        }
    }
}

async fn serve(config: ServerConfig, is_for_people: bool, manager: ServiceManager) -> anyhow::Result<()> {
    let mut signals = Signals { manager, ..Signals::new().context("signals")? };
    let home = config.home.clone();
    warn_of_readers(&config);
    warn_of_missing_key(&config);
    let server = Server::start(config).await?;
    let ready = serde_json::json!({
        "address": server.addresses().first(),
        "addresses": server.addresses(),
        "pid": std::process::id(),
        "home": path(&home),
    });
    let mut announced = ReadyLine::print(ready.to_string())?;
    signals.manager.notify(&[NotifyState::Ready]);
    if is_for_people {
        greet(server.addresses(), &home);
    }
    let served = tokio::select! {
        error = announced.failed() => Err(error),
        () = stopped(&mut signals, Some(&server)) => Ok(()),
    };
    stop(&server, &mut signals).await;
    anyhow::ensure!(
        !server.is_displaced(),
        "the server has no place in its database any more; the ERROR line before this says why"
    );
    served
}

/// A few lines for the user at the terminal. The line on stdout is for programs.
fn greet(addresses: &[String], home: &Path) {
    let mut lines = String::new();
    for address in addresses {
        lines += &format!("address  {address}\n");
    }
    if let Some(page) = addresses.iter().find_map(|address| url::page(address)) {
        lines += &format!("page     {page}/ (skein open lets a browser in)\n");
    }
    lines += &format!("home     {}\nCtrl-C stops it\n", path(home));
    print_error(&lines);
}

/// Warns of a model that cannot answer, before the first turn.
pub(super) fn warn_of_missing_key(config: &ServerConfig) {
    if let Some(missing) = config.missing_key(|name| std::env::var_os(name)) {
        tracing::warn!("{missing}");
    }
}

/// The line that says where a server listens. While stdout is not read, the server still serves and handles signals.
#[derive(Debug)]
pub(super) struct ReadyLine {
    /// `None` once printed.
    printed: Option<oneshot::Receiver<anyhow::Result<()>>>,
}

impl ReadyLine {
    /// Starts to print the line.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn print(line: String) -> anyhow::Result<Self> {
        let (done, printed) = oneshot::channel();
        let print = move || {
            // The server may have ended meanwhile.
            let _ = done.send(print_line(&line));
        };
        tasks::thread("skein-ready", print).context("stdout")?;
        Ok(Self { printed: Some(printed) })
    }

    /// Returns if the line cannot be printed; otherwise never.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        if let Some(printed) = &mut self.printed {
            let printed = printed.await.context("stdout").flatten();
            self.printed = None;
            if let Err(error) = printed {
                return error;
            }
        }
        pending().await
    }
}

/// The serving process warns that others can read its secrets; other processes need not.
pub(super) fn warn_of_readers(config: &ServerConfig) {
    if config.is_open_to_others() {
        tracing::warn!(home = %config.home.display(), "others can read config.toml, and it has secrets: chmod 600 it");
    }
}

/// Waits for a signal that ends the process, for another server that takes the database of this one, or for the wish that it drains.
pub(super) async fn stopped(signals: &mut Signals, server: Option<&Server>) {
    let by_database = async {
        match server {
            Some(server) => tokio::select! {
                () = server.displaced() => {}
                () = server.drained() => {}
            },
            None => pending().await,
        }
    };
    tokio::select! {
        () = asked_to_stop(signals, server) => {}
        () = by_database => {}
    }
}

/// Waits for a signal that ends the process. SIGHUP reloads the settings of the server, if any. Ctrl-Z suspends the
/// process unless it serves others.
async fn asked_to_stop(signals: &mut Signals, server: Option<&Server>) {
    let manager = signals.manager.clone();
    let mut asked = signals.next().await;
    loop {
        match asked {
            SignalAction::Stop => return,
            SignalAction::Pause => {
                signals.pause(server);
                asked = signals.next().await;
                continue;
            }
            SignalAction::Reload => {}
        }
        let reload = async {
            if let Some(server) = server {
                if let Ok(now) = NotifyState::monotonic_usec_now() {
                    manager.notify(&[NotifyState::Reloading, now]);
                }
                server.reload().await;
                manager.notify(&[NotifyState::Ready]);
            }
        };
        asked = tokio::select! {
            () = reload => signals.next().await,
            // A hanging disk does not delay a stop; a newer reload replaces this one.
            sooner = signals.next() => sooner,
        };
    }
}

/// Stops the server; another signal shortens every wait. The first one during a drain ends the time for turns as if it had come before.
pub(super) async fn stop(server: &Server, signals: &mut Signals) {
    signals.manager.notify(&[NotifyState::Stopping]);
    if let Some(limit) = server.drain_limit() {
        let micros = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
        signals.manager.notify(&[NotifyState::ExtendTimeoutUsec(micros)]);
    }
    let mut stop = pin!(server.stop());
    loop {
        tokio::select! {
            () = &mut stop => return,
            asked = signals.next() => match asked {
                SignalAction::Stop => server.stop_sooner(),
                // A stopping server ignores SIGHUP and Ctrl-Z.
                SignalAction::Reload | SignalAction::Pause => {}
            },
        }
    }
}

/// The handled signals.
pub(super) struct Signals {
    /// Hears of reloads and of the stop.
    manager: ServiceManager,
    term: Signal,
    int: Signal,
    hup: Signal,
    /// Ctrl-Z, unless it has its default action.
    terminal: Option<Signal>,
    /// The number of the server's clients that belong to this process.
    own_clients: usize,
    /// Held, never read: a write above the file size limit (RLIMIT_FSIZE) then fails like a full disk instead of
    /// ending the process.
    _file_size: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            manager: ServiceManager::default(),
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            terminal: None,
            own_clients: 0,
            _file_size: signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?,
        })
    }

    /// The same for a process that is the client of one program and may serve others: Ctrl-Z does not suspend it
    /// while it does. An ignored Ctrl-Z stays ignored.
    pub(super) fn of_client() -> std::io::Result<Self> {
        let terminal = if ignores(signals::SIGTSTP)? {
            None
        } else {
            Some(signal(SignalKind::from_raw(nix::libc::SIGTSTP))?)
        };
        Ok(Self { terminal, ..Self::new()? })
    }

    /// Sets whether a client of the server belongs to this process.
    pub(super) fn has_own_client(&mut self, has: bool) {
        self.own_clients = usize::from(has);
    }

    /// Suspends this process as Ctrl-Z does, unless it serves others.
    fn pause(&self, server: Option<&Server>) {
        let clients = server.map_or(0, Server::clients);
        if clients > self.own_clients {
            tracing::warn!(clients, "this process is not stopped: it serves other clients");
        } else if let Err(error) = suspend() {
            tracing::warn!(%error, "this process cannot be stopped");
        }
    }

    /// The request of the next signal. The end of a terminal (SIGHUP) does not end the server.
    async fn next(&mut self) -> SignalAction {
        let (signal, asked) = tokio::select! {
            _ = self.term.recv() => ("SIGTERM", SignalAction::Stop),
            _ = self.int.recv() => ("SIGINT", SignalAction::Stop),
            _ = self.hup.recv() => ("SIGHUP", SignalAction::Reload),
            () = typed(&mut self.terminal) => ("SIGTSTP", SignalAction::Pause),
        };
        tracing::info!(signal, ?asked, "a signal");
        asked
    }
}

/// The request of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignalAction {
    Stop,
    Reload,
    Pause,
}

/// Suspends this process as without a handler for Ctrl-Z. The kernel does not suspend it if no process of its session
/// could continue it.
fn suspend() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of this program.
    let handler = unsafe { sigaction(signals::SIGTSTP, &default) }?;
    let stopped = signals::raise(signals::SIGTSTP);
    // SAFETY: restores the previous handler.
    unsafe { sigaction(signals::SIGTSTP, &handler) }?;
    stopped
}

/// Whether this process ignores a signal without a handler.
fn ignores(signal: signals::Signal) -> nix::Result<bool> {
    // SAFETY: the default action runs no code of this program.
    let before = unsafe { signals::signal(signal, SigHandler::SigDfl) }?;
    let is_ignored = matches!(before, SigHandler::SigIgn);
    if is_ignored {
        // SAFETY: ignoring a signal runs no code of this program.
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

/// Lets terminal access in the background fail instead of stopping the server with all its clients.
pub(super) fn ignore_background_stops() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    for stop in [Signal::SIGTTIN, Signal::SIGTTOU] {
        // SAFETY: ignoring a signal runs no code of this program.
        if let Err(error) = unsafe { signal(stop, SigHandler::SigIgn) } {
            tracing::warn!(%error, %stop, "a signal of the terminal cannot be ignored");
        }
    }
}
