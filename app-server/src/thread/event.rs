//! The events that the machine receives.

use skein_protocol::error::WireError;

use super::effect::{Destination, MoveRefusal};
use super::machine::Policy;

/// A request that waits for the machine, such as a resume, input or an unload. The actor keeps the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WaiterId(pub(crate) u64);

/// The listeners of a thread. Observers do not keep a thread loaded.
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
    /// The rollout has at least one user message.
    Yes,
    /// Nothing is on disk yet.
    No,
}

/// The queue, as far as a thread's life depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum QueueState {
    /// The first message becomes a turn as soon as the thread is idle.
    Ready,
    /// No message becomes a turn by itself.
    #[default]
    Quiet,
}

/// The treatment of the running turn by the next load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TurnKept {
    /// It interrupts the turn.
    #[default]
    No,
    /// It goes on with the turn.
    Yes,
    /// It goes on with the turn, and nothing goes on before a client answers.
    Waits,
}

/// Whether an unload may take a thread from its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    /// Refused while the thread is active or another client is subscribed.
    No,
    /// Refused while a client is subscribed. The earlier subscribers have gone for good.
    IfDeserted,
    /// Never refused.
    Yes,
}

/// An event in the life of a thread.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The load has read the rollout, or the thread is new. Answered by [`Event::Subscribers`] in the same step.
    Loaded(Materialised),
    /// The load has read the rollout, and goes on with a turn. Answered as [`Event::Loaded`].
    LoadedInTurn,
    /// The load failed, for this reason.
    LoadFailed(WireError),
    /// The first user message is about to be written.
    Materialised,
    Subscribers(Counts),
    /// How many requests of live connections are under way at the thread's helpers.
    Requests(usize),
    /// Records wait for a storage that is away, or no longer.
    Unsaved(bool),
    /// Whether a message of the queue is about to become a turn.
    Queue(QueueState),
    /// A client wants to subscribe.
    Resume(WaiterId),
    /// A client has left while its resume waited.
    Withdrawn(WaiterId),
    /// A client sends input: a turn, or a steer of the running turn.
    Input(WaiterId),
    /// A client interrupts the running turn.
    Interrupt,
    /// The running turn. Both change at once: a question that is known before its turn waits would end the turn.
    Turn {
        /// The treatment of the turn by the next load.
        kept: TurnKept,
        /// How many of its questions wait for an answer.
        questions: usize,
    },
    /// The turn has ended in any way.
    TurnEnded,
    /// A client wants the thread unloaded.
    Unload {
        /// The request, answered when the thread has fully stopped.
        waiter: WaiterId,
        force: Force,
        /// Subscribers other than the asker.
        others: usize,
    },
    /// A client archives, restores or deletes the thread. Activity and subscribers do not prevent it.
    Relocate {
        waiter: WaiterId,
        to: Destination,
    },
    /// The rollout is at its destination.
    Moved,
    /// The rollout is not at its destination, for this reason.
    MoveFailed(MoveRefusal),
    /// Other threads need memory, and this thread has been idle longest.
    Evict,
    Policy(Policy),
    Shutdown,
    /// No helper process of this thread is left.
    HelpersEnded,
    /// Every record is written, including the closing one.
    RolloutClosed,
    /// The store takes nothing of this load any more: another server has the thread, or the rollout has changed under it.
    Fenced,
    /// The time of `deadline()` has come.
    DeadlinePassed,
}
