//! The machine's surroundings, and the rules that hold whatever happens in them.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;
use tokio::time::Instant;

use crate::thread::effect::{Destination, Effect, ResumeFailure, UnloadRefusal};
use crate::thread::event::{Counts, Event, Force, Materialised, WaiterId};
use crate::thread::machine::{Machine, Persistence, Phase, Policy};

mod elsewhere;

pub const POLICY: Policy = Policy {
    grace: Duration::from_millis(100),
    unmaterialised_grace: Duration::from_secs(60),
    question_grace: Duration::from_secs(300),
    running_limit: None,
    unload_limit: Duration::from_secs(5),
};

/// What the configuration may become under way.
const POLICIES: [Policy; 4] = [
    POLICY,
    Policy { grace: Duration::ZERO, ..POLICY },
    Policy { running_limit: Some(Duration::ZERO), ..POLICY },
    Policy { running_limit: Some(Duration::from_secs(10)), grace: Duration::from_secs(20), ..POLICY },
];

const DESTINATIONS: [Destination; 3] = [Destination::Archive, Destination::Threads, Destination::Trash];

/// What can happen next.
#[derive(Debug, Clone)]
pub enum Act {
    Advance(Duration),
    Resume,
    Leave,
    Observe,
    Withdraw(Index),
    Input,
    Interrupt,
    Ask,
    Answer,
    BeginRequest,
    EndRequest,
    Unload(bool),
    /// To one of [`DESTINATIONS`].
    PutElsewhere(Index),
    FailMove,
    Squeeze,
    /// The configuration changes to one of [`POLICIES`].
    Reload(Index),
    /// One of the things that the machine has set in motion comes to its end.
    Happen(Index),
    FailLoad,
    /// The machine's deadline comes.
    Overdue,
}

/// What the machine has set in motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Motion {
    Load,
    Turn,
    Helpers,
    Rollout,
    Move,
}

pub struct World {
    machine: Machine,
    persistence: Persistence,
    now: Instant,
    policy: Policy,
    /// Since when a turn runs that nobody watches.
    alone_since: Option<Instant>,
    counts: Counts,
    questions: usize,
    requests: usize,
    on_disk: bool,
    under_way: BTreeSet<Motion>,
    turn_runs: bool,
    turn_stopped: bool,
    resumes: BTreeSet<WaiterId>,
    unloads: BTreeSet<WaiterId>,
    /// Who wants the rollout elsewhere, and where.
    move_wanted: Option<(WaiterId, Destination)>,
    /// It is there, and its asker is told next.
    has_moved: bool,
    next_waiter: u64,
    /// Since the thread entered Unloading; what that emitted.
    unloading_since: Option<Instant>,
    ended_helpers: usize,
    closed_rollout: usize,
    stopping: bool,
    asked_with_right: bool,
    was_loaded: bool,
}

impl World {
    pub fn new(persistence: Persistence, on_disk: bool) -> Self {
        Self {
            machine: Machine::new(POLICY, persistence),
            persistence,
            now: start(),
            policy: POLICY,
            alone_since: None,
            counts: Counts::default(),
            questions: 0,
            requests: 0,
            on_disk,
            under_way: [Motion::Load].into(),
            turn_runs: false,
            turn_stopped: false,
            resumes: BTreeSet::new(),
            unloads: BTreeSet::new(),
            move_wanted: None,
            has_moved: false,
            next_waiter: 0,
            unloading_since: None,
            ended_helpers: 0,
            closed_rollout: 0,
            stopping: false,
            asked_with_right: false,
            was_loaded: false,
        }
    }

    pub fn play(&mut self, acts: Vec<Act>) -> TestCaseResult {
        for act in acts {
            self.act(act)?;
        }
        Ok(())
    }

    /// Nobody does anything any more but what is under way.
    pub fn stop_the_server(&mut self) -> TestCaseResult {
        self.stopping = true;
        self.feed(Event::Shutdown)?;
        self.let_everything_happen()?;
        prop_assert_eq!(self.machine.phase(), Phase::Gone);
        self.check_nobody_waits()
    }

