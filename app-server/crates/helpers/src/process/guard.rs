//! The guard: the skein program run again, single-threaded and before any runtime. It starts one helper, is the
//! subreaper of everything the helper starts, and ends all of it when told, or when the server is gone.
//!
//! Only the control socket rules it: every signal that can be blocked is. It must never start a thread, and its
//! standard input is the control socket until it has ended.
//!
//! ```text
//! server --- socket ---> guard (session leader, subreaper) ---> helper ---> its descendants
//!    |                     |
//!    | 1. close stdin      | on order, or when the socket closes because the server is gone:
//!    | 2. SIGTERM          |   ends everything below it, reaps until no child is left,
//!    | 3. SIGKILL          |   and only then ends itself
//!    v
//! fully stopped, known by waiting for processes and not by guessing
//! ```
//!
//! Between two stages lies `helpers.stop_grace`. A helper that double-forks or leaves its session stays a descendant of the guard,
//! because the guard is a subreaper. Where a cgroup can be made, it holds the same tree a second time. The server is a subreaper,
//! too: if a guard alone is killed, its tree falls to the server, which ends it (`recovery/orphans.rs`). Work that is handed to other daemons,
//! such as docker, systemd-run or at, is not covered.
//!
//! A process group is killed by a descriptor of its leader. Where the leader is gone, or the kernel is older than 6.9, it is killed
//! member by member: a bare number might name another process by then.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::process::{Signal, WaitOptions, WaitStatus};
use skein_base::clock::Clock;
use skein_base::descriptors;
use skein_base::system::{self, ChildrenChanged, proc};

use crate::containment::step::{Exit, Step, StepFailure};
use crate::containment::tag::GUARD_NAME;
use crate::containment::{cgroup, namespace};
use crate::policy;
use crate::process::control::{self, GuardReport, Order, Plan};
use crate::process::stages::{Stage, Stages};
use crate::process::start;

/// Runs the guard if this process was started as one. Call it first in `main`, before any thread.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    (std::env::args_os().nth(1)? == control::COMMAND).then(main)
}

/// The whole life of a guard. Its exit code says only whether it could work at all.
pub(crate) fn main() -> ExitCode {
    match Guard::start().and_then(Guard::run) {
        Ok(()) => ExitCode::SUCCESS,
        // The output of a guard is not read; the server sees the socket close and ends the orphans.
        Err(_) => ExitCode::FAILURE,
    }
}

struct Guard {
    control: UnixStream,
    children_changed: ChildrenChanged,
    cgroup: Option<OsString>,
    cgroup_forced: bool,
    stages: Stages,
    server_is_gone: bool,
    launch: Launch,
    /// The helper, or the first process of its namespace.
    main: Pid,
    /// Reports of the namespace's first process about the helper's end.
    from_namespace: Option<File>,
    in_namespace: bool,
    /// The helper's end was reported.
    exit_reported: bool,
}

/// The progress of the forked child towards the helper.
enum Launch {
    /// A failed step arrives on this pipe, which closes at execve(2).
    Pending(File),
    Running,
    Failed,
}

impl Guard {
    /// Receives the plan from the server and starts the helper.
    fn start() -> io::Result<Self> {
        // Closes descriptors that the server's parent may have left open; later ones are close-on-exec.
        // SAFETY: nothing in this process owns a descriptor above the standard ones yet.
        unsafe { system::close_others() };
        system::be_called(GUARD_NAME)?;
        system::be_subreaper()?;
        nix::unistd::setsid()?;
        std::env::set_current_dir("/")?;
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
        let children_changed = ChildrenChanged::new()?;
        let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let (plan, pipes) = control::receive_plan(&control)?;
        control.set_nonblocking(true)?;
        // The guard too: one that was stopped when its server died has to be found. Where it is refused the environment
        // and the cgroup carry the tag.
        let _ = plan.tag.set_limits();
        let (main, launch, from_namespace) = start_helper(&plan, pipes)?;
        let stages = Stages::new(plan.grace);
        Ok(Self {
            control,
            children_changed,
            cgroup: plan.cgroup,
            cgroup_forced: plan.cgroup_forced,
            stages,
            server_is_gone: false,
            launch,
            main,
            from_namespace,
            in_namespace: plan.namespace,
            exit_reported: false,
        })
    }

    /// Runs until no process is left after an order, or after a failed start.
    fn run(mut self) -> io::Result<()> {
        loop {
            let left = self.reap()?;
            self.watch_launch()?;
            self.read_namespace();
            let over = self.stages.current().is_some() || matches!(self.launch, Launch::Failed);
            if over && !left {
                self.report(GuardReport::Stopped(self.stages.current()));
                self.tidy_up();
                return Ok(());
            }
            self.act();
            self.wait()?;
            self.handle_orders();
        }
    }

