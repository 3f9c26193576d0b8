//! The requests about a thread that wait for their way.

use std::collections::VecDeque;
use std::time::Duration;

use skein_protocol::envelope::{self, Incoming};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::TurnInterrupt;
use skein_protocol::table::Method;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Routing;
use crate::policy;

/// An entry in the queue of a thread.
pub(super) enum Unrouted {
    Request(UnroutedRequest),
    /// The thread has lost its server. It comes back after this time.
    Lost(Duration),
}

/// A request that waits for its way.
pub(in crate::router) struct UnroutedRequest {
    pub(in crate::router) text: String,
    /// When it came, or its server was lost.
    pub(in crate::router) came: Instant,
    /// How often its thread turned out to be with another server.
    pub(in crate::router) asked: u32,
    /// A lost server was asked, or has ended the request's subject.
    pub(in crate::router) is_again: bool,
    /// How often the client had left all threads when it came.
    pub(in crate::router) leaves: u64,
    /// None for a request that has waited before.
    pub(in crate::router) slot: Option<OwnedSemaphorePermit>,
}

impl UnroutedRequest {
    /// The pause before its thread is looked for. A load that is about to end here, or at another server, would be met again at once.
    pub(super) fn pause(&self) -> Option<Duration> {
        let paused = self.asked.checked_sub(2)?.min(policy::ROUTE_TRIES);
        Some(policy::ROUTE_RETRY.saturating_mul(1 << paused))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_whose_thread_moves_again_and_again_looks_for_it_as_long_as_for_a_server_that_has_ended() {
        let came = skein_base::clock::Clock.now();
        let request = |asked| UnroutedRequest {
            text: String::new(),
            came,
            asked,
            is_again: false,
            leaves: 0,
            slot: None,
        };
        let pauses: Vec<_> = (0..=policy::ROUTE_TRIES).map(|asked| request(asked).pause()).collect();
        assert_eq!(pauses[..3], [None, None, Some(policy::ROUTE_RETRY)]);
        let in_all: Duration = pauses.into_iter().flatten().sum();
        assert!(in_all <= policy::ROUTE_PATIENCE && in_all + policy::ROUTE_RETRY >= policy::ROUTE_PATIENCE);
        assert!(request(u32::MAX).pause() < Some(policy::CONTINUATION_PATIENCE));
    }
}
