//! Appends while the database, or the way to it, fails.

use std::time::Duration;

use skein_store::testing::{lease, names, opened, thread};
use tokio::time::timeout;
use tokio_postgres::types::Type;

use super::*;
use crate::connection::Link;
use crate::testing::{CuttingProxy, ProxyCut};

/// Time for something that takes milliseconds.
const SOON: Duration = Duration::from_secs(60);

/// A store behind a proxy, with a thread of one record.
struct Proxied {
    at: TestDatabase,
    tasks: Tasks,
    proxy: CuttingProxy,
    store: PgStore,
}

impl Proxied {
    async fn new() -> Self {
        let at = TestCluster::shared().database().await;
        let tasks = Tasks::new();
        let proxy = CuttingProxy::start(&tasks, &at);
        let through = TestDatabase { address: proxy.address(&at), name: at.name.clone() };
        let store = open(&through, &tasks).await;
        store.append(lease(thread(1)), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
        Self { at, tasks, proxy, store }
    }

    /// Appends while the proxy cuts. A task that has no connection yet is refused one; the first with a connection loses its
    /// statement or the answer.
    async fn lose(&self, cut: ProxyCut, id: ThreadId, expected: EventSeq, records: &[Record]) {
        self.proxy.set(cut);
        let mut outcomes = Vec::new();
        for _ in 0..policy::APPENDERS {
            let lost = self
                .store
                .append(lease(id), expected, LogEntry::of(records.to_vec(), Keep::Power))
                .await
                .unwrap_err();
            if matches!(lost, AppendError::Cut { .. }) {
                self.proxy.set(ProxyCut::Nothing);
                return;
            }
            outcomes.push(lost);
        }
        panic!("no append has an unknown outcome: {outcomes:?}");
    }

    async fn finish(self) {
        drop((self.store, self.proxy));
        timeout(SOON, self.tasks.finish()).await.expect("the proxy and the appenders end");
    }
}

/// The lines of the thread, as the database has them.
async fn lines_of(at: &TestDatabase, id: ThreadId) -> i64 {
    let mut link = Link::connect(&at.address).await.unwrap();
    let sql = "select count(*) from records where thread = $1";
    link.read(sql, &[(&id.uuid(), Type::UUID)]).await.unwrap()[0].get(0)
}

#[tokio::test]
async fn a_statement_that_never_arrived_is_unknown_and_its_retry_writes_it_once() {
    let it = Proxied::new().await;
    let id = thread(1);
    it.lose(ProxyCut::Statements, id, EventSeq(1), &names(2, 3)).await;
    assert_eq!(it.store.head(id).await.unwrap(), EventSeq(1), "behind the doubt");
    let again =
        it.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 3), Keep::Power)).await.unwrap();
    assert_eq!((again.head, lines_of(&it.at, id).await), (EventSeq(3), 3));
    it.finish().await;
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_is_unknown_and_its_retry_finds_its_own_records() {
    for id in [thread(1), thread(2)] {
        let it = Proxied::new().await;
        let expected = if id == thread(1) { EventSeq(1) } else { EventSeq(0) };
        let records = names(expected.0 + 1, expected.0 + 2);
        it.lose(ProxyCut::Answers, id, expected, &records).await;
        let again =
            it.store.append(lease(id), expected, LogEntry::of(records.clone(), Keep::Power)).await.unwrap();
        assert_eq!(again.head, EventSeq(expected.0 + 2));
        assert_eq!(it.store.head(id).await.unwrap(), again.head);
        assert_eq!(lines_of(&it.at, id).await, i64::try_from(again.head.0).unwrap(), "each once");
        let twice =
            it.store.append(lease(id), expected, LogEntry::of(records, Keep::Power)).await.unwrap_err();
        assert!(matches!(twice, AppendError::Conflict { .. }), "the doubt is over: {twice}");
        it.finish().await;
    }
}

#[tokio::test]
async fn records_of_another_writer_are_a_conflict_for_an_append_in_doubt() {
    let it = Proxied::new().await;
    let id = thread(1);
    it.lose(ProxyCut::Statements, id, EventSeq(1), &names(2, 2)).await;
    let (tasks, other) = (Tasks::new(), &it.at);
    let other = open(other, &tasks).await;
    other.append(lease(id), EventSeq(1), LogEntry::of(vec![opened(2, 1)], Keep::Power)).await.unwrap();
    let refused =
        it.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)).await.unwrap_err();
    assert!(matches!(refused, AppendError::Conflict { head: EventSeq(2), .. }), "{refused}");
    drop(other);
    tasks.finish().await;
    it.finish().await;
}

