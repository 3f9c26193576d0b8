//! The tool calls of a turn. The calls of one round run in parallel; their results keep the order of the calls.

use std::sync::Arc;

use serde_json::Value;
use skein_helpers::{
    DescribedTool, GivenInputs, HelperCall, HelperError, HelperSet, HelperTool, TurnCallOutcome,
};
use skein_protocol::helper::McpServerToolCallResponse;
use skein_protocol::ids::ItemId;
use skein_protocol::item::{
    McpToolCallError, McpToolCallItem, McpToolCallResult, McpToolCallStatus, ThreadItem, ThreadItemBody,
};
use skein_provider::{Content, Entry, ToolCall, ToolResult};
use skein_store::rollout::record::{AnswerPart, AskedTool, ModelAnswer};
use tokio::sync::{mpsc, oneshot};

use super::asking::{About, Allowed, Asking, Decision, Inputs, NewPause, Permission, WantedCall};
use super::conversation::Recipient;
use super::helper_notes;
use super::offer::{CallTarget, HelperTarget, LeftOut, Offer, Whose};
use super::{Report, Stop, TurnRun, result, took};
use crate::policy;

pub(crate) struct Begun {
    /// The provider's id of the call.
    id: String,
    item: ThreadItem,
    target: CallTarget,
}

pub(crate) enum NotMade {
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
    pub(crate) async fn require_helpers(&mut self) -> Result<(), Stop> {
        let helpers = self.helpers().await?;
        self.tools_of(&helpers).await.map(drop)
    }

