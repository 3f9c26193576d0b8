//! The conversation before a turn: the cached one plus newer records of the rollout. Without a cached one, the search
//! for the last summary goes back through the rollout, and then the fold reads forward.

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

/// The source of a turn's conversation. It ends with the input of the turn.
pub enum HistorySource {
    /// The model reads only the input.
    InputOnly,
    /// The thread's rollout.
    Rollout(StoredHistory),
    /// The thread is ephemeral.
    Memory {
        /// Only records that matter to a model.
        records: Vec<Record>,
        /// Turns that later records took back.
        taken_back: Vec<TakenBack>,
    },
}

/// The part of a rollout that a model reads.
pub struct StoredHistory {
    /// The rollouts.
    pub store: Arc<dyn RolloutStore>,
    /// The conversation of the last turn; none for a part of the history.
    pub cached: Option<Arc<Slot>>,
    /// The thread.
    pub thread: ThreadId,
    /// The record before the first that counts; `None` for all that a model reads.
    pub from: Option<EventSeq>,
    /// Turns that later records took back.
    pub taken_back: Vec<TakenBack>,
    /// The last record.
    pub last: EventSeq,
    /// Fires when the last record is on disk; dropped if the write fails.
    pub written: oneshot::Receiver<()>,
}

impl std::fmt::Debug for HistorySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HistorySource")
    }
}

impl HistorySource {
    /// Returns the conversation for the model `to`. `None` if the turn's input does not reach the disk: then the owner
    /// ends the turn. `input` is the turn's input, for a model that reads nothing else.
    pub(crate) async fn read(
        &mut self,
        to: &Recipient,
        input: &[UserInput],
    ) -> Result<Option<Conversation>, ReadError> {
        match self {
            Self::InputOnly => Ok(Some(Conversation::of_input(input))),
            Self::Memory { records, taken_back } => {
                let mut conversation = Conversation::default();
                fold(&mut conversation, records, taken_back, to);
                Ok(Some(conversation))
            }
            Self::Rollout(stored) => stored.read(to).await,
        }
    }

    /// Caches the conversation for the thread's next turn.
    pub(crate) fn keep(self, conversation: Conversation, to: &Recipient) {
        if let Self::Rollout(StoredHistory { cached: Some(cached), taken_back, last, .. }) = self {
            cached.put(Cached { to: to.clone(), taken_back, seq: last, conversation });
        }
    }
}

/// Adds the records that were not taken back.
fn fold(conversation: &mut Conversation, records: &[Record], taken_back: &[TakenBack], to: &Recipient) {
    let counts = |record: &&Record| !taken_back.iter().any(|cut| cut.holds(record.seq));
    for record in records.iter().filter(counts) {
        conversation.take(&record.body, to);
    }
}

impl StoredHistory {
    /// Waits for a storage that is away.
    async fn read(&mut self, to: &Recipient) -> Result<Option<Conversation>, ReadError> {
        if (&mut self.written).await.is_err() {
            return Ok(None);
        }
        let cached =
            self.cached.as_ref().and_then(|cached| cached.take()).filter(|cached| self.continues(cached, to));
        let (mut conversation, mut read) = match cached {
            Some(cached) => (cached.conversation, cached.seq),
            None => (Conversation::default(), self.begin_when_served().await?),
        };
        while read < self.last {
            let next = self.store.read_after(self.thread, read, skein_store::policy::WINDOW_PAGE).await;
            let mut page = match next {
                Ok(page) => page,
                Err(error) => {
                    error.wait_for_store().await?;
                    continue;
                }
            };
            page.records.retain(|record| record.seq <= self.last);
            let Some(newest) = page.records.last() else { break };
            read = newest.seq;
            fold(&mut conversation, &page.records, &self.taken_back, to);
        }
        Ok(Some(conversation))
    }

    async fn begin_when_served(&self) -> Result<EventSeq, ReadError> {
        loop {
            match self.begin().await {
                Ok(begin) => return Ok(begin),
                Err(error) => error.wait_for_store().await?,
            }
        }
    }

    fn continues(&self, cached: &Cached, to: &Recipient) -> bool {
        cached.to == *to && cached.taken_back == self.taken_back && cached.seq <= self.last
    }

    /// The number before the first record that matters: the turn with the last answer before the last summary. A
    /// compaction keeps no more than that answer and the messages after it.
    async fn begin(&self) -> Result<EventSeq, ReadError> {
        if let Some(from) = self.from {
            return Ok(from);
        }
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
