//! macOS: libproc, kqueue(2), process groups. A process that leaves its helper's group and loses its parent is beyond
//! a guard's reach; `skein doctor` says so.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, PipeWriter};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{MsgFlags, getsockopt, sockopt};
use nix::unistd::{Pid, getsid};
use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};
use rustix::io::Errno;
use rustix::process::Signal;

use super::peers::{TcpEntry, TcpPair, UnixPeer, Unknown, Way};
use super::proc::Process;
use super::{GuardExecutable, RunState, Used};

/// The missing means to keep helpers together; `None` if nothing is missing.
pub const MISSING: Option<&str> = Some(
    "macOS has process groups only: what a helper starts, leaves its group and outlives its parent is not ended, and what \
     is left when server and guard are killed at the same moment is not found by the next start",
);
/// Flags for sending a message. Rust's runtime ignores SIGPIPE.
pub const SEND: MsgFlags = MsgFlags::empty();
/// Flags for receiving a message with descriptors.
pub const RECEIVE: MsgFlags = MsgFlags::empty();

/// This program.
///
/// # Errors
/// If its path is unknown.
pub fn own_program() -> io::Result<GuardExecutable> {
    std::env::current_exe().map(GuardExecutable::Path)
}

/// Does nothing: here an orphan becomes launchd's child.
///
/// # Errors
/// None.
pub fn be_subreaper() -> io::Result<()> {
    Ok(())
}

/// Whether this process is a subreaper: there are none here.
pub fn is_subreaper() -> bool {
    false
}

/// Does nothing: a process cannot rename itself here.
///
/// # Errors
/// None.
pub fn be_called(_name: &CStr) -> io::Result<()> {
    Ok(())
}

/// An unnamed file; close-on-exec.
///
/// # Errors
/// If the folder for temporary files cannot be written.
pub fn anonymous_file() -> io::Result<File> {
    let (made, path) = nix::unistd::mkstemp(&std::env::temp_dir().join("skein-XXXXXX"))?;
    std::fs::remove_file(path)?;
    rustix::io::fcntl_setfd(&made, rustix::io::FdFlags::CLOEXEC)?;
    Ok(File::from(made))
}

/// Closes every descriptor but the three standard ones.
///
/// # Safety
/// Nothing in this process may own one of them.
pub unsafe fn close_others() {
    // SAFETY: the caller's promise; unused numbers are refused.
    unsafe { (3..libc::getdtablesize()).for_each(|number| _ = libc::close(number)) }
}

/// The highest signal number.
pub fn last_signal() -> libc::c_int {
    libc::SIGUSR2
}

/// Whether the process group that `leader` led has a member, which may not descend from this process any more.
pub fn left_outside(leader: Pid) -> bool {
    leader.as_raw() > 1 && nix::sys::signal::killpg(leader, None).is_ok()
}

/// Sends `signal` to such members.
pub fn signal_outside(leader: Pid, signal: Signal) {
    if let (1.., Some(leader)) = (leader.as_raw(), rustix::process::Pid::from_raw(leader.as_raw())) {
        // An error means that there is none.
        let _ = rustix::process::kill_process_group(leader, signal);
    }
}

/// Reports state changes of children while SIGCHLD is blocked.
#[derive(Debug)]
pub struct ChildrenChanged(OwnedFd);

impl ChildrenChanged {
    /// Reports changes from now on.
    ///
    /// # Errors
    /// If the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        watching(EventFilter::Signal { signal: Signal::CHILD, times: 0 }).map(Self)
    }

    /// Clears past reports.
    pub fn clear(&mut self) {
        let mut told = [MaybeUninit::uninit(); 1];
        // SAFETY: no descriptor is registered.
        while let Ok(([_], _)) =
            unsafe { kevent(&self.0, &[], told.as_mut_slice(), Some(std::time::Duration::ZERO)) }
        {}
    }
}

