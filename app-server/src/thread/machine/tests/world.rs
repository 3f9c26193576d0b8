//! The machine's surroundings.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;
use skein_protocol::error::WireError;
use tokio::time::Instant;

use crate::thread::effect::{Destination, MoveRefusal};
use crate::thread::event::{Counts, Event, Force, Materialised, TurnKept, WaiterId};
use crate::thread::machine::{Machine, Persistence, Phase, Policy};

mod effects;
mod relocation;
mod rules;

pub(super) const POLICY: Policy = Policy {
    grace: Duration::from_millis(100),
    unmaterialised_grace: Duration::from_secs(60),
    question_grace: Duration::from_secs(300),
    running_limit: None,
    unload_limit: Duration::from_secs(5),
};

/// Possible changes of the configuration.
const POLICIES: [Policy; 4] = [
    POLICY,
    Policy { grace: Duration::ZERO, ..POLICY },
    Policy { running_limit: Some(Duration::ZERO), ..POLICY },
    Policy { running_limit: Some(Duration::from_secs(10)), grace: Duration::from_secs(20), ..POLICY },
];

const DESTINATIONS: [Destination; 3] = [Destination::Archive, Destination::Threads, Destination::Trash];

/// A possible next action.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Advance(Duration),
    Resume,
    Leave,
    Observe,
    Withdraw(Index),
    Input,
    Interrupt,
    Ask,
    /// The running turn changes between interrupted, going on and waiting.
    Keep(Index),
    Answer,
    BeginRequest,
    EndRequest,
    Unload(bool),
    /// To one of [`DESTINATIONS`].
    Relocate(Index),
    FailMove,
    Evict,
    /// The configuration changes to one of [`POLICIES`].
    Reload(Index),
    /// A pending effect ends.
    Happen(Index),
    FailLoad,
    /// The machine's deadline comes.
    Overdue,
    /// The store takes nothing of this load any more.
    Fence,
    /// Records begin to wait for a storage that is away, or are saved.
    Save,
}

/// A pending effect of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Motion {
    Load,
    Turn,
    Helpers,
    Rollout,
    Move,
}

pub(super) struct World {
    machine: Machine,
    persistence: Persistence,
    now: Instant,
    policy: Policy,
    /// Since when a turn runs without subscribers.
    alone_since: Option<Instant>,
    counts: Counts,
    questions: usize,
    requests: usize,
    on_disk: bool,
    under_way: BTreeSet<Motion>,
    turn_runs: bool,
    turn_stopped: bool,
    /// The treatment of the running turn by the next load.
    kept: TurnKept,
    /// Whether the next load goes on with a turn.
    left: bool,
    resumes: BTreeSet<WaiterId>,
    unloads: BTreeSet<WaiterId>,
    /// The request for a move, with its destination.
    move_wanted: Option<(WaiterId, Destination)>,
    /// The rollout has moved, and the answer is next.
    has_moved: bool,
    next_waiter: u64,
    /// Since the thread entered Unloading; what that emitted.
    unloading_since: Option<Instant>,
    ended_helpers: usize,
    closed_rollout: usize,
    stopping: bool,
    asked_with_right: bool,
    /// While the writer reports that it can write nothing more.
    fenced: bool,
    /// Whether records of the loaded thread wait for a storage that is away.
    unsaved: bool,
    /// Whether the rollout of the unload under way was given up for such a report.
    is_cut_off: bool,
    was_loaded: bool,
}

