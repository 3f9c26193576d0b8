//! The cost of searches in a large home, with a scan of every thread and with the text index, and the delay
//! for other clients.

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use skein_protocol::extension::{TextsCounts, TextsState};
use skein_protocol::methods::{ThreadList, ThreadSearch};
use skein_protocol::thread::{
    SortDirection, ThreadListParams, ThreadSearchParams, ThreadSearchSortKey, ThreadSortKey,
};
use uuid::Uuid;

use super::Plan;
use super::homes::{self, Place};
use super::report::{figure, milliseconds, quantile};
use super::served::{self, Served};
use crate::client::Client;
use crate::fixture::Size;

/// Threads on a page.
const PAGE: u32 = 25;
/// Largest number of pages of a walk for a frequent text.
const FREQUENT_PAGES: usize = 100;
/// A word in every text of a fixture.
const FREQUENT: &str = "the";
/// Pause between two looks at the text index.
const LOOK: Duration = Duration::from_millis(100);

/// Figures for one search text.
#[derive(Debug, Default)]
pub struct Walk {
    /// The search text.
    pub what: &'static str,
    /// Whether the search used the text index.
    pub indexed: bool,
    /// Time to the first page, ms.
    pub first_page_ms: f64,
    /// Time to the first hit, ms.
    pub first_hit_ms: Option<f64>,
    /// Time to the last page, ms.
    pub walk_ms: f64,
    /// Number of pages.
    pub pages: usize,
    /// Number of threads found.
    pub threads: usize,
    /// Whether the walk reached the end.
    pub whole: bool,
    /// List pages of another client during the walk, ms each.
    pub others_ms: Vec<f64>,
}

/// The figures of a home.
#[derive(Debug, Default)]
pub struct Searches {
    /// The home.
    pub home: String,
    /// Figures for each text, without and with the text index.
    pub walks: Vec<Walk>,
    /// Time to build the text index, seconds.
    pub made_s: f64,
    /// Disk usage of the text index, bytes.
    pub disk_bytes: u64,
    /// Time that the next server took to compare the index with the threads, seconds.
    pub compared_s: f64,
}

/// Measures searches in a home of this size.
///
/// # Errors
/// Fails if the home cannot be made, or a server does not answer.
pub async fn run(plan: &Plan, size: Size, bars: &MultiProgress) -> Result<Searches> {
    let bar = bars.add(ProgressBar::new_spinner());
    bar.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
    bar.enable_steady_tick(LOOK);
    bar.set_message(format!("the fixture {} is made, or found", size.name()));
    let place = homes::fixture(plan, size, bars)?;
    let texts = place.home.join("search-1");
    if texts.exists() {
        std::fs::remove_dir_all(&texts)?;
    }
    let mut figures = Searches { home: place.name.to_owned(), ..Searches::default() };
    let rare = format!("needle-{}", Uuid::now_v7().simple());
    let without = ["-c", "search.index=false"];
    let mut server = serve(plan, &place, &without, &bar).await?;
    say_in_the_oldest(&mut server.client, &rare).await?;
    server.stop().await?;
    let mut server = serve(plan, &place, &without, &bar).await?;
    walks(&mut server, &rare, false, &mut figures.walks, &bar).await?;
    server.stop().await?;
    let mut server = serve(plan, &place, &[], &bar).await?;
    bar.set_message("the text index is made");
    let (took, counts) = ready(&mut server.client, plan.index_limit).await?;
    (figures.made_s, figures.disk_bytes) = (took.as_secs_f64(), disk(&texts)?.max(counts.disk_bytes));
    walks(&mut server, &rare, true, &mut figures.walks, &bar).await?;
    server.stop().await?;
    let mut server = serve(plan, &place, &[], &bar).await?;
    bar.set_message("the text index is compared with the threads");
    figures.compared_s = ready(&mut server.client, plan.index_limit).await?.0.as_secs_f64();
    server.stop().await?;
    bar.finish_and_clear();
    Ok(figures)
}

async fn serve(plan: &Plan, place: &Place, arguments: &[&str], bar: &ProgressBar) -> Result<Served> {
    bar.set_message(format!("{}: a server starts", place.name));
    let (mut server, _) = Served::start_with(plan, place, arguments).await?;
    let indexed = server.until_indexed(plan.index_limit).await?;
    indexed.with_context(|| format!("the list is not complete within {:?}", plan.index_limit))?;
    Ok(server)
}

/// Sends a text in the oldest thread, then unsubscribes.
async fn say_in_the_oldest(client: &mut Client, text: &str) -> Result<()> {
    let oldest = ThreadListParams {
        limit: Some(1),
        sort_key: Some(ThreadSortKey::CreatedAt),
        sort_direction: Some(SortDirection::Asc),
        ..ThreadListParams::default()
    };
    let thread = client.call::<ThreadList>(oldest).await?.data.pop().context("a thread")?.id;
    client.resume(thread).await?;
    client.turn(thread, text).await?;
    client.unload(thread, true).await?;
    Ok(())
}