impl AsFd for ChildrenChanged {
    /// Readable after a change.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A queue that is readable when `filter` reports.
fn watching(filter: EventFilter) -> io::Result<OwnedFd> {
    let queue = kqueue()?;
    rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
    let wanted = [Event::new(filter, EventFlags::ADD, std::ptr::null_mut())];
    let mut none: [Event; 0] = [];
    // SAFETY: no descriptor is registered.
    unsafe { kevent(&queue, &wanted, none.as_mut_slice(), None) }?;
    Ok(queue)
}

/// A process by its pid and its start. Between look and signal it may end, and its pid may be reused. That takes as
/// many new processes as there are pids.
#[derive(Debug)]
pub struct ProcessHandle(Process);

impl ProcessHandle {
    /// The handle to the pid's current process.
    pub fn on(pid: Pid) -> Option<Self> {
        process(pid).map(Self)
    }

    /// Sends `signal` to it.
    ///
    /// # Errors
    /// `SRCH` if it is gone; otherwise it belongs to another user.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let same = |now: Process| now.started == self.0.started;
        let pid = process(self.0.pid).filter(|now| same(*now)).map(|now| now.pid.as_raw());
        rustix::process::kill_process(
            pid.and_then(rustix::process::Pid::from_raw).ok_or(Errno::SRCH)?,
            signal,
        )
    }

    /// Sends SIGKILL to the group that it leads. `false` if there is none.
    pub fn kill_group(&self) -> bool {
        let leader = rustix::process::Pid::from_raw(self.0.pid.as_raw());
        leader.is_some_and(|leader| rustix::process::kill_process_group(leader, Signal::KILL).is_ok())
    }

    /// Whether no thread of it runs any more.
    pub fn has_ended(&self) -> bool {
        process(self.0.pid).is_none_or(|now| now.zombie || now.started != self.0.started)
    }
}

/// A descriptor that is readable once the pid's current process has ended.
pub fn end_of(pid: Pid) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid.as_raw())?;
    watching(EventFilter::Proc { pid, flags: ProcessEvents::EXIT }).ok()
}

/// The pid's current process.
pub fn process(pid: Pid) -> Option<Process> {
    /// Zombies too (`proc_pidinfo` of xnu).
    const ZOMBIES: u64 = 1;
    let found: libc::proc_bsdinfo = info(pid, libc::PROC_PIDTBSDINFO, ZOMBIES)?;
    let number = |raw: u32| i32::try_from(raw).ok().map(Pid::from_raw);
    Some(Process {
        pid,
        parent: number(found.pbi_ppid)?,
        group: number(found.pbi_pgid)?,
        // A zombie's session is unknown.
        session: getsid(Some(pid)).unwrap_or(Pid::from_raw(0)),
        started: found.pbi_start_tvsec.saturating_mul(1_000_000).saturating_add(found.pbi_start_tvusec),
        zombie: found.pbi_status == libc::SZOMB,
        stopped: found.pbi_status == libc::SSTOP,
    })
}

/// Nobody counts them here.
pub(crate) fn born() -> Option<u64> {
    None
}

/// The pid of every process that this one can see.
pub fn pids() -> impl Iterator<Item = Pid> {
    /// Above what macOS permits at one time (`kern.maxproc`).
    const MOST: usize = 1 << 16;
    let mut pids = vec![0_i32; MOST];
    let bytes = libc::c_int::try_from(size_of::<i32>() * MOST).unwrap_or(libc::c_int::MAX);
    // SAFETY: the buffer has that many bytes.
    let found = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), bytes) };
    pids.truncate(usize::try_from(found).unwrap_or_default());
    pids.into_iter().map(Pid::from_raw)
}

/// A file of proc(5) about a process: nothing, as there is none here.
pub fn shown(_pid: Pid, _file: &str) -> Vec<u8> {
    Vec::new()
}

/// The inodes of a process's sockets: none, as sockets have none here.
pub fn sockets(_pid: Pid) -> Vec<u64> {
    Vec::new()
}

/// A process's name in the kernel.
pub fn name(pid: Pid) -> Option<Vec<u8>> {
    let mut name = [0_u8; 64];
    // SAFETY: the buffer has 64 bytes.
    let length = unsafe { libc::proc_name(pid.as_raw(), name.as_mut_ptr().cast(), 64) };
    name.get(..usize::try_from(length).ok()?).filter(|name| !name.is_empty()).map(<[u8]>::to_vec)
}

