//! What was said in a thread before: read from its rollout, back to what a summary has replaced.

use std::collections::VecDeque;
use std::sync::Arc;

use skein_protocol::ids::{EventSeq, ThreadId};
use tokio::sync::oneshot;

use super::conversation::{self, Conversation, Recipient};
use crate::policy;
use crate::rollout::record::{Record, RecordBody, TakenBack};
use crate::rollout::{ReadError, RolloutStore};

/// Where a turn's conversation is. It ends with the input of the turn itself.
pub enum Past {
    /// Nowhere: the model looks at nothing but the input.
    Unneeded,
    /// In the rollout.
    Stored(Stored),
    /// In memory: the thread is never on disk.
    Kept {
        /// The thread's records, as far as they matter to a model.
        records: Vec<Record>,
        /// What of them was taken back.
        taken_back: Vec<TakenBack>,
    },
}

/// A conversation in a rollout.
pub struct Stored {
    /// Where it is.
    pub store: Arc<dyn RolloutStore>,
    /// Whose it is.
    pub thread: ThreadId,
    /// What was taken back.
    pub taken_back: Vec<TakenBack>,
    /// Its last record.
    pub last: EventSeq,
    /// Hears when that record is on disk. Dropped when it will not be.
    pub written: oneshot::Receiver<()>,
}

impl Past {
    /// The conversation as `to` is told it, oldest first. `None` when the disk does not take the turn's input: then its owner ends the turn.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(self, to: &Recipient) -> Result<Option<Conversation>, ReadError> {
        match self {
            Self::Unneeded => Ok(Some(Conversation::default())),
            Self::Kept { records, taken_back } => Ok(Some(conversation::of(&records, &taken_back, to))),
            Self::Stored(stored) => stored.read(to).await,
        }
    }
}

impl Stored {
    async fn read(self, to: &Recipient) -> Result<Option<Conversation>, ReadError> {
        if self.written.await.is_err() {
            return Ok(None);
        }
        let mut records: VecDeque<Record> = VecDeque::new();
        let mut summed_up = false;
        let (mut before, mut bytes) = (Some(self.last.next()), 0);
        loop {
            let page = self.store.read_back(self.thread, before, policy::WINDOW_PAGE).await?;
            before = page.records.first().map(|first| first.seq);
            bytes += page.bytes;
            let more = page.more && before.is_some();
            for record in page.records.into_iter().rev() {
                let counts = !self.taken_back.iter().any(|cut| cut.holds(record.seq));
                // What was said right before a summary was not answered, and is no part of it.
                if counts && summed_up && conversation::answers(&record.body) {
                    return Ok(Some(conversation::of(records.make_contiguous(), &self.taken_back, to)));
                }
                summed_up |= counts && matches!(record.body, RecordBody::Compacted(_));
                records.push_front(record);
            }
            if !more || bytes >= policy::CONVERSATION_BYTES {
                return Ok(Some(conversation::of(records.make_contiguous(), &self.taken_back, to)));
            }
        }
    }
}
