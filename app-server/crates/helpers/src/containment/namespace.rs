//! A PID namespace for one helper (pid_namespaces(7)): its first process is ours, and the kernel ends everything in it with
//! that one, also when server and guard die at the same moment. Helpers see other pids, and a `/proc` that shows only theirs.
//!
//! ```text
//! guard (subreaper, outside) ── init (1 inside: reaps, tells how the helper ended) ── helper ── whatever it starts
//! ```
//!
//! A user who is not root gets a user namespace with it, in which he is himself and nobody else is anybody: `sudo` does not
//! work in there.
//!
//! Each helper gets a PID namespace with its own `/proc` under `helpers.containment = "namespace"`. Between guard and helper stands the
//! namespace's first process, ours, which reaps and reports how the helper ended. The kernel ends everything in there with that
//! process, and that process with its guard. So nothing is left when server and guard are killed at the same moment, also without a
//! next start. Helpers see other pids there; without root they also get a user namespace, in which `sudo` does not work.

use std::io::{self, PipeWriter, Write};

use nix::libc;
use nix::unistd::{ForkResult, Pid, fork};
use rustix::process::WaitOptions;
use skein_base::system::{self, proc};

use crate::containment::step::{Exit, Failure, Step};

/// The whole life of the namespace's first process: lets a child become `helper`, reaps whatever there is, and tells the guard
/// how that child ended. Ends when nothing is left in the namespace, and with the guard. What fails is said to `say`, whose
/// end is the moment of execve(2). `helper` owns its pipes: here they are closed, so that their end is the helper's alone.
pub(crate) fn be_init<W: Write>(
    mut tell: PipeWriter,
    mut say: W,
    helper: impl FnOnce(&mut W) -> Failure,
) -> ! {
    // SAFETY: this process has one thread, so the child may do whatever it likes.
    let forked = set_up(&tell).and_then(|()| Ok(unsafe { fork() }?));
    let failure = match forked {
        Err(error) => Failure::new(Step::Namespace, &error),
        Ok(ForkResult::Child) => helper(&mut say),
        Ok(ForkResult::Parent { child }) => {
            drop((say, helper));
            reap_until_none(child, &mut tell);
            // SAFETY: _exit(2) has no preconditions; destructors are the parent's business.
            unsafe { libc::_exit(0) }
        }
    };
    // Without a reader there is nobody to tell.
    let _ = say.write_all(&failure.encode());
    // SAFETY: as above.
    unsafe { libc::_exit(127) }
}

fn set_up(tell: &PipeWriter) -> io::Result<()> {
    system::be_called(c"skein-init")?;
    nix::unistd::setsid()?;
    system::enter_namespace(tell)
}

fn reap_until_none(helper: Pid, tell: &mut PipeWriter) {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == helper.as_raw() => {
                let killed = status.terminating_signal().map(Exit::Signal);
                if let Some(exit) = killed.or(status.exit_status().map(Exit::Code)) {
                    // The guard ends this process together with itself.
                    let _ = tell.write_all(&encode(exit));
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

/// Bytes of what is told about an end.
pub(crate) const TOLD: usize = 5;

fn encode(exit: Exit) -> [u8; TOLD] {
    let (kind, number) = match exit {
        Exit::Code(code) => (b'c', code),
        Exit::Signal(signal) => (b's', signal),
    };
    let mut bytes = [kind; TOLD];
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Reads what the first process of a namespace has told.
pub(crate) fn decode([kind, number @ ..]: [u8; TOLD]) -> Exit {
    let number = i32::from_le_bytes(number);
    if kind == b'c' { Exit::Code(number) } else { Exit::Signal(number) }
}
