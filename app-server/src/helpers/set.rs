//! The helpers of one thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use skein_protocol::extension::{HelperDetail, HelperState};
use skein_protocol::helper::{McpResourceReadResponse, McpServerStatus, McpServerToolCallResponse, Tool};
use skein_protocol::ids::ThreadId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::census::{Census, View};
use super::mcp::{CallFault, Session, ToolCall};
use super::supervisor::{HelperEvent, Phase, Snapshot, Supervisor};
use super::{ExitReport, HelperError, HelperSpec, ProcessHost};

#[cfg(test)]
mod tests;

/// The helpers of one thread, each with a task of its own. Dropping it ends them all, without waiting;
/// [`HelperSet::stop`] is the way to be sure.
#[derive(Debug)]
pub struct HelperSet {
    members: Vec<Member>,
    stop: CancellationToken,
    kill: CancellationToken,
    _stop_on_drop: DropGuard,
}

#[derive(Debug)]
struct Member {
    spec: Arc<HelperSpec>,
    seen: watch::Receiver<Snapshot>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct HelperCall {
    /// The helper's name.
    pub server: String,
    /// The tool's name.
    pub tool: String,
    /// An object, or null for none.
    pub arguments: Value,
    /// What the caller sends beside the arguments (`_meta`): an object, or null for none.
    pub meta: Value,
}

/// A tool and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct HelperTool {
    /// The helper's name.
    pub server: String,
    /// The tool as the helper describes it.
    pub tool: Tool,
}

impl HelperSet {
    /// Starts all helpers of `specs` in parallel, and waits for none. `cwd` is the thread's working directory.
    #[must_use]
    pub fn start(
        host: &Arc<ProcessHost>,
        thread: ThreadId,
        specs: Vec<HelperSpec>,
        cwd: PathBuf,
        events: mpsc::Sender<HelperEvent>,
    ) -> Self {
        let (stop, kill) = (CancellationToken::new(), host.hurry.child_token());
        let members = specs.into_iter().map(Arc::new).map(|spec| {
            let (supervisor, seen) =
                Supervisor::new(host, &spec, cwd.clone(), events.clone(), [stop.clone(), kill.clone()]);
            host.options.tasks.spawn(format!("supervisor/{thread}/{}", spec.name), supervisor.run());
            Member { spec, seen }
        });
        let members = members.collect();
        Self { members, _stop_on_drop: stop.clone().drop_guard(), stop, kill }
    }

    /// Kills all helpers, whatever stage of their end they are in. [`HelperSet::stop`] tells when nothing is left.
    pub fn kill(&self) {
        self.stop.cancel();
        self.kill.cancel();
    }

    /// Whether somebody has asked for the end.
    #[cfg(test)]
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// How each helper is now. Waits for nothing.
    #[must_use]
    pub fn statuses(&self) -> Vec<McpServerStatus> {
        self.members.iter().map(|member| member.seen.borrow().status.clone()).collect()
    }

