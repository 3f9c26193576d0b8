//! Helpers of every bad kind through every ending, and how soon nothing of them is left. Ends with 1 when anything is, or
//! when it took longer than is promised.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use skein_integration_tests::home::Home;
use skein_integration_tests::seed::Seed;
use skein_integration_tests::zoo::{Batch, Ending, HEAD, MODES, RUNGS, available, spread, table};

/// Starts helpers of every bad kind, held by every means, brings their end in every way, and counts what is left.
#[derive(Debug, Parser)]
#[command(name = "zoo")]
struct Arguments {
    /// Only this `helpers.containment`.
    #[arg(long, value_parser = RUNGS)]
    rung: Option<String>,
    /// Only this mode.
    #[arg(long, value_parser = MODES.map(|(mode, _)| mode))]
    mode: Option<String>,
    /// Only this ending.
    #[arg(long, value_parser = Ending::ALL.map(|(name, _)| name))]
    ending: Option<String>,
    /// A spread of all: every mode on every rung, every ending once. `SKEIN_SEED` draws the same again.
    #[arg(long, conflicts_with_all = ["rung", "mode", "ending", "write"])]
    spread: bool,
    /// The server is PID 1 of a namespace, as in a container.
    #[arg(long)]
    pid_one: bool,
    /// Write the table to this file too.
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
        progress.set_message(format!("{} {}", batch.rung, batch.ending.name()));
        outcomes.extend(batch.run_from(setup.clone()).await?);
        progress.inc(batch.modes.len().try_into()?);
    }
    progress.finish_and_clear();
    let table = table(&outcomes);
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    let left: usize = outcomes.iter().map(|outcome| outcome.left).sum();
    let late = outcomes.iter().filter(|outcome| outcome.zero_after > outcome.ending.bound()).count();
    writeln!(out, "{cells} cells, {left} processes left, {late} later than promised")?;
    if let Some(file) = arguments.write {
        std::fs::write(file, format!("{HEAD}{table}"))?;
    }
    Ok(if left + late == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn batches(arguments: &Arguments) -> Vec<Batch> {
    let wanted = |said: &Option<String>, name: &str| said.as_ref().is_none_or(|said| said == name);
    let modes: Vec<&'static str> =
        MODES.into_iter().map(|(mode, _)| mode).filter(|mode| wanted(&arguments.mode, mode)).collect();
    // One that is asked for by name is tried; the others where they can be had.
    let there = if arguments.rung.is_some() { &RUNGS[..] } else { available() };
    let rungs = there.iter().copied().filter(|rung| wanted(&arguments.rung, rung));
    let of_rung = |rung| {
        let endings = Ending::ALL.into_iter().filter(|(name, _)| wanted(&arguments.ending, name));
        endings.map(|(_, ending)| Batch { rung, ending, modes: modes.clone() }).collect::<Vec<_>>()
    };
    rungs.flat_map(of_rung).collect()
}
