//! The limits of connections: of all that are open, of those with one credential, and of those that begin in a second from one
//! address of another machine.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skein_config::Limits;
use skein_config::access::{Admission, Door};
use tokio::time::Instant;
use uuid::Uuid;

use super::acceptor::Peer;
use super::access::AccessRefusal;
use crate::policy;

/// The open websockets, by credential.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<TakenPlaces>);

#[derive(Debug, Default)]
struct TakenPlaces {
    all: usize,
    of_credential: HashMap<Uuid, usize>,
}

/// The place of one websocket, until it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    places: Arc<Places>,
    credential: Option<Uuid>,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, TakenPlaces> {
        // Each change is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a websocket with this admission. Programs at a socket of the server's user always get one, so that a person can
    /// see what fills the server.
    ///
    /// # Errors
    /// 503: a limit is reached.
    pub(crate) fn take(
        self: &Arc<Self>,
        admission: &Admission,
        limits: &Limits,
    ) -> Result<ConnectionPlace, AccessRefusal> {
        let mut taken = self.taken();
        if taken.all >= limits.connections && admission.door != Door::Unix {
            return Err(AccessRefusal::full("limits.connections", limits.connections, policy::FULL_WAIT));
        }
        let credential = admission.credential();
        if let Some(id) = credential {
            let most = limits.connections_per_credential;
            let of_credential = taken.of_credential.entry(id).or_default();
            if *of_credential >= most {
                return Err(AccessRefusal::full(
                    "limits.connections_per_credential",
                    most,
                    policy::FULL_WAIT,
                ));
            }
            *of_credential += 1;
        }
        taken.all += 1;
        Ok(ConnectionPlace { places: Arc::clone(self), credential })
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(id) = self.credential
            && let Some(left) = taken.of_credential.get_mut(&id)
        {
            *left -= 1;
            if *left == 0 {
                taken.of_credential.remove(&id);
            }
        }
    }
}

/// The connections of the last second, by address of another machine.
#[derive(Debug, Default)]
pub(crate) struct ConnectRates(Mutex<HashMap<IpAddr, ConnectCount>>);

#[derive(Debug)]
struct ConnectCount {
    since: Instant,
    number: usize,
}

impl ConnectRates {
    /// Counts a new connection.
    ///
    /// # Errors
    /// 503: too many have begun in this second. Of very many addresses at once, further ones are refused, too.
    pub(crate) fn begin(&self, peer: &Peer, limits: &Limits, now: Instant) -> Result<(), AccessRefusal> {
        let Peer::Tcp(tcp) = peer else { return Ok(()) };
        let address = tcp.peer.ip().to_canonical();
        if address.is_loopback() {
            return Ok(());
        }
        let most = limits.connects_per_address;
        let full = || AccessRefusal::fast("limits.connects_per_address", most, CONNECTS_TIME);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= policy::CONNECT_ADDRESSES && !counts.contains_key(&address) {
            counts.retain(|_, count| now < count.since + CONNECTS_TIME);
            if counts.len() >= policy::CONNECT_ADDRESSES {
                return Err(full());
            }
        }
        let count = counts.entry(address).or_insert(ConnectCount { since: now, number: 0 });
        if now >= count.since + CONNECTS_TIME {
            *count = ConnectCount { since: now, number: 0 };
        }
        count.number += 1;
        if count.number > most { Err(full()) } else { Ok(()) }
    }
}

/// The time in which new connections of one address are counted.
const CONNECTS_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use skein_base::clock::Clock;
    use skein_config::access::{CredentialKind, Grant, Identity};
    use skein_protocol::access::Access;

    use super::super::acceptor::TcpPeer;
    use super::*;

    fn limits() -> Limits {
        Limits { connections: 3, connections_per_credential: 2, connects_per_address: 2, ..Limits::default() }
    }

    fn bearer(id: u128) -> Admission {
        let (kind, name) = (CredentialKind::Token, "t".to_owned());
        let grant = Grant {
            id: Uuid::from_u128(id),
            kind,
            name,
            access: Access::Chat,
            origin: None,
            same_user: false,
        };
        Admission { identity: Identity::Bearer(grant), ..Admission::local(Door::Loopback) }
    }

    #[test]
    fn a_credential_and_all_together_have_a_number_of_places_which_come_back() {
        let places = Arc::new(Places::default());
        let take =
            |admission: &Admission| places.take(admission, &limits()).map_err(|refusal| refusal.message);
        let first = take(&bearer(1)).unwrap();
        let _second = take(&bearer(1)).unwrap();
        assert!(take(&bearer(1)).unwrap_err().contains("limits.connections_per_credential"));
        let _third = take(&bearer(2)).unwrap();
        assert!(take(&bearer(3)).unwrap_err().contains("(limits.connections)"));
        let local = take(&Admission::local(Door::Unix)).unwrap();
        drop((first, local));
        let again = take(&bearer(1)).unwrap();
        assert!(take(&bearer(3)).is_err());
        drop(again);
        let left = places.taken();
        assert_eq!((left.all, left.of_credential.len()), (2, 2));
        drop(left);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_of_another_machine_begins_only_so_many_a_second() {
        let rates = ConnectRates::default();
        let begin = |ip: [u8; 4], now| {
            let (local, peer) = (([127, 0, 0, 1], 1).into(), (ip, 2).into());
            let peer = Peer::Tcp(TcpPeer { local, peer, door: Door::Remote, certificate: None, name: None });
            rates.begin(&peer, &limits(), now).map_err(|refusal| refusal.message)
        };
        let now = Clock.now();
        assert_eq!([0, 0].map(|_| begin([10, 0, 0, 1], now)), [Ok(()), Ok(())]);
        let full = begin([10, 0, 0, 1], now).unwrap_err();
        assert!(
            full.starts_with("2 new connections a second") && full.contains("(limits.connects_per_address)")
        );
        assert!(begin([10, 0, 0, 2], now).is_ok(), "another address");
        assert!([0; 9].iter().all(|_| begin([127, 0, 0, 1], now).is_ok()), "this machine has no limit");
        assert!(begin([10, 0, 0, 1], now + CONNECTS_TIME).is_ok());
    }
}
