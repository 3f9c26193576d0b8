//! The one server of a database. While its row lives, the database refuses another server.
//!
//! The row lives for some seconds from each beat, by the database's clock. A row whose time is over may be set to dead by
//! another server, and is dead for good then. Nothing depends on the time between an end and its discovery: the term of each
//! append is checked in its transaction.

use std::sync::Arc;

use skein_base::clock::Clock;
use skein_base::home_tag::HomeTag;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::connection::Link;
use crate::credentials::{ChangeNumber, CredentialBeats};
use crate::database::Database;
use crate::failure::DbFailure;
use crate::policy;
use crate::standing::{Beats, NodePlace};

/// Prolongs the row, if nobody has set it to dead. Brings the number of the newest change of credentials.
const BEAT: &str = "update nodes set expires = now() + $2::float8 * interval '1 second'
  where node = $1 and state = 'live' returning (select credentials from cluster)";

/// The others are told at once.
const RETIRE: &str = "update nodes set state = 'gone' where node = $1";

/// The server that lives.
const HOLDER: &str =
    "select name, ceil(extract(epoch from expires - now()))::int4 from nodes where state = 'live' limit 1";

/// Why a server does not get the database.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// Another server has it.
    #[error(
        "{name} serves this database, and one server at a time may; stop that one, or give this one another database"
    )]
    Held {
        /// The other server's name.
        name: String,
    },
    /// It has a part of the threads of another place.
    #[error(
        "the move of the threads from {from} into this database is not at its end; bring it there: skein migrate --from {from} --to URL"
    )]
    Arriving {
        /// The other place.
        from: String,
    },
    /// The database does not answer.
    #[error("{0}")]
    Away(String),
}

impl From<DbFailure> for PresenceError {
    fn from(failure: DbFailure) -> Self {
        Self::Away(failure.reason().to_owned())
    }
}

/// The row of this server.
#[derive(Debug)]
pub struct NodePresence {
    database: Arc<Database>,
    node: Uuid,
    lost: CancellationToken,
    credentials: watch::Sender<ChangeNumber>,
    beats: watch::Sender<Beats>,
}

impl NodePresence {
    /// Takes the database for the server of this home, called `name`. An earlier server of the same home has ended, as this one has
    /// the home. Waits a moment for the end of the row of another server that was killed.
    ///
    /// # Errors
    /// [`PresenceError::Held`] if another server lives, [`PresenceError::Arriving`] if threads are on their way into the database.
    pub async fn take(
        database: Arc<Database>,
        name: &str,
        home: HomeTag,
        node: Uuid,
    ) -> Result<Self, PresenceError> {
        let taken = Self::take_for_migration(database, name, home, node).await?;
        let arriving = taken.database.arriving_from().await;
        match arriving.map_err(|error| PresenceError::Away(error.to_string()))? {
            None => Ok(taken),
            Some(from) => {
                taken.retire(&mut None).await?;
                Err(PresenceError::Arriving { from })
            }
        }
    }

    /// Takes the database for a move of threads, as [`NodePresence::take`] for a server. An earlier move may have been cut off.
    ///
    /// # Errors
    /// [`PresenceError::Held`] if a server lives.
    pub async fn take_for_migration(
        database: Arc<Database>,
        name: &str,
        home: HomeTag,
        node: Uuid,
    ) -> Result<Self, PresenceError> {
        let mut link = database.connect().await?;
        // A dead row lives at most this long, and a server that lives prolongs its row meanwhile.
        for _ in 0..=policy::PRESENCE.as_secs() {
            let sent = Clock.now();
            if enter(&mut link, name, home, node).await? {
                let beats = watch::Sender::new(Beats::new(sent, Clock.now()));
                let (lost, credentials) = (CancellationToken::new(), watch::Sender::default());
                return Ok(Self { database, node, lost, credentials, beats });
            }
            tokio::time::sleep(policy::BEAT).await;
        }
        let held = link.read(HOLDER, &[]).await?;
        let name = held.first().map_or_else(|| "another server".to_owned(), |row| row.get(0));
        Err(PresenceError::Held { name })
    }

    /// Ends once another server has set this one's row to dead.
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// The server's place in the cluster, as its beats find it.
    pub fn place(&self) -> NodePlace {
        NodePlace::new(self.node, &self.database, self.beats.subscribe())
    }

    /// The newest change of credentials, as of the last beat.
    pub fn credentials(&self) -> CredentialBeats {
        CredentialBeats(self.credentials.subscribe())
    }

