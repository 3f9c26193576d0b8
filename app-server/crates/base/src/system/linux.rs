//! Linux: proc(5), pidfd_open(2), prctl(2), signalfd(2), memfd_create(2), pid_namespaces(7).

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::MsgFlags;
use nix::unistd::{Pid, getgid, getuid};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Resource, Rlimit, Signal, setrlimit};

use super::proc::Process;
use super::{GuardExecutable, RunState, Used};

mod sockets;
mod threads;

pub(crate) use sockets::{has_ended, overflow_uid, tcp_entry, tcp_entry_at_once, tcp_entry_by, unix_peer};
pub use threads::{shown, sockets};

/// The missing means to keep helpers together; `None` if nothing is missing.
pub const MISSING: Option<&str> = None;
/// Flags for sending a message.
pub const SEND: MsgFlags = MsgFlags::MSG_NOSIGNAL;
/// Flags for receiving a message with descriptors.
pub const RECEIVE: MsgFlags = MsgFlags::MSG_CMSG_CLOEXEC;

/// This program; it stays the same if a new version replaces the file.
///
/// # Errors
/// If `/proc/self/exe` cannot be opened.
pub(crate) fn own_program() -> io::Result<GuardExecutable> {
    open_program("/proc/self/exe")
}

fn open_program(path: &str) -> io::Result<GuardExecutable> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("{path} cannot be opened ({error}); mount /proc, or say --guard PATH"),
        )
    };
    File::open(path).map(GuardExecutable::Opened).map_err(named)
}

/// Makes this process inherit the children of every descendant that ends before them.
///
/// # Errors
/// Linux before 3.4.
pub fn be_subreaper() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// Whether this process is a subreaper.
pub fn is_subreaper() -> bool {
    prctl::get_child_subreaper().unwrap_or_default()
}

/// Sets this process's name in the kernel.
///
/// # Errors
/// None that is known.
pub fn be_called(name: &CStr) -> io::Result<()> {
    Ok(prctl::set_name(name)?)
}

/// An unnamed file; close-on-exec.
///
/// # Errors
/// If the system is out of descriptors or memory.
pub fn anonymous_file() -> io::Result<File> {
    Ok(File::from(memfd_create(c"skein", MFdFlags::MFD_CLOEXEC)?))
}

/// Closes every descriptor but the three standard ones.
///
/// # Safety
/// Nothing in this process may own one of them.
pub unsafe fn close_others() {
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// The highest signal number.
pub fn last_signal() -> libc::c_int {
    libc::SIGRTMAX()
}

/// Whether the process group that `leader` led has a member outside of this process's descendants: never with a
/// subreaper.
pub fn left_outside(_leader: Pid) -> bool {
    false
}

/// Sends `signal` to such members.
pub fn signal_outside(_leader: Pid, _signal: Signal) {}

/// Reports state changes of children while SIGCHLD is blocked.
#[derive(Debug)]
pub struct ChildrenChanged(SignalFd);

impl ChildrenChanged {
    /// Reports changes from now on.
    ///
    /// # Errors
    /// If the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&SigSet::from(NixSignal::SIGCHLD), flags)?))
    }

    /// Clears past reports.
    pub fn clear(&mut self) {
        while let Ok(Some(_)) = self.0.read_signal() {}
    }
}

impl AsFd for ChildrenChanged {
    /// Readable after a change.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A handle to one process. It never reaches another process with the same pid.
#[derive(Debug)]
pub struct ProcessHandle(OwnedFd);

impl ProcessHandle {
    /// The handle to the pid's current process.
    pub fn on(pid: Pid) -> Option<Self> {
        let pid = rustix::process::Pid::from_raw(pid.as_raw())?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok().map(Self)
    }

    /// Sends `signal` to it.
    ///
    /// # Errors
    /// `SRCH` if it is gone; otherwise it belongs to another user.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        rustix::process::pidfd_send_signal(&self.0, signal)
    }

