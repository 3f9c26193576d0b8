//! One helper of a thread: its lease, and how a call finds its session.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use skein_protocol::extension::HelperState;
use skein_protocol::helper::McpServerStatus;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::HelperError;
use crate::mcp::{CallFault, Session, ToolCall};
use crate::pool::{Hold, Instance, Lease};
use crate::set::{DescribedTool, HelperCall, HelperNote, Offered};
use crate::spec::HelperSpec;
use crate::supervisor::Snapshot;

/// A helper of a set.
#[derive(Debug)]
pub(super) struct Member {
    pub(crate) spec: Arc<HelperSpec>,
    pub(crate) lease: Arc<Lease>,
}

impl Member {
    /// As the thread sees it.
    pub(crate) fn status(&self) -> McpServerStatus {
        let instance = self.lease.instance();
        let mut status =
            instance.map_or_else(|| self.spec.status(), |instance| instance.seen.borrow().shown());
        status.tools.retain(|name, _| self.spec.offers(name));
        status
    }

    /// As a model is told of it.
    pub(crate) fn note(&self) -> HelperNote {
        let instance = self.lease.instance();
        let seen =
            instance.map_or_else(|| Snapshot::first(&self.spec), |instance| instance.seen.borrow().clone());
        let offered = match &seen.session {
            Some(session) if seen.state.is_up() => {
                Offered::Tools { instructions: session.instructions.clone() }
            }
            Some(_) | None => Offered::Nothing { reason: self.absence(&seen) },
        };
        HelperNote { server: self.spec.name.clone(), offered }
    }

    fn absence(&self, seen: &Snapshot) -> String {
        match (seen.state, &seen.reason) {
            (HelperState::Disabled, _) => "it is disabled in the settings".to_owned(),
            (_, Some(reason)) => reason.clone(),
            (_, None) => "it has not started yet".to_owned(),
        }
    }

    /// As it is after its start, however that went; where there is little hope of one, as it is now.
    pub(crate) async fn settled(&self) -> Snapshot {
        match self.lease.instance() {
            Some(instance) => settled(&instance).await,
            // A lease always has, or had, one.
            None => Snapshot::first(&self.spec),
        }
    }

    /// Until its start is over, and all that it has is listed, where it takes calls.
    pub(crate) async fn listed(&self) {
        let Some(instance) = self.lease.instance() else { return };
        wait(&instance, |seen| is_settled(seen) && (!seen.state.is_up() || seen.listed)).await;
    }

    /// The instance that a call goes to.
    pub(crate) fn hold(&self) -> Result<Hold, HelperError> {
        self.lease.hold().ok_or_else(|| match self.lease.instance() {
            Some(instance) => self.not_running(&instance.seen.borrow()),
            None => self.not_running(&Snapshot::first(&self.spec)),
        })
    }

    /// `answered`, unless the thread lets go of a helper that others go on with.
    pub(crate) async fn while_held<T>(
        &self,
        hold: &Hold,
        answered: impl Future<Output = Result<T, HelperError>>,
    ) -> Result<T, HelperError> {
        tokio::select! {
            biased;
            answer = answered => answer,
            () = hold.left() => {
                let (server, reason) = (self.spec.name.clone(), "the thread let go of it".to_owned());
                Err(HelperError::Ended { server, reason })
            }
        }
    }

    /// Its session; one that is starting, or that shows no life, is waited for.
    pub(crate) async fn session(
        &self,
        hold: &Hold,
        cancel: &CancellationToken,
    ) -> Result<Arc<Session>, HelperError> {
        let started = async {
            let seen = takes_calls(&hold.instance).await;
            seen.session.clone().ok_or_else(|| self.not_running(&seen))
        };
        tokio::select! {
            session = started => session,
            () = cancel.cancelled() => Err(HelperError::Cancelled { server: self.spec.name.clone() }),
        }
    }

    /// What the session answered, as those outside understand it.
    pub(crate) async fn answered<T>(
        &self,
        hold: &Hold,
        session: Arc<Session>,
        answer: Result<T, CallFault>,
    ) -> Result<T, HelperError> {
        let server = self.spec.name.clone();
        match answer {
            Ok(answer) => Ok(answer),
            Err(CallFault::Cancelled) => Err(HelperError::Cancelled { server }),
            Err(CallFault::Lost(reason)) => Err(HelperError::Lost { server, reason }),
            Err(CallFault::Unanswerable(reason)) => Err(HelperError::Unanswerable { server, reason }),
            Err(CallFault::Refused { code, message, data: _ }) => {
                Err(HelperError::Refused { server, code, message })
            }
            Err(CallFault::Unresponsive) => Err(HelperError::Unresponsive { server }),
            Err(CallFault::Closed) => {
                let reason = end_reason(&hold.instance, &session).await;
                Err(HelperError::Ended { server, reason })
            }
        }
    }

