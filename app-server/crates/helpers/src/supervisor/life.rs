//! When a helper is started, ended, started again and given up, and whether it is alive: a pure machine. It has no task, no
//! clock and no process; `supervisor.rs` feeds it events, carries out its effects, and calls back at [`Lifecycle::deadline`].
//!
//! ```text
//!             ready                 exit, garbage, closed stdout         no process left
//!  starting ---------> ready/busy/unresponsive ------------------> ending ----------------> waiting
//!     ^  \____________________________________________________________^ |                     |
//!     |        failed                                                   | five within 60 s,   | back-off
//!     |                                                                 v or no such program  |
//!     +<------------------------- reopen ---------------------------- broken                  |
//!     +<--------------------------------------------------------------------------------------+
//! ```
//!
//! A stop leads from everywhere to stopped, by way of the end of what runs.

use std::collections::VecDeque;
use std::time::Duration;

use skein_protocol::extension::HelperState;
use tokio::time::Instant;

use crate::error::FailureKind;
use crate::policy;
use crate::spec::OnUnresponsive;

#[cfg(test)]
mod tests;

/// The rules of one helper's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LifeRules {
    /// Without a sign of life for so long, with calls outstanding, it is unresponsive.
    pub(crate) liveness: Duration,
    /// And then.
    pub(crate) on_unresponsive: OnUnresponsive,
}

/// An event in a helper's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LifeEvent {
    /// It is wanted.
    Begin,
    /// It takes calls.
    Ready,
    /// Its start failed, or it ended, closed its output or printed garbage.
    Failed(FailureKind),
    /// No process of it is left.
    Gone,
    /// It was ended, and processes are left that the kernel holds.
    Left,
    /// So many calls are outstanding now.
    Calls(usize),
    /// It is alive.
    Sign,
    /// A look that found none. Silence is what looks find: a server that was stopped, or gets no processor, finds none.
    Quiet,
    /// [`Lifecycle::deadline`] has passed.
    Deadline,
    /// It is to be retried at once.
    Reopen,
    /// It is to stop for good.
    Stop,
}

/// An order of the machine to its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LifeEffect {
    /// Start it, and report the result.
    Start,
    /// End its session, and report when nothing is left.
    End,
    /// Send a ping, if its revision of MCP has one.
    Ping,
    /// Report that it is unresponsive.
    Unresponsive,
    /// Report that it responds again.
    Recovered,
    /// End the outstanding calls.
    FailCalls,
    /// Report that it is given up.
    GivenUp,
    /// Report that it is fully stopped, for good.
    Stopped,
}

/// The current duty of a helper's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    Start,
    Watch,
    /// Wait for its end.
    End,
    /// Wait for the deadline, if there is one, for a stop, or for an order to retry.
    Wait,
    /// Nothing.
    Over,
}

