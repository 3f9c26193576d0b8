//! Uses a server at random for a long time. Ends with 1 when it has grown, or has left something, or has cut a call.

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

/// Samples of a run, about; a short one has them as close as two seconds.
const SAMPLES: u32 = 400;
const CLOSEST: Duration = Duration::from_secs(2);

/// Switches between threads at random, crashes helpers, kills guards, reads the settings again and loses connections, and
/// looks whether the server grows. `SKEIN_SEED` plays the same choices again.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Arguments {
    /// How long.
    #[arg(default_value_t = 60.0)]
    minutes: f64,
    /// Beside it, on a server of its own, one call of a helper says nothing for so many minutes; it must not be cut.
    #[arg(long, value_name = "MINUTES")]
    silent: Option<f64>,
    /// Where the picture is written.
    #[arg(long, value_name = "FILE", default_value = "target/soak.svg")]
    plot: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let minutes = |count: f64| Duration::try_from_secs_f64(count * 60.0).context("no such time");
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
        writeln!(out, "a call that was silent for {} s was not cut", length.as_secs())?;
    }
    writeln!(out, "the picture: {}", arguments.plot.display())?;
    Ok(if grown == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what has happened; how many figures have grown.
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
