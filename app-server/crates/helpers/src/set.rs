//! The helpers of one thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Map, Value};
use skein_base::clock::Clock;
use skein_protocol::helper::{McpResourceReadResponse, McpServerStatus, McpServerToolCallResponse, Tool};
use skein_protocol::ids::{ThreadId, TurnId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::HelperError;
use crate::mcp::{HelperAnswer, McpCaller, McpToolCall};
use crate::policy;
use crate::pool::{HelperPool, Instance, Key, LeaseHolder, Program};
use crate::process::report::ExitReport;
use crate::questions::{GivenInputs, HelperQuestion, WantedInputs};
use crate::spec::{ApprovalMode, HelperSpec};
use crate::supervisor::HelperEvent;

pub(crate) mod lease;
pub(crate) mod lookup;
#[cfg(test)]
mod tests;

use lease::InstanceLease;

/// The helpers of one thread: a lease for each. Dropping it gives them back, without waiting; [`HelperSet::stop`] is the
/// way to be sure.
#[derive(Debug)]
pub struct HelperSet {
    pool: Arc<HelperPool>,
    thread: ThreadId,
    cwd: Arc<Path>,
    events: mpsc::Sender<HelperEvent>,
    /// Where its helpers' questions to the user go. None: they are refused.
    questions: Option<mpsc::Sender<HelperQuestion>>,
    /// No await under it.
    held: Mutex<CurrentLeases>,
}

/// The current leases of a set.
#[derive(Debug, Default)]
struct CurrentLeases {
    /// In the order of the specs.
    leases: Vec<Arc<InstanceLease>>,
    /// Leases of helpers that the settings do not name any more, or otherwise. Their calls are not cut off: the last one
    /// drops the lease.
    retired: Vec<Weak<InstanceLease>>,
    /// Instances that end with this set, once it was stopped.
    ending: Vec<Arc<Instance>>,
    stopped: bool,
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
    /// The caller's `_meta`: an object, or null for none.
    pub meta: Value,
    /// The turn that makes the call, if one does.
    pub turn: Option<TurnId>,
    /// The tool at the time of the approval; none for a call of a client, which needs no approval.
    pub judged: Option<Box<DescribedTool>>,
    /// The answers to the helper's questions of the last time, for a call of a turn.
    pub given: Option<Box<GivenInputs>>,
}

/// The outcome of a turn's call.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnCallOutcome {
    /// The tool has a result.
    Result(McpServerToolCallResponse),
    /// The helper wants to know something of the user first. Nothing is under way at it.
    Wants(Box<WantedInputs>),
}

/// A tool and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct HelperTool {
    /// The helper's name.
    pub server: String,
    /// The tool as the helper describes it.
    pub tool: Tool,
}

/// The note about a helper for a model, beside its tools.
#[derive(Debug, Clone, PartialEq)]
pub struct HelperNote {
    /// The helper's name.
    pub server: String,
    /// The offer.
    pub offered: Offered,
}

/// Whether a helper offers anything now.
#[derive(Debug, Clone, PartialEq)]
pub enum Offered {
    /// Its tools.
    Tools {
        /// The helper's instructions for them.
        instructions: Option<String>,
    },
    /// It is not there.
    Nothing {
        /// Why not.
        reason: String,
    },
}

/// The description of a tool before a call.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedTool {
    /// The tool as its helper describes it.
    pub tool: Tool,
    /// The approval mode, by the settings.
    pub approval: ApprovalMode,
    /// The program behind the helper's name.
    pub program: Program,
}

impl DescribedTool {
    /// Whether a call that was judged by the one may be made of the other.
    fn is_as_judged(&self, judged: &Self) -> bool {
        self.tool.annotations == judged.tool.annotations
            && self.approval == judged.approval
            && self.program == judged.program
    }
}

impl HelperSet {
    /// See [`crate::helpers::Helpers::of_thread`].
    pub(super) fn start(
        pool: &Arc<HelperPool>,
        thread: ThreadId,
        specs: Vec<HelperSpec>,
        cwd: PathBuf,
        events: mpsc::Sender<HelperEvent>,
    ) -> Self {
        let (pool, cwd, held) = (Arc::clone(pool), cwd.into(), Mutex::default());
        let set = Self { pool, thread, cwd, events, questions: None, held };
        set.change(specs);
        set
    }

    /// Passes on what helpers ask the user, while a call of this thread is outstanding at them.
    #[must_use]
    pub fn asking(self, questions: mpsc::Sender<HelperQuestion>) -> Self {
        Self { questions: Some(questions), ..self }
    }

