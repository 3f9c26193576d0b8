//! Errors of requests to threads.

use skein_protocol::error::{NOT_LOADED, OWNER_UNREACHABLE, THREAD_NOT_FOUND, WireError};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::methods::{ThreadItemsList, ThreadList, ThreadTurnsList, ThreadUnsubscribe};
use skein_protocol::table::Method;
use skein_protocol::thread::ThreadReadState;
use skein_protocol::turn::{CodexErrorInfo, NonSteerableTurnKind};
use skein_store::ownership::ClaimError;
use skein_store::rollout::{AppendError, ReadError, StoreAway};

use crate::policy;

/// Reasons of errors of threads whose sentence is the peer's.
const NO_TURN: &str = "noTurn";
const UNKNOWN_TURN: &str = "unknownTurn";
const NOTHING_TO_FORK: &str = "nothingToFork";
const READ_STATE_CONFLICT: &str = "readStateConflict";
const NO_GOAL: &str = "noGoal";

/// Why a thread refuses a request. The text says how to go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThreadError {
    /// No such thread exists. On the wire the sentence depends on the method.
    #[error("thread not found: {id}")]
    NotFound { id: ThreadId },
    /// The thread is not loaded. On the wire the sentence depends on the method.
    #[error("thread not found: {id}")]
    NotLoaded { id: ThreadId },
    /// The rollout cannot be read.
    #[error("{id} cannot be loaded: {source}")]
    Unreadable {
        id: ThreadId,
        #[source]
        source: ReadError,
    },
    /// The load or the owner has panicked.
    #[error("a fault of the server has ended what {id} was doing; resume it, the server's log has more")]
    BrokeOff { id: ThreadId },
    /// The owner's mailbox is full.
    #[error("{id} is busy; try again in a moment")]
    Busy { id: ThreadId },
    /// An ephemeral thread cannot do this.
    #[error("{id} is ephemeral: it is never written, so {what}")]
    Ephemeral { id: ThreadId, what: &'static str },
    /// The id is taken.
    #[error("{id} exists; resume it (thread/resume)")]
    Exists { id: ThreadId },
    /// The connection left or unsubscribed during the resume.
    #[error("the resume of {id} was withdrawn by an unsubscribe; resume again to subscribe")]
    Withdrawn { id: ThreadId },
    /// The server stops.
    #[error("the server stops; connect again and resume {id} when it is back")]
    Stopping { id: ThreadId },
    /// An unload without force met activity.
    #[error("{id} is active; wait for its turn, interrupt it, or unload with force")]
    Active { id: ThreadId },
    /// An unload without force met other subscribers.
    #[error("{id} has other subscribers; they have to leave first, or unload with force")]
    Subscribed { id: ThreadId },
    /// No turn runs that could be steered. A terminal client compares the sentence, and begins a turn.
    #[error("no active turn to steer")]
    NothingToSteer { id: ThreadId },
    /// No turn runs that could be interrupted.
    #[error("no active turn to interrupt")]
    NothingToInterrupt { id: ThreadId },
    /// A steer names an empty turn id.
    #[error("expectedTurnId must not be empty")]
    NoTurnNamed { id: ThreadId },
    /// The running turn takes no more input.
    #[error("turn {turn} of {id} compacts the conversation and takes nothing more; say it when it has ended")]
    NotSteerable { id: ThreadId, turn: TurnId },
    /// A steer names another turn than the running one. Clients parse the id of the running turn from the sentence.
    #[error("expected active turn id `{named}` but found `{active}`")]
    SteersOther { id: ThreadId, named: TurnId, active: TurnId },
    /// An interrupt names another turn than the running one.
    #[error("expected active turn id {named} but found {active}")]
    InterruptsOther { id: ThreadId, named: TurnId, active: TurnId },
    /// The request needs an idle thread, and a turn runs.
    #[error("turn {turn} of {id} runs; wait for its end, or interrupt it (turn/interrupt), and ask again")]
    TurnRuns { id: ThreadId, turn: TurnId },
    /// The history has no such turn.
    #[error("turn not found: {turn}")]
    UnknownTurn { id: ThreadId, turn: TurnId },
    /// The history has no turn.
    #[error("{id} has no turns, so there is none to take back")]
    NoTurns { id: ThreadId },
    /// The source of the fork is not on disk yet.
    #[error("no rollout found for thread id {id}")]
    NothingToFork { id: ThreadId },
    /// The disk refused the fork.
    #[error("no fork of {id} was made, and nothing of it is left: {why}; try again when the disk is well")]
    NotForked { id: ThreadId, why: String },
    /// The storage does not say whether it has made the fork.
    #[error("a fork of {id} may have been made: {why}; look for it with {} before you ask again", ThreadList::INFO.wire)]
    ForkUnknown { id: ThreadId, why: String },
    /// Too many steers wait for the running turn.
    #[error("the running turn of {id} has not yet taken what was added to it; try again in a moment")]
    SteersFull { id: ThreadId },
    /// The disk refuses records at present.
    #[error("{id} cannot be saved, so nothing new is begun: {why}; it is tried again by itself")]
    NotSaved { id: ThreadId, why: String },
    /// The disk refused the records of this request.
    #[error(
        "{id} has taken this, but could not save it: {why}; send it again later, a message with the same clientUserMessageId"
    )]
    NotKept { id: ThreadId, why: String },
    /// The storage is another machine's, and does not serve.
    #[error("{id} cannot be read or written now: {why}")]
    StoreUnavailable { id: ThreadId, why: StoreAway },
    /// Another server of the cluster has the thread.
    #[error(
        "{id} is with the server {owner}, which has not given it up; try again in a moment, or ask that server"
    )]
    OwnerUnreachable { id: ThreadId, owner: String },
    /// The thread is not on disk, so it cannot be archived.
    #[error(
        "nobody has said anything in {id} yet, so there is nothing to archive; begin a turn, or unsubscribe to drop it"
    )]
    NothingToArchive { id: ThreadId },
    /// Another client has changed the read state.
    #[error("read state changed")]
    ReadStateMoved { id: ThreadId, now: ThreadReadState },
    /// The thread has no goal.
    #[error("cannot update goal for thread {id}: no goal exists")]
    NoGoal { id: ThreadId },
    /// The thread was archived or restored while a resume waited.
    #[error("{id} was archived or brought back while this resume waited; resume again")]
    ArchivedMeanwhile { id: ThreadId },
    /// The rollout has not moved.
    #[error("{id} stays where it is: {why}; try again when the disk is well")]
    NotMoved { id: ThreadId, why: String },
    /// The disk does not say whether the rollout has moved.
    #[error(
        "the disk does not answer, so {id} may still come to be archived, brought back or deleted; list it again"
    )]
    MoveUnknown { id: ThreadId },
    /// No such model provider.
    #[error("model provider {name:?} is not there; known providers: {known}")]
    NoProvider { name: String, known: String },
    /// The thread, or the day, has no budget left. The text names the limit and the way out.
    #[error("{why}")]
    Spent { id: ThreadId, why: String },
    /// The client catches up on the maximum number of threads.
    #[error("{most} threads of this connection are being continued already; take what they tell first")]
    TooManyCatchUps { id: ThreadId, most: usize },
    /// The client is subscribed to the maximum number of threads.
    #[error(
        "this connection has {most} threads (limits.subscriptions), and {id} would be one more; leave one with \
         {} first, or use another connection",
        ThreadUnsubscribe::INFO.wire
    )]
    TooManySubscriptions { id: ThreadId, most: usize },
    /// The history does not fit into the answer to a resume.
    #[error(
        "the answer would be above the limit of {most} bytes; resume {id} with excludeTurns: true and without \
         initialTurnsPage, and read its history with {} or {}",
        ThreadTurnsList::INFO.wire,
        ThreadItemsList::INFO.wire
    )]
    AnswerTooLarge { id: ThreadId, most: usize },
    /// The history is too large to be read at once.
    #[error(
        "the turns of {id} have more than {most} bytes together, the limit of an answer; omit includeTurns, and read \
         them with {} or {}",
        ThreadTurnsList::INFO.wire,
        ThreadItemsList::INFO.wire
    )]
    HistoryTooLarge { id: ThreadId, most: usize },
}

