//! What can be wrong with a request to a thread.

use skein_protocol::error::{NOT_LOADED, THREAD_NOT_FOUND, WireError};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::methods::{ThreadItemsList, ThreadTurnsList};
use skein_protocol::table::Method;
use skein_protocol::thread::ThreadReadState;
use skein_protocol::turn::{CodexErrorInfo, NonSteerableTurnKind};
use skein_store::rollout::ReadError;

use crate::policy;

/// Reasons of errors of threads whose sentence is the peer's.
const NO_TURN: &str = "noTurn";
const UNKNOWN_TURN: &str = "unknownTurn";
const NOTHING_TO_FORK: &str = "nothingToFork";
const READ_STATE_CONFLICT: &str = "readStateConflict";
const NO_GOAL: &str = "noGoal";

/// Why a thread does not do what it is asked. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThreadError {
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
    /// The client already catches up on as many threads as it may.
    #[error("{most} threads of this connection are being continued already; take what they tell first")]
    TooManyCatchUps {
        /// The thread.
        id: ThreadId,
        /// The limit.
        most: usize,
    },
    /// The history does not fit into the answer to a resume.
    #[error(
        "the answer would be above the limit of {most} bytes; resume {id} with excludeTurns: true and without \
         initialTurnsPage, and read its history with {} or {}",
        ThreadTurnsList::INFO.wire,
        ThreadItemsList::INFO.wire
    )]
    AnswerTooLarge {
        /// The thread.
        id: ThreadId,
        /// The limit, in bytes.
        most: usize,
    },
    /// The history is too large to be read at once.
    #[error(
        "the turns of {id} have more than {most} bytes together, the limit of an answer; omit includeTurns, and read \
         them with {} or {}",
        ThreadTurnsList::INFO.wire,
        ThreadItemsList::INFO.wire
    )]
    HistoryTooLarge {
        /// The thread.
        id: ThreadId,
        /// The limit, in bytes.
        most: usize,
    },
}

impl ThreadError {
    /// The error of a thread whose rollout could not be read.
    #[must_use]
    pub(crate) fn unreadable(error: ReadError, id: ThreadId) -> Self {
        match error {
            ReadError::Missing(id) => Self::NotFound { id },
            source @ (ReadError::Unreadable { .. } | ReadError::Disk { .. }) => {
                Self::Unreadable { id, source }
            }
        }
    }

    /// The error as the wire says it.
    #[must_use]
    pub(crate) fn to_wire(&self) -> WireError {
        let error = self.coded();
        match hint(error.reason()) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn coded(&self) -> WireError {
        let text = self.to_string();
        match self {
            Self::NotFound { id } => refused(THREAD_NOT_FOUND, id, text),
            Self::NotLoaded { id } => refused(NOT_LOADED, id, text),
            Self::Unreadable { id, .. } => failed("unreadable", id, text),
            Self::BrokeOff { id } => failed("brokeOff", id, text),
            Self::Busy { id } => overloaded("busy", text, *id),
            Self::Ephemeral { id, .. } => refused("ephemeral", id, text),
            Self::Withdrawn { id } => refused("withdrawn", id, text),
            Self::Stopping { id } => refused("serverStops", id, text),
            Self::Active { id } => refused("active", id, text),
            Self::Subscribed { id } => refused("subscribed", id, text),
            Self::NothingToSteer { id } | Self::NothingToInterrupt { id } => refused(NO_TURN, id, text),
            Self::NoTurnNamed { id } => refused("noTurnNamed", id, text).path("expectedTurnId"),
            Self::NotSteerable { id, turn } => not_steerable(text, *id, turn),
            Self::SteersOther { id, named, active } | Self::InterruptsOther { id, named, active } => {
                of_turns("otherTurn", text, *id, Some(named), Some(active))
            }
            Self::TurnRuns { id, turn } => of_turns("active", text, *id, None, Some(turn)),
            Self::UnknownTurn { id, turn } => of_turns(UNKNOWN_TURN, text, *id, Some(turn), None),
            Self::NoTurns { id } => refused("noTurns", id, text),
            Self::NothingToFork { id } => refused(NOTHING_TO_FORK, id, text),
            Self::NotForked { id, .. } => failed("notForked", id, text),
            Self::SteersFull { id } => overloaded("steersFull", text, *id),
            Self::NotSaved { id, .. } | Self::NotKept { id, .. } => failed("notSaved", id, text),
            Self::Exists { id } => exists(text, *id),
            Self::NothingSaid { id } => refused("nothingSaid", id, text),
            Self::ReadStateMoved { id, now } => {
                refused(READ_STATE_CONFLICT, id, text).path("expectedRevision").read_state(now.clone())
            }
            Self::NoGoal { id } => refused(NO_GOAL, id, text).path("objective"),
            Self::ArchivedMeanwhile { id } => refused("archivedMeanwhile", id, text),
            Self::NotMoved { id, .. } => failed("notMoved", id, text),
            Self::MoveUnknown { id } => failed("moveUnknown", id, text),
            Self::TooManyCatchUps { id, .. } => overloaded("resumesUnderWay", text, *id),
            Self::AnswerTooLarge { id, .. } | Self::HistoryTooLarge { id, .. } => {
                refused("answerTooLarge", id, text)
            }
            Self::NoProvider { .. } => WireError::invalid_params("noProvider", text).path("modelProvider"),
        }
    }
}

/// The remedy for an error whose sentence is the peer's.
fn hint(reason: &str) -> Option<&'static str> {
    match reason {
        THREAD_NOT_FOUND => Some("it is neither on disk nor loaded"),
        NOT_LOADED => Some("not loaded: resume it first (thread/resume)"),
        NO_TURN => Some("turn/start begins a turn"),
        UNKNOWN_TURN => Some("thread/turns/list has the turns that there are"),
        NOTHING_TO_FORK => Some("nothing was said in it yet: thread/start makes another new one"),
        READ_STATE_CONFLICT => Some("data.readState has what is unread now"),
        NO_GOAL => Some("name an objective to set one"),
        _other => None,
    }
}

fn refused(reason: &'static str, id: &ThreadId, text: String) -> WireError {
    WireError::invalid_request(reason, text).thread(*id)
}

fn failed(reason: &'static str, id: &ThreadId, text: String) -> WireError {
    WireError::internal(reason, text).thread(*id)
}

fn exists(text: String, id: ThreadId) -> WireError {
    WireError::invalid_params("threadExists", text).path("skein.threadId").thread(id)
}

fn overloaded(reason: &'static str, text: String, thread: ThreadId) -> WireError {
    WireError::overloaded(reason, text, policy::BUSY_RETRY).thread(thread)
}

/// A request that is refused because of turns: the one that it names, and the one that runs.
fn of_turns(
    reason: &'static str,
    text: String,
    thread: ThreadId,
    named: Option<&TurnId>,
    active: Option<&TurnId>,
) -> WireError {
    let error = WireError::invalid_request(reason, text).thread(thread);
    let error = named.into_iter().fold(error, |error, named| error.turn(named.clone()));
    active.into_iter().fold(error, |error, active| error.active_turn(active.clone()))
}

fn not_steerable(text: String, thread: ThreadId, active: &TurnId) -> WireError {
    let info = CodexErrorInfo::ActiveTurnNotSteerable { turn_kind: NonSteerableTurnKind::Compact };
    of_turns("activeTurnNotSteerable", text, thread, None, Some(active)).turn_error(info)
}
