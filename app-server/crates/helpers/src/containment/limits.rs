//! The limits of a helper (`[mcp_servers.NAME.limits]`). Its cgroup enforces them if it has the controller, else the kernel's limits of
//! each process. A limit that cannot be enforced stops the start.

use std::{fmt, io};

use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
use serde::{Deserialize, Serialize};

use crate::containment::cgroup::{Group, Parent};
use crate::containment::step::Step;
use crate::error::ProcessError;

/// The limits of one helper; `None` is the limit of the server itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperLimits {
    /// Bytes of memory: of all processes together in a cgroup, else of the private writable memory of each process.
    pub memory: Option<u64>,
    /// Processes and threads at once. Only a cgroup enforces this.
    pub processes: Option<u64>,
    /// Open descriptors of each process.
    pub files: Option<u64>,
    /// The nice value, from -20 to 19.
    pub nice: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// See [`HelperLimits::memory`].
    Memory,
    /// See [`HelperLimits::processes`].
    Processes,
    /// See [`HelperLimits::files`].
    Files,
    /// See [`HelperLimits::nice`].
    Nice,
}

impl Limit {
    /// The key in the configuration.
    fn key(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Files => "files",
            Self::Nice => "nice",
        }
    }
}

/// The limits of one helper, by the part that enforces them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AppliedLimits {
    /// Limits of each process.
    pub(crate) by_process: HelperLimits,
    /// Limits of its cgroup; with any, the helper must not run outside of it.
    pub(crate) by_group: HelperLimits,
}

/// The reason against the kernel's own limit of processes.
const NO_PROCESSES: &str = "it needs a cgroup of the helper's own with the controller pids; the kernel's other limit \
    (RLIMIT_NPROC) counts all processes of the user, not the helper's";

impl HelperLimits {
    /// Sets the limits of the helper's cgroup, and returns the ones that the helper sets for itself.
    ///
    /// # Errors
    /// A limit cannot be enforced.
    pub(crate) fn put_on(
        self,
        helper: &str,
        parent: Option<&Parent>,
        group: Option<&Group>,
    ) -> Result<AppliedLimits, ProcessError> {
        let mut applied = AppliedLimits { by_process: self, by_group: Self::default() };
        let refused = |limit, reason| self.refused(helper, limit, reason);
        let group = parent.zip(group);
        if let Some(bytes) = self.memory
            && let Some((_, group)) = group.filter(|(parent, _)| parent.pass_on("memory").is_ok())
        {
            group.limit_memory(bytes).map_err(|error| refused(Limit::Memory, error.to_string()))?;
            (applied.by_process.memory, applied.by_group.memory) = (None, self.memory);
        }
        if let Some(most) = self.processes {
            let (parent, group) = group
                .ok_or_else(|| refused(Limit::Processes, format!("{NO_PROCESSES}; there is no cgroup")))?;
            let limited = parent.pass_on("pids").and_then(|()| group.limit_processes(most));
            limited.map_err(|error| refused(Limit::Processes, format!("{NO_PROCESSES}; {error}")))?;
            (applied.by_process.processes, applied.by_group.processes) = (None, self.processes);
        }
        Ok(applied)
    }

    /// Limits this process and its descendants. A process above a limit keeps its resources.
    ///
    /// # Errors
    /// The step that the system does not permit to this user.
    pub(crate) fn set(self) -> Result<(), (Step, io::Error)> {
        let both = |most| Rlimit { current: Some(most), maximum: Some(most) };
        // Not the address space (RLIMIT_AS): programs reserve many GiB of it that they never use.
        let memory = self.memory.map_or(Ok(()), |most| setrlimit(Resource::Data, both(most)));
        memory.map_err(|error| (Step::Memory, error.into()))?;
        let nice = self.nice.map_or(Ok(()), set_nice);
        nice.map_err(|error| (Step::Nice, error))?;
        let files = self.files.map_or(Ok(()), |most| setrlimit(Resource::Nofile, both(most)));
        files.map_err(|error| (Step::Files, error.into()))
    }

    /// That `limit` of `helper` cannot be applied.
    pub(crate) fn refused(&self, helper: &str, limit: Limit, reason: String) -> ProcessError {
        let value = match limit {
            Limit::Memory => self.memory.map(|bytes| format!("\"{}\"", Size(bytes))),
            Limit::Processes => self.processes.map(|most| most.to_string()),
            Limit::Files => self.files.map(|most| most.to_string()),
            Limit::Nice => self.nice.map(|nice| nice.to_string()),
        };
        let key = format!("mcp_servers.{helper}.limits.{}", limit.key());
        ProcessError::Limit { key, value: value.unwrap_or_default(), reason }
    }

    /// The limits that `group` has hit, as a continuation of the reason for the end of its helper.
    pub(crate) fn hit_in(&self, group: &Group) -> String {
        let mut text = String::new();
        if let Some(bytes) = self.memory.filter(|_| group.memory_kills() > 0) {
            text = format!(
                ", killed by the kernel because it needed more than its limits.memory = \"{}\"",
                Size(bytes)
            );
        }
        if let Some(most) = self.processes.filter(|_| group.refused_forks() > 0) {
            text += &format!(", after it wanted more processes than its limits.processes = {most}");
        }
        text
    }
}

/// Sets the nice value of this process, the leader of a session.
fn set_nice(nice: i32) -> io::Result<()> {
    setpriority_process(None, nice)?;
    // Where the kernel schedules sessions as groups (sched(7)) the value above counts within the session only, and this one
    // between sessions. Refused to users who change it often, and missing where it does not count.
    let _ = std::fs::write("/proc/self/autogroup", nice.to_string());
    Ok(())
}

/// A number of bytes in the notation of the settings.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20)];
        match units.into_iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}KiB", self.0 / 1024),
        }
    }
}
