//! Reading `/proc`: who descends from whom, and signalling a process without ever hitting another that got its pid.

use std::collections::HashSet;
use std::fs;
use std::os::fd::OwnedFd;

use nix::unistd::Pid;
use rustix::process::{PidfdFlags, Signal};

/// A process as `/proc/<pid>/stat` shows it. The pid and the start time together name it for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    pub pid: Pid,
    pub parent: Pid,
    pub group: Pid,
    pub session: Pid,
    /// Ticks after boot.
    pub started: u64,
    /// It has ended and waits to be reaped.
    pub zombie: bool,
}

impl Process {
    /// The process that has `pid` now.
    pub fn read(pid: Pid) -> Option<Self> {
        // A name may hold any byte, so the text need not be UTF-8.
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        parse(&String::from_utf8_lossy(&stat))
    }

    /// Sends `signal` to exactly this process. `false` when it is gone.
    pub fn signal(&self, signal: Signal) -> bool {
        // The descriptor pins whoever has the pid now; only then does the start time tell whether that is still ours.
        open(self.pid)
            .filter(|_| Self::read(self.pid).is_some_and(|now| now.started == self.started))
            .is_some_and(|handle| rustix::process::pidfd_send_signal(handle, signal).is_ok())
    }

    /// SIGKILL to this process and to its process group, in one step for the whole group: a member that is about to
    /// fork cannot get away. `spare` is a group that is never killed (the caller's own).
    pub fn kill_with_group(&self, spare: Pid) {
        // While this process was alive a moment ago its group id cannot have been given to anybody else.
        if self.signal(Signal::KILL) && self.group != spare && self.group.as_raw() > 1 {
            // Errors say that the group is gone, which is what is wanted.
            let _ = nix::sys::signal::killpg(self.group, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// A descriptor of the process that has `pid` now (pidfd_open(2)); readable when it has ended.
pub fn open(pid: Pid) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid.as_raw())?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Visits every living descendant of `root`, and only those. Most are visited within microseconds of being read, so
/// that a visitor that kills has a chance against processes that come and go.
pub fn descendants(root: Pid, mut visit: impl FnMut(&Process)) {
    let mut family = HashSet::from([root]);
    let mut others = Vec::new();
    // Pids come in rising order, and parents mostly have lower ones than their children: one pass finds most.
    for process in all() {
        if family.contains(&process.parent) {
            family.insert(process.pid);
            visit_living(&process, &mut visit);
        } else {
            others.push(process);
        }
    }
    while let Some(at) = others.iter().position(|process| family.contains(&process.parent)) {
        let process = others.swap_remove(at);
        family.insert(process.pid);
        visit_living(&process, &mut visit);
    }
}

fn visit_living(process: &Process, visit: &mut impl FnMut(&Process)) {
    if !process.zombie {
        visit(process);
    }
}

/// Every process that this one may see.
pub fn all() -> impl Iterator<Item = Process> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Process::read(Pid::from_raw(pid)))
}

/// Whether the environment that `pid` was started with has `name=value`. `false` when it cannot be read.
pub fn has_variable(pid: Pid, name: &str, value: &str) -> bool {
    let wanted = format!("{name}={value}");
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|all| all.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()))
}

/// One `/proc/<pid>/stat` (proc_pid_stat(5)). The name is in parentheses and may hold parentheses itself.
fn parse(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let fields: Vec<&str> = rest.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse().ok().map(Pid::from_raw);
    Some(Process {
        pid: Pid::from_raw(pid.parse().ok()?),
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_process_is_called() {
        let line =
            "42 (a) b (c) Z 7 40 41 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 98765 100 5 18446744073709551615";
        let pid = Pid::from_raw;
        let wanted = Process {
            pid: pid(42),
            parent: pid(7),
            group: pid(40),
            session: pid(41),
            started: 98765,
            zombie: true,
        };
        assert_eq!(parse(line), Some(wanted));
        assert_eq!(parse("42 (cut) S 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_is_found_and_its_parent_has_it_as_a_descendant() {
        let me = Process::read(Pid::this()).expect("this process is in /proc");
        assert!(!me.zombie);
        assert_eq!(me.parent, Pid::parent());
        let mut found = false;
        descendants(Pid::parent(), |process| found |= *process == me);
        assert!(found);
    }

    #[test]
    fn a_process_of_another_start_time_is_never_signalled() {
        let me = Process::read(Pid::this()).expect("this process is in /proc");
        let former = Process { started: me.started + 1, ..me };
        assert!(!former.signal(Signal::KILL));
    }
}
