//! `skein cluster`: the database of threads, apart from the servers that use it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use skein_app_server::policy::{DRAIN_LOOK, DRAIN_PATIENCE};
use skein_app_server::telemetry::{self, Stderr};
use skein_base::clock::Clock;
use skein_config::{Flags, STORE_VARIABLE, ServerConfig};
use skein_postgres::address::DbAddress;
use skein_postgres::drain::{DrainProgress, DrainingNode};
use skein_postgres::presence::PresenceError;
use skein_postgres::schema::{self, InitOutcome, NodeReport, SchemaError};
use tokio::time::sleep;

use super::database::NamedDatabase;
use super::outputs::{ClusterOutcome, ClusterStatusOutcome, DrainOutcome, NodeLine, RestoredClusterOutcome};
use super::progress::Waiting;
use super::{print_json, print_line};

#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Make the tables for threads in an empty PostgreSQL database. Where they are, change nothing and say so.
    Init(ClusterInit),
    /// Show the cluster of a database, and its servers.
    Status(ClusterPlace),
    /// Let a server end: it gives its threads to the others, lets its turns end, and stops.
    Drain(ClusterDrain),
    /// Bring the tables of an earlier version up to date. Its servers may go on meanwhile.
    Upgrade(ClusterPlace),
    /// Make the restored copy of a database a cluster of its own. Clients load each thread once.
    Restored(ClusterPlace),
}

#[derive(Debug, Args)]
struct ClusterInit {
    /// Let this role read and write rows and nothing else, and make it if it is missing. Servers can have it.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    #[command(flatten)]
    at: ClusterPlace,
}

#[derive(Debug, Args)]
struct ClusterDrain {
    /// The server's name, as `skein cluster status` shows it.
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    at: ClusterPlace,
}

