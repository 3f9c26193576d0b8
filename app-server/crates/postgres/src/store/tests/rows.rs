//! Rows of lists that come with an append.

use skein_store::history::ThreadRow;
use skein_store::index::ThreadIndex;
use skein_store::index::conformance;
use skein_store::rollout::LogEntry;
use skein_store::testing::{lease, names, thread};

use super::*;
use crate::index::PgIndex;

/// A row of a thread.
fn row(n: u128) -> ThreadRow {
    ThreadRow { id: thread(n), ..conformance::row(n, 1, 1) }
}

struct Listed {
    fixture: Fixture,
    index: PgIndex,
}

impl Listed {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let index = PgIndex::new(&fixture.store.database, Arc::clone(&fixture.store.rows));
        Self { fixture, index }
    }

    /// Appends one record behind `expected`, with a row of this name. Returns whether lists show it.
    async fn append(&self, n: u128, expected: u64, name: &str) -> Result<bool, AppendError> {
        let row = ThreadRow { name: Some(name.to_owned()), ..row(n) };
        let records = names(expected + 1, expected + 1);
        let entry = LogEntry { records, keep: Keep::Power, row: Some(Arc::new(row)) };
        let appended = self.fixture.store.append(lease(thread(n)), EventSeq(expected), entry).await?;
        Ok(appended.listed)
    }

    async fn name(&self, n: u128) -> Option<(Option<String>, u64)> {
        let found = self.index.get(thread(n)).await.unwrap();
        found.map(|(row, as_of)| (row.name, as_of.0))
    }
}

fn named(name: &str, as_of: u64) -> Option<(Option<String>, u64)> {
    Some((Some(name.to_owned()), as_of))
}

#[tokio::test]
async fn a_row_is_there_once_the_append_is_acknowledged() {
    let it = Listed::new().await;
    assert!(it.append(1, 0, "one").await.unwrap());
    assert_eq!(it.name(1).await, named("one", 1));
    assert!(it.append(1, 1, "two").await.unwrap());
    assert_eq!(it.name(1).await, named("two", 2));
    it.fixture.finish().await;
}

#[tokio::test]
async fn a_new_thread_replaces_what_is_left_of_an_earlier_one_of_its_id() {
    let it = Listed::new().await;
    it.index.upsert(row(1), EventSeq(40)).await.unwrap();
    it.index.remove(thread(1), EventSeq(50)).await.unwrap();
    assert!(it.append(1, 0, "again").await.unwrap());
    assert_eq!(it.name(1).await, named("again", 1));
    it.fixture.finish().await;
}

#[tokio::test]
async fn a_row_of_a_refused_append_is_not_set() {
    let it = Listed::new().await;
    it.append(1, 0, "one").await.unwrap();
    it.append(1, 1, "two").await.unwrap();
    it.append(1, 1, "late").await.unwrap_err();
    it.append(1, 9, "early").await.unwrap_err();
    assert_eq!(it.name(1).await, named("two", 2));
    it.fixture.finish().await;
}

#[tokio::test]
async fn a_row_does_not_replace_a_later_one_or_a_removal() {
    let it = Listed::new().await;
    for n in [1, 2] {
        it.append(n, 0, "one").await.unwrap();
    }
    it.index.upsert(row(1), EventSeq(9)).await.unwrap();
    it.index.remove(thread(2), EventSeq(2)).await.unwrap();
    assert!(!it.append(1, 1, "two").await.unwrap());
    assert!(!it.append(2, 1, "two").await.unwrap());
    assert_eq!((it.name(1).await, it.name(2).await), (Some((None, 9)), None));
    it.fixture.finish().await;
}

/// The questions that wait are counted in memory, as the rows say.
#[tokio::test]
async fn questions_in_a_row_count_at_once() {
    use skein_base::clock::WallMs;
    use skein_store::history::WaitingQuestion;
    use skein_store::rollout::record::QuestionKind;

    let it = Listed::new().await;
    it.append(1, 0, "one").await.unwrap();
    let asked = WaitingQuestion { id: 1, kind: QuestionKind::Approval, asked: WallMs(5) };
    let entry = |seq, waiting| LogEntry {
        records: names(seq, seq),
        keep: Keep::Power,
        row: Some(Arc::new(ThreadRow { waiting, ..row(1) })),
    };
    let id = lease(thread(1));
    it.fixture.store.append(id, EventSeq(1), entry(2, vec![asked])).await.unwrap();
    assert_eq!(it.index.needs_you().questions, 1);
    it.fixture.store.append(id, EventSeq(2), entry(3, Vec::new())).await.unwrap();
    assert_eq!(it.index.needs_you().questions, 0);
    it.fixture.finish().await;
}

/// Rows of many threads come in one statement, each for its own thread.
#[tokio::test]
async fn threads_of_one_batch_have_their_own_rows() {
    let it = Listed::new().await;
    for n in 1..=40 {
        it.append(n, 0, "one").await.unwrap();
    }
    let names: Vec<String> = (1..=40).map(|n| format!("thread {n}")).collect();
    let appends = (1..=40).zip(&names).map(|(n, name)| it.append(n, if n % 10 == 0 { 7 } else { 1 }, name));
    let appended = futures_util::future::join_all(appends).await;
    for (n, (name, listed)) in (1..=40).zip(names.iter().zip(appended)) {
        match listed {
            Ok(listed) => assert!(listed && it.name(n).await == named(name, 2), "{n}"),
            Err(_) => assert!(n % 10 == 0 && it.name(n).await == named("one", 1), "{n}"),
        }
    }
    it.fixture.finish().await;
}