    /// Reaps whatever has ended. Returns whether a child is left; as this is a subreaper: whether any descendant is. Where
    /// there are no subreapers: whether a child is, or a process in the helper's process group.
    fn reap(&mut self) -> io::Result<bool> {
        self.children_changed.clear();
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_pid() == self.main.as_raw() => {
                    self.main_ended(status)?
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return Ok(true),
                Err(rustix::io::Errno::CHILD) => return Ok(system::left_outside(self.main)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn main_ended(&mut self, status: WaitStatus) -> io::Result<()> {
        self.watch_launch()?;
        let killed = status.terminating_signal().map(Exit::Signal);
        self.read_namespace();
        if let Some(exit) = killed.or(status.exit_status().map(Exit::Code)) {
            self.report_exit(exit);
        }
        Ok(())
    }

    /// Reads the reports of the namespace's first process.
    fn read_namespace(&mut self) {
        let mut bytes = [0; namespace::REPORT_LENGTH];
        while let Some(pipe) = &mut self.from_namespace {
            match pipe.read_exact(&mut bytes) {
                Ok(()) => self.report_exit(namespace::decode(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.from_namespace = None,
            }
        }
    }

    /// Reports the end of a helper that ran, once.
    fn report_exit(&mut self, exit: Exit) {
        if matches!(self.launch, Launch::Running) && !std::mem::replace(&mut self.exit_reported, true) {
            self.report(GuardReport::Exited(exit));
        }
    }

    /// The helper itself, once it runs.
    fn helper(&self) -> Pid {
        // One that has ended meanwhile has no pid any more; its namespace's first process stands for it.
        self.in_namespace.then(|| namespace::helper_of(self.main)).flatten().unwrap_or(self.main)
    }

    /// Reads the failed steps of the forked child.
    fn watch_launch(&mut self) -> io::Result<()> {
        while let Launch::Pending(pipe) = &mut self.launch {
            let mut bytes = [0; StepFailure::LENGTH];
            match pipe.read_exact(&mut bytes) {
                Ok(()) => {
                    let failure = StepFailure::decode(bytes);
                    if failure.step != Step::Cgroup || self.cgroup_forced {
                        self.launch = Launch::Failed;
                    }
                    self.report(GuardReport::Failed(failure.step, failure.errno));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.launch = Launch::Running;
                    self.report(GuardReport::Started(self.helper().as_raw()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Carries out the current stage.
    fn act(&mut self) {
        match self.stages.due(Clock.now()) {
            Some(Stage::Terminate) => self.terminate_all(),
            Some(Stage::CloseInput | Stage::Kill) | None => {}
        }
        if self.stages.current() == Some(Stage::Kill) {
            self.kill_all();
        }
    }

    /// Waits for the end of a child, an order of the server, or the next stage.
    fn wait(&self) -> io::Result<()> {
        let until_stage = self.stages.deadline().map(|deadline| deadline.duration_since(Clock.now()));
        let most = match self.stages.current() {
            Some(Stage::Kill) => Some(policy::GUARD_KILL_PAUSE),
            Some(Stage::CloseInput | Stage::Terminate) | None => until_stage,
        };
        // Rounded up, or the last millisecond before a stage would be spent spinning.
        let timeout = most.map_or(Ok(PollTimeout::NONE), |most| {
            PollTimeout::try_from(most.saturating_add(Duration::from_micros(999)))
        });
        let mut watched = vec![
            PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.children_changed.as_fd(), PollFlags::POLLIN),
        ];
        if let Launch::Pending(pipe) = &self.launch {
            watched.push(PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
        }
        if let Some(pipe) = &self.from_namespace {
            watched.push(PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
        }
        // A closed control socket is ready for ever; once it is known there is nothing more to learn from it.
        let watched = if self.server_is_gone { &mut watched[1..] } else { &mut watched[..] };
        match poll(watched, timeout.unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Handles the received orders.
    fn handle_orders(&mut self) {
        let mut byte = [0];
        while !self.server_is_gone {
            let wanted = match self.control.read(&mut byte) {
                Ok(1..) => match Order::from_byte(byte[0]) {
                    Some(Order::Stop) => Stage::CloseInput,
                    Some(Order::Kill) => Stage::Kill,
                    None => continue,
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The server is gone, and with it the helper's standard input.
                Ok(0) | Err(_) => {
                    self.server_is_gone = true;
                    Stage::Terminate
                }
            };
            if self.stages.enter(Clock.now(), wanted) && wanted == Stage::Terminate {
                self.terminate_all();
            }
        }
    }

    /// SIGTERM to every descendant.
    fn terminate_all(&self) {
        proc::descendants(Pid::this(), |process| {
            process.signal(Signal::TERM);
        });
        system::signal_outside(self.main, Signal::TERM);
    }

    /// SIGKILL to every descendant, and to the whole cgroup at once.
    fn kill_all(&self) {
        if let Some(folder) = &self.cgroup {
            cgroup::kill(folder.as_ref());
        }
        let ours = nix::unistd::getpgrp();
        proc::descendants(Pid::this(), |process| process.kill_with_group(ours));
        system::signal_outside(self.main, Signal::KILL);
    }

    /// Removes the cgroup in the place of a dead server.
    fn tidy_up(&self) {
        if let Some(folder) = self.cgroup.as_ref().filter(|_| self.server_is_gone) {
            cgroup::remove(folder.as_ref());
        }
    }

    /// Sends a report. The server may be gone, which [`Guard::handle_orders`] notices.
    fn report(&mut self, report: GuardReport) {
        let _ = self.control.write_all(report.line().as_bytes());
    }
}

/// Forks the child that becomes the helper, or the first process of its namespace, which reports through the last result.
fn start_helper(plan: &Plan, pipes: [OwnedFd; 3]) -> io::Result<(Pid, Launch, Option<File>)> {
    let (failures, mut say) = pipe()?;
    let inside = if plan.namespace { Some(pipe()?) } else { None };
    if plan.namespace
        && let Err(error) = system::prepare_namespace()
    {
        say.write_all(&StepFailure::new(Step::Namespace, &error).encode())?;
        // No child of this process ever has this pid.
        return Ok((Pid::from_raw(0), Launch::Pending(failures), None));
    }
    // SAFETY: this process has one thread, so the child may do whatever it likes.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok((child, Launch::Pending(failures), inside.map(|(read, _)| read))),
        ForkResult::Child => {
            if let Some((read, write)) = inside {
                drop(read);
                namespace::be_init(write, say, move |say| become_helper(plan, &pipes, say))
            }
            let failure = become_helper(plan, &pipes, &mut say);
            // Without a reader the failure is lost.
            let _ = say.write_all(&failure.encode());
            // SAFETY: _exit(2) has no preconditions; destructors are the parent's business.
            unsafe { libc::_exit(127) }
        }
    }
}

/// A pipe with a non-blocking reader.
fn pipe() -> io::Result<(File, io::PipeWriter)> {
    let (read, write) = io::pipe()?;
    let read = OwnedFd::from(read);
    nix::fcntl::fcntl(&read, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
    Ok((File::from(read), write))
}

/// Replaces this process by the helper; returns only when that failed.
fn become_helper(plan: &Plan, pipes: &[OwnedFd; 3], say: &mut impl Write) -> StepFailure {
    if let Some(folder) = &plan.cgroup
        && let Err(error) = std::fs::write(Path::new(folder).join("cgroup.procs"), "0")
    {
        if plan.cgroup_forced {
            return StepFailure::new(Step::Cgroup, &error);
        }
        // The guard alone contains the helper as well, only less quickly.
        let _ = say.write_all(&StepFailure::new(Step::Cgroup, &error).encode());
    }
    if let Err(error) = prepare(pipes) {
        return StepFailure::new(Step::Prepare, &error);
    }
    if let Err(error) = std::env::set_current_dir(&plan.cwd) {
        return StepFailure::new(Step::WorkingDirectory, &error);
    }
    // Last, so that little of ours is left to be done within them.
    if let Some(soft) = plan.soft_files
        && let Err(error) = descriptors::lower(soft)
    {
        return StepFailure::new(Step::Files, &error);
    }
    if let Err((step, error)) = plan.limits.set() {
        return StepFailure::new(step, &error);
    }
    StepFailure::new(Step::Program, &start::exec(plan))
}

/// A session of its own (signals to "my process group" must not reach the guard), the three pipes, and signals as a
/// new program expects them.
fn prepare([input, output, error]: &[OwnedFd; 3]) -> io::Result<()> {
    nix::unistd::setsid()?;
    nix::unistd::dup2_stdin(input)?;
    nix::unistd::dup2_stdout(output)?;
    nix::unistd::dup2_stderr(error)?;
    for signal in 1..=system::last_signal() {
        // SAFETY: the default action is no code of ours. SIGKILL and SIGSTOP refuse, which is fine.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}
