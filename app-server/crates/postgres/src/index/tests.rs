use skein_store::history::WaitingQuestion;
use skein_store::index::SortKey;
use skein_store::index::conformance::{keeps_every_promise, row};
use skein_store::rollout::record::QuestionKind;

use super::*;
use crate::testing::{TestCluster, TestDatabase};

async fn open(at: &TestDatabase) -> PgIndex {
    let database = Database::open(at.address.clone()).await.unwrap();
    let rows = ThreadRows::open(&database, Arc::default()).await.unwrap();
    PgIndex::new(&database, Arc::new(rows))
}

#[tokio::test]
async fn keeps_every_promise_of_an_index() {
    keeps_every_promise(async || {
        let at = TestCluster::shared().database().await;
        let index = open(&at).await;
        (at, index)
    })
    .await;
}

#[tokio::test]
async fn texts_that_the_database_refuses_as_such_are_listed() {
    let index = open(&TestCluster::shared().database().await).await;
    let long = format!("/{}", "long/".repeat(2_000));
    let rows = [
        ThreadRow { preview: "nul \0 here".to_owned(), cwd: "/with\0nul".to_owned(), ..row(1, 1, 1) },
        ThreadRow { cwd: format!("{long}1"), ..row(2, 2, 2) },
        ThreadRow { cwd: format!("{long}2"), ..row(3, 3, 3) },
    ];
    index.upsert_all(rows.iter().cloned().map(|row| (row, EventSeq(1))).collect()).await.unwrap();
    for row in &rows {
        assert_eq!(index.get(row.id).await.unwrap().unwrap().0, *row);
        let filter = ThreadFilter { cwds: vec![row.cwd.clone()], ..ThreadFilter::default() };
        assert_eq!(
            index.list(filter, None, 9).await.unwrap().rows,
            std::slice::from_ref(row),
            "a key only narrows down"
        );
    }
}

#[tokio::test]
async fn many_rows_are_set_at_once_and_the_last_of_a_thread_counts() {
    let index = open(&TestCluster::shared().database().await).await;
    let count = policy::ROWS_AT_ONCE as u128 + 10;
    let first = (0..count).rev().map(|n| (row(n, 0, 0), EventSeq(1)));
    let again = [(ThreadRow { name: Some("later".to_owned()), ..row(7, 0, 0) }, EventSeq(2))];
    index.upsert_all(first.chain(again).collect()).await.unwrap();
    assert_eq!(index.ends(None, 9_999).await.unwrap().unwrap().len() as u128, count);
    assert_eq!(index.get(row(7, 0, 0).id).await.unwrap().unwrap().0.name.as_deref(), Some("later"));
}

#[tokio::test]
async fn an_index_that_opens_again_knows_the_questions() {
    let at = TestCluster::shared().database().await;
    let index = open(&at).await;
    let asked = WaitingQuestion { id: 1, kind: QuestionKind::Approval, asked: WallMs(5) };
    index.upsert(ThreadRow { waiting: vec![asked], ..row(1, 1, 1) }, EventSeq(1)).await.unwrap();
    let again = open(&at).await;
    assert_eq!(again.needs_you(), index.needs_you());
    assert_eq!(again.needs_you().questions, 1);
    again.remove(row(1, 1, 1).id, EventSeq(2)).await.unwrap();
    assert_eq!(again.needs_you().questions, 0);
}

/// Each kind of page reads its rows from an index that has its order: no sort, and no look at all rows.
#[tokio::test]
async fn a_page_reads_its_rows_from_an_index() {
    let at = TestCluster::shared().database().await;
    let index = open(&at).await;
    let rows = (0..2_000).map(|n| (row(n, n as i64, n as i64), EventSeq(1)));
    index.upsert_all(rows.collect()).await.unwrap();
    TestCluster::shared().run(&at.name, "analyze threads").await;
    let all = ThreadFilter::default;
    let place = Cursor::at(&row(1_000, 1_000, 1_000), SortKey::Updated);
    for filter in [
        all(),
        ThreadFilter { sort: SortKey::Updated, ..all() },
        ThreadFilter { sort: SortKey::Updated, cwds: vec!["/a".to_owned()], ..all() },
        ThreadFilter::waiting(),
    ] {
        let from = Some(place).filter(|place| place.sort == filter.sort);
        let walk = walk::OrderedWalk::of(&filter, from, 25);
        let explained = format!("explain {}", walk.sql);
        let plan = index.pool.read(&explained, &walk.params()).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
        let plan = plan.join("\n");
        assert!(
            plan.contains("Index Scan") && !plan.contains("Sort") && !plan.contains("Seq Scan"),
            "{plan}"
        );
    }
}
