//! The interface of a supervisor: its start, its control handle and its events.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
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
    pub(crate) reopen: Arc<Notify>,
    /// Read whenever they matter.
    pub(crate) options: watch::Receiver<RuntimeOptions>,
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