impl ThreadError {
    /// The error of a thread whose rollout could not be read.
    pub(crate) fn unreadable(error: ReadError, id: ThreadId) -> Self {
        match error {
            ReadError::Missing(id) => Self::NotFound { id },
            ReadError::Away { why, .. } => Self::StoreUnavailable { id, why },
            source @ (ReadError::Unreadable { .. } | ReadError::Disk { .. }) => {
                Self::Unreadable { id, source }
            }
        }
    }

    /// The error of a thread whose copy could not be written.
    pub(crate) fn not_forked(error: &AppendError, id: ThreadId) -> Self {
        match error {
            AppendError::Away { why, .. } => Self::StoreUnavailable { id, why: why.clone() },
            AppendError::Cut { .. } | AppendError::Unknown { .. } => {
                Self::ForkUnknown { id, why: error.to_string() }
            }
            AppendError::Conflict { .. } | AppendError::Fenced { .. } | AppendError::Disk { .. } => {
                Self::NotForked { id, why: error.to_string() }
            }
        }
    }

    /// The error of a thread that this server did not get.
    pub(crate) fn unclaimed(error: ClaimError, id: ThreadId) -> Self {
        match error {
            ClaimError::Held { thread: id, owner } => Self::OwnerUnreachable { id, owner },
            ClaimError::Unreadable(error) => Self::unreadable(error, id),
        }
    }

