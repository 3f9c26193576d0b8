//! The sentences for a missing thread. Clients of the peer compare its four sentences, and begin a new thread,
//! resume, or give up accordingly.

use crate::ids::ThreadId;
use crate::methods::{
    ThreadArchive, ThreadDelete, ThreadFork, ThreadItemsList, ThreadMetadataUpdate, ThreadNameSet,
    ThreadRead, ThreadReadStateUpdate, ThreadResume, ThreadSearchOccurrences, ThreadTurnsList,
    ThreadUnarchive,
};
use crate::table::Method;

/// Methods that need the thread's rollout.
const NEED_A_ROLLOUT: &[&str] = &[
    ThreadFork::INFO.wire,
    ThreadArchive::INFO.wire,
    ThreadDelete::INFO.wire,
    ThreadNameSet::INFO.wire,
    ThreadMetadataUpdate::INFO.wire,
];

/// Methods that read a thread or its read state, loaded or not.
const READS: &[&str] = &[
    ThreadRead::INFO.wire,
    ThreadTurnsList::INFO.wire,
    ThreadItemsList::INFO.wire,
    ThreadSearchOccurrences::INFO.wire,
    ThreadReadStateUpdate::INFO.wire,
];

/// The sentence of `method` for a missing thread.
pub fn sentence(method: &str, id: ThreadId) -> String {
    if method == ThreadResume::INFO.wire {
        // T3 Code starts a new thread if the refusal ends with these words; other clients compare the beginning.
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
