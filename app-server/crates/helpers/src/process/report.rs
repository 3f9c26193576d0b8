//! The status of a helper's processes and the report of their end, by their guard's monitor.

use std::time::Duration;

use crate::process::stages::Stage;

/// The status of a helper's processes. Members are only ever filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessStatus {
    /// The pid of the helper itself, once its program runs.
    pub pid: Option<i32>,
    /// Why the helper itself does not run, or not any more; descendants may be left.
    pub ended: Option<String>,
    /// It does not run because its program is not there or may not be run: another try would end the same.
    pub lasting: bool,
    /// No process is left.
    pub over: Option<ExitReport>,
}

/// How a helper ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitReport {
    /// The helper's name.
    pub name: String,
    /// Processes that could not be ended in time. 0 unless the kernel holds them.
    pub survivors: usize,
    /// The hardest stage that was needed; `None` when it had ended before it was asked to.
    pub stage: Option<Stage>,
    /// From being asked to end until the last process was gone.
    pub took: Duration,
}

impl ExitReport {
    /// Of a helper that never had a process.
    pub(crate) fn nothing(name: &str) -> Self {
        Self { name: name.to_owned(), survivors: 0, stage: None, took: Duration::ZERO }
    }
}
