//! The owner of one thread: one task, the machine's only driver. It never awaits anything that can stall: the load,
//! the turn, the writer, the end of the helpers are child tasks that report back as events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use skein_base::tasks::TaskGroup;
use skein_helpers::{ExitReport, HelperEvent, HelperQuestion};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::notifications::McpServerStartupStatusUpdated;
use tokio::time::Instant;

use super::command::{Command, Input};
use super::dispatch;
use super::event::{Counts, Event};
use super::machine::{Machine, Persistence, Phase, Policy};
use super::registry::Seat;
use super::writer::Written;
use crate::config::{Config, RunningOrphans};
use crate::policy;
use crate::thread::Context;
use crate::turn::Report;

mod answers;
mod asking;
mod catch_up;
mod commands;
mod consent;
mod edits;
mod effects;
mod elsewhere;
mod fork;
mod helper_side;
mod load;
mod log;
mod marks;
mod open_questions;
mod questions;
mod repair;
mod settings;
mod turns;
mod waiters;
mod wreck;

#[cfg(test)]
pub(crate) mod tests;

use catch_up::CatchUps;
use edits::Sought;
use helper_side::{HelperSide, ToolOf, status_of};
use load::LoadedThread;
use log::Log;
use open_questions::Questions;
use repair::Repairing;
use turns::TurnState;
use waiters::Waiters;

/// What a child task of an owner reports at its end.
#[derive(Debug)]
enum Child {
    /// The rollout was read, or could not be.
    Loaded(Box<Result<LoadedThread, super::error::ThreadError>>),
    /// There is no rollout yet, and the thread is in memory.
    NeverWritten,
    /// No helper is left.
    HelpersEnded(Vec<ExitReport>),
    /// The first turn of a revert was found, or is not there.
    Sought(Box<Sought>),
    /// The rollout was put elsewhere, or could not be.
    Moved(Box<elsewhere::Outcome>),
    /// This turn's task has ended; its last report tells how.
    Turn(TurnId),
    /// The settings keep what the user has allowed for ever, or why not.
    Approved(ToolOf, Result<(), String>),
    /// Nobody wants an answer to this question of a helper any more.
    GivenUp(i64),
}

/// What can wake an owner.
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

/// The owner's state. It lives in one task, and nobody else sees it.
struct Owner {
    services: Arc<Context>,
    id: ThreadId,
    seat: Seat,
    machine: Machine,
    /// What the machine was told last of the configuration.
    policy: Policy,
    /// Events that carrying out effects brought about, in order.
    follow_ups: VecDeque<Event>,
    waiters: Waiters,
    /// Commands that came while the thread was loading or unloading.
    deferred: VecDeque<Command>,
    /// The input that the machine decides about.
    input: Option<Box<Input>>,
    log: Log,
    /// Why the rollout was not put elsewhere.
    move_error: Option<super::error::ThreadError>,
    /// The repair that has made this owner, until its load has ended.
    repair: Option<Repairing>,
    /// Only the repair knows of this owner: nobody has asked anything of it, and nobody is told of its end.
    unheard: bool,
    /// Why the load failed.
    load_error: Option<super::error::ThreadError>,
    helpers: HelperSide,
    turns: TurnState,
    questions: Questions,
    unload_began: Option<Instant>,
    catch_ups: CatchUps,
    children: TaskGroup<Child>,
}

/// Starts the owner of a claimed thread, with the command that claimed it.
pub(crate) fn start(services: &Arc<Context>, seat: Seat, first: Command) {
    let persistence = seat.publish.borrow().persistence;
    let owner = Owner::new(Arc::clone(services), seat, persistence);
    services.tasks.spawn(format!("thread/{}", owner.id), owner.live(first));
    services.pressure.look();
}

