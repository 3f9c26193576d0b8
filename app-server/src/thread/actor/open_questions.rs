//! The open questions of a thread: the clients that were asked, the answers so far, and since when no client can answer.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::value::RawValue;
use skein_protocol::access::Access;
use skein_protocol::approval::{
    DynamicToolCallResponse, McpServerElicitationAction, McpServerElicitationRequestResponse,
    ToolRequestUserInputResponse,
};
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::ids::{ConnectionId, TurnId};
use skein_protocol::thread::ThreadActiveFlag;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::asking::Deciding;
use super::consent::{Decision, decision};
use super::helper_side::{Changed, ToolOf};
use crate::outbox::{Frame, Outbox};
use crate::thread::questions::{Asked, Reach, Refusal, Verdict};
use crate::thread::registry::ClientAnswer;
use crate::turn::Answered;
use crate::turn::approval::Hints;
use crate::turn::asking::Permission;

struct Question {
    /// The request id, the same for every client.
    number: i64,
    frame: Frame,
    asked: Asked,
    /// Whether its place in the publish queue has come.
    put: bool,
    /// The turn that the question ends with. `None`: it ends with its call.
    turn: Option<TurnId>,
    wants: Wants,
}

/// The asker, with the channel for its answer.
pub(super) enum Wants {
    /// A turn that asks for text.
    Words(oneshot::Sender<Answered>),
    /// A model that asks the user several questions at once.
    Answers(oneshot::Sender<Result<ToolRequestUserInputResponse, String>>),
    /// A turn that wants to call a helper's tool.
    Permission(Deciding),
    /// A turn that calls a tool of the client.
    ToolOutput(oneshot::Sender<Result<DynamicToolCallResponse, String>>),
    /// A helper.
    Decision(oneshot::Sender<McpServerElicitationRequestResponse>),
}

/// The outcome of a question.
pub(super) enum Settled {
    Words(Answered),
    Answers(ToolRequestUserInputResponse),
    Permission(Decision),
    /// The settings have decided instead of the user.
    Judged(Permission),
    ToolOutput(DynamicToolCallResponse),
    Decision(McpServerElicitationRequestResponse),
    /// No client that was asked has decided.
    Refused(Refusal),
    /// The asker has given up.
    GivenUp,
}

/// The clients of a thread that questions concern.
pub(super) struct Audience {
    /// Outboxes of the clients that can be asked, in the order of preference.
    pub(super) candidates: Vec<Outbox>,
    /// Every subscriber, including those that catch up.
    pub(super) subscribed: HashSet<ConnectionId>,
}

#[derive(Default)]
pub(super) struct Questions {
    open: Vec<Question>,
    /// Since when no client can answer a question outside of a turn.
    unanswerable_since: Option<Instant>,
}

impl Questions {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Opens a question. [`Questions::put`] sends it to clients.
    pub(super) fn open(&mut self, number: i64, frame: Frame, turn: Option<TurnId>, wants: Wants) {
        let asked = Asked::new(wants.reach());
        self.open.push(Question { number, frame, asked, put: false, turn, wants });
    }

    /// The number of questions of the turn.
    pub(super) fn of_turn(&self) -> usize {
        self.open.iter().filter(|question| question.turn.is_some()).count()
    }

    /// Puts a question to clients for the first time.
    pub(super) fn put(&mut self, number: i64, audience: &Audience) {
        if let Some(question) = self.open.iter_mut().find(|question| question.number == number) {
            question.put = true;
            question.put_to_next(audience);
        }
    }

    /// Puts the open questions to a connection that has joined, under the same ids.
    pub(super) fn put_again(&mut self, connection: ConnectionId, audience: &Audience) {
        let is_joined = |outbox: &&Outbox| outbox.connection() == connection;
        let Some(outbox) = audience.candidates.iter().find(is_joined) else { return };
        let put = self.open.iter_mut().filter(|question| question.put);
        for question in put.filter(|question| question.asked.is_for(connection, &audience.subscribed)) {
            question.put_to(outbox);
        }
    }

    /// Accepts answers of a connection to these questions, as if they had been put to it.
    pub(super) fn may_answer(&mut self, connection: ConnectionId, numbers: &[i64]) {
        for question in self.open.iter_mut().filter(|question| numbers.contains(&question.number)) {
            question.asked.ask(connection);
        }
    }

    /// Whether a question can pass from one connection to the next.
    pub(super) fn can_pass(&self) -> bool {
        self.open.iter().any(Question::passes)
    }

    /// Puts questions for one connection to the next one, if the last has left or cannot answer.
    pub(super) fn pass_on(&mut self, audience: &Audience) {
        for question in self.open.iter_mut().filter(|question| question.passes()) {
            question.put_to_next(audience);
        }
    }

