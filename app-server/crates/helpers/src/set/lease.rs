//! One helper of a thread: its lease of an instance, and how a call finds its session.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use skein_protocol::extension::HelperState;
use skein_protocol::helper::McpServerStatus;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::HelperError;
use crate::mcp::{CallError, McpToolCall, Session};
use crate::pool::{HelperPool, Instance, Key, LeaseHolder, LeaseId, Number};
use crate::set::{DescribedTool, HelperCall, HelperNote, Offered};
use crate::spec::HelperSpec;
use crate::supervisor::HelperSnapshot;

/// A thread's right to use an instance. The instance stays while any lease of it exists. Dropping a lease returns it.
#[derive(Debug)]
pub(crate) struct InstanceLease {
    pool: Arc<HelperPool>,
    id: LeaseId,
    pub(crate) key: Key,
    /// The settings of the helper for this thread, as they are now.
    spec: Mutex<Arc<HelperSpec>>,
    /// Cancelled when the lease is returned: its calls end.
    returned: CancellationToken,
    last: OnceLock<Arc<Instance>>,
}

/// An instance with a call under way.
#[derive(Debug)]
pub(crate) struct CallGuard {
    lease: Arc<InstanceLease>,
    number: Number,
    pub(crate) instance: Arc<Instance>,
}

impl InstanceLease {
    /// Takes a lease of the instance that `spec` describes.
    pub(crate) fn take(
        pool: &Arc<HelperPool>,
        key: Key,
        cwd: &std::path::Path,
        holder: LeaseHolder,
        spec: HelperSpec,
    ) -> Self {
        let id = pool.lease(&key, cwd, holder, &spec);
        let (returned, last) = (CancellationToken::new(), OnceLock::new());
        Self { pool: Arc::clone(pool), id, key, spec: Mutex::new(Arc::new(spec)), returned, last }
    }

