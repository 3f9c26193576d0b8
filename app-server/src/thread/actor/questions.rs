//! Questions to clients, of a turn or of a helper: put to every subscriber, put again to whoever resumes, settled by the
//! first real answer. The call of a client's tool goes to one connection at a time. What a helper asks outside of a turn ends with its call, or when nobody is there for too long.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;
use skein_helpers::HelperQuestion;
use skein_protocol::approval::{
    DynamicToolCallResponse, McpServerElicitationAction, McpServerElicitationRequestParams,
    McpServerElicitationRequestResponse, ToolRequestUserInputParams, ToolRequestUserInputQuestion,
    ToolRequestUserInputResponse,
};
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::event::ServerRequestResolvedNotification;
use skein_protocol::ids::{ConnectionId, ItemId, RequestId, TurnId};
use skein_protocol::notifications::ServerRequestResolved;
use skein_protocol::server_requests::{ItemToolRequestUserInput, McpServerElicitationRequest};
use skein_protocol::table::Scope;
use skein_protocol::thread::ThreadActiveFlag;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::asking::Deciding;
use super::consent::{Decision, decision, without_ours};
use super::helper_side::{Changed, ToolOf};
use super::{Child, Owner};
use crate::outbox::{Frame, Outbox};
use crate::thread::event::Event;
use crate::thread::machine::Phase;
use crate::thread::outgoing::{Notice, Outgoing};
use crate::thread::pictures;
use crate::thread::questions::{Asked, Reach, Refusal, Verdict};
use crate::thread::registry::ClientAnswer;
use crate::turn::Answered;
use crate::turn::approval::{Hints, lets_helpers_ask};
use crate::turn::asking::Permission;

/// The id of the one question in the request.
const QUESTION: &str = "q1";

/// A question that waits for an answer.
pub(super) struct Question {
    /// Its request id, for every client the same.
    pub number: i64,
    frame: Frame,
    asked: Asked,
    /// Whether its turn in the line has come.
    put: bool,
    /// The turn that it ends with. None: it ends with its call.
    turn: Option<TurnId>,
    wants: Wants,
}

/// Who asks, and how it is told.
pub(super) enum Wants {
    /// A turn.
    Words(oneshot::Sender<Answered>),
    /// A model, several things at once.
    Answers(oneshot::Sender<Result<ToolRequestUserInputResponse, String>>),
    /// A turn that wants to call a helper's tool.
    Permission(Deciding),
    /// A turn that calls a tool of the client.
    ToolOutput(oneshot::Sender<Result<DynamicToolCallResponse, String>>),
    /// A helper.
    Decision(oneshot::Sender<McpServerElicitationRequestResponse>),
}

/// What came of a question.
enum Settled {
    Words(Answered),
    Answers(ToolRequestUserInputResponse),
    Permission(Decision),
    /// The settings have decided in the place of the user.
    Judged(Permission),
    ToolOutput(DynamicToolCallResponse),
    Decision(McpServerElicitationRequestResponse),
    /// No client that was asked has decided.
    Refused(Refusal),
}

impl Owner {
    /// A turn asks. The question stands in line behind what it refers to.
    pub(super) fn ask(&mut self, item: ItemId, text: String, answer: oneshot::Sender<Answered>) {
        let Some(turn) = self.turn.as_ref().map(|turn| turn.id.clone()) else { return };
        let number = self.services.questions.open(self.id);
        let params = self.question(turn.clone(), item, text);
        let frame =
            envelope::server_request::<ItemToolRequestUserInput>(&RequestId::Integer(number), &params);
        self.open_question(number, frame.into(), Some(turn), Wants::Words(answer));
    }

    /// A helper asks. Dropped, the question is cancelled: so is one that nobody wants answered any more.
    pub(super) fn helper_asks(&mut self, question: HelperQuestion) {
        let HelperQuestion { turn, server, request, answer, given_up } = question;
        let running = self.turn.as_ref().map(|turn| &turn.id);
        let too_late = turn.is_some() && turn.as_ref() != running;
        let open = matches!(self.machine.phase(), Phase::Idle | Phase::Running) && self.journal.is_some();
        if !open || too_late || given_up.is_cancelled() {
            return;
        }
        if !lets_helpers_ask(&pictures::approval_policy(&self.settings())) {
            return drop(answer.send(declined()));
        }
        let number = self.services.questions.open(self.id);
        let params = McpServerElicitationRequestParams {
            server_name: server,
            thread_id: self.id,
            turn_id: turn.clone(),
            request: without_ours(request),
        };
        let frame =
            envelope::server_request::<McpServerElicitationRequest>(&RequestId::Integer(number), &params);
        self.open_question(number, frame.into(), turn, Wants::Decision(answer));
        self.children.spawn(format!("question/{number}"), async move {
            given_up.cancelled().await;
            Child::GivenUp(number)
        });
    }

