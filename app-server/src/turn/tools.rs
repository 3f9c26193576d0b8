//! The tool calls of a turn. The calls of one round run in parallel; their results keep the order of the calls.

use std::sync::Arc;

use serde_json::Value;
use skein_helpers::{DescribedTool, HelperCall, HelperError, HelperSet, HelperTool};
use skein_protocol::helper::McpServerToolCallResponse;
use skein_protocol::ids::ItemId;
use skein_protocol::item::{
    McpToolCallError, McpToolCallItem, McpToolCallResult, McpToolCallStatus, ThreadItem, ThreadItemBody,
};
use skein_provider::{Content, Entry, ToolCall, ToolResult};
use skein_store::rollout::record::{AnswerPart, ModelAnswer};
use tokio::sync::{mpsc, oneshot};

use super::asking::{About, Allowed, Asking, Permission, WantedCall};
use super::conversation::Recipient;
use super::helper_notes;
use super::offer::{CallTarget, HelperTarget, LeftOut, Offer, Whose};
use super::{Report, Stop, TurnRun, result, took};
use crate::policy;

pub(super) struct Begun {
    /// The provider's id of the call.
    id: String,
    item: ThreadItem,
    target: CallTarget,
}

pub(super) enum NotMade {
    Helper(HelperError),
    /// The rules, or the user, refused the call.
    Refused(String),
    /// The user refused the call and ended the turn.
    Cancelled,
    TurnEnds,
}

impl NotMade {
    /// The text for the model and for the item.
    fn text(&self) -> String {
        match self {
            Self::Helper(error) => error.to_string(),
            Self::Refused(why) => why.clone(),
            Self::Cancelled => "the user cancelled this call; it was not made".to_owned(),
            Self::TurnEnds => "the call was not made: the turn was interrupted".to_owned(),
        }
    }
}

impl TurnRun {
    /// Waits until the required helpers run.
    pub(super) async fn require_helpers(&mut self) -> Result<(), Stop> {
        let helpers = self.helpers().await?;
        self.tools_of(&helpers).await.map(drop)
    }

    /// Sets the tools for the model. Without helpers' tools if the provider does not send context.
    pub(super) async fn offer_tools(&mut self) -> Result<(), Stop> {
        self.offer = Offer::of(Vec::new(), &self.job.own_tools);
        if !self.job.provider.reads_context() {
            return Ok(());
        }
        let helpers = self.helpers().await?;
        let tools = self.tools_of(&helpers).await?;
        self.before.extend(helper_notes::text(&helpers.notes()).map(Entry::Developer));
        let most = self.job.provider.most_tools();
        let (offer, left_out) = Offer::within(most, tools, &self.job.own_tools);
        self.offer = offer;
        let most = most.unwrap_or_default();
        for left_out in left_out {
            self.report(Report::WarningOnce(not_offered(&left_out, most))).await;
        }
        Ok(())
    }

    /// Sets the tools for a compaction, which may call none. If a required helper is missing, goes on without helpers'
    /// tools.
    pub(super) async fn show_tools(&mut self) -> Result<(), Stop> {
        match self.offer_tools().await {
            Err(Stop::Interrupted) => Err(Stop::Interrupted),
            Ok(()) | Err(Stop::Failed(_)) => Ok(()),
        }
    }

    /// Makes all calls at once and returns their results in order. Records `said`, the answer with these calls,
    /// together with the item of each call.
    pub(super) async fn call_tools(
        &mut self,
        calls: Vec<ToolCall>,
        said: Vec<AnswerPart>,
    ) -> Result<Vec<ToolResult>, Stop> {
        let targets: Vec<_> = calls.iter().map(|call| self.offer.resolve(call)).collect();
        let helpers = match targets.iter().any(|target| matches!(target, Ok(CallTarget::Helper(_)))) {
            true => Some(self.helpers().await?),
            false => None,
        };
        let mut running = Vec::with_capacity(calls.len());
        for (call, target) in calls.into_iter().zip(targets) {
            running.push(self.begin_call(call, target).await);
        }
        self.record_answer(said, &running).await;
        let this = &*self;
        let results = running.into_iter().map(|call| this.end_call(helpers.as_ref(), call)).collect();
        let results = this.side_by_side(results).await;
        if self.job.cancel.is_cancelled() {
            return Err(Stop::Interrupted);
        }
        Ok(results)
    }

