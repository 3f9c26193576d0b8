//! The life of one thread as a pure function: no I/O, no clock, no channel, no randomness.
//!
//! ```text
//!             loaded                  input
//!  Loading ----------> Idle ------------------> Running
//!    |  ^               |  ^                    |   |
//!    |  |               |  +---- turn ended ----+   | ephemeral and orphaned, asked with force, waits for
//!    |  |               | orphaned, asked, server   | an answer and orphaned, server stops
//!    |  | resumed       v stops                     v
//!    |  +-------- Unloading <-----------------------+
//!    |  meanwhile       | no helper left, rollout closed and at its destination
//!    |  load failed     v
//!    +---------------> Gone
//! ```
//!
//! A load that goes on with a turn of an earlier load leads to Running.
//!
//! `actor/` is the only driver: it feeds events, carries out effects, and calls back at `deadline()`. After `Loaded` and
//! after each `AnswerResume` its next event is `Subscribers`. So a thread never looks orphaned between its load and the
//! subscription that caused the load.

use std::time::Duration;

use skein_protocol::error::WireError;
use tokio::time::Instant;

use super::effect::{Destination, Effect, ResumeFailure, UnloadReason};
use super::event::{Counts, Event, Materialised, QueueState, TurnKept, WaiterId};

mod admission;
mod orphans;
mod relocation;
mod unload;

pub(crate) use admission::{CommandAdmission, Needs};

#[cfg(test)]
mod tests;

/// How long a thread without subscribers may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Before an orphaned, idle, materialised thread is unloaded.
    pub(crate) grace: Duration,
    /// Before an orphaned thread that has nothing on disk is dropped.
    pub(crate) unmaterialised_grace: Duration,
    /// Before a turn with an unanswerable question is interrupted.
    pub(crate) question_grace: Duration,
    /// Before a turn without subscribers is interrupted; `None` lets it end by itself. While a question waits, only
    /// `question_grace` counts.
    pub(crate) running_limit: Option<Duration>,
    /// Before an unload gives up the disk and kills the remaining helpers.
    pub(crate) unload_limit: Duration,
}

/// Whether a thread outlives its subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Written once it has a user message.
    Durable,
    /// Never written, never listed, gone with its last subscriber.
    Ephemeral,
}

/// The name of a state, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The rollout is being read.
    Loading,
    /// No turn runs.
    Idle,
    /// A turn runs.
    Running,
    /// The hard shutdown is under way.
    Unloading,
    /// The thread has no owner any more.
    Gone,
}

/// The machine as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) phase: Phase,
    pub(crate) materialised: Materialised,
    /// Since when no client has used the thread, while an eviction may unload it.
    pub(crate) idle_since: Option<Instant>,
}

/// Progress of the rollout's close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rollout {
    Open,
    Closing,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HelpersState {
    NotStarted,
    Started,
}

/// A move of the rollout at the end of an unload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moving {
    to: Destination,
    waiter: WaiterId,
    under_way: bool,
}

/// A hard shutdown under way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unloading {
    /// Decides how a resume is answered meanwhile.
    reason: UnloadReason,
    began: Instant,
    deadline: Instant,
    /// Resumes that came meanwhile. They load the thread again.
    waiting: Vec<WaiterId>,
    /// Unloads that are answered when the thread has fully stopped.
    askers: Vec<WaiterId>,
    turn_runs: bool,
    helpers_live: bool,
    rollout: Rollout,
    moving: Option<Moving>,
}

/// A turn under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    began: Instant,
    orphan_since: Option<Instant>,
    unanswerable_since: Option<Instant>,
    stopping: bool,
}

impl Running {
    fn since(began: Instant) -> Self {
        Self { began, orphan_since: None, unanswerable_since: None, stopping: false }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Loading {
        waiting: Vec<WaiterId>,
        stop: bool,
    },
    Idle {
        /// When a client last used the thread.
        used: Instant,
        orphan_since: Option<Instant>,
    },
    Running(Running),
    Unloading(Unloading),
    Gone,
}

impl State {
    fn idle(now: Instant) -> Self {
        Self::Idle { used: now, orphan_since: None }
    }

