//! Threads that another server of the database wants, because it reaches the database and not this server. Each is evicted here when
//! nothing works in it. Its clients come back once the other server has it: they hear nothing of it from there.

use std::collections::HashMap;
use std::sync::Arc;

use skein_protocol::ids::ThreadId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::links::Links;
use crate::outbox::CloseReason;
use crate::policy;
use crate::thread::Context;
use crate::thread::machine::Phase;
use crate::thread::registry::ThreadHandle;

/// Hands over the threads that are wanted, until `stop`.
pub(crate) async fn run(
    context: Arc<Context>,
    links: Arc<Links>,
    mut wanted: mpsc::Receiver<Vec<ThreadId>>,
    stop: CancellationToken,
) {
    let mut under_way: HashMap<ThreadId, JoinHandle<()>> = HashMap::new();
    while let Some(Some(threads)) = stop.run_until_cancelled(wanted.recv()).await {
        under_way.retain(|_, task| !task.is_finished());
        for thread in threads {
            under_way.entry(thread).or_insert_with(|| {
                let (context, links, stop) = (Arc::clone(&context), Arc::clone(&links), stop.clone());
                context.tasks.clone().spawn(format!("handover/{thread}"), async move {
                    stop.run_until_cancelled(hand_over(&context, &links, thread)).await;
                })
            });
        }
    }
}

/// Evicts a thread if that is possible while the wish counts. A server that still wants it then asks again.
async fn hand_over(context: &Context, links: &Links, thread: ThreadId) {
    let counts_until = context.clock.now() + policy::HANDOVER_PATIENCE;
    while let Some(handle) = context.registry.handle(thread) {
        let leaves = handle.is_eviction_pending() || handle.seen(|seen| seen.phase == Phase::Unloading);
        if may_leave(context, &handle) && !leaves {
            tracing::info!(%thread, "a server that does not reach this one wants a thread, and gets it");
            handle.evict();
        } else if !leaves && context.clock.now() >= counts_until {
            return;
        }
        sleep(policy::ROUTE_RETRY).await;
    }
    // With a link again, the next server's announcements say who has it.
    while context.registry.handle(thread).is_none() && links.is_any_cut_off() {
        if let Ok(Some(_)) = links.owner_of(thread).await {
            return context.subscribers.close_listeners(thread, CloseReason::OwnerLeft);
        }
        sleep(policy::LINK_RETRY).await;
    }
}

/// Whether nothing works in the thread, and its clients here, if it has any, have not used it lately. A turn that waits for an answer counts from
/// its beginning.
fn may_leave(context: &Context, handle: &ThreadHandle) -> bool {
    let Some(since) = handle.seen(|seen| seen.idle_since) else { return false };
    let is_deserted = context.subscribers.counts(handle.id()).subscribers == 0;
    is_deserted || context.clock.now().saturating_duration_since(since) >= policy::HANDOVER_REST
}
