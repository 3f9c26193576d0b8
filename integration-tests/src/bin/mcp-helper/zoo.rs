//! The zoo: ways in which a helper, or its children, may refuse to end, and (in `faults.rs`) ways to break
//! the rules of the protocol meanwhile. `--zoo MODE TAG` selects one of them. Every process of the mode has
//! the tag among its arguments, since an environment can be cleared.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::poll::poll;
use nix::sys::signal::{SigHandler, Signal, raise, signal};
use nix::unistd::{ForkResult, fork};
use serde_json::Value;

use super::faults::Fault;
use super::pipe::Pipe;

/// Number of children in a mode with many.
const MANY: usize = 20;
/// Length of a chain or a loop of forks. It bounds the chain if nothing stops it, and lasts far longer than
/// the server may take.
const LINKS: usize = 30_000;
/// Lifetime of a link of such a chain, milliseconds.
const LINK: u8 = 1;

/// A way to behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Polite,
    IgnoresTerm,
    IgnoresEof,
    IgnoresBoth,
    DoubleFork,
    OwnSession,
    OwnGroup,
    NoEnvironment,
    Twenty,
    Daemon,
    Stopped,
    Zombies,
    LeaderEnds,
    ForkChain,
    ForkLoop,
    ExitsAtStart,
    ExitsAfterInitialize,
    /// Refuses to end, and breaks the rules after `tools/list`.
    Faulty(Fault),
}

impl Mode {
    const NAMES: [(&str, Self); 17] = [
        ("polite", Self::Polite),
        ("ignores-term", Self::IgnoresTerm),
        ("ignores-eof", Self::IgnoresEof),
        ("ignores-both", Self::IgnoresBoth),
        ("double-fork", Self::DoubleFork),
        ("own-session", Self::OwnSession),
        ("own-group", Self::OwnGroup),
        ("no-environment", Self::NoEnvironment),
        ("twenty", Self::Twenty),
        ("daemon", Self::Daemon),
        ("stopped", Self::Stopped),
        ("zombies", Self::Zombies),
        ("leader-ends", Self::LeaderEnds),
        ("fork-chain", Self::ForkChain),
        ("fork-loop", Self::ForkLoop),
        ("exits-at-start", Self::ExitsAtStart),
        ("exits-after-initialize", Self::ExitsAfterInitialize),
    ];

    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let known = Self::NAMES.into_iter().find(|(known, _)| *known == name);
        let known = known.map(|(_, mode)| mode).or_else(|| Fault::named(name).map(Self::Faulty));
        known.ok_or_else(|| format!("unknown mode {name:?} of the zoo"))
    }

    /// Whether the helper itself ignores SIGTERM.
    pub(crate) fn ignores_term(self) -> bool {
        matches!(self, Self::IgnoresTerm | Self::IgnoresBoth | Self::Zombies | Self::Faulty(_))
    }

    /// Whether the helper itself keeps running after the end of its input.
    pub(crate) fn ignores_eof(self) -> bool {
        matches!(self, Self::IgnoresEof | Self::IgnoresBoth | Self::Zombies | Self::Faulty(_))
    }

    /// Starts the other processes of the mode. Call it before there is a second thread.
    pub(crate) fn begin(self, tag: &str) -> io::Result<()> {
        match self {
            Self::Polite
            | Self::IgnoresTerm
            | Self::IgnoresEof
            | Self::IgnoresBoth
            | Self::Stopped
            | Self::Faulty(_) => Ok(()),
            Self::DoubleFork => child(&["--fork-away"], tag, false),
            Self::OwnSession => child(&["--own-session"], tag, false),
            Self::OwnGroup => child(&["--own-group"], tag, false),
            Self::NoEnvironment => child(&["--fork-away", "--own-session"], tag, true),
            Self::Daemon => child(&["--fork-away", "--own-session", "--leaves-all"], tag, true),
            Self::Twenty => {
                let kinds = [&["--own-session"][..], &["--own-group"], &["--fork-away"], &[]];
                kinds.into_iter().cycle().take(MANY).try_for_each(|kind| child(kind, tag, false))
            }
            Self::Zombies => {
                for _ in 0..MANY {
                    // No process waits for it; the mode is about that.
                    drop(Command::new("/bin/true").stdin(Stdio::null()).spawn()?);
                }
                child(&[], tag, false)
            }
            Self::LeaderEnds => child(&["--leader-ends"], tag, false),
            Self::ForkChain => child(&["--chain"], tag, false),
            Self::ForkLoop => child(&["--loop"], tag, false),
            Self::ExitsAtStart => {
                child(&["--own-session"], tag, false)?;
                std::process::exit(3)
            }
            Self::ExitsAfterInitialize => child(&["--own-session"], tag, false),
        }
    }

    /// Called after the answer to `method` was sent.
    pub(crate) fn answered(self, method: &str, id: &Value, pipe: Pipe) {
        match (self, method) {
            (Self::ExitsAfterInitialize, "initialize") => std::process::exit(4),
            (Self::Stopped, "tools/list") => {
                pipe.at_it();
                // After an error the helper would simply keep running, and the test would see that.
                let _ = raise(Signal::SIGSTOP);
            }
            (Self::LeaderEnds, "tools/list") => pipe.at_it(),
            (Self::Faulty(fault), method) => fault.answered(method, id, pipe),
            _ => {}
        }
    }
}

