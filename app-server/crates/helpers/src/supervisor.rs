//! One helper's life, from its start until no process of it is left: a task that nobody waits for, and a snapshot that
//! others may read. `supervisor/life.rs` decides what happens when.
//!
//! ```text
//! starting ---> ready <--> busy <--> unresponsive
//!   ^  |          |          |            |
//!   |  +----------+----------+------------+--> the tree is ended and gone --> restarting (back-off) --> starting
//!   |                                                |
//!   +------- config/mcpServer/reload ---------- broken: five failures within 60 s, or a failure that no retry can mend
//! ```
//!
//! - An exit, a closed output or garbage ends the outstanding calls, with the reason and the last lines of stderr. These are waited
//!   for at most `HELPER_LAST_WORDS`, and not once the helper is being stopped.
//! - Starts that fail one after the other are announced once, until the helper is ready or given up. The wait before a start doubles
//!   from 100 ms to 30 s, and begins anew after ten seconds of health.
//! - There are never two processes: a process that cannot be ended is not followed by another.
//! - A server over HTTP that is not there, or answers 429 or 5xx, is tried again for ever, and at once when a call comes. Refused
//!   credentials, an untrusted certificate or a missing TLS make it broken at once. The breaker counts everything else.
//! - A call of a helper that starts or restarts waits for one start. If the start fails, the call gets the reason. A turn waits only
//!   for a helper whose last life was ready; a `required` one that does not start fails the turn at once, and `thread/start` too.
//! - A call is never cut for its length. While calls are outstanding, `process/liveness.rs` looks for signs of life: bytes, processor time and
//!   I/O of the tree, an established TCP connection. At half of `helpers.liveness` the helper gets a ping, and any answer counts.
//! - While the helper waits for a user's answer, silence does not count. Without a sign for the whole time the helper is unresponsive:
//!   its calls go on, new ones wait and are counted. `on_unresponsive` ends a thread's calls, or restarts the helper if all who share
//!   it want that. The connections of a tree that a signal has stopped are no sign of life.

mod announced;
mod control;
pub(crate) mod life;
mod session;
mod snapshot;

use std::path::PathBuf;
use std::sync::Arc;

use announced::{Announcements, Failure};
use session::{HelperSession, SessionEvent, without_stderr};
use skein_base::clock::until;
use skein_protocol::extension::HelperState;
use skein_protocol::helper::{McpServerStartupState, Tool};
use skein_protocol::methods::ConfigMcpServerReload;
use skein_protocol::table::Method;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::counters::Counted;
use crate::error::FailureKind;
use crate::mcp::{Offers, OpeningAttempts, Session, Wire};
use crate::policy;
use crate::process::host::ProcessHost;
use crate::process::report::ExitReport;
use crate::spec::HelperSpec;
use crate::supervisor::life::{Duty, LifeEffect, LifeEvent, LifeRules, Lifecycle};
pub use control::HelperEvent;
pub(crate) use control::{ControlHandle, RuntimeOptions, Starter};
pub(crate) use snapshot::HelperSnapshot;

impl Starter for Arc<ProcessHost> {
    fn start(
        &self,
        number: u64,
        spec: &Arc<HelperSpec>,
        directory: PathBuf,
        events: mpsc::Sender<HelperEvent>,
        control: &ControlHandle,
    ) -> watch::Receiver<HelperSnapshot> {
        let (supervisor, seen) = Supervisor::new(self, spec, directory, events, control.clone());
        self.options.tasks.spawn(format!("supervisor/{number}/{}", spec.name), supervisor.run());
        seen
    }
}

/// Drives one helper.
#[derive(Debug)]
struct Supervisor {
    host: Arc<ProcessHost>,
    spec: Arc<HelperSpec>,
    cwd: PathBuf,
    events: mpsc::Sender<HelperEvent>,
    control: ControlHandle,
    seen: watch::Sender<HelperSnapshot>,
    counted: Option<Counted>,
    life: Lifecycle,
    session: Option<HelperSession>,
    /// How its starts went about finding out what it speaks.
    asked: OpeningAttempts,
    /// The announcements of its starts so far.
    announced: Announcements,
    /// Why it failed last, with the last lines of its stderr.
    why: String,
    fault: FailureKind,
    /// How its last process ended.
    report: Option<ExitReport>,
}

/// Why a start did not come to an end.
enum Unready {
    Stopped,
    Failed(String),
    /// It may have ended because of how it was asked; it is asked in another way now.
    Misjudged,
}

