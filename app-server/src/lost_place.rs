//! A server among others whose row in the database may be dead ends its threads, before another server takes them. It takes
//! threads again once it has a row.
//!
//! Records that the database does not take are not waited for: the next owner decides about an open turn.

use std::sync::Arc;

use skein_postgres::presence::LostPlace;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::outbox::CloseReason;
use crate::policy;
use crate::thread::Context;

/// Ends every thread at each loss, also while a server stops that still lets turns end.
pub(crate) async fn run(
    context: Arc<Context>,
    mut losses: mpsc::Receiver<LostPlace>,
    stop: CancellationToken,
) {
    while let Some(Some(lost)) = stop.run_until_cancelled(losses.recv()).await {
        end_all(&context).await;
        drop(lost);
    }
}

/// Ends the threads that are loaded now, with their helpers, and closes all connections.
async fn end_all(context: &Context) {
    let handles = context.registry.handles();
    for handle in &handles {
        handle.lose();
    }
    for outbox in context.subscribers.outboxes() {
        outbox.close(CloseReason::LostPlace);
    }
    // A helper without a thread stays for its `linger` otherwise.
    context.helpers.kill_lingering();
    for handle in &handles {
        // The snapshots end with the owner.
        let mut snapshots = handle.watch();
        while timeout(policy::UNLOAD_LIMIT, snapshots.wait_for(|_| false)).await.is_err() {
            let phase = handle.seen(|seen| seen.phase);
            tracing::warn!(thread = %handle.id(), ?phase, "a thread that another server may take does not end");
        }
        context.helpers.kill_lingering();
    }
}
