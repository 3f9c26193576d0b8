//! What can be wrong with a request to a thread.

use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::thread::ThreadReadState;

use crate::rollout::ReadError;

/// Why a thread does not do what it is asked. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    /// It exists nowhere. On the wire the sentence depends on the method.
    #[error("thread not found: {id}")]
    NotFound {
        /// The thread.
        id: ThreadId,
    },
    /// It has no owner now. On the wire the sentence depends on the method.
    #[error("thread not found: {id}")]
    NotLoaded {
        /// The thread.
        id: ThreadId,
    },
    /// Its rollout cannot be read.
    #[error("{id} cannot be loaded: {source}")]
    Unreadable {
        /// The thread.
        id: ThreadId,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// Its load, or its owner, broke off.
    #[error("a fault of the server has ended what {id} was doing; resume it, the server's log has more")]
    BrokeOff {
        /// The thread.
        id: ThreadId,
    },
    /// Its owner's mailbox is full.
    #[error("{id} is busy; try again in a moment")]
    Busy {
        /// The thread.
        id: ThreadId,
    },
    /// It is ephemeral, and that has no such thing.
    #[error("{id} is ephemeral: it is never written, so {what}")]
    Ephemeral {
        /// The thread.
        id: ThreadId,
        /// What there is not.
        what: &'static str,
    },
    /// It is there already, and so does not start.
    #[error("{id} exists; resume it (thread/resume)")]
    Exists {
        /// The thread.
        id: ThreadId,
    },
    /// The resume ended because its connection left.
    #[error("the resume of {id} was withdrawn by an unsubscribe; resume again to subscribe")]
    Withdrawn {
        /// The thread.
        id: ThreadId,
    },
    /// The server stops.
    #[error("the server stops; connect again and resume {id} when it is back")]
    Stopping {
        /// The thread.
        id: ThreadId,
    },
    /// An unload without force met activity.
    #[error("{id} is active; wait for its turn, interrupt it, or unload with force")]
    Active {
        /// The thread.
        id: ThreadId,
    },
    /// An unload without force met other subscribers.
    #[error("{id} has other subscribers; they have to leave first, or unload with force")]
    Subscribed {
        /// The thread.
        id: ThreadId,
    },
    /// No turn runs that could be added to. A terminal client compares the sentence, and begins a turn.
    #[error("no active turn to steer")]
    NothingToSteer {
        /// The thread.
        id: ThreadId,
    },
    /// No turn runs that could be interrupted.
    #[error("no active turn to interrupt")]
    NothingToInterrupt {
        /// The thread.
        id: ThreadId,
    },
    /// A steer names the empty text as its turn.
    #[error("expectedTurnId must not be empty")]
    NoTurnNamed {
        /// The thread.
        id: ThreadId,
    },
    /// The turn that runs takes nothing more.
    #[error("turn {turn} of {id} compacts the conversation and takes nothing more; say it when it has ended")]
    NotSteerable {
        /// The thread.
        id: ThreadId,
        /// The turn.
        turn: TurnId,
    },
    /// Another turn runs than the one that a steer names. Clients take the id of the other from the sentence.
    #[error("expected active turn id `{named}` but found `{active}`")]
    SteersOther {
        /// The thread.
        id: ThreadId,
        /// What the client named.
        named: TurnId,
        /// What runs.
        active: TurnId,
    },
    /// Another turn runs than the one that an interrupt names.
    #[error("expected active turn id {named} but found {active}")]
    InterruptsOther {
        /// The thread.
        id: ThreadId,
        /// What the client named.
        named: TurnId,
        /// What runs.
        active: TurnId,
    },
    /// A turn runs, and what is asked needs a thread at rest.
    #[error("turn {turn} of {id} runs; wait for its end, or interrupt it (turn/interrupt), and ask again")]
    TurnRuns {
        /// The thread.
        id: ThreadId,
        /// What runs.
        turn: TurnId,
    },
    /// Its history has no such turn.
    #[error("turn not found: {turn}")]
    UnknownTurn {
        /// The thread.
        id: ThreadId,
        /// What was named.
        turn: TurnId,
    },
    /// Its history has no turn.
    #[error("{id} has no turns, so there is none to take back")]
    NoTurns {
        /// The thread.
        id: ThreadId,
    },
    /// There is nothing on disk yet that a fork could begin with.
    #[error("no rollout found for thread id {id}")]
    NothingToFork {
        /// The thread.
        id: ThreadId,
    },
    /// The disk did not take a fork.
    #[error("no fork of {id} was made, and nothing of it is left: {why}; try again when the disk is well")]
    NotForked {
        /// The thread that was to be forked.
        id: ThreadId,
        /// What the disk said.
        why: String,
    },
    /// Too much was added to a running turn.
    #[error("the running turn of {id} has not yet taken what was added to it; try again in a moment")]
    SteersFull {
        /// The thread.
        id: ThreadId,
    },
    /// The disk does not take its records.
    #[error("{id} cannot be saved, so nothing new is begun: {why}; it is tried again by itself")]
    NotSaved {
        /// The thread.
        id: ThreadId,
        /// What the disk said.
        why: String,
    },
    /// The disk did not take what was done.
    #[error(
        "{id} has taken this, but could not save it: {why}; send it again when the disk is well, a message with the same clientUserMessageId"
    )]
    NotKept {
        /// The thread.
        id: ThreadId,
        /// What the disk said.
        why: String,
    },
    /// Nothing is on disk that could be archived.
    #[error(
        "nobody has said anything in {id} yet, so there is nothing to archive; begin a turn, or unsubscribe to drop it"
    )]
    NothingSaid {
        /// The thread.
        id: ThreadId,
    },
    /// What the user has read was changed by somebody else.
    #[error("read state changed")]
    ReadStateMoved {
        /// The thread.
        id: ThreadId,
        /// What is read now.
        now: ThreadReadState,
    },
    /// It has no goal.
    #[error("cannot update goal for thread {id}: no goal exists")]
    NoGoal {
        /// The thread.
        id: ThreadId,
    },
    /// It was archived while a resume waited.
    #[error("{id} was archived or brought back while this resume waited; resume again")]
    ArchivedMeanwhile {
        /// The thread.
        id: ThreadId,
    },
    /// Its rollout was not put elsewhere.
    #[error("{id} stays where it is: {why}; try again when the disk is well")]
    NotMoved {
        /// The thread.
        id: ThreadId,
        /// What the disk said.
        why: String,
    },
    /// The disk does not say whether its rollout was put elsewhere.
    #[error(
        "the disk does not answer, so {id} may still come to be archived, brought back or deleted; list it again"
    )]
    MoveUnknown {
        /// The thread.
        id: ThreadId,
    },
    /// A provider that is not there.
    #[error("model provider {name:?} is not there; known providers: {known}")]
    NoProvider {
        /// What was named.
        name: String,
        /// What there is.
        known: String,
    },
}