#[tokio::test]
async fn a_database_that_is_away_refuses_and_serves_when_it_is_back() {
    let Proxied { at, tasks, proxy, store } = Proxied::new().await;
    let id = thread(1);
    let address = proxy.address(&at);
    drop(proxy);
    // The connections end with the proxy; the next tries find no socket.
    let refused = loop {
        let lost =
            store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)).await.unwrap_err();
        if let AppendError::Away { why, .. } = lost {
            break why;
        }
        assert!(matches!(lost, AppendError::Cut { .. }), "{lost}");
    };
    assert!(refused.reason.contains("cannot be reached"), "{refused}");
    assert!(refused.retry_after > Duration::ZERO);
    let unread = store.read_after(id, EventSeq(0), 9).await.unwrap_err();
    assert!(matches!(unread, ReadError::Away { .. }), "{unread}");
    let moved = store.relocate(lease(id), Location::Archived).await.unwrap_err();
    assert!(matches!(moved, MoveError::Away { .. }), "{moved}");
    drop((store, address));
    let store = open(&at, &tasks).await;
    assert_eq!(store.read_after(id, EventSeq(0), 9).await.unwrap().records, names(1, 1));
    drop(store);
    timeout(SOON, tasks.finish()).await.unwrap();
}

#[tokio::test]
async fn idle_connections_that_the_database_ended_are_made_again() {
    let it = Fixture::new().await;
    let id = thread(1);
    for expected in 0..8 {
        let one = names(expected + 1, expected + 1);
        it.store.append(lease(id), EventSeq(expected), LogEntry::of(one, Keep::Power)).await.unwrap();
        it.store.head(id).await.unwrap();
        end_connections(&it.at).await;
    }
    assert_eq!(it.store.counts().errors, 0);
    it.finish().await;
}

/// Ends every other connection to the database, and waits for their ends.
async fn end_connections(at: &TestDatabase) {
    let mut link = Link::connect(&at.address).await.unwrap();
    let others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    link.read(&format!("select pg_terminate_backend(pid) {others}"), &[]).await.unwrap();
    let gone = async { while !link.read(&format!("select 1 {others}"), &[]).await.unwrap().is_empty() {} };
    timeout(SOON, gone).await.expect("the connections end");
}

/// The sentence of a refused append.
async fn refusal(store: &PgStore) -> String {
    let refused = store
        .append(lease(thread(1)), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power))
        .await
        .unwrap_err();
    let AppendError::Away { why, .. } = refused else { panic!("{refused}") };
    why.reason
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_one_sentence() {
    let cluster = TestCluster::shared();
    let at = cluster.database().await;
    let sql = format!("alter database {} set default_transaction_read_only = on", at.name);
    cluster.run("postgres", &sql).await;
    let tasks = Tasks::new();
    let store = open(&at, &tasks).await;
    let reason = refusal(&store).await;
    assert!(reason.contains("takes no writes; point the store at the primary"), "{reason}");
    assert!(store.threads().await.unwrap().is_empty(), "it can still be read");
    drop(store);
    tasks.finish().await;
}

#[tokio::test]
async fn a_role_with_too_few_rights_is_one_sentence() {
    let cluster = TestCluster::shared();
    let at = cluster.database().await;
    let role = format!("reader_{}", at.name);
    let sql = format!("create role {role} login; grant select on all tables in schema public to {role}");
    cluster.run(&at.name, &sql).await;
    let mut address = at.address.clone();
    address.config.user(&role);
    let tasks = Tasks::new();
    let store = open(&TestDatabase { address, name: at.name.clone() }, &tasks).await;
    let reason = refusal(&store).await;
    assert!(reason.contains("too few rights; a server needs select, insert, update and delete"), "{reason}");
    drop(store);
    tasks.finish().await;
}

#[tokio::test]
async fn tables_that_are_gone_are_one_sentence() {
    let it = Fixture::new().await;
    TestCluster::shared().run(&it.at.name, "drop table records").await;
    let reason = refusal(&it.store).await;
    assert!(reason.contains("lacks Skein's tables"), "{reason}");
    it.finish().await;
}
