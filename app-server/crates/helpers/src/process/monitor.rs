//! The server's end of one guard: a task that passes on what the guard reports, gives it orders, reaps it, and does
//! its work when it died without having done it.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::unistd::Pid;
use skein_protocol::extension::ContainmentRung;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::containment::cgroup::Group;
use crate::containment::levels::Containment;
use crate::containment::limits::{HelperLimits, Limit};
use crate::containment::step::Step;
use crate::counters::Counted;
use crate::error::ProcessError;
use crate::policy;
use crate::process::control::{Order, Report};
use crate::process::host::ProcessHost;
use crate::process::report::{ExitReport, Life};
use crate::process::stages::Stage;
use crate::recovery::orphans::Orphans;
use crate::spec::HelperSpec;

/// A guard that was just started: to be given a keeper, which reaps it.
#[derive(Debug)]
pub(crate) struct GuardHandle {
    pub(crate) child: Child,
    /// Readable when the guard has ended.
    pub(crate) ended: AsyncFd<OwnedFd>,
    pub(crate) control: UnixStream,
}

/// Keeps one guard, from its start until no process is left.
#[derive(Debug)]
pub(crate) struct Keeper {
    host: Arc<ProcessHost>,
    spec: HelperSpec,
    child: Child,
    ended: AsyncFd<OwnedFd>,
    reports: Lines<BufReader<OwnedReadHalf>>,
    orders: OwnedWriteHalf,
    cgroup: Option<Group>,
    limits: HelperLimits,
    cwd: String,
    life: watch::Sender<Life>,
    stop: CancellationToken,
    kill: CancellationToken,
    asked: Option<Instant>,
    /// The guard's last report; without it the guard did not do its work.
    zero: Option<Option<Stage>>,
    alive: Option<Counted>,
    guard_alive: Option<Counted>,
    gone: DropGuard,
}

/// What a keeper is made from, beside the guard.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) spec: HelperSpec,
    pub(crate) cgroup: Option<Group>,
    /// What the cgroup keeps it to: it does not run outside then.
    pub(crate) limits: HelperLimits,
    pub(crate) cwd: String,
    pub(crate) life: watch::Sender<Life>,
    /// Cancelled to have the helper ended.
    pub(crate) stop: CancellationToken,
    /// Cancelled to have it killed.
    pub(crate) kill: CancellationToken,
    /// Cancelled by the keeper when no process is left.
    pub(crate) gone: CancellationToken,
}

impl Keeper {
    /// The keeper of `guard`, not yet at work.
    pub(crate) fn new(host: &Arc<ProcessHost>, guard: GuardHandle, kept: Kept) -> Self {
        let counters = &host.counters;
        counters.started.fetch_add(1, Ordering::Relaxed);
        let contained = match kept.cgroup {
            Some(_) => &counters.by_cgroup,
            None if host.options.containment == Containment::Namespace => &counters.by_namespace,
            None => &counters.by_guard,
        };
        let (reports, orders) = guard.control.into_split();
        Self {
            alive: Some(contained.one_more()),
            guard_alive: Some(counters.guards.one_more()),
            host: Arc::clone(host),
            spec: kept.spec,
            child: guard.child,
            ended: guard.ended,
            reports: BufReader::new(reports).lines(),
            orders,
            cgroup: kept.cgroup,
            limits: kept.limits,
            cwd: kept.cwd,
            life: kept.life,
            stop: kept.stop,
            kill: kept.kill,
            asked: None,
            zero: None,
            gone: kept.gone.drop_guard(),
        }
    }

