//! What an owner publishes of its thread, for everybody who may not wait for it.

use std::sync::Arc;

use skein_helpers::HelperSet;
use skein_protocol::ids::{Epoch, EventSeq, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::{Thread, ThreadGoal, ThreadStatus};
use tokio::time::Instant;

use super::event::Materialised;
use super::machine::{Persistence, Phase};

/// A thread, as its owner last saw it.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// Where it is in its life.
    pub(crate) phase: Phase,
    /// What clients are told of it.
    pub(crate) status: ThreadStatus,
    /// Its description, without turns. `None` while it is being loaded.
    pub(crate) thread: Option<Thread>,
    /// What it is to reach.
    pub(crate) goal: Option<ThreadGoal>,
    /// The last record's number.
    pub(crate) seq: EventSeq,
    /// The version of its history.
    pub(crate) epoch: Epoch,
    /// Whether it is ever written.
    pub(crate) persistence: Persistence,
    /// Whether it has a rollout.
    pub(crate) materialised: Materialised,
    /// The turn that runs.
    pub(crate) turn: Option<TurnId>,
    /// The turn that the load has found open, and closed: on disk it may still be open.
    pub(crate) cut_off: Option<TurnId>,
    /// Since when nobody has used it, while it can make room for others.
    pub(crate) idle_since: Option<Instant>,
    /// The items in progress, with their text so far.
    pub(crate) open_items: Vec<ThreadItem>,
    /// Its helpers, once started and until their end.
    pub(crate) helpers: Option<Arc<HelperSet>>,
}

impl Snapshot {
    /// A thread of which nothing is known yet.
    #[must_use]
    pub(crate) fn loading(persistence: Persistence) -> Self {
        Self {
            phase: Phase::Loading,
            status: ThreadStatus::NotLoaded,
            thread: None,
            goal: None,
            seq: EventSeq(0),
            epoch: Epoch(1),
            persistence,
            materialised: Materialised::No,
            turn: None,
            cut_off: None,
            idle_since: None,
            open_items: Vec::new(),
            helpers: None,
        }
    }
}