    /// Takes a client's answer. Returns its outcome, if it settles the question. The answer of a client that was not asked does
    /// not count, and an error settles nothing by itself.
    pub(super) fn take_answer(
        &mut self,
        by: ConnectionId,
        number: i64,
        answer: ClientAnswer,
    ) -> Option<Settled> {
        let question = self.open.iter_mut().find(|question| question.number == number)?;
        let refusal = match (question.asked.judge(by), answer) {
            (Verdict::NotAsked, _) => return None,
            (Verdict::Counts, Ok(raw)) => match question.wants.read(&raw) {
                Ok(settled) => return Some(settled),
                Err(error) => Refusal::Unreadable(error.message),
            },
            (Verdict::Counts, Err(error)) => Refusal::Cannot(error.message),
        };
        question.asked.refuse(by, refusal);
        None
    }

    /// Questions that every remaining client has refused.
    pub(super) fn refused(&self, subscribed: &HashSet<ConnectionId>) -> Vec<(i64, Settled)> {
        let refused = |question: &Question| {
            let refusal = question.asked.refused(subscribed)?;
            Some((question.number, Settled::Refused(refusal.clone())))
        };
        self.open.iter().filter_map(refused).collect()
    }

    /// Questions about calls that changed settings decide.
    pub(super) fn judged(&self, changed: &Changed) -> Vec<(i64, Settled)> {
        let judged = |question: &Question| match &question.wants {
            Wants::Permission(deciding) => {
                Some((question.number, Settled::Judged(deciding.judge_again(changed)?)))
            }
            Wants::Words(_) | Wants::Answers(_) | Wants::ToolOutput(_) | Wants::Decision(_) => None,
        };
        self.open.iter().filter_map(judged).collect()
    }

    /// Questions about other calls of a tool that the user has just allowed for longer.
    pub(super) fn about(&self, tool: &ToolOf, hints: Hints) -> Vec<i64> {
        let same = |question: &&Question| match &question.wants {
            Wants::Permission(deciding) => {
                deciding.lasting && deciding.tool == *tool && deciding.hints == hints
            }
            Wants::Words(_) | Wants::Answers(_) | Wants::ToolOutput(_) | Wants::Decision(_) => false,
        };
        self.open.iter().filter(same).map(|question| question.number).collect()
    }

    /// Removes a question.
    pub(super) fn take(&mut self, number: i64) -> Option<Wants> {
        let at = self.open.iter().position(|question| question.number == number)?;
        Some(self.open.swap_remove(at).wants)
    }

    /// Drops every question. Returns their numbers.
    pub(super) fn clear(&mut self) -> Vec<i64> {
        self.open.drain(..).map(|question| question.number).collect()
    }

    /// Drops the questions of a turn, or those outside of turns. Returns their numbers.
    pub(super) fn drop_of(&mut self, turn: Option<&TurnId>) -> Vec<i64> {
        let gone = self.open.extract_if(.., |question| question.turn.as_ref() == turn);
        gone.map(|question| question.number).collect()
    }

    /// Whether a question outside of turns is open.
    pub(super) fn wait_outside(&self) -> bool {
        self.open.iter().any(|question| question.turn.is_none())
    }

    /// Notes whether no client can answer a question outside of a turn.
    pub(super) fn note_unanswerable(&mut self, unanswerable: bool, now: Instant) {
        let since = self.unanswerable_since.unwrap_or(now);
        self.unanswerable_since = unanswerable.then_some(since);
    }

    /// When questions outside of turns are declined, because no client can answer them.
    pub(super) fn unanswerable_at(&self, grace: Duration) -> Option<Instant> {
        Some(self.unanswerable_since? + grace)
    }

    /// Ends the wait for a client. Returns the questions outside of turns.
    pub(super) fn give_up_waiting(&mut self) -> Vec<i64> {
        self.unanswerable_since = None;
        let outside = self.open.iter().filter(|question| question.turn.is_none());
        outside.map(|question| question.number).collect()
    }

    /// The questions that this connection can answer.
    pub(super) fn open_for(&self, connection: ConnectionId, subscribed: &HashSet<ConnectionId>) -> Vec<i64> {
        let open = self.open.iter().filter(|question| question.asked.is_for(connection, subscribed));
        open.map(|question| question.number).collect()
    }

    /// The flags that clients show for the open questions.
    pub(super) fn flags(&self) -> Vec<ThreadActiveFlag> {
        let waits = |flag| self.open.iter().any(|question| question.wants.flag() == Some(flag));
        let flags = [ThreadActiveFlag::WaitingOnApproval, ThreadActiveFlag::WaitingOnUserInput];
        flags.into_iter().filter(|flag| waits(*flag)).collect()
    }
}

impl Question {
    fn passes(&self) -> bool {
        self.put && self.wants.reach() == Reach::OneAtATime
    }

