//! Checks the resources for a start: with fewer descriptors or threads, parts of the server would fail later, or the
//! runtime would panic.

use std::io;

use rustix::process::{Resource, getrlimit};
use skein_base::tasks;

use crate::policy;

/// The scarce resource.
#[derive(Debug, thiserror::Error)]
pub enum NoRoom {
    /// Descriptors.
    #[error(
        "this process may have {most} files open, and a server needs {}; raise the hard limit (ulimit -Hn)",
        policy::DESCRIPTORS_NEEDED
    )]
    Descriptors {
        /// The hard limit.
        most: u64,
    },
    /// Threads.
    #[error(
        "a server needs {needed} threads, and the system refuses them after {started}; raise the limit of processes (ulimit -u, or \
         pids.max of the cgroup)"
    )]
    Threads {
        /// The number of threads that started.
        started: usize,
        /// The number needed.
        needed: usize,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// Checks that this process may use the resources of a server. Takes about a millisecond.
pub fn look() -> Result<(), NoRoom> {
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < policy::DESCRIPTORS_NEEDED => return Err(NoRoom::Descriptors { most }),
        Some(_) | None => {}
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let needed = workers.saturating_add(policy::THREADS_NEEDED);
    let refused = |(started, source)| NoRoom::Threads { started, needed, source };
    tasks::threads_at_once(needed).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_here() {
        look().unwrap();
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_out() {
        let few = NoRoom::Descriptors { most: 16 }.to_string();
        assert!(few.contains("16 files") && few.contains("ulimit -Hn"), "{few}");
        let source = io::ErrorKind::WouldBlock.into();
        let few = NoRoom::Threads { started: 3, needed: 20, source }.to_string();
        assert!(few.contains("20 threads") && few.contains("ulimit -u"), "{few}");
    }
}
