//! `skein mcp`: the helpers (MCP servers) that a home's settings name.

mod add;
mod import;
mod list;
mod tell;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use skein_app_server::config::edit::{Access, SettingsFile};

use super::{home, out, print_line};

#[derive(Debug, Args)]
pub(super) struct Mcp {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the helpers, without their secrets.
    List(list::List),
    /// Add a helper: skein mcp add NAME [--env K=V] -- COMMAND ARGS, or skein mcp add NAME --url URL.
    Add(add::Add),
    /// Take a helper out of the settings.
    Remove(Remove),
    /// Start one helper, list its tools, end it, and look what is left. No server takes part.
    Test(trial::Test),
    /// Take helpers from the JSON file of a desktop client (mcpServers, or servers); - reads stdin. Exit code 1: not all
    /// could be taken.
    Import(import::Import),
}

/// Whose settings, and for whom the outcome is printed.
#[derive(Debug, Args)]
struct Settings {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Print the outcome as JSON, on one line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Remove {
    /// The helper.
    name: String,
    #[command(flatten)]
    settings: Settings,
}

impl Mcp {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List(list) => list.run().map(|()| ExitCode::SUCCESS),
            Command::Add(add) => add.run().await.map(|()| ExitCode::SUCCESS),
            Command::Remove(remove) => remove.run().await.map(|()| ExitCode::SUCCESS),
            Command::Test(test) => test.run().await,
            Command::Import(import) => import.run().await,
        }
    }
}

impl Remove {
    async fn run(self) -> anyhow::Result<()> {
        let home = home(self.settings.home.as_ref())?;
        // A home that is not there is not made for this.
        let access = if home.is_dir() { Access::Change } else { Access::Look };
        let mut file = SettingsFile::open(&home, access)?;
        file.remove(&self.name)?;
        file.write()?;
        let path = file.path().to_owned();
        drop(file);
        let told = tell::reload(&home).await;
        if self.settings.json {
            let outcome = json!({ "removed": self.name, "file": out::path(&path), "server": told.json() });
            return print_line(&outcome.to_string());
        }
        print_line(&format!("helper {:?} was removed from {}{}", self.name, path.display(), told.words()))
    }
}
