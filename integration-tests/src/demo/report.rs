//! The measurements, as JSON and as a table.

use std::time::Duration;

use serde::Serialize;

use super::Plan;

/// Limit from SIGTERM to the server's exit.
const STOP_BOUND: Duration = Duration::from_secs(5);
/// Limit from the server's death by SIGKILL to the end of its last process.
const ORPHANS_BOUND: Duration = Duration::from_secs(2);
/// Limit from the end of a subscription to the end of the last helper.
const DRAIN_BOUND: Duration = Duration::from_millis(1500);

/// Numbers from a user report of a comparable server after 15 switches.
const REPORTED: Reported = Reported { threads: 15, helpers: 15, megabytes: 104.6 };

/// Result of the whole demonstration. Memory is the proportional share of the kernel, in bytes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The helper's program and arguments.
    pub command: Vec<String>,
    /// One switch per thread, in order.
    pub switches: Vec<Switch>,
    /// Measurements of the server's own ends.
    pub ends: Ends,
    /// Numbers from the user report.
    pub reported: Reported,
    /// Whether no process was left at any point.
    pub clean: bool,
    /// Whether each end came within its limit.
    pub in_time: bool,
}

/// One switch to a thread and away from it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Switch {
    /// Number of the switch, from 1.
    pub number: usize,
    /// Helper processes while the thread is open, without guards.
    pub helpers_open: usize,
    /// Guards while the thread is open.
    pub guards_open: usize,
    /// Memory of helpers and guards while the thread is open.
    pub bytes_open: u64,
    /// Threads in memory after the close.
    pub loaded_after: usize,
    /// Helper processes after the close.
    pub helpers_after: usize,
    /// Guards after the close.
    pub guards_after: usize,
    /// Memory of helpers and guards after the close.
    pub bytes_after: u64,
    /// Time from the close until no helper and no guard is left; absent if one stayed.
    pub stopped_after_ms: Option<u64>,
    /// Time from the close to the notification that the thread is closed.
    pub closed_after_ms: u64,
    /// Resident memory of the server after the close.
    pub server_bytes: u64,
}

/// The two ends of the server.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ends {
    /// By SIGTERM.
    pub terminated: Terminated,
    /// By SIGKILL.
    pub killed: Killed,
}

/// A server that got SIGTERM while threads were busy.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Terminated {
    /// Helper processes and guards before.
    pub before: usize,
    /// Exit code of the server; absent after a signal.
    pub exit_code: Option<i32>,
    /// Time from the signal to the server's exit.
    pub after_ms: u64,
    /// Helper processes and guards at the server's exit.
    pub left: usize,
}

/// A server that got SIGKILL while threads were busy.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Killed {
    /// Helper processes and guards before.
    pub before: usize,
    /// Time from the signal until no helper and no guard is left; absent if one stayed.
    pub stopped_after_ms: Option<u64>,
    /// Helper processes and guards at the end.
    pub left: usize,
}

/// Numbers from a user report of another server.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Reported {
    /// Threads that stayed loaded.
    pub threads: usize,
    /// Helpers that stayed.
    pub helpers: usize,
    /// Memory of those helpers.
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
    pub fn summary(&self) -> String {
        let Ends { terminated, killed } = &self.ends;
        let last = self.switches.last();
        let stays = last.map_or((0, 0, 0), |last| {
            (last.loaded_after, last.helpers_after + last.guards_after, last.bytes_after)
        });
        let slowest = self
            .switches
            .iter()
            .map(|switch| switch.stopped_after_ms)
            .max_by_key(|ms| ms.unwrap_or(u64::MAX));
        let code = terminated.exit_code.map_or("a signal".to_owned(), |code| format!("code {code}"));
        format!(
            "after {} switches    reported by a user: {} threads, {} helpers, {} MB    here: {} threads, {} processes, {} MB\n\
             slowest stop        {} after the close (bound: {} ms)\n\
             SIGTERM in turns    {} processes before, {} left; the server ended with {code} after {} ms\n\
             SIGKILL in turns    {} processes before, {} left; all stopped after {}\n\
             {}",
            self.switches.len(),
            self.reported.threads,
            self.reported.helpers,
            self.reported.megabytes,
            stays.0,
            stays.1,
            megabytes(stays.2),
            shown(slowest.flatten()),
            DRAIN_BOUND.as_millis(),
            terminated.before,
            terminated.left,
            terminated.after_ms,
            killed.before,
            killed.left,
            shown(killed.stopped_after_ms),
            self.verdict(),
        )
    }
}

