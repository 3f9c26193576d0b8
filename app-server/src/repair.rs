//! Repairs threads that were open when the server last ended uncleanly, while clients are served. A thread that is
//! loaded already has been repaired by its load. Any other is loaded and unloaded on the usual paths, without
//! helpers. Threads left by a stop are repaired by the next start. A server among others also repairs those of others that have ended.
//!
//! A repair starts no helper and publishes only the records that it adds. An open marker goes with the flush of the index that
//! covers its thread, unless the rollout has changed since. The marker of a rollout that cannot be read or written stays, and the
//! next start reports it again. A stop waits for the thread under way.

use std::future::ready;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, stream};
use skein_protocol::extension::{RepairCounts, RepairState, SkeinRepairUpdatedNotification};
use skein_protocol::ids::{ConnectionId, ThreadId};
use skein_protocol::notifications::SkeinRepairUpdated;
use skein_protocol::table::Recipients;
use skein_store::index::rebuild;
use skein_store::rollout::OpenMarker;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::policy;
use crate::thread::command::Repaired;
use crate::thread::outgoing::Notice;
use crate::thread::subscribers::Broadcast;
use crate::thread::{Context, dispatch};

/// The progress of the repair. Shared.
#[derive(Debug, Default)]
pub(crate) struct StartupRepair {
    progress: Mutex<StartupRepairState>,
}

#[derive(Debug, Default)]
struct StartupRepairState {
    counts: RepairCounts,
    /// The time of the last notification.
    notified: Option<Instant>,
}

impl StartupRepair {
    /// Adds to the number of open threads. Sends nothing: the start of the repair does.
    pub(crate) fn schedule(&self, threads: usize) {
        let counts = &mut self.progress().counts;
        counts.total = counts.total.saturating_add(u64::try_from(threads).unwrap_or(u64::MAX));
    }

    pub(crate) fn counts(&self) -> RepairCounts {
        self.progress().counts
    }

    /// Notifies a new connection, in order with the broadcasts.
    pub(crate) fn notify_newcomer(&self, context: &Context, connection: ConnectionId) {
        let progress = self.progress();
        if progress.counts.total > 0 {
            context.subscribers.publish_to(connection, &broadcast(context, progress.counts));
        }
    }

    /// Notes a change, and broadcasts it, unless the last broadcast was a moment ago and this is neither beginning
    /// nor end.
    fn change(&self, context: &Context, change: impl FnOnce(&mut RepairCounts)) {
        // Held during the broadcast, so that no client receives an older state after a newer one.
        let mut progress = self.progress();
        let before = progress.counts.state;
        change(&mut progress.counts);
        let now = context.clock.now();
        let due = progress.notified.is_none_or(|notified| now >= notified + policy::REPAIR_NOTIFY);
        if progress.counts.total > 0 && (due || progress.counts.state != before) {
            progress.notified = Some(now);
            context.subscribers.publish_to_everybody(&broadcast(context, progress.counts));
        }
    }

    fn progress(&self) -> MutexGuard<'_, StartupRepairState> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn broadcast(context: &Context, repair: RepairCounts) -> Broadcast {
    let params = SkeinRepairUpdatedNotification { repair };
    Notice::new::<SkeinRepairUpdated>(Recipients::All, &params, context.clock.wall(), None).broadcast
}

/// Repairs the threads that the last end of this server has left open, then those of other servers of its database as they are found.
/// One that is not repaired is found again.
pub(crate) async fn run_all(
    context: Arc<Context>,
    repair: Arc<StartupRepair>,
    first: Vec<ThreadId>,
    mut later: mpsc::Receiver<Vec<ThreadId>>,
    stop: CancellationToken,
) {
    run(Arc::clone(&context), Arc::clone(&repair), first, stop.clone()).await;
    while let Some(Some(found)) = stop.run_until_cancelled(later.recv()).await {
        let is_unloaded = |thread: &ThreadId| context.registry.handle(*thread).is_none();
        let found: Vec<ThreadId> = found.into_iter().filter(is_unloaded).collect();
        if !found.is_empty() {
            repair.schedule(found.len());
            run(Arc::clone(&context), Arc::clone(&repair), found, stop.clone()).await;
        }
    }
}

/// Repairs these threads, until `stop`, which waits for those under way.
pub(crate) async fn run(
    context: Arc<Context>,
    repair: Arc<StartupRepair>,
    threads: Vec<ThreadId>,
    stop: CancellationToken,
) {
    repair.change(&context, |counts| counts.state = RepairState::Running);
    let goes_on = |_: &ThreadId| ready(!stop.is_cancelled());
    let repairs = stream::iter(threads).take_while(goes_on).map(|thread| repair_one(&context, thread));
    let mut repairs = pin!(repairs.buffer_unordered(at_once(&context)));
    while let Some((mark, repaired)) = repairs.next().await {
        // The stop may have refused it: the open marker stays in any case.
        if !stop.is_cancelled() || !matches!(repaired, Repaired::Failed(_)) {
            take_note((&context, &repair), mark, &repaired);
        }
    }
    if stop.is_cancelled() {
        tracing::info!("the repair stops with the server; the next start goes on with it");
        return;
    }
    repair.change(&context, |counts| counts.state = RepairState::Complete);
    let RepairCounts { total, mended, failed, .. } = repair.counts();
    if total > 0 {
        tracing::info!(total, mended, failed, "threads that the end of a server left open were looked at");
    }
}

/// How many threads are repaired side by side. Each waits for its commits, where they are in a database.
fn at_once(context: &Context) -> usize {
    if context.config().store.url.is_some() { policy::REPAIRS_AT_ONCE } else { 1 }
}

async fn repair_one(context: &Arc<Context>, thread: ThreadId) -> (OpenMarker, Repaired) {
    let mark = context.store.open_marker(thread);
    let name = format!("repair/{thread}");
    let repaired = context.tasks.contain_async(name, dispatch::repair(context, thread)).await;
    let repaired = repaired.unwrap_or_else(|| Repaired::Failed("the repair broke off".to_owned()));
    (mark, unlisted(context, thread, repaired).await)
}

/// Takes a thread without a rollout out of the lists. Its server may have ended between a deletion and that; the index of files looks for
/// such threads itself.
async fn unlisted(context: &Context, thread: ThreadId, repaired: Repaired) -> Repaired {
    if !matches!(repaired, Repaired::Missing) || context.config().store.url.is_none() {
        return repaired;
    }
    match rebuild::compare(&*context.store, &*context.index, thread).await {
        Ok(()) => repaired,
        Err(error) => Repaired::Failed(error.to_string()),
    }
}

fn take_note((context, repair): (&Context, &StartupRepair), mark: OpenMarker, repaired: &Repaired) {
    let thread = mark.thread;
    match repaired {
        Repaired::Mended => tracing::info!(%thread, "a thread that was cut off is closed"),
        Repaired::Whole | Repaired::Owned => {}
        Repaired::Missing => {
            // Marked before its first write, which never happened. A full queue leaves that to the next start.
            context.closed_rollouts.try_send(mark).ok();
            tracing::info!(%thread, "an open marker has no rollout; it goes");
        }
        Repaired::Failed(why) => {
            tracing::error!(%thread, why, "a thread was not repaired; it is tried again later");
        }
    }
    repair.change(context, |counts| {
        counts.done += 1;
        match repaired {
            Repaired::Mended => counts.mended += 1,
            Repaired::Failed(_) => counts.failed += 1,
            Repaired::Whole | Repaired::Owned | Repaired::Missing => {}
        }
    });
}

#[cfg(test)]
mod tests;
