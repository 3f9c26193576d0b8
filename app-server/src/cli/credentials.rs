//! `skein token` and `skein sessions`: the credentials of a home. While a server has the home, that server makes the
//! changes, so that they hold at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::value::to_raw_value;
use skein_base::clock::{Clock, WallMs};
use skein_base::units::parse_duration;
use skein_config::access::{Credentials, NewToken, Secret};
use skein_protocol::access::Access;
use skein_protocol::extension::{
    CredentialDetail, CredentialType, SkeinCredentialAddParams, SkeinCredentialAddResponse,
    SkeinCredentialListResponse, SkeinCredentialRevokeParams,
};
use skein_protocol::methods::{SkeinCredentialAdd, SkeinCredentialList, SkeinCredentialRevoke};
use skein_protocol::table::Method;
use skein_store::home::{Home, HomePaths, SERVE, holder};

use super::client::CliClient;
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

/// The home, and the form of the output.
#[derive(Debug, Args)]
struct CredentialArgs {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
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
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
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
        let mut place = match CredentialPlace::open(self.home.as_ref(), "token create", false).await? {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let added = place.add(token).await?;
        place.close().await;
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
        let listed = list(self.home.as_ref(), kind).await?;
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
        let (json, home) = (self.with.json, self.with.home.as_ref());
        let listed = list(home, kind).await?;
        let found = listed
            .into_iter()
            .find(|one| one.id == self.id || (one.kind == CredentialType::Token && one.name == self.id));
        let found = found.with_context(|| format!("there is no {} {:?}", word(kind), self.id))?;
        let doing = format!("{} revoke", if kind == CredentialType::Token { "token" } else { "sessions" });
        let mut place = match CredentialPlace::open(home, &doing, json).await? {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        place.revoke(&found.id).await?;
        place.close().await;
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

/// The place where the credentials of a home can be changed.
enum CredentialPlace {
    Server(CliClient),
    /// The file of a home that this process has.
    File {
        credentials: Box<Credentials>,
        _home: Home,
    },
}

/// Whether a server has the home.
fn is_served(root: &Path) -> bool {
    holder(&HomePaths::new(root)).is_some_and(|by| by.doing.is_none_or(|doing| doing == SERVE))
}

/// Reads them from the server of the home, or from the file.
async fn list(flag: Option<&PathBuf>, kind: CredentialType) -> anyhow::Result<Vec<CredentialDetail>> {
    let root = home(flag)?;
    let all = if is_served(&root) {
        let mut client = CliClient::open_home(&root).await?;
        let answer = client.call(SkeinCredentialList::INFO.wire, None, |_| Ok(())).await?;
        client.close().await;
        serde_json::from_str::<SkeinCredentialListResponse>(answer.get())
            .context("the server is of another version")?
            .data
    } else {
        // The file is replaced as a whole, so a reader needs no lock.
        Credentials::open(&HomePaths::new(&root).access(), Clock)?.list()
    };
    Ok(all.into_iter().filter(|one| one.kind == kind).collect())
}

impl CredentialPlace {
    /// Connects to the server of the home, or takes the home. The exit code if another program has it.
    async fn open(flag: Option<&PathBuf>, doing: &str, json: bool) -> anyhow::Result<Result<Self, ExitCode>> {
        let root = home(flag)?;
        if is_served(&root) {
            return Ok(Ok(Self::Server(CliClient::open_home(&root).await?)));
        }
        let taken = match home_alone::take(&root, doing, json)? {
            Ok(taken) => taken,
            Err(code) => return Ok(Err(code)),
        };
        let credentials = Box::new(Credentials::open(&taken.paths().access(), Clock)?);
        Ok(Ok(Self::File { credentials, _home: taken }))
    }

    async fn add(&mut self, token: SkeinCredentialAddParams) -> anyhow::Result<CredentialDetail> {
        match self {
            Self::Server(client) => {
                let params = to_raw_value(&token)?;
                let answer = client.call(SkeinCredentialAdd::INFO.wire, Some(&params), |_| Ok(())).await?;
                let added: SkeinCredentialAddResponse = serde_json::from_str(answer.get())?;
                Ok(added.credential)
            }
            Self::File { credentials, .. } => {
                let SkeinCredentialAddParams { name, sha256, origin, scope, expires_at } = token;
                let expires_at = expires_at.map(|seconds| WallMs(seconds.saturating_mul(1000)));
                Ok(credentials.add_token(NewToken { name, sha256, origin, scope, expires_at })?)
            }
        }
    }

    async fn revoke(&mut self, id: &str) -> anyhow::Result<()> {
        match self {
            Self::Server(client) => {
                let params = to_raw_value(&SkeinCredentialRevokeParams { id: id.to_owned() })?;
                client.call(SkeinCredentialRevoke::INFO.wire, Some(&params), |_| Ok(())).await?;
            }
            Self::File { credentials, .. } => drop(credentials.revoke(id)?),
        }
        Ok(())
    }

    async fn close(self) {
        match self {
            Self::Server(client) => client.close().await,
            Self::File { .. } => {}
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