/// Starts a child that ignores SIGTERM and SIGHUP and waits for ever, after it has acted according to `ways`.
fn child(ways: &[&str], tag: &str, no_environment: bool) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--zoo-child").arg(tag).args(ways).stdin(Stdio::null()).stderr(Stdio::null());
    if no_environment {
        command.env_clear().arg0("innocent");
    }
    let mut started = command.spawn()?;
    if ways.contains(&"--leader-ends") {
        let stat = format!("/proc/{}/stat", started.id());
        while !std::fs::read_to_string(&stat)?.contains(") Z ") {
            poll(&mut [], LINK)?;
        }
    }
    if ways.contains(&"--fork-away") {
        // Its own child continues, and belongs to another parent now.
        started.wait()?;
    }
    Ok(())
}

/// The whole life of such a child. The process has one thread.
pub(crate) fn be_child(ways: &[String]) -> io::Result<()> {
    let does = |way: &str| ways.iter().any(|given| given == way);
    for ignored in [Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    if does("--own-group") {
        nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0))?;
    }
    if does("--own-session") && !does("--fork-away") {
        nix::unistd::setsid()?;
    }
    if does("--fork-away") {
        leave();
        if does("--own-session") {
            nix::unistd::setsid()?;
        }
    }
    if does("--leaves-all") {
        std::env::set_current_dir("/")?;
        // SAFETY: nothing in this program owns these descriptors.
        unsafe { nix::libc::syscall(nix::libc::SYS_close_range, 0, nix::libc::c_uint::MAX, 0) };
    }
    if does("--leader-ends") {
        std::thread::spawn(|| super::wait_for_ever());
        // SAFETY: the call ends only this thread, which owns nothing that the other thread needs. The process
        // then looks like a zombie.
        unsafe { nix::libc::syscall(nix::libc::SYS_exit, 0) };
    }
    if does("--chain") {
        for _ in 0..LINKS {
            leave();
            // Nothing wakes the poll except the timeout.
            poll(&mut [], LINK)?;
        }
        return Ok(());
    }
    if does("--loop") {
        return fork_on();
    }
    super::wait_for_ever()
}

/// Continues as a child of this process, which ends.
fn leave() {
    // SAFETY: this process has one thread, so the child may run any code.
    if let Ok(ForkResult::Parent { .. }) = unsafe { fork() } {
        std::process::exit(0);
    }
}

/// Forks one child after the other. Each ends after [`LINK`], so two of them live at a time.
fn fork_on() -> io::Result<()> {
    // SAFETY: ignoring a signal runs no code of ours; the kernel then waits for the children.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    for _ in 0..LINKS {
        // SAFETY: this process has one thread, so the child may run any code.
        if let Ok(ForkResult::Child) = unsafe { fork() } {
            poll(&mut [], LINK.saturating_mul(2))?;
            std::process::exit(0);
        }
        poll(&mut [], LINK)?;
    }
    Ok(())
}
