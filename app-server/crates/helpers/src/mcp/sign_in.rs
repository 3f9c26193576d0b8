//! Pages that a helper requires before it carries out a call (MCP 2025-11-25): the call is refused with the code -32042 and the
//! addresses, the user is asked to open them, and the call is made again. A helper that wants the user to finish first refuses
//! it a second time; then the call waits for `notifications/elicitation/complete`.

use std::sync::Arc;

use futures_util::future::try_join_all;
use rmcp::model::ElicitRequestParams;
use serde_json::Value;
use skein_protocol::approval::{McpServerElicitationAction, McpServerElicitationRequestBody};
use tokio::sync::watch;

use crate::mcp::{CallError, McpCaller, Session, client};
use crate::policy;

/// The code of JSON-RPC with which a helper says so.
const URL_ELICITATION_REQUIRED: i32 = -32042;

/// The pages of one line that calls wait for. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pages(Arc<watch::Sender<Open>>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// The call that waits, the id of its page, whether the user is done there.
    pages: Vec<(u64, String, bool)>,
}

/// The pages of one call; they are forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Awaited {
    pages: Pages,
    call: u64,
}

/// How far one call is with the pages that its helper requires.
#[derive(Debug, Default)]
pub(crate) enum SignIn {
    /// None was required.
    #[default]
    Unasked,
    /// The user has agreed to open them, and the call was made again.
    Asked(Awaited),
    /// The user was done there, and the call was made a last time.
    Done,
}

impl Pages {
    /// The user is done at the page of this id. One that no call waits for is nobody's.
    pub(crate) fn completed(&self, id: &str) {
        self.0.send_if_modified(|open| {
            let mut news = false;
            for (_, page, done) in &mut open.pages {
                if page == id && !*done {
                    (*done, news) = (true, true);
                }
            }
            news
        });
    }

    pub(super) fn await_all(&self, ids: impl Iterator<Item = String>) -> Awaited {
        let mut call = 0;
        self.0.send_modify(|open| {
            (call, open.next) = (open.next, open.next + 1);
            open.pages.extend(ids.map(|id| (call, id, false)));
        });
        Awaited { pages: self.clone(), call }
    }
}

impl Awaited {
    /// Until the user is done at all of them.
    pub(super) async fn done(&self) {
        let mut open = self.pages.0.subscribe();
        // It fails only when the sender is gone, which this has.
        let _ =
            open.wait_for(|open| open.pages.iter().all(|(call, _, done)| *call != self.call || *done)).await;
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.pages.0.send_modify(|open| open.pages.retain(|(call, ..)| *call != self.call));
    }
}

impl Session {
    /// Whether the call is to be made again: the helper has refused it until the user has been at some pages, and the user has
    /// agreed to that, or is done there.
    ///
    /// # Errors
    /// How the call ends: with this refusal, or because the user does not open the pages.
    pub(super) async fn signed_in(
        &self,
        at: SignIn,
        refused: CallError,
        caller: Option<&McpCaller>,
    ) -> Result<SignIn, CallError> {
        let (Some(pages), Some(caller)) = (pages(&refused), caller) else { return Err(refused) };
        match at {
            SignIn::Unasked => {
                let awaited = self.line.pages.await_all(pages.iter().map(|(id, _)| id.clone()));
                let asked = pages.into_iter().map(async |(_, page)| {
                    let answer = client::put(caller, page).await?;
                    match answer.unwrap_or_else(client::cancelled).action {
                        McpServerElicitationAction::Accept => Ok(()),
                        McpServerElicitationAction::Decline | McpServerElicitationAction::Cancel => {
                            Err("the user does not open the page that it requires".to_owned())
                        }
                    }
                });
                try_join_all(asked).await.map_err(CallError::Unanswerable)?;
                Ok(SignIn::Asked(awaited))
            }
            SignIn::Asked(awaited) => {
                let done = tokio::time::timeout(policy::HELPER_SIGN_IN, awaited.done()).await;
                done.map(|()| SignIn::Done).map_err(|_elapsed| refused)
            }
            SignIn::Done => Err(refused),
        }
    }
}

/// The pages that a refusal requires, with their ids; `None` for any other refusal, and where they cannot be read.
fn pages(refused: &CallError) -> Option<Vec<(String, McpServerElicitationRequestBody)>> {
    let CallError::Refused { code: URL_ELICITATION_REQUIRED, data: Some(data), .. } = refused else {
        return None;
    };
    let required = data["elicitations"].as_array()?;
    if required.is_empty() || required.len() > policy::HELPER_QUESTIONS {
        return None;
    }
    required.iter().map(page).collect()
}

fn page(required: &Value) -> Option<(String, McpServerElicitationRequestBody)> {
    if required.to_string().len() > policy::HELPER_LONGEST_REQUEST {
        return None;
    }
    let params: ElicitRequestParams = serde_json::from_value(required.clone()).ok()?;
    match client::body(params, None).ok()? {
        McpServerElicitationRequestBody::Url { elicitation_id, .. } if elicitation_id.is_empty() => None,
        McpServerElicitationRequestBody::Url { meta, elicitation_id, message, url } => {
            let id = elicitation_id.clone();
            Some((id, McpServerElicitationRequestBody::Url { meta, elicitation_id, message, url }))
        }
        McpServerElicitationRequestBody::UserVerification { .. }
        | McpServerElicitationRequestBody::Form { .. }
        | McpServerElicitationRequestBody::NamespacedOpenaiForm { .. }
        | McpServerElicitationRequestBody::OpenaiForm { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;

    fn refusal(code: i32, elicitations: Value) -> CallError {
        let data = Some(json!({ "elicitations": elicitations }));
        CallError::Refused { code, message: "sign in".to_owned(), data }
    }

    #[test]
    fn pages_are_read_from_the_one_refusal_that_has_them() {
        let page =
            json!({ "mode": "url", "message": "Log in", "url": "https://a.example/", "elicitationId": "e" });
        let read = pages(&refusal(URL_ELICITATION_REQUIRED, json!([page]))).unwrap();
        assert_eq!((read.len(), read[0].0.as_str()), (1, "e"));
        assert!(pages(&refusal(-32000, json!([page]))).is_none());
        let form = json!({ "mode": "form", "message": "?", "requestedSchema": { "type": "object", "properties": {} } });
        let many = vec![page.clone(); policy::HELPER_QUESTIONS + 1];
        for wrong in [json!([]), json!(7), json!([page, form]), json!([{ "mode": "url" }]), json!(many)] {
            assert!(pages(&refusal(URL_ELICITATION_REQUIRED, wrong)).is_none());
        }
    }

    #[test]
    fn a_call_waits_for_its_own_pages_and_nothing_is_kept_of_others() {
        let pages = Pages::default();
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().into_iter();
        let (one, other) = (pages.await_all(ids(&["a", "b"])), pages.await_all(ids(&["a"])));
        pages.completed("nobody's");
        pages.completed("a");
        assert!(other.done().now_or_never().is_some() && one.done().now_or_never().is_none());
        pages.completed("b");
        assert!(one.done().now_or_never().is_some());
        drop((one, other));
        assert!(pages.0.borrow().pages.is_empty());
    }
}
