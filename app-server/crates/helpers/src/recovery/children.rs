//! The children of the server process: its guards, and processes that fell to it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::Pid;
use rustix::process::WaitOptions;

use crate::containment::tag::{ProcessTag, StartTag};

/// Tells guards, orphans of helpers and other children apart.
#[derive(Debug)]
pub(crate) struct Children {
    pub(crate) start: StartTag,
    /// Every child that is no guard is a helper's orphan. Not so for PID 1, which inherits every orphan of its container, nor
    /// for a process that had children before its first helper, or that is not only a server.
    pub(crate) only_helpers: bool,
    /// Pids of the live guards. The lock is held while a guard starts or is reaped: a child that is missing here behind the lock was
    /// no guard when it was seen.
    guards: Mutex<HashSet<i32>>,
    /// The processes that were reaped here, each counted while the lock of the guards is held.
    reaped: AtomicU64,
    /// The clean-ups under way.
    pub(crate) cleanups: Arc<Cleanups>,
}

impl Children {
    /// Without guards.
    pub(crate) fn new(start: StartTag, only_helpers: bool) -> Self {
        Self {
            start,
            only_helpers,
            guards: Mutex::default(),
            reaped: AtomicU64::new(0),
            cleanups: Arc::default(),
        }
    }

    pub(crate) fn guards(&self) -> MutexGuard<'_, HashSet<i32>> {
        // The set is complete whenever the lock is free, also after a panic.
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reaps the zombie `pid`, unless it is a guard by now. `false` when it did not.
    pub(crate) fn reap(&self, pid: Pid) -> bool {
        let guards = self.guards();
        let reaped = !guards.contains(&pid.as_raw()) && reap(pid);
        self.reaped.fetch_add(u64::from(reaped), Ordering::Relaxed);
        reaped
    }

    /// How many processes [`Children::reap`] has reaped. Waits for one that is being reaped.
    pub(crate) fn reaped(&self) -> u64 {
        let _guards = self.guards();
        self.reaped.load(Ordering::Relaxed)
    }
}

/// The helpers whose guards are dead and whose orphans are being ended: their tags, and the leaders of their sessions.
#[derive(Debug, Default)]
pub(crate) struct Cleanups(Mutex<HashMap<ProcessTag, Vec<Pid>>>);

/// One clean-up, until dropped.
#[derive(Debug)]
pub(crate) struct Cleanup {
    tag: ProcessTag,
    all: Arc<Cleanups>,
}

impl Cleanups {
    /// Adds that of the helper with `tag`.
    pub(crate) fn begin(self: &Arc<Self>, tag: ProcessTag, leaders: Vec<Pid>) -> Cleanup {
        self.now().insert(tag, leaders);
        Cleanup { tag, all: Arc::clone(self) }
    }

    pub(crate) fn now(&self) -> MutexGuard<'_, HashMap<ProcessTag, Vec<Pid>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_session(&self, session: Pid) -> bool {
        self.now().values().any(|leaders| leaders.contains(&session))
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        self.all.now().remove(&self.tag);
    }
}

fn reap(pid: Pid) -> bool {
    rustix::process::Pid::from_raw(pid.as_raw())
        .is_some_and(|pid| matches!(rustix::process::waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_))))
}