impl Supervisor {
    /// The supervisor of one helper, not yet at work, and what it will publish.
    fn new(
        host: &Arc<ProcessHost>,
        spec: &Arc<HelperSpec>,
        cwd: PathBuf,
        events: mpsc::Sender<HelperEvent>,
        control: ControlHandle,
    ) -> (Self, watch::Receiver<HelperSnapshot>) {
        let (seen, published) = watch::channel(HelperSnapshot::first(spec));
        let (host, spec) = (Arc::clone(host), Arc::clone(spec));
        let on_unresponsive = control.options.borrow().on_unresponsive;
        let rules = LifeRules { liveness: host.options.liveness, on_unresponsive };
        let supervisor = Self {
            host,
            spec,
            cwd,
            events,
            control,
            seen,
            counted: None,
            life: Lifecycle::new(rules),
            session: None,
            asked: OpeningAttempts::default(),
            announced: Announcements::default(),
            why: String::new(),
            fault: FailureKind::Transient,
            report: None,
        };
        (supervisor, published)
    }

    /// The whole life. Ends at once for a helper that is disabled.
    async fn run(mut self) {
        if !self.spec.enabled {
            return;
        }
        let mut event = LifeEvent::Begin;
        loop {
            self.step(event);
            event = match self.life.duty() {
                Duty::Start => self.start().await,
                Duty::Watch => self.watch().await,
                Duty::End => self.end().await,
                Duty::Wait => self.wait().await,
                Duty::Over => return,
            };
        }
    }

    fn step(&mut self, event: LifeEvent) {
        self.life.set_on_unresponsive(self.control.options.borrow().on_unresponsive);
        let effects = self.life.step(self.now(), event);
        for effect in effects {
            self.carry_out(effect);
        }
        let state = self.life.state();
        self.seen.send_if_modified(|seen| seen.is_now(state));
        if event == LifeEvent::Reopen {
            self.control.reopen.done();
        }
    }

    fn carry_out(&mut self, effect: LifeEffect) {
        match effect {
            LifeEffect::Start => {
                self.counted = Some(self.host.counters.starting.one_more());
                self.seen.send_modify(|seen| seen.starts(&self.spec));
                if self.announced.starts() {
                    self.announce(McpServerStartupState::Starting, None);
                }
            }
            LifeEffect::End => self.begin_end(),
            LifeEffect::Ping => {
                if let Some(session) = &mut self.session {
                    session.ping();
                }
            }
            LifeEffect::Unresponsive => self.found_silent(),
            LifeEffect::Recovered => {
                tracing::info!(helper = self.spec.name, "a helper responds again");
                self.notify_liveness(None);
            }
            LifeEffect::FailCalls => {
                if let Some(session) = self.session.as_ref().and_then(HelperSession::mcp) {
                    session.give_up_calls();
                }
            }
            LifeEffect::GivenUp => {
                tracing::warn!(
                    helper = self.spec.name,
                    why = without_stderr(&self.why),
                    "a helper is given up"
                );
            }
            LifeEffect::Stopped => self.publish_stopped(),
        }
    }

    fn publish_stopped(&mut self) {
        self.counted = None;
        let over = self.report.take().unwrap_or_else(|| ExitReport::nothing(&self.spec.name));
        self.seen.send_modify(|seen| {
            seen.is_now(HelperState::Stopped);
            seen.reason = Some("it was stopped".to_owned());
            seen.alive = over.survivors > 0;
            seen.over = Some(over);
        });
    }

    /// Brings it up: the process, the handshake and the first listing of tools, within the startup timeout. One that ended
    /// because of how it was asked is asked in another way at once: that is no failure.
    async fn start(&mut self) -> LifeEvent {
        tokio::select! {
            _ = self.host.cleaned_up() => {}
            () = self.control.shutdown.stopping() => return LifeEvent::Stop,
        }
        loop {
            if self.control.shutdown.is_stopping() {
                return LifeEvent::Stop;
            }
            let shutdown = self.control.shutdown.of_one_run();
            let started = HelperSession::start(&self.host, &self.spec, &self.cwd, shutdown);
            let (mut session, wire) = match started {
                Ok(started) => started,
                Err((why, fault)) => return self.failed(why, fault),
            };
            self.seen.send_modify(|seen| seen.view = session.view(&wire));
            let event = match self.until_ready(&session, wire).await {
                Ok((mcp, tools)) => {
                    self.is_ready(session.opened(mcp), tools);
                    LifeEvent::Ready
                }
                Err(Unready::Stopped) => LifeEvent::Stop,
                Err(Unready::Misjudged) => {
                    session.stop().await;
                    continue;
                }
                Err(Unready::Failed(why)) => self.failed(why, session.fault()),
            };
            self.session = Some(session);
            return event;
        }
    }

