//! `skein token` and `skein sessions`: the credentials of a home or of a database. While a server has the home, that server makes
//! the changes, so that they hold at once. The servers of a database learn of a change within two seconds.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::value::to_raw_value;
use skein_app_server::database_credentials::DatabaseCredentials;
use skein_base::clock::{Clock, WallMs};
use skein_base::tasks::Tasks;
use skein_base::units::parse_duration;
use skein_config::access::{CredentialFile, CredentialStore, Credentials, NewToken, Secret};
use skein_postgres::credentials::CredentialRows;
use skein_protocol::access::Access;
use skein_protocol::extension::{
    CredentialDetail, CredentialType, SkeinCredentialAddParams, SkeinCredentialAddResponse,
    SkeinCredentialListResponse, SkeinCredentialRevokeParams,
};
use skein_protocol::methods::{SkeinCredentialAdd, SkeinCredentialList, SkeinCredentialRevoke};
use skein_protocol::table::Method;
use skein_store::home::{Home, HomePaths, SERVE, holder};

use super::client::CliClient;
use super::database::NamedDatabase;
use super::outputs::{CredentialLine, Listing, RevokedOutcome};
use super::{home, home_alone, print_json, print_line, say};

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Create a token for a program or a page, and print it, alone on stdout. Nothing shows it again.
    Create(Create),
    /// Show the tokens, without their secrets.
    List(CredentialArgs),
    /// Revoke a token by its name or id. Its connections are closed, and so are those of its sessions.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct SessionsArgs {
    #[command(subcommand)]
    command: SessionsCommand,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// Show the sessions of pages.
    List(CredentialArgs),
    /// Revoke a session by its id. Its connections are closed.
    Revoke(Revoke),
}

/// The home or the database that has the credentials.
#[derive(Debug, Args)]
pub(super) struct CredentialPlace {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
    /// The database of threads, whose servers all know them [default: that of the home, if it has one].
    #[arg(long, value_name = "URL")]
    pub(super) store: Option<String>,
}

/// The place, and the form of the output.
#[derive(Debug, Args)]
struct CredentialArgs {
    #[command(flatten)]
    of: CredentialPlace,
    /// Print the outcome as JSON, on one line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name: letters, digits, '.', '-' and '_'.
    pub(super) name: String,
    /// The only origin that may send it, such as http://localhost:5173.
    #[arg(long, value_name = "ORIGIN")]
    pub(super) origin: Option<String>,
    /// The access that it gives: read, chat or admin.
    #[arg(long, value_name = "SCOPE", default_value_t = Access::Chat)]
    pub(super) scope: Access,
    /// Its life, such as 90d, 12h or 30min [default: no end].
    #[arg(long, value_name = "TIME", value_parser = life)]
    pub(super) expires: Option<Duration>,
    #[command(flatten)]
    pub(super) of: CredentialPlace,
}

#[derive(Debug, Args)]
struct Revoke {
    /// Its name or id, as the list shows them.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    with: CredentialArgs,
}

/// A hundred years. A longer life has an end that no calendar shows.
const LONGEST_LIFE: Duration = Duration::from_hours(36_500 * 24);

/// Reads "90d", or a duration as in the settings.
pub(super) fn life(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()?.checked_mul(24 * 3600));
    let life = days.map(Duration::from_secs).or_else(|| parse_duration(text));
    let life = life.filter(|life| !life.is_zero()).ok_or("write a time such as 90d, 12h or 30min")?;
    if life > LONGEST_LIFE {
        return Err("write at most 36500d, or leave it out for a token without an end".to_owned());
    }
    Ok(life)
}

impl TokenArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            TokenCommand::Create(create) => create.run().await,
            TokenCommand::List(list) => list.run(CredentialType::Token).await,
            TokenCommand::Revoke(revoke) => revoke.run(CredentialType::Token).await,
        }
    }
}

impl SessionsArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            SessionsCommand::List(list) => list.run(CredentialType::Session).await,
            SessionsCommand::Revoke(revoke) => revoke.run(CredentialType::Session).await,
        }
    }
}

