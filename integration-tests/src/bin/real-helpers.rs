//! Third-party MCP servers, from their start in a thread to their end. Exits with 1 if a server does not work
//! or a process is left.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use skein_integration_tests::third_party::{HEAD, Page, ThirdParty};

/// Options that let the fetch server read a page of this machine.
const PAGES: [&str; 2] = ["--ignore-robots-txt", "--allow-private-ips"];

/// Starts MCP servers from npm and PyPI, each in its own thread, calls a tool of each, and unloads the
/// threads.
#[derive(Debug, Parser)]
#[command(name = "real-helpers")]
struct Arguments {
    /// Folder with the npm installation.
    #[arg(long)]
    npm: PathBuf,
    /// Version of the npm packages.
    #[arg(long)]
    npm_version: String,
    /// npx cache for work without a registry.
    #[arg(long)]
    npx_cache: PathBuf,
    /// Folder of the Python venv.
    #[arg(long)]
    python: PathBuf,
    /// uvx cache for work without a registry.
    #[arg(long)]
    uv_cache: PathBuf,
    /// Package of the time server, NAME==VERSION.
    #[arg(long)]
    time: String,
    /// Package of the fetch server, NAME==VERSION.
    #[arg(long)]
    fetch: String,
    /// A folder with a git repository named `repository`.
    #[arg(long)]
    folder: PathBuf,
    /// Only servers with this text in their name.
    #[arg(long)]
    only: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let page = Page::serve("skein was here").await?;
    let mut helpers = arguments.nodes();
    helpers.extend(arguments.pythons(&page.url()));
    helpers.retain(|one| arguments.only.as_ref().is_none_or(|only| one.name.contains(only.as_str())));
    let progress = ProgressBar::new(helpers.len().try_into()?);
    progress.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?);
    let mut out = std::io::stdout();
    progress.suspend(|| writeln!(out, "{HEAD}"))?;
    let mut is_well = true;
    for helper in &helpers {
        progress.set_message(helper.name.clone());
        let row = match helper.meet().await {
            Ok(met) => {
                is_well &= met.left == 0;
                met.row(&helper.name)
            }
            Err(error) => {
                is_well = false;
                format!("{:<28} FAILED: {error:#}", helper.name)
            }
        };
        progress.suspend(|| writeln!(out, "{row}"))?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Arguments {
    /// Servers from npm, run by node directly, and by npx, which adds a shell and itself as parents.
    fn nodes(&self) -> Vec<ThirdParty> {
        let folder = self.folder.to_string_lossy().into_owned();
        let direct = |name: &str, args: &[&str]| {
            let program = format!("node_modules/@modelcontextprotocol/server-{name}/dist/index.js");
            let program = self.npm.join(program).to_string_lossy().into_owned();
            let args = [&[program.as_str()], args].concat();
            ThirdParty::new(name, "node", &args)
        };
        let runner = |name: &str| {
            let package = format!("@modelcontextprotocol/server-{name}@{}", self.npm_version);
            let npx =
                ThirdParty::new(&format!("{name} (npx)"), "npx", &["--yes", "--prefer-offline", &package]);
            npx.env("npm_config_cache", &self.npx_cache).env("npm_config_update_notifier", "false".as_ref())
        };
        let memory = self.folder.join("memory.json");
        let (hello, nothing) = (json!({ "message": "hello" }), json!({}));
        vec![
            direct("everything", &[]).asked("echo", hello.clone(), "hello"),
            direct("filesystem", &[&folder]).at(&folder).asked(
                "list_directory",
                json!({ "path": folder }),
                "repository",
            ),
            direct("memory", &[]).env("MEMORY_FILE_PATH", &memory).asked(
                "read_graph",
                nothing.clone(),
                "entities",
            ),
            runner("everything").asked("echo", hello, "hello"),
            runner("memory").env("MEMORY_FILE_PATH", &memory).asked("read_graph", nothing, "entities"),
        ]
    }

    /// Servers from PyPI, from a venv and by uvx.
    fn pythons(&self, page: &str) -> Vec<ThirdParty> {
        let direct = |name: &str, args: &[&str]| {
            let program = self.python.join(format!("bin/mcp-server-{name}"));
            ThirdParty::new(name, &program.to_string_lossy(), args)
        };
        let runner = |name: &str, package: &str, args: &[&str]| {
            let program = format!("mcp-server-{name}");
            let args = [&["--offline", "--from", package, &program], args].concat();
            let uvx = self.python.join("bin/uvx");
            let uvx = ThirdParty::new(&format!("{name} (uvx)"), &uvx.to_string_lossy(), &args);
            // uvx writes nowhere else.
            let uvx = uvx.env("UV_TOOL_DIR", &self.uv_cache.join("tools"));
            uvx.env("UV_CACHE_DIR", &self.uv_cache).env("UV_PYTHON", &self.python.join("bin/python"))
        };
        let repository = self.folder.join("repository").to_string_lossy().into_owned();
        let zone: Value = json!({ "timezone": "Asia/Tokyo" });
        let fetched = json!({ "url": page });
        vec![
            direct("time", &[]).asked("get_current_time", zone.clone(), "Asia/Tokyo"),
            direct("fetch", &PAGES).asked("fetch", fetched.clone(), "skein was here"),
            direct("git", &["--repository", &repository]).asked(
                "git_status",
                json!({ "repo_path": repository }),
                "commit",
            ),
            runner("time", &self.time, &[]).asked("get_current_time", zone, "Asia/Tokyo"),
            runner("fetch", &self.fetch, &PAGES).asked("fetch", fetched, "skein was here"),
        ]
    }
}
