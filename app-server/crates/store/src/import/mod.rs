//! Imports rollouts of Codex, the peer, into a home without a server. The source is only read. Each thread is
//! imported whole or not at all, so an interrupted run can be repeated. Unchanged threads are skipped.
//!
//! An imported thread begins with `thread.opened`, `thread.created` and `imported`: the file's name, its size, and
//! the number of the last imported record. A second import therefore detects changes on both sides without reading
//! the thread. Instructions in the peer's rollouts are not imported.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use crate::home::{Home, HomeError};
use crate::rollout::file::FileStore;
use crate::rollout::file::layer::DiskLayer;
use crate::rollout::record::{Imported, Record};
use crate::rollout::{Location, ReadError, RolloutStore};
use serde_json::Value;
use skein_base::tasks::{BlockingPool, Tasks};
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};

use crate::policy;
use crate::texts::Forgetting;

mod calls;
pub(crate) mod find;
mod items;
pub(crate) mod lines;
pub(crate) mod meta;
mod older;
pub(crate) mod records;
pub(crate) mod turns;

use find::ForeignRollout;
use lines::ForeignLine;
use records::Importer;
use turns::ForeignThread;

/// The outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Threads that are new in the home.
    pub imported: u64,
    /// Threads that have grown in the source, and were imported again.
    pub updated: u64,
    /// Threads without changes.
    pub unchanged: u64,
    /// Rollouts without a message.
    pub empty: u64,
    /// Threads that differ and were kept, with the reason.
    pub kept: Vec<(ThreadId, &'static str)>,
    /// Unreadable files and lines.
    pub problems: Vec<Problem>,
    /// Lines without a counterpart, by kind.
    pub passed_over: BTreeMap<String, u64>,
}

/// An unreadable place in a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// The error and its effect.
    pub why: String,
}

impl Problem {
    fn new(file: &Path, line: u64, why: impl ToString) -> Self {
        Self { file: file.to_owned(), line, why: why.to_string() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.why),
            line => write!(f, "{}, line {line}: {}", self.file.display(), self.why),
        }
    }
}

/// Why nothing was imported, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The home is not available.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The source is unreadable.
    #[error("{} cannot be read: {source}", path.display())]
    From {
        /// The source.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The source has no rollouts.
    #[error("{} has no rollouts (sessions/YYYY/MM/DD/rollout-*.jsonl); name the home of Codex, such as ~/.codex", path.display())]
    Nothing {
        /// The source.
        path: PathBuf,
    },
    /// A write to the home failed. Earlier threads stay imported.
    #[error(
        "the home does not take thread {thread}: {source}; what was imported before stays, so start again"
    )]
    Disk {
        /// The thread.
        thread: ThreadId,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The home's folders are unreadable.
    #[error("the home cannot be read: {0}")]
    Store(#[source] io::Error),
}

/// The progress of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// Rollouts checked.
    pub done: u64,
    /// All rollouts.
    pub total: u64,
}

/// Imports all rollouts of `from` into `home`, which is created if missing.
///
/// # Errors
/// [`ImportError`]; an unreadable rollout is a [`Problem`] in the report instead.
pub async fn run(
    from: &Path,
    home: &Path,
    mut progress: impl FnMut(ImportProgress) + Send,
) -> Result<ImportReport, ImportError> {
    let fault = |source| ImportError::From { path: from.to_owned(), source };
    let tasks = Tasks::new();
    let place = std::path::absolute(from).map_err(fault)?;
    let found = tasks.blocking("find rollouts", BlockingPool::Read, move || find::find(&place)).await;
    let found = found.map_err(|panic| fault(io::Error::other(panic)))?.map_err(fault)?;
    if found.rollouts.is_empty() && found.problems.is_empty() {
        return Err(ImportError::Nothing { path: from.to_owned() });
    }
    let home = Home::take(home, "import")?;
    let store = FileStore::open(home.paths(), Arc::new(DiskLayer), tasks.clone());
    let store = store.map_err(ImportError::Store)?;
    let texts = Arc::new(Mutex::new(Forgetting::of(home.paths())));
    let mut import = ImportRun {
        home,
        store,
        tasks,
        texts,
        report: ImportReport { problems: found.problems, ..ImportReport::default() },
    };
    let total = found.rollouts.len() as u64;
    progress(ImportProgress { done: 0, total });
    for (done, rollout) in (1..).zip(found.rollouts) {
        import.take(rollout).await?;
        progress(ImportProgress { done, total });
    }
    import.tasks.finish().await;
    Ok(import.report)
}