    /// Takes other specs, without waiting. Starts a helper whose process is different now, and returns the old lease after its last call.
    /// A helper with only other policies goes on. Returns the names of helpers that are gone or have another process now.
    pub fn change(&self, specs: Vec<HelperSpec>) -> Vec<String> {
        let mut held = self.held();
        if held.stopped {
            return Vec::new();
        }
        let mut before = std::mem::take(&mut held.leases);
        for spec in specs {
            let key = Key::of(&spec, self.thread, &self.cwd);
            let lease = match before.iter().position(|lease| lease.key == key) {
                Some(at) => {
                    let lease = before.swap_remove(at);
                    lease.set_spec(spec);
                    lease
                }
                None => {
                    let holder = LeaseHolder::new(self.thread, self.events.clone(), &spec);
                    Arc::new(InstanceLease::take(&self.pool, key, &self.cwd, holder, spec))
                }
            };
            held.leases.push(lease);
        }
        held.retired.extend(before.iter().map(Arc::downgrade));
        let others = before.iter().map(|lease| lease.key.name.clone()).collect();
        drop(before);
        held.retired.retain(|lease| lease.strong_count() > 0);
        others
    }

    /// Kills all helpers that nobody else uses, whatever stage of their end they are in. [`HelperSet::stop`] tells when
    /// nothing is left.
    pub fn kill(&self) {
        self.give_back().iter().for_each(|instance| instance.kill());
    }

    /// Whether the set was ordered to stop.
    #[cfg(any(test, feature = "testing"))]
    pub fn is_stopping(&self) -> bool {
        self.held().stopped
    }

    /// The guard of a call.
    #[cfg(test)]
    pub(crate) fn call_for_tests(&self, server: &str) -> lease::CallGuard {
        self.lease(server).and_then(|lease| lease.begin_call()).expect("it is held")
    }

    /// How each helper is now. Waits for nothing.
    pub fn statuses(&self) -> Vec<McpServerStatus> {
        self.leases().iter().map(|lease| lease.status()).collect()
    }

    /// How a helper is after its start, with all that it lists, and at last when the time for a start is over.
    pub(super) async fn offered(&self, server: &str) -> Option<McpServerStatus> {
        let lease = self.lease(server).ok()?;
        let most = lease.spec().startup_timeout.min(policy::HELPER_STARTUP_TIMEOUT);
        // Later items are left out.
        let _ = tokio::time::timeout(most, lease.listed()).await;
        Some(lease.status())
    }

    /// Of how many helpers a process may be left. Waits for nothing.
    pub fn alive(&self) -> usize {
        let leases = self.leases();
        let instances = leases.iter().filter_map(|lease| lease.instance());
        instances.filter(|instance| instance.seen.borrow().alive).count()
    }

    /// The tools of all helpers that are up. Waits for each start, which its startup timeout bounds, and for none of a helper
    /// whose last start failed.
    ///
    /// # Errors
    /// [`HelperError::NotRunning`] for a required helper that is not there.
    pub async fn tools(&self) -> Result<Vec<HelperTool>, HelperError> {
        let mut tools = Vec::new();
        for lease in self.leases() {
            let seen = lease.settled().await;
            let spec = lease.spec();
            if !seen.state.is_up() && spec.required && spec.enabled {
                return Err(lease.not_running(&seen));
            }
            let own = seen.status.tools.into_values();
            let own = own.filter(|tool| seen.state.is_up() && spec.offers(&tool.name));
            tools.extend(own.map(|tool| HelperTool { server: spec.name.clone(), tool }));
        }
        Ok(tools)
    }

    /// The notes about all helpers for a model. Waits for nothing.
    pub fn notes(&self) -> Vec<HelperNote> {
        self.leases().iter().map(|lease| lease.note()).collect()
    }

    /// The description of a tool, for an approval. Waits for its helper as a call does.
    ///
    /// # Errors
    /// [`HelperError`]: a call could not be made, or of a tool of which nothing is known.
    pub async fn describe(
        &self,
        server: &str,
        tool: &str,
        cancel: &CancellationToken,
    ) -> Result<DescribedTool, HelperError> {
        loop {
            let lease = self.lease(server)?;
            let guard = lease.begin_call()?;
            guard.while_leased(guard.session(cancel)).await?;
            // The settings may have changed during the wait; the current ones decide.
            if Arc::ptr_eq(&self.lease(server)?, &lease) {
                return guard.describe(tool);
            }
        }
    }

    /// Calls a tool, without a limit of time. See [`HelperSet::call_with_progress`].
    pub async fn call(
        &self,
        server: &str,
        tool: &str,
        arguments: Value,
        cancel: CancellationToken,
    ) -> Result<McpServerToolCallResponse, HelperError> {
        let (server, tool) = (server.to_owned(), tool.to_owned());
        let call =
            HelperCall { server, tool, arguments, meta: Value::Null, turn: None, judged: None, given: None };
        self.call_with_progress(call, cancel, None).await
    }

    /// Calls a tool, without a limit of time unless the configuration sets one; a helper that is starting is waited
    /// for. Ends at once when the helper exits, closes its output or prints garbage, and when `cancel` is cancelled
    /// (with a notification to the helper). The helper's progress goes to `progress`; if that is full, progress is dropped.
    ///
    /// # Errors
    /// [`HelperError`]. A tool's own failure is a result with `is_error`.
    pub async fn call_with_progress(
        &self,
        call: HelperCall,
        cancel: CancellationToken,
        progress: Option<mpsc::Sender<String>>,
    ) -> Result<McpServerToolCallResponse, HelperError> {
        let server = call.server.clone();
        match self.call_of_turn(HelperCall { turn: None, ..call }, cancel, progress).await? {
            TurnCallOutcome::Result(result) => Ok(result),
            // Only the call of a turn ends so.
            TurnCallOutcome::Wants(_) => {
                Err(HelperError::Unanswerable { server, reason: "no turn has called".to_owned() })
            }
        }
    }

