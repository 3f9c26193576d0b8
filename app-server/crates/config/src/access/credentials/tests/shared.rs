//! A store that several servers share: a change of one of them holds at all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::watch;

use super::*;
use crate::access::{CredentialStore, carry};

/// A table in memory. Each change has a number.
#[derive(Debug, Default)]
struct SharedTable {
    rows: Mutex<Vec<(usize, CredentialRecord)>>,
    newest: watch::Sender<usize>,
    is_away: AtomicBool,
    /// Whether it takes a write and gives no answer.
    is_silent: AtomicBool,
}

impl SharedTable {
    fn place(self: &Arc<Self>) -> Arc<SharedPlace> {
        let newest = self.newest.subscribe();
        Arc::new(SharedPlace { table: Arc::clone(self), seen: AtomicUsize::new(0), newest })
    }

    /// Sets a record, as a server that this test does not play.
    fn set(&self, record: CredentialRecord) {
        let mut rows = locked(&self.rows);
        rows.retain(|(_, row)| row.id() != record.id());
        let number = *self.newest.borrow() + 1;
        rows.push((number, record));
        self.newest.send_replace(number);
    }

    fn record(&self, id: Uuid) -> Option<CredentialRecord> {
        let rows = locked(&self.rows);
        rows.iter().find(|(_, row)| row.id() == id).map(|(_, row)| row.clone())
    }

    async fn server(self: &Arc<Self>) -> Arc<Credentials> {
        Arc::new(Credentials::open(self.place(), Clock).await.unwrap())
    }

    fn fault(&self) -> Result<(), AccessError> {
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(AccessError::Database("the database is away".to_owned())),
            false => Ok(()),
        }
    }
}

/// The table, as one server reads it.
#[derive(Debug)]
struct SharedPlace {
    table: Arc<SharedTable>,
    seen: AtomicUsize,
    newest: watch::Receiver<usize>,
}

#[async_trait]
impl CredentialStore for SharedPlace {
    async fn read(&self) -> Result<CredentialNews, AccessError> {
        self.table.fault()?;
        let rows = locked(&self.table.rows);
        let newest = *self.table.newest.borrow();
        let seen = self.seen.swap(newest, Ordering::Relaxed);
        let is_all = seen == 0 || newest < seen;
        let is_new = |row: &&(usize, CredentialRecord)| is_all || row.0 > seen;
        Ok(CredentialNews { records: rows.iter().filter(is_new).map(|row| row.1.clone()).collect(), is_all })
    }

    async fn write(&self, change: CredentialChange) -> Result<(), AccessError> {
        self.table.fault()?;
        let mut rows = locked(&self.table.rows);
        let number = *self.table.newest.borrow() + 1;
        rows.retain(|(_, row)| row.ended_at().is_none_or(|at| at >= change.oldest_end));
        for record in change.changed {
            let is_final =
                |(_, row): &&(usize, CredentialRecord)| row.id() == record.id() && row.ended_at().is_some();
            if record.ended_at().is_none() && rows.iter().any(|row| is_final(&row)) {
                continue;
            }
            rows.retain(|(_, row)| row.id() != record.id());
            rows.push((number, record));
        }
        self.table.newest.send_replace(number);
        match self.table.is_silent.load(Ordering::Relaxed) {
            true => Err(AccessError::Database("the database has not answered for 5 s".to_owned())),
            false => Ok(()),
        }
    }

    async fn changed(&self) {
        let is_new = |newest: &usize| *newest != self.seen.load(Ordering::Relaxed);
        self.newest.clone().wait_for(is_new).await.unwrap();
    }
}

/// Two servers that keep up with each other until the test ends them.
struct TwoServers {
    table: Arc<SharedTable>,
    one: Arc<Credentials>,
    other: Arc<Credentials>,
    tasks: Tasks,
    stop: CancellationToken,
}

impl TwoServers {
    async fn start() -> Self {
        let table = Arc::new(SharedTable::default());
        let (one, other) = (table.server().await, table.server().await);
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        for server in [&one, &other] {
            tasks.spawn("credentials", Arc::clone(server).keep(stop.clone()));
        }
        Self { table, one, other, tasks, stop }
    }