impl Create {
    /// Creates the token and prints it, alone on stdout. The exit code if another program has the home.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let secret = Secret::generate_token().context("random numbers")?;
        let ends = self.expires.map(|life| Clock.wall().seconds().saturating_add_unsigned(life.as_secs()));
        let token = SkeinCredentialAddParams {
            name: self.name,
            sha256: secret.digest().to_hex(),
            origin: self.origin,
            scope: self.scope,
            expires_at: ends,
        };
        let mut open = match self.of.open("token create", false).await? {
            Ok(open) => open,
            Err(code) => return Ok(code),
        };
        let added = open.add(token).await?;
        open.close().await;
        print_line(secret.expose())?;
        say(format_args!(
            "token {:?} has the scope {}{}; keep it now, nothing shows it again; \
             programs send it as Authorization: Bearer",
            added.name,
            added.scope,
            added.origin.map(|origin| format!(" for {origin}")).unwrap_or_default()
        ));
        Ok(ExitCode::SUCCESS)
    }
}

impl CredentialArgs {
    async fn run(self, kind: CredentialType) -> anyhow::Result<ExitCode> {
        let listed = self.of.list(kind).await?;
        if self.json {
            print_json(&Listing { data: listed.iter().map(CredentialLine::of).collect() })?;
            return Ok(ExitCode::SUCCESS);
        }
        if listed.is_empty() {
            print_line(&format!("no {}s", word(kind)))?;
        }
        for line in lines(&listed) {
            print_line(&line)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Revoke {
    async fn run(self, kind: CredentialType) -> anyhow::Result<ExitCode> {
        let CredentialArgs { of, json } = self.with;
        let listed = of.list(kind).await?;
        let found = listed
            .into_iter()
            .find(|one| one.id == self.id || (one.kind == CredentialType::Token && one.name == self.id));
        let found = found.with_context(|| format!("there is no {} {:?}", word(kind), self.id))?;
        let doing = format!("{} revoke", if kind == CredentialType::Token { "token" } else { "sessions" });
        let mut open = match of.open(&doing, json).await? {
            Ok(open) => open,
            Err(code) => return Ok(code),
        };
        open.revoke(&found.id).await?;
        open.close().await;
        if json {
            print_json(&RevokedOutcome { revoked: CredentialLine::of(&found) })?;
        } else {
            print_line(&format!("{} {:?} is revoked", word(kind), self.id))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn word(kind: CredentialType) -> &'static str {
    match kind {
        CredentialType::Session => "session",
        CredentialType::Token => "token",
    }
}

/// A line for each: name, scope, last use, expiry, id, origin.
fn lines(listed: &[CredentialDetail]) -> Vec<String> {
    let width = listed.iter().map(|one| one.name.chars().count()).max().unwrap_or_default();
    let time = |at: Option<i64>, none: &str| {
        let at = at.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        at.map_or_else(|| none.to_owned(), |at| at.to_string())
    };
    let line = |one: &CredentialDetail| {
        let (used, ends) = (time(one.last_used_at, "never"), time(one.expires_at, "never"));
        let origin = one.origin.as_deref().map(|origin| format!("  {origin}")).unwrap_or_default();
        let (name, scope, id) = (&one.name, one.scope.as_str(), &one.id);
        format!("{name:<width$}  {scope:<5}  used {used:<20}  ends {ends:<20}  {id}{origin}")
    };
    listed.iter().map(line).collect()
}

/// Credentials that can be changed.
enum OpenCredentials {
    Server(CliClient),
    /// Those of a store. A home is this process's meanwhile.
    Stored {
        credentials: Box<Credentials>,
        _home: Option<Home>,
    },
}

/// Whether a server has the home.
fn is_served(root: &Path) -> bool {
    holder(&HomePaths::new(root)).is_some_and(|by| by.doing.is_none_or(|doing| doing == SERVE))
}

async fn stored(store: Arc<dyn CredentialStore>) -> anyhow::Result<Box<Credentials>> {
    Ok(Box::new(Credentials::open(store, Clock).await?))
}

fn file(paths: &HomePaths) -> Arc<CredentialFile> {
    Arc::new(CredentialFile::new(paths.access(), Tasks::new()))
}

impl CredentialPlace {
    /// The server of the home, which nobody asks if a database is named.
    async fn server(&self) -> anyhow::Result<Option<CliClient>> {
        let root = home(self.home.as_ref())?;
        match self.store.is_none() && is_served(&root) {
            true => CliClient::open_home(&root).await.map(Some),
            false => Ok(None),
        }
    }

    /// Those of the database, if there is one.
    async fn in_database(&self) -> anyhow::Result<Option<Box<Credentials>>> {
        let Some(named) = NamedDatabase::of(self.home.as_ref(), self.store.as_ref())? else {
            return Ok(None);
        };
        let database = named.open().await?;
        let rows = CredentialRows::new(&database, None);
        stored(Arc::new(DatabaseCredentials::new(rows))).await.map(Some)
    }

    /// Reads those of a kind.
    async fn list(&self, kind: CredentialType) -> anyhow::Result<Vec<CredentialDetail>> {
        let all = if let Some(mut client) = self.server().await? {
            let answer = client.call(SkeinCredentialList::INFO.wire, None, |_| Ok(())).await?;
            client.close().await;
            serde_json::from_str::<SkeinCredentialListResponse>(answer.get())
                .context("the server is of another version")?
                .data
        } else if let Some(credentials) = self.in_database().await? {
            credentials.list()
        } else {
            // The file is replaced as a whole, so a reader needs no lock.
            stored(file(&HomePaths::new(&home(self.home.as_ref())?))).await?.list()
        };
        Ok(all.into_iter().filter(|one| one.kind == kind).collect())
    }

    /// Connects to the server of the home or to the database, or takes the home. The exit code if another program has it.
    async fn open(&self, doing: &str, json: bool) -> anyhow::Result<Result<OpenCredentials, ExitCode>> {
        if let Some(client) = self.server().await? {
            return Ok(Ok(OpenCredentials::Server(client)));
        }
        if let Some(credentials) = self.in_database().await? {
            return Ok(Ok(OpenCredentials::Stored { credentials, _home: None }));
        }
        let taken = match home_alone::take(&home(self.home.as_ref())?, doing, json)? {
            Ok(taken) => taken,
            Err(code) => return Ok(Err(code)),
        };
        let credentials = stored(file(taken.paths())).await?;
        Ok(Ok(OpenCredentials::Stored { credentials, _home: Some(taken) }))
    }
}

impl OpenCredentials {
    async fn add(&mut self, token: SkeinCredentialAddParams) -> anyhow::Result<CredentialDetail> {
        match self {
            Self::Server(client) => {
                let params = to_raw_value(&token)?;
                let answer = client.call(SkeinCredentialAdd::INFO.wire, Some(&params), |_| Ok(())).await?;
                let added: SkeinCredentialAddResponse = serde_json::from_str(answer.get())?;
                Ok(added.credential)
            }
            Self::Stored { credentials, .. } => {
                let SkeinCredentialAddParams { name, sha256, origin, scope, expires_at } = token;
                let expires_at = expires_at.map(|seconds| WallMs(seconds.saturating_mul(1000)));
                Ok(credentials.add_token(NewToken { name, sha256, origin, scope, expires_at }).await?)
            }
        }
    }

    async fn revoke(&mut self, id: &str) -> anyhow::Result<()> {
        match self {
            Self::Server(client) => {
                let params = to_raw_value(&SkeinCredentialRevokeParams { id: id.to_owned() })?;
                client.call(SkeinCredentialRevoke::INFO.wire, Some(&params), |_| Ok(())).await?;
            }
            Self::Stored { credentials, .. } => drop(credentials.revoke(id).await?),
        }
        Ok(())
    }

    async fn close(self) {
        match self {
            Self::Server(client) => client.close().await,
            Self::Stored { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_has_days_too() {
        assert_eq!(life("90d"), Ok(Duration::from_hours(90 * 24)));
        assert_eq!(life("30min"), Ok(Duration::from_mins(30)));
        assert_eq!(life("36500d"), Ok(LONGEST_LIFE));
        for text in ["", "90", "d", "-1d", "0s", "0d", "1w", "99999999999999999999d"] {
            life(text).unwrap_err();
        }
        for text in ["36501d", "99999999999d"] {
            assert!(life(text).unwrap_err().contains("36500d"), "{text}");
        }
    }

    #[test]
    fn a_credential_is_one_line() {
        let one = CredentialDetail {
            id: "7".to_owned(),
            kind: CredentialType::Token,
            name: "ci".to_owned(),
            origin: Some("http://localhost:5173".to_owned()),
            scope: Access::Read,
            created_at: 0,
            last_used_at: Some(1_700_000_000),
            expires_at: None,
        };
        assert_eq!(
            lines(&[one]),
            ["ci  read   used 2023-11-14T22:13:20Z  ends never                 7  http://localhost:5173"]
        );
    }
}
