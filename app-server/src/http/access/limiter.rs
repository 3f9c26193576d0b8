//! Wrong credentials of one peer. Secrets are random, so nobody is locked out: above a number a minute, further wrong
//! ones get 429, and the log one line a minute. A right one always passes.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderName};
use tokio::time::Instant;

use super::super::acceptor::Peer;
use super::refusal::AccessRefusal;
use crate::policy;

/// The addresses through which a request has come; each proxy adds the one that it has seen.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The sender of requests that are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PeerKey {
    /// A user of this machine.
    User(u32),
    /// An address, where no kernel names the user.
    Address(IpAddr),
}

impl PeerKey {
    /// The other end of a connection, whose user the kernel may have named.
    pub(super) fn of(peer: &Peer, uid: Option<u32>) -> Self {
        match (peer, uid) {
            (Peer::Unix(unix), _) => Self::User(unix.uid),
            (Peer::Tcp(_), Some(uid)) => Self::User(uid),
            (Peer::Tcp(tcp), None) => Self::Address(tcp.peer.ip().to_canonical()),
        }
    }

    /// The address; `None` for a user of this machine.
    pub(super) fn address(self) -> Option<IpAddr> {
        match self {
            Self::User(_) => None,
            Self::Address(address) => Some(address),
        }
    }
}

/// The client of a proxy that the settings trust: the last address of `X-Forwarded-For`, which the proxy itself has added. Only
/// logs and the limit of wrong credentials use it; it lets nobody in.
pub(super) fn named_by_proxy(peer: &Peer, headers: &HeaderMap, trusted: &[IpAddr]) -> Option<PeerKey> {
    let Peer::Tcp(tcp) = peer else { return None };
    let proxy = tcp.peer.ip().to_canonical();
    trusted.iter().find(|trusted| trusted.to_canonical() == proxy)?;
    let last = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
    let last = last.rsplit(',').next()?.trim();
    let address = last.parse().or_else(|_| last.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|ip: IpAddr| PeerKey::Address(ip.to_canonical()))
}

#[derive(Debug)]
struct WrongCount {
    since: Instant,
    number: u32,
}

/// The recent wrong credentials of all peers.
#[derive(Debug, Default)]
pub(crate) struct WrongCredentials(Mutex<HashMap<PeerKey, WrongCount>>);

impl WrongCredentials {
    /// Counts a wrong credential; beyond the limit its refusal becomes 429. Other refusals stay as they are.
    pub(crate) fn limit(&self, peer: PeerKey, refusal: AccessRefusal, now: Instant) -> AccessRefusal {
        if !refusal.reason.is_wrong_credential() {
            return refusal;
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, count| now < count.since + policy::WRONG_CREDENTIALS_TIME);
        if counts.len() >= policy::WRONG_CREDENTIALS_PEERS && !counts.contains_key(&peer) {
            return AccessRefusal::too_many(policy::WRONG_CREDENTIALS_TIME.as_secs());
        }
        let count = counts.entry(peer).or_insert(WrongCount { since: now, number: 0 });
        count.number = count.number.saturating_add(1);
        if count.number == policy::WRONG_CREDENTIALS + 1 {
            tracing::warn!(?peer, "many wrong credentials; further ones get 429 for a minute");
        }
        if count.number <= policy::WRONG_CREDENTIALS {
            return refusal;
        }
        let left = (count.since + policy::WRONG_CREDENTIALS_TIME).saturating_duration_since(now);
        AccessRefusal::too_many(left.as_secs().max(1))
    }
}

/// The refusals of the last minute that have a line in the log, so that a peer that repeats itself, or one with many addresses,
/// fills no disk.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<RefusalLines>);

#[derive(Debug, Default)]
struct RefusalLines {
    of: HashMap<(PeerKey, String), Instant>,
    /// When the log said last that further refusals have no line.
    full_since: Option<Instant>,
}