/// The action for a rollout.
enum ImportAction {
    /// Import it into this location, with this version of its history.
    Make(Location, Epoch),
    Unchanged,
    Keep(&'static str),
}

/// The target, and the outcome so far.
struct ImportRun {
    home: Home,
    store: FileStore,
    tasks: Tasks,
    texts: Arc<Mutex<Forgetting>>,
    report: ImportReport,
}

impl ImportRun {
    async fn take(&mut self, rollout: ForeignRollout) -> Result<(), ImportError> {
        let thread = rollout.meta.created.id;
        let fault = |source| ImportError::Disk { thread, source };
        let (shelf, epoch) = match plan(&self.store, &rollout).await.map_err(fault)? {
            ImportAction::Make(shelf, epoch) => (shelf, epoch),
            ImportAction::Unchanged => {
                self.report.unchanged += 1;
                return Ok(());
            }
            ImportAction::Keep(why) => {
                self.report.kept.push((thread, why));
                return Ok(());
            }
        };
        let importer = Importer { boot_id: self.store.life(), term: self.home.term(), epoch };
        let newest = rollout.parts.last().map(|part| part.path.clone()).unwrap_or_default();
        let converted =
            self.tasks.blocking("import", BlockingPool::Read, move || convert(&rollout, importer)).await;
        let converted = match converted.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(converted) => converted,
            Err(error) => {
                self.report.problems.push(Problem::new(&newest, 0, error));
                return Ok(());
            }
        };
        let records = self.report.note(converted);
        if records.is_empty() {
            self.report.empty += 1;
            return Ok(());
        }
        self.forget(thread).await.map_err(fault)?;
        self.store.put(thread, shelf, records).await.map_err(fault)?;
        let report = &mut self.report;
        *(if epoch == Epoch(1) { &mut report.imported } else { &mut report.updated }) += 1;
        Ok(())
    }

    /// Before the records change: after an interruption the next search reads the thread. A new thread may have been
    /// deleted since the text index last saw it.
    async fn forget(&self, thread: ThreadId) -> io::Result<()> {
        let texts = Arc::clone(&self.texts);
        let forgotten = self.tasks.blocking("forget texts", BlockingPool::Texts, move || {
            texts.lock().unwrap_or_else(PoisonError::into_inner).forget(thread)
        });
        forgotten.await.map_err(io::Error::other)?
    }
}

impl ImportReport {
    /// Notes the skipped parts of a conversion.
    fn note(&mut self, converted: Converted) -> Vec<Record> {
        self.problems.extend(converted.problems);
        for (kind, count) in converted.passed_over {
            *self.passed_over.entry(kind).or_default() += count;
        }
        converted.records
    }
}

