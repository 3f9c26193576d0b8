//! The helpers of one thread.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use skein_protocol::helper::{McpServerStatus, McpServerToolCallResponse, Tool};
use skein_protocol::ids::ThreadId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::mcp::{CallFault, Session, ToolCall};
use super::supervisor::{HelperEvent, Phase, Snapshot, Supervisor};
use super::{ExitReport, HelperError, HelperSpec, ProcessHost};

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
        self.call_with_progress(server, tool, arguments, cancel, None).await
    }

    /// Calls a tool, without a limit of time; a helper that is starting is waited for. Ends at once when the helper
    /// exits, closes its output or prints garbage, and when `cancel` is cancelled (the helper is told). What the
    /// helper says of its progress goes to `progress`; what finds it full is left out.
    ///
    /// # Errors
    /// [`HelperError`]. A tool's own failure is a result with `is_error`.
    pub async fn call_with_progress(
        &self,
        server: &str,
        tool: &str,
        arguments: Value,
        cancel: CancellationToken,
        progress: Option<mpsc::Sender<String>>,
    ) -> Result<McpServerToolCallResponse, HelperError> {
        let name = || server.to_owned();
        let member = self.members.iter().find(|member| member.spec.name == server);
        let member = member.ok_or_else(|| HelperError::Unknown { server: name() })?;
        let call = member.check(tool, arguments, progress)?;
        let session = tokio::select! {
            session = member.session() => session?,
            () = cancel.cancelled() => return Err(HelperError::Cancelled { server: name() }),
        };
        match session.call(call, &cancel).await {
            Ok(answer) => Ok(answer),
            Err(CallFault::Cancelled) => Err(HelperError::Cancelled { server: name() }),
            Err(CallFault::Refused { code, message }) => {
                Err(HelperError::Refused { server: name(), code, message })
            }
            Err(CallFault::Closed) => {
                drop(session);
                Err(HelperError::Ended { server: name(), reason: member.end_reason().await })
            }
        }
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

    async fn session(&self) -> Result<Arc<Session>, HelperError> {
        let seen = self.started().await;
        seen.session.clone().ok_or_else(|| self.not_running(&seen))
    }

    /// Why a helper that was ready is not any more.
    async fn end_reason(&self) -> String {
        let seen = self.wait(|seen| seen.session.is_none()).await;
        seen.reason.unwrap_or_else(|| "it ended".to_owned())
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
        tool: &str,
        arguments: Value,
        progress: Option<mpsc::Sender<String>>,
    ) -> Result<ToolCall, HelperError> {
        let (server, tool) = (self.spec.name.clone(), tool.to_owned());
        if !self.spec.offers(&tool) {
            return Err(HelperError::ToolNotEnabled { server, tool });
        }
        let arguments = match arguments {
            Value::Null => None,
            Value::Object(object) => Some(object),
            Value::Bool(_) => return Err(HelperError::BadArguments { server, tool, got: "a boolean" }),
            Value::Number(_) => return Err(HelperError::BadArguments { server, tool, got: "a number" }),
            Value::String(_) => return Err(HelperError::BadArguments { server, tool, got: "a string" }),
            Value::Array(_) => return Err(HelperError::BadArguments { server, tool, got: "an array" }),
        };
        Ok(ToolCall { tool, arguments, progress })
    }
}
