//! The monitor of one guard: a task of the server that handles the guard's reports, sends its orders and reaps it. If the guard dies
//! before its helper, the monitor ends the helper.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::unistd::Pid;
use skein_base::clock::until;
use skein_protocol::extension::ContainmentRung;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::containment::cgroup::Group;
use crate::containment::levels::Containment;
use crate::containment::limits::{HelperLimits, Limit};
use crate::containment::step::Step;
use crate::counters::Counted;
use crate::error::ProcessError;
use crate::policy;
use crate::process::control::{GuardReport, Order};
use crate::process::host::ProcessHost;
use crate::process::living::ListedHelper;
use crate::process::report::{ExitReport, ProcessStatus};
use crate::process::shutdown::Shutdown;
use crate::process::stages::Stage;
use crate::recovery::orphans::Orphans;
use crate::spec::HelperSpec;

/// A guard that was just started. Its monitor reaps it.
#[derive(Debug)]
pub(crate) struct GuardHandle {
    pub(crate) child: Child,
    /// Readable when the guard has ended.
    pub(crate) ended: AsyncFd<OwnedFd>,
    pub(crate) control: UnixStream,
}

/// Monitors one guard, from its start until no process is left.
#[derive(Debug)]
pub(crate) struct GuardMonitor {
    host: Arc<ProcessHost>,
    spec: HelperSpec,
    child: Child,
    ended: AsyncFd<OwnedFd>,
    reports: Lines<BufReader<OwnedReadHalf>>,
    orders: OwnedWriteHalf,
    cgroup: Option<Group>,
    limits: HelperLimits,
    cwd: String,
    life: watch::Sender<ProcessStatus>,
    shutdown: Shutdown,
    asked: Option<Instant>,
    /// The last stage, by the guard's last report. Without the report the guard did not end its helper.
    last_stage: Option<Option<Stage>>,
    alive: Option<Counted>,
    guard_alive: Option<Counted>,
    done: DropGuard,
    /// Until no process is left.
    listed: ListedHelper,
}

/// The parts of a monitor, except the guard.
#[derive(Debug)]
pub(crate) struct MonitorSetup {
    pub(crate) spec: HelperSpec,
    pub(crate) cgroup: Option<Group>,
    /// The limits of the cgroup; with any, the helper does not run outside of it.
    pub(crate) limits: HelperLimits,
    pub(crate) cwd: String,
    pub(crate) life: watch::Sender<ProcessStatus>,
    /// The end of the process, which the monitor reports.
    pub(crate) shutdown: Shutdown,
    /// Its entry among the living helpers.
    pub(crate) listed: ListedHelper,
}

impl GuardMonitor {
    /// The monitor of `guard`, not yet running.
    pub(crate) fn new(host: &Arc<ProcessHost>, guard: GuardHandle, setup: MonitorSetup) -> Self {
        let counters = &host.counters;
        counters.started.fetch_add(1, Ordering::Relaxed);
        let contained = match setup.cgroup {
            Some(_) => &counters.by_cgroup,
            None if host.options.containment == Containment::Namespace => &counters.by_namespace,
            None => &counters.by_guard,
        };
        let (reports, orders) = guard.control.into_split();
        Self {
            alive: Some(contained.one_more()),
            guard_alive: Some(counters.guards.one_more()),
            host: Arc::clone(host),
            spec: setup.spec,
            child: guard.child,
            ended: guard.ended,
            reports: BufReader::new(reports).lines(),
            orders,
            cgroup: setup.cgroup,
            limits: setup.limits,
            cwd: setup.cwd,
            life: setup.life,
            asked: None,
            last_stage: None,
            done: setup.shutdown.done_on_drop(),
            shutdown: setup.shutdown,
            listed: setup.listed,
        }
    }

    /// Runs until no process is left.
    pub(crate) async fn run(mut self) {
        self.until_the_guard_ends().await;
        let survivors = self.clean_up().await;
        self.report_over(survivors);
    }

