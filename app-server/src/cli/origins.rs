//! `skein origins`: the pages that may connect, in a home's settings.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use skein_config::access::origin_command;
use skein_config::edit::{EditMode, SettingsFile};
use skein_protocol::access::Access;
use skein_protocol::extension::{RefusedOriginEntry, SkeinStatusResponse};
use skein_protocol::methods::SkeinStatus;
use skein_protocol::table::Method;

use super::client::CliClient;
use super::credentials::{Create, CredentialPlace, life};
use super::mcp::SettingsArgs;
use super::notify::{self, ReloadNotice};
use super::out::causes;
use super::outputs::{OriginAddedOutcome, OriginLine, OriginsOutcome, RefusedOriginLine, RemovedOutcome};
use super::{home, out, print_json, print_line, say, status};

#[derive(Debug, Args)]
pub(super) struct Origins {
    #[command(subcommand)]
    command: OriginsCommand,
}

#[derive(Debug, Subcommand)]
enum OriginsCommand {
    /// Show the origins in the settings, and the last ones that the running server has refused.
    List(ListOrigins),
    /// Let the pages of an origin connect. They need a credential, too.
    Add(AddOrigin),
    /// Remove an origin from the settings. A running server closes the connections of its pages.
    Remove(RemoveOrigin),
}

#[derive(Debug, Args)]
struct ListOrigins {
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Args)]
struct AddOrigin {
    /// The origin, such as http://localhost:5173 or tauri://localhost; "http://localhost:*" and "vscode-webview://*"
    /// are the only wildcards.
    origin: String,
    /// Create a token of this name that only pages of this origin can send, and print it, alone on stdout.
    #[arg(long, value_name = "NAME", conflicts_with = "json")]
    token: Option<String>,
    /// The access that the token gives: read, chat or admin.
    #[arg(long, value_name = "SCOPE", default_value_t = Access::Chat, requires = "token")]
    scope: Access,
    /// The life of the token, such as 90d, 12h or 30min [default: no end].
    #[arg(long, value_name = "TIME", value_parser = life, requires = "token")]
    expires: Option<Duration>,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Args)]
struct RemoveOrigin {
    /// The origin, as the list shows it.
    origin: String,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Origins {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            OriginsCommand::List(list) => list.run().await.map(|()| ExitCode::SUCCESS),
            OriginsCommand::Add(add) => add.run().await,
            OriginsCommand::Remove(remove) => remove.run().await.map(|()| ExitCode::SUCCESS),
        }
    }
}

impl ListOrigins {
    async fn run(self) -> anyhow::Result<()> {
        let home = home(self.settings.home.as_ref())?;
        let file = SettingsFile::open(&home, EditMode::Look)?;
        let origins = file.origins();
        let refused = last_refused(&home).await.map(|all| lacking(&file, all));
        if self.settings.json {
            let data = origins.iter().map(|origin| OriginLine { origin }).collect();
            let refused = refused.as_ref().map(|all| all.iter().map(shown).collect());
            return print_json(&OriginsOutcome { data, file: out::path(file.path()), refused });
        }
        if origins.is_empty() {
            print_line(&format!("no origins in {}", file.path().display()))?;
        } else {
            for origin in &origins {
                print_line(origin)?;
            }
            print_line(&format!("in {}", file.path().display()))?;
        }
        for entry in refused.unwrap_or_default() {
            print_line(&line(&entry))?;
        }
        Ok(())
    }
}

/// The last origins that the home's server has refused, the newest last; `None` without a server that answers.
async fn last_refused(home: &Path) -> Option<Vec<RefusedOriginEntry>> {
    notify::server(home)?;
    let asked = async {
        let mut client = CliClient::open_home(home).await?;
        let answer = client.call(SkeinStatus::INFO.wire, None, |_| Ok(())).await?;
        client.close().await;
        let status: SkeinStatusResponse =
            serde_json::from_str(answer.get()).context("the server is of another version")?;
        anyhow::Ok(status.admission.last_origins)
    };
    match asked.await {
        Ok(refused) => Some(refused),
        Err(error) => {
            say(format_args!("the refused origins are unknown: {}", causes(&error)));
            None
        }
    }
}

