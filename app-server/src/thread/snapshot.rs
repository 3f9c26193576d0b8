//! The snapshot that an owner publishes, for readers that must not wait for the owner.

use std::sync::Arc;

use skein_helpers::HelperSet;
use skein_protocol::ids::{Epoch, EventSeq, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::settings::AskForApproval;
use skein_protocol::thread::{QueuedSubmission, Thread, ThreadGoal, ThreadStatus};
use skein_store::home::Term;
use tokio::time::Instant;

use super::event::Materialised;
use super::machine::{Persistence, Phase};

/// The state of a thread at the last change.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) phase: Phase,
    /// The status that clients see.
    pub(crate) status: ThreadStatus,
    /// The description without turns. `None` during the load.
    pub(crate) thread: Option<Thread>,
    pub(crate) goal: Option<ThreadGoal>,
    /// The messages that wait, while no rollout has them.
    pub(crate) queue: Vec<QueuedSubmission>,
    /// When the user is asked. `None` during the load.
    pub(crate) approval_policy: Option<AskForApproval>,
    /// The ownership by which the thread is loaded. `None` during the load.
    pub(crate) term: Option<Term>,
    /// The number of the last record.
    pub(crate) seq: EventSeq,
    pub(crate) epoch: Epoch,
    pub(crate) persistence: Persistence,
    pub(crate) materialised: Materialised,
    pub(crate) turn: Option<TurnId>,
    /// Whether a stop waits for it: a turn does something before a client answers, or a helper has a request of a client.
    pub(crate) works: bool,
    /// Whether records wait for a storage that is away.
    pub(crate) unsaved: bool,
    /// The interrupted turn that the load has closed. On disk the turn may still be open.
    pub(crate) cut_off: Option<TurnId>,
    /// Since when no client has used the thread, while an eviction may unload it.
    pub(crate) idle_since: Option<Instant>,
    /// The items in progress with their text so far. Copies of the snapshot share them: more text copies an item only
    /// while a reader still has it.
    pub(crate) open_items: Vec<Arc<ThreadItem>>,
    /// The helpers, from their start to their end.
    pub(crate) helpers: Option<Arc<HelperSet>>,
}

impl Snapshot {
    /// The snapshot at the start of a load.
    pub(crate) fn loading(persistence: Persistence) -> Self {
        Self {
            phase: Phase::Loading,
            status: ThreadStatus::NotLoaded,
            thread: None,
            goal: None,
            queue: Vec::new(),
            approval_policy: None,
            term: None,
            seq: EventSeq(0),
            epoch: Epoch(1),
            persistence,
            materialised: Materialised::No,
            turn: None,
            works: false,
            unsaved: false,
            cut_off: None,
            idle_since: None,
            open_items: Vec::new(),
            helpers: None,
        }
    }
}