    async fn until_the_guard_ends(&mut self) {
        let clock = self.host.options.clock;
        let (mut listening, mut hurried) = (true, false);
        loop {
            let overdue = self.overdue();
            tokio::select! {
                biased;
                line = self.reports.next_line(), if listening => match line {
                    Ok(Some(line)) => self.handle_report(&line),
                    Ok(None) | Err(_) => listening = false,
                },
                () = ended(&self.ended) => break,
                () = self.shutdown.stopping(), if self.asked.is_none() => {
                    self.asked = Some(clock.now());
                    self.order(Order::Stop).await;
                }
                () = self.shutdown.killed(), if !hurried => {
                    hurried = true;
                    self.asked.get_or_insert(clock.now());
                    self.shutdown.stop();
                    self.order(Order::Kill).await;
                }
                () = until(overdue) => {
                    tracing::warn!(helper = self.spec.name, "a guard did not end its helper in time; the server ends both");
                    self.kill_guard();
                    ended(&self.ended).await;
                    break;
                }
            }
        }
        // The last reports may still be in the socket. It ends with the guard, unless a child was just being forked.
        let rest = async {
            while let Ok(Some(line)) = self.reports.next_line().await {
                self.handle_report(&line);
            }
        };
        // Bounded: without the last report the clean-up below finds the processes itself.
        let _ = tokio::time::timeout(policy::GUARD_LAST_WORDS, rest).await;
    }

    fn handle_report(&mut self, line: &str) {
        match GuardReport::parse(line) {
            Some(GuardReport::Started(pid)) => {
                self.host.unavailable.note_holds(self.level());
                self.life.send_modify(|life| life.pid = Some(pid));
            }
            Some(GuardReport::Failed(Step::Cgroup, errno)) if !self.needs_group() => {
                let error = io::Error::from_raw_os_error(errno);
                tracing::warn!(helper = self.spec.name, %error, "a helper could not enter its cgroup");
                self.note_unavailable(Step::Cgroup, errno);
                self.cgroup = None;
                self.alive = Some(self.host.counters.by_guard.one_more());
            }
            Some(GuardReport::Failed(step, errno)) => {
                let passing = [nix::libc::EAGAIN, nix::libc::ENOMEM, nix::libc::ENFILE, nix::libc::ETXTBSY];
                self.life.send_modify(|life| life.lasting = !passing.contains(&errno));
                self.note_unavailable(step, errno);
                self.ended(self.failure(step, errno).to_string());
            }
            Some(GuardReport::Exited(exit)) => {
                let hit = self.cgroup.as_ref().map(|group| self.limits.hit_in(group)).unwrap_or_default();
                self.ended(format!("it ended with {exit}{hit}"));
            }
            Some(GuardReport::Stopped(stage)) => self.last_stage = Some(stage),
            None => tracing::error!(helper = self.spec.name, line, "a guard sent an unknown report"),
        }
    }

    /// The isolation level of the helper.
    fn level(&self) -> ContainmentRung {
        match self.cgroup {
            Some(_) => ContainmentRung::Cgroup,
            None if self.host.options.containment == Containment::Namespace => ContainmentRung::Namespace,
            None => ContainmentRung::Guard,
        }
    }

    /// Notes an unavailable isolation level by the failed start of a helper.
    fn note_unavailable(&self, step: Step, errno: i32) {
        let (level, what) = match step {
            Step::Cgroup => (ContainmentRung::Cgroup, "a helper could not enter its group"),
            Step::Namespace => (ContainmentRung::Namespace, "a helper got no namespace"),
            Step::Prepare => (ContainmentRung::Guard, "a guard could not prepare a helper"),
            Step::WorkingDirectory | Step::Program | Step::Memory | Step::Files | Step::Nice => return,
        };
        let reason = io::Error::from_raw_os_error(errno);
        self.host.unavailable.note(level, format!("{what}: {reason}"));
    }

    fn failure(&self, step: Step, errno: i32) -> ProcessError {
        let reason = io::Error::from_raw_os_error(errno).to_string();
        match step {
            Step::WorkingDirectory => ProcessError::WorkingDirectory { cwd: self.cwd.clone(), reason },
            Step::Program => {
                let command = self.spec.stdio().map(|stdio| stdio.command.clone());
                ProcessError::Program { command: command.unwrap_or_default(), reason }
            }
            Step::Cgroup if self.host.is_forced() => ProcessHost::no_cgroup(reason),
            Step::Cgroup => {
                let limit = if self.limits.memory.is_some() { Limit::Memory } else { Limit::Processes };
                self.refused(limit, format!("it cannot enter its cgroup: {reason}"))
            }
            Step::Memory => self.refused(Limit::Memory, reason),
            Step::Files => self.refused(Limit::Files, reason),
            Step::Nice => self.refused(Limit::Nice, reason),
            Step::Namespace => ProcessHost::no_namespace(reason),
            Step::Prepare => ProcessError::Guard { program: self.host.options.guard.path(), reason },
        }
    }

