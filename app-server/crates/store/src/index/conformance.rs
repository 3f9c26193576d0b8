//! The promises of every [`ThreadIndex`](super::ThreadIndex), as one function for every index's tests.
#![expect(clippy::unwrap_used, reason = "a broken promise ends the test")]

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use skein_base::clock::WallMs;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::thread::{SessionSource, SortDirection, SubAgentSource, ThreadSourceKind};
use uuid::Uuid;

use super::memory::MemoryIndex;
use super::{Cursor, IndexError, SortKey, Span, ThreadFilter, ThreadIndex, WalkBounds};
use crate::history::{ThreadRow, WaitingQuestion};
use crate::rollout::record::{QuestionKind, ReadPosition};

/// A row of thread `n` with these times.
pub fn row(n: u128, created: i64, updated: i64) -> ThreadRow {
    ThreadRow {
        id: ThreadId::new(Uuid::from_u128(n)),
        name: None,
        preview: format!("thread {n}"),
        created: WallMs(created),
        updated: WallMs(updated),
        cwd: "/a".to_owned(),
        model: "m".to_owned(),
        model_provider: "echo".to_owned(),
        reasoning_effort: None,
        source: SessionSource::VsCode,
        thread_source: None,
        originator: None,
        cli_version: "0".to_owned(),
        forked_from: None,
        git_info: None,
        archived: false,
        read: ReadPosition::default(),
        waiting: Vec::new(),
        spent: crate::rollout::record::DaySpent::default(),
    }
}

/// Checks every promise on empty, ready indexes that `new` makes, each with its guard.
pub async fn keeps_every_promise<G, I: ThreadIndex>(new: impl AsyncFn() -> (G, I)) {
    macro_rules! promises {
        ($($promise:ident)+) => { $( {
            let (_kept, index) = new().await;
            $promise(&index).await;
        } )+ };
    }
    promises! {
        an_older_row_is_ignored
        a_removed_row_does_not_come_back
        every_condition_narrows_the_list
        a_cursor_belongs_to_its_order
        random_lists_are_those_of_the_memory_index
        rows_and_ends_are_those_that_were_set
    }
}

async fn ids(index: &dyn ThreadIndex, filter: ThreadFilter) -> Vec<u128> {
    let page = index.list(filter, None, 100).await.unwrap();
    assert_eq!((page.indexing, page.next), (None, None));
    page.rows.iter().map(|row| row.id.uuid().as_u128()).collect()
}

async fn an_older_row_is_ignored(index: &dyn ThreadIndex) {
    let moved = row(1, 10, 50);
    let both = vec![(row(1, 10, 20), EventSeq(5)), (row(2, 11, 30), EventSeq(1))];
    index.upsert_all(both).await.unwrap();
    index.upsert(moved.clone(), EventSeq(6)).await.unwrap();
    index.upsert_all(vec![(row(1, 10, 99), EventSeq(4))]).await.unwrap();
    index.flush().await.unwrap();
    assert_eq!(index.get(moved.id).await.unwrap(), Some((moved, EventSeq(6))));
    assert_eq!(index.get(ThreadId::new(Uuid::from_u128(9))).await.unwrap(), None);
    let by_change = ThreadFilter { sort: SortKey::Updated, ..ThreadFilter::default() };
    assert_eq!(ids(index, by_change).await, [1, 2], "once, at its new place");
}

async fn a_removed_row_does_not_come_back(index: &dyn ThreadIndex) {
    let gone = row(1, 10, 20);
    index.upsert(row(2, 10, 20), EventSeq(5)).await.unwrap();
    index.upsert(gone.clone(), EventSeq(5)).await.unwrap();
    index.remove(gone.id, EventSeq(6)).await.unwrap();
    assert_eq!(index.get(gone.id).await.unwrap(), None);
    for late in [EventSeq(5), EventSeq(6)] {
        index.upsert(gone.clone(), late).await.unwrap();
        assert_eq!(ids(index, ThreadFilter::default()).await, [2], "{late}");
    }
    index.remove(gone.id, EventSeq(6)).await.unwrap();
    // Another thread reuses the id, and counts from 1.
    index.begin(gone.id).await.unwrap();
    index.upsert(gone.clone(), EventSeq(2)).await.unwrap();
    assert_eq!(index.get(gone.id).await.unwrap(), Some((gone.clone(), EventSeq(2))));
    index.begin(gone.id).await.unwrap();
    assert_eq!(index.get(gone.id).await.unwrap(), None, "a row of the one before is not its own");
    index.remove(gone.id, EventSeq(6)).await.unwrap();
    // It was restored by hand, and continues.
    index.upsert(gone.clone(), EventSeq(7)).await.unwrap();
    assert_eq!(index.get(gone.id).await.unwrap(), Some((gone, EventSeq(7))));
}