    /// Waits until the other server sees this.
    async fn sees(&self, is_seen: impl Fn(&Credentials) -> bool) {
        until(|| is_seen(&self.other)).await;
    }

    async fn finish(self) {
        self.stop.cancel();
        self.tasks.finish().await;
    }
}

/// Lets time pass until this holds.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        advance(Duration::from_millis(10)).await;
    }
    panic!("it does not hold after a thousand seconds");
}

async fn add(server: &Credentials, name: &str) -> Secret {
    let secret = Secret::generate_token().unwrap();
    server.add_token(token(name, &secret)).await.unwrap();
    secret
}

#[tokio::test(start_paused = true)]
async fn a_token_of_one_server_is_good_at_the_other_and_ends_at_both() {
    let servers = TwoServers::start().await;
    let secret = add(&servers.one, "ci").await;
    servers.sees(|other| other.check(secret.expose()).is_ok()).await;
    let id = servers.other.check(secret.expose()).unwrap().id;
    let other = Arc::clone(&servers.other);
    let mut waits = std::pin::pin!(other.ended(id));
    assert!(futures_util::poll!(&mut waits).is_pending(), "a connection is open there");
    servers.one.revoke("ci").await.unwrap();
    assert_eq!(waits.await, CredentialEnd::Revoked);
    assert_eq!(servers.other.check(secret.expose()), Err(CredentialRefusal::Revoked));
    servers.finish().await;
}

