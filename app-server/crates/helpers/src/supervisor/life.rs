//! When a helper is started, ended, started again and given up, and whether it is alive: a pure machine. It has no task, no
//! clock and no process; `supervisor.rs` feeds it events, carries out its effects, and calls back at [`Life::deadline`].
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

use crate::policy;
use crate::spec::OnUnresponsive;

#[cfg(test)]
mod tests;

/// What one helper's life goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Without a sign of life for so long, with calls outstanding, it is unresponsive.
    pub(crate) liveness: Duration,
    /// And then.
    pub(crate) on_unresponsive: OnUnresponsive,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is wanted.
    Begin,
    /// It takes calls.
    Ready,
    /// Its start failed, or it ended, closed its output or printed garbage.
    Failed(Fault),
    /// No process of it is left.
    Gone,
    /// It was ended, and processes are left that the kernel holds.
    Left,
    /// So many calls are outstanding now.
    Calls(usize),
    /// It is alive.
    Sign,
    /// [`Life::deadline`] has passed.
    Deadline,
    /// Somebody wants it tried again.
    Reopen,
    /// It is not wanted any more.
    Stop,
}

/// Whether another try may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It may.
    Passing,
    /// It will when somebody else has mended it: the server of a helper over HTTP is not there. To look for it costs little.
    Away,
    /// The program is not there, or may not be run.
    Lasting,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Start it, and tell how that went.
    Start,
    /// End what runs of it, and tell when nothing is left.
    End,
    /// Ask whether it is there, where that can be asked.
    Ping,
    /// Tell that it is unresponsive.
    Silent,
    /// Tell that it is not any more.
    Heard,
    /// End the outstanding calls.
    FailCalls,
    /// Tell that it is given up.
    GivenUp,
    /// Tell that nothing is left of it, for good.
    Over,
}

/// What a helper's task has to do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Bring it up.
    Start,
    /// Watch what runs.
    Watch,
    /// See it end.
    End,
    /// Wait for the deadline, where there is one, for a stop or for who wants it tried again.
    Wait,
    /// Nothing.
    Over,
}

/// One helper's life.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    rules: Rules,
    stage: Stage,
    /// The last failures, oldest first, none older than the breaker's window.
    failures: VecDeque<Instant>,
    /// Before the next start.
    backoff: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unborn,
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

impl Life {
    /// One that has not begun.
    pub(crate) fn new(rules: Rules) -> Self {
        let backoff = policy::HELPER_BACKOFF_FIRST;
        Self { rules, stage: Stage::Unborn, failures: VecDeque::new(), backoff }
    }

    /// What is done from now on about a helper that shows no life.
    pub(crate) fn goes_by(&mut self, on_unresponsive: OnUnresponsive) {
        self.rules.on_unresponsive = on_unresponsive;
    }

    /// Where it is, as everybody may see it.
    pub(crate) fn state(&self) -> HelperState {
        match self.stage {
            Stage::Unborn | Stage::Starting => HelperState::Starting,
            Stage::Up(up) if up.silent => HelperState::Unresponsive,
            Stage::Up(up) if up.calls > 0 => HelperState::Busy,
            Stage::Up(_) => HelperState::Ready,
            Stage::Ending(Then::Restart) | Stage::Waiting(_) => HelperState::Restarting,
            Stage::Ending(Then::Break) | Stage::Broken => HelperState::Broken,
            Stage::Ending(Then::Stop) => HelperState::Stopping,
            Stage::Stopped => HelperState::Stopped,
        }
    }

    /// What its task has to do.
    pub(crate) fn duty(&self) -> Duty {
        match self.stage {
            Stage::Starting => Duty::Start,
            Stage::Up(_) => Duty::Watch,
            Stage::Ending(_) => Duty::End,
            Stage::Unborn | Stage::Waiting(_) | Stage::Broken => Duty::Wait,
            Stage::Stopped => Duty::Over,
        }
    }

