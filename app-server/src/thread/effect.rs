//! What the machine wants done. `actor/effects.rs` carries it out.

use skein_protocol::error::WireError;

use super::event::WaiterId;

/// Why a thread is unloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnloadReason {
    /// Nobody is subscribed and nothing goes on.
    Orphaned,
    /// `skein/thread/unload`.
    Asked,
    /// `thread/archive`, `thread/unarchive`, `thread/delete`.
    PutElsewhere,
    /// Room is needed for others.
    Pressure,
    /// The server stops.
    Shutdown,
}

/// Where a thread's rollout is put at the end of a hard shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Into the archive.
    Archive,
    /// Out of the archive.
    Threads,
    /// Into the trash.
    Trash,
}

/// Why an unload is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnloadRefusal {
    /// A turn runs, a question waits, or a helper works for somebody.
    Active,
    /// Somebody else is subscribed.
    Subscribed,
}

/// Why a rollout was not put elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MoveRefusal {
    /// Its end could not be written in time.
    NotClosed,
    /// The disk refused, for this reason.
    Failed(String),
    /// The disk does not answer: it may come to be there.
    NoAnswer,
}

/// Why waiting resumes fail.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ResumeFailure {
    /// The load failed, for this reason.
    LoadFailed(WireError),
    /// The server stops.
    Shutdown,
    /// The connection left, or unsubscribed, while its resume waited.
    Withdrawn,
    /// The thread was archived meanwhile.
    Archived,
    /// The thread was deleted meanwhile.
    Deleted,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Read the rollout; answered by `Loaded` or `LoadFailed`.
    Load,
    /// Start the thread's helpers; nobody waits for them.
    StartHelpers,
    /// Subscribe this one and answer its resume.
    AnswerResume(WaiterId),
    /// Tell this one why its resume failed.
    FailResume(WaiterId, ResumeFailure),
    /// Start a turn with this input.
    BeginTurn(WaiterId),
    /// Give this input to the running turn.
    SteerTurn(WaiterId),
    /// Keep this input until the load, or the unload, is over.
    DeferInput(WaiterId),
    /// End the running turn; answered by `TurnEnded`.
    StopTurn,
    /// End every helper in stages; answered by `HelpersEnded`.
    EndHelpers,
    /// End every helper now: the stages took too long.
    KillHelpers,
    /// Write what waits, and the closing record; answered by `RolloutClosed`.
    CloseRollout,
    /// Every process is gone and the rollout closed: put it there; answered by `Moved` or `MoveFailed`.
    Move(Destination),
    /// It is there: tell the one who asked.
    AnswerMove(WaiterId),
    /// It is not there, or nobody knows: tell the one who asked why.
    RefuseMove(WaiterId, MoveRefusal),
    /// Tell everyone where the thread is now (`thread/archived`, `thread/unarchived`, `thread/deleted`).
    AnnounceMove(Destination),
    /// Nobody listens to the thread any more.
    EndSubscriptions,
    /// The rollout could not be closed in time: count and log what is lost, leave its open marker.
    AbandonRollout,
    /// End the subscription of the one who asked for the unload.
    LeaveAsker(WaiterId),
    /// The zero is reached: tell this one.
    AnswerUnload(WaiterId),
    /// Tell this one why not.
    RefuseUnload(WaiterId, UnloadRefusal),
    /// Tell everyone that the thread is not loaded any more (`thread/status/changed`).
    AnnounceNotLoaded,
    /// Tell everyone but those who still are subscribed, or wait for a resume, that it is closed (`thread/closed`).
    AnnounceClosed,
}
