//! Where the progress of each call goes.

use std::collections::HashMap;

use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, GetMeta, JsonRpcMessage, ProgressNotificationParam, ProgressToken,
    RequestId, ServerJsonRpcMessage, ServerNotification,
};
use tokio::sync::mpsc;

use crate::policy;

/// Rides on a request: where the progress of this call goes.
#[derive(Debug, Clone)]
pub(crate) struct Progress(pub(crate) mpsc::Sender<String>);

/// The outstanding calls over HTTP whose callers want their progress. Those over lines are in `outstanding.rs`.
#[derive(Debug, Default)]
pub(crate) struct Sinks(HashMap<ProgressToken, (RequestId, mpsc::Sender<String>)>);

impl Sinks {
    /// To be shown each message before it is sent, so that a call is known before the helper can answer.
    pub(crate) fn watch(&mut self, message: &ClientJsonRpcMessage) {
        if let JsonRpcMessage::Request(request) = message
            && let ClientRequest::CallToolRequest(call) = &request.request
            && let Some(Progress(sink)) = call.extensions.get()
            && let Some(token) = request.request.get_meta().get_progress_token()
        {
            // Calls that were given up are answered by nobody: their entries go when nobody listens any more.
            self.0.retain(|_, (_, sink)| !sink.is_closed());
            self.0.insert(token, (request.id.clone(), sink.clone()));
        }
    }

    /// To be shown each message that comes.
    pub(crate) fn handle(&mut self, message: &ServerJsonRpcMessage) {
        match message {
            JsonRpcMessage::Response(answer) => self.0.retain(|_, (id, _)| *id != answer.id),
            JsonRpcMessage::Error(error) => self.0.retain(|_, (id, _)| Some(&*id) != error.id.as_ref()),
            JsonRpcMessage::Notification(notification) => {
                // Here and not in rmcp's handler, which runs a task for each notification, in any order.
                if let ServerNotification::ProgressNotification(progress) = &notification.notification
                    && let Some((_, sink)) = self.0.get(&progress.params.progress_token)
                {
                    // Progress that nobody takes in time is out of date.
                    let _ = sink.try_send(words(&progress.params));
                }
            }
            JsonRpcMessage::Request(_) => {}
        }
    }
}

/// A progress notification for people.
pub(crate) fn words(progress: &ProgressNotificationParam) -> String {
    match (&progress.message, progress.total) {
        (Some(message), _) => {
            message[..message.floor_char_boundary(policy::HELPER_PROGRESS_BYTES)].to_owned()
        }
        (None, Some(total)) => format!("{} of {total}", progress.progress),
        (None, None) => progress.progress.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_shown_by_its_message_or_its_numbers() {
        let progress = |total, message: Option<&str>| {
            let token = ProgressToken(rmcp::model::NumberOrString::Number(1));
            let mut progress = ProgressNotificationParam::new(token, 2.0);
            (progress.total, progress.message) = (total, message.map(ToOwned::to_owned));
            words(&progress)
        };
        assert_eq!(progress(Some(4.0), Some("half")), "half");
        assert_eq!(progress(Some(4.0), None), "2 of 4");
        assert_eq!(progress(None, None), "2");
        let long = "ä".repeat(policy::HELPER_PROGRESS_BYTES);
        assert_eq!(progress(None, Some(&long)).len(), policy::HELPER_PROGRESS_BYTES);
    }
}
