//! One scenario for every client: skein-client in Node, skein-client in Python and the tests' client in Rust follow
//! one thread on a real server, over links that break. After each of 60 random steps all show the same, byte for byte
//! as JSON, and the same as a client that was never cut. Exits with 1 and the seed if they do not.

#[path = "two-clients/pages.rs"]
mod pages;
#[path = "two-clients/stage.rs"]
mod stage;
#[path = "two-clients/steps.rs"]
mod steps;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use futures_util::{StreamExt, TryStreamExt, stream};
use skein_integration_tests::seed::Seed;

use self::pages::Programs;
use self::stage::Stage;
use self::steps::Step;

/// Steps of a schedule.
const STEPS: u64 = 60;
/// Schedules at the same time.
const TOGETHER: usize = 10;

/// Compares both skein-clients with the tests' client, in random schedules.
#[derive(Debug, Parser)]
#[command(name = "two-clients")]
struct Arguments {
    #[command(flatten)]
    programs: Programs,
    /// Seed of the first schedule; the next ones count on.
    #[arg(long)]
    seed: u64,
    /// Number of schedules.
    #[arg(long)]
    count: u64,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seeds = arguments.seed..arguments.seed + arguments.count;
    let played = seeds.map(|seed| {
        let arguments = &arguments;
        async move {
            let began = Instant::now();
            schedule(arguments, seed).await.with_context(|| format!("SKEIN_SEED={seed}"))?;
            writeln!(
                std::io::stdout(),
                "seed {seed}: {STEPS} steps, all the same, {:.1} s",
                began.elapsed().as_secs_f64()
            )?;
            anyhow::Ok(())
        }
    });
    // A schedule mostly waits.
    let result = stream::iter(played).buffer_unordered(TOGETHER).try_collect::<Vec<_>>().await;
    let Err(error) = result else { return Ok(ExitCode::SUCCESS) };
    writeln!(std::io::stdout(), "two-clients: FAILED, {error:#}")?;
    writeln!(std::io::stdout(), "repeat it with that SKEIN_SEED and scripts/two-clients 1")?;
    Ok(ExitCode::FAILURE)
}

async fn schedule(arguments: &Arguments, seed: u64) -> Result<()> {
    let mut seed = Seed::new(seed);
    let mut stage = Stage::new(&arguments.programs).await?;
    for number in 0..STEPS {
        let step = Step::drawn(&mut seed, number);
        let mut faults = seed.fork();
        stage.play(&step, &mut faults).await.with_context(|| format!("step {number}, {step:?}"))?;
    }
    stage.finish().await
}
