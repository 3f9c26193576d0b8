//! One helper's life, from its start until no process of it is left: a task that nobody waits for, and a snapshot that
//! everybody may look at.

use std::path::PathBuf;
use std::sync::Arc;

use skein_protocol::helper::{
    McpServerConnectionStatus, McpServerDetails, McpServerStartupState, McpServerStatus,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::census::View;
use super::host::Counted;
use super::link::{Link, Wire};
use super::mcp::{Asked, Line, Offers, Session};
use super::{ExitReport, HelperSpec, ProcessHost};

/// What helpers tell their thread. Lost when the receiver does not keep up: what they publish is the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperEvent {
    /// The start of a helper has come this far.
    Startup {
        /// The helper.
        name: String,
        /// How far.
        state: McpServerStartupState,
        /// Why it failed.
        error: Option<String>,
    },
    /// A helper that was ready ended without being asked to.
    Exited {
        /// The helper.
        name: String,
        /// What happened, with the last lines of its stderr.
        message: String,
    },
}

/// Where in its life a helper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not configured to run.
    Disabled,
    /// Its process, the handshake, or the listing of its tools is under way.
    Starting,
    /// It takes calls.
    Ready,
    /// It did not become ready, or ended by itself.
    Failed,
    /// It is being ended, because it was asked to.
    Stopping,
    /// It was ended.
    Stopped,
}

/// A helper as everybody may see it, without waiting.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub phase: Phase,
    pub status: McpServerStatus,
    /// The revision of MCP that is spoken with it, once that is known.
    pub protocol_version: Option<String>,
    /// Takes calls while the helper is ready.
    pub session: Option<Arc<Session>>,
    /// Why it does not run, with the last lines of its stderr.
    pub reason: Option<String>,
    /// A process may be left.
    pub alive: bool,
    /// Its process, where it has or had one.
    pub view: Option<View>,
    /// How it ended, when no process is left.
    pub over: Option<ExitReport>,
}

/// What the owner of a helper holds of it.
#[derive(Debug, Clone)]
pub struct Reins {
    /// Cancelled, the helper is ended in stages.
    pub stop: CancellationToken,
    /// Cancelled, it is killed, whatever stage of its end it is in.
    pub kill: CancellationToken,
    /// Notified, a helper that is given up is started anew.
    pub reopen: Arc<Notify>,
}

/// Drives one helper.
#[derive(Debug)]
pub struct Supervisor {
    host: Arc<ProcessHost>,
    spec: Arc<HelperSpec>,
    cwd: PathBuf,
    events: mpsc::Sender<HelperEvent>,
    reins: Reins,
    seen: watch::Sender<Snapshot>,
    counted: Option<Counted>,
    asked: Asked,
}

/// Why a helper is not, or no longer, ready.
enum Cause {
    Asked,
    Failed(String),
    /// It may have ended because of how it was asked; it is asked in another way now.
    Misjudged,
}

impl Supervisor {
    /// The supervisor of one helper, not yet at work, and what it will publish.
    pub fn new(
        host: &Arc<ProcessHost>,
        spec: &Arc<HelperSpec>,
        cwd: PathBuf,
        events: mpsc::Sender<HelperEvent>,
        reins: Reins,
    ) -> (Self, watch::Receiver<Snapshot>) {
        let (seen, published) = watch::channel(Snapshot::first(spec));
        let (host, spec) = (Arc::clone(host), Arc::clone(spec));
        let asked = Asked::default();
        (Self { host, spec, cwd, events, reins, seen, counted: None, asked }, published)
    }

    /// The whole life. Ends at once for a helper that is disabled.
    pub async fn run(mut self) {
        if !self.spec.enabled {
            return;
        }
        self.counted = Some(self.host.counters.starting.one_more());
        self.announce(McpServerStartupState::Starting, None);
        // What a former server left first. It has a bound, so a stop may wait for it too.
        self.host.swept().await;
        loop {
            let started = Link::start(&self.host, &self.spec, &self.cwd, self.reins.kill.clone());
            let (link, wire) = match started {
                Ok(started) => started,
                Err(why) => return self.never_was(&why),
            };
            let line = Line::default();
            self.seen.send_modify(|seen| seen.view = link.view(&wire));
            let cause = self.live(&link, wire, &line).await;
            if let Cause::Misjudged = cause {
                link.stop().await;
                continue;
            }
            return self.end(&link, cause).await;
        }
    }

    /// Until the helper is to be ended.
    async fn live(&mut self, link: &Link, wire: Wire, line: &Line) -> Cause {
        let opened = self.until_ready(link, wire, line).await;
        let session = match opened {
            Ok(session) => Arc::new(session),
            Err(cause) => return cause,
        };
        self.counted = Some(self.host.counters.ready.one_more());
        self.seen.send_modify(|seen| {
            seen.phase = Phase::Ready;
            seen.status.runtime_status = Some(McpServerConnectionStatus::Connected);
            seen.session = Some(Arc::clone(&session));
        });
        self.announce(McpServerStartupState::Ready, None);
        // Resources are listed behind the start: nobody waits for them.
        let mut look = session.has_resources();
        let why = loop {
            if look {
                tokio::select! {
                    biased;
                    () = self.reins.stop.cancelled() => return Cause::Asked,
                    () = link.broken(line) => break link.reason(line).await,
                    listed = session.offers() => self.publish(listed),
                }
            }
            // Apart from the list above, so that a helper that does not answer that is still watched.
            tokio::select! {
                biased;
                () = self.reins.stop.cancelled() => return Cause::Asked,
                () = link.broken(line) => break link.reason(line).await,
                () = session.changed() => look = true,
            }
        };
        let message = why.clone();
        self.tell(HelperEvent::Exited { name: self.spec.name.clone(), message });
        Cause::Failed(why)
    }

