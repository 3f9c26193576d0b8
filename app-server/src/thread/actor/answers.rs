//! What an owner answers: pictures of its thread.

use skein_protocol::ids::TurnId;
use skein_protocol::thread::{SessionSource, Thread, ThreadCompactStartResponse, ThreadStatus};
use skein_protocol::turn::{Turn, TurnItemsView, TurnStartResponse, TurnSteerResponse};
use skein_store::rollout::record::{RecordBody, ThreadCreated};

use super::Owner;
use super::log::Log;
use super::waiters::Waiter;
use crate::thread::command::{InputReply, Start};
use crate::thread::event::WaiterId;
use crate::thread::outgoing::{Due, LateAnswer, Outgoing};
use crate::thread::pictures;
use crate::thread::subscribers::Role;

impl Owner {
    /// Puts the answer of a start or a resume in the line. The subscription is made when its turn comes, so that the
    /// connection receives exactly what the picture does not show.
    pub(super) fn answer_waiting(&mut self, who: WaiterId) {
        match self.waiters.take(who) {
            Some(Waiter::Start(start)) => self.answer_start(*start),
            Some(Waiter::Resume(resume)) => self.answer_resume(*resume),
            Some(Waiter::Fork(fork)) => self.answer_fork(*fork),
            Some(Waiter::Unload(_) | Waiter::PutElsewhere(_) | Waiter::Repair(_)) | None => {}
        }
    }

    fn answer_start(&mut self, start: Start) {
        let Start { ticket, reply, .. } = start;
        let mut response = pictures::response(&self.settings(), self.thread(), self.log.end());
        response.instruction_sources = self.helpers.sources(&self.settings().cwd);
        let answer: LateAnswer = Box::new(move |_| Ok(reply.prepare(&response)));
        let join = Due::Join { ticket, role: Role::Subscriber, answer, items: Vec::new() };
        self.log.publish(Outgoing::Due(join));
        self.log.show(|snapshot| snapshot.status = ThreadStatus::Idle);
        self.announce_started();
    }

    /// The first record of a thread that is being made, if it is.
    pub(super) fn new_thread(&self) -> Option<RecordBody> {
        let start = self.waiters.start()?;
        let params = &start.params;
        let created = ThreadCreated {
            id: self.id,
            source: SessionSource::VsCode,
            thread_source: params.thread_source.clone(),
            originator: Some(start.originator.clone()),
            cli_version: env!("CARGO_PKG_VERSION").to_owned(),
            forked_from: None,
            git_info: None,
            settings: self.helpers.new_settings(params, &self.services.config()),
        };
        Some(created.into())
    }

    /// The settings have changed: the thread's helpers change with them.
    pub(super) fn change_helpers(&mut self) {
        // The user was asked about the program that the name stood for.
        if let Some(changed) = self.helpers.change() {
            self.judge_open_questions(&changed);
        }
    }

    pub(super) fn thread(&self) -> Thread {
        self.log.thread(self.status())
    }
}

/// Answers input, when its records are durable, with the turn that has taken it.
pub(super) fn answer_input(log: &mut Log, reply: InputReply, turn: &TurnId) {
    let turn = Turn { started_at: None, ..shown_turn(log, turn) };
    match reply {
        InputReply::Start(reply) => log.acknowledge(reply, TurnStartResponse { turn }),
        InputReply::Steer(_, reply) => log.acknowledge(reply, TurnSteerResponse { turn_id: turn.id }),
        InputReply::Compact(reply) => log.acknowledge(reply, ThreadCompactStartResponse {}),
    }
}

/// The turn without items.
pub(super) fn shown_turn(log: &Log, id: &TurnId) -> Turn {
    let found = log.turn(id).cloned();
    let turn = found.unwrap_or_else(|| Turn::new(id.clone(), 0));
    Turn { items: Vec::new(), items_view: TurnItemsView::NotLoaded, ..turn }
}
