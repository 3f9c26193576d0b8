//! Appends of several writers of one thread.

use skein_store::home::Term;
use skein_store::testing::{lease, names, opened, thread};
use tokio_postgres::types::Type;

use super::same::with_secrets;
use super::*;
use crate::connection::Link;
use crate::policy;
use crate::testing::until_a_statement_waits;

/// A transaction that holds the row of a thread.
struct RowHolder(Link);

impl RowHolder {
    async fn of(at: &TestDatabase, id: ThreadId) -> Self {
        let mut link = Link::connect(&at.address).await.unwrap();
        link.batch("begin").await.unwrap();
        let sql = "select 1 from heads where thread = $1 for update";
        link.read(sql, &[(&id.uuid(), Type::UUID)]).await.unwrap();
        Self(link)
    }

    /// Waits until another statement waits for the row.
    async fn awaited(&mut self) {
        until_a_statement_waits(&mut self.0).await;
    }

    /// Does this, and lets the row go.
    async fn commit(mut self, sql: &str) {
        self.0.batch(&format!("{sql}; commit")).await.unwrap();
    }
}

#[tokio::test]
async fn an_append_that_waits_for_the_row_is_fenced_by_the_claim_it_waited_for() {
    let it = Fixture::new().await;
    let id = thread(1);
    it.store.append(lease(id), EventSeq(0), LogEntry::of(vec![opened(1, 1)], Keep::Power)).await.unwrap();
    let mut claim = RowHolder::of(&it.at, id).await;
    let late = it.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power));
    let claimed = async {
        claim.awaited().await;
        claim.commit(&format!("update heads set term = 2 where thread = '{id}'")).await;
    };
    let (late, ()) = tokio::join!(late, claimed);
    let late = late.unwrap_err();
    assert!(matches!(late, AppendError::Fenced { term: Term(2), .. }), "{late}");
    assert_eq!(it.store.read_after(id, EventSeq(0), 9).await.unwrap().records, [opened(1, 1)]);
    it.finish().await;
}

#[tokio::test]
async fn an_append_that_waits_for_the_row_finds_the_number_taken() {
    let it = Fixture::new().await;
    let id = thread(1);
    it.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    let mut other = RowHolder::of(&it.at, id).await;
    let late = it.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power));
    let taken = async {
        other.awaited().await;
        other.commit(&format!("update heads set seq = 7 where thread = '{id}'")).await;
    };
    let (late, ()) = tokio::join!(late, taken);
    let late = late.unwrap_err();
    assert!(matches!(late, AppendError::Conflict { head: EventSeq(7), .. }), "{late}");
    it.finish().await;
}

#[tokio::test]
async fn a_row_that_is_held_delays_its_thread_and_no_other() {
    let it = Fixture::new().await;
    let (held, free) = (thread(1), thread(2));
    for id in [held, free] {
        it.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    }
    let holder = RowHolder::of(&it.at, held).await;
    let append = |id| it.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power));
    let (refused, done) = tokio::join!(append(held), append(free));
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, AppendError::Away { why, .. } if why.reason.contains("holds the thread's row")),
        "{refused}"
    );
    assert_eq!(done.unwrap().head, EventSeq(2));
    holder.commit("select 1").await;
    assert_eq!(append(held).await.unwrap().head, EventSeq(2), "a retry is safe");
    it.finish().await;
}

#[tokio::test]
async fn an_append_whose_connection_ends_in_the_middle_is_unknown_and_its_retry_writes_it() {
    let it = Fixture::new().await;
    let id = thread(1);
    it.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    let mut holder = RowHolder::of(&it.at, id).await;
    let append = it.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power));
    let ended = async {
        holder.awaited().await;
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'";
        holder.0.read(sql, &[]).await.unwrap();
    };
    let (lost, ()) = tokio::join!(append, ended);
    assert!(matches!(lost, Err(AppendError::Cut { .. })), "{lost:?}");
    holder.commit("select 1").await;
    assert_eq!(it.store.head(id).await.unwrap(), EventSeq(1));
    it.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)).await.unwrap();
    assert_eq!(it.store.load(id).await.unwrap().end, names(1, 2));
    it.finish().await;
}

#[tokio::test]
async fn many_threads_append_at_once_and_each_is_whole() {
    let it = Fixture::new().await;
    let writer = async |n: u128| {
        let id = thread(n);
        for expected in 0..5 {
            let one = names(expected + 1, expected + 1);
            it.store.append(lease(id), EventSeq(expected), LogEntry::of(one, Keep::Power)).await.unwrap();
        }
    };
    futures_util::future::join_all((0..200).map(writer)).await;
    for n in 0..200 {
        assert_eq!(it.store.read_after(thread(n), EventSeq(0), 9).await.unwrap().records, names(1, 5));
    }
    let mut link = Link::connect(&it.at.address).await.unwrap();
    let sql = "select count(distinct xmin::text) from records";
    let commits: i64 = link.read(sql, &[]).await.unwrap()[0].get(0);
    assert!(commits < 500, "1000 appends in {commits} commits");
    assert_eq!(it.store.counts().appends, 1_000);
    it.finish().await;
}

#[tokio::test]
async fn an_append_goes_on_when_its_caller_is_gone() {
    let it = Fixture::new().await;
    let id = thread(1);
    it.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    let mut holder = RowHolder::of(&it.at, id).await;
    tokio::select! {
        biased;
        _never = it.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)) => panic!("the row is held"),
        () = holder.awaited() => {}
    }
    let (loaded, ()) = tokio::join!(it.store.load(id), holder.commit("select 1"));
    assert_eq!(loaded.unwrap().end, names(1, 2), "a load waits for it");
    assert_eq!(policy::APPENDERS, it.tasks.count());
    it.finish().await;
}

#[tokio::test]
async fn a_server_that_has_lost_a_thread_changes_nothing_beside_its_rollout() {
    let it = Fixture::new().await;
    let id = skein_store::testing::THREAD;
    let with_secret = |value: &str| with_secrets(serde_json::json!({"headers": {"Authorization": value}}));
    let begun = LogEntry::of(with_secret("old"), Keep::Power);
    let head = it.store.append(lease(id), EventSeq(0), begun).await.unwrap().head;
    let (marker, secrets) = (it.store.open_marker(id), it.store.secrets(id).await.unwrap());
    TestCluster::shared().run(&it.at.name, "update heads set term = 2").await;
    it.store.clear_open_markers(vec![marker]).await.unwrap();
    assert_eq!(it.store.open_markers().await.unwrap(), [id], "its successor has set it again");
    let mut late = with_secret("late");
    late.iter_mut().for_each(|record| record.seq = EventSeq(record.seq.0 + head.0));
    let late = it.store.append(lease(id), head, LogEntry::of(late, Keep::Power)).await.unwrap_err();
    assert!(matches!(late, AppendError::Fenced { .. }), "{late}");
    assert_eq!(it.store.secrets(id).await.unwrap(), secrets);
    it.finish().await;
}
