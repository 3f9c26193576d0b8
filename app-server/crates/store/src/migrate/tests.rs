use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use skein_protocol::ids::EventSeq;

use super::*;
use crate::rollout::line;
use crate::rollout::lines::{LinePage, Placement};
use crate::rollout::record::SecretValues;
use crate::testing::{closed, names, opened, thread};

/// Each thread, once it is finished, with its lines.
type WrittenThreads = BTreeMap<ThreadId, (Option<StoredThread>, Vec<NumberedLine>)>;

/// Lines in memory.
#[derive(Default)]
struct MemoryLines {
    threads: Mutex<WrittenThreads>,
    texts: Mutex<BTreeMap<BlobName, Vec<u8>>>,
    listed: Mutex<Vec<ThreadId>>,
    summaries: Mutex<BTreeMap<ThreadId, LineSummary>>,
    /// Gives back another byte than it was given.
    lies: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread of two records and a closed end, opened in this term.
fn lines(term: u64) -> Vec<NumberedLine> {
    let records = [opened(1, term), names(2, 2).remove(0), closed(3)];
    let line = |record: &crate::rollout::record::Record| {
        let mut bytes = Vec::new();
        line::encode(record, &mut bytes).unwrap();
        bytes.pop();
        NumberedLine { seq: record.seq, bytes }
    };
    records.iter().map(line).collect()
}

impl MemoryLines {
    /// Threads 1 to `count`, each in its own term.
    fn of(count: u64) -> Self {
        let them = Self::default();
        for n in 1..=count {
            them.add(n, Placement::Active, lines(n));
        }
        them
    }

    fn add(&self, n: u64, placement: Placement, lines: Vec<NumberedLine>) {
        let of = StoredThread { thread: thread(n.into()), placement, open: false };
        lock(&self.threads).insert(of.thread, (Some(of), lines));
    }

    fn content(&self) -> WrittenThreads {
        lock(&self.threads).clone()
    }
}

#[async_trait]
impl RawLines for MemoryLines {
    async fn count(&self) -> io::Result<u64> {
        Ok(lock(&self.threads).len() as u64)
    }

    async fn stored(&self, after: Option<ThreadId>, limit: usize) -> io::Result<Vec<StoredThread>> {
        let threads = lock(&self.threads);
        let found = threads.values().filter_map(|(of, _)| *of).filter(|of| Some(of.thread) > after);
        Ok(found.take(limit.min(2)).collect())
    }

    async fn find(&self, thread: ThreadId) -> io::Result<Option<StoredThread>> {
        Ok(lock(&self.threads).get(&thread).and_then(|(of, _)| *of))
    }

    async fn read(&self, of: &StoredThread, from: LineCursor) -> io::Result<LinePage> {
        let threads = lock(&self.threads);
        let (_, lines) = threads.get(&of.thread).ok_or(io::ErrorKind::NotFound)?;
        let mut lines: Vec<NumberedLine> =
            lines.iter().filter(|line| line.seq > from.after).take(2).cloned().collect();
        let next = lines.last().map(|last| LineCursor { after: last.seq, offset: 0 });
        if let Some(line) = lines.first_mut().filter(|_| self.lies) {
            line.bytes.push(b' ');
        }
        Ok(LinePage { lines, unnumbered: 0, next })
    }

    async fn text(&self, name: BlobName) -> io::Result<Option<Vec<u8>>> {
        Ok(lock(&self.texts).get(&name).cloned())
    }

    async fn secret_values(&self, _thread: ThreadId) -> io::Result<SecretValues> {
        Ok(SecretValues::default())
    }

    async fn take_back(&self, there: &StoredThread) -> io::Result<()> {
        lock(&self.threads).remove(&there.thread);
        Ok(())
    }

    async fn begin(&self, of: &StoredThread) -> io::Result<()> {
        lock(&self.threads).insert(of.thread, (None, Vec::new()));
        Ok(())
    }

    async fn put_text(&self, _thread: ThreadId, name: BlobName, bytes: Vec<u8>) -> io::Result<()> {
        lock(&self.texts).insert(name, bytes);
        Ok(())
    }

    async fn put(&self, of: &StoredThread, lines: &[NumberedLine]) -> io::Result<()> {
        lock(&self.threads).entry(of.thread).or_default().1.extend_from_slice(lines);
        Ok(())
    }

    async fn finish(&self, of: &StoredThread, end: LineSummary, _secrets: SecretValues) -> io::Result<()> {
        lock(&self.threads).entry(of.thread).or_default().0 = Some(*of);
        lock(&self.summaries).insert(of.thread, end);
        Ok(())
    }

