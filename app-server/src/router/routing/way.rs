//! Finds the server of a thread, and opens the link to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use skein_postgres::standing::Neighbour;
use skein_protocol::ids::ThreadId;
use tokio::time::{Instant, sleep};

use super::super::Router;
use super::super::session::ClientSession;
use super::Routing;
use crate::links::client::ClientLink;
use crate::policy;

/// The way of a request.
pub(in crate::router) enum ThreadWay {
    /// To this server.
    Here,
    /// By a link.
    To(ClientLink),
    /// The database does not answer.
    Unknown(io::Error),
}

/// Whether a request waits for a server that takes no link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::router) enum RouteWait {
    /// No: it has been answered.
    No,
    /// It waits for that server.
    ForServer,
    /// It needs the thread, here or there. A server that lives and takes no link for long is asked to hand it over.
    ForThread,
}

impl RouteWait {
    /// The wait of a request that needs the thread, or does not.
    pub(in crate::router) fn of(needs_thread: bool) -> Self {
        if needs_thread { Self::ForThread } else { Self::ForServer }
    }
}

impl Router {
    /// The way of a request about a thread, which came at this time. A server that has just ended has its threads until the others know:
    /// `waits` decides whether to wait for a server that takes no link, after this time. `None` if not.
    pub(in crate::router) async fn way(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        routing: &Routing,
        (thread, came): (ThreadId, Instant),
        mut waits: impl FnMut(&Neighbour, Duration) -> RouteWait,
    ) -> Option<ThreadWay> {
        let mut wished: Option<Instant> = None;
        // It shares a failure that it has waited for behind another request.
        let mut asks_since = came;
        loop {
            if session.app.registry.handle(thread).is_some() {
                return Some(ThreadWay::Here);
            }
            let now = session.app.clock.now();
            let owner = match routing.links.owner_of(thread).await {
                Ok(Some(owner)) => owner,
                Ok(None) if Self::is_out_of_sight(session, routing, (thread, came)).await => {
                    sleep(policy::ROUTE_RETRY).await;
                    continue;
                }
                found @ (Ok(None) | Err(_)) => {
                    return Some(match (routing.way(thread), found) {
                        (Some(link), _) => ThreadWay::To(link),
                        (None, Ok(_)) => ThreadWay::Here,
                        (None, Err(failure)) => ThreadWay::Unknown(failure),
                    });
                }
            };
            if let Some(link) = routing.link(self, session, &owner, asks_since).await {
                return Some(ThreadWay::To(link));
            }
            let is_due = wished.is_none_or(|wished| now >= wished + policy::HANDOVER_WISH);
            match waits(&owner, session.app.clock.now().saturating_duration_since(came)) {
                RouteWait::No => return None,
                // As of the time when the database named the owner.
                RouteWait::ForThread if is_due && routing.links.is_cut_off(owner.node, now) => {
                    routing.links.want(thread, &owner).await;
                    wished = Some(now);
                }
                RouteWait::ForThread | RouteWait::ForServer => {}
            }
            sleep(policy::ROUTE_RETRY).await;
            asks_since = session.app.clock.now();
        }
    }

    /// Whether a thread that its client has followed by a link may be with a server that is not observed now.
    async fn is_out_of_sight(
        session: &Arc<ClientSession>,
        routing: &Routing,
        (thread, came): (ThreadId, Instant),
    ) -> bool {
        let waited = session.app.clock.now().saturating_duration_since(came);
        let is_tracked = routing.relayed().is_tracked(thread);
        is_tracked
            && waited < policy::CONTINUATION_PATIENCE
            && routing.way(thread).is_none()
            && routing.links.may_be_unseen(thread).await
    }
}