    async fn until_ready(
        &self,
        session: &HelperSession,
        wire: Wire,
    ) -> Result<(Session, Vec<Tool>), Unready> {
        let open = async {
            let tasks = self.host.options.tasks.clone();
            let mcp = Session::open(wire, session.line.clone(), tasks, &self.asked).await?;
            let tools = mcp.tools().await?;
            Ok((mcp, tools))
        };
        let startup_timeout = self.control.options.borrow().startup_timeout;
        let opened: Result<_, String> = tokio::select! {
            biased;
            () = self.control.shutdown.stopping() => return Err(Unready::Stopped),
            opened = tokio::time::timeout(startup_timeout, open) => match opened {
                Ok(opened) => opened,
                Err(_elapsed) => {
                    let seconds = startup_timeout.as_secs_f64();
                    let why = format!("it was not ready after {seconds} s; see startup_timeout_sec");
                    return Err(Unready::Failed(session.with_stderr(why)));
                }
            },
            () = session.broken() => Err(session.line.why()),
            // It is being tried already.
            never = self.reopened() => match never {},
        };
        match opened {
            Ok(opened) => Ok(opened),
            Err(_) if session.is_broken() && self.asked.was_too_much() => Err(Unready::Misjudged),
            Err(_) if session.is_broken() => tokio::select! {
                biased;
                () = self.control.shutdown.stopping() => Err(Unready::Stopped),
                why = session.reason() => Err(Unready::Failed(why)),
            },
            Err(why) => Err(Unready::Failed(session.with_stderr(why))),
        }
    }

    /// Takes what asks for another try, for as long as there is one under way.
    async fn reopened(&self) -> std::convert::Infallible {
        loop {
            self.control.reopen.next().await;
            self.control.reopen.done();
        }
    }

    fn is_ready(&mut self, session: Arc<Session>, tools: Vec<Tool>) {
        self.counted = Some(self.host.counters.ready.one_more());
        self.publish(Ok(Offers { tools, ..Offers::default() }));
        self.seen.send_modify(|seen| seen.is_up(session));
        self.announced.ready();
        self.announce(McpServerStartupState::Ready, None);
    }

    /// Until something happens to it.
    async fn watch(&mut self) -> LifeEvent {
        loop {
            let Some(session) = &mut self.session else { return LifeEvent::Gone };
            match self.life.is_watched() {
                true => session.watch_for_life(&self.host),
                false => session.unwatch(),
            }
            match session.next_event(&self.control).await {
                SessionEvent::By(event) => return event,
                SessionEvent::Looked { alive, connected } => {
                    let quiet = !alive && connected;
                    self.seen.send_if_modified(|seen| seen.waits_for_others(quiet));
                    return if alive || connected { LifeEvent::Sign } else { LifeEvent::Quiet };
                }
                SessionEvent::Listed(listed) => {
                    self.publish(listed);
                    self.seen.send_modify(|seen| seen.listed = true);
                }
                SessionEvent::Broken => {
                    let why = tokio::select! {
                        biased;
                        // The end of a helper does not wait for its last words.
                        () = self.control.shutdown.stopping() => {
                            let why = session.line.why();
                            tracing::info!(helper = self.spec.name, why, "a helper has failed before its stop");
                            return LifeEvent::Stop;
                        }
                        why = session.reason() => why,
                    };
                    return self.failed(why, FailureKind::Transient);
                }
            }
        }
    }

    /// Sees it end, and says so.
    async fn end(&mut self) -> LifeEvent {
        let Some(session) = self.session.take() else {
            self.counted = None;
            self.seen.send_modify(|seen| seen.alive = false);
            return LifeEvent::Gone;
        };
        let stopping = session.stop();
        tokio::pin!(stopping);
        let report = loop {
            let is_asked = self.life.state() == HelperState::Stopping;
            tokio::select! {
                biased;
                report = &mut stopping => break report,
                () = self.control.shutdown.stopping(), if !is_asked => self.step(LifeEvent::Stop),
                () = self.control.reopen.next() => self.step(LifeEvent::Reopen),
            }
        };
        self.counted = None;
        let left = report.survivors > 0;
        self.report = Some(report);
        self.seen.send_modify(|seen| seen.alive = left);
        if left { LifeEvent::Left } else { LifeEvent::Gone }
    }

