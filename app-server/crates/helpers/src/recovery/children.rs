//! The children of the server process: its guards, and processes that fell to it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::Pid;
use rustix::process::WaitOptions;

use crate::containment::tag::StartTag;
use crate::counters::Count;

/// Tells guards, orphans of helpers and other children apart.
#[derive(Debug)]
pub(crate) struct Children {
    pub(crate) start: StartTag,
    /// Every child that is no guard is a helper's orphan. Not so for PID 1, which inherits every orphan of its container, nor
    /// for a process that had children before its first helper, or that is not only a server.
    pub(crate) only_helpers: bool,
    /// Pids of the live guards. The lock is held while a guard starts or is reaped and while orphans are looked for: a child
    /// that is missing here is no guard then.
    guards: Mutex<HashSet<i32>>,
    /// Dead guards whose orphans are being ended.
    pub(crate) cleanups: Arc<Count>,
}

impl Children {
    /// Without guards.
    pub(crate) fn new(start: StartTag, only_helpers: bool) -> Self {
        Self { start, only_helpers, guards: Mutex::default(), cleanups: Arc::default() }
    }

    pub(crate) fn guards(&self) -> MutexGuard<'_, HashSet<i32>> {
        // The set is complete whenever the lock is free, also after a panic.
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reaps the zombie `pid`. `false` when there is none.
pub(crate) fn reap(pid: Pid) -> bool {
    rustix::process::Pid::from_raw(pid.as_raw())
        .is_some_and(|pid| matches!(rustix::process::waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_))))
}
