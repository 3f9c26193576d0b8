//! Every kind of badly behaved helper through every ending, and how soon no process is left. Exits with 1 if
//! a process is left, or the end takes longer than promised.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use skein_integration_tests::Home;
use skein_integration_tests::seed::Seed;
use skein_integration_tests::zoo::{Batch, Ending, HEAD, LEVELS, MODES, available, spread, table};

/// Starts helpers of every bad kind at every isolation level, ends them in every way, and counts leftover
/// processes.
#[derive(Debug, Parser)]
#[command(name = "zoo")]
struct Arguments {
    /// Only this `helpers.containment`.
    #[arg(long, value_parser = LEVELS)]
    level: Option<String>,
    /// Only this mode.
    #[arg(long, value_parser = MODES.map(|(mode, _)| mode))]
    mode: Option<String>,
    /// Only this ending.
    #[arg(long, value_parser = Ending::ALL.map(|(name, _)| name))]
    ending: Option<String>,
    /// A sample of all: every mode at every isolation level, every ending once. `SKEIN_SEED` repeats the same
    /// sample.
    #[arg(long, conflicts_with_all = ["level", "mode", "ending", "write"])]
    spread: bool,
    /// Run the server as PID 1 of a namespace, as in a container.
    #[arg(long)]
    pid_one: bool,
    /// Also write the table to this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let batches = if arguments.spread {
        spread(&mut Seed::from_environment(), available())
    } else {
        batches(&arguments)
    };
    let cells: usize = batches.iter().map(|batch| batch.modes.len()).sum();
    let progress = ProgressBar::new(cells.try_into()?);
    progress.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?);
    let setup = if arguments.pid_one { Home::setup().as_pid_one() } else { Home::setup() };
    let mut outcomes = Vec::new();
    for batch in &batches {
        progress.set_message(format!("{} {}", batch.level, batch.ending.name()));
        outcomes.extend(batch.run(setup.clone()).await?);
        progress.inc(batch.modes.len().try_into()?);
    }
    progress.finish_and_clear();
    let table = table(&outcomes);
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    let left: usize = outcomes.iter().map(|outcome| outcome.left).sum();
    let late = outcomes.iter().filter(|outcome| outcome.stopped_after > outcome.ending.bound()).count();
    writeln!(out, "{cells} cells, {left} processes left, {late} later than promised")?;
    if let Some(file) = arguments.write {
        std::fs::write(file, format!("{HEAD}{table}"))?;
    }
    Ok(if left + late == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn batches(arguments: &Arguments) -> Vec<Batch> {
    let wanted = |choice: &Option<String>, name: &str| choice.as_ref().is_none_or(|choice| choice == name);
    let modes: Vec<&'static str> =
        MODES.into_iter().map(|(mode, _)| mode).filter(|mode| wanted(&arguments.mode, mode)).collect();
    // A level named by the user runs in any case; otherwise only available levels run.
    let there = if arguments.level.is_some() { &LEVELS[..] } else { available() };
    let levels = there.iter().copied().filter(|level| wanted(&arguments.level, level));
    let of_level = |level| {
        let endings = Ending::ALL.into_iter().filter(|(name, _)| wanted(&arguments.ending, name));
        endings.map(|(_, ending)| Batch { level, ending, modes: modes.clone() }).collect::<Vec<_>>()
    };
    levels.flat_map(of_level).collect()
}