    /// The settings of the helper for this thread.
    pub(crate) fn spec(&self) -> Arc<HelperSpec> {
        Arc::clone(&self.spec.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies the settings that may change while the instance runs.
    pub(crate) fn set_spec(&self, spec: HelperSpec) {
        self.pool.set_options(self.id, &spec);
        *self.spec.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(spec);
    }

    /// The current instance, or the last one after the lease was returned.
    pub(crate) fn instance(&self) -> Option<Arc<Instance>> {
        self.pool.instance_of(self.id).or_else(|| self.last.get().cloned())
    }

    /// Returns the lease. The result is the instances that end with it: its own, unless another lease or `linger` keeps it, and
    /// quarantined ones that only its calls kept.
    pub(crate) fn give_back(&self, linger: Duration) -> Vec<Arc<Instance>> {
        if let Some(instance) = self.pool.instance_of(self.id) {
            self.last.set(instance).ok();
        }
        let ends = self.pool.give_back(self.id, linger);
        self.returned.cancel();
        ends
    }

    /// The status for the thread.
    pub(crate) fn status(&self) -> McpServerStatus {
        let (spec, instance) = (self.spec(), self.instance());
        let mut status = instance.map_or_else(|| spec.status(), |instance| instance.seen.borrow().shown());
        status.tools.retain(|name, _| spec.offers(name));
        status
    }

    /// The note for a model.
    pub(crate) fn note(&self) -> HelperNote {
        let seen = self.now();
        let offered = match &seen.session {
            Some(session) if seen.state.is_up() => {
                Offered::Tools { instructions: session.instructions.clone() }
            }
            Some(_) | None => Offered::Nothing { reason: absence(&seen) },
        };
        HelperNote { server: self.name(), offered }
    }

    /// The state after its start, successful or not. A start that will probably fail is not waited for.
    pub(crate) async fn settled(&self) -> HelperSnapshot {
        match self.instance() {
            Some(instance) => wait(&instance, |seen| is_settled(&instance, seen)).await,
            // A lease always has, or had, one.
            None => HelperSnapshot::first(&self.spec()),
        }
    }

    /// Waits until its start is over and, if it takes calls, everything that it offers is listed.
    pub(crate) async fn listed(&self) {
        let Some(instance) = self.instance() else { return };
        wait(&instance, |seen| is_settled(&instance, seen) && (!seen.state.is_up() || seen.listed)).await;
    }

    /// Begins a call at the current instance.
    pub(crate) fn begin_call(self: &Arc<Self>) -> Result<CallGuard, HelperError> {
        let begun = self.pool.begin_call(self.id).ok_or_else(|| self.not_running(&self.now()));
        begun.map(|(number, instance)| CallGuard { lease: Arc::clone(self), number, instance })
    }

    /// Checks a call that a client or a turn wants to make.
    pub(crate) fn check(
        &self,
        call: HelperCall,
        progress: Option<mpsc::Sender<String>>,
    ) -> Result<McpToolCall, HelperError> {
        let HelperCall { server, tool, arguments, meta, turn: _, judged: _, given } = call;
        if !self.spec().offers(&tool) {
            return Err(HelperError::ToolNotEnabled { server, tool });
        }
        match (object(arguments), object(meta)) {
            (Ok(arguments), Ok(meta)) => {
                Ok(McpToolCall { tool, arguments, meta, progress, caller: None, given })
            }
            (Err(got), _) => Err(HelperError::BadArguments { server, tool, what: "arguments", got }),
            (_, Err(got)) => Err(HelperError::BadArguments { server, tool, what: "_meta", got }),
        }
    }

    pub(crate) fn not_running(&self, seen: &HelperSnapshot) -> HelperError {
        let server = self.name();
        if seen.state == HelperState::Disabled {
            return HelperError::Disabled { server };
        }
        let reason = seen.reason.clone().unwrap_or_else(|| "it was stopped".to_owned());
        HelperError::NotRunning { server, reason }
    }

    fn now(&self) -> HelperSnapshot {
        let instance = self.instance();
        instance
            .map_or_else(|| HelperSnapshot::first(&self.spec()), |instance| instance.seen.borrow().clone())
    }

    fn name(&self) -> String {
        self.key.name.clone()
    }
}

impl Drop for InstanceLease {
    /// Without `linger`: a dropped lease has no owner that could come back.
    fn drop(&mut self) {
        self.give_back(Duration::ZERO);
    }
}

impl CallGuard {
    /// Waits for `answer`, or until the thread returns the lease of an instance that others keep. An instance that stops ends its
    /// calls itself, with its reason.
    pub(crate) async fn while_leased<T>(
        &self,
        answer: impl Future<Output = Result<T, HelperError>>,
    ) -> Result<T, HelperError> {
        let returned = async {
            self.lease.returned.cancelled().await;
            if self.instance.is_stopping() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = returned => {
                let (server, reason) = (self.lease.name(), "the thread let go of it".to_owned());
                Err(HelperError::Ended { server, reason })
            }
        }
    }

    /// The session of the helper. Waits while the helper starts or is unresponsive.
    pub(crate) async fn session(&self, cancel: &CancellationToken) -> Result<Arc<Session>, HelperError> {
        let started = async {
            let seen = takes_calls(&self.instance).await;
            seen.session.clone().ok_or_else(|| self.lease.not_running(&seen))
        };
        tokio::select! {
            session = started => session,
            () = cancel.cancelled() => Err(HelperError::Cancelled { server: self.lease.name() }),
        }
    }

    /// The result of a call, with the errors of this room.
    pub(crate) async fn answered<T>(
        &self,
        session: Arc<Session>,
        answer: Result<T, CallError>,
    ) -> Result<T, HelperError> {
        let server = self.lease.name();
        match answer {
            Ok(answer) => Ok(answer),
            Err(CallError::Cancelled) => Err(HelperError::Cancelled { server }),
            Err(CallError::Lost(reason)) => Err(HelperError::Lost { server, reason }),
            Err(CallError::Unanswerable(reason)) => Err(HelperError::Unanswerable { server, reason }),
            Err(CallError::Refused { code, message, data: _ }) => {
                Err(HelperError::Refused { server, code, message })
            }
            Err(CallError::Unresponsive) => Err(HelperError::Unresponsive { server }),
            Err(CallError::Closed) => {
                let reason = end_reason(&self.instance, &session).await;
                Err(HelperError::Ended { server, reason })
            }
        }
    }

    /// The description of a tool, by the settings as they are now.
    pub(crate) fn describe(&self, tool: &str) -> Result<DescribedTool, HelperError> {
        let (server, spec) = (self.lease.name(), self.lease.spec());
        if !spec.offers(tool) {
            return Err(HelperError::ToolNotEnabled { server, tool: tool.to_owned() });
        }
        let known = self.instance.seen.borrow().status.tools.get(tool).cloned();
        let known = known.ok_or_else(|| HelperError::ToolNotOffered { server, tool: tool.to_owned() })?;
        Ok(DescribedTool { tool: known, approval: spec.approval_of(tool), program: self.lease.key.program() })
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.lease.pool.end_call(self.lease.id, self.number);
    }
}

fn absence(seen: &HelperSnapshot) -> String {
    match (seen.state, &seen.reason) {
        (HelperState::Disabled, _) => "it is disabled in the settings".to_owned(),
        (_, Some(reason)) => reason.clone(),
        (_, None) => "it has not started yet".to_owned(),
    }
}

fn is_settled(instance: &Instance, seen: &HelperSnapshot) -> bool {
    match instance.state(seen) {
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

/// The state when the helper takes calls, or after the current or next start has failed. An unresponsive helper gets no more calls
/// until it responds.
async fn takes_calls(instance: &Instance) -> HelperSnapshot {
    let (failed, _waits) = {
        let seen = instance.seen.borrow();
        (seen.failed_starts, seen.waiting.one_more())
    };
    if instance.seen.borrow().state == HelperState::Restarting {
        instance.is_called();
    }
    wait(instance, |seen| match instance.state(seen) {
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

/// The reason for the end of the helper with this session.
async fn end_reason(instance: &Instance, session: &Arc<Session>) -> String {
    let is_gone = |seen: &HelperSnapshot| !seen.session.as_ref().is_some_and(|now| Arc::ptr_eq(now, session));
    let seen = wait(instance, is_gone).await;
    seen.ended.unwrap_or_else(|| "it ended".to_owned())
}

/// The first snapshot that is as wanted, or the last one.
async fn wait(instance: &Instance, wanted: impl FnMut(&HelperSnapshot) -> bool) -> HelperSnapshot {
    let mut seen = instance.seen.clone();
    // An error means that the supervisor is gone: the runtime shuts down, or the supervisor panicked.
    let _ = seen.wait_for(wanted).await;
    seen.borrow().clone()
}

/// An object or nothing; the error names the actual type.
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
