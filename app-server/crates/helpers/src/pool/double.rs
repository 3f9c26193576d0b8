//! Stands for supervisors and their processes, in tests.

use std::path::PathBuf;
use std::sync::Arc;

#[cfg(test)]
use skein_protocol::extension::HelperState;
#[cfg(test)]
use skein_protocol::helper::McpServerStartupState as State;
use tokio::sync::{mpsc, watch};

use crate::process::shutdown::Shutdown;
use crate::spec::HelperSpec;
use crate::supervisor::{ControlHandle, HelperEvent, HelperSnapshot, Starter};

/// Stands for the process of an instance. Dropped, no process of it is left.
#[cfg_attr(not(test), expect(dead_code, reason = "the pool's own tests read all of it"))]
pub(crate) struct Double {
    pub(crate) spec: Arc<HelperSpec>,
    pub(crate) directory: PathBuf,
    pub(crate) events: mpsc::Sender<HelperEvent>,
    pub(crate) seen: watch::Sender<HelperSnapshot>,
    pub(crate) shutdown: Shutdown,
}

/// Doubles go to a test, instead of supervisors to their tasks.
impl Starter for mpsc::Sender<Double> {
    fn start(
        &self,
        _number: u64,
        spec: &Arc<HelperSpec>,
        directory: PathBuf,
        events: mpsc::Sender<HelperEvent>,
        control: &ControlHandle,
    ) -> watch::Receiver<HelperSnapshot> {
        let (publish, seen) = watch::channel(HelperSnapshot::first(spec));
        let (spec, shutdown) = (Arc::clone(spec), control.shutdown.clone());
        // A test that receives no more doubles waits for none.
        self.try_send(Double { spec, directory, events, seen: publish, shutdown }).ok();
        seen
    }
}

#[cfg(test)]
impl Double {
    /// Tells how its start went.
    pub(crate) fn announce(&self, state: State) {
        let name = self.spec.name.clone();
        self.events.try_send(HelperEvent::Startup { name, state, error: None }).ok();
    }

    /// Whether the pool has asked for its end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.shutdown.is_stopping()
    }

    /// It shows no sign of life any more.
    pub(crate) fn falls_silent(&self) {
        self.seen.send_modify(|seen| seen.state = HelperState::Unresponsive);
    }
}