impl Owner {
    fn new(services: Arc<Context>, seat: Seat, persistence: Persistence) -> Self {
        let config = services.config();
        let policy = machine_policy(&config);
        let id = seat.handle.id();
        Self {
            id,
            turns: TurnState::new(services.conversations.slot(id)),
            machine: Machine::new(policy, persistence),
            policy,
            children: services.tasks.group(),
            catch_ups: CatchUps::new(Arc::clone(&services), id),
            log: Log::new(Arc::clone(&services), id, persistence, seat.publish.clone()),
            services,
            seat,
            follow_ups: VecDeque::new(),
            waiters: Waiters::default(),
            deferred: VecDeque::new(),
            input: None,
            move_error: None,
            repair: None,
            unheard: false,
            load_error: None,
            helpers: HelperSide::new(id, config),
            questions: Questions::default(),
            unload_began: None,
        }
    }

    /// A whole life. A panic in it ends this thread, and nothing else.
    async fn live(mut self, first: Command) {
        let services = Arc::clone(&self.services);
        let tasks = &services.tasks;
        let name = format!("owner/{}", self.id);
        if tasks.contain_async(name, self.run(first)).await.is_none() {
            self.settle_wreck().await;
        }
        self.let_go().await;
        services.freed.note();
    }

    async fn run(&mut self, first: Command) {
        self.claimed_by(first);
        while self.machine.phase() != Phase::Gone {
            let wakeup = self.next().await;
            self.handle(wakeup);
            self.look_for_somebody();
            self.send_ready();
        }
    }

    /// Waits for the next thing. Rarest first, so that a chatty turn cannot drown an interrupt. A writer without
    /// room closes the turn's arm: the turn waits for the disk, commands are still answered.
    async fn next(&mut self) -> Wakeup {
        let deadline = self.machine.deadline();
        let (has_room, checkpoint_at) = (self.log.has_room(), self.log.checkpoint_at());
        let unanswerable_at = self.questions.unanswerable_at(self.policy.question_grace);
        let (helper_events, helper_questions) = self.helpers.inbox();
        tokio::select! {
            biased;
            () = until(deadline) => Wakeup::Deadline,
            () = until(checkpoint_at) => Wakeup::Checkpoint,
            () = until(unanswerable_at) => Wakeup::Unanswered,
            () = self.seat.handle.woken() => Wakeup::Woken,
            child = self.children.next() => Wakeup::Child(child),
            Some(written) = self.log.inbox().recv() => Wakeup::Written(written),
            Some(event) = helper_events.recv() => Wakeup::Helper(event),
            Some(command) = self.seat.mailbox.recv() => Wakeup::Command(command),
            Some(report) = self.turns.inbox().recv(), if has_room => Wakeup::Report(report),
            // Behind the report of the call that it is about.
            Some(question) = helper_questions.recv(), if has_room => Wakeup::Asked(question),
        }
    }

    fn handle(&mut self, wakeup: Wakeup) {
        match wakeup {
            Wakeup::Deadline => self.step(Event::DeadlinePassed),
            Wakeup::Checkpoint => self.log.checkpoint(),
            Wakeup::Unanswered => self.decline_unanswered(),
            Wakeup::Woken => self.woken(),
            Wakeup::Child(child) => self.child_ended(child),
            Wakeup::Written(written) => self.written(&written),
            Wakeup::Command(command) => self.command(command),
            Wakeup::Report(report) => self.report(report),
            Wakeup::Helper(event) => {
                self.log.notify::<McpServerStartupStatusUpdated>(&status_of(self.id, event), None)
            }
            Wakeup::Asked(question) => self.helper_asks(question),
        }
    }

    /// Feeds an event to the machine and carries out what it wants, until nothing follows.
    fn step(&mut self, event: Event) {
        self.follow_ups.push_back(event);
        while let Some(event) = self.follow_ups.pop_front() {
            let effects = self.machine.step(self.services.clock.now(), event);
            if self.log.show_life(self.machine.view()) {
                self.services.pressure.look();
            }
            for effect in effects {
                self.carry_out(effect);
            }
        }
    }

