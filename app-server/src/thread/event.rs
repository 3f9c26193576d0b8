//! What can happen to a thread, as the machine hears it.

use skein_protocol::error::WireError;

use super::effect::Destination;
use super::machine::Policy;

/// A request that waits for something of the machine, such as a resume, input, or an unload. The actor keeps the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WaiterId(pub(crate) u64);

/// Who listens to a thread. Observers receive, and count for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Connections that keep the thread loaded.
    pub(crate) subscribers: usize,
    /// Connections that only watch.
    pub(crate) observers: usize,
}

/// Whether a thread has a rollout on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Materialised {
    /// There is a rollout with at least one user message.
    Yes,
    /// Nothing is on disk yet.
    No,
}

/// Whether an unload may take a thread from its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    /// Refused while the thread is active or somebody else is subscribed.
    No,
    /// Refused while somebody is subscribed: whoever was has gone for good.
    IfDeserted,
    /// Whatever it does and whoever listens.
    Yes,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The load has read the rollout, or the thread is new. Answered by [`Event::Subscribers`] in the same step.
    Loaded(Materialised),
    /// The load failed, for this reason.
    LoadFailed(WireError),
    /// The first user message is about to be written.
    Materialised,
    /// What the subscribers' map says now.
    Subscribers(Counts),
    /// How many requests of live connections are under way at the thread's helpers.
    Requests(usize),
    /// How many questions to the client wait for an answer.
    Questions(usize),
    /// Somebody wants to be subscribed.
    Resume(WaiterId),
    /// Somebody who waited in a resume has left.
    Withdrawn(WaiterId),
    /// Somebody sends input: a turn, or a steer of the one that runs.
    Input(WaiterId),
    /// Somebody wants the running turn to end.
    Interrupt,
    /// The turn has ended, however.
    TurnEnded,
    /// Somebody wants the thread unloaded.
    Unload {
        /// Who is told of the zero.
        waiter: WaiterId,
        /// Whether it may be refused.
        force: Force,
        /// Subscribers other than who asks.
        others: usize,
    },
    /// Somebody wants the thread archived, brought back, or deleted, whatever it does and whoever listens.
    PutElsewhere {
        /// Who is told.
        waiter: WaiterId,
        /// Where to.
        to: Destination,
    },
    /// The rollout is where it was to be put.
    Moved,
    /// It is not, for this reason.
    MoveFailed(String),
    /// Room is needed for others, and this thread is the longest idle one.
    Squeeze,
    /// The configuration has changed.
    Policy(Policy),
    /// The server stops.
    Shutdown,
    /// No helper process of this thread is left.
    HelpersEnded,
    /// Every record is written, and the closing one.
    RolloutClosed,
    /// The time named by `deadline()` has come.
    DeadlinePassed,
}
