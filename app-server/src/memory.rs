//! Returns freed memory to the system. The allocator would keep it, and after one burst the server would look large
//! to its user and to its own limit.

use std::sync::Arc;

use skein_base::tasks::{BlockingPool, Tasks};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::policy;

/// Signals that much may have been freed. Level-triggered: calls merge.
#[derive(Debug, Default)]
pub(crate) struct Freed(Notify);

impl Freed {
    /// A connection or a thread has ended.
    pub(crate) fn note(&self) {
        self.0.notify_one();
    }
}

/// Wakes the task that evicts threads. Level-triggered: wake-ups merge, none is lost.
#[derive(Debug, Default)]
pub(crate) struct MemoryPressure(Arc<Notify>);

impl MemoryPressure {
    /// One that others wake, too.
    pub(crate) fn woken_by(others: Arc<Notify>) -> Self {
        Self(others)
    }

    /// A thread was loaded, or has become idle, or the limits have changed.
    pub(crate) fn look(&self) {
        self.0.notify_one();
    }

    /// Waits for a request to check.
    pub(crate) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// Returns free memory a while after something has ended, until `stop`. Sleeps otherwise.
pub(crate) async fn run(freed: Arc<Freed>, tasks: Tasks, stop: CancellationToken) {
    let rounds = async {
        loop {
            freed.0.notified().await;
            tokio::time::sleep(policy::MEMORY_KEPT).await;
            if let Err(panic) = tasks.blocking("give memory back", BlockingPool::Processes, give_back).await {
                tracing::error!(%panic, "free memory was not given back");
            }
        }
    };
    stop.run_until_cancelled(rounds).await;
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use nix::libc;

/// Lets the allocator map each large buffer separately, so that it returns to the system when freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn tune() {
    for option in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: changes a number of the allocator, under its own lock.
        if unsafe { libc::mallopt(option, policy::LARGE_BUFFER) } == 0 {
            tracing::warn!(option, "the allocator keeps its thresholds");
        }
    }
}

/// Returns every free page. Blocks for some milliseconds.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back() {
    // SAFETY: takes the allocator's own locks, and touches only free memory.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators do this on their own.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn tune() {}

/// Other allocators do this on their own.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}

/// The server's resident memory, in bytes; 0 if unknown.
pub(crate) fn resident() -> u64 {
    skein_base::system::resident(nix::unistd::Pid::this()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_known() {
        assert!(resident() > 1 << 20);
    }
}
