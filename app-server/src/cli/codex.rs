//! Answers programs that start a `codex`, when this program is called by that name. Everything else says plainly that
//! this is Skein.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use skein_app_server::telemetry;
use skein_store::home::codex_home;

use super::app_server::{self, AppServer};
use super::out::causes;
use super::print_line;
use super::serve::StartArgs;

const NAME: &str = "codex";
/// In the form that such programs read: the version of Codex whose protocol is spoken comes first.
pub(super) const VERSION: &str = concat!("0.169.0 (Skein ", env!("CARGO_PKG_VERSION"), ")");

/// Skein under the name of Codex: the app-server, and the questions of programs before they start it.
#[derive(Debug, Parser)]
#[command(name = "codex-cli", bin_name = NAME, version = VERSION, arg_required_else_help = true)]
pub(crate) struct Codex {
    /// A setting over those of config.toml.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE")]
    config: Vec<String>,
    #[command(subcommand)]
    command: CodexCommand,
}

#[derive(Debug, Subcommand)]
enum CodexCommand {
    /// The account: none is needed.
    Login(Login),
    /// Speak the protocol: skein app-server.
    AppServer(CodexArgs),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Debug, Args)]
struct Login {
    #[command(subcommand)]
    command: Option<LoginCommand>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum LoginCommand {
    /// Exit code 0: no sign-in is needed.
    Status,
}

/// The arguments that such programs give to an app-server.
#[derive(Debug, Args)]
struct CodexArgs {
    /// stdio://, unix://PATH, unix:// for a socket in the home, or ws://127.0.0.1:PORT [default: stdio://].
    #[arg(long, value_name = "URL")]
    listen: Option<String>,
    /// The same as --listen stdio://.
    #[arg(long, conflicts_with = "listen")]
    stdio: bool,
    /// A setting over those of config.toml.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// Skein has none of Codex's features; this option and the next have no effect, and the log says so.
    #[arg(long, value_name = "FEATURE")]
    enable: Vec<String>,
    /// As --enable.
    #[arg(long, value_name = "FEATURE")]
    disable: Vec<String>,
    /// Skein sends no analytics; this has no effect.
    #[arg(long)]
    analytics_default_enabled: bool,
    #[command(subcommand)]
    command: Option<app_server::AppServerCommand>,
}

/// Whether this program was called by the name.
pub(crate) fn is_called() -> bool {
    let called = std::env::args_os().next().map(PathBuf::from);
    called.as_deref().and_then(Path::file_name).is_some_and(|name| name == NAME)
}

/// Reads the command line; ends the program after help or an error.
pub(crate) fn parse() -> Codex {
    Codex::try_parse().unwrap_or_else(|error| {
        let is_server = std::env::args_os().any(|word| word == "app-server");
        if is_server && error.use_stderr() {
            telemetry::start_in_lines();
            tracing::warn!("{error}");
            telemetry::flush();
            std::process::exit(error.exit_code());
        }
        super::end(&error, error.exit_code())
    })
}

impl Codex {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            CodexCommand::Login(Login { command: Some(LoginCommand::Status) }) => {
                print_line("No account is needed: this is Skein")?;
                Ok(ExitCode::SUCCESS)
            }
            CodexCommand::Login(Login { command: None }) => {
                bail!("there is nothing to sign in to: this is Skein")
            }
            CodexCommand::AppServer(asked) => asked.run(self.config),
            CodexCommand::Other(words) => {
                let word = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
                bail!(
                    "this is Skein by the name of codex, which has no {word:?}: it has --version, login status and app-server"
                )
            }
        }
    }
}

impl CodexArgs {
    fn run(self, before: Vec<String>) -> anyhow::Result<ExitCode> {
        let set = |to: &'static str| move |name: String| format!("features.{name}={to}");
        let settings = before.into_iter().chain(self.config);
        let settings = settings.chain(self.enable.into_iter().map(set("true")));
        let settings = settings.chain(self.disable.into_iter().map(set("false")));
        // Without any of these variables, the start names what is missing.
        let home = codex_home(&|name| std::env::var_os(name)).ok();
        let start = StartArgs { home, settings: settings.collect(), ..StartArgs::default() };
        // Such programs show each line on stderr that is no log record to their user.
        telemetry::start_in_lines();
        let spoken = AppServer::new(self.listen, start, self.command).speak();
        Ok(spoken.unwrap_or_else(|error| {
            tracing::error!("{}", causes(&error));
            ExitCode::FAILURE
        }))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Shim {
    /// The folder for the link `codex`; created if missing. Put it first in PATH.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Shim {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("the path of this program")?;
        let link = self.folder.join(NAME);
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        match symlink(&program, &link) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if fs::read_link(&link).ok().as_ref() != Some(&program) {
                    bail!(
                        "{} is there and leads elsewhere; remove it, or name another folder",
                        link.display()
                    );
                }
            }
            Err(error) => return Err(error).with_context(|| link.display().to_string()),
        }
        print_line(&link.display().to_string())
    }
}