/// Those that the settings do not allow meanwhile.
fn lacking(file: &SettingsFile, mut refused: Vec<RefusedOriginEntry>) -> Vec<RefusedOriginEntry> {
    // A line of the list is pasted into a shell.
    refused.retain(|entry| file.lacks_origin(&entry.origin));
    refused
}

fn shown(entry: &RefusedOriginEntry) -> RefusedOriginLine<'_> {
    let RefusedOriginEntry { origin, at_ms } = entry;
    RefusedOriginLine { origin, at_ms: *at_ms, command: origin_command(origin) }
}

fn line(entry: &RefusedOriginEntry) -> String {
    let at = status::moment(entry.at_ms);
    format!("refused at {at}: {}", out::refused(&entry.origin))
}

impl AddOrigin {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let home = home(self.settings.home.as_ref())?;
        let mut file = SettingsFile::open(&home, EditMode::Change)?;
        let added = file.add_origin(&self.origin)?;
        anyhow::ensure!(
            self.token.is_none() || !added.is_wildcard,
            "a token is bound to one origin: add it without *, or create one with: skein token create"
        );
        if !added.was_there {
            file.write()?;
        }
        let path = file.path().to_owned();
        drop(file);
        // Also for an entry that was there: the server may not have read it.
        let notice = notify::reload(&home).await;
        if let Some(risk) = added.risk {
            say(format_args!("warning: {risk}"));
        }
        let outcome = if added.was_there { "is in" } else { "was added to" };
        let sentence = sentence(&self.origin, outcome, &path, &notice);
        if let Some(name) = self.token {
            // Stdout has the token alone.
            say(&sentence);
            let (scope, expires) = (self.scope, self.expires);
            let of = CredentialPlace { home: self.settings.home, store: None };
            let token = Create { name, origin: Some(self.origin), scope, expires, of };
            return token.run().await.context("there is no token");
        }
        if self.settings.json {
            print_json(&OriginAddedOutcome {
                added: &self.origin,
                there: added.was_there,
                file: out::path(&path),
                risk: added.risk,
                server: notice.outcome(),
            })?;
        } else {
            print_line(&sentence)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl RemoveOrigin {
    async fn run(self) -> anyhow::Result<()> {
        let home = home(self.settings.home.as_ref())?;
        // A missing home is not created for this.
        let mode = if home.is_dir() { EditMode::Change } else { EditMode::Look };
        let mut file = SettingsFile::open(&home, mode)?;
        file.remove_origin(&self.origin)?;
        file.write()?;
        let path = file.path().to_owned();
        drop(file);
        let notice = notify::reload(&home).await;
        if self.settings.json {
            let (file, server) = (out::path(&path), notice.outcome());
            return print_json(&RemovedOutcome { removed: &self.origin, file, server });
        }
        print_line(&sentence(&self.origin, "was removed from", &path, &notice))
    }
}

fn sentence(origin: &str, outcome: &str, path: &Path, notice: &ReloadNotice) -> String {
    format!("origin {origin} {outcome} {}{}", path.display(), notice.words())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_origin_comes_with_a_command_that_a_shell_takes() {
        let entry = |origin: &str| RefusedOriginEntry { origin: origin.to_owned(), at_ms: 1_700_000_000_000 };
        assert_eq!(
            line(&entry("http://localhost:3000")),
            "refused at 2023-11-14T22:13:20Z: http://localhost:3000; if it is yours: skein origins add \
             http://localhost:3000"
        );
        assert_eq!(
            shown(&entry("http://[::1]:3000")).command.as_deref(),
            Some("skein origins add 'http://[::1]:3000'")
        );
    }
}
