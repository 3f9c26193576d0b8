//! The interface of a supervisor: its start, its control handle and its events.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use skein_protocol::extension::HelperState;
use skein_protocol::helper::McpServerStartupState;
use tokio::sync::{Notify, mpsc, watch};

use crate::process::shutdown::Shutdown;
use crate::spec::{HelperSpec, OnUnresponsive};
use crate::supervisor::HelperSnapshot;

/// An event of a helper for its threads. Dropped if the receiver is full: the published snapshot is the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperEvent {
    /// A start of a helper has come this far, or what was started ended.
    Startup {
        /// The helper.
        name: String,
        /// How far.
        state: McpServerStartupState,
        /// Why it failed, with the last lines of its stderr.
        error: Option<String>,
    },
    /// A helper that is ready shows no sign of life, or does again.
    Liveness {
        /// The helper.
        name: String,
        /// Where in its life it is now.
        state: HelperState,
        /// The meaning, if something is wrong.
        message: Option<String>,
    },
}

/// Controls a supervisor.
#[derive(Debug, Clone)]
pub(crate) struct ControlHandle {
    /// The end of the helper, for good.
    pub(crate) shutdown: Shutdown,
    /// Restarts at once a helper that is given up or waits for its restart.
    pub(crate) reopen: Arc<ReopenOrders>,
    /// Read whenever they matter.
    pub(crate) options: watch::Receiver<RuntimeOptions>,
}

/// The orders to restart a helper at once. They are counted, because the published state may be older than the last of them.
#[derive(Debug, Default)]
pub(crate) struct ReopenOrders {
    given: AtomicU64,
    taken: AtomicU64,
    done: AtomicU64,
    news: Notify,
}

impl ReopenOrders {
    /// Gives an order.
    pub(crate) fn give(&self) {
        self.given.fetch_add(1, Ordering::AcqRel);
        self.news.notify_one();
    }

    /// Whether the published state does not show the effect of the last order yet. To be read while the state is borrowed.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.given.load(Ordering::Acquire) > self.done.load(Ordering::Acquire)
    }

    /// Waits for the next order. Only the supervisor takes orders.
    pub(super) async fn next(&self) {
        self.news.notified().await;
        self.taken.store(self.given.load(Ordering::Acquire), Ordering::Release);
    }

    /// The effect of the order that was taken last is published.
    pub(super) fn done(&self) {
        self.done.store(self.taken.load(Ordering::Acquire), Ordering::Release);
    }
}

/// Settings that may change while a helper runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RuntimeOptions {
    /// The longest time of a start.
    pub(crate) startup_timeout: Duration,
    /// The reaction to a helper that shows no sign of life.
    pub(crate) on_unresponsive: OnUnresponsive,
}

impl RuntimeOptions {
    /// Those of a spec.
    pub(crate) fn of(spec: &HelperSpec) -> Self {
        Self { startup_timeout: spec.startup_timeout, on_unresponsive: spec.on_unresponsive }
    }

    /// The mildest that suit two who share a helper. A restart ends everybody's calls, so both have to want it; `fail` ends
    /// only the calls of those who want it.
    pub(crate) fn mildest(self, other: Self) -> Self {
        let on_unresponsive = match self.on_unresponsive == other.on_unresponsive {
            true => self.on_unresponsive,
            false => OnUnresponsive::Fail,
        };
        Self { startup_timeout: self.startup_timeout.max(other.startup_timeout), on_unresponsive }
    }
}

/// Starts the supervisor of an instance, or a double of it.
pub(crate) trait Starter: fmt::Debug + Send + Sync {
    /// Returns its published state. The sender of `events` is dropped when the helper has fully stopped.
    fn start(
        &self,
        number: u64,
        spec: &Arc<HelperSpec>,
        directory: PathBuf,
        events: mpsc::Sender<HelperEvent>,
        control: &ControlHandle,
    ) -> watch::Receiver<HelperSnapshot>;
}
