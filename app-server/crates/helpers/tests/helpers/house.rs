//! Shared by the tests of helpers: a host, helpers made of shell scripts, and readers of `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{ForkResult, Pid, fork};
use skein_base::clock::Clock;
use skein_base::home_tag::HomeTag;
use skein_base::system::proc::Process;
use skein_base::tasks::Tasks;
use skein_helpers::{
    Containment, ExitReport, GuardExecutable, HelperInput, HelperSpec, Helpers, HostOptions, Pipes,
    ProcessError, ProcessHost, ProcessStatus, ProcessTree, Secrets, StdioSpec, Transport,
};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;

/// Above this a test waits in vain. Generous: many tests share few processors.
pub(crate) const BOUND: Duration = Duration::from_mins(5);
/// The tests' grace between two stages. Short, so that three stages take no longer than one of the default.
pub(crate) const GRACE: Duration = Duration::from_millis(150);
/// How long a helper may be silent. Short, and longer than a busy machine keeps a process from its processor.
pub(crate) const LIVENESS: Duration = Duration::from_secs(1);
/// The variable with the test's own tag in the environment of its helpers.
const TAG: &str = "SKEIN_TEST";

/// The program, whose guard watches the helpers. Bazel names it below the folder that a test starts in.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_guard")).canonicalize().expect("the program is built")
}

/// A host of its own for one test, and the way to know that nothing is left of its helpers.
pub(crate) struct House {
    pub helpers: Arc<Helpers>,
    pub host: Arc<ProcessHost>,
    tag: String,
    home: String,
    pub tasks: Tasks,
}

impl House {
    pub(crate) fn new(containment: Containment) -> Self {
        Self::with(containment, GRACE, false)
    }

    pub(crate) fn with(containment: Containment, stop_grace: Duration, exclusive: bool) -> Self {
        Self::at(&Clock.new_id().to_string(), containment, stop_grace, exclusive)
    }

    /// One whose helpers have as long as a busy machine needs for an end of their own.
    pub(crate) fn patient(containment: Containment) -> Self {
        Self::with(containment, BOUND, false)
    }

    /// One that has a home in common with others of the same `name`.
    pub(crate) fn at(name: &str, containment: Containment, stop_grace: Duration, exclusive: bool) -> Self {
        let home = HomeTag::of(&[name.as_bytes()]);
        let guard = GuardExecutable::Path(program());
        let tasks = Tasks::new();
        let options = HostOptions {
            guard,
            tasks: tasks.clone(),
            clock: Clock,
            stop_grace,
            liveness: LIVENESS,
            containment,
            exclusive,
            home,
        };
        let helpers = Helpers::start(options).expect("this system has subreapers");
        let host = Arc::clone(helpers.host());
        Self { helpers, host, tag: Clock.new_id().to_string(), home: name.to_owned(), tasks }
    }

    /// A helper that runs `script`.
    pub(crate) fn script(&self, script: &str) -> HelperSpec {
        HelperSpec {
            startup_timeout: BOUND,
            ..HelperSpec::reached("script", Transport::Stdio(self.sh(script)))
        }
    }

    /// The process of a helper that runs `script`.
    pub(crate) fn sh(&self, script: &str) -> StdioSpec {
        StdioSpec {
            command: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: Secrets(BTreeMap::from([(TAG.to_owned(), self.tag.clone())])),
            ..StdioSpec::default()
        }
    }

    pub(crate) fn start(&self, spec: &HelperSpec) -> Running {
        self.try_start(spec).expect("a guard can be started")
    }

    pub(crate) fn try_start(&self, spec: &HelperSpec) -> Result<Running, ProcessError> {
        let (process, pipes) = ProcessTree::start(&self.host, spec, "/".as_ref())?;
        let Pipes { stdin, stdout } = pipes;
        Ok(Running { process, stdin: Some(stdin), stdout: BufReader::new(stdout).lines() })
    }

    /// The folders of this house's cgroups: one, or none where none can be made.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        cgroups_of(&self.home)
    }

    /// Pids of everything that carries this test's tag and is no zombie.
    pub(crate) fn living(&self) -> BTreeSet<i32> {
        let wanted = format!("{TAG}={}", self.tag);
        pids().filter(|pid| has_variable(*pid, &wanted)).collect()
    }

    /// Ends the test: nothing may be left, neither a process nor a guard nor a task.
    pub(crate) async fn finish(self) {
        until("every guard is reaped", || self.host.counts().guards == 0 && self.host.counts().alive == 0)
            .await;
        assert_eq!(self.living(), BTreeSet::new(), "processes of helpers are left");
        tokio::time::timeout(BOUND, self.tasks.finish()).await.expect("no task is left");
        self.host.finish();
    }
}

