//! Uses a server at random for a long time. Exits with 1 if the server grows, leaves a process behind, or
//! cuts a call.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use skein_integration_tests::seed::Seed;
use skein_integration_tests::soak::flat::{KINDS, Verdict, judge};
use skein_integration_tests::soak::{Deed, Plan, Soaked, plot, run, silent};

/// Approximate number of samples of a run. Samples are at least two seconds apart.
const SAMPLES: u32 = 400;
const CLOSEST: Duration = Duration::from_secs(2);

/// Switches threads at random, crashes helpers, kills guards, reloads the settings and loses connections, and
/// checks that the server does not grow. `SKEIN_SEED` repeats the same choices.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Arguments {
    /// Length of the run, minutes.
    #[arg(default_value_t = 60.0)]
    minutes: f64,
    /// Length of one silent helper call on a second server, minutes. The server must not cut it.
    #[arg(long, value_name = "MINUTES")]
    silent: Option<f64>,
    /// File for the plot.
    #[arg(long, value_name = "FILE", default_value = "target/soak.svg")]
    plot: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let minutes = |count: f64| Duration::try_from_secs_f64(count * 60.0).context("not a valid time");
    let length = minutes(arguments.minutes)?;
    let silence = arguments.silent.map(minutes).transpose()?;
    let plan = Plan { length, every: (length / SAMPLES).max(CLOSEST) };
    let progress = ProgressBar::new(0);
    progress.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} s")?);
    let quiet = async {
        match silence {
            Some(length) => silent::call(length).await.context("the silent call"),
            None => Ok(()),
        }
    };
    let (soaked, ()) = tokio::try_join!(run(plan, Seed::from_environment(), &progress), quiet)?;
    progress.finish_and_clear();
    if let Some(folder) = arguments.plot.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&arguments.plot, plot::svg(&soaked.samples)?)?;
    let grown = report(&soaked)?;
    let mut out = std::io::stdout();
    if let Some(length) = silence {
        writeln!(out, "a call without output for {} s was not cut", length.as_secs())?;
    }
    writeln!(out, "the plot: {}", arguments.plot.display())?;
    Ok(if grown == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the result. Returns the number of figures that grew.
fn report(soaked: &Soaked) -> Result<usize> {
    let mut out = std::io::stdout();
    let deeds: Vec<String> =
        Deed::ALL.iter().zip(soaked.deeds).map(|((_, name, _), count)| format!("{count} {name}")).collect();
    writeln!(out, "{}; {} samples, 0 processes left at each", deeds.join(", "), soaked.samples.len())?;
    let mut grown = 0;
    for kind in &KINDS {
        let last = soaked.samples.last().map_or(0.0, kind.of);
        let verdict = match judge(kind, &soaked.samples) {
            Verdict::TooShort => "too few samples to judge".to_owned(),
            Verdict::Flat(by) => format!("flat ({by:+.1} in the second half)"),
            Verdict::Grows(by) => {
                grown += 1;
                format!("GROWS by {by:.1} at least in the second half")
            }
        };
        writeln!(out, "{:<18} {last:>8.1}  {verdict}", kind.name)?;
    }
    Ok(grown)
}
