//! The owner of one thread: one task, and the only driver of its machine. It never awaits anything that can stall. The load,
//! the turn, the writer and the end of the helpers are child tasks that report back as events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use skein_base::tasks::TaskGroup;
use skein_config::{RunningOrphans, ServerConfig};
use skein_helpers::{ExitReport, HelperEvent, HelperQuestion};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::notifications::McpServerStartupStatusUpdated;
use skein_store::history::{History, SERVER_ENDED};
use skein_store::ownership::LoadDue;
use skein_turn::Report;
use tokio::time::Instant;

use super::command::{Command, Edit};
use super::dispatch;
use super::error::ThreadError;
use super::event::{Event, TurnKept};
use super::machine::{Machine, Policy};
use super::registry::{GivenAnswer, OwnerSlot};
use super::writer::Written;
use crate::outbox::reply::Reply;
use crate::policy;
use crate::thread::Context;

mod answers;
mod asking;
mod budget;
mod catch_up;
mod cleanup;
mod commands;
mod consent;
mod edits;
mod effects;
mod fork;
mod helper_side;
mod inputs;
mod load;
mod log;
mod open_questions;
mod parts;
mod questions;
mod queue;
mod relocation;
mod repair;
mod settings;
mod turns;
mod user_state;
mod waiters;
mod wants;

#[cfg(test)]
pub(crate) mod tests;

use asking::warn_of_approval;
use catch_up::CatchUps;
use edits::FoundRevert;
use helper_side::{HelperSide, ToolOf, status_of};
use load::ReadThread;
use log::{Log, Send};
use open_questions::Questions;
use parts::ThreadParts;
use repair::Repair;
use turns::TurnState;
use waiters::Waiters;
use wants::{Settled, declined};

/// The report of a child task at its end.
#[derive(Debug)]
enum Child {
    /// The outcome of a load.
    Loaded(Box<Result<ReadThread, ThreadError>>),
    /// The thread is in memory only, so there was nothing to read.
    NeverWritten,
    /// No helper is left.
    HelpersEnded(Vec<ExitReport>),
    /// The outcome of the search for the first turn of a revert.
    FoundRevert(Box<FoundRevert>),
    /// The outcome of a move.
    Moved(Box<relocation::RelocationOutcome>),
    /// This turn's task has ended; its last report says how.
    Turn(TurnId),
    /// The settings keep the approval of this tool, or say why not.
    Approved(ToolOf, Result<(), String>),
    /// The helper has given up this question.
    GivenUp(i64),
}

/// The events that wake an owner.
enum Wakeup {
    Deadline,
    Checkpoint,
    Unanswered,
    Woken,
    Child(Result<Child, tokio::task::JoinError>),
    Written(Written),
    Command(Command),
    Report(Report),
    Helper(HelperEvent),
    Asked(HelperQuestion),
}

/// The owner's state. It lives in one task, and no other task sees it.
struct Owner {
    services: Arc<Context>,
    id: ThreadId,
    slot: OwnerSlot,
    machine: Machine,
    waiters: Waiters,
    repair: Repair,
    log: Log,
    helpers: HelperSide,
    turns: TurnState,
    questions: Questions,
    catch_ups: CatchUps,
    children: TaskGroup<Child>,
}

/// Starts the owner of a claimed thread, with the command that claimed it.
pub(crate) fn start(services: &Arc<Context>, slot: OwnerSlot, first: Command) {
    let owner = Owner::new(Arc::clone(services), slot);
    services.tasks.spawn(format!("thread/{}", owner.id), owner.run(first));
    services.pressure.look();
}

impl Owner {
    fn new(services: Arc<Context>, slot: OwnerSlot) -> Self {
        let (config, id) = (services.config(), slot.handle.id());
        let persistence = slot.publish.borrow().persistence;
        Self {
            id,
            machine: Machine::new(machine_policy(&config), persistence),
            waiters: Waiters::default(),
            repair: Repair::default(),
            log: Log::new(Arc::clone(&services), id, persistence, slot.publish.clone()),
            helpers: HelperSide::new(id, config),
            turns: TurnState::new(services.conversations.slot(id)),
            questions: Questions::default(),
            catch_ups: CatchUps::new(Arc::clone(&services), id),
            children: services.tasks.group(),
            services,
            slot,
        }
    }

