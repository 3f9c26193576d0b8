//! Servers that come, end, and lose their rows.

use std::collections::BTreeSet;
use std::time::Duration;

use skein_base::tasks::Tasks;
use skein_protocol::extension::NodeStanding;
use skein_store::testing::thread;

use super::*;
use crate::drain::{DrainProgress, DrainingNode};
use crate::node::LinkPlace;
use crate::standing::RowOwner;
use crate::testing::{TestCluster, TestDatabase};

const LIMIT: Duration = Duration::from_secs(60);

struct Fixture {
    at: TestDatabase,
    database: Arc<Database>,
}

impl Fixture {
    async fn new() -> Self {
        let at = TestCluster::shared().database().await;
        let database = Arc::new(Database::open(at.address.clone()).await.unwrap());
        Self { at, database }
    }

    async fn take(
        &self,
        profile: NodeProfile,
        node: u128,
    ) -> Result<(NodePresence, PresenceEvents), PresenceError> {
        NodePresence::take(Arc::clone(&self.database), profile, Uuid::from_u128(node)).await
    }

    async fn run(&self, sql: &str) {
        TestCluster::shared().run(&self.at.name, sql).await;
    }

    /// The state of each row, in the order of their names.
    async fn states(&self) -> Vec<(String, String)> {
        let sql = "select name, state from nodes order by name, state";
        let rows = Link::connect(&self.at.address).await.unwrap().read(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

fn alone(name: &str) -> NodeProfile {
    NodeProfile::of(name, NodeCompany::Alone)
}

fn member(name: &str) -> NodeProfile {
    NodeProfile::of(name, NodeCompany::Others)
}

fn states(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

/// A presence that beats until the test drops it.
struct Beating {
    stop: CancellationToken,
    place: NodePlace,
    events: PresenceEvents,
    task: tokio::task::JoinHandle<()>,
}

impl Beating {
    fn of((presence, events): (NodePresence, PresenceEvents)) -> Self {
        let (stop, place) = (CancellationToken::new(), presence.place());
        let task = Tasks::new().spawn("presence", presence.beat(stop.clone()));
        Self { stop, place, events, task }
    }

    async fn until_members(&self, count: usize) {
        self.place.until(|beats| beats.members().len() == count).await;
    }

    async fn until_sure(&self) {
        self.place.until(|beats| beats.standing(Clock.now()) == NodeStanding::Sure).await;
    }

    async fn finish(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_of_the_same_home_takes_over_at_once_and_the_first_hears_of_it() {
    let it = Fixture::new().await;
    let (first, of_first) = it.take(alone("home"), 1).await.unwrap();
    let (second, of_second) = it.take(alone("home"), 2).await.unwrap();
    let heard = tokio::time::timeout(LIMIT, first.beat(CancellationToken::new())).await;
    assert!(heard.is_ok(), "it beats on");
    assert!(of_first.displaced.is_cancelled(), "its row is dead");
    // A stop gives the database up, so another home need not wait.
    let stop = CancellationToken::new();
    stop.cancel();
    second.beat(stop).await;
    assert!(!of_second.displaced.is_cancelled());
    it.take(alone("another home"), 3).await.unwrap();
}

#[tokio::test]
async fn a_database_with_a_part_of_the_threads_is_for_their_move_alone() {
    let it = Fixture::new().await;
    let database = &it.database;
    let node = Uuid::from_u128;
    let moved = |n| NodePresence::take_for_migration(Arc::clone(database), alone("home"), node(n), "home:/a");
    let first = moved(1).await.unwrap();
    assert!(database.note_arriving(Some("home:/a"), node(1)).await.unwrap());
    let refused = it.take(alone("home"), 2).await.unwrap_err();
    assert!(matches!(&refused, PresenceError::Arriving { from } if from == "home:/a"), "{refused}");
    let second = moved(3).await.unwrap();
    assert!(!database.note_arriving(None, node(1)).await.unwrap(), "its row is dead");
    assert_eq!(database.arriving_from().await.unwrap().as_deref(), Some("home:/a"));
    assert!(database.note_arriving(None, node(3)).await.unwrap());
    drop((first, second, it.take(alone("home"), 4).await.unwrap()));
}

#[tokio::test]
async fn servers_share_a_database_only_if_all_of_them_do_and_each_has_a_name() {
    let it = Fixture::new().await;
    let one = Beating::of(it.take(member("one"), 1).await.unwrap());
    let two = Beating::of(it.take(member("two"), 2).await.unwrap());
    one.until_members(2).await;
    two.until_members(2).await;
    let twin = NodeProfile { home: alone("elsewhere").home, ..member("one") };
    let (refused, same) = tokio::join!(it.take(alone("three"), 3), it.take(twin, 4));
    let (refused, same) = (refused.unwrap_err(), same.unwrap_err());
    assert!(
        matches!(&refused, PresenceError::Held { name } if ["one", "two"].contains(&&**name)),
        "{refused}"
    );
    assert!(matches!(&same, PresenceError::SameName { name } if name == "one"), "{same}");
    two.finish().await;
    one.until_members(1).await;
    one.finish().await;
    let last = Beating::of(it.take(alone("three"), 5).await.unwrap());
    let refused = it.take(member("one"), 6).await.unwrap_err();
    assert!(matches!(&refused, PresenceError::Held { name } if name == "three"), "{refused}");
    last.finish().await;
}

#[tokio::test]
async fn after_a_silence_of_the_database_no_row_dies_until_each_server_had_time_to_beat() {
    let it = Fixture::new().await;
    let _silent = it.take(member("silent"), 1).await.unwrap();
    // All of them: the database was away.
    let expired = "update nodes set expires = now() - interval '1 second'";
    it.run(&format!(
        "{expired}; update cluster set last_beat = now() - interval '3 seconds', grace_until = null"
    ))
    .await;
    let (first, _events) = it.take(member("first"), 2).await.unwrap();
    let mut link = it.database.connect().await.unwrap();
    let beat = async |link: &mut Link| {
        let node = Uuid::from_u128(2);
        link.write(&entry::BEAT, &[(&node, Type::UUID)], policy::WRITE_DEADLINE).await.unwrap();
        link.write(&entry::BURY, &[(&node, Type::UUID)], policy::WRITE_DEADLINE).await.unwrap().len()
    };
    assert_eq!(beat(&mut link).await, 0);
    assert_eq!(it.states().await, states(&[("first", "live"), ("silent", "live")]));
    // A busy machine may be silent for so long that another grace begins.
    let buried = async {
        loop {
            it.run("update cluster set last_beat = now(), grace_until = now()").await;
            if beat(&mut link).await == 1 {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, buried).await.expect("the row does not die");
    assert_eq!(it.states().await, states(&[("first", "live"), ("silent", "dead")]));
    drop(first);
}

#[tokio::test]
async fn a_server_whose_row_is_dead_ends_its_threads_and_comes_back_under_another() {
    let it = Fixture::new().await;
    let mut one = Beating::of(it.take(member("one"), 1).await.unwrap());
    one.until_members(1).await;
    it.run("update nodes set state = 'dead'").await;
    let lost = tokio::time::timeout(LIMIT, one.events.losses.recv()).await.unwrap().unwrap();
    assert_eq!(one.place.standing(Clock.now()), NodeStanding::Lost);
    assert_eq!(it.states().await, states(&[("one", "dead")]), "its threads have not ended yet");
    drop(lost);
    one.until_sure().await;
    assert_eq!(it.states().await, states(&[("one", "dead"), ("one", "live")]));
    assert_ne!(one.place.counts(Clock.now()).node, Uuid::from_u128(1).to_string());
    assert!(!one.events.displaced.is_cancelled());
    one.finish().await;
}

/// As one that was paused during a move of the threads.
#[tokio::test]
async fn a_server_whose_row_is_dead_gets_no_other_row_where_the_threads_have_gone() {
    for state in ["moved_to = 'home:/a'", "arriving_from = 'home:/a'", "id = gen_random_uuid()"] {
        let it = Fixture::new().await;
        let mut one = Beating::of(it.take(member("one"), 1).await.unwrap());
        one.until_members(1).await;
        it.run(&format!("update nodes set state = 'dead'; update cluster set {state}")).await;
        drop(tokio::time::timeout(LIMIT, one.events.losses.recv()).await.unwrap().unwrap());
        let stops = tokio::time::timeout(LIMIT, one.events.displaced.cancelled()).await;
        assert!(stops.is_ok(), "it serves on: {state}");
        assert_eq!(it.states().await, states(&[("one", "dead")]));
        one.finish().await;
    }
}

/// They may have moved since it has connected.
#[tokio::test]
async fn a_server_that_starts_gets_no_row_where_the_threads_have_gone_and_the_move_does() {
    let it = Fixture::new().await;
    it.run("update cluster set moved_to = 'home:/a'").await;
    let refused = it.take(alone("home"), 1).await.unwrap_err();
    assert!(matches!(&refused, PresenceError::Moved { to } if to == "home:/a"), "{refused}");
    let moves = async |home, node| {
        let (taken, node) = (Arc::clone(&it.database), Uuid::from_u128(node));
        NodePresence::take_for_migration(taken, alone("home"), node, home).await
    };
    let refused = moves("home:/b", 2).await.unwrap_err();
    assert!(matches!(&refused, PresenceError::Moved { to } if to == "home:/a"), "{refused}");
    moves("home:/a", 3).await.unwrap();
}

#[tokio::test]
async fn a_server_that_loses_its_row_before_it_reads_the_wish_drains_all_the_same() {
    let it = Fixture::new().await;
    let mut one = Beating::of(it.take(member("one"), 1).await.unwrap());
    one.until_members(1).await;
    it.run("update nodes set state = 'dead', drain = 'asked'").await;
    drop(tokio::time::timeout(LIMIT, one.events.losses.recv()).await.unwrap().unwrap());
    tokio::time::timeout(LIMIT, one.events.drained.cancelled()).await.expect("it reads the wish");
    one.finish().await;
    // A later start of the home is not meant.
    let next = Beating::of(it.take(member("one"), 2).await.unwrap());
    next.until_members(1).await;
    assert!(!next.events.drained.is_cancelled());
    next.finish().await;
}

#[tokio::test]
async fn a_server_without_a_confirmed_beat_ends_its_threads_by_its_own_clock_and_comes_back_under_another_row()
 {
    let it = Fixture::new().await;
    let mut one = Beating::of(it.take(member("one"), 1).await.unwrap());
    one.until_members(1).await;
    let mut holder = it.database.connect().await.unwrap();
    holder.batch("begin; select 1 from nodes for update").await.unwrap();
    let lost = tokio::time::timeout(LIMIT, one.events.losses.recv()).await.unwrap().unwrap();
    assert_eq!(one.place.standing(Clock.now()), NodeStanding::Lost);
    holder.batch("commit").await.unwrap();
    drop(lost);
    one.until_sure().await;
    assert_eq!(it.states().await, states(&[("one", "dead"), ("one", "live")]));
    one.finish().await;
}

#[tokio::test]
async fn the_threads_that_a_dead_server_has_left_open_are_found_by_another() {
    let it = Fixture::new().await;
    let _killed = it.take(member("killed"), 1).await.unwrap();
    let head = |n: u128, owner: &str| {
        let id = thread(n).uuid();
        format!(
            "insert into heads (thread, owner, term, seq, header, open) values ('{id}', {owner}, 1, 1, 1, true)"
        )
    };
    let (killed, lives) = (format!("'{}'", Uuid::from_u128(1)), format!("'{}'", Uuid::from_u128(2)));
    for (n, owner) in [(1, &*killed), (2, &*lives), (3, "null"), (4, "gen_random_uuid()")] {
        it.run(&head(n, owner)).await;
    }
    // Two more were deleted, and one of them is in a list still.
    for n in [5, 6] {
        it.run(&head(n, "gen_random_uuid()")).await;
        it.run(&format!(
            "update heads set trashed_at = 1, written = '-infinity' where thread = '{}'",
            thread(n).uuid()
        ))
        .await;
    }
    let listed =
        format!("insert into threads (thread, as_of, \"row\") values ('{}', 1, '{{}}')", thread(5).uuid());
    it.run(&listed).await;
    let mut other = Beating::of(it.take(member("lives"), 2).await.unwrap());
    let mut found =
        async || tokio::time::timeout(LIMIT, other.events.left_open.recv()).await.unwrap().unwrap();
    assert_eq!(found().await, [thread(4), thread(5)], "the row of the killed server still lives");
    let all = async { while !found().await.contains(&thread(1)) {} };
    tokio::time::timeout(LIMIT, all).await.expect("the killed server's thread is not found");
    assert_eq!(it.states().await, states(&[("killed", "dead"), ("lives", "live")]));
    other.finish().await;
}

#[tokio::test]
async fn a_look_for_many_threads_goes_on_behind_those_that_it_has_found() {
    let it = Fixture::new().await;
    let threads = usize::try_from(2 * policy::LEFT_OPEN_AT_ONCE).unwrap() + 1;
    // Many have their last record in the same moment, and some were given up to be loaded soon.
    it.run(&format!(
        "insert into heads (thread, owner, term, seq, header, open, written)
         select gen_random_uuid(), case when n % 10 > 0 then gen_random_uuid() end, 1, 1, 1, true,
           case when n % 10 = 0 then '-infinity' else now() - n / 500 * interval '1 second' end
         from generate_series(1, {threads}) as n"
    ))
    .await;
    let mut other = Beating::of(it.take(member("lives"), 2).await.unwrap());
    let mut found = Vec::new();
    while found.len() < threads {
        found.extend(tokio::time::timeout(LIMIT, other.events.left_open.recv()).await.unwrap().unwrap());
    }
    let each: std::collections::HashSet<ThreadId> = found.iter().copied().collect();
    assert_eq!((found.len(), each.len()), (threads, threads), "each comes once");
    other.finish().await;
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_entry_does_not_stay() {
    let it = Fixture::new().await;
    let mut one = Beating::of(it.take(member("one"), 1).await.unwrap());
    one.until_members(1).await;
    it.run("create function refuses() returns trigger language plpgsql as $$ begin raise 'no room'; end $$")
        .await;
    it.run("create trigger refuses before insert on nodes execute function refuses()").await;
    it.run("update nodes set state = 'dead'").await;
    drop(tokio::time::timeout(LIMIT, one.events.losses.recv()).await.unwrap().unwrap());
    one.place.until(Beats::have_failed).await;
    it.run("drop trigger refuses on nodes").await;
    one.until_sure().await;
    one.finish().await;
}

#[tokio::test]
async fn a_server_reads_the_wish_that_it_drains_with_a_beat_and_shows_how_far_it_is() {
    let it = Fixture::new().await;
    let asked = async |name| DrainingNode::ask(&it.at.address, name).await;
    let unknown = asked("one").await.unwrap_err().to_string();
    assert!(unknown.contains("there are none"), "{unknown}");
    let linked = |name| {
        let link = LinkPlace { address: "127.0.0.1:1".to_owned(), key: [7; 32] };
        NodeProfile { link: Some(link), ..member(name) }
    };
    let one = Beating::of(it.take(linked("one"), 1).await.unwrap());
    let mut drain = asked("one").await.unwrap();
    tokio::time::timeout(LIMIT, one.events.drained.cancelled()).await.expect("it reads the wish");
    let begun = async { while drain.progress().await.unwrap() == DrainProgress::Asked {} };
    tokio::time::timeout(LIMIT, begun).await.expect("it says that it drains");
    it.run(&format!(
        "insert into heads (thread, owner, term, seq, header, open) values ('{}', '{}', 1, 1, 1, true)",
        thread(1),
        Uuid::from_u128(1)
    ))
    .await;
    assert_eq!(drain.progress().await.unwrap(), DrainProgress::Begun { threads: 1 });
    let mut second = asked("one").await.unwrap();
    assert_eq!(second.progress().await.unwrap(), DrainProgress::Begun { threads: 1 }, "it goes on");
    one.finish().await;
    assert_eq!(drain.progress().await.unwrap(), DrainProgress::Ended);

    // It does not beat, however long the machine takes for the rest of the test.
    let (_killed, of_two) = it.take(linked("two"), 2).await.unwrap();
    it.run("update nodes set expires = 'infinity' where name = 'two'").await;
    let unknown = asked("one").await.unwrap_err().to_string();
    assert!(unknown.contains("there are two"), "{unknown}");
    let mut drain = asked("two").await.unwrap();
    assert_eq!(drain.progress().await.unwrap(), DrainProgress::Asked);
    assert!(!of_two.drained.is_cancelled());
    it.run("update nodes set state = 'dead' where name = 'two'").await;
    assert_eq!(drain.progress().await.unwrap(), DrainProgress::Died);
    // The server was cut off, and goes on.
    it.run(
        "insert into nodes (node, name, addr, key_sha256, speaks, state, expires, drain)
          select gen_random_uuid(), name, addr, key_sha256, speaks, 'live', 'infinity', 'begun' from nodes where name = 'two'",
    )
    .await;
    assert_eq!(drain.progress().await.unwrap(), DrainProgress::Died, "it is looked for");
    assert_eq!(drain.progress().await.unwrap(), DrainProgress::Begun { threads: 0 });
}

#[tokio::test]
async fn a_look_at_a_server_that_drains_may_fail_while_the_database_is_away() {
    let cluster = TestCluster::start();
    let at = cluster.database().await;
    let database = Arc::new(Database::open(at.address.clone()).await.unwrap());
    let link = LinkPlace { address: "127.0.0.1:1".to_owned(), key: [7; 32] };
    let profile = NodeProfile { link: Some(link), ..member("one") };
    let _one = NodePresence::take(database, profile, Uuid::from_u128(1)).await.unwrap();
    let mut drain = DrainingNode::ask(&at.address, "one").await.unwrap();
    cluster.stop();
    for _ in 0..2 {
        drain.progress().await.unwrap_err();
    }
    cluster.start_again();
    let sql = "update nodes set expires = 'infinity'";
    cluster.run(&at.name, sql).await;
    assert_eq!(drain.progress().await.unwrap(), DrainProgress::Asked);
}

#[tokio::test]
async fn a_server_learns_with_a_beat_that_another_one_is_dead() {
    let it = Fixture::new().await;
    let one = Beating::of(it.take(member("one"), 1).await.unwrap());
    let last = "update nodes set expires = 'infinity' where name <> 'one'";
    let (_two, _events) = it.take(member("two"), 2).await.unwrap();
    it.run(last).await;
    one.until_members(2).await;
    let dead = one.place.until_dead(Uuid::from_u128(2));
    it.run("update nodes set state = 'dead' where name = 'two'").await;
    tokio::time::timeout(LIMIT, dead).await.expect("it is dead");
    // One that has come since the newest beat is not among those that it knows.
    let (_three, _events) = it.take(member("three"), 3).await.unwrap();
    it.run(last).await;
    tokio::select! {
        biased;
        () = one.place.until_dead(Uuid::from_u128(3)) => panic!("it lives"),
        () = one.until_members(2) => {}
    }
    one.finish().await;
}

#[tokio::test]
async fn a_server_reads_the_wishes_for_its_threads_with_a_beat() {
    let it = Fixture::new().await;
    let mut one = Beating::of(it.take(member("one"), 1).await.unwrap());
    let two = Beating::of(it.take(member("two"), 2).await.unwrap());
    let mut wanted = async |threads: &[u128]| {
        for number in threads {
            two.place.want(thread(*number), Uuid::from_u128(1)).await.unwrap();
        }
        let mut found = BTreeSet::new();
        let read = async {
            while found.len() < 2 {
                found.extend(one.events.wanted.recv().await.unwrap());
            }
        };
        tokio::time::timeout(LIMIT, read).await.expect("it reads the wishes");
        found
    };
    let both = BTreeSet::from([thread(1), thread(2)]);
    assert_eq!(wanted(&[1, 2, 2]).await, both);
    // Again, as it may have the threads again.
    assert_eq!(wanted(&[2, 1]).await, both);
    let left = async || {
        let rows = it.database.pool().read("select sum(cardinality(wanted)) from nodes", &[]).await.unwrap();
        rows[0].get::<_, i64>(0)
    };
    tokio::time::timeout(LIMIT, async { while left().await > 0 {} }).await.expect("none is left");
    one.finish().await;
    two.finish().await;
}

#[tokio::test]
async fn a_thread_is_with_the_server_that_its_row_names_while_that_lives() {
    let it = Fixture::new().await;
    let ends = "update nodes set expires = 'infinity'";
    let (one, _events) = it.take(member("one"), 1).await.unwrap();
    let (_two, _events) = it.take(member("two"), 2).await.unwrap();
    it.run(ends).await;
    let place = one.place();
    assert_eq!(place.row_owner(thread(1)).await.unwrap(), RowOwner::NoRow);
    let own = |node: u128| format!("'{}'", Uuid::from_u128(node));
    let insert = "insert into heads (thread, owner, term, seq, header, open) values";
    it.run(&format!("{insert} ('{}', {}, 1, 1, 1, true)", thread(1), own(2))).await;
    let found = place.row_owner(thread(1)).await.unwrap();
    assert!(
        matches!(&found, RowOwner::Other(owner) if owner.name == "two" && owner.link.is_none()),
        "{found:?}"
    );
    for (owner, found) in [("null", RowOwner::Nobody), (&own(1), RowOwner::This), (&own(3), RowOwner::Nobody)]
    {
        it.run(&format!("update heads set owner = {owner}")).await;
        assert_eq!(place.row_owner(thread(1)).await.unwrap(), found, "{owner}");
    }
    it.run(&format!("update heads set owner = {}, trashed_at = 1", own(2))).await;
    assert_eq!(
        place.row_owner(thread(1)).await.unwrap(),
        RowOwner::NoRow,
        "another one may begin under its id"
    );
    it.run("update heads set trashed_at = null; update nodes set state = 'dead' where name = 'two'").await;
    assert_eq!(place.row_owner(thread(1)).await.unwrap(), RowOwner::Nobody);
}