    /// The same for a turn: ends with the helper's questions where it has some for the user in the place of a result.
    ///
    /// # Errors
    /// [`HelperError`].
    pub async fn call_of_turn(
        &self,
        call: HelperCall,
        cancel: CancellationToken,
        progress: Option<mpsc::Sender<String>>,
    ) -> Result<TurnCallOutcome, HelperError> {
        let server = call.server.clone();
        let lease = self.lease(&server)?;
        let spec = lease.spec();
        let caller = self.caller(&spec, call.turn.clone());
        let judged = call.judged.clone();
        let call = McpToolCall { caller: Some(caller), ..lease.check(call, progress)? };
        let (tool, limit) = (call.tool.clone(), spec.tool_timeout);
        let guard = lease.begin_call()?;
        let answered = async {
            let session = guard.session(&cancel).await?;
            if let Some(judged) = judged {
                // The last moment: a start, a new list or a reload may lie between the decision and the call.
                let same = Arc::ptr_eq(&self.lease(&server)?, &lease);
                if !same || !guard.describe(&tool)?.is_as_judged(&judged) {
                    return Err(HelperError::ToolChanged { server, tool });
                }
            }
            let called = session.call(call, &cancel);
            let answer = match limit {
                Some(limit) => match tokio::time::timeout(limit, called).await {
                    Ok(answer) => answer,
                    // Given up like one that was cancelled: the helper is told.
                    Err(_elapsed) => return Err(HelperError::TimedOut { server, tool, limit }),
                },
                None => called.await,
            };
            Ok(match guard.answered(session, answer).await? {
                HelperAnswer::Result(result) => TurnCallOutcome::Result(result),
                HelperAnswer::Wants(wanted) => TurnCallOutcome::Wants(wanted),
            })
        };
        let began = Clock.now();
        let outcome = guard.while_leased(answered).await;
        self.pool.host.call_times().add(Clock.now().saturating_duration_since(began));
        outcome
    }

    /// Reads a resource; a helper that is starting is waited for. Ends as a call does.
    pub async fn read_resource(
        &self,
        server: &str,
        uri: String,
        meta: Option<Map<String, Value>>,
        cancel: CancellationToken,
    ) -> Result<McpResourceReadResponse, HelperError> {
        let lease = self.lease(server)?;
        let guard = lease.begin_call()?;
        let answered = async {
            let session = guard.session(&cancel).await?;
            let caller = Some(self.caller(&lease.spec(), None));
            let answer = session.read_resource(uri, meta, caller, &cancel).await;
            guard.answered(session, answer).await
        };
        guard.while_leased(answered).await
    }

    fn caller(&self, spec: &HelperSpec, turn: Option<TurnId>) -> McpCaller {
        let (cwd, questions) = (Arc::clone(&self.cwd), self.questions.clone());
        let (server, on_unresponsive) = (spec.name.clone(), spec.on_unresponsive);
        McpCaller { thread: self.thread, cwd, server, turn, questions, on_unresponsive }
    }

    fn lease(&self, server: &str) -> Result<Arc<InstanceLease>, HelperError> {
        let held = self.held();
        let lease = held.leases.iter().find(|lease| lease.key.name == server);
        lease.cloned().ok_or_else(|| HelperError::Unknown { server: server.to_owned() })
    }

    fn leases(&self) -> Vec<Arc<InstanceLease>> {
        self.held().leases.clone()
    }

    /// Gives all helpers back, and waits until no process is left of those that nobody else uses: they are ended in parallel,
    /// also those that are starting. Can be called again, and by several tasks at once. The reports have the order of the specs.
    pub async fn stop(&self) -> Vec<ExitReport> {
        let ending = self.give_back();
        let mut reports = Vec::with_capacity(ending.len());
        // One after the other, but only the waiting: all of them are being ended.
        for instance in ending {
            reports.push(instance.stopped().await);
        }
        reports
    }

    /// The instances that end with this set.
    fn give_back(&self) -> Vec<Arc<Instance>> {
        let mut held = self.held();
        if !std::mem::replace(&mut held.stopped, true) {
            let CurrentLeases { leases, retired, ending, stopped: _ } = &mut *held;
            for lease in leases {
                ending.extend(lease.give_back(lease.spec().linger));
            }
            for lease in std::mem::take(retired) {
                // Helpers without settings are not kept.
                ending.extend(lease.upgrade().into_iter().flat_map(|lease| lease.give_back(Duration::ZERO)));
            }
        }
        // Those that were given back before.
        for instance in self.pool.ending(self.thread) {
            if !held.ending.iter().any(|known| Arc::ptr_eq(known, &instance)) {
                held.ending.push(instance);
            }
        }
        held.ending.clone()
    }

    fn held(&self) -> MutexGuard<'_, CurrentLeases> {
        // Whole whenever the lock is free, also after a panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