    /// Runs the owner to its end. A panic ends this thread only.
    async fn run(mut self, first: Command) {
        let services = Arc::clone(&self.services);
        let tasks = &services.tasks;
        let name = format!("owner/{}", self.id);
        if tasks.contain_async(name, self.handle_until_gone(first)).await.is_none() {
            self.clean_up_after_panic().await;
        }
        self.release().await;
        services.freed.note();
    }

    async fn handle_until_gone(&mut self, first: Command) {
        self.claimed_by(first);
        while !self.machine.is_gone() {
            let wakeup = self.next().await;
            self.handle(wakeup);
            self.note_turn();
            self.run_queue();
            self.note_turn();
            self.show_work();
            // The machine times unanswerable questions of turns. Questions outside of turns are timed here.
            let unanswerable = self.questions.wait_outside() && self.parts().counts().subscribers == 0;
            self.questions.note_unanswerable(unanswerable, self.services.clock.now());
            self.send(Send::Ready);
        }
    }

    /// Notifies the machine of the running turn: its treatment by the next load, and its questions.
    pub(super) fn note_turn(&mut self) {
        let questions = self.questions.of_turn();
        let (before, asked) = self.machine.turn();
        let kept = if self.turns.id().is_some() { self.parts().turn_kept() } else { before };
        if kept == TurnKept::Waits {
            self.repair.let_pass();
        }
        if (kept, questions) != (before, asked) {
            self.step(Event::Turn { kept, questions });
        }
        if self.turns.drains() {
            self.leave_to_next_server(kept);
        }
    }

    /// Shows what a stop waits for: a turn that works, or a request to a helper.
    fn show_work(&mut self) {
        let turn_works = self.turns.id().is_some() && self.parts().turn_kept() != TurnKept::Waits;
        self.log.show_work(turn_works || self.slot.requests() > 0);
    }

    /// Leaves a thread without a turn, or with one that waits, to the next server. A turn that works begins nothing more, and reports when
    /// it is at rest. Requests to helpers end first, and records that wait for a storage that is away are saved.
    fn leave_to_next_server(&mut self, kept: TurnKept) {
        let is_at_rest = match kept {
            TurnKept::No => self.turns.id().is_none() && !self.machine.active(),
            TurnKept::Yes => {
                self.turns.end_early();
                false
            }
            TurnKept::Waits => true,
        };
        let is_at_rest = is_at_rest || self.turns.is_at_rest();
        if is_at_rest && self.slot.requests() == 0 && !self.log.waits_for_store() {
            self.step(Event::Shutdown);
        }
    }

    /// Waits for the next event, the rarest kind first, so that a busy turn cannot delay an interrupt. While the writer has no
    /// room, the turn waits for the disk, and commands are still answered.
    async fn next(&mut self) -> Wakeup {
        let deadline = self.machine.deadline();
        // A turn that is stopped has little to report.
        let has_room = !self.log.is_full() && (self.log.has_room() || self.turns.is_stopped());
        let checkpoint_at = self.log.checkpoint_at();
        let unanswerable_at = self.questions.unanswerable_at(self.machine.policy().question_grace);
        let (helper_events, helper_questions) = self.helpers.inbox();
        tokio::select! {
            biased;
            () = until(deadline) => Wakeup::Deadline,
            () = until(checkpoint_at) => Wakeup::Checkpoint,
            () = until(unanswerable_at) => Wakeup::Unanswered,
            () = self.slot.handle.woken() => Wakeup::Woken,
            child = self.children.next() => Wakeup::Child(child),
            Some(written) = self.log.inbox().recv() => Wakeup::Written(written),
            Some(event) = helper_events.recv() => Wakeup::Helper(event),
            Some(command) = self.slot.mailbox.recv() => Wakeup::Command(command),
            Some(report) = self.turns.inbox().recv(), if has_room => Wakeup::Report(report),
            // Behind the report of its call.
            Some(question) = helper_questions.recv(), if has_room => Wakeup::Asked(question),
        }
    }

