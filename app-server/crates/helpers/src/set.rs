//! The helpers of one thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Map, Value};
use skein_protocol::helper::{McpResourceReadResponse, McpServerStatus, McpServerToolCallResponse, Tool};
use skein_protocol::ids::{ThreadId, TurnId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::HelperError;
use crate::mcp::{Caller, ToolCall};
use crate::policy;
use crate::pool::{Instance, Key, Lease, Pool, Program};
use crate::process::report::ExitReport;
use crate::questions::HelperQuestion;
use crate::spec::{ApprovalMode, HelperSpec};
use crate::supervisor::HelperEvent;

pub(crate) mod lookup;
mod member;
#[cfg(test)]
mod tests;

use member::Member;

/// The helpers of one thread: a lease for each. Dropping it gives them back, without waiting; [`HelperSet::stop`] is the
/// way to be sure.
#[derive(Debug)]
pub struct HelperSet {
    pool: Arc<Pool>,
    thread: ThreadId,
    cwd: Arc<Path>,
    events: mpsc::Sender<HelperEvent>,
    /// Where its helpers' questions to the user go. None: they are refused.
    questions: Option<mpsc::Sender<HelperQuestion>>,
    /// No await under it.
    held: Mutex<Held>,
}

/// What a set holds now.
#[derive(Debug, Default)]
struct Held {
    /// In the order of the specs.
    members: Vec<Arc<Member>>,
    /// Leases of helpers that the settings do not name any more, or otherwise. Their calls are not cut off: the last one
    /// drops the lease.
    retired: Vec<Weak<Lease>>,
    /// What ends with this set, once it was stopped.
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
    /// What the caller sends beside the arguments (`_meta`): an object, or null for none.
    pub meta: Value,
    /// The turn that makes the call, if one does.
    pub turn: Option<TurnId>,
    /// What the tool was when the call was allowed; none for a call of a client, about which nobody is asked.
    pub judged: Option<Box<DescribedTool>>,
}

/// A tool and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct HelperTool {
    /// The helper's name.
    pub server: String,
    /// The tool as the helper describes it.
    pub tool: Tool,
}

/// What a model is told of a helper beside its tools.
#[derive(Debug, Clone, PartialEq)]
pub struct HelperNote {
    /// The helper's name.
    pub server: String,
    /// What it offers.
    pub offered: Offered,
}

/// Whether a helper offers anything now.
#[derive(Debug, Clone, PartialEq)]
pub enum Offered {
    /// Its tools.
    Tools {
        /// What it said of their use when it began.
        instructions: Option<String>,
    },
    /// It is not there.
    Nothing {
        /// Why not.
        reason: String,
    },
}

