//! How a method says that the thread it names is not there. The peer has four sentences for it. Its clients compare them,
//! and begin a new thread, resume, or give up accordingly.

use crate::ids::ThreadId;
use crate::methods::{
    ThreadArchive, ThreadDelete, ThreadFork, ThreadItemsList, ThreadMetadataUpdate, ThreadNameSet,
    ThreadRead, ThreadReadStateUpdate, ThreadResume, ThreadSearchOccurrences, ThreadTurnsList,
    ThreadUnarchive,
};
use crate::table::Method;

/// Methods that look for the thread's rollout.
const NEED_A_ROLLOUT: &[&str] = &[
    ThreadFork::INFO.wire,
    ThreadArchive::INFO.wire,
    ThreadDelete::INFO.wire,
    ThreadNameSet::INFO.wire,
    ThreadMetadataUpdate::INFO.wire,
];

/// Methods that read a thread, or what its user has read, loaded or not.
const READS: &[&str] = &[
    ThreadRead::INFO.wire,
    ThreadTurnsList::INFO.wire,
    ThreadItemsList::INFO.wire,
    ThreadSearchOccurrences::INFO.wire,
    ThreadReadStateUpdate::INFO.wire,
];

/// The sentence by which `method` says that thread `id` is not there.
#[must_use]
pub fn sentence(method: &str, id: ThreadId) -> String {
    if method == ThreadResume::INFO.wire {
        // T3 Code begins a new thread when the refusal of a resume has the words at the end; others look at the beginning.
        return format!("no rollout found for thread id {id}; thread not found");
    }
    if method == ThreadUnarchive::INFO.wire {
        return format!("no archived rollout found for thread id {id}");
    }
    if NEED_A_ROLLOUT.contains(&method) {
        return format!("no rollout found for thread id {id}");
    }
    if READS.contains(&method) {
        return format!("thread not loaded: {id}");
    }
    // Turns and helpers need a loaded thread.
    format!("thread not found: {id}")
}