    fn handle(&mut self, wakeup: Wakeup) {
        match wakeup {
            Wakeup::Deadline => self.step(Event::DeadlinePassed),
            Wakeup::Checkpoint => self.log.checkpoint(),
            Wakeup::Unanswered => {
                let declined = |number| (number, Settled::Decision(declined()));
                let unanswered = self.questions.give_up_waiting();
                self.parts().settle(unanswered.into_iter().map(declined));
            }
            Wakeup::Woken => self.woken(),
            Wakeup::Child(child) => self.child_ended(child),
            Wakeup::Written(written) => self.written(&written),
            Wakeup::Command(command) => self.command(command),
            Wakeup::Report(report) => self.report(report),
            Wakeup::Helper(event) => {
                self.log.notify::<McpServerStartupStatusUpdated>(&status_of(self.id, event), None);
            }
            Wakeup::Asked(question) => self.parts().helper_asks(question),
        }
    }

    /// Feeds an event to the machine and carries out its effects, until no event follows.
    fn step(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let (now, unload_began) = (self.services.clock.now(), self.machine.unload_began());
            let effects = self.machine.step(now, event);
            if let (Some(began), None) = (unload_began, self.machine.unload_began()) {
                self.services.counters.unloads.add(now.saturating_duration_since(began));
            }
            if self.log.show_life(self.machine.view()) {
                self.services.pressure.look();
            }
            for effect in effects {
                events.extend(self.carry_out(effect));
            }
        }
    }

    /// Takes urgent requests and changed counts.
    fn woken(&mut self) {
        let woken = self.slot.look();
        let (interrupt, of_left_turn) = self.interrupted(woken.interrupt);
        if (woken.drain || woken.shutdown) && interrupt.is_none() && self.parts().turn_kept() != TurnKept::No
        {
            // The next server carries out what the answers allow.
            self.turns.end_early();
        }
        if woken.lost {
            // Also those of a thread that unloads already.
            self.helpers.kill();
            // A load has nothing to leave yet.
            self.step(if self.machine.is_loading() { Event::Shutdown } else { Event::Fenced });
        }
        for given in woken.answers {
            self.client_answers(given);
        }
        if interrupt.is_some() {
            self.step(Event::Interrupt);
        } else if let Some(turn) = of_left_turn {
            self.command(Command::Edit(Edit::Interrupt(turn, Reply::to_nobody())));
        }
        self.take_policy();
        // A limit may be higher by now, or the day another one.
        self.parts().look_at_budget();
        self.note_turn();
        // Behind the answers and the interrupt, which are acknowledged: the rollout takes nothing more when it closes.
        if woken.drain {
            self.turns.drain();
            self.note_turn();
        }
        if woken.shutdown {
            self.turns.cut_off(SERVER_ENDED);
            self.step(Event::Shutdown);
        }
        self.note_queue();
        self.clients_changed();
        if woken.evict {
            if self.machine.idle_since().is_some() {
                self.services.counters.evicted.add_one();
                tracing::info!(thread = %self.id, "evicted this thread, which is idle or waits for an answer");
            }
            self.step(Event::Evict);
        }
    }

    /// Takes a client's answer to a question. One to a turn that was left to the next load, in the moment before, is for that load.
    fn client_answers(&mut self, given: GivenAnswer) {
        if self.parts().has_left_turn() && self.questions.turn_of(given.question).is_some() {
            self.command(Command::Edit(Edit::Answer(Box::new(given), Reply::to_nobody())));
        } else {
            self.parts().client_answers(given);
        }
    }

    /// Applies a changed configuration to the machine and the thread's helpers.
    fn take_policy(&mut self) {
        let config = self.services.config();
        if !self.helpers.look_at(&config) {
            return;
        }
        // The user was asked about the old program of that name.
        if let Some(changed) = self.helpers.change() {
            let judged = self.questions.judged(&changed);
            self.parts().settle(judged);
        }
        let policy = machine_policy(&config);
        if self.machine.policy() != policy {
            // The turn may no longer wait.
            self.note_turn();
            self.step(Event::Policy(policy));
        }
    }

    /// Follows connections that have come or left.
    fn clients_changed(&mut self) {
        let services = Arc::clone(&self.services);
        let (subscribers, waits) = (&services.subscribers, |ticket| services.subscribers.waits(ticket));
        for id in self.waiters.void(waits) {
            self.step(Event::Withdrawn(id));
        }
        for resume in self.waiters.take_void_deferred(waits) {
            resume.refuse(&services, &ThreadError::Withdrawn { id: self.id }.to_wire());
        }
        self.step(Event::Requests(self.slot.requests()));
        self.recount();
        if self.questions.can_pass() {
            let creator = self.log.history().and_then(History::originator);
            self.questions.pass_on(&self.helpers.audience(subscribers, creator));
        }
        if !self.questions.is_empty() {
            // Includes clients that still catch up.
            let refused = self.questions.refused(&subscribers.subscribed(self.id));
            self.parts().settle(refused);
        }
    }

    /// Feeds the number of listeners to the machine. Queued subscriptions count already.
    fn recount(&mut self) {
        let counts = self.parts().counts();
        self.step(Event::Subscribers(counts));
    }

    fn child_ended(&mut self, child: Result<Child, tokio::task::JoinError>) {
        match child {
            Ok(Child::Loaded(result)) => self.loaded((*result).map(Some)),
            Ok(Child::NeverWritten) => self.loaded(Ok(None)),
            Ok(Child::HelpersEnded(reports)) => {
                for report in &reports {
                    tracing::debug!(thread = %self.id, ?report, "a helper of this thread has ended");
                }
                self.helpers.ended();
                self.log.show(|snapshot| snapshot.helpers = None);
                self.step(Event::HelpersEnded);
            }
            Ok(Child::FoundRevert(revert_found)) => self.revert_found(*revert_found),
            Ok(Child::Moved(outcome)) => self.rollout_moved(*outcome),
            Ok(Child::Turn(turn)) => self.turn_task_ended(&turn),
            Ok(Child::Approved(tool, Ok(()))) => {
                // From now on the settings decide, so that a later removal there takes effect here.
                self.take_policy();
                self.helpers.leave_to_settings(&tool);
            }
            Ok(Child::Approved(tool, Err(why))) => warn_of_approval(&mut self.log, &tool, &why),
            Ok(Child::GivenUp(question)) => self.parts().settle([(question, Settled::GivenUp)]),
            // The tracker has logged the panic. A turn has failed; requests that wait for a load are refused.
            Err(error) if error.is_panic() => {
                if let Some(turn) = self.turns.of_task(error.id()) {
                    self.turn_task_ended(&turn);
                } else if self.machine.is_loading() {
                    self.loaded(Err(ThreadError::BrokeOff { id: self.id }));
                }
            }
            Err(_) => {}
        }
    }

    /// Gives the thread up. No helper of it is left, as the next server starts others. Other servers of the database look for a thread that a
    /// load goes on with. A server that has lost its row leaves all threads to that row.
    fn give_up(&mut self) {
        let is_lost = self.slot.handle.is_lost();
        if let Some(lease) = self.log.lease().filter(|_| self.machine.is_materialised() && !is_lost) {
            let next = if self.parts().is_owed_a_load() { LoadDue::Soon } else { LoadDue::Whenever };
            self.services.subscribers.owner_left(self.id, lease.term);
            self.services.ownership.give_up(lease, next);
        }
    }

    /// Releases the thread: removes the owner from the registry, and hands remaining commands to the next owner.
    async fn release(mut self) {
        self.send(Send::All);
        let has_room = !self.parts().budget_questions_with_room().is_empty();
        self.give_up();
        self.services.registry.forget(&self.slot.handle);
        if has_room {
            // A look for such threads has passed by this one while it was unloaded.
            self.services.day.look();
        }
        self.slot.mailbox.close();
        let mut left: Vec<Command> = self.waiters.take_deferred().into();
        left.extend(self.urgent_requests());
        let parked = self.catch_ups.unpark().into_iter();
        left.extend(parked.map(|catch_up| Command::CaughtUp(Box::new(catch_up))));
        // Ends at once: a closed mailbox only waits for sends that have begun.
        while let Some(command) = self.slot.mailbox.recv().await {
            left.push(command);
        }
        for command in left {
            dispatch::deliver(&self.services, self.id, command);
        }
    }
}

impl Drop for Owner {
    /// Covers a panic in the cleanup of a panic: the registry never keeps an owner that is gone.
    fn drop(&mut self) {
        self.services.registry.forget(&self.slot.handle);
        self.services.questions.close(&self.questions.clear());
    }
}

fn machine_policy(config: &ServerConfig) -> Policy {
    Policy {
        grace: config.unload.grace,
        unmaterialised_grace: config.unload.unmaterialised_grace,
        question_grace: config.orphans.pending_grace,
        running_limit: match config.orphans.running {
            RunningOrphans::Continue => config.orphans.running_limit,
            RunningOrphans::Interrupt => Some(Duration::ZERO),
        },
        unload_limit: policy::UNLOAD_LIMIT,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
