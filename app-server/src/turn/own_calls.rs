//! Calls of tools that no helper has: the client carries them out, or the user answers.

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
use super::{Report, Running, result, took};

impl Running {
    /// The item of a call that the client carries out.
    pub(super) fn client_call_item(&self, tool: &ClientTool, arguments: &Value) -> ThreadItem {
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

    /// The item of a model's questions: that of a call that the client carries out, too, by asking the user.
    pub(super) fn question_item(&self, arguments: &Value) -> ThreadItem {
        let tool = ClientTool { namespace: None, name: ASK_THE_USER.to_owned() };
        self.client_call_item(&tool, arguments)
    }

    /// Has the client carry out a call, and reports its end. Returns what the model reads of it, and whether it failed.
    pub(super) async fn call_client(
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
            Some(Err(why)) => said(why, false),
            None => said("the call was interrupted".to_owned(), false),
        };
        self.end_own_call(item, response, since).await
    }

    /// Puts a model's questions to the user, and reports the end of the call.
    pub(super) async fn ask_the_user(&self, item: ThreadItem, arguments: &Value) -> (Vec<Content>, bool) {
        let since = self.job.clock.now();
        let response = match own_tools::questions(arguments) {
            Ok(questions) => {
                match self.answer_to(&item, |answer| About::Questions(questions, answer)).await {
                    Some(Ok(response)) => said(own_tools::answers(&response), true),
                    Some(Err(why)) => said(why, false),
                    None => said("the questions were interrupted".to_owned(), false),
                }
            }
            Err(wrong) => said(wrong, false),
        };
        self.end_own_call(item, response, since).await
    }

    /// What comes of a question; `None` when the turn is over.
    async fn answer_to<T>(
        &self,
        item: &ThreadItem,
        about: impl FnOnce(oneshot::Sender<Result<T, String>>) -> About,
    ) -> Option<Result<T, String>> {
        let (answer, answered) = oneshot::channel();
        let asking = Asking { item: item.id().clone(), about: about(answer) };
        self.report(Report::Ask(Box::new(asking))).await;
        tokio::select! {
            biased;
            () = self.job.cancel.cancelled() => None,
            answered = answered => {
                let answered = answered.ok();
                if answered.is_none() {
                    // The thread is on its way out, and the turn with it.
                    self.job.cancel.cancel();
                }
                answered
            }
        }
    }

    async fn end_own_call(
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
        self.report(Report::ItemCompleted(item)).await;
        (content, !success)
    }
}

/// What we say in the place of a client.
fn said(text: String, success: bool) -> DynamicToolCallResponse {
    DynamicToolCallResponse {
        content_items: vec![DynamicToolCallOutputContentItem::InputText { text }],
        success,
    }
}