/// Searches until the text index is complete.
async fn ready(client: &mut Client, limit: Duration) -> Result<(Duration, TextsCounts)> {
    let began = Instant::now();
    let mut looks = tokio::time::interval(LOOK);
    client.call::<ThreadSearch>(params("begin it", None)).await?;
    loop {
        let texts = client.status().await?.texts;
        if texts.state == TextsState::Ready {
            return Ok((began.elapsed(), texts));
        }
        ensure!(began.elapsed() < limit, "not complete within {limit:?}: {texts:?}");
        looks.tick().await;
    }
}

fn disk(folder: &Path) -> Result<u64> {
    Ok(homes::disk(folder)?.bytes)
}

fn params(term: &str, cursor: Option<String>) -> ThreadSearchParams {
    ThreadSearchParams {
        cursor,
        limit: Some(PAGE),
        search_term: term.to_owned(),
        sort_key: Some(ThreadSearchSortKey::CreatedAt),
        ..ThreadSearchParams::default()
    }
}

async fn walks(
    server: &mut Served,
    rare: &str,
    indexed: bool,
    walks: &mut Vec<Walk>,
    bar: &ProgressBar,
) -> Result<()> {
    let texts = [
        ("everywhere", FREQUENT.to_owned(), FREQUENT_PAGES),
        ("in the oldest thread", rare.to_owned(), usize::MAX),
        ("nowhere", format!("{rare}-not"), usize::MAX),
    ];
    for (what, term, most) in texts {
        bar.set_message(format!(
            "a text that is {what}, {}",
            if indexed { "with the text index" } else { "without" }
        ));
        let mut other = Client::ready(&server.address).await?;
        let done = Cell::new(false);
        let (walk, others) =
            tokio::join!(walk(&mut server.client, &term, most, &done), pages_meanwhile(&mut other, &done));
        walks.push(Walk { what, indexed, others_ms: others?, ..walk? });
    }
    Ok(())
}

async fn walk(client: &mut Client, term: &str, most: usize, done: &Cell<bool>) -> Result<Walk> {
    let (mut walk, mut cursor) = (Walk::default(), None);
    let began = Instant::now();
    let walked = loop {
        let page = match client.call::<ThreadSearch>(params(term, cursor)).await {
            Ok(page) => page,
            Err(error) => break Err(error),
        };
        let now = milliseconds(began.elapsed());
        if walk.pages == 0 {
            walk.first_page_ms = now;
        }
        walk.first_hit_ms = walk.first_hit_ms.or(Some(now).filter(|_| !page.data.is_empty()));
        walk.threads += page.data.len();
        walk.pages += 1;
        walk.walk_ms = now;
        walk.whole = page.next_cursor.is_none();
        cursor = page.next_cursor;
        if walk.whole || walk.pages >= most {
            break Ok(walk);
        }
    };
    done.set(true);
    walked
}

/// List pages in sequence until the walk is done, at least one.
async fn pages_meanwhile(client: &mut Client, done: &Cell<bool>) -> Result<Vec<f64>> {
    let (mut took, mut cursor) = (Vec::new(), None);
    let mut pace = tokio::time::interval(LOOK);
    loop {
        pace.tick().await;
        let began = Instant::now();
        let page = served::list(client, cursor).await?;
        took.push(milliseconds(began.elapsed()));
        cursor = page.next_cursor;
        if done.get() {
            return Ok(took);
        }
    }
}

impl fmt::Display for Searches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ms: Option<f64>| figure(ms, " ms");
        writeln!(
            f,
            "| {} | text index | first page | first thread found | all pages | pages | threads | another client's page p50 | longest |",
            self.home
        )?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")?;
        for walk in &self.walks {
            let all = if walk.whole {
                time(Some(walk.walk_ms))
            } else {
                format!("{} for these", time(Some(walk.walk_ms)))
            };
            writeln!(
                f,
                "| {} | {} | {} | {} | {all} | {} | {} | {} | {} |",
                walk.what,
                if walk.indexed { "with" } else { "without" },
                time(Some(walk.first_page_ms)),
                time(walk.first_hit_ms),
                walk.pages,
                walk.threads,
                time(quantile(&walk.others_ms, 0.5)),
                time(quantile(&walk.others_ms, 1.0)),
            )?;
        }
        let megabytes = self.disk_bytes / 1_000_000;
        writeln!(
            f,
            "\nThe text index was made in {:.1} s and takes {megabytes} MB; the next server has compared it with the threads in {:.1} s.",
            self.made_s, self.compared_s
        )
    }
}
