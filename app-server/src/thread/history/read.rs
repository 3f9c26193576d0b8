//! Folds a rollout that nobody has loaded, page by page; the only part of this room that touches a store.

use skein_protocol::ids::{EventSeq, ThreadId};

use super::History;
use crate::policy;
use crate::rollout::{ReadError, RolloutStore};

impl History {
    /// The thread as its rollout has it now. Changes nothing on disk; a turn whose owner was killed is still open in it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(store: &dyn RolloutStore, thread: ThreadId) -> Result<Self, ReadError> {
        Self::read_until(store, thread, None).await
    }

    /// The thread as it was at the record `last`; as it is now where none is named.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_until(
        store: &dyn RolloutStore,
        thread: ThreadId,
        last: Option<EventSeq>,
    ) -> Result<Self, ReadError> {
        let mut history = Self::of(thread);
        loop {
            let page = store.read_after(thread, history.seq(), policy::FOLD_PAGE).await?;
            for record in &page.records {
                if last.is_some_and(|last| record.seq > last) {
                    return Ok(history);
                }
                history.apply(record);
            }
            if !page.more || page.records.is_empty() {
                return Ok(history);
            }
        }
    }
}