/// The resident memory of a process, bytes.
pub fn resident(pid: Pid) -> Option<u64> {
    Some(info::<libc::proc_taskinfo>(pid, libc::PROC_PIDTASKINFO, 0)?.pti_resident_size)
}

/// The resources that a process has used, and what its threads do.
pub fn used(pid: Pid) -> Option<(Used, RunState)> {
    let running =
        || info::<libc::proc_taskinfo>(pid, libc::PROC_PIDTASKINFO, 0).map(|task| task.pti_numrunning);
    let state = if process(pid)?.stopped {
        RunState::Stopped
    } else if running().is_some_and(|threads| threads > 0) {
        RunState::Runnable
    } else {
        RunState::Waiting
    };
    let mut usage = MaybeUninit::<libc::rusage_info_v4>::zeroed();
    // SAFETY: this version fills exactly this buffer.
    let failed =
        unsafe { libc::proc_pid_rusage(pid.as_raw(), libc::RUSAGE_INFO_V4, usage.as_mut_ptr().cast()) };
    // SAFETY: numbers, all of which are valid when they are zero.
    let usage = unsafe { usage.assume_init() };
    let time = usage.ri_user_time.saturating_add(usage.ri_system_time);
    let io = usage.ri_diskio_bytesread.wrapping_add(usage.ri_diskio_byteswritten);
    (failed == 0).then_some((Used { time, io }, state))
}

/// A `proc_pidinfo` structure of this `flavor`.
fn info<T>(pid: Pid, flavor: libc::c_int, argument: u64) -> Option<T> {
    let size = libc::c_int::try_from(size_of::<T>()).ok()?;
    let mut found = MaybeUninit::<T>::zeroed();
    // SAFETY: the buffer has that many bytes.
    let told = unsafe { libc::proc_pidinfo(pid.as_raw(), flavor, argument, found.as_mut_ptr().cast(), size) };
    // SAFETY: the kernel has filled in all of it.
    (told == size).then(|| unsafe { found.assume_init() })
}

/// Does nothing: other processes cannot read limits here, so only the environment carries the tag.
///
/// # Errors
/// None.
pub fn tag_process(_numbers: [u64; 2]) -> io::Result<()> {
    Ok(())
}

/// Fails: there are no namespaces here.
///
/// # Errors
/// Always.
pub fn prepare_namespace() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Fails: there are no namespaces here.
///
/// # Errors
/// Always.
pub fn enter_namespace(_tell: &PipeWriter) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The uid that stands for users without a number: there are no user namespaces here.
pub(super) fn overflow_uid() -> Option<u32> {
    None
}

/// Fails: there is no way to ask for one connection here.
pub(super) fn tcp_entry(_pair: &TcpPair) -> Result<Option<TcpEntry>, Unknown> {
    Err(Unknown::Unsupported)
}

/// Fails like [`tcp_entry`].
pub(super) fn tcp_entry_at_once(pair: &TcpPair) -> Result<Option<TcpEntry>, Unknown> {
    tcp_entry(pair)
}

/// Fails by every way.
pub(super) fn tcp_entry_by(_way: Way, pair: &TcpPair) -> Result<Option<TcpEntry>, Unknown> {
    tcp_entry(pair)
}

/// The process that connected to an accepted unix socket. Nothing pins it.
pub(super) fn unix_peer(socket: BorrowedFd<'_>) -> io::Result<UnixPeer> {
    let (user, _) = nix::unistd::getpeereid(socket)?;
    let pid = getsockopt(&socket, sockopt::LocalPeerPid)?;
    Ok(UnixPeer {
        uid: user.as_raw(),
        pid: Some(Pid::from_raw(pid)).filter(|pid| pid.as_raw() > 0),
        pidfd: None,
        ended: false,
    })
}

/// Never called: there are no pidfds here.
pub(super) fn has_ended(_pidfd: BorrowedFd<'_>) -> bool {
    false
}
