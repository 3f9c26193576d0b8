//! The conversation before a turn: from the cache, and the records since from the rollout. Without a cached one, the rollout is
//! read back to the last summary first, and then forward.

use std::sync::Arc;

use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::turn::UserInput;
use skein_store::rollout::record::{Record, RecordBody, TakenBack};
use skein_store::rollout::{ReadError, RolloutStore};
use tokio::sync::oneshot;

use super::conversation::{self, Conversation, Recipient};
use super::conversation_cache::{Cached, Slot};

#[cfg(test)]
mod tests;

/// Where a turn's conversation is. It ends with the input of the turn itself.
pub(crate) enum Past {
    /// Nowhere: the model reads only the input.
    Unneeded,
    /// In the rollout.
    Stored(Stored),
    /// In memory: the thread is ephemeral.
    Kept {
        /// The thread's records, as far as they matter to a model.
        records: Vec<Record>,
        /// What of them was taken back.
        taken_back: Vec<TakenBack>,
    },
}

/// A conversation in a rollout.
pub(crate) struct Stored {
    /// The rollouts.
    pub(crate) store: Arc<dyn RolloutStore>,
    /// The conversation that the last turn has read.
    pub(crate) cached: Arc<Slot>,
    /// The thread.
    pub(crate) thread: ThreadId,
    /// What was taken back.
    pub(crate) taken_back: Vec<TakenBack>,
    /// Its last record.
    pub(crate) last: EventSeq,
    /// Hears when that record is on disk. Dropped when it will not be.
    pub(crate) written: oneshot::Receiver<()>,
}

impl Past {
    /// The conversation for the model `to`. `None` when the disk does not take the turn's input: then the owner ends the
    /// turn. `input` is that of the turn, for a model that reads nothing else.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn read(
        &mut self,
        to: &Recipient,
        input: &[UserInput],
    ) -> Result<Option<Conversation>, ReadError> {
        match self {
            Self::Unneeded => Ok(Some(Conversation::of_input(input))),
            Self::Kept { records, taken_back } => {
                let mut conversation = Conversation::default();
                fold(&mut conversation, records, taken_back, to);
                Ok(Some(conversation))
            }
            Self::Stored(stored) => stored.read(to).await,
        }
    }

    /// Keeps the conversation for the thread's next turn.
    pub(crate) fn keep(self, conversation: Conversation, to: &Recipient) {
        if let Self::Stored(Stored { cached, taken_back, last, .. }) = self {
            cached.put(Cached { to: to.clone(), taken_back, seq: last, conversation });
        }
    }
}

/// Adds these records to a conversation, but for those that were taken back.
fn fold(conversation: &mut Conversation, records: &[Record], taken_back: &[TakenBack], to: &Recipient) {
    let counts = |record: &&Record| !taken_back.iter().any(|cut| cut.holds(record.seq));
    for record in records.iter().filter(counts) {
        conversation.take(&record.body, to);
    }
}

impl Stored {
    async fn read(&mut self, to: &Recipient) -> Result<Option<Conversation>, ReadError> {
        if (&mut self.written).await.is_err() {
            return Ok(None);
        }
        let cached = self.cached.take().filter(|cached| self.continues(cached, to));
        let (mut conversation, mut read) = match cached {
            Some(cached) => (cached.conversation, cached.seq),
            None => (Conversation::default(), self.begin().await?),
        };
        while read < self.last {
            let mut page = self.store.read_after(self.thread, read, skein_store::policy::WINDOW_PAGE).await?;
            page.records.retain(|record| record.seq <= self.last);
            let Some(newest) = page.records.last() else { break };
            read = newest.seq;
            fold(&mut conversation, &page.records, &self.taken_back, to);
        }
        Ok(Some(conversation))
    }

    /// Whether a cached conversation is the beginning of this one.
    fn continues(&self, cached: &Cached, to: &Recipient) -> bool {
        cached.to == *to && cached.taken_back == self.taken_back && cached.seq <= self.last
    }

    /// The number before the first record that matters. That is the beginning of the turn with the last answer before the
    /// last summary: a compaction keeps no more than that answer and the messages behind it.
    async fn begin(&self) -> Result<EventSeq, ReadError> {
        let mut before = Some(self.last.next());
        let (mut compacted, mut answered) = (false, false);
        loop {
            let page = self.store.read_back(self.thread, before, skein_store::policy::WINDOW_PAGE).await?;
            for record in page.records.iter().rev() {
                if self.taken_back.iter().any(|cut| cut.holds(record.seq)) {
                    continue;
                }
                answered |= compacted && conversation::answers(&record.body);
                compacted |= matches!(record.body, RecordBody::Compacted(_));
                if answered && matches!(record.body, RecordBody::TurnStarted(_)) {
                    return Ok(EventSeq(record.seq.0.saturating_sub(1)));
                }
            }
            match page.records.first() {
                Some(first) if page.more => before = Some(first.seq),
                Some(_) | None => return Ok(EventSeq(0)),
            }
        }
    }
}
