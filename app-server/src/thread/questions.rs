//! Questions that the server has put to clients: their numbers, and who may settle them; pure but for one lock.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use skein_protocol::ids::{ConnectionId, ThreadId};

use skein_base::clock::WallMs;

/// Gives every question of this server a number, and knows which thread it belongs to. Numbers begin at the time of
/// the server's start in milliseconds, so that an old dialog cannot answer a new question.
#[derive(Debug)]
pub(crate) struct QuestionNumbers {
    next: AtomicI64,
    open: Mutex<HashMap<i64, ThreadId>>,
}

impl QuestionNumbers {
    /// The first number is the time of the start.
    #[must_use]
    pub(crate) fn new(started: WallMs) -> Self {
        Self { next: AtomicI64::new(started.0), open: Mutex::default() }
    }

    /// A new question of this thread.
    pub(crate) fn open(&self, thread: ThreadId) -> i64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, thread);
        number
    }

    /// The question is settled.
    pub(crate) fn close(&self, number: i64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Whose question this is, while it is open.
    #[must_use]
    pub(crate) fn thread(&self, number: i64) -> Option<ThreadId> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&number).copied()
    }
}

/// Whom a question is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Everyone: whoever answers first decides.
    #[default]
    Everyone,
    /// One connection at a time, since whoever is asked acts: the next one is asked after an error or the end of the last.
    OneAtATime,
}

/// Why an answer settles nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// An error: the client cannot ask. Its text.
    Cannot(String),
    /// A client has answered, and not with what was asked for. What is wrong with the answer.
    Unreadable(String),
}

impl Refusal {
    /// For whoever asked: `cannot` or `unreadable`, and why.
    #[must_use]
    pub(crate) fn told(&self, cannot: &str, unreadable: &str) -> String {
        match self {
            Self::Cannot(why) => format!("{cannot}: {why}"),
            Self::Unreadable(why) => format!("{unreadable}: {why}"),
        }
    }

    /// The text alone.
    #[must_use]
    pub(crate) fn why(self) -> String {
        match self {
            Self::Cannot(why) | Self::Unreadable(why) => why,
        }
    }
}

/// Who was asked one question, and what came back so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    reach: Reach,
    asked: HashSet<ConnectionId>,
    errors: Vec<(ConnectionId, Refusal)>,
}

/// What an answer means for the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It counts: the question is settled by it.
    Counts,
    /// It comes from somebody who was not asked.
    NotAsked,
}

impl Asked {
    /// Nobody is asked yet.
    #[must_use]
    pub(crate) fn new(reach: Reach) -> Self {
        Self { reach, ..Self::default() }
    }

    /// Who of `candidates`, in the order in which they come into question, has to be asked now.
    #[must_use]
    pub(crate) fn next(
        &self,
        candidates: &[ConnectionId],
        still: &HashSet<ConnectionId>,
    ) -> Vec<ConnectionId> {
        match self.reach {
            Reach::Everyone => candidates.to_vec(),
            Reach::OneAtATime if self.holder(still).is_some() => Vec::new(),
            Reach::OneAtATime => {
                let next = candidates.iter().find(|who| !self.has_refused(**who));
                next.copied().into_iter().collect()
            }
        }
    }

    /// Whether the question is this connection's to answer, once it has joined.
    #[must_use]
    pub(crate) fn is_for(&self, connection: ConnectionId, still: &HashSet<ConnectionId>) -> bool {
        match self.reach {
            Reach::Everyone => true,
            Reach::OneAtATime => self.holder(still).is_none_or(|holder| holder == connection),
        }
    }

    /// The one that acts now, where only one may.
    fn holder(&self, still: &HashSet<ConnectionId>) -> Option<ConnectionId> {
        self.asked.intersection(still).find(|who| !self.has_refused(**who)).copied()
    }

    fn has_refused(&self, connection: ConnectionId) -> bool {
        self.errors.iter().any(|(by, _)| *by == connection)
    }

    /// This connection is asked, perhaps again.
    pub(crate) fn ask(&mut self, connection: ConnectionId) {
        self.asked.insert(connection);
        // Asked again, it may answer again.
        self.errors.retain(|(by, _)| *by != connection);
    }

    /// Whether a real answer of this connection counts.
    #[must_use]
    pub(crate) fn judge(&self, by: ConnectionId) -> Verdict {
        if self.asked.contains(&by) { Verdict::Counts } else { Verdict::NotAsked }
    }

