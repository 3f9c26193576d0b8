//! The life of one thread, as a pure function: no I/O, no clock, no channel, no randomness.
//!
//! ```text
//!             loaded                  input
//!  Loading ----------> Idle ------------------> Running
//!    |  ^               |  ^                    |   |
//!    |  |               |  +---- turn ended ----+   | ephemeral and orphaned, asked with force,
//!    |  |               | orphaned, asked, server   | server stops
//!    |  | resumed       v stops                     v
//!    |  +-------- Unloading <-----------------------+
//!    |  meanwhile       | no helper left, rollout closed, and put where it was wanted
//!    |  load failed     v
//!    +---------------> Gone
//! ```
//!
//! `actor.rs` is the only driver: it feeds events, carries out the effects, and calls back at `deadline()`. After
//! `Loaded` and after each `AnswerResume` it says `Subscribers` before anything else, so that a thread never looks
//! orphaned between the load and the subscription that the load was for.

use std::time::Duration;

use skein_protocol::error::WireError;
use tokio::time::Instant;

use super::effect::{Destination, Effect, MoveRefusal, ResumeFailure, UnloadReason};
use super::event::{Counts, Event, Materialised, WaiterId};

mod admission;
mod elsewhere;
mod orphans;
mod unload;

pub(crate) use admission::{Admission, Needs};

#[cfg(test)]
mod tests;

/// How long an orphan may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Before an orphaned, idle, materialised thread is unloaded.
    pub(crate) grace: Duration,
    /// Before an orphaned thread that has nothing on disk is dropped.
    pub(crate) unmaterialised_grace: Duration,
    /// Before a turn whose question nobody can answer is interrupted.
    pub(crate) question_grace: Duration,
    /// Before a turn that nobody watches is interrupted; `None` lets it go on to its end. While a question waits, only
    /// `question_grace` counts: it waits for somebody to come back.
    pub(crate) running_limit: Option<Duration>,
    /// Before an unload stops waiting for the disk, and kills what still lives.
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

/// The name of a state, for those who only ask where a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its rollout is being read.
    Loading,
    /// No turn runs.
    Idle,
    /// A turn runs.
    Running,
    /// Its hard shutdown is under way.
    Unloading,
    /// It has no owner any more.
    Gone,
}

/// The machine as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// Where the thread is in its life.
    pub(crate) phase: Phase,
    /// Whether it has a rollout.
    pub(crate) materialised: Materialised,
    /// Since when nobody has used it, while it can make room for others.
    pub(crate) idle_since: Option<Instant>,
}

/// How far the rollout is on its way to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rollout {
    Open,
    Closing,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Helpers {
    NotStarted,
    Started,
}

/// What is to become of the rollout's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moving {
    to: Destination,
    /// Who is told.
    waiter: WaiterId,
    under_way: bool,
}

/// A hard shutdown under way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unloading {
    /// Decides what becomes of a resume that comes meanwhile.
    reason: UnloadReason,
    began: Instant,
    deadline: Instant,
    /// Resumes that came meanwhile, and load the thread again.
    waiting: Vec<WaiterId>,
    /// Unloads that are answered at the zero.
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

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Loading {
        waiting: Vec<WaiterId>,
        stop: bool,
    },
    Idle {
        /// When it was last of use to anybody.
        used: Instant,
        orphan_since: Option<Instant>,
    },
    Running(Running),
    Unloading(Unloading),
    Gone,
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
    materialised: Materialised,
    helpers: Helpers,
    /// Whether this owner has told anybody that the thread is loaded.
    announced: bool,
}

impl Machine {
    /// A thread that nobody has loaded yet. The first effect is always [`Effect::Load`], which the actor begins
    /// with.
    #[must_use]
    pub(crate) fn new(policy: Policy, persistence: Persistence) -> Self {
        Self {
            policy,
            persistence,
            state: State::Loading { waiting: Vec::new(), stop: false },
            counts: Counts::default(),
            questions: 0,
            requests: 0,
            materialised: Materialised::No,
            helpers: Helpers::NotStarted,
            announced: false,
        }
    }

