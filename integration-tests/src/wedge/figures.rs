//! What calls of others take, in turns beside helpers that are well and beside the same ones wedged: a slow moment of the
//! machine meets both. The helpers are there either way, so that nothing but the wedging differs.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use skein_protocol::turn::TurnStatus;

use super::Pen;
use crate::bench::report::quantile;
use crate::client::Client;
use crate::home::Home;

/// What is asked, by the names that the table has.
pub const KINDS: [&str; 3] = ["status", "loaded threads", "a turn elsewhere"];

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many helpers are wedged, one measurement each.
    pub counts: Vec<usize>,
    /// Calls of each kind in a block.
    pub calls: usize,
    /// Blocks without and with.
    pub rounds: usize,
}

/// What was measured beside so many helpers.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Helpers.
    pub count: usize,
    /// By the order of [`KINDS`].
    pub kinds: [Pair; 3],
}

/// Of one kind of call: beside helpers that are well, and beside the same ones wedged.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// Without.
    pub well: Blocks,
    /// With.
    pub wedged: Blocks,
}

/// What blocks of calls took, milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    /// The median of each.
    pub p50: Vec<f64>,
    /// What 99 of 100 calls stay below, of each.
    pub p99: Vec<f64>,
}

/// Measures all of it, each number of helpers on a server of its own.
///
/// # Errors
/// When a call is not answered, or something is left in the end. Figures are judged by nobody here.
pub async fn run(plan: &Plan, progress: &ProgressBar) -> Result<Vec<Figures>> {
    let mut all = Vec::new();
    progress.set_length(u64::try_from(plan.counts.len() * plan.rounds * 2)?);
    for &count in &plan.counts {
        let home = Home::setup().start().await?;
        let mut pen = Pen::new(&home, count).await?;
        let mut figures = Figures { count, kinds: Default::default() };
        // Files, code and connections are warm for both.
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
        // Also from the middle of their calls they go at once.
        pen.wedge().await?;
        pen.close(&home).await?;
        home.finish().await?;
        all.push(figures);
    }
    Ok(all)
}

/// So many calls of each kind over a connection of its own, one after the other, with what each took.
async fn block(home: &Home, calls: usize) -> Result<[Vec<Duration>; 3]> {
    let mut client = home.client().await?;
    let thread = client.start_said_thread("words").await?;
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
            ensure!(turn.status == TurnStatus::Completed, "a turn elsewhere does not complete: {turn:?}");
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