    /// Notes what somebody who was asked has answered in place of a decision.
    pub(crate) fn refuse(&mut self, by: ConnectionId, refusal: Refusal) {
        if self.judge(by) == Verdict::Counts && !self.has_refused(by) {
            self.errors.push((by, refusal));
        }
    }

    /// The first refusal, once every one who was asked and is `still` subscribed has refused; an answer that cannot be read
    /// says more than an error. A disconnection settles nothing: with nobody left the question waits.
    #[must_use]
    pub(crate) fn refused(&self, still: &HashSet<ConnectionId>) -> Option<&Refusal> {
        let left: Vec<ConnectionId> = match self.reach {
            Reach::Everyone => self.asked.intersection(still).copied().collect(),
            // The others come into question, too.
            Reach::OneAtATime => still.iter().copied().collect(),
        };
        let all = !left.is_empty() && left.into_iter().all(|who| self.has_refused(who));
        let answered = self.errors.iter().find(|(_, refusal)| matches!(refusal, Refusal::Unreadable(_)));
        answered.or(self.errors.first()).filter(|_| all).map(|(_, refusal)| refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    fn error() -> Refusal {
        Refusal::Cannot("no".to_owned())
    }

    fn still(who: &[ConnectionId]) -> HashSet<ConnectionId> {
        who.iter().copied().collect()
    }

    #[test]
    fn numbers_begin_at_the_start_and_belong_to_a_thread_until_settled() {
        let numbers = QuestionNumbers::new(WallMs(1_000));
        let thread = ThreadId::new(uuid::Uuid::nil());
        let number = numbers.open(thread);
        assert_eq!((number, numbers.thread(number)), (1_000, Some(thread)));
        numbers.close(number);
        assert_eq!(numbers.thread(number), None);
        assert_eq!(numbers.open(thread), 1_001);
    }

    #[test]
    fn only_those_who_were_asked_may_answer() {
        let mut asked = Asked::default();
        asked.ask(A);
        assert_eq!(asked.judge(A), Verdict::Counts);
        assert_eq!(asked.judge(B), Verdict::NotAsked);
        asked.refuse(B, error());
        assert!(asked.refused(&still(&[A, B])).is_none());
    }

    #[test]
    fn an_error_settles_only_when_everyone_who_is_left_has_answered_with_one() {
        let mut asked = Asked::default();
        asked.ask(A);
        asked.ask(B);
        asked.refuse(A, error());
        assert!(asked.refused(&still(&[A, B])).is_none(), "B may still answer");
        assert!(asked.refused(&still(&[A])).is_some(), "B has left");
        assert!(asked.refused(&still(&[])).is_none(), "a disconnection settles nothing");
        asked.refuse(B, error());
        assert!(asked.refused(&still(&[A, B])).is_some());
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_told_before_an_error() {
        let mut asked = Asked::default();
        asked.ask(A);
        asked.ask(B);
        asked.refuse(A, error());
        let unreadable = Refusal::Unreadable("missing field".to_owned());
        asked.refuse(B, unreadable.clone());
        assert_eq!(asked.refused(&still(&[A, B])), Some(&unreadable));
    }

    #[test]
    fn where_one_acts_the_next_is_asked_after_an_error_or_the_end_of_the_last() {
        let mut asked = Asked::new(Reach::OneAtATime);
        let both = still(&[A, B]);
        assert_eq!(asked.next(&[A, B], &both), [A]);
        asked.ask(A);
        assert_eq!(asked.next(&[A, B], &both), []);
        assert!(asked.is_for(A, &both) && !asked.is_for(B, &both));
        assert_eq!(asked.next(&[B], &still(&[B])), [B], "A has left");
        asked.refuse(A, error());
        assert!(asked.refused(&both).is_none(), "B comes into question");
        assert_eq!(asked.next(&[A, B], &both), [B]);
        asked.ask(B);
        asked.refuse(B, error());
        assert_eq!(asked.next(&[A, B], &both), []);
        assert!(asked.refused(&both).is_some());
        assert!(asked.refused(&still(&[])).is_none(), "a disconnection settles nothing");
    }

    #[test]
    fn who_is_asked_again_may_answer_again() {
        let mut asked = Asked::default();
        asked.ask(A);
        asked.refuse(A, error());
        asked.ask(A);
        assert!(asked.refused(&still(&[A])).is_none());
    }
}
