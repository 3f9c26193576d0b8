//! The commands of the mailbox. The machine decides when each is carried out.

use std::sync::Arc;

use skein_protocol::ids::TurnId;
use skein_store::history::History;
use skein_store::rollout::Keep;

use super::answers::answer_repeated_input;
use super::helper_side::HelperSide;
use super::log::{Log, Send};
use super::turns::TurnState;
use super::{Owner, budget, catch_up, settings};
use crate::outbox::reply::Reply;
use crate::thread::Context;
use crate::thread::command::{Command, Edit, Input, Repaired, Resume, Rules, Unload};
use crate::thread::effect::Effect;
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, Force};
use crate::thread::machine::{CommandAdmission, Needs};
use crate::thread::subscribers::Role;

impl Owner {
    /// Begins with the first command: a new thread, a fork, or a load.
    pub(super) fn claimed_by(&mut self, first: Command) {
        if let Command::Repair(done) = first {
            self.repair.begin(done);
        } else if let Command::Start(start) = first {
            self.helpers.brought_by(start.ticket.connection, start.helpers.clone());
            self.helpers.found(start.surroundings.clone());
            let waiter = self.waiters.add(Command::Start(start));
            self.step(Event::Resume(waiter));
        } else {
            self.command(first);
        }
        // A new thread is loaded at once. The machine decides about the rest.
        if let Some(event) = self.carry_out(Effect::Load) {
            self.step(event);
        }
        if self.machine.is_loaded() {
            self.recount();
        }
        self.send(Send::Ready);
    }

    /// The turn to interrupt, if it runs, or if it was left to the next load in the moment before: that load interrupts it.
    pub(super) fn interrupted(&self, named: Option<TurnId>) -> (Option<TurnId>, Option<TurnId>) {
        let Some(turn) = named else { return (None, None) };
        if self.turns.runs(&turn) {
            return (Some(turn), None);
        }
        let open = self.log.history().and_then(History::open_turn);
        (None, open.is_some_and(|open| open.id == turn).then_some(turn))
    }

    /// The answers to a turn that was left, and its interrupt, which have come too late for this owner: one that parks its thread in one
    /// step does not look again.
    pub(super) fn urgent_requests(&self) -> Vec<Command> {
        let woken = self.slot.look();
        let answers =
            woken.answers.into_iter().filter(|given| self.questions.turn_of(given.question).is_some());
        let answers = answers.map(|given| Command::Edit(Edit::Answer(Box::new(given), Reply::to_nobody())));
        let interrupt = self.interrupted(woken.interrupt).1;
        let interrupt = interrupt.map(|turn| Command::Edit(Edit::Interrupt(turn, Reply::to_nobody())));
        answers.chain(interrupt).collect()
    }

    pub(super) fn command(&mut self, command: Command) {
        self.repair.note(&command);
        let Rules { needs, ticket, .. } = command.rules();
        let is_resume = matches!(command, Command::Resume(_));
        // A resume does not overtake earlier commands that wait for the end of a load or an unload.
        let needs = if is_resume && !self.waiters.none_deferred() { Needs::Loaded } else { needs };
        let has_left = is_resume && ticket.is_some_and(|ticket| !self.services.subscribers.waits(ticket));
        match (self.machine.admission(needs), has_left) {
            // Deferred by a load that no client wanted any more.
            (CommandAdmission::ByTheNextOwner, _) => drop(self.waiters.defer(command, usize::MAX)),
            // The connection has left meanwhile.
            (CommandAdmission::Now | CommandAdmission::Later | CommandAdmission::Never, true) => {
                command.refuse(&self.services, &ThreadError::Withdrawn { id: self.id }.to_wire());
            }
            (CommandAdmission::Now, false) => self.carry_out_command(command),
            (CommandAdmission::Later, false) => self.defer(command),
            (CommandAdmission::Never, false) => {
                command.refuse(&self.services, &ThreadError::NotLoaded { id: self.id }.to_wire());
            }
        }
    }

