//! Questions that the server has put to clients: their numbers, and who may settle them; pure but for one lock.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use skein_protocol::error::WireError;
use skein_protocol::ids::{ConnectionId, ThreadId};

use crate::clock::WallMs;

/// Gives every question of this server a number, and knows which thread it belongs to. Numbers begin at the time of
/// the server's start in milliseconds, so that an old dialog cannot answer a new question.
#[derive(Debug)]
pub struct QuestionNumbers {
    next: AtomicI64,
    open: Mutex<HashMap<i64, ThreadId>>,
}

impl QuestionNumbers {
    /// The first number is the time of the start.
    #[must_use]
    pub fn new(started: WallMs) -> Self {
        Self { next: AtomicI64::new(started.0), open: Mutex::default() }
    }

    /// A new question of this thread.
    pub fn open(&self, thread: ThreadId) -> i64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, thread);
        number
    }

    /// The question is settled.
    pub fn close(&self, number: i64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Whose question this is, while it is open.
    #[must_use]
    pub fn thread(&self, number: i64) -> Option<ThreadId> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&number).copied()
    }
}

/// Who was asked one question, and what came back so far.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    asked: HashSet<ConnectionId>,
    errors: Vec<(ConnectionId, WireError)>,
}

/// What an answer means for the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It counts: the question is settled by it.
    Counts,
    /// It comes from somebody who was not asked.
    NotAsked,
}

impl Asked {
    /// This connection is asked, perhaps again.
    pub fn ask(&mut self, connection: ConnectionId) {
        self.asked.insert(connection);
        // Asked again, it may answer again.
        self.errors.retain(|(by, _)| *by != connection);
    }

    /// Whether a real answer of this connection counts.
    #[must_use]
    pub fn judge(&self, by: ConnectionId) -> Verdict {
        if self.asked.contains(&by) { Verdict::Counts } else { Verdict::NotAsked }
    }

    /// Notes an error of somebody who was asked.
    pub fn refuse(&mut self, by: ConnectionId, error: WireError) {
        if self.judge(by) == Verdict::Counts && !self.errors.iter().any(|(who, _)| *who == by) {
            self.errors.push((by, error));
        }
    }

    /// The first error, once every one who was asked and is `still` subscribed has answered with one. A
    /// disconnection settles nothing: with nobody left the question waits.
    #[must_use]
    pub fn refused(&self, still: &HashSet<ConnectionId>) -> Option<&WireError> {
        let mut left = self.asked.intersection(still).peekable();
        left.peek()?;
        let refused = |who: &ConnectionId| self.errors.iter().any(|(by, _)| by == who);
        if left.all(refused) { self.errors.first().map(|(_, error)| error) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    fn error() -> WireError {
        WireError::internal("test", "no")
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
    fn who_is_asked_again_may_answer_again() {
        let mut asked = Asked::default();
        asked.ask(A);
        asked.refuse(A, error());
        asked.ask(A);
        assert!(asked.refused(&still(&[A])).is_none());
    }
}
