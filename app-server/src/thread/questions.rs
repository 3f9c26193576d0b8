//! Questions to clients: their numbers, and the rules that settle them. Pure but for one lock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skein_base::clock::WallMs;
use skein_protocol::error::WireError;
use skein_protocol::ids::{ConnectionId, ThreadId};

use crate::policy;

/// Numbers every question of this server, and knows its thread. Numbers never repeat in a home or a database, so an old dialog
/// cannot answer a new question.
#[derive(Debug)]
pub(crate) struct QuestionNumbers {
    next: AtomicI64,
    /// Whether only this server gives out numbers, so that those of its threads are all that there are.
    is_alone: bool,
    open: Mutex<HashMap<i64, ThreadId>>,
    /// The last answers that counted, oldest first.
    answers: Mutex<VecDeque<(i64, PastAnswer)>>,
}

/// An answer that has settled its question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PastAnswer {
    /// The name of the client.
    pub(crate) client: String,
    pub(crate) at: WallMs,
    pub(crate) result: Value,
}

/// The answers that other servers have taken.
#[async_trait]
pub(crate) trait AnswersOfOthers: Send + Sync {
    /// The answer that has settled a question. None if no server says so in time.
    async fn past_answer(&self, question: i64) -> Option<PastAnswer>;
}

impl QuestionNumbers {
    /// Numbers from `first` on, and above those of the threads that were loaded.
    pub(crate) fn from(first: i64) -> Self {
        let next = AtomicI64::new(first);
        Self { next, is_alone: true, open: Mutex::default(), answers: Mutex::default() }
    }

    /// Numbers from `first` on, which other servers leave out. Threads may come with numbers of such servers, also higher ones.
    pub(crate) fn beside_others(first: i64) -> Self {
        Self { is_alone: false, ..Self::from(first) }
    }

    /// Opens a question of this thread. Returns its number.
    pub(crate) fn open(&self, thread: ThreadId) -> i64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, thread);
        number
    }

    /// Opens a question of an earlier load again, under its number.
    pub(crate) fn open_again(&self, number: i64, thread: ThreadId) {
        if self.is_alone {
            self.next.fetch_max(number.saturating_add(1), Ordering::Relaxed);
        }
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, thread);
    }

    /// Closes questions: no answer to them counts any more.
    pub(crate) fn close(&self, numbers: &[i64]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for number in numbers {
            open.remove(number);
        }
    }

    /// Remembers the answer that has settled a question.
    pub(crate) fn answered(&self, number: i64, answer: PastAnswer) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        // The record of an earlier one was lost with its owner.
        answers.retain(|(answered, _)| *answered != number);
        answers.push_back((number, answer));
        if answers.len() > policy::REMEMBERED_ANSWERS {
            answers.pop_front();
        }
    }

    /// Forgets the answer to a question: its record is lost.
    pub(crate) fn forget_answer(&self, number: i64) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|(answered, _)| *answered != number);
    }

    /// The answer that has settled a question here.
    pub(crate) fn past_answer(&self, number: i64) -> Option<PastAnswer> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().find(|(answered, _)| *answered == number).map(|(_, past)| past.clone())
    }

    /// The thread of an open question.
    pub(crate) fn thread(&self, number: i64) -> Option<ThreadId> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&number).copied()
    }
}

/// Judges an answer to a question that is not open any more, beside the one that has settled it.
///
/// # Errors
/// The question was answered differently, or is not known.
pub(crate) fn judge_late(number: i64, result: &Value, past: Option<PastAnswer>) -> Result<(), WireError> {
    match past {
        Some(past) if past.result == *result => Ok(()),
        Some(PastAnswer { client, at, .. }) => {
            let at = Timestamp::from_second(at.seconds()).unwrap_or_default();
            let text = format!("the client {client:?} has answered question {number} at {at}");
            Err(WireError::invalid_request("alreadyAnswered", text))
        }
        None => {
            let text =
                format!("no question {number} waits for an answer; skein/questions/list has those that do");
            Err(WireError::invalid_request("unknownQuestion", text))
        }
    }
}

/// The clients that a question is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All clients: the first answer decides.
    #[default]
    Everyone,
    /// One connection at a time, because its client acts. The next one is asked after an error or a disconnection.
    OneAtATime,
}

/// An answer that does not settle its question by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// An error, with its text: the client cannot ask the user.
    Cannot(String),
    /// An answer of another shape, with the parser's error.
    Unreadable(String),
}

impl Refusal {
    /// The text for the asker: `cannot` or `unreadable`, and why.
    pub(crate) fn message(&self, cannot: &str, unreadable: &str) -> String {
        match self {
            Self::Cannot(why) => format!("{cannot}: {why}"),
            Self::Unreadable(why) => format!("{unreadable}: {why}"),
        }
    }

    /// The text alone.
    pub(crate) fn why(self) -> String {
        match self {
            Self::Cannot(why) | Self::Unreadable(why) => why,
        }
    }
}