    /// Until no process is left.
    pub(crate) async fn keep(mut self) {
        self.until_the_guard_ends().await;
        let survivors = self.settle().await;
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
                    Ok(Some(line)) => self.heed(&line),
                    Ok(None) | Err(_) => listening = false,
                },
                () = ended(&self.ended) => break,
                () = self.stop.cancelled(), if self.asked.is_none() => {
                    self.asked = Some(clock.now());
                    self.order(Order::Stop).await;
                }
                () = self.kill.cancelled(), if !hurried => {
                    hurried = true;
                    self.asked.get_or_insert(clock.now());
                    self.stop.cancel();
                    self.order(Order::Kill).await;
                }
                () = until(overdue) => {
                    tracing::warn!(helper = self.spec.name, "a guard did not end its helper in time, ending both");
                    self.kill_guard();
                    ended(&self.ended).await;
                    break;
                }
            }
        }
        // What it said last may still be in the socket. Its end is the guard's, unless a child was just being forked.
        let rest = async {
            while let Ok(Some(line)) = self.reports.next_line().await {
                self.heed(&line);
            }
        };
        // A bound, not a wait: nothing is lost when it passes, since the loop below looks for itself.
        let _ = tokio::time::timeout(policy::GUARD_LAST_WORDS, rest).await;
    }

    fn heed(&mut self, line: &str) {
        match Report::parse(line) {
            Some(Report::Started(pid)) => {
                self.host.lacking.note_holds(self.rung());
                self.life.send_modify(|life| life.pid = Some(pid));
            }
            Some(Report::Failed(Step::Cgroup, errno)) if !self.needs_group() => {
                let error = io::Error::from_raw_os_error(errno);
                tracing::warn!(helper = self.spec.name, %error, "a helper could not enter its cgroup");
                self.note_lack(Step::Cgroup, errno);
                self.cgroup = None;
                self.alive = Some(self.host.counters.by_guard.one_more());
            }
            Some(Report::Failed(step, errno)) => {
                let passing = [nix::libc::EAGAIN, nix::libc::ENOMEM, nix::libc::ENFILE, nix::libc::ETXTBSY];
                self.life.send_modify(|life| life.lasting = !passing.contains(&errno));
                self.note_lack(step, errno);
                self.ended(self.failure(step, errno).to_string());
            }
            Some(Report::Exited(exit)) => {
                let hit = self.cgroup.as_ref().map(|group| self.limits.hit_in(group)).unwrap_or_default();
                self.ended(format!("it ended with {exit}{hit}"));
            }
            Some(Report::Zero(stage)) => self.zero = Some(stage),
            None => tracing::error!(helper = self.spec.name, line, "a guard reports what nobody knows"),
        }
    }

    /// What holds the helper.
    fn rung(&self) -> ContainmentRung {
        match self.cgroup {
            Some(_) => ContainmentRung::Cgroup,
            None if self.host.options.containment == Containment::Namespace => ContainmentRung::Namespace,
            None => ContainmentRung::Guard,
        }
    }

    /// Remembers what a helper that did not start says of what would have held it.
    fn note_lack(&self, step: Step, errno: i32) {
        let (rung, what) = match step {
            Step::Cgroup => (ContainmentRung::Cgroup, "a helper could not enter its group"),
            Step::Namespace => (ContainmentRung::Namespace, "a helper got no namespace"),
            Step::Prepare => (ContainmentRung::Guard, "a guard could not prepare a helper"),
            Step::WorkingDirectory | Step::Program | Step::Memory | Step::Files | Step::Nice => return,
        };
        let reason = io::Error::from_raw_os_error(errno);
        self.host.lacking.note(rung, format!("{what}: {reason}"));
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

    /// Whether the helper does not run outside its cgroup.
    fn needs_group(&self) -> bool {
        self.host.is_forced() || self.limits != HelperLimits::default()
    }

    /// Fills in why the helper does not run; the first reason stays.
    fn ended(&self, why: String) {
        self.life.send_if_modified(|life| {
            let first = life.ended.is_none();
            life.ended.get_or_insert(why);
            first
        });
    }

    /// When the guard has had all the time it needs.
    fn overdue(&self) -> Option<Instant> {
        Some(self.asked? + self.host.options.stop_grace * 2 + policy::GUARD_OVERDUE)
    }

    async fn order(&mut self, order: Order) {
        // When it cannot be said the guard is gone, and its end is being waited for.
        if let Err(error) = self.orders.write_all(&[order.byte()]).await {
            tracing::debug!(helper = self.spec.name, %error, "a guard takes no orders");
        }
    }

    fn kill_guard(&mut self) {
        // It has not been reaped, so the pid is still its own. The error says that it has ended meanwhile.
        let _ = self.child.kill();
    }

    /// Reaps the guard, and ends what it left. Returns how many processes are left.
    async fn settle(&mut self) -> usize {
        let guard = self.child.id().cast_signed();
        // It has ended, unless its end could not be waited for; reaping must not wait in any case.
        self.kill_guard();
        {
            let mut guards = self.host.guards();
            if let Err(error) = self.child.wait() {
                tracing::error!(helper = self.spec.name, %error, "a guard cannot be reaped");
            }
            guards.remove(&guard);
        }
        self.guard_alive = None;
        if self.zero.is_some() {
            return 0;
        }
        self.ended("its guard died".to_owned());
        self.asked.get_or_insert(self.host.options.clock.now());
        let leaders =
            [Some(guard), self.life.borrow().pid].into_iter().flatten().map(Pid::from_raw).collect();
        let orphans = Orphans { leaders, group: self.cgroup.as_ref() };
        orphans.end(&self.host).await
    }

    fn report_over(mut self, survivors: usize) {
        // Removed before anybody is told, so that nothing of it is left then.
        self.cgroup = None;
        self.alive = None;
        let stage = self.zero.unwrap_or(Some(Stage::Kill));
        let took = self.asked.map(|asked| self.host.options.clock.now() - asked);
        let counters = &self.host.counters;
        if let Some(took) = took {
            counters.zeros.add(took);
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
        // Whoever still writes to the helper, or reads its stderr, stops.
        self.stop.cancel();
        drop(self.gone);
    }
}

/// Until the guard has ended.
async fn ended(guard: &AsyncFd<OwnedFd>) {
    // An error would mean that the runtime ends; then the control socket closes, and the guard does its work.
    let _ = guard.readable().await;
}

/// Until `deadline`; for ever without one.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
