//! `skein` alone: the state of the home, and the next command.

use std::path::{Path, PathBuf};

use anyhow::Context;
use skein_config::{Flags, ServerConfig};
use skein_protocol::extension::SkeinStatusResponse;
use skein_protocol::methods::SkeinStatus;
use skein_protocol::table::Method;
use skein_store::home::{Holder, HomePaths, SERVE, holder};

use super::client::{CliClient, in_time};
use super::out::{causes, path};
use super::outputs::{HomeOutcome, HomeServerOutcome};
use super::{home, print_json, print_lines, status};

/// The home as a newcomer sees it.
struct HomeState {
    root: PathBuf,
    exists: bool,
    holder: Option<Holder>,
    /// The answer of the server, or the reason why there is none.
    status: Option<Result<Box<SkeinStatusResponse>, String>>,
    /// The model of new threads, or the mistakes of the settings.
    model: Result<String, String>,
}

/// Prints the state of a home. Problems are part of the state, and no errors.
///
/// # Errors
/// Stdout is broken, or nobody says which home.
pub(super) async fn show(flag: Option<&PathBuf>, json: bool) -> anyhow::Result<()> {
    let root = std::path::absolute(home(flag)?).context("the home's path")?;
    let state = HomeState::of(root).await;
    if json { print_json(&state.outcome()) } else { print_lines(&state.words()) }
}

impl HomeState {
    async fn of(root: PathBuf) -> Self {
        let holder = holder(&HomePaths::new(&root));
        let status = match holder.is_some() || root.join("server.json").exists() {
            true => Some(ask(&root).await.map_err(|error| causes(&error))),
            false => None,
        };
        // A server that has left its file without a lock is gone.
        let status = status.filter(|status| holder.is_some() || status.is_ok());
        let model = ServerConfig::load(&Flags { home: Some(root.clone()), ..Flags::default() });
        let model = model.map(|config| config.model_in_words()).map_err(|errors| errors.to_string());
        Self { exists: root.exists(), root, holder, status, model }
    }

    fn words(&self) -> String {
        let root = self.root.display();
        let mut lines = vec![format!("Skein {}, home {root}", env!("CARGO_PKG_VERSION"))];
        lines.push(match (&self.holder, &self.status) {
            (_, Some(Ok(status))) => status::sentence(status),
            (Some(holder), Some(Err(why))) if is_server(holder) => {
                format!("{} does not answer: {why}.", who(holder))
            }
            (Some(holder), _) => format!("{} has the home; wait for its end.", who(holder)),
            (None, _) if self.exists => "No server is running.".to_owned(),
            (None, _) => "No server is running, and the home is new.".to_owned(),
        });
        lines.push(match &self.model {
            Ok(model) => model.clone(),
            Err(mistakes) => format!("The settings cannot be used:\n{mistakes}"),
        });
        let next = self.next();
        let width = next.iter().map(|(command, _)| command.len()).max().unwrap_or_default() + 2;
        lines.push(String::new());
        lines.extend(next.iter().map(|(command, does)| format!("  {command:<width$}{does}")));
        lines.join("\n")
    }

    /// The next commands, the likeliest first.
    fn next(&self) -> Vec<(&'static str, &'static str)> {
        let mut next = Vec::new();
        if self.model.is_err() {
            next.push(("skein doctor", "names each problem and its remedy"));
        }
        next.push(match self.status {
            Some(Ok(_)) => ("skein open", "opens the page"),
            Some(Err(_)) | None => ("skein open", "serves in the background and opens the page"),
        });
        next.push(("skein chat", "talks here in the terminal"));
        next.push(match self.status {
            Some(Ok(_)) => ("skein stop", "ends the server"),
            Some(Err(_)) | None => ("skein run \"hello\"", "asks one thing"),
        });
        next.push(("skein --help", "lists all commands"));
        next
    }

    fn outcome(&self) -> HomeOutcome<'_> {
        let server = match &self.status {
            Some(Ok(status)) => Some(HomeServerOutcome {
                pid: Some(status.pid),
                address: Some(status.address.clone()),
                answers: true,
            }),
            Some(Err(_)) | None => self.holder.as_ref().map(|holder| HomeServerOutcome {
                pid: holder.pid,
                address: holder.address.clone(),
                answers: false,
            }),
        };
        HomeOutcome {
            version: env!("CARGO_PKG_VERSION"),
            home: path(&self.root),
            exists: self.exists,
            server,
            problem: self.model.as_ref().err().map(String::as_str),
            next: self.next().first().map(|(command, _)| *command),
        }
    }
}

fn is_server(holder: &Holder) -> bool {
    holder.doing.as_deref().is_none_or(|doing| doing == SERVE)
}

fn who(holder: &Holder) -> String {
    let pid = holder.pid.map_or_else(|| "A process".to_owned(), |pid| format!("Process {pid}"));
    let doing = holder.doing.as_deref().unwrap_or(SERVE);
    format!("{pid} (skein {doing})")
}

/// The state of the home's server.
pub(super) async fn ask(root: &Path) -> anyhow::Result<Box<SkeinStatusResponse>> {
    in_time(async {
        let mut client = CliClient::open_home(root).await?;
        let answer = client.call(SkeinStatus::INFO.wire, None, |_| Ok(())).await?;
        client.close().await;
        serde_json::from_str(answer.get()).map(Box::new).context("the server is of another version")
    })
    .await
}