/// The clients that were asked one question, and their answers so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    reach: Reach,
    asked: HashSet<ConnectionId>,
    errors: Vec<(ConnectionId, Refusal)>,
    /// The name of the client that acts, for a question for one connection. It may have begun, also before a restart, so no other
    /// client is asked before it has answered with an error.
    acts: Option<String>,
}

/// A connection that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Askable<'a> {
    pub(crate) connection: ConnectionId,
    /// The name of its client (`clientInfo.name`).
    pub(crate) client: &'a str,
}

/// The effect of an answer on its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The answer settles the question.
    Counts,
    /// The client was not asked.
    NotAsked,
}

impl Asked {
    /// Nobody is asked yet. `acts` names the client that acts.
    pub(crate) fn new(reach: Reach, acts: Option<String>) -> Self {
        Self { reach, acts, ..Self::default() }
    }

    /// The connections among `candidates` to ask now, in their order.
    pub(crate) fn next<'a>(
        &self,
        candidates: &[Askable<'a>],
        still: &HashSet<ConnectionId>,
    ) -> Vec<Askable<'a>> {
        match self.reach {
            Reach::Everyone => candidates.to_vec(),
            Reach::OneAtATime if self.holder(still).is_some() => Vec::new(),
            Reach::OneAtATime => {
                candidates.iter().find(|who| self.may_act(who)).copied().into_iter().collect()
            }
        }
    }

    /// Whether this connection is asked once it has joined.
    pub(crate) fn is_for(&self, who: &Askable<'_>, still: &HashSet<ConnectionId>) -> bool {
        match (self.reach, self.holder(still)) {
            (Reach::Everyone, _) => true,
            (Reach::OneAtATime, Some(holder)) => holder == who.connection,
            (Reach::OneAtATime, None) => self.may_act(who),
        }
    }

    fn may_act(&self, who: &Askable<'_>) -> bool {
        let is_named = self.acts.as_deref().is_none_or(|acts| acts == who.client);
        is_named && !self.has_refused(who.connection)
    }

    /// The connection that holds a question for one connection.
    fn holder(&self, still: &HashSet<ConnectionId>) -> Option<ConnectionId> {
        self.asked.intersection(still).find(|who| !self.has_refused(**who)).copied()
    }

    fn has_refused(&self, connection: ConnectionId) -> bool {
        self.errors.iter().any(|(by, _)| *by == connection)
    }

    /// Notes that this connection is asked, perhaps again.
    pub(crate) fn ask(&mut self, who: &Askable<'_>) {
        self.acts = (self.reach == Reach::OneAtATime).then(|| who.client.to_owned());
        self.admit(who.connection);
    }

    /// Accepts answers of this connection, as if it had been asked.
    pub(crate) fn admit(&mut self, connection: ConnectionId) {
        self.asked.insert(connection);
        // A new question takes a new answer.
        self.errors.retain(|(by, _)| *by != connection);
    }

    /// Accepts answers of those that an earlier load has asked, and that are `still` subscribed: they show the question, and nobody puts
    /// it to them again. Of several connections of the client that acts, the one that holds the question is not known.
    pub(crate) fn admit_earlier(&mut self, candidates: &[Askable<'_>], still: &HashSet<ConnectionId>) {
        let acts = |who: &&Askable<'_>| self.acts.is_some() && self.may_act(who);
        let earlier: Vec<ConnectionId> = match self.reach {
            Reach::Everyone => still.iter().copied().collect(),
            Reach::OneAtATime => candidates.iter().filter(acts).map(|who| who.connection).collect(),
        };
        earlier.into_iter().for_each(|connection| self.admit(connection));
    }

    /// Whether an answer of this connection counts.
    pub(crate) fn judge(&self, by: ConnectionId) -> Verdict {
        if self.asked.contains(&by) { Verdict::Counts } else { Verdict::NotAsked }
    }

    /// Notes a refusal of a connection that was asked.
    pub(crate) fn refuse(&mut self, by: ConnectionId, refusal: Refusal) {
        if self.judge(by) == Verdict::Counts && !self.has_refused(by) {
            self.errors.push((by, refusal));
            self.acts = None;
        }
    }

    /// The refusal that settles the question, once every asked connection that is `still` subscribed has refused. An unreadable
    /// answer comes before an error. A disconnection settles nothing: without clients the question waits.
    pub(crate) fn refused(&self, still: &HashSet<ConnectionId>) -> Option<&Refusal> {
        let left: Vec<ConnectionId> = match self.reach {
            Reach::Everyone => self.asked.intersection(still).copied().collect(),
            // Every other subscriber can be asked, too.
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
    fn numbers_begin_at_the_first_and_belong_to_a_thread_until_settled() {
        let numbers = QuestionNumbers::from(1_000);
        let thread = ThreadId::new(uuid::Uuid::nil());
        let number = numbers.open(thread);
        assert_eq!((number, numbers.thread(number)), (1_000, Some(thread)));
        numbers.close(&[number]);
        assert_eq!(numbers.thread(number), None);
        assert_eq!(numbers.open(thread), 1_001);
    }

    /// A home that was restored may know of higher numbers than its own start gives out.
    #[test]
    fn a_new_question_has_no_number_of_an_earlier_one() {
        let numbers = QuestionNumbers::from(1_000);
        let thread = ThreadId::new(uuid::Uuid::nil());
        numbers.open_again(1_001, thread);
        numbers.open_again(900, thread);
        assert_eq!(numbers.open(thread), 1_002);
        assert_eq!(numbers.thread(900), Some(thread));
    }

    #[test]
    fn a_server_beside_others_keeps_to_its_own_numbers() {
        let numbers = QuestionNumbers::beside_others(1_000);
        let thread = ThreadId::new(uuid::Uuid::nil());
        numbers.open_again(2_001, thread);
        assert_eq!(numbers.thread(2_001), Some(thread));
        assert_eq!(numbers.open(thread), 1_000);
    }

    #[test]
    fn only_those_who_were_asked_may_answer() {
        let mut asked = Asked::default();
        asked.admit(A);
        assert_eq!(asked.judge(A), Verdict::Counts);
        assert_eq!(asked.judge(B), Verdict::NotAsked);
        asked.refuse(B, error());
        assert!(asked.refused(&still(&[A, B])).is_none());
    }

    #[test]
    fn an_error_settles_only_when_everyone_who_is_left_has_answered_with_one() {
        let mut asked = Asked::default();
        asked.admit(A);
        asked.admit(B);
        asked.refuse(A, error());
        assert!(asked.refused(&still(&[A, B])).is_none(), "B may still answer");
        assert!(asked.refused(&still(&[A])).is_some(), "B has left");
        assert!(asked.refused(&still(&[])).is_none(), "a disconnection settles nothing");
        asked.refuse(B, error());
        assert!(asked.refused(&still(&[A, B])).is_some());
    }

    #[test]
    fn an_unreadable_answer_counts_before_an_error() {
        let mut asked = Asked::default();
        asked.admit(A);
        asked.admit(B);
        asked.refuse(A, error());
        let unreadable = Refusal::Unreadable("missing field".to_owned());
        asked.refuse(B, unreadable.clone());
        assert_eq!(asked.refused(&still(&[A, B])), Some(&unreadable));
    }

    fn page(connection: ConnectionId) -> Askable<'static> {
        Askable { connection, client: "page" }
    }

    #[test]
    fn a_question_for_one_client_passes_on_after_an_error_and_to_the_same_client_after_a_disconnection() {
        let mut asked = Asked::new(Reach::OneAtATime, None);
        let both = still(&[A, B]);
        let (a, b) = (page(A), page(B));
        let editor = Askable { connection: B, client: "editor" };
        assert_eq!(asked.next(&[a, b], &both), [a]);
        asked.ask(&a);
        assert_eq!(asked.next(&[a, b], &both), []);
        assert!(asked.is_for(&a, &both) && !asked.is_for(&b, &both));
        assert_eq!(asked.next(&[b], &still(&[B])), [b], "A has left");
        assert_eq!(asked.next(&[editor], &still(&[B])), [], "the page may have begun");
        assert!(!asked.is_for(&editor, &still(&[B])));
        asked.refuse(A, error());
        assert!(asked.refused(&both).is_none(), "B comes into question");
        assert_eq!(asked.next(&[a, editor], &both), [editor]);
        asked.ask(&editor);
        asked.refuse(B, error());
        assert_eq!(asked.next(&[a, editor], &both), []);
        assert!(asked.refused(&both).is_some());
        assert!(asked.refused(&still(&[])).is_none(), "a disconnection settles nothing");
    }

    #[test]
    fn after_a_restart_only_the_client_that_may_have_begun_is_asked() {
        let asked = Asked::new(Reach::OneAtATime, Some("page".to_owned()));
        let editor = Askable { connection: A, client: "editor" };
        assert_eq!(asked.next(&[editor, page(B)], &still(&[A, B])), [page(B)]);
        assert!(asked.refused(&still(&[A])).is_none(), "the turn waits");
    }

    #[test]
    fn after_another_load_those_that_stayed_may_answer() {
        let editor = Askable { connection: A, client: "editor" };
        let (known, still) = ([editor, page(B)], still(&[A, B]));
        let judged = |mut asked: Asked| {
            asked.admit_earlier(&known, &still);
            [A, B].map(|who| asked.judge(who))
        };
        let everyone = Asked::new(Reach::Everyone, None);
        assert_eq!(judged(everyone), [Verdict::Counts, Verdict::Counts]);
        let acts = Asked::new(Reach::OneAtATime, Some("page".to_owned()));
        assert_eq!(judged(acts), [Verdict::NotAsked, Verdict::Counts]);
        let nobody_acts = Asked::new(Reach::OneAtATime, None);
        assert_eq!(judged(nobody_acts), [Verdict::NotAsked, Verdict::NotAsked]);
    }

    #[test]
    fn a_client_that_is_asked_again_may_answer_again() {
        let mut asked = Asked::default();
        asked.admit(A);
        asked.refuse(A, error());
        asked.admit(A);
        assert!(asked.refused(&still(&[A])).is_none());
    }
}
