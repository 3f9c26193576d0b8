//! A PID namespace for one helper (pid_namespaces(7)). Its first process is a fork of the guard. The kernel ends the whole namespace with
//! that process, also if server and guard die at the same moment. Helpers see other pids, and a `/proc` of their own processes only.
//!
//! ```text
//! guard (subreaper, outside) ── init (1 inside: reaps, reports the helper's end) ── helper ── its descendants
//! ```
//!
//! `helpers.containment = "namespace"` gives one to each helper. The first process ends with its guard, so nothing is left if server and
//! guard are killed at the same moment, even without a next start. Without root a helper also gets a user namespace that knows only its
//! own user: `sudo` does not work there.

use std::io::{self, PipeWriter, Write};

use nix::libc;
use nix::unistd::{ForkResult, Pid, fork};
use rustix::process::WaitOptions;
use skein_base::system::{self, proc};

use crate::containment::step::{Exit, Step, StepFailure};

/// The whole life of the namespace's first process: a child becomes `helper`; this process reaps every process in it, and reports the end of
/// that child to the guard. It ends with the guard, or when nothing is left in the namespace. A failure goes to `say`, which closes at
/// execve(2). `helper` owns its pipes: here they are closed, so that only the helper holds them open.
pub(crate) fn be_init<W: Write>(
    mut report: PipeWriter,
    mut say: W,
    helper: impl FnOnce(&mut W) -> StepFailure,
) -> ! {
    // SAFETY: this process has one thread, so the child may do whatever it likes.
    let forked = set_up(&report).and_then(|()| Ok(unsafe { fork() }?));
    let failure = match forked {
        Err(error) => StepFailure::new(Step::Namespace, &error),
        Ok(ForkResult::Child) => helper(&mut say),
        Ok(ForkResult::Parent { child }) => {
            drop((say, helper));
            reap_until_none(child, &mut report);
            // SAFETY: _exit(2) has no preconditions; destructors are the parent's business.
            unsafe { libc::_exit(0) }
        }
    };
    // Without a reader there is nobody to report.
    let _ = say.write_all(&failure.encode());
    // SAFETY: as above.
    unsafe { libc::_exit(127) }
}

fn set_up(report: &PipeWriter) -> io::Result<()> {
    system::be_called(c"skein-init")?;
    nix::unistd::setsid()?;
    system::enter_namespace(report)
}

fn reap_until_none(helper: Pid, report: &mut PipeWriter) {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == helper.as_raw() => {
                let killed = status.terminating_signal().map(Exit::Signal);
                if let Some(exit) = killed.or(status.exit_status().map(Exit::Code)) {
                    // The guard ends this process together with itself.
                    let _ = report.write_all(&encode(exit));
                }
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// The helper as the guard sees it: the first child of the namespace's first process.
pub(crate) fn helper_of(init: Pid) -> Option<Pid> {
    proc::all().find(|process| process.parent == init).map(|process| process.pid)
}

/// Bytes of a report.
pub(crate) const REPORT_LENGTH: usize = 5;

fn encode(exit: Exit) -> [u8; REPORT_LENGTH] {
    let (kind, number) = match exit {
        Exit::Code(code) => (b'c', code),
        Exit::Signal(signal) => (b's', signal),
    };
    let mut bytes = [kind; REPORT_LENGTH];
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Reads a report of the first process of a namespace.
pub(crate) fn decode([kind, number @ ..]: [u8; REPORT_LENGTH]) -> Exit {
    let number = i32::from_le_bytes(number);
    if kind == b'c' { Exit::Code(number) } else { Exit::Signal(number) }
}
