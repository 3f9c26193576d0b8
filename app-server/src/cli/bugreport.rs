//! `skein bugreport`: one text file with what a maintainer asks for, without secrets and without conversations.
//!
//! A text, and no archive: its sender can read all of it first, and an issue can quote it. Each part comes from a list of
//! what may be said; [`secrets`] masks in the whole text what slipped through.

mod log;
mod secrets;
mod settings;
mod threads;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use skein_base::clock::Clock;
use skein_base::masks::shown_text;
use skein_store::home::{HomePaths, holder};

use super::doctor::{self, DoctorReport};
use super::mcp::SettingsArgs;
use super::out::{self, path};
use super::outputs::BugReportOutcome;
use super::{codex, home, print_json, print_line, print_lines, state, status};

/// The beginning of each report.
const HEAD: &str = "\
Nothing was sent. Read all of this before you send it, and remove what others must not know.
Secrets of the settings and what looks like one are ***. Threads are only counted.";

#[derive(Debug, Args)]
pub(super) struct BugReport {
    /// The text file to write, in Markdown, or - for stdout.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl BugReport {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let root = std::path::absolute(home(self.settings.home.as_ref())?).context("the home's path")?;
        let is_stdout = self.file.as_os_str() == "-";
        if is_stdout && self.settings.json {
            bail!("--json prints the outcome of a written file: name a FILE, or leave --json out");
        }
        if !is_stdout && !self.force && self.file.symlink_metadata().is_ok() {
            bail!("{} is there; name another file, or add --force", self.file.display());
        }
        let report = DoctorReport::of_home(&root, self.settings.json || is_stdout).await?;
        let text = text(&root, &report).await;
        if is_stdout {
            print_lines(text.trim_end())?;
        } else {
            self.write(&text)?;
            self.confirm(&text)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn write(&self, text: &str) -> anyhow::Result<()> {
        if self.force {
            std::fs::remove_file(&self.file)
                .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
                .with_context(|| path(&self.file))?;
        }
        // Only its user can read it, until that user sends it.
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&self.file);
        file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| path(&self.file))
    }

    fn confirm(&self, text: &str) -> anyhow::Result<()> {
        let (bytes, lines) = (text.len() as u64, text.lines().count() as u64);
        if self.settings.json {
            return print_json(&BugReportOutcome { file: path(&self.file), bytes, lines });
        }
        let file = self.file.display();
        print_line(&format!("{file} has the report, {lines} lines; nothing was sent"))?;
        print_line("read it before you send it: errors and log lines may name what others must not know")
    }
}

/// The whole report, without control characters and without secrets.
async fn text(root: &Path, report: &DoctorReport) -> String {
    let pid = holder(&HomePaths::new(root)).and_then(|holder| holder.pid);
    let secrets = secrets::known(root, pid);
    let mut text = format!("# Skein bug report\n\n{HEAD}\n");
    for (title, part) in [
        ("Program", program()),
        ("Doctor", shown_text(&doctor::table(report))),
        ("Settings without secrets", settings::shown(root)),
        ("Server", server(root, pid).await),
        ("Threads", threads::counted(root)),
        (log::TITLE, log::last_lines(root)),
    ] {
        let part = part.trim_end().replace('\n', "\n    ");
        text.push_str(&format!("\n## {title}\n\n    {part}\n"));
    }
    out::lines(&secrets.text(&without_user(&text))).into_owned()
}

/// Paths below the user's home directory, without the user's name.
fn without_user(text: &str) -> String {
    match std::env::var("HOME").ok().filter(|home| home.len() > 1 && home.starts_with('/')) {
        Some(home) => text.replace(&format!("{}/", home.trim_end_matches('/')), "~/"),
        None => text.to_owned(),
    }
}

/// Versions of the program and of the system.
fn program() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let release = read("/etc/os-release");
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let shown = [
        ("skein", format!("{} ({build})", env!("CARGO_PKG_VERSION"))),
        ("protocol", format!("of Codex {}", codex::VERSION.split(' ').next().unwrap_or_default())),
        ("platform", format!("{} {}", std::env::consts::ARCH, std::env::consts::OS)),
        ("system", system.unwrap_or("unknown").trim_matches('"').to_owned()),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("written", status::moment(Clock.wall().0)),
    ];
    shown.map(|(name, value)| format!("{name:<12}{value}")).join("\n")
}

/// The counters of a running server. Names of tokens and pages are left out.
async fn server(root: &Path, pid: Option<u32>) -> String {
    match state::ask(root).await {
        Ok(status) => {
            let table = status::table(&status);
            let is_private = |line: &&str| line.starts_with("admitted") || line.starts_with("refused page");
            table.lines().filter(|line| !is_private(line)).collect::<Vec<_>>().join("\n")
        }
        Err(error) if pid.is_some() => shown_text(&out::causes(&error)),
        Err(_) => "no server runs".to_owned(),
    }
}
