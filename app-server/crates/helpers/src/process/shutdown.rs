//! The end of a helper: how others order it, and how they wait for it.

use tokio_util::sync::{CancellationToken, DropGuard};

/// The end of one instance, or of one process or HTTP session of it. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    stop: CancellationToken,
    kill: CancellationToken,
    done: CancellationToken,
}

impl Shutdown {
    /// Killed with `kill_all`.
    pub(crate) fn new(kill_all: &CancellationToken) -> Self {
        let (stop, done) = (CancellationToken::new(), CancellationToken::new());
        Self { stop, kill: kill_all.child_token(), done }
    }

    /// The end of one process or session of this instance: killed with the instance, and stopped alone.
    pub(crate) fn of_one_run(&self) -> Self {
        Self::new(&self.kill)
    }

    /// Orders the end in stages.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Orders SIGKILL at once, in any stage of the end.
    pub(crate) fn kill(&self) {
        self.stop.cancel();
        self.kill.cancel();
    }

    /// Reports that nothing is left.
    pub(crate) fn done(&self) {
        self.done.cancel();
    }

    /// Reports that nothing is left when the guard is dropped.
    pub(crate) fn done_on_drop(&self) -> DropGuard {
        self.done.clone().drop_guard()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits for the order to stop.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Waits for the order to kill.
    pub(crate) async fn killed(&self) {
        self.kill.cancelled().await;
    }

    /// Waits until nothing is left.
    pub(crate) async fn finished(&self) {
        self.done.cancelled().await;
    }

    /// A token that is cancelled with the order to stop.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.child_token()
    }

    #[cfg(test)]
    pub(crate) fn is_done(&self) -> bool {
        self.done.is_cancelled()
    }
}
