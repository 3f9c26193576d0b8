//! Moves all threads of a store into another one, byte for byte.
//!
//! Threads that both have are compared before anything is written, and a thread of another content refuses the move. Then one thread
//! after the other is written, finished, read again and compared. A run that was cut off can be repeated: a thread that went on at the
//! source meanwhile is written again. The source stays as it is.

use std::collections::HashSet;
use std::io;

use sha2::{Digest, Sha256};
use skein_protocol::ids::ThreadId;

use crate::home::Term;
use crate::policy;
use crate::rollout::blob::{BlobName, BlobRef, Lost, TextSource};
use crate::rollout::line::RecordLine;
use crate::rollout::lines::{LineCursor, LineSummary, NumberedLine, RawLines, StoredThread};
use crate::rollout::order;
use crate::rollout::record::{ThreadOpened, TurnCompleted};

/// The outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Threads that were moved.
    pub moved: u64,
    /// Threads that were at the target already.
    pub there: u64,
    /// RawLines of the moved threads.
    pub lines: u64,
    /// Damaged lines among them.
    pub damaged: u64,
    /// Bytes of damage without a number, which stay at the source.
    pub unnumbered: u64,
    /// Texts that were lost before.
    pub lost: u64,
    /// The highest term of all threads.
    pub term: Term,
}

/// The use of the target before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrateTarget {
    /// It may have threads that somebody has used there.
    Used,
    /// An earlier run of the same move was cut off. Nobody has had the target since, so what is there of a thread is its copy.
    HasCopies,
}

/// Why a migration ended early. Moved threads stay, and the next run goes on.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A store does not serve.
    #[error("the {at} does not serve: {source}")]
    Store {
        /// Source or target.
        at: &'static str,
        /// Its error.
        #[source]
        source: io::Error,
    },
    /// The target has another thread of this id.
    #[error(
        "the target has a thread {0} of another content or in another place (archived, deleted), and it stays as it is; choose an \
         empty target"
    )]
    Other(ThreadId),
    /// The target gives back other bytes than it was given.
    #[error(
        "the target gives thread {0} back with other bytes; it is not to be trusted, and the source is unchanged"
    )]
    Changed(ThreadId),
}

/// Compares the threads that both have, and writes nothing.
///
/// # Errors
/// [`MigrateError::Other`] names the first thread of another content.
pub async fn compare(from: &dyn RawLines, to: &dyn RawLines) -> Result<(), MigrateError> {
    let mut after = None;
    loop {
        let page = from.stored(after, policy::STORED_THREADS).await.map_err(source)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.thread);
        for thread in &page {
            Move { from, to, of: thread }.found(MigrateTarget::Used).await?;
        }
    }
}

/// Moves everything. `progress` receives the number of threads so far, and that of all.
///
/// # Errors
/// [`MigrateError`]
pub async fn run(
    from: &dyn RawLines,
    to: &dyn RawLines,
    before: MigrateTarget,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<Migrated, MigrateError> {
    let (mut done, mut after) = (Migrated::default(), None);
    let total = from.count().await.map_err(source)?;
    loop {
        let page = from.stored(after, policy::STORED_THREADS).await.map_err(source)?;
        let Some(last) = page.last() else { return Ok(done) };
        after = Some(last.thread);
        for thread in &page {
            Move { from, to, of: thread }.run(before, &mut done).await?;
            progress(done.moved + done.there, total);
        }
    }
}

fn source(source: io::Error) -> MigrateError {
    MigrateError::Store { at: "source", source }
}

fn target(source: io::Error) -> MigrateError {
    MigrateError::Store { at: "target", source }
}

/// A thread, as the target has it.
enum AtTarget {
    Nothing,
    /// Its lines, in the same place. The summary is that of the whole thread.
    Same(LineSummary),
    /// A copy of its first lines, or of all of them in an earlier place.
    Earlier(StoredThread),
}

struct Move<'m> {
    from: &'m dyn RawLines,
    to: &'m dyn RawLines,
    of: &'m StoredThread,
}

/// Facts of a thread's lines.
#[derive(Default)]
struct LineFacts {
    hash: Sha256,
    summary: LineSummary,
    lines: u64,
    damaged: u64,
    texts: HashSet<BlobName>,
}

impl LineFacts {
    /// Notes a line. Returns the texts that no earlier one refers to.
    fn note(&mut self, line: &NumberedLine) -> Vec<BlobName> {
        self.hash.update(line.seq.0.to_le_bytes());
        self.hash.update((line.bytes.len() as u64).to_le_bytes());
        self.hash.update(&line.bytes);
        self.lines += 1;
        self.summary.head = line.seq;
        let Some(record) = RecordLine::of(&line.bytes).ok().filter(|record| record.seq() == line.seq) else {
            self.damaged += 1;
            return Vec::new();
        };
        if [TurnCompleted::KIND, ThreadOpened::KIND].contains(&record.kind())
            && let Ok(Ok(read)) = record.record(&NoTexts)
        {
            if read.record.tells_of_all() {
                self.summary.header = line.seq;
            }
            self.summary.term = self.summary.term.max(order::term_of(&read.record).unwrap_or(Term(0)));
        }
        record.blobs().iter().map(|blob| blob.sha256).filter(|name| self.texts.insert(*name)).collect()
    }
}