    /// It is put when its turn in the line has come.
    pub(super) fn open_question(&mut self, number: i64, frame: Frame, turn: Option<TurnId>, wants: Wants) {
        let asked = Asked::new(wants.reach());
        self.questions.push(Question { number, frame, asked, put: false, turn, wants });
        self.tell_status();
        if let Some(journal) = &mut self.journal {
            journal.publish(Outgoing::Ask(number));
        }
        self.count_questions();
    }

    /// Those of the turn: while one waits, the turn does. A call of a client keeps the thread by itself.
    fn count_questions(&mut self) {
        let of_turn = self.questions.iter().filter(|question| question.turn.is_some()).count();
        self.step(Event::Questions(of_turn));
    }

    fn question(&self, turn_id: TurnId, item_id: ItemId, text: String) -> ToolRequestUserInputParams {
        let question = ToolRequestUserInputQuestion {
            header: "Question".to_owned(),
            id: QUESTION.to_owned(),
            is_other: true,
            is_secret: false,
            options: None,
            question: text,
        };
        ToolRequestUserInputParams {
            auto_resolution_ms: None,
            is_blocking: true,
            item_id,
            questions: vec![question],
            thread_id: self.id,
            turn_id,
        }
    }

    /// The question's place in the line has come.
    pub(super) fn put_question(&mut self, number: i64) {
        let candidates = self.candidates();
        let still = self.services.subscribers.subscribed(self.id);
        if let Some(question) = self.questions.iter_mut().find(|question| question.number == number) {
            question.put = true;
            question.put_to_next(&candidates, &still);
        }
    }

    /// A connection has joined: it is asked what is open and its to answer, under the same ids.
    pub(super) fn ask_again(&mut self, connection: ConnectionId) {
        let candidates = self.candidates();
        let Some(outbox) = candidates.into_iter().find(|outbox| outbox.connection() == connection) else {
            return;
        };
        let still = self.services.subscribers.subscribed(self.id);
        let open = self.questions.iter_mut().filter(|question| question.put);
        for question in open.filter(|question| question.asked.is_for(connection, &still)) {
            question.put_to(&outbox);
        }
    }

    /// A connection has been told that these are still open: its answer counts as if they had been put to it again.
    pub(super) fn may_answer(&mut self, connection: ConnectionId, numbers: &[i64]) {
        for question in self.questions.iter_mut().filter(|question| numbers.contains(&question.number)) {
            question.asked.ask(connection);
        }
    }

    /// What one connection at a time is asked goes to the next one where the last has left or cannot do it.
    pub(super) fn pass_questions_on(&mut self) {
        let passes = |question: &Question| question.put && question.wants.reach() == Reach::OneAtATime;
        if !self.questions.iter().any(passes) {
            return;
        }
        let candidates = self.candidates();
        let still = self.services.subscribers.subscribed(self.id);
        for question in self.questions.iter_mut().filter(|question| passes(question)) {
            question.put_to_next(&candidates, &still);
        }
    }

    /// Those who can be asked: first the connection that has brought the thread's tools, then who has joined last.
    fn candidates(&self) -> Vec<Outbox> {
        let mut candidates = self.services.subscribers.askable(self.id);
        self.helpers.sort(&mut candidates);
        candidates
    }

    /// A client has answered. Only those who were asked count; the first real answer settles.
    pub(super) fn answered(&mut self, by: ConnectionId, number: i64, answer: ClientAnswer) {
        let Some(question) = self.questions.iter_mut().find(|question| question.number == number) else {
            return;
        };
        match (question.asked.judge(by), answer) {
            (Verdict::NotAsked, _) => {}
            (Verdict::Counts, Ok(raw)) => match question.wants.read(&raw) {
                Ok(settled) => self.settle_question(number, settled),
                Err(error) => question.asked.refuse(by, Refusal::Unreadable(error.message)),
            },
            (Verdict::Counts, Err(error)) => question.asked.refuse(by, Refusal::Cannot(error.message)),
        }
    }