impl Report {
    /// Leftover processes are a failure. A late end is only reported, because the machine may have been busy.
    fn verdict(&self) -> &'static str {
        match (self.clean, self.in_time) {
            (true, true) => "nothing was left, and every stop came in time",
            (true, false) => "nothing was left; A STOP CAME LATE (a busy machine?)",
            (false, _) => "A PROCESS WAS LEFT",
        }
    }
}

/// Head of the table.
pub(super) fn head() -> String {
    format!(
        "{:>6} | {:>24} | {:>31} | {:>10} | {:>10} | {:>6}\n{:>6} | {:>7} {:>6} {:>9} | {:>6} {:>7} {:>6} {:>9} | {:>10} | {:>10} | {:>6}",
        "",
        "while open",
        "after the close",
        "stopped",
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
    /// The row of the table.
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
            shown(self.stopped_after_ms),
            shown(Some(self.closed_after_ms)),
            megabytes(self.server_bytes),
        )
    }

    fn is_clean(&self) -> bool {
        let left = self.loaded_after + self.helpers_after + self.guards_after;
        left == 0 && self.stopped_after_ms.is_some()
    }

    fn is_in_time(&self) -> bool {
        in_time(self.stopped_after_ms, DRAIN_BOUND)
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
        self.left == 0 && self.stopped_after_ms.is_some()
    }

    fn is_in_time(&self) -> bool {
        in_time(self.stopped_after_ms, ORPHANS_BOUND)
    }
}

fn in_time(ms: Option<u64>, bound: Duration) -> bool {
    ms.is_some_and(|ms| u128::from(ms) <= bound.as_millis())
}

fn shown(ms: Option<u64>) -> String {
    ms.map_or("never".to_owned(), |ms| format!("{ms} ms"))
}

/// Megabytes of a million bytes, with one decimal.
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
            stopped_after_ms: Some(12),
            closed_after_ms: 13,
            server_bytes: 10_000_000,
        }
    }

    #[test]
    fn a_switch_that_leaves_a_process_is_not_clean_and_a_slow_one_is_late() {
        assert!(switch().is_clean());
        assert!(!Switch { loaded_after: 1, ..switch() }.is_clean());
        assert!(!Switch { helpers_after: 1, ..switch() }.is_clean());
        assert!(!Switch { guards_after: 1, ..switch() }.is_clean());
        assert!(!Switch { stopped_after_ms: None, ..switch() }.is_clean());
        let late = Switch { stopped_after_ms: Some(1501), ..switch() };
        assert!(switch().is_in_time() && late.is_clean() && !late.is_in_time());
    }

    #[test]
    fn an_end_that_leaves_a_process_is_not_clean_and_a_slow_one_is_late() {
        let terminated = Terminated { before: 6, exit_code: Some(0), after_ms: 2_100, left: 0 };
        assert!(terminated.is_clean());
        assert!(!Terminated { exit_code: None, ..terminated }.is_clean());
        assert!(terminated.is_in_time() && !Terminated { after_ms: 5_001, ..terminated }.is_in_time());
        let killed = Killed { before: 6, stopped_after_ms: Some(1_000), left: 0 };
        assert!(killed.is_clean());
        assert!(!Killed { left: 1, ..killed }.is_clean());
        assert!(killed.is_in_time() && !Killed { stopped_after_ms: Some(2_001), ..killed }.is_in_time());
    }

    #[test]
    fn rows_are_as_wide_as_their_heads() {
        assert!(
            head().lines().all(|line| line.chars().count() == switch().row().chars().count()),
            "{}",
            head()
        );
        assert!(switch().row().contains("2.3"));
    }
}
