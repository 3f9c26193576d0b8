//! Two servers that change rows of one database.

use std::time::Duration;

use skein_base::clock::WallMs;
use skein_protocol::ids::EventSeq;
use skein_store::history::{ThreadRow, WaitingQuestion};
use skein_store::index::ThreadIndex;
use skein_store::index::conformance::row;
use skein_store::rollout::record::QuestionKind;

use super::*;
use crate::index::PgIndex;
use crate::testing::{TestCluster, TestDatabase};

struct Server {
    database: Database,
    index: PgIndex,
    news: RowNews,
}

impl Server {
    async fn open(at: &TestDatabase) -> Self {
        let database = Database::open(at.address.clone()).await.unwrap();
        let rows = Arc::new(ThreadRows::open(&database, Arc::default()).await.unwrap());
        let index = PgIndex::new(&database, Arc::clone(&rows));
        let news = RowNews::new(&database, rows);
        Self { database, index, news }
    }

    async fn sets(&self, row: ThreadRow, as_of: u64) {
        self.index.upsert(row, EventSeq(as_of)).await.unwrap();
    }

    async fn takes_in(&self) -> Vec<ThreadId> {
        self.news.take_in().await.unwrap().into_iter().collect()
    }

    /// The number of a transaction.
    async fn transaction(&self, sql: &str) -> u64 {
        let read = self.database.pool().read(&format!("select {sql}::text"), &[]).await.unwrap();
        read[0].get::<_, String>(0).parse().unwrap()
    }

    fn questions(&self) -> u64 {
        self.index.needs_you().questions
    }
}

/// Two servers of a database.
async fn two() -> (TestDatabase, Server, Server) {
    let at = TestCluster::shared().database().await;
    let (one, other) = (Server::open(&at).await, Server::open(&at).await);
    (at, one, other)
}

/// A thread with a question.
fn asks(n: u128) -> ThreadRow {
    let question = WaitingQuestion { id: 7, kind: QuestionKind::Approval, asked: WallMs(5) };
    ThreadRow { waiting: vec![question], ..row(n, 1, 1) }
}

#[tokio::test]
async fn each_server_knows_which_questions_wait_at_the_other() {
    let (_at, one, other) = two().await;
    let [first, second] = [asks(1), asks(2)];
    let (of_first, of_second) = (first.id, second.id);
    one.sets(first, 1).await;
    one.sets(second, 1).await;
    assert_eq!((other.takes_in().await, other.questions()), (vec![of_first, of_second], 2));
    assert_eq!(other.takes_in().await, [], "it was taken in");
    assert_eq!((one.takes_in().await, one.questions()), (vec![], 2), "it knows its own");
    // The thread goes to the other server, and is answered there.
    other.sets(row(1, 1, 1), 2).await;
    other.index.remove(of_second, EventSeq(2)).await.unwrap();
    assert_eq!((one.takes_in().await, one.questions()), (vec![of_first, of_second], 0));
    assert_eq!(other.takes_in().await, []);
}

#[tokio::test]
async fn a_question_that_a_search_takes_in_still_reaches_the_clients() {
    let (_at, one, other) = two().await;
    let asking = asks(1);
    let id = asking.id;
    one.sets(asking, 1).await;
    assert_eq!(OtherWriters::take_in(&other.news).await, Some(vec![]));
    assert_eq!((other.takes_in().await, other.takes_in().await), (vec![id], vec![]));
}

#[tokio::test]
async fn a_look_neither_waits_for_a_write_of_this_server_nor_delays_one() {
    let (_at, one, other) = two().await;
    let asking = asks(1);
    let id = asking.id;
    one.sets(asking, 1).await;
    let write = other.news.rows.turn_of(id).await;
    let taken = tokio::time::timeout(Duration::from_secs(60), other.takes_in()).await;
    assert_eq!(taken.expect("it waits for the write"), [id]);
    drop(write);
    other.sets(row(1, 1, 1), 2).await;
    assert_eq!((other.takes_in().await, other.questions()), (vec![], 0), "its own write counts");
}

