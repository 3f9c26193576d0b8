//! The effects that the machine returns. `actor/effects.rs` carries them out.

use skein_protocol::error::WireError;
use skein_store::rollout::StoreAway;

use super::event::WaiterId;

/// Why a thread is unloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnloadReason {
    /// No client is subscribed, and the thread is idle.
    Orphaned,
    /// `skein/thread/unload`.
    Asked,
    /// `thread/archive`, `thread/unarchive`, `thread/delete`.
    Relocate,
    /// Nothing goes on before a client answers a question. The next load waits for the answer.
    Parked,
    /// Other threads need memory.
    MemoryPressure,
    /// The store takes nothing of this load any more.
    Fenced,
    /// The server stops.
    Shutdown,
}

/// The location of the rollout after a hard shutdown.
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
    /// A turn runs, a question waits, or a helper works on a request.
    Active,
    /// Another client is subscribed.
    Subscribed,
}

/// Why a rollout stays at its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MoveRefusal {
    /// Its end could not be written in time.
    NotClosed,
    /// The disk refused, for this reason.
    Failed(String),
    /// The storage is another machine's, and does not serve now.
    Away(StoreAway),
    /// The disk does not answer. The move may still take place.
    NoAnswer,
}

/// Why waiting resumes fail.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ResumeFailure {
    /// The load failed, for this reason.
    LoadFailed(WireError),
    /// The server stops.
    Shutdown,
    /// The connection left or unsubscribed while its resume waited.
    Withdrawn,
    /// The thread was archived meanwhile.
    Archived,
    /// The thread was deleted meanwhile.
    Deleted,
}

/// Why all subscriptions to a thread end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscriptionEnd {
    /// Its rollout has moved: nobody follows the thread any more.
    Moved,
    /// Another server may have it. Clients at other servers go on there.
    Taken,
}

/// One step for the actor. The actor carries effects out in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Read the rollout; answered by `Loaded` or `LoadFailed`.
    Load,
    /// Start the thread's helpers, without waiting for them.
    StartHelpers,
    /// Subscribe this client and answer its resume.
    AnswerResume(WaiterId),
    /// Answer this resume with an error.
    FailResume(WaiterId, ResumeFailure),
    /// Start a turn with this input.
    BeginTurn(WaiterId),
    /// Give this input to the running turn.
    SteerTurn(WaiterId),
    /// Keep this input until the load or the unload has ended.
    DeferInput(WaiterId),
    /// End the running turn; answered by `TurnEnded`.
    StopTurn,
    /// Drop the running turn as it is: the next load goes on with it.
    LeaveTurn,
    /// End every helper in stages; answered by `HelpersEnded`.
    EndHelpers,
    /// Kill every helper now: the stages took too long.
    KillHelpers,
    /// Write the waiting records and the closing record; answered by `RolloutClosed`.
    CloseRollout,
    /// Move the closed rollout, after the last process has ended; answered by `Moved` or `MoveFailed`.
    Move(Destination),
    /// Answer the request for a move: the rollout is at its destination.
    AnswerMove(WaiterId),
    /// Refuse the request for a move: the rollout is not at its destination, or the disk does not say.
    RefuseMove(WaiterId, MoveRefusal),
    /// Publish the new location (`thread/archived`, `thread/unarchived`, `thread/deleted`).
    AnnounceMove(Destination),
    /// End every subscription to the thread, for this reason.
    EndSubscriptions(SubscriptionEnd),
    /// The rollout did not close in time: count and log the lost records, leave the open marker.
    AbandonRollout,
    /// End the subscription of the client that asked for the unload.
    LeaveAsker(WaiterId),
    /// Answer this unload: the thread has fully stopped.
    AnswerUnload(WaiterId),
    /// Refuse this unload.
    RefuseUnload(WaiterId, UnloadRefusal),
    /// Publish that the thread is not loaded (`thread/status/changed`).
    AnnounceNotLoaded,
    /// Publish `thread/closed` to every connection that neither is subscribed nor waits for a resume.
    AnnounceClosed,
}