impl World {
    pub(super) fn new(persistence: Persistence, on_disk: bool) -> Self {
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
            kept: TurnKept::No,
            left: false,
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
            fenced: false,
            unsaved: false,
            is_cut_off: false,
            was_loaded: false,
        }
    }

    pub(super) fn play(&mut self, acts: Vec<Act>) -> TestCaseResult {
        for act in acts {
            self.act(act)?;
        }
        Ok(())
    }

    /// Lets all pending effects end, without new actions.
    pub(super) fn stop_the_server(&mut self) -> TestCaseResult {
        self.stopping = true;
        self.feed(Event::Shutdown)?;
        self.let_everything_happen()?;
        prop_assert_eq!(self.machine.phase(), Phase::Gone);
        self.check_nobody_waits()
    }

    pub(super) fn everybody_leaves(&mut self) -> TestCaseResult {
        for who in self.resumes.clone() {
            self.feed(Event::Withdrawn(who))?;
        }
        self.counts = Counts { subscribers: 0, observers: self.counts.observers };
        self.requests = 0;
        if self.unsaved {
            self.save()?;
        }
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
            Act::Input => {
                let input = self.new_waiter();
                self.feed(Event::Input(input))
            }
            Act::Interrupt => self.feed(Event::Interrupt),
            Act::Keep(which) => self.keep(which),
            Act::Ask | Act::Answer | Act::BeginRequest | Act::EndRequest => self.activity_changes(&act),
            Act::Unload(force) => self.unload(force),
            Act::Relocate(which) => self.relocate(*which.get(&DESTINATIONS)),
            Act::FailMove if self.under_way.remove(&Motion::Move) => {
                self.feed(Event::MoveFailed(MoveRefusal::Failed("full".to_owned())))
            }
            Act::FailMove => Ok(()),
            Act::Evict => self.feed(Event::Evict),
            Act::Reload(which) => {
                self.policy = *which.get(&POLICIES);
                self.feed(Event::Policy(self.policy))
            }
            Act::Happen(which) => self.something_happens(which),
            Act::FailLoad if self.under_way.remove(&Motion::Load) => {
                self.feed(Event::LoadFailed(unreadable()))
            }
            Act::FailLoad => Ok(()),
            Act::Fence => self.fence(),
            Act::Save => self.save(),
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
            if self.questions == 0 && self.kept == TurnKept::Waits {
                self.kept = TurnKept::Yes;
            }
            return self.feed(Event::Turn { kept: self.kept, questions: self.questions });
        }
        let begins = matches!(act, Act::BeginRequest);
        self.requests = if begins { self.requests + 1 } else { self.requests.saturating_sub(1) };
        self.feed(Event::Requests(self.requests))
    }

    fn keep(&mut self, which: Index) -> TestCaseResult {
        let kept = *which.get(&[TurnKept::No, TurnKept::Yes, TurnKept::Waits]);
        if !self.turn_runs || (kept == TurnKept::Waits && self.questions == 0) {
            return Ok(());
        }
        self.kept = kept;
        self.feed(Event::Turn { kept, questions: self.questions })
    }

    /// Whether nothing goes on before a client answers.
    pub(super) fn waits(&self) -> bool {
        let is_durable = self.persistence == Persistence::Durable;
        is_durable && self.turn_runs && self.kept == TurnKept::Waits && self.requests == 0
    }

    /// Whether an unload without force is refused.
    fn is_active(&self) -> bool {
        (self.turn_runs || self.questions + self.requests > 0) && !self.waits() || self.unsaved
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
        // The actor defers an unload during a load, and answers an unload of a gone thread itself.
        if matches!(self.machine.phase(), Phase::Loading | Phase::Gone) {
            return Ok(());
        }
        let waiter = self.new_waiter();
        self.unloads.insert(waiter);
        let force = if force { Force::Yes } else { Force::No };
        let others = self.counts.subscribers;
        let refused = force == Force::No && (self.is_active() || others > 0);
        self.asked_with_right = !refused;
        self.feed(Event::Unload { waiter, force, others })?;
        self.asked_with_right = false;
        Ok(())
    }

    /// The writer reports it, at any time while the thread is loaded, and also behind the end of its unload.
    fn fence(&mut self) -> TestCaseResult {
        if !self.on_disk || matches!(self.machine.phase(), Phase::Loading | Phase::Gone) {
            return Ok(());
        }
        self.fenced = true;
        self.feed(Event::Fenced)?;
        self.fenced = false;
        Ok(())
    }

    fn save(&mut self) -> TestCaseResult {
        if self.on_disk && matches!(self.machine.phase(), Phase::Idle | Phase::Running) {
            self.unsaved = !self.unsaved;
            self.feed(Event::Unsaved(self.unsaved))?;
        }
        Ok(())
    }

    fn happen(&mut self, motion: Motion) -> TestCaseResult {
        match motion {
            Motion::Load if self.persistence == Persistence::Ephemeral && self.was_loaded => {
                self.feed(Event::LoadFailed(unreadable()))
            }
            Motion::Load => {
                let materialised = if self.on_disk { Materialised::Yes } else { Materialised::No };
                self.was_loaded = true;
                if std::mem::take(&mut self.left) {
                    (self.turn_runs, self.turn_stopped) = (true, false);
                    self.under_way.insert(Motion::Turn);
                    self.feed(Event::LoadedInTurn)?;
                } else {
                    self.feed(Event::Loaded(materialised))?;
                }
                self.feed(Event::Subscribers(self.counts))
            }
            Motion::Turn => {
                self.questions = 0;
                self.feed(Event::Turn { kept: self.kept, questions: 0 })?;
                (self.turn_runs, self.kept) = (false, TurnKept::No);
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
        let effects = self.machine.step(self.now, event.clone());
        let after = self.machine.phase();
        if before == Phase::Gone {
            prop_assert!(effects.is_empty(), "gone, and still wants {effects:?}");
        }
        self.check_entry(&event, before, after, &effects)?;
        self.check_stop(&event, after, &effects)?;
        let mut joined = false;
        for effect in effects {
            joined |= self.carry_out(effect, after)?;
        }
        if after == Phase::Gone && before != Phase::Gone {
            self.check_forgotten()?;
        }
        self.unsaved &= matches!(after, Phase::Idle | Phase::Running);
        let alone = self.turn_runs && self.counts.subscribers == 0;
        self.alone_since = if alone { Some(self.alone_since.unwrap_or(self.now)) } else { None };
        self.check_state(&event)?;
        if joined {
            self.feed(Event::Subscribers(self.counts))?;
        }
        Ok(())
    }
}

fn unreadable() -> WireError {
    WireError::internal("any", "the rollout cannot be read")
}

/// Any instant: the machine only compares them.
pub(super) fn start() -> Instant {
    skein_base::clock::Clock.now()
}