    async fn list(&self, of: &StoredThread) -> io::Result<()> {
        lock(&self.listed).push(of.thread);
        Ok(())
    }
}

#[tokio::test]
async fn everything_moves_and_a_second_run_compares_and_lists_it_again() {
    let (from, to) = (MemoryLines::of(5), MemoryLines::default());
    let mut shown = Vec::new();
    let done = run(&from, &to, MigrateTarget::Used, |done, total| shown.push((done, total))).await.unwrap();
    assert_eq!((done.moved, done.there, done.lines, done.damaged, done.term), (5, 0, 15, 0, Term(5)));
    assert_eq!(to.content(), from.content());
    assert_eq!(shown.last(), Some(&(5, 5)));
    let end = lock(&to.summaries)[&thread(4)];
    assert_eq!((end.head.0, end.term), (3, Term(4)));
    let again = run(&from, &to, MigrateTarget::Used, |_, _| {}).await.unwrap();
    assert_eq!((again.moved, again.there, again.term), (0, 5, Term(5)));
    assert_eq!(lock(&to.listed).len(), 10);
}

#[tokio::test]
async fn a_target_that_gives_back_other_bytes_is_found() {
    let (from, to) = (MemoryLines::of(2), MemoryLines { lies: true, ..MemoryLines::default() });
    let error = run(&from, &to, MigrateTarget::Used, |_, _| {}).await.unwrap_err();
    assert!(matches!(error, MigrateError::Changed(found) if found == thread(1)), "{error}");
    assert!(lock(&to.listed).is_empty());
}

#[tokio::test]
async fn a_thread_of_another_content_or_in_another_place_ends_the_run_and_stays() {
    for (placement, lines) in [(Placement::Active, lines(9)), (Placement::Archived, lines(2))] {
        let (from, to) = (MemoryLines::of(3), MemoryLines::default());
        to.add(2, placement, lines.clone());
        let before = to.content();
        let error = compare(&from, &to).await.unwrap_err();
        assert!(matches!(error, MigrateError::Other(found) if found == thread(2)), "{error}");
        assert_eq!(to.content(), before, "nothing is written");
        let error = run(&from, &to, MigrateTarget::Used, |_, _| {}).await.unwrap_err();
        assert!(matches!(error, MigrateError::Other(found) if found == thread(2)), "{error}");
        assert_eq!(to.content()[&thread(2)].1, lines);
        assert_eq!(from.content(), MemoryLines::of(3).content());
    }
}

#[tokio::test]
async fn a_thread_that_went_on_at_the_source_since_an_interrupted_run_is_written_again() {
    let (from, to) = (MemoryLines::of(4), MemoryLines::default());
    run(&from, &to, MigrateTarget::Used, |_, _| {}).await.unwrap();
    let more = |n: u64| {
        let mut bytes = Vec::new();
        line::encode(&names(4, 4).remove(0), &mut bytes).unwrap();
        bytes.pop();
        [lines(n), vec![NumberedLine { seq: EventSeq(4), bytes }]].concat()
    };
    from.add(2, Placement::Active, more(2));
    from.add(3, Placement::Archived, lines(3));
    let refused = run(&from, &to, MigrateTarget::Used, |_, _| {}).await.unwrap_err();
    assert!(matches!(refused, MigrateError::Other(found) if found == thread(2)), "{refused}");
    let done = run(&from, &to, MigrateTarget::HasCopies, |_, _| {}).await.unwrap();
    assert_eq!((done.moved, done.there, done.term), (2, 2, Term(4)));
    assert_eq!(to.content(), from.content());
    // The target's has more than the source's, so it is no copy.
    from.add(2, Placement::Active, lines(2));
    let refused = run(&from, &to, MigrateTarget::HasCopies, |_, _| {}).await.unwrap_err();
    assert!(matches!(refused, MigrateError::Other(found) if found == thread(2)), "{refused}");
    assert_eq!(to.content()[&thread(2)].1, more(2));
}

#[tokio::test]
async fn damage_is_counted_and_moves() {
    let (from, to) = (MemoryLines::of(1), MemoryLines::default());
    lock(&from.threads).get_mut(&thread(1)).unwrap().1[1].bytes.truncate(9);
    let done = run(&from, &to, MigrateTarget::Used, |_, _| {}).await.unwrap();
    assert_eq!((done.lines, done.damaged), (3, 1));
    assert_eq!(to.content(), from.content());
}
