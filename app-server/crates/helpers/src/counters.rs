//! How many helpers there are and were, counted where it happens. Reading waits for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use skein_base::durations::Durations;

/// Numbers for `skein/status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessCounts {
    /// Helpers of which a process is, or may be, left.
    pub alive: usize,
    /// Guard processes.
    pub guards: usize,
    /// Helpers on their way to being ready.
    pub starting: usize,
    /// Helpers that are ready.
    pub ready: usize,
    /// Helpers that are being ended.
    pub stopping: usize,
    /// Of `alive`: contained by the guard alone.
    pub by_guard: usize,
    /// Of `alive`: with a cgroup of their own.
    pub by_cgroup: usize,
    /// Of `alive`: with a PID namespace of their own.
    pub by_namespace: usize,
    /// Helpers started since the server's start.
    pub started_total: u64,
    /// Helpers of which no process is left, since the server's start.
    pub stopped_total: u64,
    /// Of these: that needed SIGKILL.
    pub killed_total: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) guards: Arc<Count>,
    pub(crate) by_guard: Arc<Count>,
    pub(crate) by_cgroup: Arc<Count>,
    pub(crate) by_namespace: Arc<Count>,
    pub(crate) starting: Arc<Count>,
    pub(crate) ready: Arc<Count>,
    pub(crate) stopping: Arc<Count>,
    pub(crate) started: AtomicU64,
    pub(crate) stopped: AtomicU64,
    pub(crate) killed: AtomicU64,
    /// From the order to stop a helper until no process of it is left.
    pub(crate) stop_times: Durations,
    /// Of calls of tools, from the call to its result or failure.
    pub(crate) call_times: Durations,
}

impl Counters {
    /// The numbers of now.
    pub(crate) fn now(&self) -> ProcessCounts {
        let now = |count: &Count| count.0.load(Ordering::Relaxed);
        let total = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ProcessCounts {
            alive: now(&self.by_guard) + now(&self.by_cgroup) + now(&self.by_namespace),
            guards: now(&self.guards),
            starting: now(&self.starting),
            ready: now(&self.ready),
            stopping: now(&self.stopping),
            by_guard: now(&self.by_guard),
            by_cgroup: now(&self.by_cgroup),
            by_namespace: now(&self.by_namespace),
            started_total: total(&self.started),
            stopped_total: total(&self.stopped),
            killed_total: total(&self.killed),
        }
    }
}

/// How many [`Counted`] of it are alive.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
    }

    pub(crate) fn one_more(self: &Arc<Self>) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(self))
    }
}

/// Counts as one until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Count>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
