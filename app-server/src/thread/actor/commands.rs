//! What the mailbox brings. A command that cannot be decided now is kept until it can.

use std::sync::Arc;

use skein_helpers::HelperSet;
use skein_protocol::extension::{SkeinThreadUnloadResponse, UnloadOutcome};
use skein_protocol::ids::TurnId;
use tokio::sync::oneshot;

use super::Owner;
use super::answers::answer_input;
use super::waiters::Waiter;
use crate::thread::command::{Command, Input, Repaired, Resume, Start, Unload};
use crate::thread::effect::Effect;
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, Force};
use crate::thread::machine::Phase;
use crate::thread::subscribers::Role;

impl Owner {
    /// The first command decides how the thread comes to be.
    pub(super) fn claimed_by(&mut self, first: Command) {
        if let Command::Repair(done) = first {
            self.begin_repair(done);
        } else if let Command::Start(start) = first {
            self.begin(start);
        } else {
            self.command(first);
        }
        self.carry_out(Effect::Load);
        // A new thread is there at once; what follows is the machine's.
        while let Some(event) = self.follow_ups.pop_front() {
            self.step(event);
        }
        if self.machine.phase() == Phase::Idle {
            self.recount();
        }
        self.send_ready();
    }

    /// The thread is made.
    fn begin(&mut self, start: Box<Start>) {
        self.unheard = false;
        self.helpers.brought_by(start.ticket.connection, start.helpers.clone());
        self.helpers.found(start.surroundings.clone());
        let waiter = self.waiters.add(Waiter::Start(start));
        self.step(Event::Resume(waiter));
    }

    pub(super) fn command(&mut self, command: Command) {
        self.unheard &= matches!(command, Command::Repair(_) | Command::Fence(_));
        match command {
            // Taken up after a load that nobody wanted any more: it is handed on.
            command if self.machine.phase() == Phase::Gone => self.deferred.push_back(command),
            // Another one was first, and its settings hold.
            start @ Command::Start(_) => {
                start.refuse(&self.services, &ThreadError::Exists { id: self.id }.to_wire());
            }
            // Its connection has left before its turn came.
            Command::Resume(resume) if !self.services.subscribers.waits(resume.ticket) => {
                resume.reply.err(&ThreadError::Withdrawn { id: self.id }.to_wire());
            }
            // Behind what was asked before it, and cannot be decided yet.
            Command::Resume(resume) if self.defers() => self.defer(Command::Resume(resume)),
            Command::Resume(resume) if resume.role == Role::Observer => self.observer(resume),
            Command::Resume(resume) => {
                if self.is_unused() {
                    self.change_for_resume(&resume.params, &resume.helpers);
                }
                let waiter = self.waiters.add(Waiter::Resume(resume));
                self.step(Event::Resume(waiter));
            }
            Command::Input(input) => self.user_input(input),
            Command::Edit(edit) => self.edit(edit),
            Command::Fork(fork) => {
                self.helpers.brought_by(fork.ticket.connection, fork.helpers.clone());
                let waiter = self.waiters.add(Waiter::Fork(fork));
                self.step(Event::Resume(waiter));
            }
            Command::Unload(unload) => self.unload(unload),
            Command::PutElsewhere(asked) => self.put_elsewhere(asked),
            Command::Helpers(give) => self.give_helpers(give),
            Command::CaughtUp(catch_up) => self.caught_up(catch_up),
            // It has an owner that was made for something else, and loads as any other does.
            Command::Repair(done) => drop(done.send(Repaired::Owned)),
            Command::Fence(done) => drop(done.send(())),
        }
    }

    /// An observer is shown what there is, and changes nothing: neither does it start helpers, nor does it make an
    /// unload turn into a load.
    fn observer(&mut self, resume: Box<Resume>) {
        match self.machine.phase() {
            Phase::Idle | Phase::Running => self.answer_resume(*resume),
            Phase::Loading | Phase::Unloading | Phase::Gone => self.defer(Command::Resume(resume)),
        }
    }

    /// Somebody needs helpers: a turn, or a client that calls a tool itself. None are started on the way out.
    pub(super) fn give_helpers(&mut self, give: oneshot::Sender<Arc<HelperSet>>) {
        match self.machine.phase() {
            Phase::Loading => self.defer(Command::Helpers(give)),
            Phase::Unloading | Phase::Gone => drop(give),
            Phase::Idle | Phase::Running => {
                self.start_helpers();
                if let Some(set) = self.helpers.started() {
                    // Who has left meanwhile does not want them any more.
                    give.send(Arc::clone(set)).ok();
                }
            }
        }
    }

