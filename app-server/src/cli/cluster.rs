//! `skein cluster`: the database of threads, before a server uses it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use skein_app_server::telemetry::{self, Stderr};
use skein_config::{Flags, STORE_VARIABLE, ServerConfig};
use skein_postgres::schema::{self, InitOutcome};

use super::outputs::ClusterOutcome;
use super::{database, print_json, print_line};

#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Make the tables for threads in an empty PostgreSQL database. Where they are, change nothing and say so.
    Init(ClusterInit),
}

#[derive(Debug, Args)]
struct ClusterInit {
    /// The database, without a password [default: $SKEIN_STORE, or store.url in config.toml].
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The home whose settings name the database and its password [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or
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
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl ClusterInit {
    async fn run(self) -> anyhow::Result<()> {
        let flags = Flags { home: self.home, store: self.store, ..Flags::default() };
        let rules = ServerConfig::load(&flags)
            .map_err(|errors| anyhow::anyhow!("these settings cannot be used:\n{errors}"))?
            .store;
        let url = rules
            .url
            .as_ref()
            .with_context(|| format!("no database is named: add --store URL, or set ${STORE_VARIABLE}"))?;
        let address = database::address(&rules, &url.expose())?;
        let outcome =
            schema::init(&address).await.with_context(|| format!("no tables were made in {url}"))?;
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
        let state =
            if made { "has tables for threads now" } else { "had its tables already; nothing was changed" };
        print_line(&format!("{url} {state} (cluster {}, form {})", cluster.id, cluster.schema))
    }
}
