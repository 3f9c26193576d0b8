//! A commit that waits for a synchronous standby.

use std::time::Duration;

use skein_store::testing::{lease, names, thread};
use tokio::time::timeout;

use super::*;
use crate::connection::Link;

const SOON: Duration = Duration::from_secs(60);

/// A store in a cluster of its own, whose standby never comes.
async fn without_standby() -> (TestCluster, Fixture) {
    let cluster = TestCluster::start();
    let it = Fixture::in_cluster(&cluster).await;
    it.store.append(lease(thread(1)), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    wait_for(&cluster, "absent").await;
    (cluster, it)
}

async fn wait_for(cluster: &TestCluster, standby: &str) {
    cluster.run("postgres", &format!("alter system set synchronous_standby_names = '{standby}'")).await;
    cluster.run("postgres", "select pg_reload_conf()").await;
}

/// Does this to the process that waits for the standby, once there is one.
async fn at_the_wait(at: &TestDatabase, deed: &str) {
    let mut link = Link::connect(&at.address).await.unwrap();
    let sql = format!(
        "select {deed}(pid) from pg_stat_activity where wait_event = 'SyncRep' and datname = current_database()"
    );
    let done = async { while link.read(&sql, &[]).await.unwrap().is_empty() {} };
    timeout(SOON, done).await.expect("the commit waits");
}

#[tokio::test]
async fn a_commit_whose_wait_is_cancelled_is_unknown() {
    for deed in ["pg_cancel_backend", "pg_terminate_backend"] {
        let (cluster, it) = without_standby().await;
        let id = thread(1);
        let append = it.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power));
        let (outcome, ()) = tokio::join!(append, at_the_wait(&it.at, deed));
        let unknown = outcome.unwrap_err();
        assert!(matches!(unknown, AppendError::Cut { .. }), "{deed}: {unknown}");

        // The end is known only behind a commit that the standby confirms.
        let (head, ()) = tokio::join!(it.store.head(id), at_the_wait(&it.at, deed));
        assert!(matches!(head, Err(ReadError::Away { .. })), "{deed}: {head:?}");
        wait_for(&cluster, "").await;
        assert_eq!(it.store.head(id).await.unwrap(), EventSeq(2));
        let again =
            it.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)).await.unwrap();
        assert_eq!(again.head, EventSeq(2), "its own records");
        it.finish().await;
    }
}
