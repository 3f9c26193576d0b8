//! The facts about a request that only the kernel and the stored credentials know.

use std::net::SocketAddr;
use std::sync::Arc;

use nix::unistd::geteuid;
use skein_base::system::peers::{self, SocketOwner, Unknown};
use skein_base::system::proc::Unsettled;
use skein_base::tasks::BlockingPool;
use skein_config::access::CredentialRefusal;
use skein_helpers::{Caller, Helpers};

use super::super::acceptor::{Peer, TcpPeer, Visitor};
use super::super::routes::WebState;
use super::admit::{AccessRules, Facts, HelperCaller, Need, User, asks_for_user};
use super::head::RequestHead;
use super::refusal::RefusalReason;

/// A user nobody knows.
const UNKNOWN: (User, Option<u32>) = (User::Unknown, None);

/// The facts about a request.
pub(super) struct Gathered {
    pub(super) facts: Facts,
    /// The user at the other end, if the kernel was asked and knows.
    pub(super) uid: Option<u32>,
}

/// The facts of a decision that needs none.
pub(super) fn nobody() -> Facts {
    Facts { user: User::Unknown, helper: Ok(None), credential: None }
}

/// Gathers the facts that the decision needs, and no others.
pub(super) async fn gather(
    web: &Arc<WebState>,
    visitor: &Visitor,
    (rules, need): (AccessRules<'_>, Need),
    head: &RequestHead,
) -> Gathered {
    if matches!(need, Need::Page | Need::Open) {
        return Gathered { facts: nobody(), uid: None };
    }
    let services = &web.services;
    let credential = match &head.credential {
        Some(secret) => Some(services.credentials.find(secret.expose()).await.map_err(wrong)),
        None => None,
    };
    let asks = asks_for_user(rules, need, head);
    let peer = visitor.peer().clone();
    // Helpers are few; without one, nothing of theirs is read.
    let helpers = Some(Arc::clone(&services.helpers)).filter(|helpers| helpers.has_living());
    if helpers.is_none()
        && let Some((user, uid)) = user_at_once(&peer, asks)
    {
        return Gathered { facts: Facts { user, helper: Ok(None), credential }, uid };
    }
    let look = move || owner(&peer, asks, helpers.as_deref());
    let looked = services.tasks.blocking("caller", BlockingPool::Processes, look);
    // A panic was logged.
    let ((user, uid), helper) = looked.await.unwrap_or((UNKNOWN, Err(Unsettled)));
    Gathered { facts: Facts { user, helper, credential }, uid }
}

fn wrong(reason: CredentialRefusal) -> RefusalReason {
    match reason {
        CredentialRefusal::Malformed => RefusalReason::Malformed,
        CredentialRefusal::Unknown => RefusalReason::Unknown,
        CredentialRefusal::Unread => RefusalReason::Unread,
        CredentialRefusal::Expired => RefusalReason::Expired,
        CredentialRefusal::Revoked => RefusalReason::Revoked,
        CredentialRefusal::Ticket => RefusalReason::Ticket,
        CredentialRefusal::Signed(refusal) => RefusalReason::Signed(refusal),
    }
}

/// The user at the other end; `None` if only tables of the kernel know, which take milliseconds.
fn user_at_once(peer: &Peer, asks: bool) -> Option<(User, Option<u32>)> {
    match peer {
        Peer::Unix(unix) => Some((User::Same, Some(unix.uid))),
        Peer::Tcp(_) if !asks => Some(UNKNOWN),
        Peer::Tcp(tcp) => match peers::peer_of_tcp_at_once(tcp.local, tcp.peer) {
            Err(Unknown::NotAtOnce) => None,
            found => Some(user(&tcp.peer, &found)),
        },
    }
}

/// The user and the helper at the other end. Blocks.
fn owner(
    peer: &Peer,
    asks: bool,
    helpers: Option<&Helpers>,
) -> ((User, Option<u32>), Result<Option<HelperCaller>, Unsettled>) {
    match peer {
        Peer::Unix(unix) => {
            let caller = helpers.map_or(Ok(None), |helpers| helpers.helper_of_peer(unix));
            ((User::Same, Some(unix.uid)), caller.map(|caller| caller.map(helper_caller)))
        }
        Peer::Tcp(_) if !asks && helpers.is_none() => (UNKNOWN, Ok(None)),
        Peer::Tcp(TcpPeer { local, peer, .. }) => {
            let found = peers::peer_of_tcp(*local, *peer);
            let caller = helpers.map_or(Ok(None), |helpers| {
                let owner = found.as_ref().ok();
                let caller = owner.map_or(Ok(None), |owner| helpers.helper_of_socket(owner.inode))?;
                // Last: nobody has a socket that was closed during the look. It may have been a helper's.
                Ok(caller.or_else(|| peers::is_closing(*local, *peer).then(Caller::former)))
            });
            (user(peer, &found), caller.map(|caller| caller.map(helper_caller)))
        }
    }
}

fn user(peer: &SocketAddr, found: &Result<SocketOwner, Unknown>) -> (User, Option<u32>) {
    match found {
        Ok(owner) if owner.uid == geteuid().as_raw() => (User::Same, Some(owner.uid)),
        Ok(owner) => (User::Other, Some(owner.uid)),
        Err(error) => {
            tracing::debug!(%peer, %error, "the owner of a connection is unknown");
            UNKNOWN
        }
    }
}

fn helper_caller(caller: Caller) -> HelperCaller {
    HelperCaller { name: caller.name, may_connect: caller.may_connect }
}
