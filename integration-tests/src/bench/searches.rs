//! What searches cost in a large home, by looking at every thread and with the text index, and what other clients notice.

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
/// Pages of a walk whose text is everywhere, at most.
const FREQUENT_PAGES: usize = 100;
/// A word that every text of a fixture is made of.
const FREQUENT: &str = "the";
/// Between two looks at how far the text index is.
const LOOK: Duration = Duration::from_millis(100);

/// What one text took.
#[derive(Debug, Default)]
pub struct Walk {
    /// The text.
    pub what: &'static str,
    /// The text index was used.
    pub indexed: bool,
    /// Until the first page, milliseconds.
    pub first_page_ms: f64,
    /// Until the first thread was found, milliseconds.
    pub first_hit_ms: Option<f64>,
    /// Until the last page, milliseconds.
    pub walk_ms: f64,
    /// How many pages that were.
    pub pages: usize,
    /// Threads that were found.
    pub threads: usize,
    /// The walk went to the end.
    pub whole: bool,
    /// Pages of the list that another client asked for meanwhile, milliseconds each.
    pub others_ms: Vec<f64>,
}

/// The figures of a home.
#[derive(Debug, Default)]
pub struct Searches {
    /// The home.
    pub home: String,
    /// Each text, without the text index and with it.
    pub walks: Vec<Walk>,
    /// How long the text index took to be made, seconds.
    pub made_s: f64,
    /// Bytes that it takes.
    pub disk_bytes: u64,
    /// How long the next server took to compare it with the threads, seconds.
    pub compared_s: f64,
}

/// Measures searches in a home of this size.
///
/// # Errors
/// When the home cannot be made, or a server does not answer.
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

/// Says a text in the thread that was made first, and lets go of it.
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

/// Pages of the list, one behind the other, until the walk is done; one at least.
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
