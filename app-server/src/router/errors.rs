//! Every error of a room, as the wire says it: code, a stable reason, the id it is about, and what to do.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use skein_protocol::envelope;
use skein_protocol::error::{EMPTY_SEARCH, NOT_LOADED, THREAD_NOT_FOUND, WireError};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::methods::{ThreadItemsList, ThreadRead, ThreadTurnsList};
use skein_protocol::table::Method;
use skein_protocol::turn::{CodexErrorInfo, NonSteerableTurnKind};

use crate::config::ConfigErrors;
use crate::config::edit::EditError;
use crate::feedback::FeedbackError;
use crate::helpers::HelperError;
use crate::index::IndexError;
use crate::policy;
use crate::reload::Refused;
use crate::rollout::ReadError;
use crate::search::{SearchError, TermError};
use crate::thread::error::ThreadError;
use crate::thread::pages::PageError;

/// The reason of an error about a cursor.
const BAD_CURSOR: &str = "badCursor";
/// Reasons of errors of threads whose sentence is the peer's.
const NO_TURN: &str = "noTurn";
const UNKNOWN_TURN: &str = "unknownTurn";
const NOTHING_TO_FORK: &str = "nothingToFork";
const READ_STATE_CONFLICT: &str = "readStateConflict";
const NO_GOAL: &str = "noGoal";

