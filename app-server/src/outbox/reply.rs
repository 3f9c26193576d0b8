//! The answer to one request. It travels with the request, so that the component with the answer queues it in the
//! same step as the notifications after it. A dropped reply answers with an error.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use skein_base::clock::Clock;
use skein_base::counters::RequestDurations;
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::ids::{ConnectionId, RequestId, ThreadId};
use skein_protocol::table::Lane;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::{Frame, Outbox};

/// The connection and request to answer.
#[derive(Debug)]
struct Address {
    outbox: Outbox,
    id: RequestId,
    /// The method's wire name, on which some error sentences depend.
    method: &'static str,
    /// The request's slot among those in flight.
    in_flight: Option<OwnedSemaphorePermit>,
    timer: Option<RequestTimer>,
    ask_owner: Option<AskOwner>,
    divert: Option<Divert>,
}

/// Takes something once, in place of the client.
pub(crate) struct Taker<T>(Box<dyn FnOnce(T) + Send + Sync>);

/// Takes the answer, at its place among the client's messages.
pub(crate) type Divert = Taker<Frame>;

/// Asks the server that has the thread, in place of an answer that names it. For a request that may be sent again.
pub(crate) type AskOwner = Taker<ThreadId>;

impl<T> Taker<T> {
    /// Gives it to this.
    pub(crate) fn by(take: impl FnOnce(T) + Send + Sync + 'static) -> Self {
        Self(Box::new(take))
    }
}

impl<T> fmt::Debug for Taker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taker").finish_non_exhaustive()
    }
}

/// Measures a request, from its arrival to its answer.
#[derive(Debug)]
pub(crate) struct RequestTimer {
    began: Instant,
    lane: Lane,
    counts: Arc<RequestDurations>,
}

impl RequestTimer {
    /// A request of this lane that arrives now.
    pub(crate) fn begin(lane: Lane, counts: &Arc<RequestDurations>) -> Self {
        Self { began: Clock.now(), lane, counts: Arc::clone(counts) }
    }

    fn end(self) {
        let durations = match self.lane {
            Lane::Inline => &self.counts.inline,
            Lane::Store => &self.counts.store,
            Lane::Thread => &self.counts.thread,
            Lane::Helper => &self.counts.helper,
        };
        durations.add(Clock.now().saturating_duration_since(self.began));
    }
}

impl Address {
    fn error(&self, error: &WireError) -> Frame {
        envelope::error_reply(Some(&self.id), &error.answered_by(self.method)).into()
    }

    fn send(self, frame: Frame) {
        // First: a client that has read the answer may send the next request at once, and needs the slot.
        drop(self.in_flight);
        match self.divert {
            Some(Taker(take)) => take(frame),
            None => self.outbox.push(frame),
        }
        if let Some(timer) = self.timer {
            timer.end();
        }
    }
}

/// A request that gets an `R` or an error, once.
#[derive(Debug)]
#[must_use = "a request that is not answered is answered with an internal error"]
pub(crate) struct Reply<R> {
    address: Option<Box<Address>>,
    answers_with: PhantomData<fn(R)>,
}

/// A finished answer that waits for its turn.
#[derive(Debug)]
#[must_use = "an answer has to be sent"]
pub(crate) struct Answer {
    address: Option<Box<Address>>,
    frame: Frame,
}

impl<R: Serialize> Reply<R> {
    /// The reply to request `id` of `method`, on the connection of this outbox.
    pub(crate) fn new(
        outbox: Outbox,
        id: RequestId,
        method: &'static str,
        in_flight: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let (timer, ask_owner, divert) = (None, None, None);
        let address = Address { outbox, id, method, in_flight, timer, ask_owner, divert };
        Self { address: Some(Box::new(address)), answers_with: PhantomData }
    }

    /// The same, measured.
    pub(crate) fn timed(mut self, timer: RequestTimer) -> Self {
        if let Some(address) = &mut self.address {
            address.timer = Some(timer);
        }
        self
    }

    /// The same for a request that another server may answer.
    pub(crate) fn or_ask(mut self, owner: Option<AskOwner>) -> Self {
        if let Some(address) = &mut self.address {
            address.ask_owner = owner;
        }
        self
    }

    /// The same for a request of this server in the name of a client.
    pub(crate) fn diverted(mut self, divert: Option<Divert>) -> Self {
        if let Some(address) = &mut self.address {
            address.divert = divert;
        }
        self
    }

    /// A reply without a request.
    pub(crate) fn to_nobody() -> Self {
        Self { address: None, answers_with: PhantomData }
    }

    /// Answers now.
    pub(crate) fn ok(self, response: &R) {
        self.prepare(response).send();
    }

    /// Answers now, with an error.
    pub(crate) fn err(self, error: &WireError) {
        self.prepare_err(error).send();
    }

    /// Answers now, either way.
    pub(crate) fn send(self, result: Result<R, WireError>) {
        match result {
            Ok(response) => self.ok(&response),
            Err(error) => self.err(&error),
        }
    }

    /// The answer as a message, for [`Reply::hold`].
    pub(crate) fn frame(&self, response: &R) -> Frame {
        self.address.as_ref().map(|a| envelope::response(&a.id, response)).unwrap_or_default().into()
    }

    /// Prepares a message of [`Reply::frame`], to be sent later.
    pub(crate) fn hold(mut self, frame: Frame) -> Answer {
        Answer { address: self.address.take(), frame }
    }

    /// Serialises the answer, to be sent later.
    pub(crate) fn prepare(self, response: &R) -> Answer {
        let frame = self.frame(response);
        self.hold(frame)
    }

    /// Serialises the answer, or an error if it is above this many bytes, to be sent later.
    pub(crate) fn prepare_within(
        self,
        most_bytes: usize,
        response: &R,
        too_large: impl FnOnce() -> WireError,
    ) -> Answer {
        let answer = self.prepare(response);
        if answer.frame.len() > most_bytes { answer.replace_with(&too_large()) } else { answer }
    }

    /// Serialises an error, to be sent later.
    pub(crate) fn prepare_err(mut self, error: &WireError) -> Answer {
        let mut address = self.address.take();
        if let Some(thread) = error.thread_of_other_server()
            && let Some(Taker(ask)) = address.as_mut().and_then(|address| address.ask_owner.take())
        {
            // Its places are free before the request is sent again.
            drop(address);
            ask(thread);
            return Answer { address: None, frame: Frame::default() };
        }
        let frame = address.as_ref().map(|address| address.error(error)).unwrap_or_default();
        Answer { address, frame }
    }
}

impl<R> Reply<R> {
    /// The connection of the request.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        self.address.as_ref().map(|a| a.outbox.connection())
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        if let Some(address) = self.address.take() {
            let error =
                WireError::internal("dropped", "the request was dropped by a fault of the server; try again");
            let frame = envelope::error_reply(Some(&address.id), &error).into();
            address.send(frame);
        }
    }
}

impl Answer {
    pub(crate) fn send(mut self) {
        self.deliver();
    }

    pub(crate) fn replace_with(mut self, error: &WireError) -> Self {
        if let Some(address) = &self.address {
            self.frame = address.error(error);
        }
        self
    }

    fn deliver(&mut self) {
        if let Some(address) = self.address.take() {
            address.send(std::mem::take(&mut self.frame));
        }
    }
}

impl Drop for Answer {
    /// A finished answer is sent even if it is dropped.
    fn drop(&mut self) {
        self.deliver();
    }
}
