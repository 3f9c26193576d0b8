//! What an owner answers: pictures of its thread.

use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{Epoch, EventSeq, TurnId};
use skein_protocol::thread::{SessionSource, Thread, ThreadStatus};
use skein_protocol::turn::{Turn, TurnItemsView};
use skein_store::rollout::record::{RecordBody, ThreadCreated};

use super::Owner;
use super::waiters::Waiter;
use crate::thread::command::{Input, Start};
use crate::thread::event::WaiterId;
use crate::thread::machine::Persistence;
use crate::thread::outgoing::{LateAnswer, Outgoing};
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
        let mut response = pictures::response(&self.settings(), self.thread(), self.picture());
        response.instruction_sources = self.helpers.sources(&self.settings().cwd);
        let answer: LateAnswer = Box::new(move |_| Ok(reply.prepare(&response)));
        if let Some(journal) = &mut self.journal {
            let items = Vec::new();
            journal.publish(Outgoing::Join { ticket, role: Role::Subscriber, answer, items });
        }
        self.seat.publish.send_modify(|snapshot| snapshot.status = ThreadStatus::Idle);
        self.announce_started();
    }

    /// Input that was taken before: the same answer, and nothing begins.
    pub(super) fn answer_again(&mut self, input: Input, turn: &TurnId) {
        let found = self.journal.as_ref().and_then(|journal| journal.history.turn(turn)).cloned();
        let mut turn = found.unwrap_or_else(|| Turn::new(turn.clone(), 0));
        turn.items = Vec::new();
        turn.items_view = TurnItemsView::NotLoaded;
        self.acknowledge_input(input.reply, turn);
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

    pub(super) fn picture(&self) -> ThreadPicture {
        let now = |journal: &super::Journal| (journal.seq(), journal.epoch());
        let (seq, epoch) = self.journal.as_ref().map_or((EventSeq(0), Epoch(1)), now);
        ThreadPicture { seq, epoch }
    }

    pub(super) fn thread(&self) -> Thread {
        self.thread_as(self.status())
    }

    /// The same with another status.
    pub(super) fn thread_as(&self, status: ThreadStatus) -> Thread {
        let mut thread = match &self.journal {
            Some(journal) => journal.history.thread(status, &self.services.paths()),
            None => Thread::new(self.id, "", "", 0),
        };
        match self.persistence {
            // It never has a rollout.
            Persistence::Ephemeral => (thread.ephemeral, thread.path) = (true, None),
            Persistence::Durable => {}
        }
        thread.can_accept_direct_input = Some(true);
        thread
    }
}
