//! What was measured, as JSON and as a table.

use std::time::Duration;

use serde::Serialize;

use super::Plan;

/// From SIGTERM to the server's end.
const STOP_BOUND: Duration = Duration::from_secs(5);
/// From the server's end by SIGKILL to the end of the last process it started.
const ORPHANS_BOUND: Duration = Duration::from_secs(2);
/// From the end of a subscription to the end of the last helper.
const ZERO_BOUND: Duration = Duration::from_millis(1500);

/// What users of a server of this kind reported after 15 switches.
const REPORTED: Reported = Reported { threads: 15, helpers: 15, megabytes: 104.6 };

/// The whole demonstration. Memory is the proportional share that the kernel tells, in bytes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The helper's program and arguments.
    pub command: Vec<String>,
    /// One for each thread, in order.
    pub switches: Vec<Switch>,
    /// What the server's own ends left.
    pub ends: Ends,
    /// What was reported elsewhere.
    pub reported: Reported,
    /// Whether nothing was left at any point.
    pub clean: bool,
    /// Whether each end came within its bound.
    pub in_time: bool,
}

/// One switch to a thread and away from it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Switch {
    /// From 1.
    pub number: usize,
    /// Processes of helpers while the thread is open, guards not counted.
    pub helpers_open: usize,
    /// Guards while the thread is open.
    pub guards_open: usize,
    /// What helpers and guards take while the thread is open.
    pub bytes_open: u64,
    /// Threads in memory after the close.
    pub loaded_after: usize,
    /// Processes of helpers after the close.
    pub helpers_after: usize,
    /// Guards after the close.
    pub guards_after: usize,
    /// What helpers and guards take after the close.
    pub bytes_after: u64,
    /// From the close to the first look that found neither helper nor guard; absent when something stayed.
    pub zero_after_ms: Option<u64>,
    /// From the close to the server's word that the thread is closed.
    pub closed_after_ms: u64,
    /// What of the server is resident after the close.
    pub server_bytes: u64,
}

/// The ends of the server.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ends {
    /// By SIGTERM.
    pub terminated: Terminated,
    /// By SIGKILL.
    pub killed: Killed,
}

/// A server that got SIGTERM while threads were at work.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Terminated {
    /// Helpers' processes and guards before.
    pub before: usize,
    /// The server's exit code; absent when a signal ended it.
    pub exit_code: Option<i32>,
    /// From the signal to the server's end.
    pub after_ms: u64,
    /// Helpers' processes and guards at the server's end.
    pub left: usize,
}

/// A server that got SIGKILL while threads were at work.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Killed {
    /// Helpers' processes and guards before.
    pub before: usize,
    /// From the signal to the first look that found neither helper nor guard; absent when something stayed.
    pub zero_after_ms: Option<u64>,
    /// Helpers' processes and guards in the end.
    pub left: usize,
}

/// What was reported elsewhere.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Reported {
    /// Threads that stayed loaded.
    pub threads: usize,
    /// Helpers that stayed.
    pub helpers: usize,
    /// Memory that they took.
    pub megabytes: f64,
}

impl Report {
    pub(super) fn new(plan: &Plan, switches: Vec<Switch>, ends: Ends) -> Self {
        let clean =
            switches.iter().all(Switch::is_clean) && ends.terminated.is_clean() && ends.killed.is_clean();
        let in_time = switches.iter().all(Switch::is_in_time)
            && ends.terminated.is_in_time()
            && ends.killed.is_in_time();
        Self { command: plan.command.clone(), switches, ends, reported: REPORTED, clean, in_time }
    }

    /// The lines below the table.
    #[must_use]
    pub fn summary(&self) -> String {
        let Ends { terminated, killed } = &self.ends;
        let last = self.switches.last();
        let stays = last.map_or((0, 0, 0), |last| {
            (last.loaded_after, last.helpers_after + last.guards_after, last.bytes_after)
        });
        let slowest =
            self.switches.iter().map(|switch| switch.zero_after_ms).max_by_key(|ms| ms.unwrap_or(u64::MAX));
        let code = terminated.exit_code.map_or("a signal".to_owned(), |code| format!("code {code}"));
        format!(
            "after {} switches    reported elsewhere: {} threads, {} helpers, {} MB    here: {} threads, {} processes, {} MB\n\
             slowest zero        {} after the close (bound: {} ms)\n\
             SIGTERM in turns    {} processes before, {} left; the server ended with {code} after {} ms\n\
             SIGKILL in turns    {} processes before, {} left; zero after {}\n\
             {}",
            self.switches.len(),
            self.reported.threads,
            self.reported.helpers,
            self.reported.megabytes,
            stays.0,
            stays.1,
            megabytes(stays.2),
            shown(slowest.flatten()),
            ZERO_BOUND.as_millis(),
            terminated.before,
            terminated.left,
            terminated.after_ms,
            killed.before,
            killed.left,
            shown(killed.zero_after_ms),
            self.verdict(),
        )
    }
}