fn span(since: i64, before: i64) -> Span {
    Span { since: Some(WallMs(since)), before: Some(WallMs(before)) }
}

async fn every_condition_narrows_the_list(index: &dyn ThreadIndex) {
    let review = SessionSource::SubAgent(SubAgentSource::Review);
    for row in [
        row(1, 1, 7),
        ThreadRow { cwd: "/b".to_owned(), ..row(2, 2, 2) },
        ThreadRow { model_provider: "other".to_owned(), ..row(3, 3, 3) },
        ThreadRow { source: review, ..row(4, 4, 4) },
        ThreadRow { name: Some("Grüße an ALLE".to_owned()), ..row(5, 5, 5) },
        ThreadRow { archived: true, ..row(6, 6, 6) },
    ] {
        index.upsert(row, EventSeq(1)).await.unwrap();
    }
    let all = ThreadFilter::default;
    let table = [
        (all(), vec![5, 3, 2, 1]),
        (ThreadFilter { direction: SortDirection::Asc, ..all() }, vec![1, 2, 3, 5]),
        (ThreadFilter { archived: true, ..all() }, vec![6]),
        (ThreadFilter { cwds: vec!["/b".into()], ..all() }, vec![2]),
        (ThreadFilter { cwds: vec!["/b".into(), "/a".into()], ..all() }, vec![5, 3, 2, 1]),
        (ThreadFilter { model_providers: vec!["other".into()], ..all() }, vec![3]),
        (ThreadFilter { source_kinds: vec![ThreadSourceKind::SubAgent], ..all() }, vec![4]),
        (ThreadFilter { source_kinds: vec![ThreadSourceKind::SubAgentReview], ..all() }, vec![4]),
        (ThreadFilter { source_kinds: vec![ThreadSourceKind::Vscode], ..all() }, vec![5, 3, 2, 1]),
        (ThreadFilter { sort: SortKey::Updated, ..all() }, vec![1, 5, 3, 2]),
        (ThreadFilter { search: Some("GRÜSSE".into()), ..all() }, vec![]),
        (ThreadFilter { search: Some("grüße an".into()), ..all() }, vec![5]),
        (ThreadFilter { search: Some("Thread 3".into()), ..all() }, vec![3]),
        (ThreadFilter { created: span(2, 4), ..all() }, vec![3, 2]),
        (ThreadFilter { updated: span(2, 4), ..all() }, vec![3, 2]),
        (ThreadFilter { updated: span(4, 2), ..all() }, vec![]),
        (ThreadFilter { updated: Span { since: Some(WallMs(4)), before: None }, ..all() }, vec![5, 1]),
        (ThreadFilter { created: Span { since: None, before: Some(WallMs(2)) }, ..all() }, vec![1]),
        (ThreadFilter { excluded: [ThreadId::new(Uuid::from_u128(5))].into(), ..all() }, vec![3, 2, 1]),
    ];
    for (filter, expected) in table {
        assert_eq!(ids(index, filter.clone()).await, expected, "{filter:?}");
    }
    assert_eq!(index.directories(9).await.unwrap(), ["/a", "/b"]);
    assert_eq!(index.directories(1).await.unwrap(), ["/a"]);
}

async fn a_cursor_belongs_to_its_order(index: &dyn ThreadIndex) {
    index.upsert(row(1, -5, 7), EventSeq(1)).await.unwrap();
    let cursor = Cursor::at(&row(1, -5, 7), SortKey::Created);
    assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
    for text in ["", "c", "x", "cé", &cursor.to_string().to_uppercase(), &format!("{cursor}0")] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
    let by_change = ThreadFilter { sort: SortKey::Updated, ..ThreadFilter::default() };
    let refused = index.list(by_change, Some(cursor), 5).await;
    assert!(matches!(refused, Err(IndexError::Cursor(_))));
}

