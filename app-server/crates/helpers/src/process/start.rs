//! Starts processes: the one place that runs programs. A [`ProcessTree`] is a helper with its guard. [`ProcessTree::stop`] ends it;
//! dropping it orders the same without waiting.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::Pid;
use skein_base::descriptors;
use skein_base::system::{self, proc};
use skein_protocol::extension::ContainmentRung;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::containment::cgroup::Group;
use crate::containment::environment;
use crate::containment::levels::Containment;
use crate::containment::limits::{self, HelperLimits};
use crate::containment::tag::ProcessTag;
use crate::error::ProcessError;
use crate::policy;
use crate::process::control::{self, Plan};
use crate::process::host::ProcessHost;
use crate::process::input::{self, HelperInput, InputEnd};
use crate::process::monitor::{GuardHandle, GuardMonitor, MonitorSetup};
use crate::process::report::{ExitReport, ProcessStatus};
use crate::process::shutdown::Shutdown;
use crate::process::stderr::Ring;
use crate::process::table::ProcessView;
use crate::spec::{HelperSpec, StdioSpec};

/// A running helper with all its descendants.
#[derive(Debug)]
pub struct ProcessTree {
    name: String,
    life: watch::Receiver<ProcessStatus>,
    shutdown: Shutdown,
    stderr: Arc<Mutex<Ring>>,
    guard: Option<proc::Process>,
    /// Cancelled at the end of stderr.
    stderr_read: CancellationToken,
}

/// The helper's ends of standard input and output.
#[derive(Debug)]
pub struct Pipes {
    /// A queue that a task writes to the helper, in order. A full queue means that the helper does not read.
    pub stdin: HelperInput,
    /// The output of the helper.
    pub stdout: pipe::Receiver,
}

impl ProcessTree {
    /// Starts the guard, which starts the helper. The helper's pipes can be used at once.
    ///
    /// # Errors
    /// The guard cannot be started. [`ProcessTree::life`] shows why a helper does not run.
    pub fn start(
        host: &Arc<ProcessHost>,
        spec: &HelperSpec,
        cwd: &Path,
    ) -> Result<(Self, Pipes), ProcessError> {
        Self::start_with(host, spec, cwd, Shutdown::new(&host.kill_all))
    }

    /// The same, with an end that others may order.
    ///
    /// # Errors
    /// As [`ProcessTree::start`].
    pub(crate) fn start_with(
        host: &Arc<ProcessHost>,
        spec: &HelperSpec,
        cwd: &Path,
        shutdown: Shutdown,
    ) -> Result<(Self, Pipes), ProcessError> {
        let tag = host.next_tag();
        let cgroup = host.group(&spec.name, tag)?;
        let limits = spec.stdio().map(|stdio| stdio.limits).unwrap_or_default();
        let limits = limits.put_on(&spec.name, host.cgroup.as_ref(), cgroup.as_ref())?;
        Self::start_contained(host, spec, cwd, shutdown, (tag, cgroup, limits)).map_err(|error| {
            let (program, reason) = (host.options.guard.path(), error.to_string());
            host.unavailable
                .note(ContainmentRung::Guard, format!("{} cannot be started: {reason}", program.display()));
            ProcessError::Guard { program, reason }
        })
    }