/// Errors of threads.
#[must_use]
pub fn thread(error: &ThreadError) -> WireError {
    let error = coded(error);
    match hint(error.reason()) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What to do after an error whose sentence is the peer's.
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

fn coded(error: &ThreadError) -> WireError {
    let text = error.to_string();
    match error {
        ThreadError::NotFound { id } => refused(THREAD_NOT_FOUND, id, text),
        ThreadError::NotLoaded { id } => refused(NOT_LOADED, id, text),
        ThreadError::Unreadable { id, .. } => failed("unreadable", id, text),
        ThreadError::BrokeOff { id } => failed("brokeOff", id, text),
        ThreadError::Busy { id } => overloaded("busy", text, *id),
        ThreadError::Ephemeral { id, .. } => refused("ephemeral", id, text),
        ThreadError::Withdrawn { id } => refused("withdrawn", id, text),
        ThreadError::Stopping { id } => refused("serverStops", id, text),
        ThreadError::Active { id } => refused("active", id, text),
        ThreadError::Subscribed { id } => refused("subscribed", id, text),
        ThreadError::NothingToSteer { id } | ThreadError::NothingToInterrupt { id } => {
            refused(NO_TURN, id, text)
        }
        ThreadError::NoTurnNamed { id } => refused("noTurnNamed", id, text).path("expectedTurnId"),
        ThreadError::NotSteerable { id, turn } => not_steerable(text, *id, turn),
        ThreadError::SteersOther { id, named, active }
        | ThreadError::InterruptsOther { id, named, active } => {
            of_turns("otherTurn", text, *id, Some(named), Some(active))
        }
        ThreadError::TurnRuns { id, turn } => of_turns("active", text, *id, None, Some(turn)),
        ThreadError::UnknownTurn { id, turn } => of_turns(UNKNOWN_TURN, text, *id, Some(turn), None),
        ThreadError::NoTurns { id } => refused("noTurns", id, text),
        ThreadError::NothingToFork { id } => refused(NOTHING_TO_FORK, id, text),
        ThreadError::NotForked { id, .. } => failed("notForked", id, text),
        ThreadError::SteersFull { id } => overloaded("steersFull", text, *id),
        ThreadError::NotSaved { id, .. } | ThreadError::NotKept { id, .. } => failed("notSaved", id, text),
        ThreadError::Exists { id } => exists(text, *id),
        ThreadError::NothingSaid { id } => refused("nothingSaid", id, text),
        ThreadError::ReadStateMoved { id, now } => {
            refused(READ_STATE_CONFLICT, id, text).path("expectedRevision").read_state(now.clone())
        }
        ThreadError::NoGoal { id } => refused(NO_GOAL, id, text).path("objective"),
        ThreadError::ArchivedMeanwhile { id } => refused("archivedMeanwhile", id, text),
        ThreadError::NotMoved { id, .. } => failed("notMoved", id, text),
        ThreadError::MoveUnknown { id } => failed("moveUnknown", id, text),
        ThreadError::NoProvider { .. } => WireError::invalid_params("noProvider", text).path("modelProvider"),
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
    WireError::overloaded(reason, text, millis(policy::BUSY_RETRY)).thread(thread)
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

/// Errors of helpers.
#[must_use]
pub fn helper(error: &HelperError) -> WireError {
    let text = error.to_string();
    match error {
        HelperError::Unknown { server } => WireError::invalid_params("unknownHelper", text)
            .hint("mcpServerStatus/list names those that are configured for the thread")
            .server(server),
        HelperError::Disabled { server } => WireError::invalid_request("helperDisabled", text).server(server),
        HelperError::ToolNotEnabled { server, tool } => {
            WireError::invalid_request("toolNotEnabled", text).server(server).tool(tool)
        }
        HelperError::ToolNotOffered { server, tool } => {
            WireError::invalid_params("toolNotOffered", text).server(server).tool(tool)
        }
        HelperError::ToolChanged { server, tool } => {
            WireError::invalid_request("toolChanged", text).server(server).tool(tool)
        }
        HelperError::BadArguments { server, tool, what, .. } => {
            WireError::invalid_params("badArguments", text).server(server).tool(tool).path(*what)
        }
        HelperError::TimedOut { server, tool, .. } => {
            WireError::internal("toolTimedOut", text).server(server).tool(tool)
        }
        HelperError::NotRunning { server, .. } => {
            WireError::internal("helperNotRunning", text).server(server)
        }
        HelperError::Ended { server, .. } => WireError::internal("helperEnded", text).server(server),
        HelperError::Lost { server, .. } => WireError::internal("helperLost", text).server(server),
        HelperError::Unanswerable { server, .. } => WireError::internal("inputRefused", text).server(server),
        HelperError::Unresponsive { server } => {
            WireError::internal("helperUnresponsive", text).server(server)
        }
        HelperError::Refused { server, .. } => WireError::internal("helperRefused", text).server(server),
        HelperError::Cancelled { server } => WireError::invalid_request("cancelled", text).server(server),
    }
}

/// A cursor of a list in memory that is not in it.
#[must_use]
pub fn bad_cursor() -> WireError {
    let text = "this cursor does not belong to this list; begin without one";
    WireError::invalid_params(BAD_CURSOR, text).path("cursor")
}

/// Errors of lists.
#[must_use]
pub fn index(error: &IndexError) -> WireError {
    match error {
        IndexError::Cursor(_) => WireError::invalid_params(BAD_CURSOR, error.to_string()).path("cursor"),
        IndexError::Unavailable(_) | IndexError::Unwritable(_) => {
            WireError::internal("indexUnavailable", error.to_string())
        }
    }
}

/// Errors of searches.
#[must_use]
pub fn search(error: &SearchError) -> WireError {
    let text = error.to_string();
    match error {
        SearchError::Term(TermError::Empty) => {
            WireError::invalid_params(EMPTY_SEARCH, text).path("searchTerm")
        }
        SearchError::Term(TermError::TooLong) => {
            WireError::invalid_params("searchTooLong", text).path("searchTerm")
        }
        SearchError::Index(error) => index(error),
        SearchError::BadCursor => WireError::invalid_params(BAD_CURSOR, text).path("cursor"),
        SearchError::Read(_) => WireError::internal("unreadable", text),
    }
}

/// Errors of pages of a history.
#[must_use]
pub fn page(error: &PageError, id: ThreadId) -> WireError {
    let text = error.to_string();
    match error {
        PageError::BadCursor => WireError::invalid_params(BAD_CURSOR, text).path("cursor").thread(id),
        PageError::NoTurn { turn } => {
            WireError::invalid_params("noSuchTurn", text).path("turnId").thread(id).turn(turn.clone())
        }
        PageError::AnchorWithoutTurn => {
            WireError::invalid_params("anchorWithoutTurn", text).path("turnId").thread(id)
        }
    }
}

/// Errors of reading a rollout.
#[must_use]
pub fn read(error: ReadError, id: ThreadId) -> WireError {
    thread(&match error {
        ReadError::Missing(id) => ThreadError::NotFound { id },
        source @ (ReadError::Unreadable { .. } | ReadError::Disk { .. }) => {
            ThreadError::Unreadable { id, source }
        }
    })
}

/// Errors of the `config` member of a request.
#[must_use]
pub fn config(errors: &ConfigErrors) -> WireError {
    WireError::invalid_params("badConfig", errors.to_string()).path("config")
}

/// Errors of keeping a user's report.
#[must_use]
pub fn feedback(error: &FeedbackError) -> WireError {
    let text = error.to_string();
    match error {
        FeedbackError::TooLarge { .. } => WireError::invalid_params("feedbackTooLarge", text),
        FeedbackError::Full { .. } => WireError::invalid_request("feedbackFull", text),
        FeedbackError::Io { .. } => WireError::internal("feedbackNotKept", text),
    }
}

/// Errors of writing settings.
#[must_use]
pub fn edit(error: &EditError) -> WireError {
    let text = error.to_string();
    match error {
        EditError::Io { .. } | EditError::Busy { .. } | EditError::Home(_) => {
            WireError::internal("settingsUnwritten", text)
        }
        EditError::Moved { .. } => {
            WireError::invalid_request("versionConflict", text).path("expectedVersion")
        }
        EditError::Broken(_) => WireError::invalid_request("badConfig", text),
        EditError::Refused(_) | EditError::Value { .. } | EditError::Masked { .. } => {
            WireError::invalid_params("badConfig", text).path("value")
        }
        EditError::Key { .. }
        | EditError::Name { .. }
        | EditError::Unusable { .. }
        | EditError::Exists { .. }
        | EditError::Absent { .. } => WireError::invalid_params("badKey", text).path("keyPath"),
    }
}

/// Settings that were read again and are not in force.
#[must_use]
pub fn reload(refused: &Refused) -> WireError {
    let text = format!("the settings cannot be used, nothing has changed: {refused}");
    match refused {
        Refused::Wrong(_) => WireError::invalid_request("badConfig", text),
        Refused::BrokeOff => WireError::internal("settingsUnreadable", text),
    }
}

/// A request before `initialize`.
#[must_use]
pub fn not_initialised() -> WireError {
    WireError::invalid_request("notInitialized", "Not initialized").hint("send initialize first")
}

/// `initialize` twice.
#[must_use]
pub fn already_initialised() -> WireError {
    WireError::invalid_request("alreadyInitialized", "Already initialized")
        .hint("open another connection to begin anew")
}

/// Above the cap of requests in flight.
#[must_use]
pub fn too_many_requests(most: usize, retry_after: Duration) -> WireError {
    let text = format!("{most} requests of this connection wait already; wait for their answers");
    WireError::overloaded("requestsInFlight", text, millis(retry_after))
}

/// A connection that is told what it missed of too many threads at once.
#[must_use]
pub fn too_many_catch_ups(most: usize, retry_after: Duration) -> WireError {
    let text =
        format!("{most} threads of this connection are being continued already; take what they tell first");
    WireError::overloaded("resumesUnderWay", text, millis(retry_after))
}

/// A resume whose history does not fit into an answer.
#[must_use]
pub fn answer_too_large(id: ThreadId, most: usize) -> WireError {
    let text = format!(
        "the answer would be above the limit of {most} bytes; resume {id} with excludeTurns: true and without \
         initialTurnsPage, and read its history with {} or {}",
        ThreadTurnsList::INFO.wire,
        ThreadItemsList::INFO.wire,
    );
    WireError::invalid_request("answerTooLarge", text).thread(id)
}

/// A history is too large to be read at once.
#[must_use]
pub fn history_too_large(id: ThreadId, most: usize) -> WireError {
    let text = format!(
        "the turns of {id} have more than {most} bytes together, the limit of an answer; omit includeTurns, and read \
         them with {} or {}",
        ThreadTurnsList::INFO.wire,
        ThreadItemsList::INFO.wire,
    );
    WireError::invalid_request("answerTooLarge", text).thread(id)
}

/// What a request names that an error says again.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct About {
    thread_id: Option<ThreadId>,
    /// A text, or a place in another form.
    cursor: Option<Value>,
}

impl About {
    /// Reads it from the params of any request.
    #[must_use]
    pub fn of(params: Option<&RawValue>) -> Self {
        envelope::params(params).unwrap_or_default()
    }

    /// An error about the cursor says it again, as the peer does.
    #[must_use]
    pub fn explain(&self, error: WireError) -> WireError {
        match &self.cursor {
            Some(Value::String(cursor)) if error.reason() == BAD_CURSOR => {
                let shown: String = cursor.chars().take(policy::SHOWN_CURSOR).collect();
                let hint = error.message.clone();
                WireError { message: format!("invalid cursor: {shown}"), ..error }.hint(hint)
            }
            Some(_) | None => error,
        }
    }
}

/// An answer of the lane Store that is above the limit. Pages of a history hold one entry then: they end before that
/// otherwise.
#[must_use]
pub fn page_too_large(wire: &'static str, about: &About, most: usize) -> WireError {
    let (turns, items) = (ThreadTurnsList::INFO.wire, ThreadItemsList::INFO.wire);
    let advice = match wire {
        wire if wire == ThreadRead::INFO.wire => {
            format!("read it without includeTurns, and its history with {turns} or {items}")
        }
        wire if wire == turns => format!("one turn has all of that: read its items with {items} and turnId"),
        wire if wire == items => {
            "one item has all of that: limits.answer_bytes would have to be raised".into()
        }
        _ => "ask for fewer (limit)".to_owned(),
    };
    let text = format!("the answer would be above the limit of {most} bytes; {advice}");
    let error = WireError::invalid_request("answerTooLarge", text);
    match about.thread_id {
        Some(id) => error.thread(id),
        None => error,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