    /// Sends SIGKILL to the group that it leads. `false` if there is none, or the kernel is older than 6.9.
    pub(crate) fn kill_group(&self) -> bool {
        /// `PIDFD_SIGNAL_PROCESS_GROUP` of pidfd_send_signal(2).
        const WHOLE_GROUP: libc::c_uint = 1 << 2;
        let info = std::ptr::null::<libc::siginfo_t>();
        let number = libc::SYS_pidfd_send_signal;
        // SAFETY: the descriptor is open, and without information the kernel fills in its own.
        let sent = unsafe { libc::syscall(number, self.0.as_raw_fd(), libc::SIGKILL, info, WHOLE_GROUP) };
        sent == 0
    }

    /// Whether no thread of it runs any more.
    pub fn has_ended(&self) -> bool {
        has_ended(self.0.as_fd())
    }
}

/// A descriptor that is readable once the pid's current process has ended.
pub fn end_of(pid: Pid) -> Option<OwnedFd> {
    ProcessHandle::on(pid).map(|hold| hold.0)
}

/// The pid's current process.
pub(crate) fn process(pid: Pid) -> Option<Process> {
    // A name may hold any byte, so the text need not be UTF-8.
    parse(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// `processes` of proc_stat(5).
pub(crate) fn born() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("processes "))?.trim().parse().ok()
}

/// The pid of every process that this one can see.
pub(crate) fn pids() -> impl Iterator<Item = Pid> {
    let all = fs::read_dir("/proc").into_iter().flatten();
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).map(Pid::from_raw)
}

/// A process's name in the kernel.
pub fn name(pid: Pid) -> Option<Vec<u8>> {
    Some(fs::read(format!("/proc/{pid}/comm")).ok()?.trim_ascii_end().to_vec())
}

/// The resident memory of a process, bytes.
pub fn resident(pid: Pid) -> Option<u64> {
    let pages = |folder: &Path| -> Option<u64> {
        let statm = fs::read_to_string(folder.join("statm")).ok()?;
        statm.split_whitespace().nth(1)?.parse().ok()
    };
    let shown = threads::read_shown(pid, |folder| pages(folder).filter(|pages| *pages > 0));
    // A thread of the kernel has none.
    let pages = shown.or_else(|| pages(format!("/proc/{pid}").as_ref()))?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    Some(pages.saturating_mul(u64::try_from(page).unwrap_or(4096)))
}

/// The resources that a process has used, and what its threads do.
pub fn used(pid: Pid) -> Option<(Used, RunState)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let (time, state) = ticks(&String::from_utf8_lossy(&stat))?;
    let read = |folder: &Path| fs::read_to_string(folder.join("io")).ok().map(|io| sum(&io));
    // Not every user may read this of every process. Once its first thread has ended, only root may read the sum of all.
    let io = read(format!("/proc/{pid}").as_ref()).unwrap_or_else(|| {
        threads::other_threads(pid).filter_map(|thread| read(&thread)).fold(0, u64::wrapping_add)
    });
    let others = || threads::other_threads(pid).filter_map(|thread| state_of(&thread));
    Some((Used { time, io }, run_state(state, others)))
}

/// The state of a process whose first thread has the state `first`. The other threads are looked at only where they decide.
fn run_state<I: Iterator<Item = char>>(first: char, others: impl Fn() -> I) -> RunState {
    let is_stopped = |state: char| matches!(state, 'T' | 't');
    match first {
        'R' => RunState::Runnable,
        first if is_stopped(first) => RunState::Stopped,
        // A first thread that has ended no longer shows a stop.
        'Z' if others().any(is_stopped) => RunState::Stopped,
        _waits if others().any(|state| state == 'R') => RunState::Runnable,
        _waits => RunState::Waiting,
    }
}

/// The state of one thread.
fn state_of(thread: &Path) -> Option<char> {
    Some(ticks(&String::from_utf8_lossy(&fs::read(thread.join("stat")).ok()?))?.1)
}

/// Tags this process and its children with two numbers, in limits that Linux ignores.
///
/// # Errors
/// If a parent has limited these already, and we are not root.
pub fn tag_process([home, helper]: [u64; 2]) -> io::Result<()> {
    for (resource, value) in [(Resource::Rss, home), (Resource::Locks, helper)] {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    }
    Ok(())
}

