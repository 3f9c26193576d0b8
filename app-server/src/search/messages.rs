//! The messages of a thread with a term, oldest first. Turns are those of any reader of a history: reverted ones are
//! gone, and a fork includes its source's.

use std::sync::Arc;

use skein_base::clock::Clock;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::history::History;
use skein_store::history::read::{Enough, Stretch, Turns};
use skein_store::policy::SEARCH_TURN_BYTES;
use skein_store::rollout::record::TakenBack;
use skein_store::rollout::{MayHold, ReadError, RolloutStore};
use skein_store::texts::SearchTerm;

use crate::policy;

/// The size of one read.
const ENOUGH: Enough = Enough { turns: policy::SEARCH_TURNS, bytes: SEARCH_TURN_BYTES, ..Enough::ALL };

/// Whether a line of a rollout may hold the term.
pub(crate) fn may_hold(term: &Arc<SearchTerm>) -> MayHold {
    let term = Arc::clone(term);
    Arc::new(move |line: &[u8]| term.may_be_in(line))
}

/// Reads the turns of one thread that may hold a term, and skips the others.
pub(crate) struct MessageReader<'a> {
    store: &'a dyn RolloutStore,
    thread: ThreadId,
    taken_back: Vec<TakenBack>,
    may_hold: MayHold,
}

impl<'a> MessageReader<'a> {
    /// The current messages of the thread.
    pub(crate) async fn of(
        store: &'a dyn RolloutStore,
        thread: ThreadId,
        may_hold: MayHold,
    ) -> Result<Self, ReadError> {
        let taken_back = History::read_end(store, thread, 0).await?.taken_back().to_vec();
        Ok(Self { store, thread, taken_back, may_hold })
    }

    /// The next turns after record `after` of which one may hold the term, oldest first; `None` if there is none.
    /// Continue at their `ends`.
    pub(crate) async fn next(&self, after: EventSeq) -> Result<Option<Stretch>, ReadError> {
        // One thread is searched without a time limit.
        let (threads, until) = (vec![(self.thread, after)], Clock.now());
        let mut sifted = self.store.prefilter(threads, Arc::clone(&self.may_hold), until).await;
        match sifted.pop() {
            // Lines after the last record do not count.
            Some(Ok(Some(turn))) => {
                Ok(Some(self.from(turn.max(after.next())).await?).filter(|found| found.ends > after))
            }
            Some(Ok(None)) | None => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }

    /// The turns from record `from` on.
    pub(crate) async fn from(&self, from: EventSeq) -> Result<Stretch, ReadError> {
        let turns = Turns::of(self.store, self.thread, &self.taken_back, None);
        turns.forward(from.max(EventSeq(1)), ENOUGH).await
    }
}