    /// Has the owner record the answer, each call with its item or with the reason for its refusal.
    pub(super) async fn record_answer(&self, mut said: Vec<AnswerPart>, begun: &[Result<Begun, ToolResult>]) {
        let calls = said.iter_mut().filter_map(|said| match said {
            AnswerPart::Call(call) => Some(call),
            AnswerPart::Text { .. } | AnswerPart::Raw { .. } | AnswerPart::Thought { .. } => None,
        });
        for (call, begun) in calls.zip(begun) {
            match begun {
                Ok(begun) => call.item_id = Some(begun.item.id().clone()),
                Err(not_made) => call.refused = Some(not_made.texts()),
            }
        }
        let Recipient { provider, model } = self.job.recipient.clone();
        let cut_by = self.added.front().map(|added| added.item.clone());
        let answer = ModelAnswer { turn_id: self.job.turn.clone(), provider, model, parts: said, cut_by };
        self.report(Report::Answered(Box::new(answer))).await;
    }

    /// Begins the item of a call. A call that cannot be made gets no item; only the model gets the reason.
    async fn begin_call(
        &self,
        call: ToolCall,
        target: Result<CallTarget, String>,
    ) -> Result<Begun, ToolResult> {
        let target = target.map_err(|why| ToolResult::text(&call.id, why, true))?;
        let item = match &target {
            CallTarget::Helper(HelperTarget { server, tool, arguments }) => {
                ThreadItem::mcp_tool_call(self.new_item_id(), server, tool, arguments.clone())
            }
            CallTarget::Client(tool, arguments) => self.client_call_item(tool, arguments),
            CallTarget::AskTheUser(arguments) => self.question_item(arguments),
        };
        Ok(Begun { id: call.id, item: self.begin(item).await, target })
    }

    async fn end_call(
        &self,
        helpers: Option<&Arc<HelperSet>>,
        call: Result<Begun, ToolResult>,
    ) -> ToolResult {
        let Begun { id, item, target } = match call {
            Ok(begun) => begun,
            Err(not_made) => return not_made,
        };
        let (content, failed) = match (target, helpers) {
            (CallTarget::Helper(target), Some(helpers)) => {
                self.call_helper(helpers, item, target, None).await
            }
            // Unreachable: the caller starts the helpers if any call needs one.
            (CallTarget::Helper(_), None) => (Vec::new(), true),
            (CallTarget::Client(tool, arguments), _) => self.call_client(item, tool, arguments).await,
            (CallTarget::AskTheUser(arguments), _) => self.ask_the_user(item, &arguments).await,
        };
        ToolResult { id, content, failed }
    }

    /// Calls a helper's tool if the rules allow it, and reports the end in any case. Returns the content for the model,
    /// and whether the call failed. `earlier` is what an earlier load has decided about the call.
    pub(super) async fn call_helper(
        &self,
        helpers: &Arc<HelperSet>,
        mut item: ThreadItem,
        target: HelperTarget,
        earlier: Option<Allowed>,
    ) -> (Vec<Content>, bool) {
        let (outcome, duration_ms) = match self.call_as_allowed(helpers, item.id(), &target, earlier).await {
            Ok(made) => made,
            Err(not_made) => {
                let read = (result::of_text(&not_made.text()), true);
                self.end_without_call(item, not_made).await;
                return read;
            }
        };
        let mut read = (Vec::new(), true);
        if let ThreadItemBody::McpToolCall(body) = &mut item.body {
            complete(body, outcome, duration_ms);
            read = result::of_call(body);
        }
        self.complete(item).await;
        read
    }

    /// Reports the end of a call that was not made.
    pub(super) async fn end_without_call(&self, mut item: ThreadItem, why: NotMade) {
        if let ThreadItemBody::McpToolCall(body) = &mut item.body {
            body.status = McpToolCallStatus::Failed;
            body.error = Some(McpToolCallError { message: why.text() });
        }
        self.complete(item).await;
    }

    /// Calls the tool that was judged. If the tool has changed since, judges the call again.
    async fn call_as_allowed(
        &self,
        helpers: &Arc<HelperSet>,
        item: &ItemId,
        target: &HelperTarget,
        mut earlier: Option<Allowed>,
    ) -> Result<(Called, i64), NotMade> {
        let mut rounds = policy::CALL_JUDGED;
        loop {
            rounds -= 1;
            let judged = self.permission(helpers, (item, target), earlier.take()).await?;
            match self.call_tool(helpers, item, target.clone(), judged).await {
                (Err(HelperError::ToolChanged { .. }), _) if rounds > 0 => {}
                made => return Ok(made),
            }
        }
    }

