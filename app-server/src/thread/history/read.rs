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
        let mut history = Self::of(thread);
        history.read_on(store, thread, None).await?;
        Ok(history)
    }

    /// The thread as it was at the record `then`, and as it is now.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_then_and_now(
        store: &dyn RolloutStore,
        thread: ThreadId,
        then: EventSeq,
    ) -> Result<(Self, Self), ReadError> {
        let mut past = Self::of(thread);
        past.read_on(store, thread, Some(then)).await?;
        let mut now = past.clone();
        now.read_on(store, thread, None).await?;
        Ok((past, now))
    }

    /// Takes what follows, to the record `last` or to the end.
    async fn read_on(
        &mut self,
        store: &dyn RolloutStore,
        thread: ThreadId,
        last: Option<EventSeq>,
    ) -> Result<(), ReadError> {
        loop {
            let page = store.read_after(thread, self.seq, policy::FOLD_PAGE).await?;
            for record in &page.records {
                if last.is_some_and(|last| record.seq > last) {
                    return Ok(());
                }
                self.apply(record);
            }
            if !page.more || page.records.is_empty() {
                return Ok(());
            }
        }
    }
}
