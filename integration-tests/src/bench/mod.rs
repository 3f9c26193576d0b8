//! What a large history costs: a benchmark of starts, lists, resumes and appends. It prints figures and judges none.
//!
//! | room | question it answers |
//! | --- | --- |
//! | `homes` | where the fixtures are, made once |
//! | `served` | how long a server takes to its first answers, and how it ends |
//! | `starts` | how that depends on the history: homes take turns, so that a slow moment of the machine meets all |
//! | `reads` | what pages of lists and a resume of the longest thread cost |
//! | [`texts`] | what large messages cost, in the lines of a rollout and beside it |
//! | `appends` | how many records a second are synced, beside the disk's own rate |
//! | [`searches`] | what searches cost, with the text index and without: another program asks |
//! | [`report`] | the table |

mod appends;
mod homes;
mod reads;
pub mod report;
pub mod searches;
mod served;
mod starts;
pub mod texts;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use self::homes::Place;
use self::report::{HomeFigures, Report};
use self::served::Served;
use crate::fixture::Size;

/// What is to be measured, and how long it may take.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The homes, beside an empty one.
    pub sizes: Vec<Size>,
    /// Where fixtures are kept between runs.
    pub cache: PathBuf,
    /// The server.
    pub server: PathBuf,
    /// Rounds of starts; each home is started twice in a round.
    pub rounds: u32,
    /// Pages of the list of each home.
    pub pages: u32,
    /// Cold resumes of the longest thread of each home.
    pub resumes: u32,
    /// Threads that append at the same time, one measurement each.
    pub writers: Vec<usize>,
    /// How long appends are counted, each time.
    pub appending: Duration,
    /// How long an index may take to be made from nothing.
    pub index_limit: Duration,
}

impl Plan {
    /// The whole benchmark; `quick` is enough to see orders of magnitude.
    #[must_use]
    pub fn new(sizes: Vec<Size>, cache: PathBuf, server: PathBuf, quick: bool) -> Self {
        let (rounds, pages, resumes, seconds, limit) =
            if quick { (3, 200, 1, 1, 120) } else { (9, 2_000, 3, 4, 1_800) };
        Self {
            sizes,
            cache,
            server,
            rounds,
            pages,
            resumes,
            writers: vec![1, 16, 256],
            appending: Duration::from_secs(seconds),
            index_limit: Duration::from_secs(limit),
        }
    }
}

/// Runs the benchmark.
///
/// # Errors
/// When a home cannot be made, or a server does not start or end.
pub async fn run(plan: &Plan, bars: &MultiProgress) -> Result<Report> {
    let steps = plan.sizes.len() * 3 + 2 + plan.writers.len();
    let bar = bars.add(ProgressBar::new(u64::try_from(steps)?));
    bar.set_style(ProgressStyle::with_template("{bar:30} {msg} ({elapsed})")?);
    let mut report = Report::default();
    let mut places = vec![homes::empty(plan)?];
    for size in &plan.sizes {
        bar.set_message(format!("the fixture {} is made, or found", size.name()));
        places.push(homes::fixture(plan, *size, bars)?);
        bar.inc(1);
    }
    for place in &places {
        bar.set_message(format!("{}: the index is made from nothing", place.name));
        report.homes.push(index(plan, place).await.with_context(|| format!("the home {}", place.name))?);
        bar.inc(1);
    }
    starts::measure(plan, &places, &mut report.homes, &bar).await?;
    for (place, figures) in places.iter().zip(&mut report.homes).skip(1) {
        bar.set_message(format!("{}: lists and resumes", place.name));
        reads::measure(plan, place, figures).await.with_context(|| format!("the home {}", place.name))?;
        bar.inc(1);
    }
    for writers in &plan.writers {
        bar.set_message(format!("{writers} threads append"));
        report.appends.push(appends::measure(plan, *writers).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(report)
}

/// The size of a home on disk, and the making of its index.
async fn index(plan: &Plan, place: &Place) -> Result<HomeFigures> {
    let mut figures = HomeFigures::new(place);
    crate::fixture::remove_index(&place.home)?;
    let (mut server, start) = Served::start(plan, place).await?;
    let took = server.until_indexed(plan.index_limit).await?;
    figures.index_made_ms = took.map(|took| report::milliseconds(start.page + took));
    server.stop().await?;
    figures.rollouts = homes::disk(&place.home.join("threads"))?;
    figures.index = homes::indexes(&place.home)?;
    Ok(figures)
}