    /// Beats until the stop, then gives the database up. While the database is away it tries again at each beat.
    pub async fn beat(self, stop: CancellationToken) {
        let mut link = None;
        let mut beats = tokio::time::interval(policy::BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = beats.tick() => {}
            }
            let was_away = self.beats.borrow().have_failed();
            match self.beat_once(&mut link).await {
                Ok(true) if was_away => tracing::info!("the database answers again"),
                Ok(true) => {}
                Ok(false) => {
                    tracing::error!("another server has taken the database; this one stops");
                    self.lost.cancel();
                    return;
                }
                Err(failure) => {
                    self.beats.send_modify(|beats| beats.fail(failure.reason()));
                    if !was_away {
                        tracing::warn!(
                            reason = failure.reason(),
                            "the database does not answer; it is asked again each second"
                        );
                    }
                    link = None;
                }
            }
        }
        if let Err(failure) = self.retire(&mut link).await {
            tracing::debug!(reason = failure.reason(), "the next server waits for the end of this one's row");
        }
    }

    /// Whether the row lives.
    async fn beat_once(&self, link: &mut Option<Link>) -> Result<bool, DbFailure> {
        let seconds = policy::PRESENCE.as_secs_f64();
        let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&self.node, Type::UUID), (&seconds, Type::FLOAT8)];
        let link = self.connected(link).await?;
        let sent = Clock.now();
        let rows = link.write(BEAT, &params, policy::WRITE_DEADLINE).await?;
        if !rows.is_empty() {
            self.beats.send_replace(Beats::new(sent, Clock.now()));
        }
        if let Some(number) = rows.first().and_then(|row| row.get::<_, Option<i64>>(0)) {
            let newest = (self.database.life(), number);
            self.credentials.send_if_modified(|known| std::mem::replace(known, newest) != newest);
        }
        Ok(!rows.is_empty())
    }

    async fn retire(&self, link: &mut Option<Link>) -> Result<(), DbFailure> {
        let link = self.connected(link).await?;
        link.write(RETIRE, &[(&self.node, Type::UUID)], policy::WRITE_DEADLINE).await.map(drop)
    }

    async fn connected<'l>(&self, link: &'l mut Option<Link>) -> Result<&'l mut Link, DbFailure> {
        let there = match link.take().and_then(Link::usable) {
            Some(there) => there,
            None => self.database.connect().await?,
        };
        Ok(link.insert(there))
    }
}

/// Makes the row of this server, unless another one lives. Returns whether it is there. Two servers at once: the second sees the
/// first.
async fn enter(link: &mut Link, name: &str, home: HomeTag, node: Uuid) -> Result<bool, DbFailure> {
    let seconds = policy::PRESENCE.as_secs();
    let addr = home.number();
    link.batch(&format!(
        "begin;
select pg_advisory_xact_lock(7307219);
update nodes set state = 'dead' where state = 'live' and (expires <= now() or addr = '{addr}');
insert into nodes (node, name, addr, key_sha256, speaks, state, expires)
  select '{node}', '', '{addr}', '', '[1,2)', 'live', now() + interval '{seconds} seconds'
  where not exists (select from nodes where state = 'live');
delete from nodes where state <> 'live' and expires < now() - interval '1 day';
commit;"
    ))
    .await?;
    let named = "update nodes set name = $2 where node = $1 and state = 'live' returning node";
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&node, Type::UUID), (&name, Type::TEXT)];
    Ok(!link.write(named, &params, policy::WRITE_DEADLINE).await?.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::TestCluster;

    #[tokio::test]
    async fn a_server_of_the_same_home_takes_over_at_once_and_the_first_hears_of_it() {
        let at = TestCluster::shared().database().await;
        let database = Arc::new(Database::open(at.address.clone()).await.unwrap());
        let take = |home: &str, node| {
            let home = HomeTag::of(&[home.as_bytes()]);
            NodePresence::take(Arc::clone(&database), "a server", home, Uuid::from_u128(node))
        };
        let first = take("home", 1).await.unwrap();
        let second = take("home", 2).await.unwrap();
        let (first_lost, second_lost) = (first.lost(), second.lost());
        let heard = tokio::time::timeout(Duration::from_secs(60), first.beat(CancellationToken::new())).await;
        assert!(heard.is_ok(), "it beats on");
        assert!(first_lost.is_cancelled(), "its row is dead");
        // A stop gives the database up, so another home need not wait.
        let stop = CancellationToken::new();
        stop.cancel();
        second.beat(stop).await;
        assert!(!second_lost.is_cancelled());
        take("another home", 3).await.unwrap();
    }

    #[tokio::test]
    async fn a_database_with_a_part_of_the_threads_is_for_their_move_alone() {
        let at = TestCluster::shared().database().await;
        let database = Arc::new(Database::open(at.address.clone()).await.unwrap());
        let (home, node) = (HomeTag::of(&[b"home"]), Uuid::from_u128);
        let taken = |n| NodePresence::take(Arc::clone(&database), "a server", home, node(n));
        let moved = |n| NodePresence::take_for_migration(Arc::clone(&database), "a move", home, node(n));
        let first = moved(1).await.unwrap();
        assert!(database.note_arriving(Some("home:/a"), node(1)).await.unwrap());
        let refused = taken(2).await.unwrap_err();
        assert!(matches!(&refused, PresenceError::Arriving { from } if from == "home:/a"), "{refused}");
        let second = moved(3).await.unwrap();
        assert!(!database.note_arriving(None, node(1)).await.unwrap(), "its row is dead");
        assert_eq!(database.arriving_from().await.unwrap().as_deref(), Some("home:/a"));
        assert!(database.note_arriving(None, node(3)).await.unwrap());
        drop((first, second, taken(4).await.unwrap()));
    }
}