/// One helper's life.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    rules: LifeRules,
    state: LifeState,
    /// The last failures, oldest first, none older than the breaker's window.
    failures: VecDeque<Instant>,
    /// Before the next start.
    backoff: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LifeState {
    New,
    Starting,
    Up(Up),
    Ending(Then),
    Waiting(Instant),
    Broken,
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Up {
    since: Instant,
    calls: usize,
    /// The last sign of life, or the first of the calls that are outstanding.
    sign: Instant,
    /// When the ping was asked for, if nothing has come since.
    pinged: Option<Instant>,
    silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Restart,
    Break,
    Stop,
}

impl Lifecycle {
    /// One that has not begun.
    pub(crate) fn new(rules: LifeRules) -> Self {
        let backoff = policy::HELPER_BACKOFF_FIRST;
        Self { rules, state: LifeState::New, failures: VecDeque::new(), backoff }
    }

    /// Sets the reaction to an unresponsive helper.
    pub(crate) fn set_on_unresponsive(&mut self, on_unresponsive: OnUnresponsive) {
        self.rules.on_unresponsive = on_unresponsive;
    }

    /// Its public state.
    pub(crate) fn state(&self) -> HelperState {
        match self.state {
            LifeState::New | LifeState::Starting => HelperState::Starting,
            LifeState::Up(up) if up.silent => HelperState::Unresponsive,
            LifeState::Up(up) if up.calls > 0 => HelperState::Busy,
            LifeState::Up(_) => HelperState::Ready,
            LifeState::Ending(Then::Restart) | LifeState::Waiting(_) => HelperState::Restarting,
            LifeState::Ending(Then::Break) | LifeState::Broken => HelperState::Broken,
            LifeState::Ending(Then::Stop) => HelperState::Stopping,
            LifeState::Stopped => HelperState::Stopped,
        }
    }

    /// The duty of its task.
    pub(crate) fn duty(&self) -> Duty {
        match self.state {
            LifeState::Starting => Duty::Start,
            LifeState::Up(_) => Duty::Watch,
            LifeState::Ending(_) => Duty::End,
            LifeState::New | LifeState::Waiting(_) | LifeState::Broken => Duty::Wait,
            LifeState::Stopped => Duty::Over,
        }
    }

    /// The time of the next step without an event.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            LifeState::Waiting(until) => Some(until),
            LifeState::Up(_)
            | LifeState::New
            | LifeState::Starting
            | LifeState::Ending(_)
            | LifeState::Broken
            | LifeState::Stopped => None,
        }
    }

    /// Whether its signs of life are watched.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.state, LifeState::Up(up) if up.calls > 0)
    }

    /// Takes an event. An event that does not fit the state changes nothing.
    #[must_use]
    pub(crate) fn step(&mut self, now: Instant, event: LifeEvent) -> Vec<LifeEffect> {
        match event {
            LifeEvent::Begin => self.begin(),
            LifeEvent::Ready => self.ready(now),
            LifeEvent::Failed(fault) => self.failed(now, fault),
            LifeEvent::Gone => self.gone(now),
            LifeEvent::Left => self.left(),
            LifeEvent::Calls(calls) => self.calls(now, calls),
            LifeEvent::Sign => self.sign(now),
            LifeEvent::Quiet => self.quiet(now),
            LifeEvent::Deadline => self.deadline_passed(now),
            LifeEvent::Reopen => self.reopen(),
            LifeEvent::Stop => self.stop(),
        }
    }

    fn begin(&mut self) -> Vec<LifeEffect> {
        if self.state != LifeState::New {
            return vec![];
        }
        self.state = LifeState::Starting;
        vec![LifeEffect::Start]
    }

    fn ready(&mut self, now: Instant) -> Vec<LifeEffect> {
        if self.state == LifeState::Starting {
            self.state = LifeState::Up(Up { since: now, calls: 0, sign: now, pinged: None, silent: false });
        }
        vec![]
    }

    fn failed(&mut self, now: Instant, fault: FailureKind) -> Vec<LifeEffect> {
        match self.state {
            LifeState::Starting => {}
            LifeState::Up(up) => {
                if now.saturating_duration_since(up.since) >= policy::HELPER_HEALTHY {
                    self.backoff = policy::HELPER_BACKOFF_FIRST;
                }
            }
            LifeState::New
            | LifeState::Ending(_)
            | LifeState::Waiting(_)
            | LifeState::Broken
            | LifeState::Stopped => {
                return vec![];
            }
        }
        let opens = match fault {
            FailureKind::Transient => {
                let window = policy::HELPER_BREAKER_WINDOW;
                self.failures.retain(|at| now.saturating_duration_since(*at) <= window);
                self.failures.push_back(now);
                self.failures.len() >= policy::HELPER_BREAKER_FAILURES
            }
            FailureKind::Unreachable => false,
            FailureKind::Permanent => true,
        };
        self.state = LifeState::Ending(if opens { Then::Break } else { Then::Restart });
        vec![LifeEffect::End]
    }

    fn gone(&mut self, now: Instant) -> Vec<LifeEffect> {
        let LifeState::Ending(then) = self.state else { return vec![] };
        match then {
            Then::Restart => {
                self.state = LifeState::Waiting(now + self.backoff);
                self.backoff = (self.backoff * 2).min(policy::HELPER_BACKOFF_MOST);
                vec![]
            }
            Then::Break => self.give_up(),
            Then::Stop => self.end(),
        }
    }

    /// Survivors are never joined by a second process.
    fn left(&mut self) -> Vec<LifeEffect> {
        let LifeState::Ending(then) = self.state else { return vec![] };
        match then {
            Then::Restart | Then::Break => self.give_up(),
            Then::Stop => self.end(),
        }
    }

    fn give_up(&mut self) -> Vec<LifeEffect> {
        self.state = LifeState::Broken;
        vec![LifeEffect::GivenUp]
    }

    fn end(&mut self) -> Vec<LifeEffect> {
        self.state = LifeState::Stopped;
        vec![LifeEffect::Stopped]
    }

    fn calls(&mut self, now: Instant, calls: usize) -> Vec<LifeEffect> {
        let LifeState::Up(up) = &mut self.state else { return vec![] };
        if up.calls == 0 {
            // Silence without outstanding calls does not count.
            (up.sign, up.pinged) = (now, None);
        }
        up.calls = calls;
        if calls == 0 && up.silent {
            up.silent = false;
            return vec![LifeEffect::Recovered];
        }
        vec![]
    }

    fn sign(&mut self, now: Instant) -> Vec<LifeEffect> {
        let LifeState::Up(up) = &mut self.state else { return vec![] };
        let was_silent = up.silent;
        (up.sign, up.pinged, up.silent) = (now, None, false);
        if was_silent { vec![LifeEffect::Recovered] } else { vec![] }
    }

    /// Asks for a ping after half of the time, and has found silence half of it later.
    fn quiet(&mut self, now: Instant) -> Vec<LifeEffect> {
        let half = self.rules.liveness / 2;
        let LifeState::Up(up) = &mut self.state else { return vec![] };
        if up.calls == 0 || up.silent || now < up.pinged.unwrap_or(up.sign) + half {
            return vec![];
        }
        if up.pinged.is_some() {
            return self.found_silent(now);
        }
        up.pinged = Some(now);
        vec![LifeEffect::Ping]
    }

    fn deadline_passed(&mut self, now: Instant) -> Vec<LifeEffect> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return vec![];
        }
        match self.state {
            LifeState::Waiting(_) => self.start(),
            LifeState::New
            | LifeState::Starting
            | LifeState::Up(_)
            | LifeState::Ending(_)
            | LifeState::Broken
            | LifeState::Stopped => vec![],
        }
    }

    fn found_silent(&mut self, now: Instant) -> Vec<LifeEffect> {
        if let LifeState::Up(up) = &mut self.state {
            up.silent = true;
        }
        let mut effects = vec![LifeEffect::Unresponsive];
        match self.rules.on_unresponsive {
            OnUnresponsive::Report => {}
            OnUnresponsive::Fail => effects.push(LifeEffect::FailCalls),
            OnUnresponsive::Restart => effects.extend(self.failed(now, FailureKind::Transient)),
        }
        effects
    }

    fn reopen(&mut self) -> Vec<LifeEffect> {
        match self.state {
            LifeState::Broken | LifeState::Waiting(_) => {
                self.forgive();
                self.start()
            }
            LifeState::Ending(Then::Break | Then::Restart) => {
                self.forgive();
                self.state = LifeState::Ending(Then::Restart);
                vec![]
            }
            LifeState::New
            | LifeState::Starting
            | LifeState::Up(_)
            | LifeState::Ending(Then::Stop)
            | LifeState::Stopped => {
                vec![]
            }
        }
    }

    fn forgive(&mut self) {
        self.failures.clear();
        self.backoff = policy::HELPER_BACKOFF_FIRST;
    }

    fn start(&mut self) -> Vec<LifeEffect> {
        self.state = LifeState::Starting;
        vec![LifeEffect::Start]
    }

    fn stop(&mut self) -> Vec<LifeEffect> {
        match self.state {
            LifeState::Starting | LifeState::Up(_) => {
                self.state = LifeState::Ending(Then::Stop);
                vec![LifeEffect::End]
            }
            LifeState::Ending(_) => {
                self.state = LifeState::Ending(Then::Stop);
                vec![]
            }
            LifeState::New | LifeState::Waiting(_) | LifeState::Broken => self.end(),
            LifeState::Stopped => vec![],
        }
    }
}
