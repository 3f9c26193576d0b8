//! Calls of tools that no helper has: the client makes them, or the user answers.

use serde_json::Value;
use skein_protocol::approval::DynamicToolCallResponse;
use skein_protocol::item::{
    DynamicToolCallItem, DynamicToolCallOutputContentItem, DynamicToolCallStatus, ThreadItem, ThreadItemBody,
};
use skein_provider::Content;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::asking::{About, Asking, ClientCall};
use super::own_tools::{self, ASK_THE_USER, ClientTool};
use super::{Report, TurnRun, result, took};

impl TurnRun {
    pub(crate) fn client_call_item(&self, tool: &ClientTool, arguments: &Value) -> ThreadItem {
        ThreadItemBody::DynamicToolCall(DynamicToolCallItem {
            arguments: arguments.clone(),
            content_items: None,
            duration_ms: None,
            id: self.new_item_id(),
            namespace: tool.namespace.clone(),
            status: DynamicToolCallStatus::InProgress,
            success: None,
            tool: tool.name.clone(),
        })
        .into()
    }

    /// For clients, a model's questions are a call of a client's tool.
    pub(crate) fn question_item(&self, arguments: &Value) -> ThreadItem {
        let tool = ClientTool { namespace: None, name: ASK_THE_USER.to_owned() };
        self.client_call_item(&tool, arguments)
    }

    /// Has the client make the call, and reports its end. Returns the content for the model, and whether the call
    /// failed.
    pub(crate) async fn call_client(
        &self,
        item: ThreadItem,
        tool: ClientTool,
        arguments: Value,
    ) -> (Vec<Content>, bool) {
        let since = self.job.clock.now();
        let answered =
            self.answer_to(&item, |answer| About::ClientCall(ClientCall { tool, arguments }, answer));
        let response = match answered.await {
            Some(Ok(response)) => response,
            Some(Err(why)) => text_response(why, false),
            None => text_response("the call was interrupted".to_owned(), false),
        };
        self.end_own_call(item, response, since).await
    }

    /// Asks the user a model's questions, and reports the end of the call.
    pub(crate) async fn ask_the_user(&self, item: ThreadItem, arguments: &Value) -> (Vec<Content>, bool) {
        let since = self.job.clock.now();
        let response = match own_tools::questions(arguments) {
            Ok(questions) => {
                match self.answer_to(&item, |answer| About::Questions(questions, answer)).await {
                    Some(Ok(response)) => text_response(own_tools::answers(&response), true),
                    Some(Err(why)) => text_response(why, false),
                    None => text_response("the questions were interrupted".to_owned(), false),
                }
            }
            Err(wrong) => text_response(wrong, false),
        };
        self.end_own_call(item, response, since).await
    }

    /// Waits for an answer; `None` if the turn is over.
    async fn answer_to<T>(
        &self,
        item: &ThreadItem,
        about: impl FnOnce(oneshot::Sender<Result<T, String>>) -> About,
    ) -> Option<Result<T, String>> {
        let (answer, answered) = oneshot::channel();
        let asking = Asking { item: item.id().clone(), about: about(answer) };
        self.report(Report::Ask(Box::new(asking))).await;
        let answered = self.answer_from(answered).await.ok()?.ok();
        if answered.is_none() {
            // The thread is being unloaded, and its turn ends.
            self.job.cancel.cancel();
        }
        answered
    }

    pub(crate) async fn end_own_call(
        &self,
        mut item: ThreadItem,
        response: DynamicToolCallResponse,
        since: Instant,
    ) -> (Vec<Content>, bool) {
        let DynamicToolCallResponse { content_items, success } = response;
        let content = result::of_client(&content_items);
        if let ThreadItemBody::DynamicToolCall(call) = &mut item.body {
            call.status = match success {
                true => DynamicToolCallStatus::Completed,
                false => DynamicToolCallStatus::Failed,
            };
            call.success = Some(success);
            call.content_items = Some(content_items);
            call.duration_ms = Some(took(self.job.clock, since));
        }
        self.complete(item).await;
        (content, !success)
    }
}

/// Stands in for the client's response.
pub(crate) fn text_response(text: String, success: bool) -> DynamicToolCallResponse {
    DynamicToolCallResponse {
        content_items: vec![DynamicToolCallOutputContentItem::InputText { text }],
        success,
    }
}
