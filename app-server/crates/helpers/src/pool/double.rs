//! Stands for supervisors and their processes, in tests.

use std::path::PathBuf;
use std::sync::Arc;

#[cfg(test)]
use skein_protocol::extension::HelperState;
#[cfg(test)]
use skein_protocol::helper::McpServerStartupState as State;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::spec::HelperSpec;
use crate::supervisor::{HelperEvent, Snapshot};

/// Stands for the process of an instance. Dropped, no process of it is left.
#[cfg_attr(not(test), expect(dead_code, reason = "the pool's own tests read all of it"))]
pub(crate) struct Double {
    pub(crate) spec: Arc<HelperSpec>,
    pub(crate) directory: PathBuf,
    pub(crate) events: mpsc::Sender<HelperEvent>,
    pub(crate) seen: watch::Sender<Snapshot>,
    pub(crate) stop: CancellationToken,
}

impl Double {
    /// In the place of a supervisor.
    pub(crate) fn start(
        doubles: &mpsc::Sender<Double>,
        (spec, directory): (&Arc<HelperSpec>, PathBuf),
        events: mpsc::Sender<HelperEvent>,
        stop: &CancellationToken,
    ) -> watch::Receiver<Snapshot> {
        let (publish, seen) = watch::channel(Snapshot::first(spec));
        let (spec, stop) = (Arc::clone(spec), stop.clone());
        let double = Double { spec, directory, events, seen: publish, stop };
        // A test that takes nothing any more waits for nothing.
        doubles.try_send(double).ok();
        seen
    }
}

#[cfg(test)]
impl Double {
    /// Tells how its start went.
    pub(crate) fn tell(&self, state: State) {
        let name = self.spec.name.clone();
        self.events.try_send(HelperEvent::Startup { name, state, error: None }).ok();
    }

    /// Whether the pool has asked for its end.
    pub(crate) fn is_ending(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// It shows no sign of life any more.
    pub(crate) fn falls_silent(&self) {
        self.seen.send_modify(|seen| seen.state = HelperState::Unresponsive);
    }
}
