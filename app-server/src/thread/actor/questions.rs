//! Questions of turns and helpers to clients. They are put to every subscriber, put again to a client that resumes, and
//! settled by the first real answer. The call of a client's tool goes to one connection at a time. A helper's question
//! outside of a turn ends with its call, or when no client can answer for too long.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use skein_helpers::HelperQuestion;
use skein_protocol::approval::McpServerElicitationRequestParams;
use skein_protocol::event::ServerRequestResolvedNotification;
use skein_protocol::ids::{ItemId, RequestId, TurnId};
use skein_protocol::item::ThreadItemBody;
use skein_protocol::notifications::ServerRequestResolved;
use skein_protocol::question::SkeinQuestionsAnswerResponse;
use skein_protocol::server_requests::McpServerElicitationRequest;
use skein_store::history::{CallState, History, KeptTurn, TurnCall};
use skein_store::rollout::Keep;
use skein_store::rollout::record::{
    AnsweredBy, AskedTool, CallBegun, QuestionAnswered, QuestionClosed, QuestionEnd, QuestionKind, RecordBody,
};
use skein_turn::approval::lets_helpers_ask;
use skein_turn::asking::{Decision, GoesOn, Permission};
use tokio::sync::oneshot;

use super::asking::{Deciding, keep_approval};
use super::budget::RequestStart;
use super::consent::{self, LostCall, without_ours};
use super::log::Log;
use super::open_questions::NewQuestion;
use super::wants::{self, AnswerEffect, DECLINED, Settled, Wants, declined};
use super::{Child, ThreadParts, settings};
use crate::outbox::reply::Reply;
use crate::thread::machine::Phase;
use crate::thread::outgoing::{Due, Notice, Outgoing};
use crate::thread::questions::{PastAnswer, judge_late};
use crate::thread::registry::GivenAnswer;
use crate::thread::{Context, views};

