//! The tag that every process of a helper carries: its home, the start of its server, and its helper. By the tag the next server on
//! a home finds processes that outlived both their server and their guard, and no others.
//!
//! A process carries the tag in three places, since it can shed each. The environment, which `env -i` clears. The path of the cgroup,
//! if there is one. And two resource limits, the resident set and file locks: Linux has not acted on these since 2.4 (getrlimit(2)).
//! They pass through fork(2) and execve(2) whatever becomes of parent, session and environment. Any process may read them, and only
//! root can raise them again.

use std::path::{Component, Path};
use std::{fmt, io};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use skein_base::home_tag::HomeTag;
use skein_base::system;

/// Bits of the second limit that number a helper.
const HELPER_BITS: u32 = 30;
/// The beginning of the name of a server's cgroup.
pub(crate) const CGROUP: &str = "skein-";
/// The name of a guard for the kernel and `ps -o comm`, wherever its program lies.
pub(crate) const GUARD_NAME: &std::ffi::CStr = c"skein-guard";
/// The variable that holds the tag.
pub(crate) const VARIABLE: &str = "SKEIN_HELPER";

/// One start of a server on a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct StartTag {
    pub(crate) home: HomeTag,
    start: u32,
}

impl StartTag {
    /// A new start; `random` tells starts apart.
    pub(crate) fn new(home: HomeTag, random: u64) -> Self {
        // The low half of an identifier is its random one.
        Self { home, start: u32::try_from(random & u64::from(u32::MAX)).unwrap_or_default() }
    }

    /// The name of its cgroup, the parent of its helpers'.
    pub(crate) fn cgroup(self) -> String {
        format!("{CGROUP}{}-{:08x}", self.home, self.start)
    }

    /// Whether the process carries a tag of this start, of any helper.
    pub(crate) fn is_carried_by(self, pid: Pid) -> bool {
        ProcessTag::carried_by(pid).any(|tag| tag.start == self)
    }
}

/// One helper of one start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ProcessTag {
    /// The start of the server.
    pub(crate) start: StartTag,
    helper: u32,
}

impl ProcessTag {
    /// The helper with this number.
    pub(crate) fn new(start: StartTag, helper: u32) -> Self {
        Self { start, helper: helper & ((1 << HELPER_BITS) - 1) }
    }

    /// Puts the tag into the limits of this process and of all that it starts.
    ///
    /// # Errors
    /// A parent has limited these already, and this process is not root. The other two places are left then.
    pub(crate) fn set_limits(self) -> io::Result<()> {
        system::tag_process(self.limits())
    }

    fn limits(self) -> [u64; 2] {
        [self.start.home.number(), u64::from(self.start.start) << HELPER_BITS | u64::from(self.helper)]
    }

    fn from_limits([home, helper]: [u64; 2]) -> Option<Self> {
        let start = u32::try_from(helper >> HELPER_BITS).ok()?;
        let number = u32::try_from(helper & ((1 << HELPER_BITS) - 1)).ok()?;
        Some(Self { start: StartTag { home: HomeTag::from_number(home), start }, helper: number })
    }

    /// The name of its cgroup, below that of its start.
    pub(crate) fn cgroup(self) -> String {
        format!("{:08x}", self.helper)
    }

    /// The tags that a process carries: as many as three, which differ only if one server runs below another's helper. Leaves out a
    /// place that cannot be read.
    pub(crate) fn carried_by(pid: Pid) -> impl Iterator<Item = Self> {
        let text = move |file: &str| system::shown(pid, file);
        // Lazy: the process may not live long enough for all three reads.
        let limits = move || limits_in(&String::from_utf8_lossy(&text("limits"))).and_then(Self::from_limits);
        let group = move || cgroup_in(&String::from_utf8_lossy(&text("cgroup")));
        let environment = move || variable_in(&text("environ"));
        let ways: [Box<dyn Fn() -> Option<Self>>; 3] =
            [Box::new(limits), Box::new(group), Box::new(environment)];
        ways.into_iter().filter_map(|way| way())
    }
}

impl fmt::Display for ProcessTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}-{:08x}", self.start.home, self.start.start, self.helper)
    }
}

impl ProcessTag {
    /// Reads the text of [`fmt::Display`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(|part| u64::from_str_radix(part, 16).ok());
        let (home, start, helper) = (parts.next()??, parts.next()??, parts.next()??);
        let start = StartTag { home: HomeTag::from_number(home), start: u32::try_from(start).ok()? };
        let tag = Self { start, helper: u32::try_from(helper).ok()? };
        parts.next().is_none().then_some(tag)
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

fn cgroup_in(text: &str) -> Option<ProcessTag> {
    let path = Path::new(text.lines().find_map(|line| line.strip_prefix("0::"))?);
    let mut parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    });
    let start = parts.find_map(|name| name.strip_prefix(CGROUP))?;
    ProcessTag::parse(&format!("{start}-{}", parts.next()?))
}

fn variable_in(environment: &[u8]) -> Option<ProcessTag> {
    let of = |variable: &[u8]| {
        let value = std::str::from_utf8(variable).ok()?.strip_prefix(VARIABLE)?.strip_prefix('=')?;
        ProcessTag::parse(value)
    };
    environment.split(|byte| *byte == 0).find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag() -> ProcessTag {
        ProcessTag::new(StartTag::new(HomeTag::of(&[b"a home"]), 0x1234_5678_9abc_def0), 7)
    }

    #[test]
    fn a_tag_reads_as_it_was_written_in_all_three_places() {
        let tag = tag();
        assert_eq!(ProcessTag::parse(&tag.to_string()), Some(tag));
        assert_eq!(ProcessTag::from_limits(tag.limits()), Some(tag));
        assert!(tag.limits().iter().all(|limit| *limit < 1 << HomeTag::BITS));
        let group = format!("4:memory:/a\n0::/user.slice/{}/{}/inner\n", tag.start.cgroup(), tag.cgroup());
        assert_eq!(cgroup_in(&group), Some(tag));
        let environment = format!("PATH=/bin\0{}={tag}\0", VARIABLE);
        assert_eq!(variable_in(environment.as_bytes()), Some(tag));
    }

    #[test]
    fn other_texts_are_no_tag() {
        for text in ["", "1-2", "1-2-3-4", "x-1-2", "1-100000000-2"] {
            assert_eq!(ProcessTag::parse(text), None, "{text:?}");
        }
        assert_eq!(
            limits_in("Max resident set  unlimited unlimited bytes\nMax file locks 1 2 locks\n"),
            None
        );
        let limits = "Max resident set   5   6  bytes\nMax file locks   7   8   locks\n";
        assert_eq!(limits_in(limits), Some([6, 8]));
        assert_eq!(cgroup_in("0::/skein-1-a/b\n"), ProcessTag::parse("1-a-b"));
        assert_eq!((cgroup_in("0::/skein-1-a\n"), cgroup_in("3:cpu:/\n")), (None, None));
    }
}