    fn check_nobody_waits(&self) -> TestCaseResult {
        prop_assert!(self.resumes.is_empty() && self.unloads.is_empty(), "somebody waits for ever");
        prop_assert!(self.move_wanted.is_none(), "nobody says what became of the rollout");
        Ok(())
    }

    pub fn everybody_leaves(&mut self) -> TestCaseResult {
        for who in self.resumes.clone() {
            self.feed(Event::Withdrawn(who))?;
        }
        self.counts = Counts { subscribers: 0, observers: self.counts.observers };
        self.requests = 0;
        self.feed(Event::Requests(0))?;
        self.feed(Event::Subscribers(self.counts))?;
        self.let_everything_happen()?;
        prop_assert_eq!(self.machine.phase(), Phase::Gone, "an orphan stays: {:?}", self.machine);
        self.check_nobody_waits()
    }

    fn let_everything_happen(&mut self) -> TestCaseResult {
        for _ in 0..64 {
            if let Some(motion) = self.under_way.pop_first() {
                self.happen(motion)?;
            } else if let Some(deadline) = self.machine.deadline() {
                self.now = self.now.max(deadline);
                self.feed(Event::DeadlinePassed)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    fn act(&mut self, act: Act) -> TestCaseResult {
        match act {
            Act::Advance(_) | Act::Overdue => self.time_passes(&act),
            Act::Resume => self.resume(),
            Act::Leave | Act::Observe | Act::Withdraw(_) => self.listeners_change(&act),
            Act::Input => self.feed(Event::Input),
            Act::Interrupt => self.feed(Event::Interrupt),
            Act::Ask | Act::Answer | Act::BeginRequest | Act::EndRequest => self.activity_changes(&act),
            Act::Unload(force) => self.unload(force),
            Act::PutElsewhere(which) => self.put_elsewhere(*which.get(&DESTINATIONS)),
            Act::FailMove if self.under_way.remove(&Motion::Move) => self.feed(Event::MoveFailed),
            Act::FailMove => Ok(()),
            Act::Squeeze => self.feed(Event::Squeeze),
            Act::Reload(which) => {
                self.policy = *which.get(&POLICIES);
                self.feed(Event::Policy(self.policy))
            }
            Act::Happen(which) => self.something_happens(which),
            Act::FailLoad if self.under_way.remove(&Motion::Load) => self.feed(Event::LoadFailed),
            Act::FailLoad => Ok(()),
        }
    }

    fn time_passes(&mut self, act: &Act) -> TestCaseResult {
        if let Act::Advance(by) = act {
            self.now += *by;
        }
        let Some(deadline) = self.machine.deadline() else { return Ok(()) };
        if matches!(act, Act::Overdue) {
            self.now = self.now.max(deadline);
        }
        if deadline <= self.now { self.feed(Event::DeadlinePassed) } else { Ok(()) }
    }

    fn listeners_change(&mut self, act: &Act) -> TestCaseResult {
        if let Act::Withdraw(which) = act {
            let waiting: Vec<WaiterId> = self.resumes.iter().copied().collect();
            return if waiting.is_empty() {
                Ok(())
            } else {
                self.feed(Event::Withdrawn(*which.get(&waiting)))
            };
        }
        if matches!(act, Act::Observe) {
            self.counts.observers += 1;
        } else if self.counts.subscribers == 0 {
            return Ok(());
        } else {
            self.counts.subscribers -= 1;
        }
        self.feed(Event::Subscribers(self.counts))
    }

    /// A question is put or answered, a request begins or ends.
    fn activity_changes(&mut self, act: &Act) -> TestCaseResult {
        if matches!(act, Act::Ask | Act::Answer) {
            if matches!(act, Act::Answer) {
                self.questions = self.questions.saturating_sub(1);
            } else if self.turn_runs {
                self.questions += 1;
            } else {
                return Ok(());
            }
            return self.feed(Event::Questions(self.questions));
        }
        let begins = matches!(act, Act::BeginRequest);
        self.requests = if begins { self.requests + 1 } else { self.requests.saturating_sub(1) };
        self.feed(Event::Requests(self.requests))
    }

    fn something_happens(&mut self, which: Index) -> TestCaseResult {
        let under_way: Vec<Motion> = self.under_way.iter().copied().collect();
        if under_way.is_empty() {
            return Ok(());
        }
        let motion = *which.get(&under_way);
        self.under_way.remove(&motion);
        self.happen(motion)
    }

    fn resume(&mut self) -> TestCaseResult {
        if self.machine.phase() == Phase::Gone {
            return Ok(());
        }
        let who = self.new_waiter();
        self.resumes.insert(who);
        self.feed(Event::Resume(who))
    }

    fn unload(&mut self, force: bool) -> TestCaseResult {
        // The actor keeps an unload until the load is over, and answers one of a thread that is gone itself.
        if matches!(self.machine.phase(), Phase::Loading | Phase::Gone) {
            return Ok(());
        }
        let waiter = self.new_waiter();
        self.unloads.insert(waiter);
        let force = if force { Force::Yes } else { Force::No };
        let others = self.counts.subscribers;
        let refused =
            force == Force::No && (self.turn_runs || self.questions + self.requests > 0 || others > 0);
        self.asked_with_right = !refused;
        self.feed(Event::Unload { waiter, force, others })?;
        self.asked_with_right = false;
        Ok(())
    }

    fn happen(&mut self, motion: Motion) -> TestCaseResult {
        match motion {
            Motion::Load if self.persistence == Persistence::Ephemeral && self.was_loaded => {
                self.feed(Event::LoadFailed)
            }
            Motion::Load => {
                let materialised = if self.on_disk { Materialised::Yes } else { Materialised::No };
                self.was_loaded = true;
                self.feed(Event::Loaded(materialised))?;
                self.feed(Event::Subscribers(self.counts))
            }
            Motion::Turn => {
                self.questions = 0;
                self.feed(Event::Questions(0))?;
                self.turn_runs = false;
                self.feed(Event::TurnEnded)
            }
            Motion::Helpers => self.feed(Event::HelpersEnded),
            Motion::Rollout => self.feed(Event::RolloutClosed),
            Motion::Move => {
                self.has_moved = true;
                self.feed(Event::Moved)
            }
        }
    }

    fn new_waiter(&mut self) -> WaiterId {
        self.next_waiter += 1;
        WaiterId(self.next_waiter)
    }

    /// Feeds one event, plays the actor to its effects, and checks the rules.
    fn feed(&mut self, event: Event) -> TestCaseResult {
        let before = self.machine.phase();
        let effects = self.machine.step(self.now, event);
        let after = self.machine.phase();
        if before == Phase::Gone {
            prop_assert!(effects.is_empty(), "gone, and still wants {effects:?}");
        }
        self.check_entry(event, before, after, &effects)?;
        self.check_stop(event, after, &effects)?;
        let mut joined = false;
        for effect in &effects {
            joined |= self.carry_out(*effect, after)?;
        }
        let alone = self.turn_runs && self.counts.subscribers == 0;
        self.alone_since = if alone { Some(self.alone_since.unwrap_or(self.now)) } else { None };
        self.check_state(event)?;
        if joined {
            self.feed(Event::Subscribers(self.counts))?;
        }
        Ok(())
    }

    /// A turn that is not unloaded with its thread stops when somebody wants it to, or when it may not go on alone.
    fn check_stop(&self, event: Event, after: Phase, effects: &[Effect]) -> TestCaseResult {
        if after != Phase::Running || !effects.contains(&Effect::StopTurn) || event == Event::Interrupt {
            return Ok(());
        }
        prop_assert_eq!(self.counts.subscribers, 0, "a turn is taken from who watches it");
        let alone = self.now - self.alone_since.unwrap_or(self.now);
        let limit =
            if self.questions > 0 { Some(self.policy.question_grace) } else { self.policy.running_limit };
        prop_assert!(limit.is_some_and(|limit| alone >= limit), "stopped after {alone:?}, not {limit:?}");
        Ok(())
    }

    fn check_entry(
        &mut self,
        event: Event,
        before: Phase,
        after: Phase,
        effects: &[Effect],
    ) -> TestCaseResult {
        let count = |wanted: Effect| effects.iter().filter(|effect| **effect == wanted).count();
        let enters = after == Phase::Unloading && before != Phase::Unloading;
        prop_assert_eq!(count(Effect::EndHelpers), usize::from(enters), "helpers end once for each unload");
        if enters {
            self.unloading_since = Some(self.now);
            self.has_moved = false;
            (self.ended_helpers, self.closed_rollout) = (0, 0);
            let kept = self.counts.subscribers > 0;
            let squeezed = event == Event::Squeeze;
            let told = self.asked_with_right || self.stopping;
            prop_assert!(!kept || told || squeezed, "taken from its subscribers");
            let active = self.questions + self.requests > 0;
            let idle = before == Phase::Idle && !active && self.on_disk;
            prop_assert!(!squeezed || idle, "squeezed out, though it works or cannot be read again");
            prop_assert!(!active || told || before == Phase::Running, "taken from who works with it");
            if before == Phase::Running && self.turn_runs && !self.turn_stopped {
                prop_assert_eq!(count(Effect::StopTurn), 1, "a turn is left without a stop");
            }
        }
        let closed = count(Effect::AnnounceClosed);
        prop_assert_eq!(closed, usize::from(after == Phase::Gone && before == Phase::Unloading));
        prop_assert_eq!(count(Effect::Forget), usize::from(after == Phase::Gone && before != Phase::Gone));
        Ok(())
    }

    /// Plays the actor. Returns whether somebody was subscribed.
    fn carry_out(&mut self, effect: Effect, phase: Phase) -> Result<bool, TestCaseError> {
        match effect {
            Effect::Load => {
                prop_assert!(self.under_way.insert(Motion::Load), "loads twice at once");
                prop_assert!(!self.under_way.contains(&Motion::Helpers), "loads beside living helpers");
                prop_assert!(!self.under_way.contains(&Motion::Move), "loads what is being put elsewhere");
                prop_assert!(
                    self.move_wanted.is_none(),
                    "loads before it is said what became of the rollout"
                );
            }
            Effect::Move(_)
            | Effect::AnswerMove(_)
            | Effect::RefuseMove(..)
            | Effect::AnnounceMove(_)
            | Effect::EndSubscriptions => self.carry_out_for_move(effect, phase)?,
            Effect::AnswerResume(_)
            | Effect::FailResume(..)
            | Effect::AnswerUnload(_)
            | Effect::RefuseUnload(..) => return self.answer(effect, phase),
            Effect::BeginTurn | Effect::SteerTurn | Effect::StopTurn => self.carry_out_for_turn(effect)?,
            Effect::EndHelpers | Effect::KillHelpers | Effect::CloseRollout | Effect::AbandonRollout => {
                self.carry_out_for_unload(effect)?;
            }
            Effect::Forget => self.check_forget()?,
            Effect::StartHelpers => {
                prop_assert_eq!(self.persistence, Persistence::Durable);
                prop_assert!(!self.under_way.contains(&Motion::Helpers), "starts beside those that end");
            }
            Effect::DeferInput
            | Effect::LeaveAsker(_)
            | Effect::AnnounceNotLoaded
            | Effect::AnnounceClosed => {}
        }
        Ok(false)
    }

    fn check_forget(&self) -> TestCaseResult {
        prop_assert!(!self.under_way.contains(&Motion::Helpers), "forgets living helpers");
        prop_assert!(!self.turn_runs, "forgets a turn");
        prop_assert!(self.resumes.is_empty(), "forgets who waits");
        prop_assert!(self.unloads.is_empty(), "forgets who asked");
        prop_assert!(self.move_wanted.is_none(), "forgets who wants it elsewhere");
        prop_assert!(!self.under_way.contains(&Motion::Move), "forgets a rollout on its way");
        Ok(())
    }

    /// Everybody is answered once. Returns whether somebody was subscribed.
    fn answer(&mut self, effect: Effect, phase: Phase) -> Result<bool, TestCaseError> {
        if let Effect::AnswerResume(who) = effect {
            prop_assert!(self.resumes.remove(&who), "answered twice");
            prop_assert!(matches!(phase, Phase::Idle | Phase::Running), "subscribed to a half-dead thread");
            self.counts.subscribers += 1;
            return Ok(true);
        }
        if let Effect::FailResume(who, why) = effect {
            prop_assert!(self.resumes.remove(&who), "answered twice");
            let refused = why == ResumeFailure::Shutdown && !self.stopping;
            prop_assert!(!refused, "refused without a reason");
            let elsewhere = matches!(why, ResumeFailure::Archived | ResumeFailure::Deleted);
            prop_assert!(!elsewhere || self.has_moved, "told that it is gone, and it is there");
        }
        if let Effect::AnswerUnload(who) = effect {
            prop_assert!(self.unloads.remove(&who), "answered twice");
            prop_assert!(!self.under_way.contains(&Motion::Helpers), "said zero beside living helpers");
        }
        if let Effect::RefuseUnload(who, why) = effect {
            prop_assert!(self.unloads.remove(&who), "answered twice");
            let active = self.turn_runs || self.questions + self.requests > 0;
            prop_assert_eq!(why == UnloadRefusal::Active, active);
        }
        Ok(false)
    }

    fn carry_out_for_turn(&mut self, effect: Effect) -> TestCaseResult {
        if effect == Effect::BeginTurn {
            prop_assert!(!self.turn_runs, "two turns at once");
            (self.turn_runs, self.turn_stopped) = (true, false);
            self.under_way.insert(Motion::Turn);
            if self.persistence == Persistence::Durable && !self.on_disk {
                self.on_disk = true;
                self.feed(Event::Materialised)?;
            }
        } else if effect == Effect::StopTurn {
            prop_assert!(self.turn_runs && !self.turn_stopped, "stopped twice, or nothing");
            self.turn_stopped = true;
        } else {
            prop_assert!(self.turn_runs, "steers nothing");
        }
        Ok(())
    }

    fn carry_out_for_unload(&mut self, effect: Effect) -> TestCaseResult {
        if effect == Effect::EndHelpers {
            self.ended_helpers += 1;
            self.under_way.insert(Motion::Helpers);
        } else if effect == Effect::KillHelpers {
            prop_assert!(self.under_way.contains(&Motion::Helpers), "kills the dead");
        } else if effect == Effect::CloseRollout {
            self.closed_rollout += 1;
            prop_assert!(!self.turn_runs, "closes the rollout under a turn");
            prop_assert_eq!(self.closed_rollout, 1);
            self.under_way.insert(Motion::Rollout);
        } else {
            let since = self.unloading_since.unwrap_or(self.now);
            prop_assert!(self.now >= since + POLICY.unload_limit, "given up too early");
            self.under_way.remove(&Motion::Rollout);
            self.under_way.remove(&Motion::Turn);
            (self.turn_runs, self.questions) = (false, 0);
        }
        Ok(())
    }

    fn check_state(&self, event: Event) -> TestCaseResult {
        let phase = self.machine.phase();
        if phase == Phase::Unloading {
            prop_assert!(self.machine.deadline().is_some(), "an unload without a bound");
        }
        let orphaned = self.counts.subscribers == 0;
        let active = self.questions + self.requests > 0;
        let counted = matches!(event, Event::Subscribers(_));
        if phase == Phase::Idle && orphaned && !active && counted {
            let deadline = self.machine.deadline();
            prop_assert!(deadline.is_some_and(|deadline| deadline > self.now), "an orphan without an end");
            prop_assert!(self.persistence == Persistence::Durable, "an ephemeral orphan stays");
        }
        if phase == Phase::Running && orphaned && counted {
            prop_assert!(self.persistence == Persistence::Durable, "an ephemeral orphan runs on");
            let ends = self.questions > 0 || self.policy.running_limit.is_some();
            let deadline = self.machine.deadline();
            let will_end = self.turn_stopped || deadline.is_some_and(|deadline| deadline > self.now);
            prop_assert!(!ends || will_end, "a turn that nobody watches runs on");
        }
        if matches!(phase, Phase::Idle | Phase::Running) {
            prop_assert!(self.resumes.is_empty(), "somebody waits for a thread that is there");
        }
        Ok(())
    }
}

/// Any instant: the machine only compares them.
pub fn start() -> Instant {
    crate::clock::Clock.now()
}
