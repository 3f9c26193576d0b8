//! The facts about a request that only the kernel and the stored credentials know.

use std::sync::Arc;

use nix::unistd::geteuid;
use skein_base::system::peers;
use skein_base::tasks::BlockingPool;
use skein_helpers::{Caller, Helpers};

use super::super::acceptor::{Peer, Visitor};
use super::super::routes::WebState;
use super::admit::{AccessRules, Facts, HelperCaller, Need, User, asks_for_user};
use super::head::RequestHead;
use super::refusal::RefusalReason;
use crate::access::CredentialRefusal;

/// The facts of a decision that needs none.
pub(super) fn nobody() -> Facts {
    Facts { user: User::Unknown, helper: None, credential: None }
}

/// Gathers the facts that the decision needs, and no others.
pub(super) async fn gather(
    web: &Arc<WebState>,
    visitor: &Visitor,
    (rules, need): (AccessRules<'_>, Need),
    head: &RequestHead,
) -> Facts {
    if matches!(need, Need::Page | Need::Open) {
        return nobody();
    }
    let services = &web.services;
    let credential = head.credential.as_ref().map(|secret| services.credentials.check(secret).map_err(wrong));
    let asks = asks_for_user(rules, visitor.door(), need, head);
    let helpers = Arc::clone(&services.helpers);
    let peer = visitor.peer().clone();
    // Helpers are few; without one, nothing is read.
    if !helpers.has_living() {
        let (user, _) = owner(&peer, asks, None);
        return Facts { user, helper: None, credential };
    }
    let looked = services
        .tasks
        .blocking("caller", BlockingPool::Processes, move || owner(&peer, asks, Some(&helpers)));
    // A panic was logged; an unknown user gets in nowhere.
    let (user, helper) = looked.await.unwrap_or((User::Unknown, None));
    Facts { user, helper, credential }
}

fn wrong(reason: CredentialRefusal) -> RefusalReason {
    match reason {
        CredentialRefusal::Malformed => RefusalReason::Malformed,
        CredentialRefusal::Unknown => RefusalReason::Unknown,
        CredentialRefusal::Expired => RefusalReason::Expired,
        CredentialRefusal::Revoked => RefusalReason::Revoked,
        CredentialRefusal::Ticket => RefusalReason::Ticket,
    }
}

/// The user and the helper at the other end.
fn owner(peer: &Peer, asks: bool, helpers: Option<&Helpers>) -> (User, Option<HelperCaller>) {
    match peer {
        Peer::Unix(unix) => {
            let caller = helpers.and_then(|helpers| helpers.helper_of_peer(unix));
            (User::Same, caller.map(helper_caller))
        }
        Peer::Tcp { .. } if !asks && helpers.is_none() => (User::Unknown, None),
        Peer::Tcp { local, peer } => match peers::peer_of_tcp(*local, *peer) {
            Ok(owner) => {
                let user = if owner.uid == geteuid().as_raw() { User::Same } else { User::Other };
                let caller = helpers.and_then(|helpers| helpers.helper_of_socket(owner.inode));
                (user, caller.map(helper_caller))
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "the owner of a connection is unknown");
                (User::Unknown, None)
            }
        },
    }
}

fn helper_caller(caller: Caller) -> HelperCaller {
    HelperCaller { name: caller.name, may_connect: caller.may_connect }
}