    /// Somebody left something outside of the mailbox, or the counts have changed.
    fn woken(&mut self) {
        let woken = self.seat.look();
        if woken.shutdown {
            self.turns.cut_off();
            self.step(Event::Shutdown);
        }
        for (by, question, answer) in woken.answers {
            self.answered(by, question, answer);
        }
        if let Some(turn) = woken.interrupt {
            self.interrupt(&turn);
        }
        self.take_policy();
        self.withdraw_the_left();
        self.step(Event::Requests(self.seat.requests()));
        self.recount();
        self.pass_questions_on();
        self.settle_refused_questions();
        if woken.squeeze {
            self.squeeze();
        }
    }

    /// The configuration may have changed since the last look.
    fn take_policy(&mut self) {
        let config = self.services.config();
        if !self.helpers.look_at(&config) {
            return;
        }
        let policy = machine_policy(&config);
        self.change_helpers();
        if self.policy != policy {
            self.policy = policy;
            self.step(Event::Policy(policy));
        }
    }

    /// Room is needed for other threads.
    fn squeeze(&mut self) {
        if self.machine.idle_since().is_some() {
            self.services.counters.evicted.add_one();
            tracing::info!(thread = %self.id, "unloaded to make room");
        }
        self.step(Event::Squeeze);
    }

    /// Says who listens. Those whose subscription stands in line count already.
    fn recount(&mut self) {
        let counts = self.counts();
        self.step(Event::Subscribers(counts));
    }

    fn counts(&self) -> Counts {
        let mut counts = self.services.subscribers.counts(self.id);
        let joins = self.log.queued().filter(|due| due.still_joins(&self.services.subscribers));
        counts.subscribers += joins.count();
        counts
    }

    fn child_ended(&mut self, child: Result<Child, tokio::task::JoinError>) {
        match child {
            Ok(Child::Loaded(result)) => self.loaded(*result),
            Ok(Child::NeverWritten) => self.loaded_from_memory(),
            Ok(Child::HelpersEnded(reports)) => self.helpers_ended(&reports),
            Ok(Child::Sought(sought)) => self.sought(*sought),
            Ok(Child::Moved(outcome)) => self.rollout_moved(*outcome),
            Ok(Child::Turn(turn)) => self.turn_task_ended(&turn),
            Ok(Child::Approved(tool, kept)) => self.approval_kept(&tool, kept),
            Ok(Child::GivenUp(question)) => self.question_given_up(question),
            // The tracker has logged the panic.
            Err(error) if error.is_panic() => self.child_panicked(error.id()),
            Err(_) => {}
        }
    }

    /// A child broke off. A turn has failed; whoever waits for a load is told, where it was that.
    fn child_panicked(&mut self, task: tokio::task::Id) {
        match (self.turns.of_task(task), self.machine.phase()) {
            (Some(turn), _) => self.turn_task_ended(&turn),
            (None, Phase::Loading) => self.loaded(Err(super::error::ThreadError::BrokeOff { id: self.id })),
            (None, Phase::Idle | Phase::Running | Phase::Unloading | Phase::Gone) => {}
        }
    }

    /// The end: nobody finds this owner any more, and what its mailbox still holds goes to the next one.
    async fn let_go(mut self) {
        self.send_all();
        self.services.registry.forget(&self.seat.handle);
        self.seat.mailbox.close();
        let mut left: Vec<Command> = self.deferred.drain(..).collect();
        left.extend(
            self.catch_ups.unpark().into_iter().map(|catch_up| Command::CaughtUp(Box::new(catch_up))),
        );
        // Ends at once: a closed mailbox only waits for what somebody is putting in at this very moment.
        while let Some(command) = self.seat.mailbox.recv().await {
            left.push(command);
        }
        for command in left {
            dispatch::deliver(&self.services, self.id, command);
        }
    }
}

impl Drop for Owner {
    /// The net for a panic in the settling of a panic: the registry never keeps an owner that is gone.
    fn drop(&mut self) {
        self.services.registry.forget(&self.seat.handle);
        for number in self.questions.clear() {
            self.services.questions.close(number);
        }
    }
}

fn machine_policy(config: &Config) -> Policy {
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
