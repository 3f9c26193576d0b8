//! Removes open markers of rollouts in batches: first the index is flushed, so that it covers the closed ends. The
//! next start does the rest after a stop.

use std::sync::Arc;

use skein_store::index::ThreadIndex;
use skein_store::rollout::{OpenMarker, RolloutStore};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::policy;

/// Runs until `stop`, then finishes the waiting batch.
pub(crate) async fn run(
    mut closed: mpsc::Receiver<OpenMarker>,
    store: Arc<dyn RolloutStore>,
    index: Arc<dyn ThreadIndex>,
    stop: CancellationToken,
) {
    loop {
        let first = tokio::select! {
            biased;
            mark = closed.recv() => mark,
            () = stop.cancelled() => None,
        };
        let Some(first) = first else { return };
        if !stop.is_cancelled() {
            // Threads often close together; one flush covers all of them.
            tokio::select! {
                () = tokio::time::sleep(policy::OPEN_MARKERS_PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
        let mut batch = vec![first];
        batch.extend(std::iter::from_fn(|| closed.try_recv().ok()));
        take_off(batch, store.as_ref(), index.as_ref()).await;
    }
}

/// A rollout that changes during the flush keeps its marker.
async fn take_off(batch: Vec<OpenMarker>, store: &dyn RolloutStore, index: &dyn ThreadIndex) {
    if let Err(error) = index.flush().await {
        tracing::warn!(%error, "the index cannot be flushed; open markers stay");
        return;
    }
    if let Err(error) = store.clear_open_markers(batch).await {
        tracing::warn!(%error, "open markers cannot be removed; the next start looks at their threads");
    }
}
