//! The effects of a cluster's commands on its database.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::database::Database;
use crate::node::{NodeCompany, NodeProfile};
use crate::presence::NodePresence;
use crate::testing::{TestCluster, TestDatabase};

#[tokio::test]
async fn a_cluster_is_made_once_and_a_second_call_says_so() {
    let at = TestCluster::shared().empty_database().await;
    let absent = Database::open(at.address.clone()).await.unwrap_err();
    assert!(matches!(absent, SchemaError::Absent), "{absent}");
    let calls = futures_util::future::join_all((0..4).map(|_| init(&at.address))).await;
    let made: Vec<Cluster> = calls
        .iter()
        .filter_map(|made| match made.as_ref().unwrap() {
            InitOutcome::Made(cluster) => Some(*cluster),
            InitOutcome::Already(_) => None,
        })
        .collect();
    let [cluster] = made[..] else { panic!("one of them makes it: {made:?}") };
    assert_eq!(init(&at.address).await.unwrap(), InitOutcome::Already(cluster));
    assert_eq!(Database::open(at.address.clone()).await.unwrap().cluster(), cluster);
}

#[tokio::test]
async fn tables_of_another_form_are_refused_in_one_sentence() {
    let cluster = TestCluster::shared();
    let at = cluster.database().await;
    for (form, oldest, says) in
        [(1, 1, "upgrade"), (SCHEMA + 2, SCHEMA + 1, "use the version that made them")]
    {
        let set = format!("update cluster set schema = {form}, oldest_schema = {oldest}");
        cluster.run(&at.name, &set).await;
        let refused = Database::open(at.address.clone()).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
    let set = format!("update cluster set schema = {}, oldest_schema = {SCHEMA}", SCHEMA + 1);
    cluster.run(&at.name, &set).await;
    assert!(Database::open(at.address).await.is_ok(), "a later form that this version may serve");
}

/// A database as the first version made it.
async fn of_first_form(cluster: &TestCluster) -> TestDatabase {
    let at = cluster.empty_database().await;
    let row = format!("insert into cluster (id, schema, oldest_schema) values ('{}', 1, 1)", Clock.new_id());
    cluster.run(&at.name, &format!("{TABLES}{}{row}", partitions())).await;
    at
}

fn as_role(at: &TestDatabase, role: &str) -> DbAddress {
    let mut address = at.address.clone();
    address.config.user(role);
    address
}

#[tokio::test]
async fn tables_of_the_first_form_are_brought_up_to_date_with_the_rights_of_their_roles() {
    let cluster = TestCluster::shared();
    let at = of_first_form(cluster).await;
    cluster
        .run(
            &at.name,
            "create role early login; grant select, insert, update, delete on heads, cluster to early",
        )
        .await;
    let id = init(&at.address).await.unwrap_err().to_string();
    assert!(id.contains("skein cluster upgrade"), "{id}");
    cluster.run(&at.name, "update cluster set moved_to = 'home:/there'").await;
    let moved = upgrade(&at.address).await.unwrap_err();
    assert!(matches!(moved, SchemaError::Moved(_)), "{moved}");
    cluster.run(&at.name, "update cluster set moved_to = null").await;
    for done in futures_util::future::join_all((0..3).map(|_| upgrade(&at.address))).await {
        done.unwrap();
    }
    let InitOutcome::Already(after) = upgrade(&at.address).await.unwrap() else { panic!("it is up to date") };
    assert_eq!(after.schema, SCHEMA);
    let mut link = Link::connect(&as_role(&at, "early")).await.unwrap();
    let count = link.read("select count(*) from credentials", &[]).await.unwrap();
    assert_eq!(count[0].get::<_, i64>(0), 0);
    assert_eq!(Database::open(at.address).await.unwrap().cluster(), after);
}

/// While it waited, every beat of a server would wait behind it.
#[tokio::test]
async fn tables_that_a_transaction_holds_are_not_brought_up_to_date_and_hold_nobody_up() {
    let cluster = TestCluster::shared();
    let at = of_first_form(cluster).await;
    let mut dump = Link::connect(&at.address).await.unwrap();
    dump.batch("begin; select count(*) from cluster").await.unwrap();
    let refused = upgrade(&at.address).await.unwrap_err().to_string();
    assert!(refused.contains("such as that of pg_dump"), "{refused}");
    cluster.run(&at.name, "update cluster set last_beat = now()").await;
    dump.batch("commit").await.unwrap();
    assert!(matches!(upgrade(&at.address).await, Ok(InitOutcome::Made(_))));
}

#[tokio::test]
async fn a_role_may_read_and_write_rows_and_nothing_else() {
    let cluster = TestCluster::shared();
    let at = cluster.database().await;
    let role = "a \"role\" of Skein's";
    for _ in 0..2 {
        allow(&at.address, role).await.unwrap();
    }
    let mut link = Link::connect(&as_role(&at, role)).await.unwrap();
    let served = Database::open(as_role(&at, role)).await.unwrap();
    served.takes_writes().await.unwrap();
    cluster.run(&at.name, "create role reader login; grant select on cluster to reader").await;
    let reads = Database::open(as_role(&at, "reader")).await.unwrap();
    let refused = reads.takes_writes().await.unwrap_err().to_string();
    assert!(refused.contains("too few rights"), "{refused}");
    cluster
        .run(&at.name, &format!("alter database {} set default_transaction_read_only = on", at.name))
        .await;
    let refused = Database::open(as_role(&at, role)).await.unwrap().takes_writes().await.unwrap_err();
    assert!(refused.to_string().contains("takes no writes"), "{refused}");
    cluster.run("postgres", &format!("alter database {} reset default_transaction_read_only", at.name)).await;
    for table in NAMES.split(", ") {
        link.read(&format!("select * from {table}"), &[]).await.unwrap();
        link.batch(&format!("delete from {table} where false")).await.unwrap();
    }
    for more in ["drop table heads", "create table mine (a int)", "truncate heads"] {
        let refused = link.batch(more).await.unwrap_err();
        assert!(refused.reason().contains("too few rights"), "{more}: {}", refused.reason());
    }
    // The database only warns about a grant that it does not make.
    let refused = allow(&as_role(&at, role), "another").await.unwrap_err();
    assert!(refused.to_string().contains("may make roles"), "{refused}");
    cluster.run(&at.name, "create role another login").await;
    let refused = allow(&as_role(&at, role), "another").await.unwrap_err();
    assert!(refused.to_string().contains("the owner of the tables"), "{refused}");
    // No table of a cluster is forgotten above.
    let sql = "select count(*) from pg_tables where schemaname = 'public' and tablename !~ '^records_'";
    let tables: i64 = link.read(sql, &[]).await.unwrap()[0].get(0);
    assert_eq!(usize::try_from(tables), Ok(NAMES.split(", ").count()));
}

#[tokio::test]
async fn a_copy_in_another_instance_serves_nobody_until_it_has_an_id_of_its_own() {
    let cluster = TestCluster::shared();
    let at = cluster.database().await;
    let before = Database::open(at.address.clone()).await.unwrap();
    // As a dump brings it from another instance.
    cluster.run(&at.name, "update cluster set sysid = '7'").await;
    let refused = Database::open(at.address.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("skein cluster restored"), "{refused}");
    assert!(before.connect().await.is_err(), "a server notices a database that was exchanged under it");
    let after = restored(&at.address).await.unwrap();
    assert_ne!(after.id, before.cluster().id);
    let served = Arc::new(Database::open(at.address.clone()).await.unwrap());
    assert_ne!(served.life(), before.life());
    // It refuses to do that to a server.
    let profile = NodeProfile::of("a server", NodeCompany::Alone);
    let (presence, _events) = NodePresence::take(served, profile, Uuid::from_u128(1)).await.unwrap();
    let refused = restored(&at.address).await.unwrap_err();
    assert!(matches!(&refused, SchemaError::Served(name) if name == "a server"), "{refused}");
    // A dump has the row of a server that serves the original.
    cluster.run(&at.name, "update cluster set sysid = '7'").await;
    restored(&at.address).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    presence.beat(stop).await;
    restored(&at.address).await.unwrap();
}

#[tokio::test]
async fn a_report_names_the_servers_and_since_when_they_are_silent() {
    let cluster = TestCluster::shared();
    let at = cluster.database().await;
    let database = Arc::new(Database::open(at.address.clone()).await.unwrap());
    assert_eq!(report(&at.address).await.unwrap().nodes, []);
    let profile = NodeProfile::of("a server", NodeCompany::Alone);
    let _presence = NodePresence::take(database, profile, Uuid::from_u128(1)).await.unwrap();
    let node = async || report(&at.address).await.unwrap().nodes.remove(0);
    let live = node().await;
    assert!(live.is_live && live.name == "a server", "{live:?}");
    cluster.run(&at.name, "update nodes set expires = now() - interval '10 seconds'").await;
    let killed = node().await;
    assert!(!killed.is_live && killed.silent >= Duration::from_secs(10) + policy::PRESENCE, "{killed:?}");
}

#[tokio::test]
async fn each_start_of_a_server_has_numbers_for_questions_of_its_own() {
    let cluster = TestCluster::shared();
    let at = cluster.database().await;
    let database = Database::open(at.address.clone()).await.unwrap();
    let now = Clock.wall().0;
    let taken = futures_util::future::join_all((0..3).map(|_| database.take_questions())).await;
    let mut firsts: Vec<i64> = taken.into_iter().map(Result::unwrap).collect();
    firsts.sort_unstable();
    assert!((firsts[0] - now).abs() < 600_000, "{firsts:?}: as in a home");
    for pair in firsts.windows(2) {
        assert_eq!(pair[1] - pair[0], policy::QUESTION_BLOCK, "{firsts:?}");
    }
}