    /// Of how many helpers a process may be left. Waits for nothing.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.members.iter().filter(|member| member.seen.borrow().alive).count()
    }

    /// Each helper with its processes, as `census` has found them. Waits for nothing.
    #[must_use]
    pub fn details(&self, thread: ThreadId, census: &Census) -> Vec<HelperDetail> {
        self.members.iter().map(|member| member.detail(thread, census)).collect()
    }

    /// The tools of all helpers that are ready. Waits for each start, which its startup timeout bounds.
    ///
    /// # Errors
    /// [`HelperError::NotRunning`] for a required helper that is not there.
    pub async fn tools(&self) -> Result<Vec<HelperTool>, HelperError> {
        let mut tools = Vec::new();
        for member in &self.members {
            let seen = member.started().await;
            if seen.phase != Phase::Ready && member.spec.required && member.spec.enabled {
                return Err(member.not_running(&seen));
            }
            let own = seen.status.tools.into_values().filter(|_| seen.phase == Phase::Ready);
            tools.extend(own.map(|tool| HelperTool { server: member.spec.name.clone(), tool }));
        }
        Ok(tools)
    }

    /// Calls a tool, without a limit of time. See [`HelperSet::call_with_progress`].
    ///
    /// # Errors
    /// [`HelperError`].
    pub async fn call(
        &self,
        server: &str,
        tool: &str,
        arguments: Value,
        cancel: CancellationToken,
    ) -> Result<McpServerToolCallResponse, HelperError> {
        let (server, tool) = (server.to_owned(), tool.to_owned());
        let call = HelperCall { server, tool, arguments, meta: Value::Null };
        self.call_with_progress(call, cancel, None).await
    }

    /// Calls a tool, without a limit of time unless the configuration sets one; a helper that is starting is waited
    /// for. Ends at once when the helper exits, closes its output or prints garbage, and when `cancel` is cancelled
    /// (the helper is told). What the helper says of its progress goes to `progress`; what finds it full is left out.
    ///
    /// # Errors
    /// [`HelperError`]. A tool's own failure is a result with `is_error`.
    pub async fn call_with_progress(
        &self,
        call: HelperCall,
        cancel: CancellationToken,
        progress: Option<mpsc::Sender<String>>,
    ) -> Result<McpServerToolCallResponse, HelperError> {
        let member = self.member(&call.server)?;
        let call = member.check(call, progress)?;
        let (tool, limit) = (call.tool.clone(), member.spec.tool_timeout);
        let session = member.session(&cancel).await?;
        let called = session.call(call, &cancel);
        let answer = match limit {
            Some(limit) => match tokio::time::timeout(limit, called).await {
                Ok(answer) => answer,
                // Given up like one that was cancelled: the helper is told.
                Err(_elapsed) => return Err(member.timed_out(tool, limit)),
            },
            None => called.await,
        };
        member.answered(session, answer).await
    }

    /// Reads a resource; a helper that is starting is waited for. Ends as a call does.
    ///
    /// # Errors
    /// [`HelperError`].
    pub async fn read_resource(
        &self,
        server: &str,
        uri: String,
        meta: Option<Map<String, Value>>,
        cancel: CancellationToken,
    ) -> Result<McpResourceReadResponse, HelperError> {
        let member = self.member(server)?;
        let session = member.session(&cancel).await?;
        let answer = session.read_resource(uri, meta, &cancel).await;
        member.answered(session, answer).await
    }

    fn member(&self, server: &str) -> Result<&Member, HelperError> {
        let member = self.members.iter().find(|member| member.spec.name == server);
        member.ok_or_else(|| HelperError::Unknown { server: server.to_owned() })
    }

    /// Ends all helpers, in parallel and also those that are starting, and waits until no process is left. Can be
    /// called again, and by several at once. The order is the specs'.
    pub async fn stop(&self) -> Vec<ExitReport> {
        self.stop.cancel();
        let mut reports = Vec::with_capacity(self.members.len());
        // One after the other, but only the waiting: all of them are being ended.
        for member in &self.members {
            reports.push(member.over().await);
        }
        reports
    }
}

impl Member {
    /// As it is after its start, however that went.
    async fn started(&self) -> Snapshot {
        self.wait(|seen| match seen.phase {
            Phase::Starting => false,
            Phase::Disabled | Phase::Ready | Phase::Failed | Phase::Stopping | Phase::Stopped => true,
        })
        .await
    }

    /// Its session; one that is starting is waited for.
    async fn session(&self, cancel: &CancellationToken) -> Result<Arc<Session>, HelperError> {
        let started = async {
            let seen = self.started().await;
            seen.session.clone().ok_or_else(|| self.not_running(&seen))
        };
        tokio::select! {
            session = started => session,
            () = cancel.cancelled() => Err(HelperError::Cancelled { server: self.spec.name.clone() }),
        }
    }