    fn put_to_next(&mut self, Audience { candidates, subscribed }: &Audience) {
        let known: Vec<ConnectionId> = candidates.iter().map(Outbox::connection).collect();
        let next = self.asked.next(&known, subscribed);
        for outbox in candidates.iter().filter(|outbox| next.contains(&outbox.connection())) {
            self.put_to(outbox);
        }
    }

    fn put_to(&mut self, outbox: &Outbox) {
        self.asked.ask(outbox.connection());
        outbox.push(self.frame.clone());
    }
}

impl Settled {
    /// The answer as far as this access reaches: only `admin` changes the settings, so `always` of others holds for the
    /// session.
    pub(super) fn within(self, access: Access) -> Self {
        let is_kept = matches!(self, Self::Permission(Decision::Always));
        if is_kept && access < Access::Admin { Self::Permission(Decision::Session) } else { self }
    }
}

impl Wants {
    /// Only one client carries out the call of a client's tool.
    fn reach(&self) -> Reach {
        match self {
            Self::ToolOutput(_) => Reach::OneAtATime,
            Self::Words(_) | Self::Answers(_) | Self::Permission(_) | Self::Decision(_) => Reach::Everyone,
        }
    }

    /// Parses an answer. An answer of another shape is an error.
    fn read(&self, raw: &RawValue) -> Result<Settled, WireError> {
        match self {
            Self::Words(_) => {
                let response: ToolRequestUserInputResponse = envelope::result(raw)?;
                Ok(Settled::Words(Answered::Text(text_of(&response))))
            }
            Self::Answers(_) => envelope::result(raw).map(Settled::Answers),
            Self::Permission(_) => {
                envelope::result(raw).map(|response| Settled::Permission(decision(&response)))
            }
            Self::ToolOutput(_) => envelope::result(raw).map(Settled::ToolOutput),
            Self::Decision(_) => envelope::result(raw).map(Settled::Decision),
        }
    }

    /// The flag that a thread shows during this question. A decision on a helper's question is an approval. The work of a
    /// client's tool is no wait for the user.
    fn flag(&self) -> Option<ThreadActiveFlag> {
        match self {
            Self::Words(_) | Self::Answers(_) => Some(ThreadActiveFlag::WaitingOnUserInput),
            Self::Permission(_) | Self::Decision(_) => Some(ThreadActiveFlag::WaitingOnApproval),
            Self::ToolOutput(_) => None,
        }
    }

    /// Answers the asker, unless it is gone. Returns a decision about a call, for the owner to apply.
    pub(super) fn answer(self, settled: Settled) -> Option<(Deciding, Decision)> {
        match (self, settled) {
            (Self::Permission(deciding), Settled::Permission(decision)) => return Some((deciding, decision)),
            (Self::Permission(deciding), Settled::Judged(permission)) => deciding.judged(permission),
            (wants, Settled::Refused(refusal)) => wants.answer_refused(refusal),
            (Self::Words(answer), Settled::Words(words)) => drop(answer.send(words)),
            (Self::Answers(answer), Settled::Answers(answers)) => drop(answer.send(Ok(answers))),
            (Self::ToolOutput(answer), Settled::ToolOutput(output)) => drop(answer.send(Ok(output))),
            (Self::Decision(answer), Settled::Decision(decision)) => drop(answer.send(decision)),
            // Answers have the type of their question.
            (
                Self::Words(_)
                | Self::Answers(_)
                | Self::Permission(_)
                | Self::ToolOutput(_)
                | Self::Decision(_),
                Settled::Words(_)
                | Settled::Answers(_)
                | Settled::Permission(_)
                | Settled::Judged(_)
                | Settled::ToolOutput(_)
                | Settled::Decision(_)
                | Settled::GivenUp,
            ) => {}
        }
        None
    }

    /// No client has decided.
    fn answer_refused(self, refusal: Refusal) {
        match self {
            Self::Words(answer) => drop(answer.send(Answered::Refused(refusal.why()))),
            Self::Answers(answer) => {
                let cannot = "no client has put the questions to the user";
                let message = refusal.message(cannot, "a client answered the questions with something else");
                drop(answer.send(Err(message)));
            }
            Self::Permission(deciding) => deciding.undecided(&refusal),
            Self::ToolOutput(answer) => {
                let cannot = "no client has carried out the call";
                let message = refusal.message(cannot, "a client answered the call with something else");
                drop(answer.send(Err(message)));
            }
            Self::Decision(answer) => drop(answer.send(declined())),
        }
    }
}

/// The answer to a helper if no user decides.
pub(super) fn declined() -> McpServerElicitationRequestResponse {
    McpServerElicitationRequestResponse {
        meta: None,
        action: McpServerElicitationAction::Decline,
        content: None,
    }
}