    fn refused(&self, limit: Limit, reason: String) -> ProcessError {
        let limits = self.spec.stdio().map(|stdio| stdio.limits).unwrap_or_default();
        limits.refused(&self.spec.name, limit, reason)
    }

    /// Whether the helper must not run outside its cgroup.
    fn needs_group(&self) -> bool {
        self.host.is_forced() || self.limits != HelperLimits::default()
    }

    /// Sets the reason for the end of the helper; the first one stays.
    fn ended(&self, why: String) {
        self.life.send_if_modified(|life| {
            let first = life.ended.is_none();
            life.ended.get_or_insert(why);
            first
        });
    }

    /// The time at which the guard is overdue.
    fn overdue(&self) -> Option<Instant> {
        Some(self.asked? + self.host.options.stop_grace * 2 + policy::GUARD_OVERDUE)
    }

    async fn order(&mut self, order: Order) {
        // An error means that the guard is gone, and the caller waits for its end.
        if let Err(error) = self.orders.write_all(&[order.byte()]).await {
            tracing::debug!(helper = self.spec.name, %error, "a guard takes no orders");
        }
    }

    fn kill_guard(&mut self) {
        // It is not reaped yet, so the pid is still its own. An error means that it has ended.
        let _ = self.child.kill();
    }

    /// Reaps the guard, and ends the orphans if it did not end its helper. Returns how many processes are left.
    async fn clean_up(&mut self) -> usize {
        let guard = self.child.id().cast_signed();
        // It has ended, unless its end could not be watched; the reaping below must not block.
        self.kill_guard();
        {
            let mut guards = self.host.children.guards();
            if let Err(error) = self.child.wait() {
                tracing::error!(helper = self.spec.name, %error, "a guard cannot be reaped");
            }
            guards.remove(&guard);
        }
        self.guard_alive = None;
        if self.last_stage.is_some() {
            return 0;
        }
        self.ended("its guard died".to_owned());
        self.asked.get_or_insert(self.host.options.clock.now());
        let leaders =
            [Some(guard), self.life.borrow().pid].into_iter().flatten().map(Pid::from_raw).collect();
        let orphans = Orphans { tag: self.listed.tag(), leaders, group: self.cgroup.take() };
        orphans.end(&self.host.children, &self.host.options.tasks).await
    }

    fn report_over(mut self, survivors: usize) {
        // Removes the cgroup before the report: nothing of the helper is left then.
        self.cgroup = None;
        self.alive = None;
        let stage = self.last_stage.unwrap_or(Some(Stage::Kill));
        let took = self.asked.map(|asked| self.host.options.clock.now() - asked);
        let counters = &self.host.counters;
        if let Some(took) = took {
            counters.stop_times.add(took);
        }
        counters.stopped.fetch_add(1, Ordering::Relaxed);
        counters.killed.fetch_add(u64::from(stage == Some(Stage::Kill)), Ordering::Relaxed);
        if survivors > 0 {
            tracing::error!(helper = self.spec.name, survivors, "processes of a helper cannot be ended");
        }
        let took = took.unwrap_or_default();
        let report = ExitReport { name: self.spec.name, survivors, stage, took };
        self.life.send_modify(|life| {
            life.ended.get_or_insert_with(|| "it was stopped".to_owned());
            life.over = Some(report);
        });
        // The tasks of its stdin and stderr stop.
        self.shutdown.stop();
        drop(self.done);
    }
}

/// Waits until the guard has ended.
async fn ended(guard: &AsyncFd<OwnedFd>) {
    // An error means that the runtime shuts down; then the control socket closes, and the guard ends its helper.
    let _ = guard.readable().await;
}
