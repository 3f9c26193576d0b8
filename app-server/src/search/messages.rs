//! Which messages of a thread hold a term, oldest first. The turns are those of every other reader of a history: what was
//! taken back is not there, and a fork has what it began with.

use std::borrow::Cow;
use std::sync::Arc;

use skein_base::clock::Clock;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::turn::{Turn, UserInput};
use skein_store::history::read::{Enough, Stretch, Turns};
use skein_store::history::{DAMAGE_ID, History};
use skein_store::rollout::record::TakenBack;
use skein_store::rollout::{MayHold, ReadError, RolloutStore};

use super::term::Term;
use crate::policy;

/// What is read at once.
const ENOUGH: Enough =
    Enough { turns: policy::SEARCH_TURNS, bytes: policy::SEARCH_TURN_BYTES, ..Enough::ALL };

/// Whether a line of a rollout may hold the term.
#[must_use]
pub(crate) fn may_hold(term: &Arc<Term>) -> MayHold {
    let term = Arc::clone(term);
    Arc::new(move |line: &[u8]| term.may_be_in(line))
}

/// Reads the turns of one thread that may hold a term, and passes over the others.
pub(crate) struct Messages<'a> {
    store: &'a dyn RolloutStore,
    thread: ThreadId,
    taken_back: Vec<TakenBack>,
    may_hold: MayHold,
}

impl<'a> Messages<'a> {
    /// The messages that the thread has now.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn of(
        store: &'a dyn RolloutStore,
        thread: ThreadId,
        may_hold: MayHold,
    ) -> Result<Self, ReadError> {
        let taken_back = History::read_end(store, thread, 0).await?.taken_back().to_vec();
        Ok(Self { store, thread, taken_back, may_hold })
    }

    /// The next turns behind record `after` of which one may hold the term, oldest first; `None` when there is no such
    /// turn. Their `ends` is what comes before the next ones.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn next(&self, after: EventSeq) -> Result<Option<Stretch>, ReadError> {
        // One thread is sifted whatever the time is.
        let (threads, until) = (vec![(self.thread, after)], Clock.now());
        let mut sifted = self.store.prefilter(threads, Arc::clone(&self.may_hold), until).await;
        match sifted.pop() {
            // What is behind the last record is none, whatever it looks like.
            Some(Ok(Some(turn))) => {
                Ok(Some(self.from(turn.max(after.next())).await?).filter(|found| found.ends > after))
            }
            Some(Ok(None)) | None => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }

    /// The turns from the one that begins with the record `from`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn from(&self, from: EventSeq) -> Result<Stretch, ReadError> {
        let turns = Turns::of(self.store, self.thread, &self.taken_back, None);
        turns.forward(from.max(EventSeq(1)), ENOUGH).await
    }
}

/// The messages of a turn: what the user and the agent said, with their texts.
pub(crate) fn said(turn: &Turn) -> impl Iterator<Item = (&ThreadItem, Cow<'_, str>)> {
    turn.items.iter().filter_map(|item| Some((item, text(item)?)))
}

/// The text of a message. What stands in place of damaged records is none.
fn text(item: &ThreadItem) -> Option<Cow<'_, str>> {
    if let ThreadItemBody::UserMessage(message) = &item.body {
        let mut texts = message.content.iter().filter_map(UserInput::as_text);
        let first = texts.next()?;
        let joined = |text: String, next: &str| text + "\n" + next;
        return Some(texts.fold(Cow::Borrowed(first), |text, next| joined(text.into_owned(), next).into()));
    }
    let ThreadItemBody::AgentMessage(message) = &item.body else { return None };
    Some(Cow::Borrowed(message.text.as_str())).filter(|_| !message.id.as_str().starts_with(DAMAGE_ID))
}