/// The user's words, a line for each answer.
fn text_of(response: &ToolRequestUserInputResponse) -> String {
    let by_question: BTreeMap<_, _> = response.answers.iter().collect();
    let texts: Vec<&str> =
        by_question.values().flat_map(|answer| answer.answers.iter().map(String::as_str)).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skein_base::clock::Clock;

    use super::*;
    use crate::outbox::OutboxLimits;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    fn audience(connections: &[ConnectionId]) -> Audience {
        let limits =
            OutboxLimits { waiting_bytes: 1000, most_bytes: 1000, pause_bytes: 1000, merge_bytes: 1000 };
        let candidates = connections.iter().map(|connection| Outbox::new(*connection, limits)).collect();
        Audience { candidates, subscribed: connections.iter().copied().collect() }
    }

    fn turn() -> Option<TurnId> {
        Some(TurnId::from("t".to_owned()))
    }

    fn words() -> (Wants, oneshot::Receiver<Answered>) {
        let (answer, answered) = oneshot::channel();
        (Wants::Words(answer), answered)
    }

    fn raw(answer: &serde_json::Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(answer).unwrap()
    }

    #[test]
    fn the_first_readable_answer_of_a_client_that_was_asked_settles() {
        let mut questions = Questions::default();
        let (wants, mut answered) = words();
        questions.open(1, Frame::from("?"), turn(), wants);
        let yes = json!({ "answers": { "q1": { "answers": ["yes"] } } });
        assert!(questions.take_answer(A, 1, Ok(raw(&yes))).is_none(), "it is not put yet");
        questions.put(1, &audience(&[A]));
        assert!(questions.take_answer(B, 1, Ok(raw(&yes))).is_none(), "B was not asked");
        assert!(questions.take_answer(A, 1, Ok(raw(&json!("?")))).is_none(), "unreadable");
        assert_eq!(questions.refused(&HashSet::from([A])).len(), 1);
        let settled = questions.take_answer(A, 1, Ok(raw(&yes))).unwrap();
        assert!(questions.take(1).unwrap().answer(settled).is_none());
        assert_eq!(answered.try_recv(), Ok(Answered::Text("yes".to_owned())));
        assert!(questions.take(1).is_none());
    }

    #[test]
    fn the_work_of_a_clients_tool_passes_to_the_next_connection() {
        let mut questions = Questions::default();
        questions.open(1, Frame::from("?"), turn(), Wants::ToolOutput(oneshot::channel().0));
        assert!(!questions.can_pass(), "it is not put yet");
        let both = audience(&[A, B]);
        questions.put(1, &both);
        assert!(questions.can_pass());
        assert_eq!(
            (questions.open_for(A, &both.subscribed), questions.open_for(B, &both.subscribed)),
            (vec![1], vec![])
        );
        assert!(questions.take_answer(A, 1, Err(WireError::new(1, "any", "no"))).is_none());
        questions.pass_on(&both);
        assert_eq!(questions.open_for(B, &both.subscribed), [1]);
    }

    #[test]
    fn a_question_ends_with_its_turn_or_outside_of_turns() {
        for (gone, left, expected) in [(turn(), None, 1), (None, turn(), 2)] {
            let mut questions = Questions::default();
            questions.open(1, Frame::from("?"), turn(), words().0);
            questions.open(2, Frame::from("?"), None, words().0);
            assert_eq!((questions.of_turn(), questions.wait_outside()), (1, true));
            assert_eq!(questions.drop_of(gone.as_ref()), [expected]);
            assert_eq!(questions.wait_outside(), left.is_none());
            assert_eq!(questions.clear().len(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_somebody_begins_once_and_ends_with_whoever_comes() {
        let (mut questions, began) = (Questions::default(), Clock.now());
        let grace = Duration::from_secs(5);
        let wanted = [(true, Some(began + grace)), (true, Some(began + grace)), (false, None)];
        for (second, (unanswerable, at)) in (0..).zip(wanted) {
            questions.note_unanswerable(unanswerable, began + Duration::from_secs(second));
            assert_eq!(questions.unanswerable_at(grace), at);
        }
    }

    #[test]
    fn a_thread_waits_for_the_user_but_not_for_a_clients_tool() {
        let table = [
            (words().0, vec![ThreadActiveFlag::WaitingOnUserInput]),
            (Wants::Answers(oneshot::channel().0), vec![ThreadActiveFlag::WaitingOnUserInput]),
            (Wants::Decision(oneshot::channel().0), vec![ThreadActiveFlag::WaitingOnApproval]),
            (Wants::ToolOutput(oneshot::channel().0), vec![]),
        ];
        for (wants, flags) in table {
            let mut questions = Questions::default();
            questions.open(1, Frame::from("?"), None, wants);
            assert_eq!(questions.flags(), flags);
        }
    }
}