    /// The error as the wire says it.
    pub(crate) fn to_wire(&self) -> WireError {
        let error = self.coded();
        match hint(error.reason()) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    #[expect(clippy::too_many_lines, reason = "one line for each error")]
    fn coded(&self) -> WireError {
        let text = self.to_string();
        match self {
            Self::NotFound { id } => refused(THREAD_NOT_FOUND, id, text),
            Self::NotLoaded { id } => refused(NOT_LOADED, id, text),
            Self::Unreadable { id, .. } => failed("unreadable", id, text),
            Self::StoreUnavailable { id, why } => why.to_wire(text).thread(*id),
            Self::OwnerUnreachable { id, .. } => overloaded(OWNER_UNREACHABLE, text, *id),
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
            Self::ForkUnknown { id, .. } => failed("forkUnknown", id, text),
            Self::SteersFull { id } => overloaded("steersFull", text, *id),
            Self::NotSaved { id, .. } | Self::NotKept { id, .. } => failed("notSaved", id, text),
            Self::Exists { id } => exists(text, *id),
            Self::Spent { id, .. } => refused("budget", id, text),
            Self::NothingToArchive { id } => refused("nothingSaid", id, text),
            Self::ReadStateMoved { id, now } => read_state_moved(text, id, now),
            Self::NoGoal { id } => refused(NO_GOAL, id, text).path("objective"),
            Self::ArchivedMeanwhile { id } => refused("archivedMeanwhile", id, text),
            Self::NotMoved { id, .. } => failed("notMoved", id, text),
            Self::MoveUnknown { id } => failed("moveUnknown", id, text),
            Self::TooManySubscriptions { id, .. } => refused("subscriptions", id, text),
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

fn read_state_moved(text: String, id: &ThreadId, now: &ThreadReadState) -> WireError {
    refused(READ_STATE_CONFLICT, id, text).path("expectedRevision").read_state(now.clone())
}

pub(super) fn refused(reason: &'static str, id: &ThreadId, text: String) -> WireError {
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
pub(super) fn of_turns(
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