    /// When it wants to be asked again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Waiting(until) => Some(until),
            Stage::Up(up) if up.calls > 0 && !up.silent => {
                Some(up.sign + if up.pinged { self.rules.liveness } else { self.rules.liveness / 2 })
            }
            Stage::Up(_)
            | Stage::Unborn
            | Stage::Starting
            | Stage::Ending(_)
            | Stage::Broken
            | Stage::Stopped => None,
        }
    }

    /// Whether signs of life are looked for.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.stage, Stage::Up(up) if up.calls > 0)
    }

    /// Takes an event. What makes no sense now changes nothing.
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
        if self.stage != Stage::Unborn {
            return vec![];
        }
        self.stage = Stage::Starting;
        vec![Effect::Start]
    }

    fn ready(&mut self, now: Instant) -> Vec<Effect> {
        if self.stage == Stage::Starting {
            self.stage = Stage::Up(Up { since: now, calls: 0, sign: now, pinged: false, silent: false });
        }
        vec![]
    }

    fn failed(&mut self, now: Instant, fault: Fault) -> Vec<Effect> {
        match self.stage {
            Stage::Starting => {}
            Stage::Up(up) => {
                if now.saturating_duration_since(up.since) >= policy::HELPER_HEALTHY {
                    self.backoff = policy::HELPER_BACKOFF_FIRST;
                }
            }
            Stage::Unborn | Stage::Ending(_) | Stage::Waiting(_) | Stage::Broken | Stage::Stopped => {
                return vec![];
            }
        }
        let opens = match fault {
            Fault::Passing => {
                let window = policy::HELPER_BREAKER_WINDOW;
                self.failures.retain(|at| now.saturating_duration_since(*at) <= window);
                self.failures.push_back(now);
                self.failures.len() >= policy::HELPER_BREAKER_FAILURES
            }
            Fault::Away => false,
            Fault::Lasting => true,
        };
        self.stage = Stage::Ending(if opens { Then::Break } else { Then::Restart });
        vec![Effect::End]
    }

    fn gone(&mut self, now: Instant) -> Vec<Effect> {
        let Stage::Ending(then) = self.stage else { return vec![] };
        match then {
            Then::Restart => {
                self.stage = Stage::Waiting(now + self.backoff);
                self.backoff = (self.backoff * 2).min(policy::HELPER_BACKOFF_MOST);
                vec![]
            }
            Then::Break => self.give_up(),
            Then::Stop => self.end(),
        }
    }

    /// A second one beside what is left would be one too many.
    fn left(&mut self) -> Vec<Effect> {
        let Stage::Ending(then) = self.stage else { return vec![] };
        match then {
            Then::Restart | Then::Break => self.give_up(),
            Then::Stop => self.end(),
        }
    }

    fn give_up(&mut self) -> Vec<Effect> {
        self.stage = Stage::Broken;
        vec![Effect::GivenUp]
    }

    fn end(&mut self) -> Vec<Effect> {
        self.stage = Stage::Stopped;
        vec![Effect::Over]
    }

    fn calls(&mut self, now: Instant, calls: usize) -> Vec<Effect> {
        let Stage::Up(up) = &mut self.stage else { return vec![] };
        if up.calls == 0 {
            // Nobody looked while nobody waited.
            (up.sign, up.pinged) = (now, false);
        }
        up.calls = calls;
        if calls == 0 && up.silent {
            up.silent = false;
            return vec![Effect::Heard];
        }
        vec![]
    }

    fn sign(&mut self, now: Instant) -> Vec<Effect> {
        let Stage::Up(up) = &mut self.stage else { return vec![] };
        let was_silent = up.silent;
        (up.sign, up.pinged, up.silent) = (now, false, false);
        if was_silent { vec![Effect::Heard] } else { vec![] }
    }

    fn deadline_passed(&mut self, now: Instant) -> Vec<Effect> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return vec![];
        }
        match &mut self.stage {
            Stage::Up(up) if up.pinged => self.found_silent(now),
            Stage::Up(up) => {
                up.pinged = true;
                vec![Effect::Ping]
            }
            Stage::Waiting(_) => self.start(),
            Stage::Unborn | Stage::Starting | Stage::Ending(_) | Stage::Broken | Stage::Stopped => vec![],
        }
    }

    fn found_silent(&mut self, now: Instant) -> Vec<Effect> {
        if let Stage::Up(up) = &mut self.stage {
            up.silent = true;
        }
        let mut effects = vec![Effect::Silent];
        match self.rules.on_unresponsive {
            OnUnresponsive::Report => {}
            OnUnresponsive::Fail => effects.push(Effect::FailCalls),
            OnUnresponsive::Restart => effects.extend(self.failed(now, Fault::Passing)),
        }
        effects
    }

    fn reopen(&mut self) -> Vec<Effect> {
        match self.stage {
            Stage::Broken | Stage::Waiting(_) => {
                self.forgive();
                self.start()
            }
            Stage::Ending(Then::Break | Then::Restart) => {
                self.forgive();
                self.stage = Stage::Ending(Then::Restart);
                vec![]
            }
            Stage::Unborn | Stage::Starting | Stage::Up(_) | Stage::Ending(Then::Stop) | Stage::Stopped => {
                vec![]
            }
        }
    }

    fn forgive(&mut self) {
        self.failures.clear();
        self.backoff = policy::HELPER_BACKOFF_FIRST;
    }

    fn start(&mut self) -> Vec<Effect> {
        self.stage = Stage::Starting;
        vec![Effect::Start]
    }

    fn stop(&mut self) -> Vec<Effect> {
        match self.stage {
            Stage::Starting | Stage::Up(_) => {
                self.stage = Stage::Ending(Then::Stop);
                vec![Effect::End]
            }
            Stage::Ending(_) => {
                self.stage = Stage::Ending(Then::Stop);
                vec![]
            }
            Stage::Unborn | Stage::Waiting(_) | Stage::Broken => self.end(),
            Stage::Stopped => vec![],
        }
    }
}
