//! What a helper may use at most (`[mcp_servers.NAME.limits]`), and who keeps it to that: its cgroup where that has the
//! controller, else the kernel's limits of each process. A limit that nobody can keep stops the start: it is never left out.

use std::fmt;
use std::io;

use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
use serde::{Deserialize, Serialize};

use crate::containment::cgroup::{Group, Parent};
use crate::containment::step::Step;
use crate::error::ProcessError;

/// What is limited of one helper; `None` is as the server itself has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperLimits {
    /// Bytes of memory: of all its processes together in a cgroup, without one of the private memory that each may write.
    pub memory: Option<u64>,
    /// Processes and threads at once. Only a cgroup keeps it.
    pub processes: Option<u64>,
    /// Descriptors that each of its processes may have open.
    pub files: Option<u64>,
    /// How much it lets others go first: 19 most, 0 as usual, below 0 it goes before others.
    pub nice: Option<i32>,
}

/// One of them.
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

/// Who keeps the limits of one helper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// What its processes are limited to, one by one.
    pub(crate) by_process: HelperLimits,
    /// What its cgroup is limited to: it must not run outside.
    pub(crate) by_group: HelperLimits,
}

/// Why the kernel's own limit of processes is not used.
const NO_PROCESSES: &str = "it needs a cgroup of the helper's own with the controller pids; the kernel's other limit \
    (RLIMIT_NPROC) counts all processes of the user, not the helper's";

impl HelperLimits {
    /// Puts what a cgroup can keep on `group`, the helper's own. What is left is set in the helper itself.
    ///
    /// # Errors
    /// A limit that nobody can keep.
    pub(crate) fn put_on(
        self,
        helper: &str,
        parent: Option<&Parent>,
        group: Option<&Group>,
    ) -> Result<Kept, ProcessError> {
        let mut kept = Kept { by_process: self, by_group: Self::default() };
        let refused = |limit, reason| self.refused(helper, limit, reason);
        let group = parent.zip(group);
        if let Some(bytes) = self.memory
            && let Some((_, group)) = group.filter(|(parent, _)| parent.pass_on("memory").is_ok())
        {
            group.limit_memory(bytes).map_err(|error| refused(Limit::Memory, error.to_string()))?;
            (kept.by_process.memory, kept.by_group.memory) = (None, self.memory);
        }
        if let Some(most) = self.processes {
            let (parent, group) = group
                .ok_or_else(|| refused(Limit::Processes, format!("{NO_PROCESSES}; there is no cgroup")))?;
            let limited = parent.pass_on("pids").and_then(|()| group.limit_processes(most));
            limited.map_err(|error| refused(Limit::Processes, format!("{NO_PROCESSES}; {error}")))?;
            (kept.by_process.processes, kept.by_group.processes) = (None, self.processes);
        }
        Ok(kept)
    }

    /// Limits this process and what it starts. A process that is above the limit already keeps what it has.
    ///
    /// # Errors
    /// With the step: the system does not permit it to this user.
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

    /// That `limit` of `helper` cannot be kept.
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

    /// What of these `group` was stopped by, in words that follow how its helper ended.
    pub(crate) fn hit_in(&self, group: &Group) -> String {
        let mut said = String::new();
        if let Some(bytes) = self.memory.filter(|_| group.memory_kills() > 0) {
            said = format!(
                ", killed by the kernel because it needed more than its limits.memory = \"{}\"",
                Size(bytes)
            );
        }
        if let Some(most) = self.processes.filter(|_| group.refused_forks() > 0) {
            said += &format!(", after it wanted more processes than its limits.processes = {most}");
        }
        said
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

/// A number of bytes as the configuration has it.
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