    fn start_contained(
        host: &Arc<ProcessHost>,
        spec: &HelperSpec,
        cwd: &Path,
        shutdown: Shutdown,
        (tag, cgroup, limits): (ProcessTag, Option<Group>, limits::AppliedLimits),
    ) -> io::Result<(Self, Pipes)> {
        if !descriptors::have_counted_room_for(skein_base::policy::HELPER_DESCRIPTORS) {
            host.room_wanted.notify_one();
            return Err(rustix::io::Errno::MFILE.into());
        }
        let plan = plan(host, wanted(spec)?, cwd, cgroup.as_ref(), (tag, limits));
        let (input_read, input) = io::pipe()?;
        let (output, output_write) = io::pipe()?;
        let (error, error_write) = io::pipe()?;
        let guard = start_guard(host, tag)?;
        let (told, life) = watch::channel(ProcessStatus::default());
        let stderr = Arc::new(Mutex::new(Ring::new(policy::HELPER_STDERR_BYTES, spec.hidden())));
        // From here on an early return ends the guard: the drop of `process` orders it.
        let name = spec.name.clone();
        let process = Self {
            name,
            life,
            shutdown: shutdown.clone(),
            stderr,
            guard: proc::Process::read(Pid::from_raw(guard.child.id().cast_signed())),
            stderr_read: CancellationToken::new(),
        };
        // Before the plan: the helper does not run without it.
        let listed = host.living.list(tag, spec, process.guard);
        let sent = control::send_plan(
            guard.control.as_fd(),
            &plan,
            [input_read.as_fd(), output_write.as_fd(), error_write.as_fd()],
        );
        let cwd = plan.cwd.to_string_lossy().into_owned();
        let limits = limits.by_group;
        let setup = MonitorSetup { spec: spec.clone(), cgroup, limits, cwd, life: told, shutdown, listed };
        host.options
            .tasks
            .spawn(format!("helper/{}", spec.name), GuardMonitor::new(host, guard, setup).run());
        sent?;
        let pipes = process.serve_pipes(host, spec, [input.into(), output.into(), error.into()])?;
        Ok((process, pipes))
    }

    /// Starts the tasks that write to the helper and collect its stderr.
    fn serve_pipes(
        &self,
        host: &ProcessHost,
        spec: &HelperSpec,
        [input, output, error]: [OwnedFd; 3],
    ) -> io::Result<Pipes> {
        let error = pipe::Receiver::from_owned_fd(error)?;
        let input = pipe::Sender::from_owned_fd(input)?;
        let stdout = pipe::Receiver::from_owned_fd(output)?;
        let (stdin, queued) = input::input();
        let tasks = &host.options.tasks;
        tasks.spawn(
            format!("helper-stderr/{}", spec.name),
            collect(
                error,
                Arc::clone(&self.stderr),
                self.shutdown.clone(),
                self.stderr_read.clone().drop_guard(),
            ),
        );
        tasks.spawn(format!("helper-stdin/{}", spec.name), pump(queued, input, self.shutdown.clone()));
        Ok(Pipes { stdin, stdout })
    }

    /// Its status, with changes.
    pub fn life(&self) -> watch::Receiver<ProcessStatus> {
        self.life.clone()
    }

    /// The guard above all its processes.
    pub(crate) fn guard(&self) -> Option<proc::Process> {
        self.guard
    }

    /// The view for reports.
    pub(crate) fn view(&self, pipes: &Pipes) -> ProcessView {
        let (life, stderr) = (self.life.clone(), Arc::clone(&self.stderr));
        ProcessView { life, guard: self.guard, stderr, stdin: pipes.stdin.downgrade() }
    }

    /// Waits until stderr has been read to its end. A descendant may hold stderr open for long.
    pub(crate) async fn stderr_read(&self) {
        self.stderr_read.cancelled().await;
    }

    /// The last lines of its stderr, at most `policy::HELPER_STDERR_TAIL_LINES`.
    pub fn stderr_tail(&self) -> String {
        let ring = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        ring.tail(policy::HELPER_STDERR_TAIL_LINES, policy::HELPER_STDERR_TAIL_BYTES)
    }

