//! Synced appends of the file store without a server, beside plain syncs of the disk. The plain files have
//! the same number and the same line lengths. Both take turns.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use skein_base::clock::WallMs;
use skein_base::tasks::Tasks;
use skein_protocol::ids::{Epoch, EventSeq, ItemId, ThreadId, TurnId};
use skein_store::home::{Home, Term};
use skein_store::rollout::file::FileStore;
use skein_store::rollout::file::layer::DiskLayer;
use skein_store::rollout::record::{ItemCheckpoint, ItemText, Record, ThreadOpened};
use skein_store::rollout::{Keep, Lease, LogEntry, RolloutStore, line};
use uuid::Uuid;

use super::Plan;
use super::report::Appends;

/// Number of alternating rounds of disk and store.
const TURNS: u32 = 3;
/// Threads that sync plain files at once. Origin: the store uses as many.
const SYNCERS: usize = 64;
/// Text of a record, bytes.
const TEXT: usize = 200;

/// Measures `writers` threads.
pub(super) async fn measure(plan: &Plan, writers: usize) -> Result<Appends> {
    let folder = plan.cache.join("appends");
    let mut figures = Appends { writers, line_bytes: bytes()?.len() as u64, ..Appends::default() };
    for _ in 0..TURNS {
        clear(&folder)?;
        let (plain, lasts) = (folder.join("plain"), plan.appending);
        fs::create_dir(&plain)?;
        let disk = tokio::task::spawn_blocking(move || disk(&plain, writers, lasts)).await??;
        figures.disk_per_second.push(disk);
        figures.store_per_second.push(store(&folder.join("home"), writers, lasts).await?);
    }
    fs::remove_dir_all(&folder)?;
    Ok(figures)
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))
}

fn record(seq: u64) -> Record {
    let checkpoint = ItemCheckpoint {
        turn_id: TurnId::from("turn"),
        item_id: ItemId::from("item"),
        to: ItemText::Body,
        added: "x".repeat(TEXT),
    };
    Record { seq: EventSeq(seq), at: WallMs(0), body: checkpoint.into() }
}

fn bytes() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    line::encode(&record(1_000), &mut bytes)?;
    Ok(bytes)
}

/// Writes and syncs of existing plain files, per second.
fn disk(folder: &Path, files: usize, lasts: Duration) -> Result<f64> {
    let line = &bytes()?;
    let syncers = files.min(SYNCERS);
    let mut of_each: Vec<Vec<File>> = (0..syncers).map(|_| Vec::new()).collect();
    for at in 0..files {
        let file = OpenOptions::new().append(true).create_new(true).open(folder.join(at.to_string()))?;
        of_each[at % syncers].push(file);
    }
    let began = Instant::now();
    let syncs = std::thread::scope(|scope| {
        let workers: Vec<_> = of_each
            .into_iter()
            .map(|own| scope.spawn(move || append_and_sync(own, line, began + lasts)))
            .collect();
        let mut sum = 0;
        for worker in workers {
            sum += worker.join().map_err(|_| anyhow!("a thread has panicked; see above"))??;
        }
        anyhow::Ok(sum)
    })?;
    Ok(f64::from(syncs) / began.elapsed().as_secs_f64())
}

/// Appends to one file after the other until the end, at least once to each. Returns the number of syncs.
fn append_and_sync(mut files: Vec<File>, line: &[u8], until: Instant) -> io::Result<u32> {
    let mut done = 0;
    loop {
        for file in &mut files {
            file.write_all(line)?;
            file.sync_data()?;
            done += 1;
        }
        if Instant::now() >= until {
            return Ok(done);
        }
    }
}

/// Appends of one record each with `Keep::Power`, per second, over all threads. The rollouts exist already.
async fn store(home: &Path, threads: usize, lasts: Duration) -> Result<f64> {
    let home = Home::open(home)?;
    let tasks = Tasks::new();
    let store = Arc::new(FileStore::open(home.paths(), Arc::new(DiskLayer), tasks.clone())?);
    let mut made = Vec::new();
    for _ in 0..threads {
        made.push(begin(&store, home.term()).await?);
    }
    let began = Instant::now();
    let writers: Vec<_> = made
        .into_iter()
        .map(|begun| tasks.spawn("writer", writer(Arc::clone(&store), begun, began + lasts)))
        .collect();
    let mut appends = 0;
    for writer in writers {
        appends += writer.await??;
    }
    let took = began.elapsed();
    tasks.finish().await;
    Ok(f64::from(appends) / took.as_secs_f64())
}

/// A rollout with its first record.
async fn begin(store: &FileStore, term: Term) -> Result<(Lease, EventSeq)> {
    let lease = Lease { thread: ThreadId::new(Uuid::now_v7()), term };
    let opened = ThreadOpened { boot_id: Uuid::nil(), term, epoch: Epoch(1) };
    let first = Record { seq: EventSeq(1), at: WallMs(0), body: opened.into() };
    let head = store.append(lease, EventSeq(0), LogEntry::of(vec![first], Keep::Power)).await?.head;
    Ok((lease, head))
}

/// Appends to one thread until the end. Returns the number of appends, at least one.
async fn writer(store: Arc<FileStore>, (lease, mut head): (Lease, EventSeq), until: Instant) -> Result<u32> {
    let mut done = 0;
    loop {
        head = store.append(lease, head, LogEntry::of(vec![record(head.0 + 1)], Keep::Power)).await?.head;
        done += 1;
        if Instant::now() >= until {
            store.release(lease.thread);
            return Ok(done);
        }
    }
}