    /// Waits for the helper's description of the tool, and for the user's answer if the rules ask the user. Returns the
    /// description that the permission is for. A user who cancels ends the turn.
    async fn permission(
        &self,
        helpers: &Arc<HelperSet>,
        (item, target): (&ItemId, &HelperTarget),
        mut earlier: Option<Allowed>,
    ) -> Result<DescribedTool, NotMade> {
        let HelperTarget { server, tool, .. } = target;
        loop {
            let described = helpers.describe(server, tool, &self.job.cancel).await;
            let described = described.map_err(NotMade::Helper)?;
            let not_made = match self.judgement((item, target), &described, earlier.take()).await {
                Some(Permission::Granted) => return Ok(described),
                Some(Permission::JudgedAnew) => continue,
                Some(Permission::Refused(why)) => return Err(NotMade::Refused(why)),
                Some(Permission::Cancelled) => NotMade::Cancelled,
                None => NotMade::TurnEnds,
            };
            self.job.cancel.cancel();
            return Err(not_made);
        }
    }

    /// Asks the owner for a permission. `None` if the turn or the thread ends.
    async fn judgement(
        &self,
        (item, target): (&ItemId, &HelperTarget),
        described: &DescribedTool,
        earlier: Option<Allowed>,
    ) -> Option<Permission> {
        let HelperTarget { server, tool, arguments } = target.clone();
        let (answer, answered) = oneshot::channel();
        let wanted = WantedCall { server, tool, arguments, described: described.clone(), earlier };
        let about = About::Permission(Box::new(wanted), answer);
        self.report(Report::Ask(Box::new(Asking { item: item.clone(), about }))).await;
        self.answer_from(answered).await.ok()?.ok()
    }

    /// Returns the outcome and the duration in milliseconds.
    async fn call_tool(
        &self,
        helpers: &Arc<HelperSet>,
        item: &ItemId,
        target: HelperTarget,
        judged: DescribedTool,
    ) -> (Called, i64) {
        let since = self.job.clock.now();
        let (progress, said) = mpsc::channel(policy::CALL_PROGRESS);
        let HelperTarget { server, tool, arguments } = target;
        let (turn, judged) = (Some(self.job.turn.clone()), Some(Box::new(judged)));
        let call = HelperCall { server, tool, arguments, meta: Value::Null, turn, judged };
        let called = helpers.call_with_progress(call, self.job.cancel.clone(), Some(progress));
        let outcome = self.pass_on_until(item, said, called).await;
        (outcome, took(self.job.clock, since))
    }

    /// Reports progress until the call ends. The sender may outlive the call, so a closed queue is not the end.
    async fn pass_on_until(
        &self,
        item: &ItemId,
        mut said: mpsc::Receiver<String>,
        called: impl Future<Output = Called>,
    ) -> Called {
        let mut called = std::pin::pin!(called);
        let outcome = loop {
            tokio::select! {
                biased;
                // Comes first: progress without end must not delay an interrupt.
                outcome = &mut called => break outcome,
                Some(message) = said.recv() => self.progress(item, message).await,
            }
        };
        while let Ok(message) = said.try_recv() {
            self.progress(item, message).await;
        }
        outcome
    }

    async fn progress(&self, item: &ItemId, message: String) {
        self.report(Report::Progress { item: item.clone(), message }).await;
    }

    async fn tools_of(&self, helpers: &HelperSet) -> Result<Vec<HelperTool>, Stop> {
        let tools = self.unless_interrupted(helpers.tools()).await?;
        tools.map_err(|error| Stop::failed(error.to_string()))
    }

    pub(super) async fn helpers(&self) -> Result<Arc<HelperSet>, Stop> {
        let (wanted, given) = oneshot::channel();
        self.report(Report::WantsHelpers(wanted)).await;
        // A thread that is being unloaded gets no helpers.
        given.await.map_err(|_| Stop::Interrupted)
    }
}

fn not_offered(LeftOut { whose, of, count }: &LeftOut, most: usize) -> String {
    let (of_whom, way_out) = match whose {
        Whose::Helper(server) => {
            let way_out = format!("name those that it needs in mcp_servers.{server}.enabled_tools");
            (format!("the helper {server}"), way_out)
        }
        Whose::Thread => ("the client and of Skein".to_owned(), "bring fewer dynamicTools".to_owned()),
    };
    format!(
        "{count} of the {of} tools of {of_whom} are not offered to the model, which takes {most} tools at most; \
         {way_out}, or set max_tools of the provider higher"
    )
}

type Called = Result<McpServerToolCallResponse, HelperError>;

fn complete(item: &mut McpToolCallItem, called: Called, duration_ms: i64) {
    item.duration_ms = Some(duration_ms);
    match called {
        Ok(response) => {
            item.status = match response.is_error {
                Some(true) => McpToolCallStatus::Failed,
                Some(false) | None => McpToolCallStatus::Completed,
            };
            item.result = Some(McpToolCallResult {
                content: response.content,
                structured_content: response.structured_content,
                meta: response.meta,
            });
        }
        Err(error) => {
            item.status = McpToolCallStatus::Failed;
            item.error = Some(McpToolCallError { message: error.to_string() });
        }
    }
}