#[tokio::test]
async fn a_change_that_is_committed_after_a_later_one_is_not_missed() {
    let (_at, one, other) = two().await;
    let [late, early] = [asks(1), asks(2)];
    let (of_late, of_early) = (late.id, early.id);
    one.sets(row(1, 1, 1), 1).await;
    other.takes_in().await;
    let mut slow = one.database.connect().await.unwrap();
    let json = serde_json::to_string(&late).unwrap();
    slow.batch(&format!(
        "begin; update threads set \"row\" = '{json}', changed = pg_current_xact_id() where thread = '{}'",
        of_late.uuid()
    ))
    .await
    .unwrap();
    one.sets(early, 1).await;
    assert_eq!(other.takes_in().await, [of_early]);
    assert_eq!(other.takes_in().await, [], "what is read again was taken in");
    slow.batch("commit").await.unwrap();
    assert_eq!((other.takes_in().await, other.questions()), (vec![of_late], 2));
}

#[tokio::test]
async fn a_search_knows_the_threads_that_may_be_ahead_of_their_rows() {
    let at = TestCluster::shared().database().await;
    let one = Server::open(&at).await;
    let head = |n: u128, owner: &str, open: bool| {
        let id = Uuid::from_u128(n);
        format!(
            "insert into heads (thread, owner, term, seq, header, open) values ('{id}', {owner}, 1, 1, 1, {open})"
        )
    };
    for (n, owner, open) in [(1, "gen_random_uuid()", true), (2, "null", true), (3, "null", false)] {
        TestCluster::shared().run(&at.name, &head(n, owner, open)).await;
    }
    let mut ahead = OtherWriters::take_in(&one.news).await.unwrap();
    ahead.sort_unstable();
    assert_eq!(ahead, [1, 2].map(|n| ThreadId::new(Uuid::from_u128(n))));
    TestCluster::shared().run(&at.name, "alter table threads rename to gone").await;
    assert_eq!(OtherWriters::take_in(&one.news).await, None, "nobody knows");
}

#[tokio::test]
async fn a_change_under_the_number_of_a_transaction_that_a_crash_lost_is_not_missed() {
    let cluster = TestCluster::start();
    // Nothing but a commit saves what the database logs.
    cluster.run("postgres", "alter system set wal_writer_delay = '10s'").await;
    cluster.run("postgres", "select pg_reload_conf()").await;
    let at = cluster.database().await;
    let other = Server::open(&at).await;
    for n in 1..10 {
        let lost = "begin; select pg_current_xact_id(); rollback;".repeat(100);
        cluster.run(&at.name, &lost).await;
        other.takes_in().await;
        let end = other.transaction("pg_snapshot_xmin(pg_current_snapshot())").await;
        cluster.stop();
        cluster.start_again();
        let one = Server::open(&at).await;
        let asking = asks(n);
        let id = asking.id;
        one.sets(asking, 1).await;
        let changed = one.transaction("(select changed from threads order by changed desc limit 1)").await;
        // Its connections have ended with the database.
        let mut taken = other.news.take_in().await;
        while taken.is_err() {
            taken = other.news.take_in().await;
        }
        assert_eq!(taken.unwrap(), BTreeSet::from([id]), "transaction {changed} after {end}");
        if changed < end {
            return;
        }
    }
    panic!("the database saved every transaction");
}

/// As after a promotion that has lost what was seen: the numbers of transactions begin again at an earlier one.
#[tokio::test]
async fn another_life_of_the_database_is_looked_at_from_its_beginning() {
    let (at, one, other) = two().await;
    let [lost, kept] = [asks(1), asks(2)];
    let (of_lost, of_kept) = (lost.id, kept.id);
    one.sets(lost, 1).await;
    assert_eq!((other.takes_in().await, other.questions()), (vec![of_lost], 1));
    TestCluster::shared().run(&at.name, "delete from threads").await;
    one.sets(kept, 1).await;
    {
        let mut taken = lock(&other.news.taken);
        (taken.life, taken.place) = (Uuid::nil(), u64::MAX.to_string());
    }
    assert_eq!((other.takes_in().await, other.questions()), (vec![of_lost, of_kept], 1));
    one.sets(asks(3), 1).await;
    assert_eq!((other.takes_in().await.len(), other.questions()), (1, 2), "it goes on from there");
}
