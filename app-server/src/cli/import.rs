//! `skein import`: imports rollouts of Codex into a home.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use skein_app_server::telemetry::{self, Stderr};
use skein_store::import::{self, ImportError, ImportProgress, ImportReport};

use super::outputs::{ImportOutcome, ImportProblem, KeptThread};
use super::progress::ProgressDisplay;
use super::{home, home_alone, out, print_json, print_line, say};

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The home of Codex (such as ~/.codex), a folder with rollout-*.jsonl in it, or one such file. It is only read.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The home to import into [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Print the progress, and at the end the outcome, as a line of JSON each.
    #[arg(long)]
    json: bool,
}

impl ImportArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        telemetry::start(Stderr::Direct);
        let home = home(self.home.as_ref())?;
        let mut shown = ProgressDisplay::of("rollouts", self.json);
        let done =
            import::run(&self.from, &home, |ImportProgress { done, total }| shown.at(done, total)).await;
        drop(shown);
        match done {
            Ok(report) => {
                if self.json {
                    report_json(&report)?
                } else {
                    print_report(&report)?
                }
                let whole = report.problems.is_empty();
                Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            // A running server would not see the imported threads.
            Err(ImportError::Home(error)) => home_alone::refused(error, self.json),
            Err(error) => Err(error.into()),
        }
    }
}

/// The outcome for people: imported threads on stdout, failures on stderr.
fn print_report(report: &ImportReport) -> anyhow::Result<()> {
    let ImportReport { imported, updated, unchanged, empty, kept, problems, passed_over } = report;
    for problem in problems {
        say(problem);
    }
    for (thread, why) in kept {
        say(format_args!("thread {thread} was left as it is: {why}"));
    }
    if !passed_over.is_empty() {
        let kinds: Vec<String> =
            passed_over.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
        say(format_args!("skipped lines of unknown kinds: {}", kinds.join(", ")));
    }
    if *imported + *updated == 0 && problems.is_empty() {
        return print_line(&format!("nothing to import: {unchanged} threads are there already"));
    }
    let others = [(*updated, "brought up to date"), (*unchanged, "there already"), (*empty, "empty")];
    let others: String = others
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!(", {count} {what}"))
        .collect();
    print_line(&format!("{imported} threads imported{others}"))
}

fn report_json(report: &ImportReport) -> anyhow::Result<()> {
    let ImportReport { imported, updated, unchanged, empty, kept, problems, passed_over } = report;
    let line = |problem: &import::Problem| Some(problem.line).filter(|line| *line > 0);
    let problems = problems.iter().map(|problem| ImportProblem {
        file: out::path(&problem.file),
        line: line(problem),
        reason: &problem.why,
    });
    let problems: Vec<_> = problems.collect();
    print_json(&ImportOutcome {
        complete: problems.is_empty(),
        imported: *imported,
        updated: *updated,
        unchanged: *unchanged,
        empty: *empty,
        kept: kept.iter().map(|(thread_id, reason)| KeptThread { thread_id: *thread_id, reason }).collect(),
        problems,
        passed_over,
    })
}
