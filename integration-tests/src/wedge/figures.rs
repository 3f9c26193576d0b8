//! Times of calls, alternately beside working helpers and beside the same helpers stuck. A slow moment of the
//! machine affects both, and only the state of the helpers differs.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use skein_protocol::turn::TurnStatus;

use super::Pen;
use crate::bench::report::quantile;
use crate::client::Client;
use crate::home::Home;

/// Kinds of calls, as named in the table.
pub const KINDS: [&str; 3] = ["status", "loaded threads", "another thread's turn"];

/// Parameters of a measurement.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Numbers of stuck helpers, one measurement each.
    pub counts: Vec<usize>,
    /// Calls of each kind in a block.
    pub calls: usize,
    /// Blocks without and with stuck helpers.
    pub rounds: usize,
}

/// Figures beside one number of helpers.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Number of helpers.
    pub count: usize,
    /// Figures in the order of [`KINDS`].
    pub kinds: [Pair; 3],
}

/// Figures of one kind of call.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// Beside working helpers.
    pub well: Blocks,
    /// Beside stuck helpers.
    pub wedged: Blocks,
}

/// Times of blocks of calls, milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    /// The median of each block.
    pub p50: Vec<f64>,
    /// The 99th percentile of each block.
    pub p99: Vec<f64>,
}

/// Measures each number of helpers on its own server.
///
/// # Errors
/// Fails if a call gets no answer, or a process is left at the end. The figures have no limits here.
pub async fn run(plan: &Plan, progress: &ProgressBar) -> Result<Vec<Figures>> {
    let mut all = Vec::new();
    progress.set_length(u64::try_from(plan.counts.len() * plan.rounds * 2)?);
    for &count in &plan.counts {
        let home = Home::setup().start().await?;
        let mut pen = Pen::new(&home, count).await?;
        let mut figures = Figures { count, kinds: Default::default() };
        // Warm files, code and connections for both.
        block(&home, plan.calls / 10 + 1).await?;
        for round in 1..=plan.rounds {
            progress.set_message(format!("{count} helpers, round {round}"));
            let well = block(&home, plan.calls).await?;
            progress.inc(1);
            pen.wedge().await?;
            let wedged = block(&home, plan.calls).await?;
            pen.free().await?;
            progress.inc(1);
            for (pair, (well, wedged)) in figures.kinds.iter_mut().zip(well.into_iter().zip(wedged)) {
                pair.well.add(&well);
                pair.wedged.add(&wedged);
            }
        }
        // Helpers also stop at once in the middle of their calls.
        pen.wedge().await?;
        pen.close(&home).await?;
        home.finish().await?;
        all.push(figures);
    }
    Ok(all)
}

/// Runs `calls` calls of each kind in sequence over a new connection. Returns the time of each.
async fn block(home: &Home, calls: usize) -> Result<[Vec<Duration>; 3]> {
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let mut took = <[Vec<Duration>; 3]>::default();
    for _ in 0..calls {
        for (kind, took) in took.iter_mut().enumerate() {
            let from = Instant::now();
            ask(&mut client, kind, thread).await?;
            took.push(from.elapsed());
            client.take_all();
        }
    }
    client.unload(thread, false).await?;
    client.close().await?;
    Ok(took)
}

async fn ask(client: &mut Client, kind: usize, thread: skein_protocol::ids::ThreadId) -> Result<()> {
    match kind {
        0 => drop(client.status().await?),
        1 => drop(client.loaded().await?),
        _ => {
            let turn = client.turn(thread, "words").await?;
            ensure!(
                turn.status == TurnStatus::Completed,
                "another thread's turn does not complete: {turn:?}"
            );
        }
    }
    Ok(())
}

impl Blocks {
    fn add(&mut self, took: &[Duration]) {
        let took: Vec<f64> = took.iter().map(|took| took.as_secs_f64() * 1000.0).collect();
        self.p50.extend(quantile(&took, 0.5));
        self.p99.extend(quantile(&took, 0.99));
    }
}