    /// Takes one event and says what is to be done, in order.
    #[must_use]
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        if self.state == State::Gone {
            return Vec::new();
        }
        match event {
            Event::Loaded(materialised) => self.loaded(now, materialised),
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
            Event::Questions(count) => {
                self.questions = count;
                self.settle(now)
            }
            Event::Resume(who) => self.resume(now, who),
            Event::Withdrawn(who) => self.withdrawn(who),
            Event::Input(input) => self.input(now, input),
            Event::Interrupt => self.interrupt(),
            Event::TurnEnded => self.turn_ended(now),
            Event::Unload { waiter, force, others } => self.unload_asked(now, waiter, force, others),
            Event::PutElsewhere { waiter, to } => self.put_elsewhere(now, waiter, to),
            Event::Moved => self.moved(),
            Event::MoveFailed(why) => self.move_failed(MoveRefusal::Failed(why)),
            Event::Squeeze => self.squeeze(now),
            Event::Policy(policy) => {
                self.policy = policy;
                self.settle(now)
            }
            Event::Shutdown => self.shutdown(now),
            Event::HelpersEnded => self.unloading(|u| u.helpers_live = false),
            Event::RolloutClosed => self.unloading(|u| u.rollout = Rollout::Closed),
            Event::DeadlinePassed => self.deadline_passed(now),
        }
    }

    /// When `DeadlinePassed` is due, if ever.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Loading { .. } | State::Gone => None,
            State::Idle { orphan_since, .. } => {
                if self.active() {
                    return None;
                }
                orphan_since.map(|since| since + self.idle_grace())
            }
            State::Running(running) => self.turn_deadline(running),
            State::Unloading(unloading) => Some(unloading.deadline),
        }
    }

    /// The machine as others see it.
    #[must_use]
    pub(crate) fn view(&self) -> View {
        let (phase, materialised) = (self.phase(), self.materialised);
        View { phase, materialised, idle_since: self.idle_since() }
    }

    /// Where the thread is. Whether something may be done now is for [`Machine::admission`] to say.
    #[must_use]
    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            State::Loading { .. } => Phase::Loading,
            State::Idle { .. } => Phase::Idle,
            State::Running(_) => Phase::Running,
            State::Unloading(_) => Phase::Unloading,
            State::Gone => Phase::Gone,
        }
    }

    /// Since when nobody has used the thread, while it may be squeezed out.
    #[must_use]
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        match (&self.state, self.materialised) {
            (State::Idle { used, .. }, Materialised::Yes) if !self.active() => Some(*used),
            (State::Idle { .. }, Materialised::Yes | Materialised::No)
            | (State::Loading { .. } | State::Running(_) | State::Unloading(_) | State::Gone, _) => None,
        }
    }

    /// Whether the thread has a rollout on disk.
    #[must_use]
    pub(crate) fn is_materialised(&self) -> bool {
        self.materialised == Materialised::Yes
    }

    /// What the machine knows of the configuration.
    #[must_use]
    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    /// When the unload that is under way began.
    #[must_use]
    pub(crate) fn unload_began(&self) -> Option<Instant> {
        match &self.state {
            State::Unloading(unloading) => Some(unloading.began),
            State::Loading { .. } | State::Idle { .. } | State::Running(_) | State::Gone => None,
        }
    }

    /// Something goes on besides a turn.
    fn active(&self) -> bool {
        self.questions > 0 || self.requests > 0
    }

    fn requests(&mut self, now: Instant, count: usize) -> Vec<Effect> {
        if self.requests != count {
            self.used(now);
        }
        self.requests = count;
        self.settle(now)
    }

    /// Somebody uses the thread: it is not the longest idle one any more.
    fn used(&mut self, now: Instant) {
        match &mut self.state {
            State::Idle { used, .. } => *used = now,
            State::Loading { .. } | State::Running(_) | State::Unloading(_) | State::Gone => {}
        }
    }

    fn loaded(&mut self, now: Instant, materialised: Materialised) -> Vec<Effect> {
        match &mut self.state {
            State::Loading { waiting, stop } => {
                let (waiting, stop) = (std::mem::take(waiting), *stop);
                self.materialised = materialised;
                self.announced = true;
                self.state = State::Idle { used: now, orphan_since: None };
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

    /// A failed load tells everyone who waits, and sends no `thread/closed`. Only when an earlier load of this owner
    /// was announced does everyone else hear that the thread is not loaded any more.
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

    /// A thread that was made only to be changed has no helpers until somebody wants it; an ephemeral one has
    /// none until a turn needs tools.
    fn start_helpers(&mut self) -> Vec<Effect> {
        match (self.helpers, self.persistence) {
            (Helpers::NotStarted, Persistence::Durable) => {
                self.helpers = Helpers::Started;
                vec![Effect::StartHelpers]
            }
            (Helpers::Started, _) | (_, Persistence::Ephemeral) => Vec::new(),
        }
    }

    fn input(&mut self, now: Instant, input: WaiterId) -> Vec<Effect> {
        match &self.state {
            State::Idle { orphan_since, .. } => {
                let orphan_since = *orphan_since;
                let running = Running { began: now, orphan_since, unanswerable_since: None, stopping: false };
                self.state = State::Running(running);
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