impl RefusalLog {
    /// Whether this refusal of this peer deserves a line: it has none of the last minute, and the peer and all peers have few others.
    pub(crate) fn is_news(&self, peer: PeerKey, message: &str, now: Instant) -> bool {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let RefusalLines { of: lines, full_since } = &mut *guard;
        let is_recent = |since: Instant| now < since + policy::REFUSAL_LINES_TIME;
        lines.retain(|_, since| is_recent(*since));
        let key = (peer, message.to_owned());
        if lines.contains_key(&key) {
            return false;
        }
        if lines.len() >= policy::REFUSAL_LINES_OF_ALL {
            if !full_since.is_some_and(is_recent) {
                *full_since = Some(now);
                tracing::warn!(
                    "many requests are refused; not all have a line for a minute, and skein status counts them"
                );
            }
            return false;
        }
        let of_peer = lines.keys().filter(|(known, _)| *known == peer).count();
        if of_peer >= policy::REFUSAL_LINES {
            return false;
        }
        lines.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::HeaderValue;
    use skein_base::clock::Clock;
    use skein_config::access::Door;

    use super::*;
    use crate::http::acceptor::TcpPeer;
    use crate::http::access::refusal::RefusalReason;

    const PEER: PeerKey = PeerKey::User(7);

    #[test]
    fn only_a_trusted_proxy_names_the_client_by_the_address_that_it_has_added() {
        let peer = |ip: [u8; 4]| {
            let (local, peer) = (([127, 0, 0, 1], 1).into(), (ip, 2).into());
            Peer::Tcp(TcpPeer { local, peer, door: Door::Loopback, certificate: None, name: None })
        };
        let named = |peer: &Peer, sent: &[&'static str]| {
            let headers = sent.iter().map(|sent| (FORWARDED_FOR, HeaderValue::from_static(sent))).collect();
            named_by_proxy(peer, &headers, &["127.0.0.1".parse().unwrap()]).and_then(PeerKey::address)
        };
        let proxy = peer([127, 0, 0, 1]);
        for (sent, address) in [
            (vec!["10.0.0.7"], Some("10.0.0.7")),
            (vec!["1.1.1.1, 10.0.0.7"], Some("10.0.0.7")),
            (vec!["1.1.1.1", "10.0.0.7"], Some("10.0.0.7")),
            (vec!["[2001:db8::1]:80"], Some("2001:db8::1")),
            (vec!["::ffff:10.0.0.7"], Some("10.0.0.7")),
            (vec!["unknown"], None),
            (vec![""], None),
            (vec![], None),
        ] {
            assert_eq!(named(&proxy, &sent), address.map(|address| address.parse().unwrap()), "{sent:?}");
        }
        assert_eq!(named(&peer([10, 0, 0, 9]), &["10.0.0.7"]), None, "a stranger names nobody");
    }

    fn wrong() -> AccessRefusal {
        RefusalReason::Unknown.refusal("wrong")
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_credentials_beyond_the_limit_wait_and_others_do_not() {
        let counts = WrongCredentials::default();
        let now = Clock.now();
        for _ in 0..policy::WRONG_CREDENTIALS {
            assert_eq!(counts.limit(PEER, wrong(), now).reason, RefusalReason::Unknown);
        }
        assert_eq!(counts.limit(PEER, wrong(), now).reason, RefusalReason::TooMany);
        let missing = RefusalReason::Missing.refusal("none");
        assert_eq!(counts.limit(PEER, missing.clone(), now), missing, "a missing one does not count");
        assert_eq!(counts.limit(PeerKey::User(8), wrong(), now).reason, RefusalReason::Unknown);
        let later = now + policy::WRONG_CREDENTIALS_TIME + Duration::from_secs(1);
        assert_eq!(counts.limit(PEER, wrong(), later).reason, RefusalReason::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_is_repeated_has_one_line_a_minute() {
        let (log, now) = (RefusalLog::default(), Clock.now());
        let news = |peer, message: &str, now| log.is_news(peer, message, now);
        assert!(news(PEER, "a", now) && !news(PEER, "a", now));
        assert!(news(PeerKey::User(8), "a", now), "another peer");
        for other in 1..policy::REFUSAL_LINES {
            assert!(news(PEER, &other.to_string(), now), "another refusal");
        }
        assert!(!news(PEER, "b", now), "the log has enough of this peer");
        let later = now + policy::REFUSAL_LINES_TIME;
        assert!(news(PEER, "a", later) && news(PEER, "b", later));
    }

    #[tokio::test(start_paused = true)]
    async fn many_peers_have_a_bounded_number_of_lines() {
        let (log, now) = (RefusalLog::default(), Clock.now());
        let news = |peer, now| log.is_news(PeerKey::User(peer), "a", now);
        assert_eq!((0..3_000).filter(|peer| news(*peer, now)).count(), policy::REFUSAL_LINES_OF_ALL);
        assert!(news(3_000, now + policy::REFUSAL_LINES_TIME));
    }

    #[tokio::test(start_paused = true)]
    async fn many_peers_take_bounded_memory() {
        let counts = WrongCredentials::default();
        let now = Clock.now();
        let peers = u32::try_from(policy::WRONG_CREDENTIALS_PEERS).unwrap();
        for peer in 0..peers {
            assert_eq!(counts.limit(PeerKey::User(peer), wrong(), now).reason, RefusalReason::Unknown);
        }
        assert_eq!(counts.limit(PeerKey::User(peers), wrong(), now).reason, RefusalReason::TooMany);
    }
}