    /// Ends the helper and all its descendants in stages, and waits until no process is left. May be called again; if the caller is
    /// dropped the end goes on.
    pub async fn stop(&self) -> ExitReport {
        self.shutdown.stop();
        let mut life = self.life.clone();
        let over = life.wait_for(|life| life.over.is_some()).await.ok().and_then(|life| life.over.clone());
        // The monitor always reports, unless the runtime shuts down; then the guard ends the helper.
        over.unwrap_or_else(|| ExitReport::nothing(&self.name))
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

/// The settings of the helper's process. Logs variables that the server does not have.
fn wanted(spec: &HelperSpec) -> io::Result<&StdioSpec> {
    let stdio = spec.stdio().ok_or_else(|| io::Error::other("this helper is no process of ours"))?;
    for name in stdio.unset() {
        tracing::warn!(
            helper = spec.name,
            "{name} of env_vars is not set in the server's environment, the helper starts without"
        );
    }
    Ok(stdio)
}

fn plan(
    host: &ProcessHost,
    spec: &StdioSpec,
    cwd: &Path,
    cgroup: Option<&Group>,
    (tag, limits): (ProcessTag, limits::AppliedLimits),
) -> Plan {
    Plan {
        command: spec.command.clone().into(),
        args: spec.args.iter().map(OsString::from).collect(),
        env: environment::build(std::env::vars_os(), &spec.env_vars, &spec.env.0, &tag.to_string())
            .into_iter()
            .collect(),
        cwd: spec.cwd.as_ref().map_or(cwd.to_owned(), |own| cwd.join(own)).into(),
        cgroup: cgroup.map(|group| group.folder().into()),
        cgroup_forced: host.is_forced() || limits.by_group != HelperLimits::default(),
        namespace: host.options.containment == Containment::Namespace,
        limits: limits.by_process,
        soft_files: descriptors::of_programs(),
        tag,
        grace: host.options.stop_grace,
    }
}

/// Starts a guard and registers it under one lock: a clean-up must not take it for an orphan.
#[expect(clippy::disallowed_methods, reason = "the one permitted caller")]
fn start_guard(host: &ProcessHost, tag: ProcessTag) -> io::Result<GuardHandle> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let control = UnixStream::from_std(ours)?;
    let mut command = Command::new(host.options.guard.path());
    command
        .arg0("skein")
        .arg(control::COMMAND)
        .env_clear()
        .envs(environment::of_guard(std::env::vars_os(), &tag.to_string()))
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut guards = host.children.guards();
    let mut child = command.spawn()?;
    let ended = system::end_of(Pid::from_raw(child.id().cast_signed()))
        .ok_or_else(io::Error::last_os_error)
        // SAFETY: the descriptor is owned by the `AsyncFd`, and stays the same until it is dropped.
        .and_then(|handle| Ok(unsafe { AsyncFd::register(handle) }?));
    match ended {
        Ok(ended) => {
            guards.insert(child.id().cast_signed());
            Ok(GuardHandle { child, ended, control })
        }
        Err(error) => {
            // The guard has no plan yet and no children. The wait is for a killed process.
            let _ = child.kill().and_then(|()| child.wait());
            Err(error)
        }
    }
}

/// Replaces this process by the program of `plan`. Returns only when that failed.
#[expect(clippy::disallowed_methods, reason = "the one permitted caller")]
pub(crate) fn exec(plan: &Plan) -> io::Error {
    Command::new(&plan.command).args(&plan.args).env_clear().envs(plan.env.iter().cloned()).exec()
}

/// Writes the queue to the helper. Closes the pipe at an order to stop, also in the middle of a blocked write, and when the helper has
/// closed its end.
async fn pump(mut queued: InputEnd, mut input: pipe::Sender, shutdown: Shutdown) {
    let write = async {
        loop {
            let message = tokio::select! {
                biased;
                ready = input.ready(Interest::ERROR) => {
                    ready?;
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                message = queued.next() => message,
            };
            match message {
                Some(message) => input.write_all(&message.bytes).await?,
                None => return io::Result::Ok(()),
            }
        }
    };
    let written = tokio::select! {
        () = shutdown.stopping() => Ok(()),
        written = write => written,
    };
    if let Err(error) = written {
        tracing::debug!(%error, "a helper reads no more input");
        queued.refuse();
    }
}

/// Reads stderr in chunks to its end, or until no process of the helper is left.
async fn collect(mut from: pipe::Receiver, into: Arc<Mutex<Ring>>, shutdown: Shutdown, _read: DropGuard) {
    let mut chunk = vec![0; policy::HELPER_STDERR_CHUNK];
    let read = async {
        while let Ok(length @ 1..) = from.read(&mut chunk).await {
            into.lock().unwrap_or_else(PoisonError::into_inner).push(&chunk[..length]);
        }
    };
    tokio::select! {
        biased;
        () = read => {}
        () = shutdown.finished() => {}
    }
}

/// An idle process that is no helper, for tests.
#[cfg(test)]
pub(crate) fn sleeper() -> io::Result<std::process::Child> {
    sleeper_with(|command| command)
}

/// The same with other properties.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "processes are born in this file")]
pub(crate) fn sleeper_with(
    properties: impl FnOnce(&mut Command) -> &mut Command,
) -> io::Result<std::process::Child> {
    properties(Command::new("sleep").arg("1000")).spawn()
}
