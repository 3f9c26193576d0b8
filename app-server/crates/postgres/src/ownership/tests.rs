//! Several servers that want the same threads.

use std::time::Duration;

use futures_util::future::join_all;
use skein_protocol::ids::EventSeq;
use skein_store::rollout::{AppendError, Keep, LogEntry, RolloutStore};
use skein_store::testing::{names, opened, thread};

use super::*;
use crate::rows::ThreadRows;
use crate::testing::{TestCluster, TestDatabase, until_a_statement_waits};

/// A database, and the store of its server 1.
struct Fixture {
    at: TestDatabase,
    database: Arc<Database>,
    tasks: Tasks,
    stop: CancellationToken,
    /// The row of server 1.
    node: NodeId,
    store: Arc<PgStore>,
}

impl Fixture {
    async fn new() -> Self {
        let at = TestCluster::shared().database().await;
        let database = Arc::new(Database::open(at.address.clone()).await.unwrap());
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        let rows = Arc::new(ThreadRows::open(&database, Arc::default()).await.unwrap());
        let node = NodeId::new(Uuid::from_u128(1));
        let store = PgStore::open(Arc::clone(&database), rows, node.clone(), tasks.clone()).await;
        Self { at, database, tasks, stop, node, store: Arc::new(store.unwrap()) }
    }

    fn ownership(&self, node: u128) -> PgOwnership {
        let store = Arc::clone(&self.store);
        let node = NodeId::new(Uuid::from_u128(node));
        PgOwnership::new(&self.database, node, store, (&self.tasks, self.stop.clone()))
    }

    /// The ownership of a server whose row lives.
    async fn live(&self, node: u128) -> PgOwnership {
        let node_id = Uuid::from_u128(node);
        let sql = format!(
            "insert into nodes (node, name, addr, key_sha256, speaks, state, expires)
  values ('{node_id}', 'server {node}', '', '', '[1,2)', 'live', now() + interval '1 hour')"
        );
        TestCluster::shared().run(&self.at.name, &sql).await;
        self.ownership(node)
    }

    /// The time of this server's row is over, and nobody has set it to dead yet.
    async fn expires(&self, node: u128) {
        let node = Uuid::from_u128(node);
        let sql = format!(
            "update nodes set expires = now() - interval '1 second' where node = '{node}'; update cluster set last_beat = now()"
        );
        TestCluster::shared().run(&self.at.name, &sql).await;
    }

    async fn begin(&self, leases: &[Lease]) {
        for lease in leases {
            let entry = LogEntry::of(vec![opened(1, lease.term.0)], Keep::Power);
            self.store.append(*lease, EventSeq(0), entry).await.unwrap();
        }
    }

    async fn owner(&self, thread: ThreadId) -> Option<u128> {
        let sql = "select owner from heads where thread = $1";
        let rows = self.database.pool().read(sql, &[(&thread.uuid(), Type::UUID)]).await.unwrap();
        rows[0].get::<_, Option<Uuid>>(0).map(|owner| owner.as_u128())
    }

    async fn term(&self, thread: ThreadId) -> i64 {
        let sql = "select term from heads where thread = $1";
        self.database.pool().read(sql, &[(&thread.uuid(), Type::UUID)]).await.unwrap()[0].get(0)
    }

    /// Gives up what waits for a row before it is answered. The connection is gone then, and the statement is not.
    async fn answers_nobody(&self, asks: impl Future<Output: std::fmt::Debug>) {
        let mut holder = self.database.connect().await.unwrap();
        holder.batch("begin; select from heads for update").await.unwrap();
        tokio::select! {
            answer = asks => panic!("{answer:?} beside the holder"),
            () = until_a_statement_waits(&mut holder) => {}
        }
        holder.batch("commit").await.unwrap();
    }

    async fn given_up(&self, thread: ThreadId) {
        let given_up = async { while self.owner(thread).await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(60), given_up).await.expect("the thread is not given up");
    }

    async fn clears_the_only_marker(&self, thread: ThreadId) {
        let marker = self.store.open_marker(thread);
        assert_eq!(self.store.clear_open_markers(vec![marker]).await.unwrap(), 1);
        assert_eq!(self.store.open_markers().await.unwrap(), []);
    }

    async fn finish(self) {
        self.stop.cancel();
        drop(self.store);
        self.tasks.finish().await;
    }
}