    /// Sets the tools for the model. Without helpers' tools if the provider does not send context.
    pub(crate) async fn offer_tools(&mut self) -> Result<(), Stop> {
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
    pub(crate) async fn show_tools(&mut self) -> Result<(), Stop> {
        match self.offer_tools().await {
            Err(Stop::Interrupted) => Err(Stop::Interrupted),
            Ok(()) | Err(Stop::Failed(_)) => Ok(()),
        }
    }

    /// Makes all calls at once and returns their results in order. Records `said`, the answer with these calls,
    /// together with the item of each call.
    pub(crate) async fn call_tools(
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
    pub(crate) async fn record_answer(&self, mut said: Vec<AnswerPart>, begun: &[Result<Begun, ToolResult>]) {
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
                self.call_helper(helpers, item, target, Earlier::default()).await
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
    pub(crate) async fn call_helper(
        &self,
        helpers: &Arc<HelperSet>,
        mut item: ThreadItem,
        target: HelperTarget,
        earlier: Earlier,
    ) -> (Vec<Content>, bool) {
        let (outcome, duration_ms) = match self.call_until_result(helpers, item.id(), &target, earlier).await
        {
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

    /// Makes the call, and makes it again with the user's answers as long as its helper has questions in the place of a result.
    async fn call_until_result(
        &self,
        helpers: &Arc<HelperSet>,
        item: &ItemId,
        target: &HelperTarget,
        mut earlier: Earlier,
    ) -> Result<(Called, i64), NotMade> {
        loop {
            let made = self.call_as_allowed(helpers, item, target, earlier).await?;
            let Made { outcome, duration_ms, described } = made;
            let wanted = match outcome {
                Ok(TurnCallOutcome::Result(response)) => return Ok((Ok(response), duration_ms)),
                Err(error) => return Ok((Err(error), duration_ms)),
                Ok(TurnCallOutcome::Wants(wanted)) => *wanted,
            };
            let pause = NewPause { server: target.server.clone(), described: *described, wanted };
            earlier = self.inputs(item, Some(Box::new(pause))).await?;
        }
    }

    /// Waits for the answers to the questions of a call's helper. Nothing is under way at the helper meanwhile.
    pub(crate) async fn inputs(
        &self,
        item: &ItemId,
        mut pause: Option<Box<NewPause>>,
    ) -> Result<Earlier, NotMade> {
        loop {
            let (answer, answered) = oneshot::channel();
            let about = About::Inputs(pause.take(), answer);
            self.report(Report::Ask(Box::new(Asking { item: item.clone(), about }))).await;
            match self.answer_from(answered).await {
                Ok(Ok(Inputs::More)) => {}
                Ok(Ok(Inputs::All(given, tool))) => {
                    let allowed = Allowed { tool: Some(tool), decision: Decision::Once };
                    return Ok(Earlier { allowed: Some(allowed), given: Some(given) });
                }
                Ok(Ok(Inputs::Refused(why))) => return Err(NotMade::Refused(why)),
                Ok(Err(_)) | Err(_) => {
                    self.job.cancel.cancel();
                    return Err(NotMade::TurnEnds);
                }
            }
        }
    }

    /// Reports the end of a call that was not made.
    pub(crate) async fn end_without_call(&self, mut item: ThreadItem, why: NotMade) {
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
        Earlier { mut allowed, given }: Earlier,
    ) -> Result<Made, NotMade> {
        let mut rounds = policy::CALL_JUDGED;
        loop {
            rounds -= 1;
            if let (Some(_), Some(tool)) =
                (&given, allowed.as_ref().and_then(|allowed| allowed.tool.as_ref()))
            {
                self.same_program(helpers, target, tool).await?;
            }
            let judged = self.permission(helpers, (item, target), allowed.take()).await?;
            let made = self.call_tool(helpers, (item, target), judged, given.clone()).await;
            match made.outcome {
                Err(HelperError::ToolChanged { .. }) if rounds > 0 => {}
                Ok(_) | Err(_) => return Ok(made),
            }
        }
    }

    /// Only the program that has asked gets the answers.
    async fn same_program(
        &self,
        helpers: &Arc<HelperSet>,
        HelperTarget { server, tool, .. }: &HelperTarget,
        asked: &AskedTool,
    ) -> Result<(), NotMade> {
        let described = helpers.describe(server, tool, &self.job.cancel).await.map_err(NotMade::Helper)?;
        match described.program.to_string() == asked.program {
            true => Ok(()),
            false => Err(NotMade::Refused(format!(
                "the settings have changed the helper {server} while it waited for the user; the call was not made again"
            ))),
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
        let permission = self.answer_from(answered).await.ok()?.ok();
        if permission == Some(Permission::Granted) {
            self.work.note_begun();
        }
        permission
    }

    /// Makes the call once.
    async fn call_tool(
        &self,
        helpers: &Arc<HelperSet>,
        (item, target): (&ItemId, &HelperTarget),
        described: DescribedTool,
        given: Option<Box<GivenInputs>>,
    ) -> Made {
        let since = self.job.clock.now();
        let (progress, said) = mpsc::channel(policy::CALL_PROGRESS);
        let HelperTarget { server, tool, arguments } = target.clone();
        let described = Box::new(described);
        let (turn, judged) = (Some(self.job.turn.clone()), Some(described.clone()));
        let call = HelperCall { server, tool, arguments, meta: Value::Null, turn, judged, given };
        let called = helpers.call_of_turn(call, self.job.cancel.clone(), Some(progress));
        let outcome = self.pass_on_until(item, said, called).await;
        Made { outcome, duration_ms: took(self.job.clock, since), described }
    }

    /// Reports progress until the call ends. The sender may outlive the call, so a closed queue is not the end.
    async fn pass_on_until(
        &self,
        item: &ItemId,
        mut said: mpsc::Receiver<String>,
        called: impl Future<Output = MadeOutcome>,
    ) -> MadeOutcome {
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

    pub(crate) async fn helpers(&self) -> Result<Arc<HelperSet>, Stop> {
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
type MadeOutcome = Result<TurnCallOutcome, HelperError>;

/// A call that was made.
struct Made {
    outcome: MadeOutcome,
    duration_ms: i64,
    /// The tool that was called.
    described: Box<DescribedTool>,
}

/// The beginning of a call by an earlier load, or before its helper had questions.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// The consent to it.
    pub(crate) allowed: Option<Allowed>,
    /// The answers to its helper's questions.
    pub(crate) given: Option<Box<GivenInputs>>,
}

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
