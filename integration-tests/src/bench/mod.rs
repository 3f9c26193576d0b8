//! The cost of a large history: a benchmark of starts, lists, resumes and appends. It prints figures and sets
//! no limits.
//!
//! | room | question it answers |
//! | --- | --- |
//! | `homes` | where the cached fixtures are |
//! | `served` | how long a server takes to its first answers, and how it ends |
//! | `starts` | how starts depend on the history; homes take turns, so a slow moment affects all |
//! | `reads` | how long list pages and a resume of the longest thread take |
//! | [`texts`] | how much large messages cost, inside a rollout and beside it |
//! | `appends` | how many records per second are synced, compared with the plain disk |
//! | [`searches`] | how long searches take, with and without the text index (another program) |
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

/// Parameters and limits of a benchmark.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Sizes of the homes, beside an empty home.
    pub sizes: Vec<Size>,
    /// Folder with the cached fixtures.
    pub cache: PathBuf,
    /// Program of the server.
    pub server: PathBuf,
    /// Rounds of starts. Each home starts twice in a round.
    pub rounds: u32,
    /// List pages per home.
    pub pages: u32,
    /// Cold resumes of the longest thread per home.
    pub resumes: u32,
    /// Numbers of threads that append at the same time, one measurement each.
    pub writers: Vec<usize>,
    /// Length of each append measurement.
    pub appending: Duration,
    /// Limit for building an index from nothing.
    pub index_limit: Duration,
}

impl Plan {
    /// The whole benchmark. `quick` is enough for orders of magnitude.
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
/// Fails if a home cannot be made, or a server does not start or stop.
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

/// Measures the size of a home on disk, and the build of its index.
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