/// The database, and the form of the output.
#[derive(Debug, Args)]
struct ClusterPlace {
    /// The database, without a password [default: $SKEIN_STORE, or the database of the home].
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The home that names the database and its password [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or
    /// ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Print the outcome as JSON, on one line.
    #[arg(long)]
    json: bool,
}

impl ClusterArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        telemetry::start(Stderr::Direct);
        match self.command {
            ClusterCommand::Init(init) => init.run().await?,
            ClusterCommand::Status(at) => at.status().await?,
            ClusterCommand::Drain(drain) => drain.run().await?,
            ClusterCommand::Upgrade(at) => at.upgrade().await?,
            ClusterCommand::Restored(at) => at.restored().await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl ClusterInit {
    async fn run(self) -> anyhow::Result<()> {
        let (url, address) = self.at.named()?;
        let outcome = schema::init(&address)
            .await
            .map_err(|error| undone(error, &url, &format!("no tables were made in {url}")))?;
        if let Some(role) = &self.role {
            let what = format!("{url} has its tables, and the role {role:?} got no rights");
            schema::allow(&address, role).await.map_err(|error| undone(error, &url, &what))?;
        }
        let words = ("has tables for threads now", "had its tables already; nothing was changed");
        self.at.print_tables(&url, outcome, words)?;
        match &self.role {
            Some(role) if !self.at.json => print_line(&format!(
                "the role {role:?} may read and write rows; its password is yours to set"
            )),
            Some(_) | None => Ok(()),
        }
    }
}

impl ClusterDrain {
    async fn run(self) -> anyhow::Result<()> {
        let Self { node, at } = self;
        let (url, address) = at.named()?;
        let began = Clock.now();
        let mut draining = DrainingNode::ask(&address, &node).await.with_context(|| url.to_string())?;
        let waiting = Waiting::of(&format!("waiting for {node}"), at.json);
        // Since when the server has neither begun nor gone on.
        let mut stands = began;
        loop {
            let progress = draining.progress().await;
            let is_over = Clock.now().saturating_duration_since(stands) >= DRAIN_PATIENCE;
            match progress {
                Ok(DrainProgress::Ended) => break,
                Ok(DrainProgress::Begun { threads }) => {
                    stands = Clock.now();
                    waiting.now(&format!("{node} lets its turns end; threads left: {threads}"));
                }
                Ok(DrainProgress::Asked) => anyhow::ensure!(
                    !is_over,
                    "{node} does not begin to drain, as one of an earlier version: stop its process (SIGTERM)"
                ),
                Ok(DrainProgress::Died) => anyhow::ensure!(
                    !is_over,
                    "{node} has ended before it had given up its threads; the other servers take them"
                ),
                Err(error) if is_over => return Err(error).with_context(|| url.clone()),
                Err(error) => waiting.now(&format!("{node} is not seen: {error}")),
            }
            sleep(DRAIN_LOOK).await;
        }
        drop(waiting);
        let seconds = Clock.now().saturating_duration_since(began).as_secs_f64();
        if at.json {
            return print_json(&DrainOutcome { url: url.to_string(), node: &node, seconds });
        }
        print_line(&format!("{node} has stopped after {seconds:.1} s; the other servers have its threads"))
    }
}

impl ClusterPlace {
    /// The database that the flags, the settings or the home name.
    fn named(&self) -> anyhow::Result<(String, DbAddress)> {
        if let Some(named) = NamedDatabase::of(self.home.as_ref(), self.store.as_ref())? {
            return Ok(named.into_parts());
        }
        let flags = Flags { home: self.home.clone(), store: self.store.clone(), ..Flags::default() };
        ServerConfig::load(&flags)
            .map_err(|errors| anyhow::anyhow!("these settings cannot be used:\n{errors}"))?;
        anyhow::bail!("no database is named: add --store URL, or set ${STORE_VARIABLE}")
    }

    fn print_tables(
        &self,
        url: &str,
        outcome: InitOutcome,
        (made_words, already_words): (&str, &str),
    ) -> anyhow::Result<()> {
        let (cluster, made) = match outcome {
            InitOutcome::Made(cluster) => (cluster, true),
            InitOutcome::Already(cluster) => (cluster, false),
        };
        if self.json {
            return print_json(&ClusterOutcome {
                url: url.to_string(),
                cluster: cluster.id.to_string(),
                schema: cluster.schema,
                made,
            });
        }
        let state = if made { made_words } else { already_words };
        print_line(&format!("{url} {state} (cluster {}, form {})", cluster.id, cluster.schema))
    }

    async fn status(self) -> anyhow::Result<()> {
        let (url, address) = self.named()?;
        let report = schema::report(&address).await.with_context(|| url.to_string())?;
        if self.json {
            return print_json(&ClusterStatusOutcome {
                url: url.to_string(),
                cluster: report.cluster.id.to_string(),
                schema: report.cluster.schema,
                open: report.open,
                arriving_from: report.arriving_from.as_deref(),
                nodes: report.nodes.iter().map(line_of).collect(),
            });
        }
        let cluster = report.cluster;
        print_line(&format!(
            "{url}: cluster {}, form {}; open threads: {}",
            cluster.id, cluster.schema, report.open
        ))?;
        if let Some(from) = report.arriving_from {
            print_line(&PresenceError::Arriving { from }.to_string())?;
        }
        if !report.nodes.iter().any(|node| node.is_live) {
            print_line("no server has it")?;
        }
        for node in &report.nodes {
            let state = match (node.is_live, node.is_draining) {
                (true, false) => "serves",
                (true, true) => "drains",
                (false, _) => "ended ",
            };
            let (seconds, threads) = (node.silent.as_secs_f64(), node.threads);
            let word = if threads == 1 { "thread" } else { "threads" };
            print_line(&format!("{state}  last beat {seconds:.1} s ago  {threads} {word}  {}", node.name))?;
        }
        Ok(())
    }

    async fn upgrade(self) -> anyhow::Result<()> {
        let (url, address) = self.named()?;
        let what = format!("{url} was not brought up to date");
        let outcome = schema::upgrade(&address).await.map_err(|error| undone(error, &url, &what))?;
        self.print_tables(&url, outcome, ("is up to date now", "was up to date; nothing was changed"))
    }

    async fn restored(self) -> anyhow::Result<()> {
        let (url, address) = self.named()?;
        let what = format!("{url} keeps its cluster id");
        let cluster = schema::restored(&address).await.map_err(|error| undone(error, &url, &what))?;
        if self.json {
            return print_json(&RestoredClusterOutcome {
                url: url.to_string(),
                cluster: cluster.id.to_string(),
            });
        }
        print_line(&format!(
            "{url} is a cluster of its own now ({}); clients load each thread once",
            cluster.id
        ))
    }
}

/// The error of a change, which says what was not done if that is known.
fn undone(error: SchemaError, url: &str, what: &str) -> anyhow::Error {
    let context = if matches!(error, SchemaError::Unknown(_)) { url } else { what }.to_owned();
    anyhow::Error::new(error).context(context)
}

fn line_of(node: &NodeReport) -> NodeLine<'_> {
    let silent_ms = u64::try_from(node.silent.as_millis()).unwrap_or(u64::MAX);
    let NodeReport { name, is_live: live, is_draining: draining, threads, silent: _ } = node;
    NodeLine { name, live: *live, draining: *draining, threads: *threads, silent_ms }
}