async fn plan(store: &FileStore, rollout: &ForeignRollout) -> io::Result<ImportAction> {
    let thread = rollout.meta.created.id;
    let there = match store.read_after(thread, EventSeq(0), records::BEGINNING).await {
        Ok(page) => records::note(&page.records),
        Err(ReadError::Missing(_)) => {
            let shelf = if rollout.archived { Location::Archived } else { Location::Active };
            return Ok(ImportAction::Make(shelf, Epoch(1)));
        }
        Err(ReadError::Unreadable { .. }) => {
            return Ok(ImportAction::Keep("the rollout in the home cannot be read"));
        }
        Err(ReadError::Disk { source, .. }) => return Err(source),
        Err(away @ ReadError::Away { .. }) => return Err(io::Error::other(away)),
    };
    let Some((imported, epoch)) = there else {
        return Ok(ImportAction::Keep("the thread in the home was not imported"));
    };
    if imported.bytes == rollout.bytes {
        return Ok(ImportAction::Unchanged);
    }
    let head = store.head(thread).await.map_err(io::Error::other)?;
    if head != imported.last {
        return Ok(ImportAction::Keep("it has changed in both places since it was imported"));
    }
    let shelf = store.location(thread).await.map_err(io::Error::other)?;
    Ok(ImportAction::Make(shelf, Epoch(epoch.0.saturating_add(1))))
}

/// A converted thread, and the skipped parts.
#[derive(Debug, Default)]
pub(crate) struct Converted {
    /// The records; none without a message.
    pub(crate) records: Vec<Record>,
    /// Unreadable lines.
    pub(crate) problems: Vec<Problem>,
    /// Lines without a counterpart.
    pub(crate) passed_over: BTreeMap<String, u64>,
}

/// Reads a rollout and converts it. Holds it in memory as a whole.
///
/// # Errors
/// A file cannot be read to its end.
pub(crate) fn convert(rollout: &ForeignRollout, importer: Importer) -> io::Result<Converted> {
    let mut with_events = false;
    each_line(rollout, |line| with_events |= ForeignThread::reports_messages(line))?;
    let mut talk = ForeignThread::new(rollout.meta.at, rollout.meta.created.settings.clone(), with_events);
    let problems = each_line(rollout, |line| talk.take(line))?;
    talk.name = rollout.name.clone().or(talk.name);
    let passed_over = std::mem::take(&mut talk.passed_over);
    let newest = rollout.parts.last().and_then(|part| part.path.file_name());
    let from = newest.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let note = Imported { from, bytes: rollout.bytes, last: EventSeq(0) };
    Ok(Converted { records: records::records(&rollout.meta, talk, note, importer), problems, passed_over })
}

/// Calls `show` for each line in order; returns the unreadable ones.
fn each_line(rollout: &ForeignRollout, mut show: impl FnMut(&Value)) -> io::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for part in &rollout.parts {
        let mut file = lines::open(&part.path)?;
        let (mut number, mut unread) = (0, 0);
        while let Some(line) = lines::next(&mut file)? {
            number += 1;
            let read = match &line {
                ForeignLine::Whole(text) if text.iter().all(u8::is_ascii_whitespace) => continue,
                ForeignLine::Whole(text) => {
                    serde_json::from_slice::<Value>(text).map_err(|error| error.to_string())
                }
                // Its writer was interrupted or is still writing: the next import has it.
                ForeignLine::Unended(text) => match serde_json::from_slice::<Value>(text) {
                    Ok(value) => Ok(value),
                    Err(_) => continue,
                },
                ForeignLine::TooLong => Err(format!("it is longer than {} bytes", policy::IMPORT_LINE)),
            };
            match read {
                Ok(value) if is_behind(&value, part.until) => break,
                Ok(value) => show(&value),
                Err(why) if unread < policy::IMPORT_PROBLEMS => {
                    unread += 1;
                    problems.push(Problem::new(&part.path, number, why));
                }
                Err(_) => unread += 1,
            }
        }
        if unread > policy::IMPORT_PROBLEMS {
            let why = format!("{} more lines cannot be read", unread - policy::IMPORT_PROBLEMS);
            problems.push(Problem::new(&part.path, 0, why));
        }
    }
    Ok(problems)
}

fn is_behind(line: &Value, until: Option<u64>) -> bool {
    let ordinal = line.get("ordinal").and_then(Value::as_u64);
    until.zip(ordinal).is_some_and(|(until, ordinal)| ordinal >= until)
}

#[cfg(test)]
pub(crate) mod tests;