    /// Questions that everyone who is left has refused.
    pub(super) fn settle_refused_questions(&mut self) {
        if self.questions.is_empty() {
            return;
        }
        // Also those who are still told what they missed.
        let still: HashSet<ConnectionId> = self.services.subscribers.subscribed(self.id);
        let refused: Vec<(i64, Settled)> = self
            .questions
            .iter()
            .filter_map(|question| {
                let refusal = question.asked.refused(&still)?;
                Some((question.number, Settled::Refused(refusal.clone())))
            })
            .collect();
        for (number, settled) in refused {
            self.settle_question(number, settled);
        }
    }

    /// Nobody has to answer any more.
    pub(super) fn drop_questions(&mut self) {
        for question in std::mem::take(&mut self.questions) {
            self.resolved(question.number);
        }
    }

    /// The turn has ended: nobody has to answer what it, or a helper that it called, has asked.
    pub(super) fn drop_questions_of(&mut self, turn: Option<&TurnId>) {
        let (gone, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.questions).into_iter().partition(|one| one.turn.as_ref() == turn);
        self.questions = left;
        for question in gone {
            self.resolved(question.number);
        }
    }

    /// The call that a question was about has ended, or the helper has withdrawn it.
    pub(super) fn question_given_up(&mut self, number: i64) {
        let Some(at) = self.questions.iter().position(|question| question.number == number) else { return };
        self.questions.swap_remove(at);
        self.question_gone(number);
    }

    /// When questions outside of turns are declined, because nobody is there to answer them.
    pub(super) fn unanswerable_at(&self) -> Option<Instant> {
        Some(self.unanswerable_since? + self.policy.question_grace)
    }

    /// Notes whether somebody is there to answer what is asked outside of turns. The machine does for turns.
    pub(super) fn look_for_somebody(&mut self) {
        if self.questions.is_empty() && self.unanswerable_since.is_none() {
            return;
        }
        let waits = self.questions.iter().any(|question| question.turn.is_none());
        let alone = waits && self.counts().subscribers == 0;
        let since = self.unanswerable_since.unwrap_or(self.services.clock.now());
        self.unanswerable_since = alone.then_some(since);
    }

    /// Nobody has come to answer them.
    pub(super) fn decline_unanswered(&mut self) {
        let outside = self.questions.iter().filter(|question| question.turn.is_none());
        let numbers: Vec<i64> = outside.map(|question| question.number).collect();
        for number in numbers {
            self.settle_question(number, Settled::Decision(declined()));
        }
        self.unanswerable_since = None;
    }

    fn settle_question(&mut self, number: i64, settled: Settled) {
        let Some(at) = self.questions.iter().position(|question| question.number == number) else { return };
        match (self.questions.swap_remove(at).wants, settled) {
            (Wants::Permission(deciding), Settled::Permission(decision)) => self.decided(deciding, decision),
            (Wants::Permission(deciding), Settled::Judged(permission)) => deciding.judged(permission),
            (wants, settled) => wants.tell(settled),
        }
        self.question_gone(number);
    }

    /// The user has allowed this tool for as long as the thread is loaded: other calls of it that wait are made, too.
    pub(super) fn settle_calls_of(&mut self, tool: &ToolOf, hints: Hints) {
        let same = |question: &&Question| match &question.wants {
            Wants::Permission(deciding) => {
                deciding.lasting && deciding.tool == *tool && deciding.hints == hints
            }
            Wants::Words(_) | Wants::Answers(_) | Wants::ToolOutput(_) | Wants::Decision(_) => false,
        };
        let numbers: Vec<i64> = self.questions.iter().filter(same).map(|question| question.number).collect();
        for number in numbers {
            self.settle_question(number, Settled::Permission(Decision::Once));
        }
    }

    /// The settings have changed: what they decide about calls that the user is asked about needs no answer any more.
    pub(super) fn judge_open_questions(&mut self, changed: &Changed) {
        let judged: Vec<(i64, Permission)> = self
            .questions
            .iter()
            .filter_map(|question| match &question.wants {
                Wants::Permission(deciding) => Some((question.number, deciding.judge_again(changed)?)),
                Wants::Words(_) | Wants::Answers(_) | Wants::ToolOutput(_) | Wants::Decision(_) => None,
            })
            .collect();
        for (number, permission) in judged {
            self.settle_question(number, Settled::Judged(permission));
        }
    }

