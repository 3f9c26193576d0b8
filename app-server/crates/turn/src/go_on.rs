//! Goes on with a turn of an earlier load: ends its open calls, each from where its records stop, and lets the turn ask
//! the model again. A call waits for its answer before its helper is started.

use std::sync::Arc;

use skein_protocol::ids::ItemId;
use skein_protocol::item::{DynamicToolCallItem, McpToolCallItem, ThreadItem, ThreadItemBody};
use skein_provider::ToolResult;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use super::asking::GoesOn;
use super::offer::HelperTarget;
use super::own_tools::{self, ASK_THE_USER, ClientTool};
use super::tools::{Earlier, NotMade};
use super::{HistorySource, Report, Stop, TurnRun, own_calls};

/// The part of a turn that an earlier load has left.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOver {
    /// The calls without a result, and a message that waits for the user's answer.
    pub calls: Vec<ThreadItem>,
    /// Whether the turn has only to be ended.
    pub is_done: bool,
}

/// The conversation of a turn that goes on.
#[derive(Debug)]
pub struct HistorySoFar {
    /// Where to read it.
    pub source: HistorySource,
    /// The messages in the turn's queue that the conversation contains already.
    pub steers: usize,
}

/// Lets a few of the turns that a start goes on with work at once.
#[derive(Debug)]
pub struct Turnstile {
    /// The places of turns that work.
    pub places: Arc<Semaphore>,
    /// Cancelled when a client uses the thread: its turn needs no place.
    pub followed: CancellationToken,
}

impl Turnstile {
    /// Waits for a place; `None` for a turn that needs none.
    pub(crate) async fn pass(self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes the semaphore.
        self.followed.run_until_cancelled_owned(self.places.acquire_owned()).await?.ok()
    }
}

impl TurnRun {
    /// Ends all calls at once. Returns the user's words for a message that has asked for them: no item has the words.
    pub(crate) async fn end_left_over(&mut self, left: LeftOver) -> Result<Vec<ToolResult>, Stop> {
        let asks = left.calls.iter().find_map(|item| {
            let ThreadItemBody::AgentMessage(message) = &item.body else { return None };
            Some(message.clone())
        });
        let this = &*self;
        let ends = left.calls.into_iter().map(|item| this.end_open_item(item)).collect();
        let ends = this.side_by_side(ends).await;
        if self.job.cancel.is_cancelled() {
            return Err(Stop::Interrupted);
        }
        let words = ends.into_iter().collect::<Result<Vec<_>, Stop>>()?;
        // The answer to the user's words is the text of the message that has asked for them.
        self.message = asks;
        self.job.history = self.history_so_far().await?;
        Ok(words.into_iter().flatten().collect())
    }

    async fn end_open_item(&self, item: ThreadItem) -> Result<Option<ToolResult>, Stop> {
        let Some(earlier) = self.state_of(item.id()).await else {
            // The thread is being unloaded, or the turn was interrupted.
            self.job.cancel.cancel();
            return Ok(None);
        };
        let body = item.body.clone();
        if let ThreadItemBody::McpToolCall(call) = body {
            self.end_call_of_helper(item, *call, earlier).await;
        } else if let ThreadItemBody::DynamicToolCall(call) = body {
            self.end_call_of_client(item, call, earlier).await;
        } else {
            // No other item waits for anything.
            return self.end_question(item, earlier).await.map(Some);
        }
        Ok(None)
    }

    async fn end_call_of_helper(&self, item: ThreadItem, call: McpToolCallItem, earlier: GoesOn) {
        let target = HelperTarget { server: call.server, tool: call.tool, arguments: call.arguments };
        let earlier = match earlier {
            GoesOn::Judge | GoesOn::Answers(_) | GoesOn::ToolOutput(_) => Earlier::default(),
            GoesOn::Allowed(allowed) => Earlier { allowed: Some(allowed), given: None },
            GoesOn::Paused => match self.inputs(item.id(), None).await {
                Ok(earlier) => earlier,
                Err(not_made) => return self.end_without_call(item, not_made).await,
            },
            GoesOn::Refused(why) => return self.end_without_call(item, NotMade::Refused(why)).await,
            GoesOn::Cancelled => {
                self.job.cancel.cancel();
                return self.end_without_call(item, NotMade::Cancelled).await;
            }
        };
        match self.helpers().await {
            Ok(helpers) => _ = self.call_helper(&helpers, item, target, earlier).await,
            Err(_) => self.job.cancel.cancel(),
        }
    }

    async fn end_call_of_client(&self, item: ThreadItem, call: DynamicToolCallItem, earlier: GoesOn) {
        let since = self.job.clock.now();
        let asks = call.namespace.is_none() && call.tool == ASK_THE_USER;
        let response = match earlier {
            GoesOn::ToolOutput(response) => response,
            GoesOn::Answers(answers) => own_calls::text_response(own_tools::answers(&answers), true),
            GoesOn::Refused(why) => own_calls::text_response(why, false),
            GoesOn::Judge | GoesOn::Allowed(_) | GoesOn::Cancelled | GoesOn::Paused if asks => {
                return drop(self.ask_the_user(item, &call.arguments).await);
            }
            GoesOn::Judge | GoesOn::Allowed(_) | GoesOn::Cancelled | GoesOn::Paused => {
                let tool = ClientTool { namespace: call.namespace, name: call.tool };
                return drop(self.call_client(item, tool, call.arguments).await);
            }
        };
        drop(self.end_own_call(item, response, since).await);
    }

    async fn end_question(&self, item: ThreadItem, earlier: GoesOn) -> Result<ToolResult, Stop> {
        let words = match earlier {
            GoesOn::Answers(answers) => Ok(own_tools::words(&answers)),
            GoesOn::Refused(why) => Err(Stop::failed(format!("the question was not answered: {why}"))),
            GoesOn::Judge
            | GoesOn::Allowed(_)
            | GoesOn::Cancelled
            | GoesOn::ToolOutput(_)
            | GoesOn::Paused => {
                let lost = "the server ended before the answer to its question was used; ask again";
                Err(Stop::failed(lost))
            }
        };
        if words.is_err() {
            self.complete(item).await;
        }
        words.map(|words| ToolResult::text("question", words, false))
    }

    /// Asks for the decision about this item; `None` if the turn ends.
    async fn state_of(&self, item: &ItemId) -> Option<GoesOn> {
        let (answer, answered) = oneshot::channel();
        self.report(Report::AskAgain { item: item.clone(), answer }).await;
        self.answer_from(answered).await.ok()?.ok()
    }

    async fn history_so_far(&mut self) -> Result<HistorySource, Stop> {
        let (wanted, given) = oneshot::channel();
        self.report(Report::WantsHistory(wanted)).await;
        let HistorySoFar { source, steers } = given.await.map_err(|_| Stop::Interrupted)?;
        // Later messages are behind these in the queue.
        for _ in 0..steers {
            self.steers.try_recv().ok();
        }
        Ok(source)
    }
}
