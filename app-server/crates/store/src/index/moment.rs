//! Gives the index a moment to take a row, so that a list behind an answer shows it. Nobody waits longer.

use std::future::Future;

use skein_base::tasks::Tasks;
use skein_protocol::ids::ThreadId;
use tokio::time::timeout;

use super::IndexError;
use crate::policy;

/// Whether a row is in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// The index has it, and the next flush covers it.
    Yes,
    /// The index refused it, or takes it later: the thread's open marker must stay.
    NotYet,
}

/// Sets a row in its own task: if the caller stops waiting, the row is still set, and its listeners still notice the
/// change.
pub async fn set(
    tasks: &Tasks,
    thread: ThreadId,
    row: impl Future<Output = Result<(), IndexError>> + Send + 'static,
) -> Listed {
    let set = tasks.spawn(format!("row/{thread}"), row);
    match timeout(policy::INDEX_PATIENCE, set).await {
        Ok(Ok(Ok(()))) => return Listed::Yes,
        Ok(Ok(Err(error))) => tracing::warn!(%thread, %error, "the index refuses a thread's row"),
        // The tracker has logged the panic.
        Ok(Err(_)) => {}
        Err(_) => tracing::warn!(%thread, "the index is slow; a thread's row comes later"),
    }
    Listed::NotYet
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_row_that_is_late_is_set_all_the_same() {
        let (tasks, go, set_row) = (Tasks::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (waits, tells) = (Arc::clone(&go), Arc::clone(&set_row));
        let row = async move {
            waits.notified().await;
            tells.notify_one();
            Ok(())
        };
        assert_eq!(set(&tasks, ThreadId::new(Uuid::nil()), row).await, Listed::NotYet);
        go.notify_one();
        timeout(policy::INDEX_PATIENCE, set_row.notified()).await.unwrap();
        tasks.finish().await;
    }
}
