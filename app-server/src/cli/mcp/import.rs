//! `skein mcp import`: imports the helpers of a desktop client into the settings.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use skein_config::desktop::{self, Usable};
use skein_config::edit::{EditMode, Present, SettingsFile};

use super::super::outputs::{HelpersImportedOutcome, SkippedHelperLine, TakenHelper};
use super::super::{home, out, print_json, print_line, say};
use super::notify::ReloadNotice;
use super::{SettingsArgs, notify};

#[derive(Debug, Args)]
pub(super) struct McpImport {
    /// The client's file, such as claude_desktop_config.json or mcp.json.
    file: PathBuf,
    /// Import commands and addresses also of helpers that are configured already; their other settings in config.toml
    /// stay.
    #[arg(long)]
    replace: bool,
    /// Only print the outcome.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The outcome for the helpers of the file.
#[derive(Debug, Default)]
struct McpImportOutcome {
    taken: Vec<ImportedHelper>,
    /// The names of helpers that are configured already.
    there: Vec<String>,
    left: Vec<desktop::SkippedHelper>,
}

#[derive(Debug)]
struct ImportedHelper {
    usable: Usable,
    /// Keys of the replaced helper that it cannot have.
    dropped: Vec<String>,
}

impl McpImport {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let text = read(&self.file)?;
        let desktop = desktop::read(&text).with_context(|| self.file.display().to_string())?;
        let home = home(self.settings.home.as_ref())?;
        let mode = if self.dry_run { EditMode::Look } else { EditMode::Change };
        let mut settings = SettingsFile::open(&home, mode)?;
        let outcome = take(&mut settings, desktop, self.replace);
        let changes = !outcome.taken.is_empty() && !self.dry_run;
        if changes {
            settings.write()?;
        }
        let (path, closed) = (settings.path().to_owned(), settings.was_closed());
        drop(settings);
        let told = if changes { notify::reload(&home).await } else { ReloadNotice::Nobody };
        if self.settings.json {
            print_json(&outcome.outcome(&path, self.dry_run, &told))?;
        } else {
            outcome.report(&path, self.dry_run, &told)?;
        }
        if closed && !self.settings.json {
            print_line(notify::CLOSED.trim_start_matches("; "))?;
        }
        Ok(if outcome.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("stdin")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// Adds usable helpers to the settings. A rejected one is skipped.
fn take(settings: &mut SettingsFile, desktop: desktop::Desktop, replace: bool) -> McpImportOutcome {
    let mut outcome = McpImportOutcome { left: desktop.left, ..McpImportOutcome::default() };
    let mut new: Vec<String> = Vec::new();
    for usable in desktop.usable {
        let name = usable.spec.name.clone();
        if new.contains(&name) {
            let why = format!("another one of the file is called {name:?} here, too");
            outcome.left.push(desktop::SkippedHelper { name: usable.name_in_file, why });
        } else if settings.names().contains(&name) && !replace {
            outcome.there.push(name);
        } else {
            let dropped = match settings.add_usable(&usable.spec, Present::Replace) {
                Ok(dropped) => dropped,
                Err(error) => {
                    outcome
                        .left
                        .push(desktop::SkippedHelper { name: usable.name_in_file, why: error.to_string() });
                    continue;
                }
            };
            new.push(name);
            outcome.taken.push(ImportedHelper { usable, dropped });
        }
    }
    outcome
}

impl McpImportOutcome {
    fn report(&self, path: &Path, dry_run: bool, told: &ReloadNotice) -> anyhow::Result<()> {
        for one in &self.taken {
            print_line(&taken(one, dry_run))?;
        }
        for name in &self.there {
            print_line(&format!("left {name}: it is configured already; --replace takes the new one"))?;
        }
        for left in &self.left {
            say(format_args!("left {}: {}", left.name, left.why));
        }
        let count = self.taken.len();
        let others = self.there.len() + self.left.len();
        let verb = if dry_run { "would be" } else { "were" };
        let end = format!("{count} helpers {verb} taken into {}, {others} left", path.display());
        print_line(&format!("{end}{}", told.words()))
    }

    fn outcome<'a>(
        &'a self,
        path: &Path,
        dry_run: bool,
        told: &'a ReloadNotice,
    ) -> HelpersImportedOutcome<'a> {
        let taken = self.taken.iter().map(|ImportedHelper { usable, dropped }| TakenHelper {
            name: &usable.spec.name,
            name_in_file: &usable.name_in_file,
            enabled: usable.spec.enabled,
            passed_over: &usable.passed_over,
            dropped,
        });
        let left = self.left.iter().map(|left| SkippedHelperLine { name: &left.name, reason: &left.why });
        HelpersImportedOutcome {
            complete: self.left.is_empty(),
            dry_run,
            file: out::path(path),
            taken: taken.collect(),
            there: &self.there,
            left: left.collect(),
            server: told.outcome(),
        }
    }
}

fn taken(taken: &ImportedHelper, dry_run: bool) -> String {
    let Usable { name_in_file: said, spec, passed_over } = &taken.usable;
    let verb = if dry_run { "would take" } else { "took" };
    let renamed = if *said == spec.name { String::new() } else { format!(" as {}", spec.name) };
    let disabled = if spec.enabled { "" } else { ", disabled" };
    let without = match passed_over.as_slice() {
        [] => String::new(),
        keys => format!(", without {}", keys.join(", ")),
    };
    let dropped = match taken.dropped.as_slice() {
        [] => String::new(),
        keys => format!("; a helper with an address has no {}: dropped", keys.join(", ")),
    };
    format!("{verb} {said}{renamed}{disabled}{without}{dropped}")
}