    fn carry_out_command(&mut self, command: Command) {
        match command {
            // An earlier start was first, and its settings hold.
            Command::Start(_) => {
                command.refuse(&self.services, &ThreadError::Exists { id: self.id }.to_wire());
            }
            Command::Resume(_) if let Some(error) = self.refusal_of_views() => {
                command.refuse(&self.services, &error.to_wire());
            }
            // An observer changes nothing: it starts no helpers, and turns no unload into a load.
            Command::Resume(resume) if resume.role == Role::Observer => self.parts().answer_resume(*resume),
            Command::Resume(resume) => self.resume(resume),
            Command::Input(input) => self.user_input(input),
            Command::Edit(edit) => self.edit(edit),
            Command::Fork(fork) => {
                self.helpers.brought_by(fork.ticket.connection, fork.helpers.clone());
                let waiter = self.waiters.add(Command::Fork(fork));
                self.step(Event::Resume(waiter));
            }
            Command::Unload(unload) => self.unload(unload),
            Command::Relocate(asked) => self.relocate(asked),
            Command::Helpers(give) => {
                self.parts().start_helpers();
                if let Some(set) = self.helpers.started() {
                    // The asker may have left.
                    give.send(Arc::clone(set)).ok();
                }
            }
            Command::CaughtUp(catch_up) => catch_up::queue(&mut self.log, catch_up),
            // This owner began with another command, and its load mends as any load does.
            Command::Repair(done) => drop(done.send(Repaired::Owned)),
            Command::Fence(done) => drop(done.send(())),
        }
    }

    /// Why no view of the thread is given: events could not continue one while records wait for a storage that is away.
    fn refusal_of_views(&self) -> Option<ThreadError> {
        let waits = self.machine.is_loaded() && self.log.waits_for_store();
        waits.then(|| self.log.refusal()).flatten()
    }

    /// A thread in use keeps its settings, whatever a resume names. A thread without helpers and subscribers is not in use: a
    /// request such as a rename has loaded it.
    fn resume(&mut self, resume: Box<Resume>) {
        let is_idle = self.machine.is_loaded() && self.turns.id().is_none();
        if is_idle && self.helpers.started().is_none() && self.parts().counts().subscribers == 0 {
            self.helpers.change_for(&resume.helpers);
            settings::change(&mut self.log, &self.helpers, Keep::Process, &resume.params);
        }
        let waiter = self.waiters.add(Command::Resume(resume));
        self.step(Event::Resume(waiter));
    }

    fn user_input(&mut self, input: Box<Input>) {
        match refusal_of(&self.services, (&self.log, &self.helpers), &self.turns, &input) {
            Some(InputRefusal::Error(error)) => input.reply.err(&error.to_wire()),
            Some(InputRefusal::Seen(turn)) => answer_repeated_input(&mut self.log, input.reply, &turn),
            None => {
                let waiter = self.waiters.add(Command::Input(input));
                self.step(Event::Input(waiter));
            }
        }
    }

    /// Keeps a command until the load or the unload has ended. Keeps as many as the mailbox holds, and refuses the others.
    pub(super) fn defer(&mut self, command: Command) {
        if let Some(command) = self.waiters.defer(command, self.services.config().limits.mailbox) {
            self.services.counters.overloaded.add_one();
            command.refuse(&self.services, &ThreadError::Busy { id: self.id }.to_wire());
        }
    }

    fn unload(&mut self, unload: Unload) {
        // Includes queued subscriptions.
        let counts = self.parts().counts();
        let subscribers = &self.services.subscribers;
        let counts = match unload.force {
            Force::IfDeserted => counts,
            Force::No | Force::Yes => subscribers.counts(self.id),
        };
        let asker = unload.reply.connection();
        let own = asker.and_then(|asker| subscribers.role(asker, self.id)).is_some_and(Role::keeps_loaded);
        let others = counts.subscribers.saturating_sub(usize::from(own));
        let force = unload.force;
        let waiter = self.waiters.add(Command::Unload(unload));
        self.step(Event::Unload { waiter, force, others });
    }
}

/// Why input begins no turn.
enum InputRefusal {
    Error(ThreadError),
    /// An earlier request has brought it, and this turn has taken it.
    Seen(TurnId),
}

/// Why input begins no turn, as far as this is known before the machine decides.
fn refusal_of(
    services: &Context,
    (log, helpers): (&Log, &HelperSide),
    turns: &TurnState,
    input: &Input,
) -> Option<InputRefusal> {
    let history = log.history()?;
    if let Some(error) = log.refusal() {
        return Some(InputRefusal::Error(error));
    }
    let name = settings::of(log, helpers).model_provider;
    if services.providers.get(&name).is_none() {
        let known = services.providers.names().join(", ");
        return Some(InputRefusal::Error(ThreadError::NoProvider { name, known }));
    }
    let client_id = input.params.client_user_message_id.as_deref();
    let seen = client_id.and_then(|id| history.seen_message(id, &input.params.input));
    if let Some(turn) = seen {
        return Some(InputRefusal::Seen(turn.clone()));
    }
    if let Some(expected) = input.reply.expected() {
        return turns.refusal_of_steer(log.id(), expected).map(InputRefusal::Error);
    }
    // A message to a running turn is a steer, and the turn knows its budget.
    turns.id().is_none().then(|| budget::spent(services, log, helpers)).flatten().map(InputRefusal::Error)
}
