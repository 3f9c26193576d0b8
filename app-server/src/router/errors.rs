//! Every error of a room, as the wire says it: code, a stable reason, the id it is about, and what to do.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use skein_protocol::envelope;
use skein_protocol::error::WireError;
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

/// Errors of threads.
#[must_use]
pub fn thread(error: &ThreadError) -> WireError {
    let text = error.to_string();
    match error {
        ThreadError::NotFound { id } => WireError::invalid_request("threadNotFound", text).thread(*id),
        ThreadError::NotLoaded { id } => WireError::invalid_request("notLoaded", text).thread(*id),
        ThreadError::Unreadable { id, .. } => WireError::internal("unreadable", text).thread(*id),
        ThreadError::BrokeOff { id } => WireError::internal("brokeOff", text).thread(*id),
        ThreadError::Busy { id } => overloaded("busy", text, *id),
        ThreadError::Ephemeral { id, .. } => WireError::invalid_request("ephemeral", text).thread(*id),
        ThreadError::Withdrawn { id } => WireError::invalid_request("withdrawn", text).thread(*id),
        ThreadError::Stopping { id } => WireError::invalid_request("serverStops", text).thread(*id),
        ThreadError::Active { id } => WireError::invalid_request("active", text).thread(*id),
        ThreadError::Subscribed { id } => WireError::invalid_request("subscribed", text).thread(*id),
        ThreadError::NoTurn { id } => WireError::invalid_request("noTurn", text).thread(*id),
        ThreadError::NotSteerable { id, turn } => not_steerable(text, *id, turn),
        ThreadError::OtherTurn { id, named, active } => {
            of_turns("otherTurn", text, *id, Some(named), Some(active))
        }
        ThreadError::TurnRuns { id, turn } => of_turns("active", text, *id, None, Some(turn)),
        ThreadError::UnknownTurn { id, turn } => of_turns("unknownTurn", text, *id, Some(turn), None),
        ThreadError::NoTurns { id } => WireError::invalid_request("noTurns", text).thread(*id),
        ThreadError::NothingToFork { id } => WireError::invalid_request("nothingToFork", text).thread(*id),
        ThreadError::NotForked { id, .. } => WireError::internal("notForked", text).thread(*id),
        ThreadError::SteersFull { id } => overloaded("steersFull", text, *id),
        ThreadError::NotSaved { id, .. } => WireError::internal("notSaved", text).thread(*id),
        ThreadError::NothingSaid { id } => WireError::invalid_request("nothingSaid", text).thread(*id),
        ThreadError::ReadStateMoved { id, .. } => {
            WireError::invalid_request("revisionConflict", text).path("expectedRevision").thread(*id)
        }
        ThreadError::NoGoal { id } => {
            WireError::invalid_request("noGoal", text).path("objective").thread(*id)
        }
        ThreadError::ArchivedMeanwhile { id } => {
            WireError::invalid_request("archivedMeanwhile", text).thread(*id)
        }
        ThreadError::NotMoved { id, .. } => WireError::internal("notMoved", text).thread(*id),
        ThreadError::MoveUnknown { id } => WireError::internal("moveUnknown", text).thread(*id),
        ThreadError::NoProvider { .. } => WireError::invalid_params("noProvider", text).path("modelProvider"),
    }
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
        HelperError::Unknown { server } => WireError::invalid_params("unknownHelper", text).server(server),
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
    WireError::invalid_params("badCursor", text).path("cursor")
}

/// Errors of lists.
#[must_use]
pub fn index(error: &IndexError) -> WireError {
    match error {
        IndexError::Cursor(_) => WireError::invalid_params("badCursor", error.to_string()).path("cursor"),
        IndexError::Unavailable(_) => WireError::internal("indexUnavailable", error.to_string()),
    }
}

/// Errors of searches.
#[must_use]
pub fn search(error: &SearchError) -> WireError {
    let text = error.to_string();
    match error {
        SearchError::Term(TermError::Empty) => {
            WireError::invalid_params("emptySearch", text).path("searchTerm")
        }
        SearchError::Term(TermError::TooLong) => {
            WireError::invalid_params("searchTooLong", text).path("searchTerm")
        }
        SearchError::Index(error) => index(error),
        SearchError::BadCursor => WireError::invalid_params("badCursor", text).path("cursor"),
        SearchError::Read(_) => WireError::internal("unreadable", text),
    }
}

/// Errors of pages of a history.
#[must_use]
pub fn page(error: &PageError, id: ThreadId) -> WireError {
    let text = error.to_string();
    match error {
        PageError::BadCursor => WireError::invalid_params("badCursor", text).path("cursor").thread(id),
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
        EditError::Io { .. } | EditError::Home(_) => WireError::internal("settingsUnwritten", text),
        EditError::Moved { .. } => {
            WireError::invalid_request("versionConflict", text).path("expectedVersion")
        }
        EditError::Broken(_) => WireError::invalid_request("badConfig", text),
        EditError::Refused(_) | EditError::Value { .. } => {
            WireError::invalid_params("badConfig", text).path("value")
        }
        EditError::Key { .. }
        | EditError::Name { .. }
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
    WireError::invalid_request("notInitialized", "not initialized: send initialize first")
}

/// `initialize` twice.
#[must_use]
pub fn already_initialised() -> WireError {
    WireError::invalid_request(
        "alreadyInitialized",
        "already initialized: open another connection to begin anew",
    )
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

/// The thread that a request is about, where it names one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct About {
    thread_id: Option<ThreadId>,
}

impl About {
    /// Reads it from the params of any request.
    #[must_use]
    pub fn of(params: Option<&RawValue>) -> Self {
        envelope::params(params).unwrap_or_default()
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