/// What is known of a tool before it is called.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedTool {
    /// The tool as its helper describes it.
    pub tool: Tool,
    /// When the user is asked, by the settings.
    pub approval: ApprovalMode,
    /// What the helper's name stands for.
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
        pool: &Arc<Pool>,
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

    /// Takes other specs, without waiting. What is another process now is started, and the old one given back as soon as no
    /// call uses it; what only has other policies goes on. Returns the names of those that are not there any more, or are
    /// another process now.
    pub fn change(&self, specs: Vec<HelperSpec>) -> Vec<String> {
        let mut held = self.held();
        if held.stopped {
            return Vec::new();
        }
        let mut before = std::mem::take(&mut held.members);
        for spec in specs {
            let key = Key::of(&spec, self.thread, &self.cwd);
            let lease = match before.iter().position(|member| member.lease.key == key) {
                Some(at) => {
                    let lease = Arc::clone(&before.swap_remove(at).lease);
                    lease.goes_by(&spec);
                    lease
                }
                None => {
                    let whose = (self.thread, &*self.cwd);
                    Arc::new(self.pool.lease(whose, &spec, self.events.clone()))
                }
            };
            held.members.push(Arc::new(Member { spec: Arc::new(spec), lease }));
        }
        held.retired.extend(before.iter().map(|member| Arc::downgrade(&member.lease)));
        let others = before.iter().map(|member| member.spec.name.clone()).collect();
        drop(before);
        held.retired.retain(|lease| lease.strong_count() > 0);
        others
    }

    /// Kills all helpers that nobody else uses, whatever stage of their end they are in. [`HelperSet::stop`] tells when
    /// nothing is left.
    pub fn kill(&self) {
        self.give_back().iter().for_each(|instance| instance.kill());
    }

    /// Whether somebody has asked for the end.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.held().stopped
    }

    /// What a call would have.
    #[cfg(test)]
    pub(crate) fn hold_for_tests(&self, server: &str) -> super::pool::Hold {
        self.member(server).and_then(|member| member.hold()).expect("it is held")
    }

    /// How each helper is now. Waits for nothing.
    #[must_use]
    pub fn statuses(&self) -> Vec<McpServerStatus> {
        self.members().iter().map(|member| member.status()).collect()
    }

    /// How a helper is after its start, with all that it lists, and at last when the time for a start is over.
    pub(super) async fn offered(&self, server: &str) -> Option<McpServerStatus> {
        let member = self.member(server).ok()?;
        let most = member.spec.startup_timeout.min(policy::HELPER_STARTUP_TIMEOUT);
        // What it has not listed by then is left out.
        let _ = tokio::time::timeout(most, member.listed()).await;
        Some(member.status())
    }

    /// Of how many helpers a process may be left. Waits for nothing.
    #[must_use]
    pub fn alive(&self) -> usize {
        let members = self.members();
        let instances = members.iter().filter_map(|member| member.lease.instance());
        instances.filter(|instance| instance.seen.borrow().alive).count()
    }

    /// The tools of all helpers that are up. Waits for each start, which its startup timeout bounds, and for none of a helper
    /// whose last start failed.
    ///
    /// # Errors
    /// [`HelperError::NotRunning`] for a required helper that is not there.
    pub async fn tools(&self) -> Result<Vec<HelperTool>, HelperError> {
        let mut tools = Vec::new();
        for member in self.members() {
            let seen = member.settled().await;
            if !seen.state.is_up() && member.spec.required && member.spec.enabled {
                return Err(member.not_running(&seen));
            }
            let own = seen.status.tools.into_values();
            let own = own.filter(|tool| seen.state.is_up() && member.spec.offers(&tool.name));
            tools.extend(own.map(|tool| HelperTool { server: member.spec.name.clone(), tool }));
        }
        Ok(tools)
    }

    /// What a model is told of each helper beside its tools. Waits for nothing.
    #[must_use]
    pub fn notes(&self) -> Vec<HelperNote> {
        self.members().iter().map(|member| member.note()).collect()
    }

    /// What is known of a tool, for who decides whether it may be called. Waits for its helper as a call does.
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
            let member = self.member(server)?;
            let hold = member.hold()?;
            member.while_held(&hold, member.session(&hold, cancel)).await?;
            // The settings may have changed while it was waited for: they decide as they are now.
            let now = self.member(server)?;
            if Arc::ptr_eq(&now.lease, &member.lease) {
                return now.describe(&hold, tool);
            }
        }
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
        let call = HelperCall { server, tool, arguments, meta: Value::Null, turn: None, judged: None };
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
        let caller = self.caller(&member, call.turn.clone());
        let judged = call.judged.clone();
        let call = ToolCall { caller: Some(caller), ..member.check(call, progress)? };
        let (tool, limit) = (call.tool.clone(), member.spec.tool_timeout);
        let hold = member.hold()?;
        let answered = async {
            let session = member.session(&hold, &cancel).await?;
            if let Some(judged) = judged {
                // The last moment: a start, a new list or a reload may lie between the decision and the call.
                let now = self.member(&member.spec.name)?;
                let same = Arc::ptr_eq(&now.lease, &member.lease);
                if !same || !now.describe(&hold, &tool)?.is_as_judged(&judged) {
                    return Err(member.tool_changed(tool));
                }
            }
            let called = session.call(call, &cancel);
            let answer = match limit {
                Some(limit) => match tokio::time::timeout(limit, called).await {
                    Ok(answer) => answer,
                    // Given up like one that was cancelled: the helper is told.
                    Err(_elapsed) => return Err(member.timed_out(tool, limit)),
                },
                None => called.await,
            };
            member.answered(&hold, session, answer).await
        };
        member.while_held(&hold, answered).await
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
        let hold = member.hold()?;
        let answered = async {
            let session = member.session(&hold, &cancel).await?;
            let caller = Some(self.caller(&member, None));
            let answer = session.read_resource(uri, meta, caller, &cancel).await;
            member.answered(&hold, session, answer).await
        };
        member.while_held(&hold, answered).await
    }

    fn caller(&self, member: &Member, turn: Option<TurnId>) -> Caller {
        let (cwd, questions) = (Arc::clone(&self.cwd), self.questions.clone());
        let (server, on_unresponsive) = (member.spec.name.clone(), member.spec.on_unresponsive);
        Caller { thread: self.thread, cwd, server, turn, questions, on_unresponsive }
    }

    fn member(&self, server: &str) -> Result<Arc<Member>, HelperError> {
        let held = self.held();
        let member = held.members.iter().find(|member| member.spec.name == server);
        member.cloned().ok_or_else(|| HelperError::Unknown { server: server.to_owned() })
    }

    fn members(&self) -> Vec<Arc<Member>> {
        self.held().members.clone()
    }

    /// Gives all helpers back, and waits until no process is left of those that nobody else uses: they are ended in parallel,
    /// also those that are starting. Can be called again, and by several at once. What ends now is in the order of the specs.
    pub async fn stop(&self) -> Vec<ExitReport> {
        let ending = self.give_back();
        let mut reports = Vec::with_capacity(ending.len());
        // One after the other, but only the waiting: all of them are being ended.
        for instance in ending {
            reports.push(instance.over().await);
        }
        reports
    }

    /// What ends with this set.
    fn give_back(&self) -> Vec<Arc<Instance>> {
        let mut held = self.held();
        if !std::mem::replace(&mut held.stopped, true) {
            let Held { members, retired, ending, stopped: _ } = &mut *held;
            for member in members {
                ending.extend(member.lease.give_back(member.spec.linger));
            }
            for lease in std::mem::take(retired) {
                // What the settings do not name any more is not kept.
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

    fn held(&self) -> MutexGuard<'_, Held> {
        // Whole whenever the lock is free, also after a panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