/// A helper that was started.
pub(crate) struct Running {
    pub process: ProcessTree,
    pub stdin: Option<HelperInput>,
    pub stdout: Lines<BufReader<pipe::Receiver>>,
}

impl Running {
    /// The next line that it prints.
    pub(crate) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(BOUND, self.stdout.next_line()).await.expect("a line in time");
        line.expect("text").expect("a line before the end of its output")
    }

    /// The next line that it prints, a pid.
    pub(crate) async fn pid(&mut self) -> i32 {
        self.line().await.trim().parse().expect("a pid")
    }

    /// Its life when it is as wanted.
    pub(crate) async fn life(&self, what: &str, wanted: impl FnMut(&ProcessStatus) -> bool) -> ProcessStatus {
        let mut life = self.process.life();
        let found = tokio::time::timeout(BOUND, life.wait_for(wanted)).await;
        found.unwrap_or_else(|_| panic!("waited in vain: {what}")).expect("the monitor runs").clone()
    }

    pub(crate) async fn stop(&self) -> ExitReport {
        tokio::time::timeout(BOUND, self.process.stop()).await.expect("stopped in time")
    }
}

/// Waits for a fact that nobody announces.
pub(crate) async fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let look = async {
        while !fact() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(BOUND, look).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// Whether there is a process with this pid, a zombie included. A zombie that fell to this program does not count: its guard was killed, as it
/// was late on a busy machine, and a program with children of its own does not reap one that has left the session of its helper.
pub(crate) fn exists(pid: i32) -> bool {
    let process = Process::read(Pid::from_raw(pid));
    process.is_some_and(|process| !process.zombie || process.parent != Pid::this())
}

/// Continues as a child, whose parent ends.
pub(crate) fn fork_away() {
    // SAFETY: the other threads of the test harness hold nothing that the child needs.
    if let ForkResult::Parent { .. } = unsafe { fork() }.expect("room for a process") {
        std::process::exit(0);
    }
}

/// Runs `rest` in another thread, once the first one has ended, which is this thread of a forked process. The process then looks
/// like a zombie.
#[expect(clippy::disallowed_methods, reason = "a program of its own")]
pub(crate) fn without_first_thread(rest: impl FnOnce() + Send + 'static) -> ! {
    std::thread::spawn(move || {
        let stat = format!("/proc/{}/stat", Pid::this());
        while !std::fs::read_to_string(&stat).expect("this process").contains(") Z ") {
            std::thread::yield_now();
        }
        rest();
        std::process::exit(0);
    });
    // SAFETY: it ends only this thread, which owns nothing that the other one needs.
    unsafe { nix::libc::syscall(nix::libc::SYS_exit, 0) };
    unreachable!("this thread has ended")
}

/// The parent of a process.
pub(crate) fn parent(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
    let line =
        status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("every process has a parent");
    line.trim().parse().expect("a pid")
}

pub(crate) fn kill(pid: i32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(Pid::from_raw(pid), signal).expect("a living process");
}

/// Stops a process, and waits until none of its threads runs: a signal alone stops it some time later.
pub(crate) async fn freeze(pid: i32) {
    kill(pid, nix::sys::signal::Signal::SIGSTOP);
    let is_stopped = |task: &std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    };
    let all_stopped = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
        tasks.map_while(Result::ok).all(|task| is_stopped(&task))
    };
    until("it is stopped", all_stopped).await;
}

fn pids() -> impl Iterator<Item = i32> {
    let all = std::fs::read_dir("/proc").expect("/proc is mounted");
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn has_variable(pid: i32, wanted: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|all| all.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()))
}

/// The cgroups that servers of the home with this name have made.
pub(crate) fn cgroups_of(name: &str) -> Vec<PathBuf> {
    let home = HomeTag::of(&[name.as_bytes()]);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    let v2 = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    let mut folders: Vec<PathBuf> =
        v2.and_then(|line| line.split(' ').nth(4)).map(PathBuf::from).into_iter().collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for entry in below {
            let ours = entry.file_name().to_string_lossy().starts_with(&format!("skein-{home}-"));
            if ours { found.push(entry.path()) } else { folders.push(entry.path()) }
        }
    }
    found
}
