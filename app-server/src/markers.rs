//! Takes the open markers of rollouts off, in batches: first the index is flushed, so that it covers the closed ends,
//! then the markers go. What is not done when the server stops is done by the next start.

use std::sync::Arc;

use skein_protocol::ids::ThreadId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::index::ThreadIndex;
use crate::policy;
use crate::rollout::RolloutStore;

/// Runs until `stop`, then takes what waits, and ends.
pub async fn run(
    mut closed: mpsc::Receiver<ThreadId>,
    store: Arc<dyn RolloutStore>,
    index: Arc<dyn ThreadIndex>,
    stop: CancellationToken,
) {
    // What came while a batch was flushed: that flush may not cover it.
    let mut again: Vec<ThreadId> = Vec::new();
    loop {
        let first = match again.pop() {
            Some(thread) => Some(thread),
            None => tokio::select! {
                biased;
                thread = closed.recv() => thread,
                () = stop.cancelled() => None,
            },
        };
        let Some(first) = first else { return };
        if !stop.is_cancelled() {
            // A switch of threads rarely comes alone; the flush costs the same for one and for many.
            tokio::select! {
                () = tokio::time::sleep(policy::MARKERS_PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
        let mut batch = vec![first];
        batch.append(&mut again);
        while let Ok(thread) = closed.try_recv() {
            batch.push(thread);
        }
        again = take_off(batch, &mut closed, store.as_ref(), index.as_ref()).await;
    }
}

/// Answers what was closed again meanwhile, whose marks stay until the next flush.
async fn take_off(
    mut batch: Vec<ThreadId>,
    closed: &mut mpsc::Receiver<ThreadId>,
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
) -> Vec<ThreadId> {
    if let Err(error) = index.flush().await {
        tracing::warn!(%error, "the index cannot be flushed; open markers stay");
        return Vec::new();
    }
    let again: Vec<ThreadId> = std::iter::from_fn(|| closed.try_recv().ok()).collect();
    batch.retain(|thread| !again.contains(thread));
    if let Err(error) = store.mark_closed(batch).await {
        tracing::warn!(%error, "open markers cannot be removed; the next start looks at their threads");
    }
    again
}