    fn question_gone(&mut self, number: i64) {
        self.resolved(number);
        self.tell_status();
        self.count_questions();
    }

    fn resolved(&mut self, number: i64) {
        self.services.questions.close(number);
        self.put_in_line(self.resolved_notice(number));
    }

    /// Tells that a question needs no answer any more.
    pub(super) fn resolved_notice(&self, number: i64) -> Notice {
        let params =
            ServerRequestResolvedNotification { request_id: RequestId::Integer(number), thread_id: self.id };
        let at = self.services.clock.wall();
        Notice::new::<ServerRequestResolved>(Scope::Subscribers, &params, at, None)
    }

    /// The questions that wait for an answer and are this connection's to answer.
    pub(super) fn questions_for(&self, connection: ConnectionId) -> Vec<i64> {
        let still = self.services.subscribers.subscribed(self.id);
        let open = self.questions.iter().filter(|question| question.asked.is_for(connection, &still));
        open.map(|question| question.number).collect()
    }

    /// What the thread waits for, as the peer says it.
    pub(super) fn waits_on(&self) -> Vec<ThreadActiveFlag> {
        let waits = |flag| self.questions.iter().any(|question| question.wants.flag() == Some(flag));
        let flags = [ThreadActiveFlag::WaitingOnApproval, ThreadActiveFlag::WaitingOnUserInput];
        flags.into_iter().filter(|flag| waits(*flag)).collect()
    }
}

impl Question {
    fn put_to_next(&mut self, candidates: &[Outbox], still: &HashSet<ConnectionId>) {
        let known: Vec<ConnectionId> = candidates.iter().map(Outbox::connection).collect();
        let next = self.asked.next(&known, still);
        for outbox in candidates.iter().filter(|outbox| next.contains(&outbox.connection())) {
            self.put_to(outbox);
        }
    }

    fn put_to(&mut self, outbox: &Outbox) {
        self.asked.ask(outbox.connection());
        outbox.push(self.frame.clone());
    }
}

impl Wants {
    /// A call of a client's tool is an act: only one client carries it out.
    fn reach(&self) -> Reach {
        match self {
            Self::ToolOutput(_) => Reach::OneAtATime,
            Self::Words(_) | Self::Answers(_) | Self::Permission(_) | Self::Decision(_) => Reach::Everyone,
        }
    }

    /// What an answer says; one of another shape counts as an error.
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

    /// What a thread waits for that asks this: a decision on what a helper asks is an approval, the work of a client's tool
    /// is nothing that the user is waited for.
    fn flag(&self) -> Option<ThreadActiveFlag> {
        match self {
            Self::Words(_) | Self::Answers(_) => Some(ThreadActiveFlag::WaitingOnUserInput),
            Self::Permission(_) | Self::Decision(_) => Some(ThreadActiveFlag::WaitingOnApproval),
            Self::ToolOutput(_) => None,
        }
    }

    /// Whoever does not want it any more, is gone.
    fn tell(self, settled: Settled) {
        match (self, settled) {
            (wants, Settled::Refused(refusal)) => wants.tell_refused(refusal),
            (Self::Words(answer), Settled::Words(words)) => drop(answer.send(words)),
            (Self::Answers(answer), Settled::Answers(answers)) => drop(answer.send(Ok(answers))),
            (Self::ToolOutput(answer), Settled::ToolOutput(output)) => drop(answer.send(Ok(output))),
            (Self::Decision(answer), Settled::Decision(decision)) => drop(answer.send(decision)),
            // What was read of an answer is what was asked for; a permission is the owner's to keep.
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
                | Settled::Decision(_),
            ) => {}
        }
    }

    /// No client has decided.
    fn tell_refused(self, refusal: Refusal) {
        match self {
            Self::Words(answer) => drop(answer.send(Answered::Refused(refusal.why()))),
            Self::Answers(answer) => {
                let cannot = "no client has put the questions to the user";
                let told = refusal.told(cannot, "a client answered the questions with something else");
                drop(answer.send(Err(told)));
            }
            Self::Permission(deciding) => deciding.undecided(&refusal),
            Self::ToolOutput(answer) => {
                let cannot = "no client has carried out the call";
                let told = refusal.told(cannot, "a client answered the call with something else");
                drop(answer.send(Err(told)));
            }
            Self::Decision(answer) => drop(answer.send(declined())),
        }
    }
}

/// What a helper hears where no user decides.
fn declined() -> McpServerElicitationRequestResponse {
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
