//! The tool calls of a turn: one round of them in parallel, their results in the order of the calls.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::Value;
use skein_protocol::helper::McpServerToolCallResponse;
use skein_protocol::ids::ItemId;
use skein_protocol::item::{
    DynamicToolCallItem, DynamicToolCallOutputContentItem, McpToolCallError, McpToolCallItem,
    McpToolCallResult, McpToolCallStatus, ThreadItem, ThreadItemBody,
};
use tokio::sync::{mpsc, oneshot};

use super::offer::{Offer, Target};
use super::{Report, Running, Stop, took};
use crate::helpers::{HelperCall, HelperError, HelperSet};
use crate::policy;
use crate::provider::{Content, Image, ToolCall, ToolResult};

/// A call that has begun.
enum Begun {
    /// At a helper.
    Helper {
        /// The provider's name for it.
        id: String,
        /// As the user sees it.
        item: Box<ThreadItem>,
        /// What is called.
        target: Target,
    },
    /// It cannot be made; the model hears why.
    Not(ToolResult),
}

impl Running {
    /// A helper that is required has to be there before the turn says anything.
    pub(super) async fn require_helpers(&mut self) -> Result<(), Stop> {
        let helpers = self.helpers().await?;
        tokio::select! {
            biased;
            () = self.job.cancel.cancelled() => Err(Stop::Interrupted),
            tools = helpers.tools() => tools.map(drop).map_err(|error| Stop::failed(error.to_string())),
        }
    }

    /// What the model is offered. Nothing, where it does not look at it.
    pub(super) async fn offer_tools(&mut self) -> Result<(), Stop> {
        if !self.job.provider.reads_context() {
            return Ok(());
        }
        let helpers = self.helpers().await?;
        let tools = tokio::select! {
            biased;
            () = self.job.cancel.cancelled() => return Err(Stop::Interrupted),
            tools = helpers.tools() => tools.map_err(|error| Stop::failed(error.to_string()))?,
        };
        self.offer = Offer::of(tools);
        Ok(())
    }

    /// Carries out calls, all at once. Returns their results in the order of the calls.
    pub(super) async fn call_tools(&mut self, calls: Vec<ToolCall>) -> Result<Vec<ToolResult>, Stop> {
        let helpers = self.helpers().await?;
        let mut running = Vec::with_capacity(calls.len());
        for call in calls {
            running.push(self.begin_call(call).await);
        }
        let this = &*self;
        let results = running.into_iter().map(|call| this.end_call(&helpers, call));
        let results = join_all(results).await;
        if self.job.cancel.is_cancelled() {
            return Err(Stop::Interrupted);
        }
        Ok(results)
    }

    /// Shows that a call begins; one that cannot be made is not shown.
    async fn begin_call(&self, call: ToolCall) -> Begun {
        match self.offer.resolve(&call) {
            Ok(Target { server, tool, arguments }) => {
                let item = ThreadItem::mcp_tool_call(self.new_item_id(), &server, &tool, arguments.clone());
                let item = self.begin(item);
                self.report(Report::ItemStarted(item.clone())).await;
                Begun::Helper {
                    id: call.id,
                    item: Box::new(item),
                    target: Target { server, tool, arguments },
                }
            }
            Err(why) => Begun::Not(ToolResult::text(call.id, why, true)),
        }
    }

    async fn end_call(&self, helpers: &Arc<HelperSet>, call: Begun) -> ToolResult {
        match call {
            Begun::Helper { id, item, target } => {
                let (content, failed) = self.call_tool(helpers, *item, target).await;
                ToolResult { id, content, failed }
            }
            Begun::Not(result) => result,
        }
    }

    /// Calls one tool and reports its end, whatever it is. Returns what the model reads of it, and whether it failed.
    async fn call_tool(
        &self,
        helpers: &Arc<HelperSet>,
        item: ThreadItem,
        target: Target,
    ) -> (Vec<Content>, bool) {
        let since = self.job.clock.now();
        let (progress, said) = mpsc::channel(policy::CALL_PROGRESS);
        let Target { server, tool, arguments } = target;
        let turn = Some(self.job.turn.clone());
        let call = HelperCall { server, tool, arguments, meta: Value::Null, turn };
        let called = helpers.call_with_progress(call, self.job.cancel.clone(), Some(progress));
        let outcome = self.pass_on_until(item.id(), said, called).await;
        let mut item = item;
        let mut read = (Vec::new(), true);
        if let ThreadItemBody::McpToolCall(body) = &mut item.body {
            complete(body, outcome, took(self.job.clock, since));
            read = read_by_model(body);
        }
        self.report(Report::ItemCompleted(item)).await;
        read
    }

    /// Reports what a call says of its progress, until the call is over; the queue's other end may live longer.
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
                Some(message) = said.recv() => self.progress(item, message).await,
                outcome = &mut called => break outcome,
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

    async fn helpers(&self) -> Result<Arc<HelperSet>, Stop> {
        let (wanted, given) = oneshot::channel();
        self.report(Report::WantsHelpers(wanted)).await;
        // None are given to a thread that is on its way out.
        given.await.map_err(|_| Stop::Interrupted)
    }
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

/// What the model reads of a call that has ended, and whether it failed. A tool's error goes to the model, not to the user.
pub(super) fn read_by_model(call: &McpToolCallItem) -> (Vec<Content>, bool) {
    if let Some(error) = &call.error {
        return (vec![Content::Text(error.message.clone())], true);
    }
    let blocks = call.result.iter().flat_map(|result| &result.content);
    let texts: Vec<&str> = blocks.filter_map(|block| block.get("text").and_then(Value::as_str)).collect();
    (vec![Content::Text(texts.join("\n"))], call.status != McpToolCallStatus::Completed)
}

/// What the model reads of what a client made of its call.
pub(super) fn dynamic_read_by_model(call: &DynamicToolCallItem) -> Vec<Content> {
    let content = call.content_items.iter().flatten().filter_map(|content| match content {
        DynamicToolCallOutputContentItem::InputText { text } => Some(Content::Text(text.clone())),
        DynamicToolCallOutputContentItem::InputImage { image_url } => {
            Some(Content::Image(Image::Url(image_url.clone())))
        }
        DynamicToolCallOutputContentItem::InputAudio { .. } => None,
    });
    content.collect()
}
