//! The instances of the pool for clients.

use std::sync::Arc;

use skein_base::system::proc::Process;
use skein_protocol::extension::{HelperDetail, HelperIsolation};
use skein_protocol::ids::ThreadId;

use crate::pool::{HelperPool, Instance, InstanceState, LeaseHolder, TableEntry};
use crate::process::table::{ProcessTable, ProcessView};
use crate::spec::Isolation;

impl HelperPool {
    /// Each instance with its processes, as `table` has found them; those that `thread` uses, or all. Waits for nothing.
    pub(crate) fn details(&self, thread: Option<ThreadId>, table: &ProcessTable) -> Vec<HelperDetail> {
        let leases = self.table();
        let details = leases.entries().map(|(_, entry)| detail(entry, table));
        details.filter(|detail| thread.is_none_or(|thread| detail.thread_ids.contains(&thread))).collect()
    }

    /// The only thread that uses the instance below this guard.
    pub(crate) fn thread_below(&self, guard: &Process) -> Option<ThreadId> {
        let leases = self.table();
        let is_below = |entry: &&TableEntry<Arc<Instance>, LeaseHolder>| {
            entry.instance.seen.borrow().view.as_ref().and_then(|view| view.guard) == Some(*guard)
        };
        let entry = leases.entries().map(|(_, entry)| entry).find(is_below)?;
        let mut threads = entry.holders.values().map(|holder| holder.thread);
        let first = threads.next()?;
        threads.all(|thread| thread == first).then_some(first)
    }
}

fn detail(entry: &TableEntry<Arc<Instance>, LeaseHolder>, table: &ProcessTable) -> HelperDetail {
    let seen = entry.instance.seen.borrow().clone();
    let guard = seen.view.as_ref().and_then(|view| view.guard);
    let processes = guard.map(|guard| table.below(&guard)).unwrap_or_default();
    let mut thread_ids: Vec<ThreadId> = entry.holders.values().map(|holder| holder.thread).collect();
    thread_ids.sort();
    thread_ids.dedup();
    HelperDetail {
        thread_id: thread_ids.first().copied(),
        thread_ids,
        isolation: match entry.key.scope.isolation() {
            Isolation::Thread => HelperIsolation::Thread,
            Isolation::Project => HelperIsolation::Project,
            Isolation::Shared => HelperIsolation::Shared,
        },
        quarantined: matches!(entry.state, InstanceState::Quarantined),
        name: entry.key.name.clone(),
        state: seen.state,
        reason: seen.reason,
        protocol_version: seen.protocol_version,
        pid: seen.view.as_ref().and_then(ProcessView::pid),
        memory_bytes: processes.iter().map(|process| process.memory_bytes).sum(),
        processes,
        queued: seen.view.as_ref().map_or(0, |view| u64::try_from(view.queued()).unwrap_or(u64::MAX)),
        waiting: seen.waiting.now(),
        waits_for_others: seen.waits_for_others,
        stderr: seen.view.as_ref().map(ProcessView::stderr).unwrap_or_default(),
    }
}