    /// What the session answered, as those outside understand it.
    async fn answered<T>(
        &self,
        session: Arc<Session>,
        answer: Result<T, CallFault>,
    ) -> Result<T, HelperError> {
        let server = self.spec.name.clone();
        match answer {
            Ok(answer) => Ok(answer),
            Err(CallFault::Cancelled) => Err(HelperError::Cancelled { server }),
            Err(CallFault::Refused { code, message }) => Err(HelperError::Refused { server, code, message }),
            Err(CallFault::Closed) => {
                drop(session);
                Err(HelperError::Ended { server, reason: self.end_reason().await })
            }
        }
    }

    fn timed_out(&self, tool: String, limit: Duration) -> HelperError {
        HelperError::TimedOut { server: self.spec.name.clone(), tool, limit }
    }

    /// Why a helper that was ready is not any more.
    async fn end_reason(&self) -> String {
        let seen = self.wait(|seen| seen.session.is_none()).await;
        seen.reason.unwrap_or_else(|| "it ended".to_owned())
    }

    fn detail(&self, thread_id: ThreadId, census: &Census) -> HelperDetail {
        let seen = self.seen.borrow().clone();
        let guard = seen.view.as_ref().and_then(|view| view.guard);
        let processes = guard.map(|guard| census.below(&guard)).unwrap_or_default();
        HelperDetail {
            thread_id,
            name: self.spec.name.clone(),
            state: match seen.phase {
                Phase::Disabled => HelperState::Disabled,
                Phase::Starting => HelperState::Starting,
                Phase::Ready => HelperState::Ready,
                Phase::Failed => HelperState::Failed,
                Phase::Stopping => HelperState::Stopping,
                Phase::Stopped => HelperState::Stopped,
            },
            reason: seen.reason,
            pid: seen.view.as_ref().and_then(View::pid),
            memory_bytes: processes.iter().map(|process| process.memory_bytes).sum(),
            processes,
            queued: seen.view.as_ref().map_or(0, |view| u64::try_from(view.queued()).unwrap_or(u64::MAX)),
            stderr: seen.view.as_ref().map(View::stderr).unwrap_or_default(),
        }
    }

    async fn over(&self) -> ExitReport {
        let seen = self.wait(|seen| seen.over.is_some()).await;
        seen.over.unwrap_or_else(|| ExitReport::nothing(&self.spec.name))
    }

    /// The first snapshot that is as wanted, or the last one there is.
    async fn wait(&self, wanted: impl FnMut(&Snapshot) -> bool) -> Snapshot {
        let mut seen = self.seen.clone();
        // An error means that the supervisor is gone, which it only is with the runtime or by a panic.
        let _ = seen.wait_for(wanted).await;
        seen.borrow().clone()
    }

    fn not_running(&self, seen: &Snapshot) -> HelperError {
        let server = self.spec.name.clone();
        match seen.phase {
            Phase::Disabled => HelperError::Disabled { server },
            Phase::Starting | Phase::Ready | Phase::Failed | Phase::Stopping | Phase::Stopped => {
                let reason = seen.reason.clone().unwrap_or_else(|| "it was stopped".to_owned());
                HelperError::NotRunning { server, reason }
            }
        }
    }

    /// A call that this helper can be asked.
    fn check(
        &self,
        call: HelperCall,
        progress: Option<mpsc::Sender<String>>,
    ) -> Result<ToolCall, HelperError> {
        let HelperCall { server, tool, arguments, meta } = call;
        if !self.spec.offers(&tool) {
            return Err(HelperError::ToolNotEnabled { server, tool });
        }
        match (object(arguments), object(meta)) {
            (Ok(arguments), Ok(meta)) => Ok(ToolCall { tool, arguments, meta, progress }),
            (Err(got), _) => Err(HelperError::BadArguments { server, tool, what: "arguments", got }),
            (_, Err(got)) => Err(HelperError::BadArguments { server, tool, what: "_meta", got }),
        }
    }
}

/// An object or nothing; the error names what it is instead.
fn object(value: Value) -> Result<Option<Map<String, Value>>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::Object(object) => Ok(Some(object)),
        Value::Bool(_) => Err("a boolean"),
        Value::Number(_) => Err("a number"),
        Value::String(_) => Err("a string"),
        Value::Array(_) => Err("an array"),
    }
}