    fn running(now: Instant) -> Self {
        Self::Running(Running::since(now))
    }
}

/// The machine. Equal events at equal times give equal effects.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    policy: Policy,
    persistence: Persistence,
    state: State,
    counts: Counts,
    questions: usize,
    requests: usize,
    /// Whether records wait for a storage that is away.
    unsaved: bool,
    queue: QueueState,
    turn: TurnKept,
    materialised: Materialised,
    helpers: HelpersState,
    /// Whether this owner has published that the thread is loaded.
    announced: bool,
}

impl Machine {
    /// A thread before its load. The actor begins with [`Effect::Load`].
    pub(crate) fn new(policy: Policy, persistence: Persistence) -> Self {
        Self {
            policy,
            persistence,
            state: State::Loading { waiting: Vec::new(), stop: false },
            counts: Counts::default(),
            questions: 0,
            requests: 0,
            unsaved: false,
            queue: QueueState::Quiet,
            turn: TurnKept::No,
            materialised: Materialised::No,
            helpers: HelpersState::NotStarted,
            announced: false,
        }
    }

    /// Takes one event. Returns the effects, in order.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        if self.state == State::Gone {
            return Vec::new();
        }
        match event {
            Event::Loaded(materialised) => self.loaded(now, materialised, State::idle(now)),
            Event::LoadedInTurn => self.loaded(now, Materialised::Yes, State::running(now)),
            Event::LoadFailed(error) => self.load_failed(&error),
            Event::Materialised => {
                self.materialised = Materialised::Yes;
                Vec::new()
            }
            Event::Subscribers(counts) => {
                self.counts = counts;
                self.settle(now)
            }
            Event::Requests(count) => self.requests(now, count),
            Event::Unsaved(unsaved) => self.unsaved_is(now, unsaved),
            Event::Queue(queue) => self.queue_is(now, queue),
            Event::Resume(who) => self.resume(now, who),
            Event::Withdrawn(who) => self.withdrawn(who),
            Event::Input(input) => self.input(now, input),
            Event::Interrupt => self.interrupt(),
            Event::Turn { kept, questions } => self.turn_is(now, kept, questions),
            Event::TurnEnded => self.turn_ended(now),
            Event::Unload { waiter, force, others } => self.unload_asked(now, waiter, force, others),
            Event::Relocate { waiter, to } => self.relocate(now, waiter, to),
            Event::Moved => self.moved(),
            Event::MoveFailed(why) => self.move_failed(why),
            Event::Evict => self.evict(now),
            Event::Policy(policy) => {
                self.policy = policy;
                self.settle(now)
            }
            Event::Shutdown => self.shutdown(now),
            Event::HelpersEnded => self.unloading(|u| u.helpers_live = false),
            Event::Fenced => self.fenced(now),
            Event::RolloutClosed => self.unloading(|u| u.rollout = Rollout::Closed),
            Event::DeadlinePassed => self.deadline_passed(now),
        }
    }

    /// When `DeadlinePassed` is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Loading { .. } | State::Gone => None,
            State::Idle { orphan_since, .. } => {
                if self.active() {
                    return None;
                }
                orphan_since.map(|since| since + self.idle_grace())
            }
            // It is parked when its records are saved.
            State::Running(_) if self.waits() && self.unsaved => None,
            State::Running(running) => self.turn_deadline(running),
            State::Unloading(unloading) => Some(unloading.deadline),
        }
    }

    /// The machine as others see it.
    pub(crate) fn view(&self) -> View {
        let (phase, materialised) = (self.phase(), self.materialised);
        View { phase, materialised, idle_since: self.idle_since() }
    }

    /// The current phase. [`Machine::admission`] decides about commands.
    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            State::Loading { .. } => Phase::Loading,
            State::Idle { .. } => Phase::Idle,
            State::Running(_) => Phase::Running,
            State::Unloading(_) => Phase::Unloading,
            State::Gone => Phase::Gone,
        }
    }

    /// Since when no client has used the thread, while an eviction may unload it: an idle thread, or one whose turn waits for an
    /// answer since its beginning.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        match (&self.state, self.materialised) {
            (State::Idle { used, .. }, Materialised::Yes) if !self.active() => Some(*used),
            (State::Running(running), Materialised::Yes) if self.can_park() && !running.stopping => {
                Some(running.began)
            }
            (State::Idle { .. }, Materialised::Yes | Materialised::No)
            | (State::Loading { .. } | State::Running(_) | State::Unloading(_) | State::Gone, _) => None,
        }
    }

    /// Whether the thread has a rollout on disk.
    pub(crate) fn is_materialised(&self) -> bool {
        self.materialised == Materialised::Yes
    }

    /// The treatment of the running turn by the next load, and its open questions.
    pub(crate) fn turn(&self) -> (TurnKept, usize) {
        (self.turn, self.questions)
    }

    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    /// When the current unload began.
    pub(crate) fn unload_began(&self) -> Option<Instant> {
        match &self.state {
            State::Unloading(unloading) => Some(unloading.began),
            State::Loading { .. } | State::Idle { .. } | State::Running(_) | State::Gone => None,
        }
    }

    /// Whether questions or requests to helpers are under way, a turn is about to begin, or records wait for a storage that is away.
    pub(crate) fn active(&self) -> bool {
        self.questions > 0 || self.requests > 0 || self.unsaved || self.queue == QueueState::Ready
    }

    fn requests(&mut self, now: Instant, count: usize) -> Vec<Effect> {
        if self.requests != count {
            self.used(now);
        }
        self.requests = count;
        self.settle(now)
    }

    fn unsaved_is(&mut self, now: Instant, unsaved: bool) -> Vec<Effect> {
        self.unsaved = unsaved;
        self.settle(now)
    }

    fn queue_is(&mut self, now: Instant, queue: QueueState) -> Vec<Effect> {
        self.queue = queue;
        self.settle(now)
    }

    fn turn_is(&mut self, now: Instant, kept: TurnKept, questions: usize) -> Vec<Effect> {
        (self.turn, self.questions) = (kept, questions);
        self.settle(now)
    }

    /// A client uses the thread: its idle time starts again.
    fn used(&mut self, now: Instant) {
        match &mut self.state {
            State::Idle { used, .. } => *used = now,
            State::Loading { .. } | State::Running(_) | State::Unloading(_) | State::Gone => {}
        }
    }

    fn loaded(&mut self, now: Instant, materialised: Materialised, next: State) -> Vec<Effect> {
        match &mut self.state {
            State::Loading { waiting, stop } => {
                let (waiting, stop) = (std::mem::take(waiting), *stop);
                (self.materialised, self.unsaved) = (materialised, false);
                self.announced = true;
                self.state = next;
                if stop {
                    return self.unload(now, UnloadReason::Shutdown);
                }
                let mut effects = Vec::new();
                if !waiting.is_empty() {
                    effects.extend(self.start_helpers());
                }
                effects.extend(waiting.into_iter().map(Effect::AnswerResume));
                effects
            }
            State::Idle { .. } | State::Running(_) | State::Unloading(_) | State::Gone => Vec::new(),
        }
    }

    /// A failed load refuses the waiting resumes, and publishes no `thread/closed`. It publishes `notLoaded` only if an
    /// earlier load of this owner was published.
    fn load_failed(&mut self, error: &WireError) -> Vec<Effect> {
        match &mut self.state {
            State::Loading { waiting, .. } => {
                let waiting = std::mem::take(waiting);
                self.state = State::Gone;
                let failed = |who| Effect::FailResume(who, ResumeFailure::LoadFailed(error.clone()));
                let mut effects: Vec<Effect> = waiting.into_iter().map(failed).collect();
                if self.announced {
                    effects.push(Effect::AnnounceNotLoaded);
                }
                effects
            }
            State::Idle { .. } | State::Running(_) | State::Unloading(_) | State::Gone => Vec::new(),
        }
    }

    fn resume(&mut self, now: Instant, who: WaiterId) -> Vec<Effect> {
        self.used(now);
        match &mut self.state {
            State::Loading { stop: true, .. } => vec![Effect::FailResume(who, ResumeFailure::Shutdown)],
            State::Loading { waiting, .. } => {
                waiting.push(who);
                Vec::new()
            }
            State::Idle { .. } | State::Running(_) => {
                let mut effects = self.start_helpers();
                effects.push(Effect::AnswerResume(who));
                effects
            }
            State::Unloading(Unloading { reason: UnloadReason::Shutdown, .. }) => {
                vec![Effect::FailResume(who, ResumeFailure::Shutdown)]
            }
            State::Unloading(unloading) => {
                unloading.waiting.push(who);
                Vec::new()
            }
            State::Gone => Vec::new(),
        }
    }

    fn withdrawn(&mut self, who: WaiterId) -> Vec<Effect> {
        let waiting = match &mut self.state {
            State::Loading { waiting, .. } => waiting,
            State::Unloading(unloading) => &mut unloading.waiting,
            State::Idle { .. } | State::Running(_) | State::Gone => return Vec::new(),
        };
        let before = waiting.len();
        waiting.retain(|waits| *waits != who);
        if waiting.len() == before {
            return Vec::new();
        }
        vec![Effect::FailResume(who, ResumeFailure::Withdrawn)]
    }

    /// Starts the helpers of a durable thread once. An ephemeral thread has none until a turn needs tools.
    fn start_helpers(&mut self) -> Vec<Effect> {
        match (self.helpers, self.persistence) {
            (HelpersState::NotStarted, Persistence::Durable) => {
                self.helpers = HelpersState::Started;
                vec![Effect::StartHelpers]
            }
            (HelpersState::Started, _) | (_, Persistence::Ephemeral) => Vec::new(),
        }
    }

    fn input(&mut self, now: Instant, input: WaiterId) -> Vec<Effect> {
        match &self.state {
            State::Idle { orphan_since, .. } => {
                let orphan_since = *orphan_since;
                self.state = State::Running(Running { orphan_since, ..Running::since(now) });
                vec![Effect::BeginTurn(input)]
            }
            State::Running(_) => vec![Effect::SteerTurn(input)],
            State::Loading { .. } | State::Unloading(_) => vec![Effect::DeferInput(input)],
            State::Gone => Vec::new(),
        }
    }

    fn interrupt(&mut self) -> Vec<Effect> {
        match &mut self.state {
            State::Running(running) if !running.stopping => {
                running.stopping = true;
                vec![Effect::StopTurn]
            }
            State::Loading { .. }
            | State::Idle { .. }
            | State::Running(_)
            | State::Unloading(_)
            | State::Gone => Vec::new(),
        }
    }

    fn turn_ended(&mut self, now: Instant) -> Vec<Effect> {
        match &self.state {
            State::Running(running) => {
                self.state = State::Idle { used: now, orphan_since: running.orphan_since };
                self.turn = TurnKept::No;
                self.settle(now)
            }
            State::Unloading(_) => self.unloading(|u| u.turn_runs = false),
            State::Loading { .. } | State::Idle { .. } | State::Gone => Vec::new(),
        }
    }

    fn deadline_passed(&mut self, now: Instant) -> Vec<Effect> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        match &self.state {
            State::Idle { .. } | State::Running(_) => self.settle(now),
            State::Unloading(_) => self.unload_overdue(now),
            State::Loading { .. } | State::Gone => Vec::new(),
        }
    }
}