    async fn wait(&mut self) -> LifeEvent {
        tokio::select! {
            biased;
            () = self.control.shutdown.stopping() => LifeEvent::Stop,
            () = self.control.reopen.next() => LifeEvent::Reopen,
            () = until(self.life.deadline()) => LifeEvent::Deadline,
        }
    }

    fn failed(&mut self, why: String, fault: FailureKind) -> LifeEvent {
        (self.why, self.fault) = (why, fault);
        LifeEvent::Failed(fault)
    }

    /// Begins the end of the running helper, and publishes the reason.
    fn begin_end(&mut self) {
        self.counted = Some(self.host.counters.stopping.one_more());
        let was_ready = self.seen.borrow().session.is_some();
        let state = self.life.state();
        let reason = match state {
            HelperState::Broken => format!("{}{}", self.why, self.way_out()),
            HelperState::Stopping => "it was stopped".to_owned(),
            HelperState::Disabled
            | HelperState::Starting
            | HelperState::Ready
            | HelperState::Busy
            | HelperState::Unresponsive
            | HelperState::Restarting
            | HelperState::Stopped => self.why.clone(),
        };
        let unauthorized = self.session.as_ref().is_some_and(HelperSession::is_unauthorized);
        self.seen.send_modify(|seen| {
            seen.unauthorized = unauthorized;
            seen.ends(state, reason.clone());
        });
        let ended = if was_ready { Failure::OfReady } else { Failure::OfStart };
        let failure = if state == HelperState::Broken { Failure::Final } else { ended };
        if state != HelperState::Stopping {
            // The last lines of its stderr are long, and mostly the same at each try.
            let why = if self.announced.has_failed() { without_stderr(&self.why) } else { &self.why };
            tracing::info!(helper = self.spec.name, why, "a helper has failed");
            if self.announced.fails(failure) {
                self.announce(McpServerStartupState::Failed, Some(reason));
            }
        } else if !was_ready {
            self.announce(McpServerStartupState::Cancelled, None);
        }
    }

    fn way_out(&self) -> String {
        let how = match self.fault {
            FailureKind::Transient => format!(
                "; it failed {} times within {} s and is not started again",
                policy::HELPER_BREAKER_FAILURES,
                policy::HELPER_BREAKER_WINDOW.as_secs()
            ),
            FailureKind::Unreachable | FailureKind::Permanent => "; it is not tried again".to_owned(),
        };
        format!("{how} before {} or SIGHUP asks for it", ConfigMcpServerReload::INFO.wire)
    }

    fn found_silent(&mut self) {
        let liveness = self.host.options.liveness;
        let why =
            format!("it has shown no sign of life for {} s, see helpers.liveness", liveness.as_secs_f64());
        (self.why, self.fault) = (why, FailureKind::Transient);
        tracing::warn!(helper = self.spec.name, why = self.why, "a helper is unresponsive");
        self.notify_liveness(Some(self.why.clone()));
    }

    fn notify_liveness(&self, message: Option<String>) {
        let state = match message {
            Some(_) => HelperState::Unresponsive,
            None => self.life.state(),
        };
        self.seen.send_modify(|seen| seen.reason.clone_from(&message));
        self.notify(HelperEvent::Liveness { name: self.spec.name.clone(), state, message });
    }

    /// All of its tools: each thread that holds it has a list of its own.
    fn publish(&self, listed: Result<Offers, String>) {
        self.seen.send_modify(|seen| match listed {
            Ok(listed) => {
                seen.status.resources = listed.resources;
                seen.status.resource_templates = listed.templates;
                seen.status.tools = listed.tools.into_iter().map(|tool| (tool.name.clone(), tool)).collect();
                seen.status.tools_error = None;
            }
            Err(why) => seen.status.tools_error = Some(why),
        });
    }

    fn announce(&self, state: McpServerStartupState, error: Option<String>) {
        self.notify(HelperEvent::Startup { name: self.spec.name.clone(), state, error });
    }

    fn notify(&self, event: HelperEvent) {
        if let Err(lost) = self.events.try_send(event) {
            tracing::debug!(helper = self.spec.name, %lost, "an event of a helper is dropped");
        }
    }

    fn now(&self) -> Instant {
        self.host.options.clock.now()
    }
}
