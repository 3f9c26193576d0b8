//! The requests about a thread that wait for their way.

use std::collections::VecDeque;
use std::time::Duration;

use skein_protocol::envelope::{self, Incoming};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::TurnInterrupt;
use skein_protocol::table::Method;
use tokio::sync::OwnedSemaphorePermit;

use super::Routing;

/// An entry in the queue of a thread.
pub(super) enum Unrouted {
    Request(UnroutedRequest),
    /// The thread has lost its server. It comes back after this time.
    Lost(Duration),
}

/// A request that waits for its way.
pub(in crate::router) struct UnroutedRequest {
    pub(in crate::router) text: String,
    /// How often its thread turned out to be with another server.
    pub(in crate::router) asked: usize,
    /// A lost server was asked, or has ended the request's subject.
    pub(in crate::router) is_again: bool,
    /// How often the client had left all threads when it came.
    pub(in crate::router) leaves: u64,
    /// None for a request that has waited before.
    pub(in crate::router) slot: Option<OwnedSemaphorePermit>,
}

impl Routing {
    /// Takes the waiting requests of a thread whose methods are wanted.
    pub(in crate::router) fn take_waiting(
        &self,
        thread: ThreadId,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Vec<UnroutedRequest> {
        let is_it = |unrouted: &Unrouted| match unrouted {
            Unrouted::Request(request) => matches!(
                envelope::parse(&request.text),
                Ok(Incoming::Request { method, .. }) if is_wanted(&method)
            ),
            Unrouted::Lost(_) => false,
        };
        let mut waiting = self.waiting();
        let Some(of_thread) = waiting.get_mut(&thread) else { return Vec::new() };
        let (taken, left) = std::mem::take(of_thread).into_iter().partition(is_it);
        *of_thread = left;
        let taken: VecDeque<Unrouted> = taken;
        let requests = taken.into_iter().filter_map(|unrouted| match unrouted {
            Unrouted::Request(request) => Some(request),
            Unrouted::Lost(_) => None,
        });
        requests.collect()
    }

    /// A turn ends with its server, so the interrupts that wait meanwhile are done.
    pub(in crate::router) fn turn_has_ended(&self, thread: ThreadId) {
        let mut waiting = self.waiting();
        for unrouted in waiting.get_mut(&thread).into_iter().flatten() {
            if let Unrouted::Request(request) = unrouted
                && let Ok(Incoming::Request { method, .. }) = envelope::parse(&request.text)
                && method == TurnInterrupt::INFO.wire
            {
                request.is_again = true;
            }
        }
    }

    /// The next entry of a thread. Without one, the thread's task ends.
    pub(super) fn next(&self, thread: ThreadId) -> Option<Unrouted> {
        let mut waiting = self.waiting();
        let next = waiting.get_mut(&thread).and_then(VecDeque::pop_front);
        if next.is_none() {
            waiting.remove(&thread);
        }
        next
    }
}

/// Puts a lost thread before the requests that wait. A queue has one at most, with the longest pause.
pub(super) fn put_lost_first(waiting: &mut VecDeque<Unrouted>, pause: Duration) {
    let before = take_lost(waiting).unwrap_or_default();
    waiting.push_front(Unrouted::Lost(pause.max(before)));
}

pub(super) fn take_lost(waiting: &mut VecDeque<Unrouted>) -> Option<Duration> {
    let at = waiting.iter().position(|unrouted| matches!(unrouted, Unrouted::Lost(_)))?;
    match waiting.remove(at)? {
        Unrouted::Lost(pause) => Some(pause),
        Unrouted::Request(_) => None,
    }
}
