//! Questions of turns and helpers to clients. They are put to every subscriber, put again to a client that resumes, and
//! settled by the first real answer. The call of a client's tool goes to one connection at a time. A helper's question
//! outside of a turn ends with its call, or when no client can answer for too long.

use skein_helpers::HelperQuestion;
use skein_protocol::approval::McpServerElicitationRequestParams;
use skein_protocol::envelope;
use skein_protocol::event::ServerRequestResolvedNotification;
use skein_protocol::ids::{RequestId, TurnId};
use skein_protocol::notifications::ServerRequestResolved;
use skein_protocol::server_requests::McpServerElicitationRequest;
use skein_protocol::table::ServerRequest;

use super::asking::{Deciding, keep_approval};
use super::consent::{Decision, without_ours};
use super::log::Log;
use super::open_questions::{Settled, Wants, declined};
use super::{Child, Owner, settings};
use crate::outbox::Frame;
use crate::thread::event::Event;
use crate::thread::outgoing::{Due, Notice, Outgoing};
use crate::thread::{Context, views};
use crate::turn::approval::lets_helpers_ask;
use crate::turn::asking::Permission;

/// A question to put to clients.
pub(super) struct NewQuestion {
    turn: Option<TurnId>,
    wants: Wants,
    frame: Box<dyn FnOnce(&RequestId) -> Frame>,
}

impl NewQuestion {
    pub(super) fn new<R: ServerRequest>(turn: Option<TurnId>, wants: Wants, params: R::Params) -> Self {
        let frame = Box::new(move |id: &RequestId| envelope::server_request::<R>(id, &params).into());
        Self { turn, wants, frame }
    }
}

impl Owner {
    /// Opens a question. Clients get it when its place in the publish queue comes, behind its item.
    pub(super) fn put(&mut self, NewQuestion { turn, wants, frame }: NewQuestion) -> i64 {
        let number = self.services.questions.open(self.id);
        self.questions.open(number, frame(&RequestId::Integer(number)), turn, wants);
        self.show_status();
        self.log.publish(Outgoing::Due(Due::Ask(number)));
        self.step(Event::Questions(self.questions.of_turn()));
        number
    }

    /// Takes a helper's question. A dropped question is cancelled, as is one that the helper has given up.
    pub(super) fn helper_asks(&mut self, question: HelperQuestion) {
        let HelperQuestion { turn, server, request, answer, given_up } = question;
        let too_late = turn.is_some() && turn.as_ref() != self.turns.id();
        if !self.machine.is_loaded() || !self.log.is_open() || too_late || given_up.is_cancelled() {
            return;
        }
        if !lets_helpers_ask(&views::approval_policy(&settings::of(&self.log, &self.helpers))) {
            return drop(answer.send(declined()));
        }
        let params = McpServerElicitationRequestParams {
            server_name: server,
            thread_id: self.id,
            turn_id: turn.clone(),
            request: without_ours(request),
        };
        let question = NewQuestion::new::<McpServerElicitationRequest>(turn, Wants::Decision(answer), params);
        let number = self.put(question);
        self.children.spawn(format!("question/{number}"), async move {
            given_up.cancelled().await;
            Child::GivenUp(number)
        });
    }

    /// Settles questions: answers the askers, and notifies clients.
    pub(super) fn settle(&mut self, settled: impl IntoIterator<Item = (i64, Settled)>) {
        for (number, settled) in settled {
            let Some(wants) = self.questions.take(number) else { continue };
            if let Some((deciding, decision)) = wants.answer(settled) {
                self.decided(deciding, decision);
            }
            resolved(&self.services, &mut self.log, [number]);
            self.show_status();
            self.step(Event::Questions(self.questions.of_turn()));
        }
    }

    /// Applies the user's decision about a call. A lasting decision holds until the thread is unloaded.
    fn decided(&mut self, deciding: Deciding, decision: Decision) {
        let Deciding { tool, hints, lasting, answer } = deciding;
        let permission = match decision {
            Decision::Once => Permission::Granted,
            Decision::Session | Decision::Always => {
                if lasting {
                    self.helpers.allow(tool.clone(), hints);
                    // Other waiting calls of the tool are made, too.
                    let once = |number| (number, Settled::Permission(Decision::Once));
                    self.settle(self.questions.about(&tool, hints).into_iter().map(once));
                }
                // Settings have no hints, so they must not keep a consent to an earlier form of the tool.
                if lasting && decision == Decision::Always && self.helpers.hints_of(&tool) == Some(hints) {
                    let transport = self.helpers.transport_of(&tool.0);
                    keep_approval(&self.services, &mut self.children, self.id, (tool, transport));
                }
                Permission::Granted
            }
            Decision::Declined => {
                Permission::Refused("the user declined this call; it was not made".to_owned())
            }
            Decision::Cancelled => Permission::Cancelled,
        };
        // The asker may be gone.
        drop(answer.send(permission));
    }
}

/// Closes questions, and notifies clients that they need no answer.
pub(super) fn resolved(services: &Context, log: &mut Log, numbers: impl IntoIterator<Item = i64>) {
    for number in numbers {
        services.questions.close(number);
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