/// The texts of records whose meaning does not depend on them.
struct NoTexts;

impl TextSource for NoTexts {
    fn text(&self, blob: &BlobRef) -> io::Result<Result<String, Lost>> {
        Ok(Err(Lost { blob: blob.sha256, reason: "it was not read".to_owned() }))
    }
}

impl Move<'_> {
    async fn run(&self, before: MigrateTarget, done: &mut Migrated) -> Result<(), MigrateError> {
        match self.found(before).await? {
            AtTarget::Nothing => {}
            AtTarget::Earlier(there) => {
                self.to.take_back(&there).await.map_err(|error| self.target(error))?
            }
            AtTarget::Same(summary) => {
                // An earlier run may have been cut off before this.
                self.to.list(self.of).await.map_err(|error| self.target(error))?;
                done.there += 1;
                done.term = done.term.max(summary.term);
                return Ok(());
            }
        }
        let moved = self.write(done).await?;
        let there = self.target_facts(self.of).await?;
        if there.summary != moved.summary || there.hash.finalize() != moved.hash.finalize() {
            return Err(MigrateError::Changed(self.of.thread));
        }
        self.to.list(self.of).await.map_err(|error| self.target(error))?;
        done.moved += 1;
        done.lines += moved.lines;
        done.damaged += moved.damaged;
        done.term = done.term.max(moved.summary.term);
        Ok(())
    }

    /// Compares the thread with that of the target.
    async fn found(&self, before: MigrateTarget) -> Result<AtTarget, MigrateError> {
        let found = self.to.find(self.of.thread).await.map_err(|error| self.target(error))?;
        let Some(there) = found else { return Ok(AtTarget::Nothing) };
        let (ours, theirs) = (self.source_facts(u64::MAX).await?, self.target_facts(&there).await?);
        let (summary, in_place) = (ours.summary, there.placement == self.of.placement);
        let theirs_hash = theirs.hash.finalize();
        if in_place && ours.hash.finalize() == theirs_hash {
            return Ok(AtTarget::Same(summary));
        }
        if before == MigrateTarget::HasCopies
            && self.source_facts(theirs.lines).await?.hash.finalize() == theirs_hash
        {
            return Ok(AtTarget::Earlier(there));
        }
        Err(MigrateError::Other(self.of.thread))
    }

    fn source(&self, error: io::Error) -> MigrateError {
        source(self.named(error))
    }

    fn target(&self, error: io::Error) -> MigrateError {
        target(self.named(error))
    }

    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("thread {}: {error}", self.of.thread))
    }

    async fn write(&self, done: &mut Migrated) -> Result<LineFacts, MigrateError> {
        let (mut facts, mut from) = (LineFacts::default(), Some(LineCursor::default()));
        self.to.begin(self.of).await.map_err(|error| self.target(error))?;
        while let Some(cursor) = from {
            let page = self.from.read(self.of, cursor).await.map_err(|error| self.source(error))?;
            for line in &page.lines {
                for name in facts.note(line) {
                    done.lost += u64::from(!self.write_text(name).await?);
                }
            }
            self.to.put(self.of, &page.lines).await.map_err(|error| self.target(error))?;
            done.unnumbered += page.unnumbered;
            from = page.next;
        }
        let secrets = self.from.secret_values(self.of.thread).await.map_err(|error| self.source(error))?;
        self.to.finish(self.of, facts.summary, secrets).await.map_err(|error| self.target(error))?;
        Ok(facts)
    }

    /// Returns whether the text is there with its bytes. One that is damaged is as lost at the target.
    async fn write_text(&self, name: BlobName) -> Result<bool, MigrateError> {
        let whole = |bytes: &Vec<u8>| BlobName::of(bytes) == name;
        let Some(bytes) = self.from.text(name).await.map_err(|error| self.source(error))?.filter(whole)
        else {
            return Ok(false);
        };
        self.to.put_text(self.of.thread, name, bytes).await.map_err(|error| self.target(error))?;
        let there = self.to.text(name).await.map_err(|error| self.target(error))?;
        if there.as_ref().is_some_and(whole) { Ok(true) } else { Err(MigrateError::Changed(self.of.thread)) }
    }

    /// The facts of the first lines.
    async fn source_facts(&self, most: u64) -> Result<LineFacts, MigrateError> {
        facts(self.from, self.of, most).await.map_err(|error| self.source(error))
    }

    async fn target_facts(&self, of: &StoredThread) -> Result<LineFacts, MigrateError> {
        facts(self.to, of, u64::MAX).await.map_err(|error| self.target(error))
    }
}

async fn facts(store: &dyn RawLines, of: &StoredThread, most: u64) -> io::Result<LineFacts> {
    let (mut facts, mut from) = (LineFacts::default(), Some(LineCursor::default()));
    while let Some(cursor) = from.filter(|_| facts.lines < most) {
        let page = store.read(of, cursor).await?;
        for line in &page.lines {
            if facts.lines < most {
                facts.note(line);
            }
        }
        from = page.next;
    }
    Ok(facts)
}

#[cfg(test)]
mod tests;