/// Makes the next child of this process the first of a new PID namespace. This process must have one thread.
///
/// # Errors
/// If the system forbids it to this user.
pub fn prepare_namespace() -> io::Result<()> {
    let (user, group) = (getuid(), getgid());
    if user.is_root() {
        unshare(CloneFlags::CLONE_NEWPID)?;
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// Makes this process, the first of its namespace, end with the guard, the only reader of `tell`. Gives it its own
/// `/proc`.
///
/// # Errors
/// If the guard is gone, or the system forbids it.
pub fn enter_namespace(tell: &PipeWriter) -> io::Result<()> {
    // The kernel delivers it from outside even to the first process of a namespace, which ignores all other signals
    // but SIGSTOP.
    prctl::set_pdeathsig(NixSignal::SIGKILL)?;
    // The guard may have died before, and from inside a namespace its pid is invisible. It is the only reader of the
    // pipe, and a pipe without a reader says so.
    let mut reader = [PollFd::new(tell.as_fd(), PollFlags::empty())];
    if poll(&mut reader, PollTimeout::ZERO)? > 0 {
        return Err(io::Error::other("the guard is gone"));
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Mounts here must stay invisible outside.
    mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    mount(Some(c"proc"), c"/proc", Some(c"proc"), flags)
}

fn mount(what: Option<&CStr>, at: &CStr, kind: Option<&CStr>, flags: libc::c_ulong) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: the texts live until the call returns, and none of these file systems takes data.
    let done = unsafe { libc::mount(pointer(what), at.as_ptr(), pointer(kind), flags, std::ptr::null()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One `/proc/<pid>/stat` (proc_pid_stat(5)). The name is in parentheses and may hold parentheses itself.
fn parse(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let fields: Vec<&str> = rest.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse().ok().map(Pid::from_raw);
    let threads: usize = fields.get(17)?.parse().ok()?;
    Some(Process {
        pid: Pid::from_raw(pid.parse().ok()?),
        // In a process with several threads only the first one has ended.
        zombie: matches!(*fields.first()?, "Z" | "X") && threads <= 1,
        stopped: matches!(*fields.first()?, "T" | "t"),
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// Ticks in user and kernel mode from `/proc/<pid>/stat`, with those of reaped children, and the state.
fn ticks(stat: &str) -> Option<(u64, char)> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = (11..=14).map(number).try_fold(0_u64, |sum, ticks| Some(sum.saturating_add(ticks?)))?;
    Some((ticks, fields.first()?.parse().ok()?))
}

/// The sum of all numbers in `/proc/<pid>/io`: each of them only rises.
fn sum(io: &str) -> u64 {
    let numbers = io.lines().filter_map(|line| line.split_once(": ")?.1.parse::<u64>().ok());
    numbers.fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_cannot_be_opened_is_named() {
        let said = open_program("/nowhere/self/exe").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains("/nowhere/self/exe") && said.contains("mount /proc"), "{said}");
    }

    #[test]
    fn a_process_runs_if_one_of_its_threads_does_and_is_stopped_if_its_first_is() {
        let state = |first, others: &str| run_state(first, || others.chars());
        for (first, others) in [('R', ""), ('S', "SR"), ('D', "R"), ('Z', "SR")] {
            assert_eq!(state(first, others), RunState::Runnable, "{first} {others}");
        }
        for (first, others) in [('T', "R"), ('t', ""), ('Z', "TR")] {
            assert_eq!(state(first, others), RunState::Stopped, "{first} {others}");
        }
        for (first, others) in [('S', "SD"), ('D', ""), ('Z', "")] {
            assert_eq!(state(first, others), RunState::Waiting, "{first} {others}");
        }
    }

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
            stopped: false,
        };
        assert_eq!(parse(line), Some(wanted));
        let lives_on = line.replace(" 20 0 1 0 98765", " 20 0 2 0 98765");
        assert_eq!(
            parse(&lives_on),
            Some(Process { zombie: false, ..wanted }),
            "its first thread alone has ended"
        );
        assert_eq!(parse("42 (cut) S 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn used_resources_are_read_whatever_the_process_is_called() {
        let line = "42 (a) b (c) T 7 40 41 0 -1 4194560 1 0 0 0 11 22 3 4 20 0 1 0 98765 100 5 0";
        assert_eq!(ticks(line), Some((40, 'T')));
        assert_eq!(ticks("42 (cut) S 7"), None);
        assert_eq!(sum("rchar: 5\nwchar: 7\n"), 12);
        assert_eq!(sum("nothing"), 0);
    }
}