fn is_held(claimed: Result<Lease, ClaimError>) -> bool {
    match claimed {
        Ok(_) => false,
        Err(ClaimError::Held { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_claim_fences_the_former_owner_and_no_other_thread() {
    let it = Fixture::new().await;
    let (one, other) = (it.ownership(1), it.live(2).await);
    let (first, beside) = (one.lease_of_new(thread(1)), one.lease_of_new(thread(2)));
    it.begin(&[first, beside]).await;
    let second = other.claim(thread(1)).await.unwrap();
    assert_eq!(second.term, Term(2), "the row of the first is not there");
    let late = it.store.append(first, EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)).await.unwrap_err();
    assert!(matches!(late, AppendError::Fenced { term: Term(2), .. }), "{late}");
    it.store.append(second, EventSeq(1), LogEntry::of(vec![opened(2, 2)], Keep::Power)).await.unwrap();
    it.store.append(beside, EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)).await.unwrap();
    assert_eq!(one.claim(thread(9)).await.unwrap().term, FIRST, "its load says that it is missing");
    drop((one, other));
    it.finish().await;
}

#[tokio::test]
async fn a_thread_is_with_its_server_until_the_time_of_that_servers_row_is_over() {
    let it = Fixture::new().await;
    let (one, other) = (it.live(1).await, it.live(2).await);
    it.begin(&[one.lease_of_new(thread(1))]).await;
    assert_eq!(it.owner(thread(1)).await, Some(1), "with its first record");
    assert!(is_held(other.claim(thread(1)).await));
    assert_eq!(one.claim(thread(1)).await.unwrap().term, Term(2), "it may load its own thread again");
    it.expires(1).await;
    assert_eq!(other.claim(thread(1)).await.unwrap().term, Term(3));
    assert!(is_held(one.claim(thread(1)).await), "the death of a row is final");
    drop((one, other));
    it.finish().await;
}

#[tokio::test]
async fn a_thread_that_was_given_up_is_anybodys_and_a_late_give_up_takes_nothing() {
    let it = Fixture::new().await;
    let (one, other) = (it.live(1).await, it.live(2).await);
    let (first, beside) = (one.lease_of_new(thread(1)), one.lease_of_new(thread(2)));
    it.begin(&[first, beside]).await;
    one.give_up(first, LoadDue::Whenever);
    it.given_up(thread(1)).await;
    assert_eq!(it.owner(thread(2)).await, Some(1));
    let second = other.claim(thread(1)).await.unwrap();
    let third = other.claim(thread(1)).await.unwrap();
    assert_eq!((second.term, third.term), (Term(2), Term(3)));
    for (node, lease) in [(1, first), (1, third), (2, second)] {
        let given = give_up_these(
            &it.database.pool(),
            Uuid::from_u128(node),
            &[(lease, LoadDue::Whenever), (beside, LoadDue::Soon)],
        )
        .await;
        assert_eq!(given.unwrap(), HashSet::new());
        assert_eq!(it.owner(thread(1)).await, Some(2), "{node} {lease:?}");
    }
    assert_eq!(it.owner(thread(2)).await, None);
    drop((one, other));
    it.finish().await;
}

#[tokio::test]
async fn of_two_servers_that_want_a_thread_at_once_one_gets_it() {
    let it = Fixture::new().await;
    let (one, other) = (it.live(1).await, it.live(2).await);
    for n in 1..=30 {
        let lease = one.lease_of_new(thread(n));
        it.begin(&[lease]).await;
        one.give_up(lease, LoadDue::Whenever);
    }
    let both = async |n| {
        it.given_up(thread(n)).await;
        let (first, second) = tokio::join!(one.claim(thread(n)), other.claim(thread(n)));
        let (owner, won) = (it.owner(thread(n)).await, first.is_ok());
        assert_eq!(owner, Some(if won { 1 } else { 2 }));
        let lost = if won { second } else { first };
        assert!(is_held(lost), "thread {n}");
    };
    join_all((1..=30).map(both)).await;
    drop((one, other));
    it.finish().await;
}

#[tokio::test]
async fn a_row_that_is_held_is_given_up_later_and_delays_no_other() {
    let it = Fixture::new().await;
    let one = it.live(1).await;
    let (held, free) = (one.lease_of_new(thread(1)), one.lease_of_new(thread(2)));
    it.begin(&[held, free]).await;
    let mut holder = it.database.connect().await.unwrap();
    let hold = format!("begin; select 1 from heads where thread = '{}' for update", held.thread);
    holder.batch(&hold).await.unwrap();
    one.give_up(held, LoadDue::Whenever);
    one.give_up(free, LoadDue::Whenever);
    it.given_up(free.thread).await;
    assert_eq!(it.owner(held.thread).await, Some(1));
    holder.batch("commit").await.unwrap();
    it.given_up(held.thread).await;
    drop(one);
    it.finish().await;
}

/// Its marker of the term before is in the new term.
#[tokio::test]
async fn a_server_that_claims_its_own_thread_again_can_clear_its_marker() {
    let it = Fixture::new().await;
    let one = it.live(1).await;
    it.begin(&[one.lease_of_new(thread(1))]).await;
    one.claim(thread(1)).await.unwrap();
    it.clears_the_only_marker(thread(1)).await;
    drop(one);
    it.finish().await;
}

/// As an unload whose give-up is on its way when the thread is loaded again.
#[tokio::test]
async fn a_claim_beside_a_give_up_of_the_same_server_gets_the_thread() {
    let it = Fixture::new().await;
    let one = it.live(1).await;
    it.begin(&[one.lease_of_new(thread(1))]).await;
    let mut given_up = it.database.connect().await.unwrap();
    given_up.batch("begin; update heads set owner = null").await.unwrap();
    let commit = async {
        until_a_statement_waits(&mut given_up).await;
        given_up.batch("commit").await.unwrap();
    };
    let (claimed, ()) = tokio::join!(one.claim(thread(1)), commit);
    assert_eq!(claimed.unwrap().term, Term(2));
    assert_eq!(it.owner(thread(1)).await, Some(1));
    drop(one);
    it.finish().await;
}

#[tokio::test]
async fn a_server_without_a_row_claims_no_thread_and_begins_none() {
    let it = Fixture::new().await;
    let (tasks, stop) = (&it.tasks, it.stop.clone());
    let one = PgOwnership::new(&it.database, it.node.clone(), Arc::clone(&it.store), (tasks, stop));
    it.begin(&[one.lease_of_new(thread(1))]).await;
    it.node.lose();
    let claimed = one.claim(thread(1)).await.unwrap_err();
    assert!(matches!(&claimed, ClaimError::Unreadable(_)), "{claimed}");
    let entry = || LogEntry::of(vec![opened(1, 1)], Keep::Power);
    let begun = it.store.append(one.lease_of_new(thread(2)), EventSeq(0), entry()).await.unwrap_err();
    assert!(matches!(&begun, AppendError::Away { .. }), "{begun}");
    it.node.enter(Uuid::from_u128(2));
    it.begin(&[one.lease_of_new(thread(2))]).await;
    assert_eq!((it.owner(thread(1)).await, it.owner(thread(2)).await), (Some(1), Some(2)));
    drop(one);
    it.finish().await;
}

/// As that of a killed server, which a repair loads without a change.
#[tokio::test]
async fn a_marker_that_another_server_has_set_is_cleared_by_the_one_that_claims_its_thread() {
    let it = Fixture::new().await;
    let other = it.live(2).await;
    let id = thread(1).uuid();
    let sql = format!(
        "insert into heads (thread, owner, term, seq, header, open) values ('{id}', null, 1, 1, 1, true)"
    );
    TestCluster::shared().run(&it.at.name, &sql).await;
    other.claim(thread(1)).await.unwrap();
    it.clears_the_only_marker(thread(1)).await;
    drop(other);
    it.finish().await;
}

#[tokio::test]
async fn a_thread_whose_claim_is_answered_to_nobody_is_given_up_for_the_next_load() {
    let it = Fixture::new().await;
    let one = it.live(1).await;
    let first = one.lease_of_new(thread(1));
    it.begin(&[first]).await;
    one.give_up(first, LoadDue::Whenever);
    it.given_up(first.thread).await;
    it.answers_nobody(one.claim(first.thread)).await;
    let taken = async { while it.term(first.thread).await != 2 {} };
    tokio::time::timeout(Duration::from_secs(60), taken).await.expect("the claim does not come");
    it.given_up(first.thread).await;
    assert_eq!(one.claim(first.thread).await.unwrap().term, Term(3));
    assert!(it.store.claims().is_empty(), "an answered claim is in no doubt");
    drop(one);
    it.finish().await;
}

/// Nobody has loaded it, and no list shows it before a load has set its row.
#[tokio::test]
async fn a_copy_that_is_answered_to_nobody_is_given_up_for_the_next_load() {
    let it = Fixture::new().await;
    let one = it.live(1).await;
    it.begin(&[one.lease_of_new(thread(1))]).await;
    let copy = one.lease_of_new(thread(2));
    // The row of a marker, which the copy waits for.
    let sql = format!(
        "insert into heads (thread, term, seq, header, open) values ('{}', 1, 0, 0, true)",
        copy.thread
    );
    TestCluster::shared().run(&it.at.name, &sql).await;
    it.answers_nobody(it.store.copy(thread(1), EventSeq(1), copy, Vec::new())).await;
    let there = async { while it.store.head(copy.thread).await.unwrap() != EventSeq(1) {} };
    tokio::time::timeout(Duration::from_secs(60), there).await.expect("the copy does not come");
    it.given_up(copy.thread).await;
    assert_eq!(one.claim(copy.thread).await.unwrap().thread, copy.thread);
    drop(one);
    it.finish().await;
}