    /// The handshake and the first listing of tools, within the startup timeout.
    async fn until_ready(&self, link: &Link, wire: Wire, line: &Line) -> Result<Session, Cause> {
        let open = async {
            let tasks = self.host.options.tasks.clone();
            let session = Session::open(wire, line.clone(), tasks, &self.asked).await?;
            let tools = session.tools().await?;
            Ok((session, tools))
        };
        let opened: Result<_, String> = tokio::select! {
            biased;
            () = self.reins.stop.cancelled() => return Err(Cause::Asked),
            opened = tokio::time::timeout(self.spec.startup_timeout, open) => match opened {
                Ok(opened) => opened,
                Err(_elapsed) => {
                    let seconds = self.spec.startup_timeout.as_secs_f64();
                    let why = format!("it was not ready after {seconds} s; see startup_timeout_sec");
                    return Err(Cause::Failed(link.with_stderr(why)));
                }
            },
            () = link.broken(line) => Err(line.why()),
        };
        match opened {
            Ok((session, tools)) => {
                let version = session.protocol_version().to_owned();
                self.seen.send_modify(|seen| {
                    seen.status.skein = Some(McpServerDetails { protocol_version: version.clone() });
                    seen.protocol_version = Some(version);
                    seen.status.server_info.clone_from(&session.info);
                    seen.status.server_capabilities.clone_from(&session.capabilities);
                });
                self.publish(Ok(Offers { tools, ..Offers::default() }));
                Ok(session)
            }
            Err(_) if link.is_broken(line) && self.asked.was_too_much() => Err(Cause::Misjudged),
            Err(_) if link.is_broken(line) => Err(Cause::Failed(link.reason(line).await)),
            Err(why) => Err(Cause::Failed(link.with_stderr(why))),
        }
    }

    /// Ends the helper, and says so.
    async fn end(&mut self, link: &Link, cause: Cause) {
        self.counted = Some(self.host.counters.stopping.one_more());
        let failed = matches!(cause, Cause::Failed(_));
        let (during, after, status, reason) = match cause {
            Cause::Asked => (Phase::Stopping, Phase::Stopped, None, "it was stopped".to_owned()),
            Cause::Failed(why) => {
                let status = match link.is_about_credentials() {
                    true => McpServerConnectionStatus::AuthenticationRequired,
                    false => McpServerConnectionStatus::Failed,
                };
                (Phase::Failed, Phase::Failed, Some(status), why)
            }
            // Never ended here: it is started again.
            Cause::Misjudged => return,
        };
        let mut started = true;
        self.seen.send_modify(|seen| {
            started = seen.phase != Phase::Starting;
            seen.phase = during;
            seen.session = None;
            if failed {
                seen.status.tools_error = Some(reason.clone());
            }
            seen.reason = Some(reason.clone());
            seen.status.runtime_status = status.or(Some(McpServerConnectionStatus::Cancelled));
        });
        // Behind the snapshot, so that who hears of it finds it there.
        match (started, failed) {
            (true, _) => {}
            (false, true) => self.announce(McpServerStartupState::Failed, Some(reason)),
            (false, false) => self.announce(McpServerStartupState::Cancelled, None),
        }
        let report = link.stop().await;
        self.counted = None;
        self.seen.send_modify(|seen| {
            seen.phase = after;
            seen.alive = report.survivors > 0;
            seen.over = Some(report);
        });
    }

    /// Not even the guard could be started.
    fn never_was(&mut self, why: &str) {
        self.counted = None;
        let over = ExitReport::nothing(&self.spec.name);
        self.seen.send_modify(|seen| {
            seen.phase = Phase::Failed;
            seen.reason = Some(why.to_owned());
            seen.status.tools_error = Some(why.to_owned());
            seen.status.runtime_status = Some(McpServerConnectionStatus::Failed);
            seen.alive = false;
            seen.over = Some(over);
        });
        self.announce(McpServerStartupState::Failed, Some(why.to_owned()));
    }

    fn publish(&self, listed: Result<Offers, String>) {
        self.seen.send_modify(|seen| match listed {
            Ok(listed) => {
                seen.status.resources = listed.resources;
                seen.status.resource_templates = listed.templates;
                let offered = listed.tools.into_iter().filter(|tool| self.spec.offers(&tool.name));
                seen.status.tools = offered.map(|tool| (tool.name.clone(), tool)).collect();
                seen.status.tools_error = None;
            }
            Err(why) => seen.status.tools_error = Some(why),
        });
    }

    fn announce(&self, state: McpServerStartupState, error: Option<String>) {
        self.tell(HelperEvent::Startup { name: self.spec.name.clone(), state, error });
    }

    fn tell(&self, event: HelperEvent) {
        if let Err(lost) = self.events.try_send(event) {
            tracing::debug!(helper = self.spec.name, %lost, "nobody hears what a helper tells");
        }
    }
}

impl Snapshot {
    /// Whether nothing shows that it is alive, though somebody waits for it.
    pub fn is_unresponsive(&self) -> bool {
        false
    }

    pub(super) fn first(spec: &HelperSpec) -> Self {
        let (phase, runtime) = match spec.enabled {
            true => (Phase::Starting, McpServerConnectionStatus::Starting),
            false => (Phase::Disabled, McpServerConnectionStatus::Disabled),
        };
        let mut status = spec.status();
        status.runtime_status = Some(runtime);
        let over = (!spec.enabled).then(|| ExitReport::nothing(&spec.name));
        Self {
            phase,
            status,
            protocol_version: None,
            session: None,
            reason: None,
            alive: spec.enabled && spec.stdio().is_some(),
            view: None,
            over,
        }
    }
}
