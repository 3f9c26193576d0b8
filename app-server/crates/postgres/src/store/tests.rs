use std::sync::Arc;

use skein_base::tasks::Tasks;
use skein_store::rollout::Keep;
use skein_store::rollout::conformance::keeps_every_promise;

use super::*;
use crate::testing::{TestCluster, TestDatabase, TestPooler};

mod faults;
mod fence;
mod rows;
mod same;
mod standby;

/// The owner of the threads that begin in these tests.
const NODE: Uuid = Uuid::from_u128(1);

/// A store in a database of its own.
struct Fixture {
    at: TestDatabase,
    tasks: Tasks,
    store: PgStore,
}

impl Fixture {
    async fn new() -> Self {
        Self::in_cluster(TestCluster::shared()).await
    }

    async fn in_cluster(cluster: &TestCluster) -> Self {
        let at = cluster.database().await;
        let tasks = Tasks::new();
        let store = open(&at, &tasks).await;
        Self { at, tasks, store }
    }

    /// Ends the store and its tasks.
    async fn finish(self) {
        drop(self.store);
        self.tasks.finish().await;
    }
}

async fn open(at: &TestDatabase, tasks: &Tasks) -> PgStore {
    let database = Arc::new(Database::open(at.address.clone()).await.unwrap());
    let rows = ThreadRows::open(&database, Arc::default()).await.unwrap();
    PgStore::open(database, Arc::new(rows), NodeId::new(NODE), tasks.clone()).await.unwrap()
}

#[tokio::test]
async fn keeps_every_promise_of_a_store() {
    keeps_every_promise(async || {
        let Fixture { at, tasks, store } = Fixture::new().await;
        ((at, tasks), store)
    })
    .await;
}

#[tokio::test]
async fn keeps_every_promise_behind_a_pooler_of_transactions() {
    keeps_every_promise(async || {
        let at = TestCluster::shared().database().await;
        let pooler = TestPooler::start(&at);
        let tasks = Tasks::new();
        let store = open(&pooler.database(&at), &tasks).await;
        ((pooler, tasks), store)
    })
    .await;
}

#[tokio::test]
async fn the_appenders_end_with_the_store() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.tasks.count(), policy::APPENDERS);
    fixture.finish().await;
}
