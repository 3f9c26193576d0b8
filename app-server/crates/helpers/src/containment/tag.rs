//! The mark that every process of a helper carries: which home it is of, which start of a server, which helper. By it the
//! next server on a home finds what outlived both its server and its guard, and nobody else's processes.
//!
//! It is carried three times, since each way can be shed. In the environment, which `env -i` clears. In the path of the
//! cgroup, where there is one. And in two resource limits, the resident set and file locks: Linux has not acted on these
//! since 2.4 (getrlimit(2)), they pass through fork(2) and execve(2) whatever becomes of parent, session and
//! environment, anybody may read them, and only root can raise them again.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use skein_base::home_tag::HomeTag;
use skein_base::system;

use crate::containment::environment;

/// Bits of it that number a helper.
const HELPER_BITS: u32 = 30;
/// How the folder of a server's cgroups begins.
pub(crate) const CGROUP: &str = "skein-";

/// One start of a server on a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct StartMark {
    /// The home.
    pub(crate) home: HomeTag,
    start: u32,
}

impl StartMark {
    /// Another start each time; `random` tells them apart.
    #[must_use]
    pub(crate) fn new(home: HomeTag, random: u64) -> Self {
        // The low half of an identifier is its random one.
        Self { home, start: u32::try_from(random & u64::from(u32::MAX)).unwrap_or_default() }
    }

    /// What the folder of its cgroups is called.
    #[must_use]
    pub(crate) fn cgroup(self) -> String {
        format!("{CGROUP}{}-{:08x}", self.home, self.start)
    }

    /// Whether the process carries a mark of this start, whichever helper's.
    #[must_use]
    pub(crate) fn is_carried_by(self, pid: Pid) -> bool {
        Mark::carried_by(pid).any(|mark| mark.start == self)
    }
}

/// One helper of one start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The start of the server.
    pub(crate) start: StartMark,
    helper: u32,
}

impl Mark {
    /// The helper with this number.
    #[must_use]
    pub(crate) fn new(start: StartMark, helper: u32) -> Self {
        Self { start, helper: helper & ((1 << HELPER_BITS) - 1) }
    }

    /// Lets this process, and all that it starts, carry the mark in its limits.
    ///
    /// # Errors
    /// Somebody above us has limited these already, and we are not root. The other two ways are left then.
    pub(crate) fn set_limits(self) -> io::Result<()> {
        system::tag_process(self.limits())
    }

    fn limits(self) -> [u64; 2] {
        [self.start.home.number(), u64::from(self.start.start) << HELPER_BITS | u64::from(self.helper)]
    }

    fn from_limits([home, helper]: [u64; 2]) -> Option<Self> {
        let start = u32::try_from(helper >> HELPER_BITS).ok()?;
        let number = u32::try_from(helper & ((1 << HELPER_BITS) - 1)).ok()?;
        Some(Self { start: StartMark { home: HomeTag::from_number(home), start }, helper: number })
    }

    /// What the folder of its cgroup is called, below that of its start.
    #[must_use]
    pub(crate) fn cgroup(self) -> String {
        format!("{:08x}", self.helper)
    }

    /// The marks that a process carries: as many as three, which differ only where one server runs below another's helper.
    /// What cannot be read is not there.
    pub(crate) fn carried_by(pid: Pid) -> impl Iterator<Item = Self> {
        let text = move |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        // Each is read only when it is asked for: whoever has the first may not live long enough for all.
        let limits = move || limits_in(&String::from_utf8_lossy(&text("limits"))).and_then(Self::from_limits);
        let group = move || cgroup_in(&String::from_utf8_lossy(&text("cgroup")));
        let environment = move || variable_in(&text("environ"));
        let ways: [Box<dyn Fn() -> Option<Self>>; 3] =
            [Box::new(limits), Box::new(group), Box::new(environment)];
        ways.into_iter().filter_map(|way| way())
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}-{:08x}", self.start.home, self.start.start, self.helper)
    }
}

impl Mark {
    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(|part| u64::from_str_radix(part, 16).ok());
        let (home, start, helper) = (parts.next()??, parts.next()??, parts.next()??);
        let start = StartMark { home: HomeTag::from_number(home), start: u32::try_from(start).ok()? };
        let mark = Self { start, helper: u32::try_from(helper).ok()? };
        parts.next().is_none().then_some(mark)
    }
}

/// The hard limits of the resident set and of file locks, where both are limited (proc_pid_limits(5)).
fn limits_in(text: &str) -> Option<[u64; 2]> {
    let hard = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    Some([hard("Max resident set")?, hard("Max file locks")?])
}

fn cgroup_in(text: &str) -> Option<Mark> {
    let path = Path::new(text.lines().find_map(|line| line.strip_prefix("0::"))?);
    let mut parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    });
    let start = parts.find_map(|name| name.strip_prefix(CGROUP))?;
    Mark::parse(&format!("{start}-{}", parts.next()?))
}

fn variable_in(environment: &[u8]) -> Option<Mark> {
    let of = |variable: &[u8]| {
        let value = std::str::from_utf8(variable).ok()?.strip_prefix(environment::MARK)?.strip_prefix('=')?;
        Mark::parse(value)
    };
    environment.split(|byte| *byte == 0).find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark::new(StartMark::new(HomeTag::of(&[b"a home"]), 0x1234_5678_9abc_def0), 7)
    }

    #[test]
    fn a_mark_reads_as_it_was_written_in_all_three_places() {
        let mark = mark();
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        assert_eq!(Mark::from_limits(mark.limits()), Some(mark));
        assert!(mark.limits().iter().all(|limit| *limit < 1 << HomeTag::BITS));
        let group = format!("4:memory:/a\n0::/user.slice/{}/{}/inner\n", mark.start.cgroup(), mark.cgroup());
        assert_eq!(cgroup_in(&group), Some(mark));
        let environment = format!("PATH=/bin\0{}={mark}\0", environment::MARK);
        assert_eq!(variable_in(environment.as_bytes()), Some(mark));
    }

    #[test]
    fn what_is_no_mark_is_none() {
        for text in ["", "1-2", "1-2-3-4", "x-1-2", "1-100000000-2"] {
            assert_eq!(Mark::parse(text), None, "{text:?}");
        }
        assert_eq!(
            limits_in("Max resident set  unlimited unlimited bytes\nMax file locks 1 2 locks\n"),
            None
        );
        let limits = "Max resident set   5   6  bytes\nMax file locks   7   8   locks\n";
        assert_eq!(limits_in(limits), Some([6, 8]));
        assert_eq!(cgroup_in("0::/skein-1-a/b\n"), Mark::parse("1-a-b"));
        assert_eq!((cgroup_in("0::/skein-1-a\n"), cgroup_in("3:cpu:/\n")), (None, None));
    }
}
