//! A place where operations of a test wait.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, Semaphore};

/// Lets everybody pass, or nobody. Waiters pass in the order of their arrival, and before whoever comes later.
pub(super) struct Gate {
    closed: AtomicBool,
    /// This many pass all the same.
    passes: Semaphore,
    opened: Notify,
}

impl Default for Gate {
    fn default() -> Self {
        Self { closed: AtomicBool::default(), passes: Semaphore::new(0), opened: Notify::default() }
    }
}

impl Gate {
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(super) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    pub(super) fn let_pass(&self, count: usize) {
        self.passes.add_permits(count);
    }

    pub(super) async fn pass(&self) {
        let opened = self.opened.notified();
        if !self.closed.load(Ordering::SeqCst) {
            return;
        }
        tokio::select! {
            biased;
            () = opened => {}
            Ok(pass) = self.passes.acquire() => pass.forget(),
        }
    }
}
