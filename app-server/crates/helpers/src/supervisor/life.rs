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
pub(crate) struct Rules {
    /// Without a sign of life for so long, with calls outstanding, it is unresponsive.
    pub(crate) liveness: Duration,
    /// And then.
    pub(crate) on_unresponsive: OnUnresponsive,
}

/// An event in a helper's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
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
    /// [`Lifecycle::deadline`] has passed.
    Deadline,
    /// It is to be retried at once.
    Reopen,
    /// It is to stop for good.
    Stop,
}

/// An order of the machine to its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
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
    rules: Rules,
    state: State,
    /// The last failures, oldest first, none older than the breaker's window.
    failures: VecDeque<Instant>,
    /// Before the next start.
    backoff: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
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
    pinged: bool,
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
    pub(crate) fn new(rules: Rules) -> Self {
        let backoff = policy::HELPER_BACKOFF_FIRST;
        Self { rules, state: State::New, failures: VecDeque::new(), backoff }
    }

    /// Sets the reaction to an unresponsive helper.
    pub(crate) fn set_on_unresponsive(&mut self, on_unresponsive: OnUnresponsive) {
        self.rules.on_unresponsive = on_unresponsive;
    }

    /// Its public state.
    pub(crate) fn state(&self) -> HelperState {
        match self.state {
            State::New | State::Starting => HelperState::Starting,
            State::Up(up) if up.silent => HelperState::Unresponsive,
            State::Up(up) if up.calls > 0 => HelperState::Busy,
            State::Up(_) => HelperState::Ready,
            State::Ending(Then::Restart) | State::Waiting(_) => HelperState::Restarting,
            State::Ending(Then::Break) | State::Broken => HelperState::Broken,
            State::Ending(Then::Stop) => HelperState::Stopping,
            State::Stopped => HelperState::Stopped,
        }
    }

    /// The duty of its task.
    pub(crate) fn duty(&self) -> Duty {
        match self.state {
            State::Starting => Duty::Start,
            State::Up(_) => Duty::Watch,
            State::Ending(_) => Duty::End,
            State::New | State::Waiting(_) | State::Broken => Duty::Wait,
            State::Stopped => Duty::Over,
        }
    }

    /// The time of the next step without an event.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(until) => Some(until),
            State::Up(up) if up.calls > 0 && !up.silent => {
                Some(up.sign + if up.pinged { self.rules.liveness } else { self.rules.liveness / 2 })
            }
            State::Up(_)
            | State::New
            | State::Starting
            | State::Ending(_)
            | State::Broken
            | State::Stopped => None,
        }
    }

    /// Whether its signs of life are watched.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.state, State::Up(up) if up.calls > 0)
    }

    /// Takes an event. An event that does not fit the state changes nothing.
    #[must_use]
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        match event {
            Event::Begin => self.begin(),
            Event::Ready => self.ready(now),
            Event::Failed(fault) => self.failed(now, fault),
            Event::Gone => self.gone(now),
            Event::Left => self.left(),
            Event::Calls(calls) => self.calls(now, calls),
            Event::Sign => self.sign(now),
            Event::Deadline => self.deadline_passed(now),
            Event::Reopen => self.reopen(),
            Event::Stop => self.stop(),
        }
    }

    fn begin(&mut self) -> Vec<Effect> {
        if self.state != State::New {
            return vec![];
        }
        self.state = State::Starting;
        vec![Effect::Start]
    }

    fn ready(&mut self, now: Instant) -> Vec<Effect> {
        if self.state == State::Starting {
            self.state = State::Up(Up { since: now, calls: 0, sign: now, pinged: false, silent: false });
        }
        vec![]
    }

    fn failed(&mut self, now: Instant, fault: FailureKind) -> Vec<Effect> {
        match self.state {
            State::Starting => {}
            State::Up(up) => {
                if now.saturating_duration_since(up.since) >= policy::HELPER_HEALTHY {
                    self.backoff = policy::HELPER_BACKOFF_FIRST;
                }
            }
            State::New | State::Ending(_) | State::Waiting(_) | State::Broken | State::Stopped => {
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
        self.state = State::Ending(if opens { Then::Break } else { Then::Restart });
        vec![Effect::End]
    }

    fn gone(&mut self, now: Instant) -> Vec<Effect> {
        let State::Ending(then) = self.state else { return vec![] };
        match then {
            Then::Restart => {
                self.state = State::Waiting(now + self.backoff);
                self.backoff = (self.backoff * 2).min(policy::HELPER_BACKOFF_MOST);
                vec![]
            }
            Then::Break => self.give_up(),
            Then::Stop => self.end(),
        }
    }

    /// Survivors are never joined by a second process.
    fn left(&mut self) -> Vec<Effect> {
        let State::Ending(then) = self.state else { return vec![] };
        match then {
            Then::Restart | Then::Break => self.give_up(),
            Then::Stop => self.end(),
        }
    }

    fn give_up(&mut self) -> Vec<Effect> {
        self.state = State::Broken;
        vec![Effect::GivenUp]
    }

    fn end(&mut self) -> Vec<Effect> {
        self.state = State::Stopped;
        vec![Effect::Stopped]
    }

    fn calls(&mut self, now: Instant, calls: usize) -> Vec<Effect> {
        let State::Up(up) = &mut self.state else { return vec![] };
        if up.calls == 0 {
            // Silence without outstanding calls does not count.
            (up.sign, up.pinged) = (now, false);
        }
        up.calls = calls;
        if calls == 0 && up.silent {
            up.silent = false;
            return vec![Effect::Recovered];
        }
        vec![]
    }

    fn sign(&mut self, now: Instant) -> Vec<Effect> {
        let State::Up(up) = &mut self.state else { return vec![] };
        let was_silent = up.silent;
        (up.sign, up.pinged, up.silent) = (now, false, false);
        if was_silent { vec![Effect::Recovered] } else { vec![] }
    }

    fn deadline_passed(&mut self, now: Instant) -> Vec<Effect> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return vec![];
        }
        match &mut self.state {
            State::Up(up) if up.pinged => self.found_silent(now),
            State::Up(up) => {
                up.pinged = true;
                vec![Effect::Ping]
            }
            State::Waiting(_) => self.start(),
            State::New | State::Starting | State::Ending(_) | State::Broken | State::Stopped => vec![],
        }
    }

    fn found_silent(&mut self, now: Instant) -> Vec<Effect> {
        if let State::Up(up) = &mut self.state {
            up.silent = true;
        }
        let mut effects = vec![Effect::Unresponsive];
        match self.rules.on_unresponsive {
            OnUnresponsive::Report => {}
            OnUnresponsive::Fail => effects.push(Effect::FailCalls),
            OnUnresponsive::Restart => effects.extend(self.failed(now, FailureKind::Transient)),
        }
        effects
    }

    fn reopen(&mut self) -> Vec<Effect> {
        match self.state {
            State::Broken | State::Waiting(_) => {
                self.forgive();
                self.start()
            }
            State::Ending(Then::Break | Then::Restart) => {
                self.forgive();
                self.state = State::Ending(Then::Restart);
                vec![]
            }
            State::New | State::Starting | State::Up(_) | State::Ending(Then::Stop) | State::Stopped => {
                vec![]
            }
        }
    }

    fn forgive(&mut self) {
        self.failures.clear();
        self.backoff = policy::HELPER_BACKOFF_FIRST;
    }

    fn start(&mut self) -> Vec<Effect> {
        self.state = State::Starting;
        vec![Effect::Start]
    }

    fn stop(&mut self) -> Vec<Effect> {
        match self.state {
            State::Starting | State::Up(_) => {
                self.state = State::Ending(Then::Stop);
                vec![Effect::End]
            }
            State::Ending(_) => {
                self.state = State::Ending(Then::Stop);
                vec![]
            }
            State::New | State::Waiting(_) | State::Broken => self.end(),
            State::Stopped => vec![],
        }
    }
}