/// Random rows, moved about, listed in both orders and directions with random page sizes.
async fn random_lists_are_those_of_the_memory_index(index: &dyn ThreadIndex) {
    let model = MemoryIndex::default();
    let mut runner = TestRunner::deterministic();
    let one = (0u128..30, -3i64..3, -3i64..40, 0u64..4, any::<bool>(), 0u8..8);
    for (n, created, updated, as_of, archived, change) in
        prop::collection::vec(one, 250).new_tree(&mut runner).unwrap().current()
    {
        if change == 0 {
            let thread = row(n, 0, 0).id;
            index.remove(thread, EventSeq(as_of)).await.unwrap();
            model.remove(thread, EventSeq(as_of)).await.unwrap();
            continue;
        }
        let cwd = if updated % 3 == 0 { "/b" } else { "/a" }.to_owned();
        let asked = |id| WaitingQuestion { id, kind: QuestionKind::Approval, asked: WallMs(id) };
        let waiting = (0..updated % 3).map(asked).collect();
        let row = ThreadRow { archived, cwd, waiting, ..row(n, created, updated) };
        index.upsert(row.clone(), EventSeq(as_of)).await.unwrap();
        model.upsert(row, EventSeq(as_of)).await.unwrap();
    }
    assert_eq!(index.needs_you(), model.needs_you());
    assert!(index.needs_you().questions > index.needs_you().threads, "the rows are varied");
    for _ in 0..100 {
        let filter = filters().new_tree(&mut runner).unwrap().current();
        for limit in [1, 3, 100] {
            pages_are_those_of(index, &model, &filter, limit).await;
        }
        walks_come_to_the_same(index, &filter).await;
    }
}

/// Random filters and orders.
fn filters() -> impl Strategy<Value = ThreadFilter> {
    let spans = || prop::sample::select(vec![Span::default(), span(-2, 2), span(0, 30), span(2, -2)]);
    let sort = || prop::sample::select(vec![SortKey::Created, SortKey::Updated, SortKey::Asked]);
    let direction = || prop::sample::select(vec![SortDirection::Asc, SortDirection::Desc]);
    let cwds = || prop::sample::select(vec![vec![], vec!["/a".to_owned()], vec!["/b".to_owned()]]);
    (sort(), direction(), any::<bool>(), spans(), spans(), cwds()).prop_map(
        |(sort, direction, archived, created, updated, cwds)| ThreadFilter {
            sort,
            direction,
            archived,
            created,
            updated,
            cwds,
            ..ThreadFilter::default()
        },
    )
}

async fn pages_are_those_of(
    index: &dyn ThreadIndex,
    model: &MemoryIndex,
    filter: &ThreadFilter,
    limit: usize,
) {
    let (mut cursor, mut seen) = (None, 0);
    loop {
        let page = index.list(filter.clone(), cursor, limit).await.unwrap();
        assert_eq!(page, model.list(filter.clone(), cursor, limit).await.unwrap(), "{filter:?}");
        seen += page.rows.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        assert!(page.back.is_some());
    }
    assert_eq!(seen, model.list(filter.clone(), None, 1000).await.unwrap().rows.len());
}

/// All places together give the list, however few of them one step looks at.
async fn walks_come_to_the_same(index: &dyn ThreadIndex, filter: &ThreadFilter) {
    let listed = index.list(filter.clone(), None, 1000).await.unwrap().rows;
    for (rows, places) in [(1000, 1), (1000, 4), (2, 3), (1, 1000)] {
        let (mut cursor, mut seen) = (None, Vec::new());
        loop {
            let page = index.walk(filter.clone(), cursor, WalkBounds { rows, places }).await.unwrap();
            assert!(page.rows.len() <= rows.min(places), "{rows} {places}");
            assert!(page.next.is_none() || page.next != cursor, "it goes on");
            seen.extend(page.rows);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, listed, "{rows} {places}");
    }
}

async fn rows_and_ends_are_those_that_were_set(index: &dyn ThreadIndex) {
    for n in 1..=5 {
        index.upsert(row(n, 0, 0), EventSeq(u64::try_from(n * 10).unwrap())).await.unwrap();
    }
    index.remove(row(3, 0, 0).id, EventSeq(99)).await.unwrap();
    let asked = [5, 3, 9, 1].map(|n| row(n, 0, 0).id).to_vec();
    assert_eq!(index.rows(asked).await.unwrap().unwrap(), [row(5, 0, 0), row(1, 0, 0)]);
    let (mut ends, mut below) = (Vec::new(), None);
    loop {
        let page = index.ends(below, 2).await.unwrap().unwrap();
        assert!(page.len() <= 2);
        let Some((last, _)) = page.last() else { break };
        below = Some(*last);
        ends.extend(page.iter().map(|(thread, as_of)| (thread.uuid().as_u128(), as_of.0)));
    }
    assert_eq!(ends, [(5, 50), (4, 40), (2, 20), (1, 10)]);
}