impl ThreadParts<'_> {
    /// Opens a question. Clients get it once its record is on disk, behind its item.
    pub(super) fn put(&mut self, question: NewQuestion) -> i64 {
        let number = self.services.questions.open(self.id);
        let creator = || self.log.history().and_then(History::originator);
        let question = question.acted_on_by(|| self.helpers.audience(&self.services.subscribers, creator()));
        if let Some(asked) = question.record(number) {
            self.log.record_one(asked, Keep::Power);
        }
        self.questions.open(number, question);
        self.show_status();
        self.log.publish(Outgoing::Due(Due::Ask(number)));
        number
    }

    /// Opens the questions of an earlier load, under their ids.
    pub(super) fn put_again(&mut self, open: &KeptTurn) {
        let creator = self.log.history().and_then(History::originator);
        let audience = self.helpers.audience(&self.services.subscribers, creator);
        for asked in &open.questions {
            self.services.questions.open_again(asked.id, self.id);
            self.questions.open_again(asked.clone(), &audience);
        }
    }

    /// Takes a helper's question. A dropped question is cancelled, as is one that the helper has given up.
    pub(super) fn helper_asks(&mut self, question: HelperQuestion) {
        let HelperQuestion { turn, server, request, answer, given_up } = question;
        let too_late = turn.is_some() && turn.as_ref() != self.turns.id();
        if !self.machine.is_loaded() || !self.log.is_open() || too_late || given_up.is_cancelled() {
            return;
        }
        if !self.may_ask_about_helpers() {
            return drop(answer.send(declined()));
        }
        let params = McpServerElicitationRequestParams {
            server_name: server,
            thread_id: self.id,
            turn_id: turn.clone(),
            request: without_ours(request),
        };
        let (kind, wants) = (QuestionKind::Elicitation, Wants::Decision(answer));
        let number = self.put(NewQuestion::new::<McpServerElicitationRequest>(kind, turn, &params, wants));
        self.children.spawn(format!("question/{number}"), async move {
            given_up.cancelled().await;
            Child::GivenUp(number)
        });
    }

    pub(super) fn may_ask_about_helpers(&self) -> bool {
        lets_helpers_ask(&views::approval_policy(&settings::of(self.log, self.helpers)))
    }

    /// Takes a client's answer to a question. It has an effect once it is on disk.
    pub(super) fn client_answers(&mut self, given: GivenAnswer) {
        let GivenAnswer { by, client, access, question, answer } = given;
        let text = answer.as_ref().ok().map(|raw| raw.get().to_owned());
        let Some(settled) = self.questions.take_answer(by, question, answer) else { return };
        if let Some(result) = text.as_deref().and_then(|text| serde_json::from_str(text).ok()) {
            let answer = PastAnswer { client: client.clone(), at: self.log.wall(), result };
            self.services.questions.answered(question, answer);
        }
        if let Some(turn_id) = self.questions.turn_of(question).cloned() {
            let by = AnsweredBy { client, scope: access.as_str().to_owned() };
            let answered = QuestionAnswered { id: question, turn_id, by, answer: text };
            self.log.record_one(answered, Keep::Power);
            self.note_use();
            self.forget_unless_saved(question);
        }
        self.settle([(question, settled.within(access))]);
    }

    /// An answer whose record is lost has not settled its question.
    fn forget_unless_saved(&mut self, question: i64) {
        let services = Arc::clone(self.services);
        self.log.publish(Outgoing::Acknowledge(Box::new(move |saved| {
            if saved.is_err() {
                services.questions.forget_answer(question);
            }
        })));
    }

    /// Takes an answer of a client that was not asked.
    pub(super) fn answer_by_request(
        &mut self,
        given: GivenAnswer,
        reply: Reply<SkeinQuestionsAnswerResponse>,
    ) {
        let Ok(raw) = &given.answer else { return };
        let readable = self.questions.kind_of(given.question).map(|kind| Settled::read(kind, raw));
        match readable {
            Some(Ok(_)) => {
                self.questions.may_answer(given.by, &[given.question]);
                self.client_answers(given);
                self.log.acknowledge(reply, SkeinQuestionsAnswerResponse {});
            }
            Some(Err(error)) => reply.err(&error.thread(self.id)),
            None => {
                let past = self.services.questions.past_answer(given.question);
                match judge_late(given.question, &parsed(raw), past) {
                    // The first answer may not be on disk yet.
                    Ok(()) => self.log.acknowledge(reply, SkeinQuestionsAnswerResponse {}),
                    Err(error) => reply.err(&error),
                }
            }
        }
    }

    /// Whether the turn was left to the next load, with its questions.
    pub(super) fn has_left_turn(&self) -> bool {
        self.machine.phase() == Phase::Unloading && self.turns.id().is_none()
    }

    /// Settles questions: answers the askers once that is on disk, and notifies clients.
    pub(super) fn settle(&mut self, settled: impl IntoIterator<Item = (i64, Settled)>) {
        for (number, settled) in settled {
            if self.has_left_turn() && self.questions.turn_of(number).is_some() {
                // The next load has the question.
                continue;
            }
            let Some((kind, turn, wants)) = self.questions.take(number) else { continue };
            if let Some((why, turn_id)) = settled.end().zip(turn) {
                self.log.record_one(QuestionClosed { id: number, turn_id, why }, Keep::Process);
            }
            // Before the effect, which may be the next question.
            resolved(self.services, self.log, [number]);
            match wants.effect(kind, settled) {
                AnswerEffect::Hand(hand) => self.once_saved(hand),
                AnswerEffect::Decide(deciding, decision) => self.decided(deciding, decision),
                AnswerEffect::Permit(deciding, permission) => self.permit(deciding, permission),
                AnswerEffect::Judge(waiting) => self.may_ask(waiting, RequestStart::OnceSaved),
                AnswerEffect::Undecided(waiting) => self.refuse_request(waiting),
                AnswerEffect::None => {}
            }
            self.show_status();
        }
    }

    /// Ends the questions of a turn that ends. Clients are notified once that is written: the next load may find the turn
    /// open.
    pub(super) fn end_questions(&mut self, turn: &TurnId) {
        let ended = self.questions.drop_of(Some(turn));
        let closed = |id: &i64| {
            QuestionClosed { id: *id, turn_id: turn.clone(), why: QuestionEnd::Interrupted }.into()
        };
        let records: Vec<RecordBody> = ended.iter().map(closed).collect();
        if !records.is_empty() {
            self.log.record(records, Keep::Process);
        }
        resolved(self.services, self.log, ended);
    }

    /// Runs this behind the records so far, if the disk takes them.
    pub(super) fn once_saved(&mut self, run: Box<dyn FnOnce() + Send>) {
        self.log.publish(Outgoing::Acknowledge(Box::new(move |saved| {
            if saved.is_ok() {
                run();
            }
        })));
    }

    /// Applies the user's decision about a call. A lasting decision holds until the thread is unloaded.
    pub(super) fn decided(&mut self, deciding: Deciding, decision: Decision) {
        let permission = match decision {
            Decision::Once => Permission::Granted,
            Decision::Session | Decision::Always => {
                let (tool, hints) = (deciding.tool.clone(), deciding.hints);
                if deciding.lasting {
                    self.helpers.allow(tool.clone(), hints);
                    // Other waiting calls of the tool are made, too.
                    let granted = |number| (number, Settled::Judged(Permission::Granted));
                    self.settle(self.questions.about(&tool, hints).into_iter().map(granted));
                }
                // Settings have no hints, so they must not keep a consent to an earlier form of the tool.
                let is_kept = deciding.lasting && decision == Decision::Always;
                if is_kept && self.helpers.hints_of(&tool) == Some(hints) {
                    let transport = self.helpers.transport_of(&tool.0);
                    keep_approval(self.services, self.children, self.id, (tool, transport));
                }
                Permission::Granted
            }
            Decision::Declined => Permission::Refused(DECLINED.to_owned()),
            Decision::Cancelled => Permission::Cancelled,
        };
        self.permit(deciding, permission);
    }

    /// Answers a call that waits for a permission. The record of the call is on disk before its helper hears of it.
    pub(super) fn permit(&mut self, deciding: Deciding, permission: Permission) {
        let is_granted = permission == Permission::Granted;
        let deciding = if is_granted { self.turns.hold(deciding) } else { Some(deciding) };
        // The call is left to the next load, which has the answer.
        let Some(Deciding { item, tool: (server, tool), hints, answer, .. }) = deciding else { return };
        if is_granted && let Some(turn_id) = self.turns.id().cloned() {
            self.turns.note_begun();
            let attempts = self.log.history().and_then(|history| history.open_call(&item));
            let attempt = attempts.map_or(0, |call| call.attempts) + 1;
            let repeatable = hints.only_reads();
            let keep = if repeatable { Keep::Process } else { Keep::Power };
            let begun = CallBegun { turn_id, item_id: item, attempt, server, tool, repeatable };
            self.log.record_one(begun, keep);
        }
        self.once_saved(Box::new(move || drop(answer.send(permission))));
    }

    /// Tells the turn of an earlier load how this item goes on.
    pub(super) fn ask_again(&mut self, item: ItemId, answer: oneshot::Sender<GoesOn>) {
        let call = self.log.history().and_then(|history| history.open_call(&item)).cloned();
        let goes_on = match call {
            Some(TurnCall { state: CallState::Answered(answered), .. }) => wants::carried_out(&answered),
            Some(TurnCall { state: CallState::Begun { repeatable: true, .. }, tool, .. }) => {
                wants::again(tool)
            }
            Some(TurnCall { state: CallState::Asked(_), .. }) => match self.questions.attach(&item, answer) {
                // The question has ended meanwhile.
                Some(answer) => return drop(answer.send(GoesOn::Judge)),
                None => return,
            },
            Some(TurnCall { state: CallState::Begun { repeatable: false, at }, tool, attempts, .. }) => {
                return self.ask_whether_to_repeat(&item, (tool, attempts, at.0), answer);
            }
            Some(TurnCall { state: CallState::Paused, .. }) => GoesOn::Paused,
            None | Some(TurnCall { state: CallState::Begins, .. }) => GoesOn::Judge,
        };
        // The turn may have ended.
        drop(answer.send(goes_on));
    }

    /// Asks the user whether a call is made again whose result is lost.
    fn ask_whether_to_repeat(
        &mut self,
        item: &ItemId,
        (tool, attempt, begun_at_ms): (Option<AskedTool>, u32, i64),
        answer: oneshot::Sender<GoesOn>,
    ) {
        let open = self.log.history().and_then(|history| history.open_items().find(|open| open.id() == item));
        let Some(ThreadItemBody::McpToolCall(call)) = open.map(|open| open.body.clone()) else {
            return drop(answer.send(GoesOn::Judge));
        };
        let tool = tool.unwrap_or_else(|| self.helpers.tool_as_configured(&call));
        if !self.may_ask_about_helpers() || self.settings_refuse(&tool) {
            return drop(answer.send(wants::not_again()));
        }
        let (turn, server) = (self.turns.id().cloned(), call.server.clone());
        let lost = LostCall { item, call: &call, attempt, begun_at_ms };
        let params = McpServerElicitationRequestParams {
            server_name: server,
            thread_id: self.id,
            turn_id: turn.clone(),
            request: consent::repetition_form(&lost),
        };
        let (kind, wants) = (QuestionKind::MayHaveRun, Wants::GoingOn(Some(answer), Some(tool.clone())));
        let question = NewQuestion::new::<McpServerElicitationRequest>(kind, turn, &params, wants);
        self.put(question.about(item.clone()).of_tool(tool));
    }

    /// Whether the settings forbid the call of a tool by now, or its helper is another one.
    fn settings_refuse(&self, tool: &AskedTool) -> bool {
        let cwd = settings::of(self.log, self.helpers).cwd;
        let now = self.helpers.as_configured(Path::new(&cwd), [tool]);
        let decision = now.and_then(|now| now.decision_about(&(tool.server.clone(), tool.name.clone())));
        matches!(decision, Some(Permission::Refused(_)))
    }

    /// Records that the questions of helpers have ended with the helpers.
    pub(super) fn close_gone(&mut self, open: &KeptTurn) {
        for id in &open.gone {
            let (turn_id, why) = (open.id.clone(), QuestionEnd::HelperGone);
            self.log.record_one(QuestionClosed { id: *id, turn_id, why }, Keep::Process);
        }
    }
}

/// The value of a result. Its text is JSON.
fn parsed(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// Closes questions, and notifies clients that they need no answer.
pub(super) fn resolved(services: &Context, log: &mut Log, numbers: impl IntoIterator<Item = i64>) {
    for number in numbers {
        services.questions.close(&[number]);
        let notice = resolved_notice(log, number);
        log.put(notice);
    }
}

/// The notification that a question needs no answer.
pub(super) fn resolved_notice(log: &Log, number: i64) -> Notice {
    let params =
        ServerRequestResolvedNotification { request_id: RequestId::Integer(number), thread_id: log.id() };
    log.notice::<ServerRequestResolved>(&params)
}