#[tokio::test]
async fn a_new_token_of_one_server_is_good_at_another_that_does_not_know_it_yet() {
    let table = Arc::new(SharedTable::default());
    let (one, other) = (table.server().await, table.server().await);
    let secret = add(&one, "ci").await;
    assert_eq!(other.check(secret.expose()), Err(CredentialRefusal::Unknown));
    table.is_away.store(true, Ordering::Relaxed);
    assert_eq!(other.find(secret.expose()).await.err(), Some(CredentialRefusal::Unread));
    table.is_away.store(false, Ordering::Relaxed);
    let reads = other.reads.load(Ordering::Relaxed);
    let found = join_all((0..10).map(|_| other.find(secret.expose()))).await;
    assert!(found.iter().all(Result::is_ok));
    assert!(other.reads.load(Ordering::Relaxed) - reads <= 2, "one read serves all that wait");
    let unknown = Secret::generate_token().unwrap();
    assert_eq!(other.find(unknown.expose()).await.err(), Some(CredentialRefusal::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_taken_at_every_server_at_once() {
    let servers = TwoServers::start().await;
    add(&servers.one, "ci").await;
    let secret = Secret::generate_token().unwrap();
    let refused = servers.other.add_token(token("ci", &secret)).await.unwrap_err();
    assert!(matches!(refused, CredentialError::Exists { .. }), "{refused}");
    servers.one.revoke("ci").await.unwrap();
    add(&servers.other, "ci").await;
    servers.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_lives_on_by_its_use_at_another_server() {
    let servers = TwoServers::start().await;
    let ticket = servers.one.create_ticket(Access::Chat, Door::Remote, None, policy::TICKET_LIFE).unwrap().0;
    let session = servers.one.redeem(ticket.expose(), page()).ok().unwrap();
    servers.one.write().await;
    let is_good = |server: &Credentials| server.check(session.secret.expose()).is_ok();
    servers.sees(is_good).await;
    for _ in 0..3 {
        advance(policy::SESSION_LIFE / 2).await;
        servers.other.record_use(session.grant.id);
        let used = |server: &Credentials| server.list()[0].last_used_at.unwrap();
        // The time of the use is written within a minute, and read at once.
        until(|| used(&servers.one) == used(&servers.other)).await;
    }
    assert!(is_good(&servers.one) && is_good(&servers.other));
    servers.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_arrives_once_the_database_is_back_and_at_a_later_server() {
    let servers = TwoServers::start().await;
    let (first, second) = (add(&servers.one, "a").await, add(&servers.one, "b").await);
    servers.sees(|other| other.list().len() == 2).await;
    servers.table.is_away.store(true, Ordering::Relaxed);
    let refused = servers.one.revoke("a").await.unwrap_err();
    assert!(matches!(refused, CredentialError::NotRevoked(_)), "{refused}");
    assert!(servers.one.check(first.expose()).is_err() && servers.other.check(first.expose()).is_ok());
    let added = servers.one.add_token(token("c", &Secret::generate_token().unwrap())).await.unwrap_err();
    assert!(matches!(added, CredentialError::NotAdded(_)), "{added}");
    // The other server fails to read this one first.
    servers.table.newest.send_modify(|newest| *newest += 1);
    advance(policy::CREDENTIAL_RETRY / 2).await;
    servers.table.is_away.store(false, Ordering::Relaxed);
    servers.sees(|other| other.check(first.expose()) == Err(CredentialRefusal::Revoked)).await;
    let later = servers.table.server().await;
    assert_eq!(later.check(first.expose()), Err(CredentialRefusal::Revoked));
    assert_eq!(later.check(second.expose()).unwrap().name, "b");
    assert_eq!(later.list().len(), 1);
    servers.finish().await;
}

/// Another server makes a session by a ticket of a token at the moment in which this one revokes the token, and is killed.
#[tokio::test]
async fn a_session_of_an_ended_token_ends_at_each_server_and_in_the_store() {
    let table = Arc::new(SharedTable::default());
    let (one, other) = (table.server().await, table.server().await);
    let maker = add(&one, "maker").await;
    other.receive().await.unwrap();
    let id = other.check(maker.expose()).unwrap().id;
    let ticket = other.create_ticket(Access::Chat, Door::Remote, Some(id), policy::TICKET_LIFE).unwrap().0;
    let session = other.redeem(ticket.expose(), page()).ok().unwrap();
    one.revoke("maker").await.unwrap();
    other.write().await;
    drop(other);
    let later = table.server().await;
    one.receive().await.unwrap();
    for server in [&one, &later] {
        assert_eq!(server.check(session.secret.expose()), Err(CredentialRefusal::Revoked));
        assert!(server.unsaved.notified().now_or_never().is_some(), "it writes the end");
    }
    later.write().await;
    assert!(matches!(table.record(session.grant.id), Some(CredentialRecord::Ended(_))));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_away_learns_of_each_end_however_many_there_are() {
    let table = Arc::new(SharedTable::default());
    let (one, other) = (table.server().await, table.server().await);
    let old = add(&one, "old").await;
    other.receive().await.unwrap();
    one.revoke("old").await.unwrap();
    for number in 0..policy::ENDED_CREDENTIALS + 10 {
        add(&one, &format!("t{number}")).await;
        one.revoke(&format!("t{number}")).await.unwrap();
    }
    assert!(other.check(old.expose()).is_ok(), "it has not looked yet");
    other.receive().await.unwrap();
    assert_eq!(
        other.check(old.expose()).unwrap_err(),
        CredentialRefusal::Unknown,
        "ended, and no longer remembered"
    );
    other.record_use(one.clock.new_id());
    other.write().await;
    assert_eq!(table.server().await.list(), []);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_has_lost_changes_gets_them_again() {
    let servers = TwoServers::start().await;
    let (kept, ended) = (add(&servers.one, "kept").await, add(&servers.one, "ended").await);
    servers.sees(|other| other.list().len() == 2).await;
    let before = locked(&servers.table.rows).clone();
    servers.one.revoke("ended").await.unwrap();
    let lost = add(&servers.one, "lost").await;
    servers.sees(|other| other.check(lost.expose()).is_ok()).await;
    let is_settled = |server: &Credentials| locked(&server.saved).revision == locked(&server.state).revision;
    until(|| is_settled(&servers.one) && is_settled(&servers.other)).await;
    // As a promoted standby without the last commits.
    *locked(&servers.table.rows) = before;
    servers.table.newest.send_replace(2);
    let is_repaired = |table: &SharedTable| {
        let rows = locked(&table.rows);
        rows.iter().filter(|(_, row)| row.ended_at().is_some()).count() == 1 && rows.len() == 3
    };
    until(|| is_repaired(&servers.table)).await;
    let later = servers.table.server().await;
    assert!(later.check(kept.expose()).is_ok() && later.check(lost.expose()).is_ok());
    assert_eq!(later.check(ended.expose()), Err(CredentialRefusal::Revoked));
    servers.finish().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_in_with_a_record_that_this_version_cannot_read() {
    let servers = TwoServers::start().await;
    let (changed, ended) = (add(&servers.one, "changed").await, add(&servers.one, "ended").await);
    servers.sees(|other| other.list().len() == 2).await;
    let id = servers.other.check(changed.expose()).unwrap().id;
    servers.table.set(CredentialRecord::Unreadable(id));
    servers.one.revoke("ended").await.unwrap();
    servers.sees(|other| other.check(ended.expose()).is_err()).await;
    assert_eq!(servers.other.check(changed.expose()), Err(CredentialRefusal::Unknown));
    assert_eq!(servers.table.record(id), Some(CredentialRecord::Unreadable(id)), "it stays as it is");
    servers.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_addition_has_no_answer_ends_whether_it_was_added_or_not() {
    let servers = TwoServers::start().await;
    let secret = Secret::generate_token().unwrap();
    servers.table.is_silent.store(true, Ordering::Relaxed);
    let refused = servers.one.add_token(token("ci", &secret)).await.unwrap_err();
    assert!(matches!(refused, CredentialError::NotAdded(_)), "{refused}");
    servers.table.is_silent.store(false, Ordering::Relaxed);
    servers.sees(|other| other.check(secret.expose()) == Err(CredentialRefusal::Revoked)).await;
    add(&servers.other, "ci").await;
    servers.finish().await;
}

#[tokio::test]
async fn the_name_of_a_token_means_the_newest_of_all_servers() {
    let table = Arc::new(SharedTable::default());
    let (one, other) = (table.server().await, table.server().await);
    add(&one, "ci").await;
    other.receive().await.unwrap();
    one.revoke("ci").await.unwrap();
    let second = add(&one, "ci").await;
    other.revoke("ci").await.unwrap();
    assert_eq!(table.server().await.check(second.expose()), Err(CredentialRefusal::Revoked));
}

#[tokio::test]
async fn the_credentials_of_a_home_go_into_a_shared_store_once_and_keep_their_ends() {
    let rig = Rig::new().await;
    let (kept, revoked, session) = (rig.token("ci", None).await, rig.token("old", None).await, rig.session());
    rig.credentials.revoke("old").await.unwrap();
    let table = Arc::new(SharedTable::default());
    let theirs = add(&*table.server().await, "ci").await;
    let file = || CredentialFile::new(rig.file(), Tasks::new());
    assert_eq!(carry(&file(), &*table.place()).await.unwrap(), 3);
    assert_eq!(carry(&file(), &*table.place()).await.unwrap(), 0, "all of them are there");
    let server = table.server().await;
    assert_eq!(server.check(kept.expose()).unwrap().name, "ci-2", "another token has the name");
    assert_eq!(server.check(theirs.expose()).unwrap().name, "ci");
    assert_eq!(server.check(revoked.expose()), Err(CredentialRefusal::Revoked));
    assert_eq!(server.check(session.secret.expose()).unwrap(), session.grant);
    // On the way back the file still has them, and learns what ended meanwhile.
    server.revoke("ci-2").await.unwrap();
    assert_eq!(carry(&*table.place(), &file()).await.unwrap(), 2);
    let home = rig.opened().await.unwrap();
    assert_eq!(home.check(kept.expose()), Err(CredentialRefusal::Revoked));
    assert_eq!(home.check(theirs.expose()).unwrap().name, "ci");
    assert_eq!(home.list().len(), 2);
}
