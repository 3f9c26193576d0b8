//! `skein mcp`: the helpers (MCP servers) in a home's settings.

mod add;
mod import;
mod list;
mod preset;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use skein_config::edit::{EditMode, SettingsFile};

use super::outputs::RemovedOutcome;
use super::{home, notify, out, print_json, print_line};

#[derive(Debug, Args)]
pub(super) struct Mcp {
    #[command(subcommand)]
    command: McpCommand,
}

#[derive(Debug, Subcommand)]
enum McpCommand {
    /// Show the helpers, without their secrets.
    List(list::List),
    /// Add a helper: skein mcp add NAME [--env K=V] -- COMMAND ARGS, skein mcp add NAME --url URL, or skein mcp add
    /// --preset files.
    Add(add::Add),
    /// Remove a helper from the settings.
    Remove(Remove),
    /// Start one MCP server, list its tools, stop it, and check that no process is left. Needs no running server.
    Test(trial::Test),
    /// Import helpers from the JSON file of a desktop client (mcpServers, or servers); - reads stdin. Exit code 1:
    /// not all could be imported.
    Import(import::McpImport),
}

/// The home, and the form of the output.
#[derive(Debug, Args)]
pub(super) struct SettingsArgs {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
    /// Print the outcome as JSON, on one line.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
struct Remove {
    /// The helper.
    name: String,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Mcp {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            McpCommand::List(list) => list.run().map(|()| ExitCode::SUCCESS),
            McpCommand::Add(add) => add.run().await,
            McpCommand::Remove(remove) => remove.run().await.map(|()| ExitCode::SUCCESS),
            McpCommand::Test(test) => test.run().await,
            McpCommand::Import(import) => import.run().await,
        }
    }
}

impl Remove {
    async fn run(self) -> anyhow::Result<()> {
        let home = home(self.settings.home.as_ref())?;
        // A missing home is not created for this.
        let mode = if home.is_dir() { EditMode::Change } else { EditMode::Look };
        let mut file = SettingsFile::open(&home, mode)?;
        file.remove(&self.name)?;
        file.write()?;
        let path = file.path().to_owned();
        drop(file);
        let told = notify::reload(&home).await;
        if self.settings.json {
            let (file, server) = (out::path(&path), told.outcome());
            return print_json(&RemovedOutcome { removed: &self.name, file, server });
        }
        print_line(&format!("helper {:?} was removed from {}{}", self.name, path.display(), told.words()))
    }
}