    fn user_input(&mut self, input: Box<Input>) {
        match self.refusal_of(&input) {
            Some(Refusal::Error(error)) => input.reply.err(&error.to_wire()),
            Some(Refusal::Seen(turn)) => answer_input(&mut self.log, input.reply, &turn),
            None => {
                self.input = Some(input);
                self.step(Event::Input);
            }
        }
    }

    /// Why input is not taken, as far as that is known before the machine is asked.
    fn refusal_of(&self, input: &Input) -> Option<Refusal> {
        let history = self.log.history()?;
        if let Some(error) = self.log.refusal() {
            return Some(Refusal::Error(error));
        }
        let provider = self.settings().model_provider;
        if self.services.providers.get(&provider).is_none() {
            let known = self.services.providers.names().join(", ");
            return Some(Refusal::Error(ThreadError::NoProvider { name: provider, known }));
        }
        let client_id = input.params.client_user_message_id.as_deref();
        let seen = client_id.and_then(|id| history.seen_message(id, &input.params.input));
        if let Some(turn) = seen {
            return Some(Refusal::Seen(turn.clone()));
        }
        let named = input.reply.expected()?;
        self.turns.refusal_of_steer(self.id, named).map(Refusal::Error)
    }

    /// Whether the thread is loaded and nobody uses it yet: a request that needs no helpers, such as a rename, has loaded it.
    /// A thread in use keeps its settings, whatever a resume names.
    fn is_unused(&self) -> bool {
        match self.machine.phase() {
            Phase::Idle => self.helpers.started().is_none() && self.counts().subscribers == 0,
            // The load takes the settings of the resume that it is for.
            Phase::Loading | Phase::Unloading => false,
            Phase::Running | Phase::Gone => false,
        }
    }

    /// Whether commands wait for the end of a load, or of an unload.
    fn defers(&self) -> bool {
        match self.machine.phase() {
            Phase::Loading | Phase::Unloading => !self.deferred.is_empty(),
            Phase::Idle | Phase::Running | Phase::Gone => false,
        }
    }

    pub(super) fn defer_input(&mut self) {
        if let Some(input) = self.input.take() {
            self.defer(Command::Input(input));
        }
    }

    /// Keeps a command until the load, or the unload, is over; as many as the mailbox would.
    pub(super) fn defer(&mut self, command: Command) {
        if self.deferred.len() < self.services.config().limits.mailbox {
            self.deferred.push_back(command);
        } else {
            self.services.counters.overloaded.add_one();
            command.refuse(&self.services, &ThreadError::Busy { id: self.id }.to_wire());
        }
    }

    fn unload(&mut self, unload: Unload) {
        match self.machine.phase() {
            Phase::Loading => self.defer(Command::Unload(unload)),
            Phase::Gone => unload.reply.ok(&SkeinThreadUnloadResponse { state: UnloadOutcome::NotLoaded }),
            Phase::Idle | Phase::Running | Phase::Unloading => {
                let counts = match unload.force {
                    // Also those whose subscription stands in line.
                    Force::IfDeserted => self.counts(),
                    Force::No | Force::Yes => self.services.subscribers.counts(self.id),
                };
                let own = unload
                    .reply
                    .connection()
                    .and_then(|asker| self.services.subscribers.role(asker, self.id))
                    .is_some_and(Role::keeps_loaded);
                let others = counts.subscribers.saturating_sub(usize::from(own));
                let force = unload.force;
                let waiter = self.waiters.add(Waiter::Unload(unload));
                self.step(Event::Unload { waiter, force, others });
            }
        }
    }

    /// Resumes whose connection has left do not wait any more.
    pub(super) fn withdraw_the_left(&mut self) {
        for id in self.waiters.void(|ticket| self.services.subscribers.waits(ticket)) {
            self.step(Event::Withdrawn(id));
        }
        let withdrawn = ThreadError::Withdrawn { id: self.id }.to_wire();
        for command in std::mem::take(&mut self.deferred) {
            if matches!(&command, Command::Resume(resume) if !self.services.subscribers.waits(resume.ticket))
            {
                command.refuse(&self.services, &withdrawn);
            } else {
                self.deferred.push_back(command);
            }
        }
    }

    pub(super) fn interrupt(&mut self, turn: &TurnId) {
        if self.turns.runs(turn) {
            self.step(Event::Interrupt);
        }
    }

    /// Publishes the status, if it has changed.
    pub(super) fn show_status(&mut self) {
        self.log.show_status(self.status());
    }
}

/// Why input is not taken.
enum Refusal {
    Error(ThreadError),
    /// It was taken before, into this turn.
    Seen(TurnId),
}