impl Report {
    /// What is left is a failure; what is late is said, for the machine may have been busy with something else.
    fn verdict(&self) -> &'static str {
        match (self.clean, self.in_time) {
            (true, true) => "nothing was left, and every zero came in time",
            (true, false) => "nothing was left; A ZERO CAME LATE (a busy machine?)",
            (false, _) => "SOMETHING WAS LEFT",
        }
    }
}

/// The head of the table.
pub(super) fn head() -> String {
    format!(
        "{:>6} | {:>24} | {:>31} | {:>10} | {:>10} | {:>6}\n{:>6} | {:>7} {:>6} {:>9} | {:>6} {:>7} {:>6} {:>9} | {:>10} | {:>10} | {:>6}",
        "",
        "while open",
        "after the close",
        "zero",
        "closed",
        "server",
        "thread",
        "helpers",
        "guards",
        "MB",
        "loaded",
        "helpers",
        "guards",
        "MB",
        "after",
        "after",
        "MB",
    )
}

impl Switch {
    /// The line of the table.
    #[must_use]
    pub fn row(&self) -> String {
        format!(
            "{:>6} | {:>7} {:>6} {:>9} | {:>6} {:>7} {:>6} {:>9} | {:>10} | {:>10} | {:>6}",
            self.number,
            self.helpers_open,
            self.guards_open,
            megabytes(self.bytes_open),
            self.loaded_after,
            self.helpers_after,
            self.guards_after,
            megabytes(self.bytes_after),
            shown(self.zero_after_ms),
            shown(Some(self.closed_after_ms)),
            megabytes(self.server_bytes),
        )
    }

    fn is_clean(&self) -> bool {
        let left = self.loaded_after + self.helpers_after + self.guards_after;
        left == 0 && self.zero_after_ms.is_some()
    }

    fn is_in_time(&self) -> bool {
        in_time(self.zero_after_ms, ZERO_BOUND)
    }
}

impl Terminated {
    fn is_clean(&self) -> bool {
        self.exit_code == Some(0) && self.left == 0
    }

    fn is_in_time(&self) -> bool {
        in_time(Some(self.after_ms), STOP_BOUND)
    }
}

impl Killed {
    fn is_clean(&self) -> bool {
        self.left == 0 && self.zero_after_ms.is_some()
    }

    fn is_in_time(&self) -> bool {
        in_time(self.zero_after_ms, ORPHANS_BOUND)
    }
}

fn in_time(ms: Option<u64>, bound: Duration) -> bool {
    ms.is_some_and(|ms| u128::from(ms) <= bound.as_millis())
}

fn shown(ms: Option<u64>) -> String {
    ms.map_or("never".to_owned(), |ms| format!("{ms} ms"))
}

/// With one decimal; a megabyte has a million bytes.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.saturating_add(50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch() -> Switch {
        Switch {
            number: 1,
            helpers_open: 1,
            guards_open: 1,
            bytes_open: 2_340_000,
            loaded_after: 0,
            helpers_after: 0,
            guards_after: 0,
            bytes_after: 0,
            zero_after_ms: Some(12),
            closed_after_ms: 13,
            server_bytes: 10_000_000,
        }
    }

    #[test]
    fn a_switch_that_leaves_something_is_not_clean_and_a_late_one_is_late() {
        assert!(switch().is_clean());
        assert!(!Switch { loaded_after: 1, ..switch() }.is_clean());
        assert!(!Switch { helpers_after: 1, ..switch() }.is_clean());
        assert!(!Switch { guards_after: 1, ..switch() }.is_clean());
        assert!(!Switch { zero_after_ms: None, ..switch() }.is_clean());
        let late = Switch { zero_after_ms: Some(1501), ..switch() };
        assert!(switch().is_in_time() && late.is_clean() && !late.is_in_time());
    }

    #[test]
    fn an_end_that_leaves_something_is_not_clean_and_a_late_one_is_late() {
        let terminated = Terminated { before: 6, exit_code: Some(0), after_ms: 2_100, left: 0 };
        assert!(terminated.is_clean());
        assert!(!Terminated { exit_code: None, ..terminated }.is_clean());
        assert!(terminated.is_in_time() && !Terminated { after_ms: 5_001, ..terminated }.is_in_time());
        let killed = Killed { before: 6, zero_after_ms: Some(1_000), left: 0 };
        assert!(killed.is_clean());
        assert!(!Killed { left: 1, ..killed }.is_clean());
        assert!(killed.is_in_time() && !Killed { zero_after_ms: Some(2_001), ..killed }.is_in_time());
    }

    #[test]
    fn rows_stand_under_their_heads() {
        assert!(
            head().lines().all(|line| line.chars().count() == switch().row().chars().count()),
            "{}",
            head()
        );
        assert!(switch().row().contains("2.3"));
    }
}