    /// What is known of a tool now, of a helper that is up.
    pub(crate) fn describe(&self, hold: &Hold, tool: &str) -> Result<DescribedTool, HelperError> {
        let named = || (self.spec.name.clone(), tool.to_owned());
        if !self.spec.offers(tool) {
            let (server, tool) = named();
            return Err(HelperError::ToolNotEnabled { server, tool });
        }
        let known = hold.instance.seen.borrow().status.tools.get(tool).cloned();
        let known = known.ok_or_else(|| {
            let (server, tool) = named();
            HelperError::ToolNotOffered { server, tool }
        })?;
        let (approval, program) = (self.spec.approval_of(tool), self.lease.key.program());
        Ok(DescribedTool { tool: known, approval, program })
    }

    pub(crate) fn tool_changed(&self, tool: String) -> HelperError {
        HelperError::ToolChanged { server: self.spec.name.clone(), tool }
    }

    pub(crate) fn timed_out(&self, tool: String, limit: Duration) -> HelperError {
        HelperError::TimedOut { server: self.spec.name.clone(), tool, limit }
    }

    pub(crate) fn not_running(&self, seen: &Snapshot) -> HelperError {
        let server = self.spec.name.clone();
        if seen.state == HelperState::Disabled {
            return HelperError::Disabled { server };
        }
        let reason = seen.reason.clone().unwrap_or_else(|| "it was stopped".to_owned());
        HelperError::NotRunning { server, reason }
    }

    /// A call that this helper can be asked.
    pub(crate) fn check(
        &self,
        call: HelperCall,
        progress: Option<mpsc::Sender<String>>,
    ) -> Result<ToolCall, HelperError> {
        let HelperCall { server, tool, arguments, meta, turn: _, judged: _ } = call;
        if !self.spec.offers(&tool) {
            return Err(HelperError::ToolNotEnabled { server, tool });
        }
        match (object(arguments), object(meta)) {
            (Ok(arguments), Ok(meta)) => Ok(ToolCall { tool, arguments, meta, progress, caller: None }),
            (Err(got), _) => Err(HelperError::BadArguments { server, tool, what: "arguments", got }),
            (_, Err(got)) => Err(HelperError::BadArguments { server, tool, what: "_meta", got }),
        }
    }
}

/// As it is after its start, however that went; where there is little hope of one, as it is now.
async fn settled(instance: &Instance) -> Snapshot {
    wait(instance, is_settled).await
}

fn is_settled(seen: &Snapshot) -> bool {
    match seen.state {
        HelperState::Starting | HelperState::Restarting => !seen.hopeful,
        HelperState::Disabled
        | HelperState::Ready
        | HelperState::Busy
        | HelperState::Unresponsive
        | HelperState::Broken
        | HelperState::Stopping
        | HelperState::Stopped => true,
    }
}

/// As it is when it takes calls, or after the start that is under way, or the next one, has failed. One that shows no life
/// gets no more calls until it does.
async fn takes_calls(instance: &Instance) -> Snapshot {
    let (failed, _waits) = {
        let seen = instance.seen.borrow();
        (seen.failed_starts, seen.waiting.one_more())
    };
    if instance.seen.borrow().state == HelperState::Restarting {
        instance.is_called();
    }
    wait(instance, |seen| match seen.state {
        HelperState::Starting | HelperState::Restarting => seen.failed_starts > failed,
        HelperState::Unresponsive => false,
        HelperState::Disabled
        | HelperState::Ready
        | HelperState::Busy
        | HelperState::Broken
        | HelperState::Stopping
        | HelperState::Stopped => true,
    })
    .await
}

/// Why the one with this session is not there any more.
async fn end_reason(instance: &Instance, session: &Arc<Session>) -> String {
    let is_gone = |seen: &Snapshot| !seen.session.as_ref().is_some_and(|now| Arc::ptr_eq(now, session));
    let seen = wait(instance, is_gone).await;
    seen.ended.unwrap_or_else(|| "it ended".to_owned())
}

/// The first snapshot that is as wanted, or the last one there is.
async fn wait(instance: &Instance, wanted: impl FnMut(&Snapshot) -> bool) -> Snapshot {
    let mut seen = instance.seen.clone();
    // An error means that the supervisor is gone, which it only is with the runtime or by a panic.
    let _ = seen.wait_for(wanted).await;
    seen.borrow().clone()
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
