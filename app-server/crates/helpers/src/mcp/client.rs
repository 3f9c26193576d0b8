//! The client side of Skein for helpers: it has users who can be asked and a working directory, and it receives changes of tools. Skein
//! offers no sampling. Helpers of 2026-07-28 have no requests; their questions are handled in `rounds.rs`.

#![expect(
    deprecated,
    reason = "helpers of the revision 2025-11-25 ask for roots and sampling; the one after it takes them back"
)]

use std::path::Path;
use std::sync::Arc;

use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, CustomRequest,
    CustomResult, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability,
    ElicitationSchema, ErrorCode, FormElicitationCapability, Implementation, ListRootsResult,
    ProtocolVersion, RequestId, Root, RootsCapabilities, UrlElicitationCapability,
};
use rmcp::service::{InboundStreamOrigin, NotificationContext, RequestContext, RoleClient};
use rmcp::{ClientHandler, ErrorData};
use serde_json::Value;
use skein_protocol::approval::{
    McpServerElicitationAction, McpServerElicitationRequestBody, McpServerElicitationRequestResponse,
};
use skein_protocol::elicitation::McpElicitationSchema;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::mcp::{Line, McpCaller, reread};
use crate::policy;
use crate::questions::HelperQuestion;

/// The answer to a helper that wants a model.
pub(crate) const NO_SAMPLING: &str = "sampling is not offered: no model is lent to helpers";

/// Our side of one session.
#[derive(Debug)]
pub(crate) struct Client {
    changed: Arc<Notify>,
    line: Line,
    questions: Semaphore,
}

impl Client {
    /// Wakes `changed` when the helper's tools or resources change; what it asks goes to the callers of `line`.
    pub(crate) fn new(changed: Arc<Notify>, line: Line) -> Self {
        Self { changed, line, questions: Semaphore::new(policy::HELPER_QUESTIONS) }
    }

    /// Asks the user of the thread whose call it must be about, or is: that of `call`, where it came with its answer. Ends with
    /// the question: answered, given up with the call, or withdrawn by the helper.
    async fn elicit(
        &self,
        request: McpServerElicitationRequestBody,
        call: Option<&RequestId>,
        withdrawn: &CancellationToken,
    ) -> Result<McpServerElicitationRequestResponse, ErrorData> {
        let refused = |why: String| ErrorData::internal_error(why, None);
        let _one_of_few = self.questions.try_acquire().map_err(|_| {
            let most = policy::HELPER_QUESTIONS;
            refused(format!(
                "nobody was asked: {most} questions have no answer yet; ask again after one of them"
            ))
        })?;
        let callers = &self.line.callers;
        let caller = callers.asked(call).map_err(|why| refused(format!("nobody was asked: {why}")))?;
        let ended = async {
            match call {
                Some(call) => callers.answered(call).await,
                None => callers.gone(caller.thread).await,
            }
        };
        let _waits = self.line.asking.one_more();
        let answer = tokio::select! {
            biased;
            answer = put(&caller, request) => answer.map_err(refused)?,
            () = withdrawn.cancelled() => None,
            () = self.line.closed.cancelled() => None,
            () = ended => None,
        };
        Ok(answer.unwrap_or_else(cancelled))
    }
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let skein = Implementation::new("skein", env!("CARGO_PKG_VERSION"));
        let mut capabilities = ClientCapabilities::default();
        let both = ElicitationCapability::new().with_form(FormElicitationCapability::new());
        capabilities.elicitation = Some(both.with_url(UrlElicitationCapability::new()));
        capabilities.roots = Some(RootsCapabilities::default());
        ClientConfig::new(capabilities, skein).with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let meta = serde_json::to_value(&context.meta)
            .ok()
            .filter(|meta| meta.as_object().is_some_and(|meta| !meta.is_empty()));
        // Over HTTP nobody has looked at its length yet.
        if serde_json::to_string(&request).is_ok_and(|request| request.len() > policy::HELPER_LONGEST_REQUEST)
        {
            return Err(ErrorData::invalid_params(too_long(), None));
        }
        self.elicit(body(request, meta)?, came_with(&context), &context.ct).await.map(elicited)
    }

    async fn list_roots(&self, context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        if let Some(own) = self.line.own_roots() {
            return Ok(own);
        }
        if let Some(caller) = came_with(&context).and_then(|call| self.line.callers.of(call)) {
            return Ok(roots([&*caller.cwd]));
        }
        let folder = self.line.callers.folder().map_err(|why| ErrorData::internal_error(why, None))?;
        Ok(roots([&*folder]))
    }

    async fn create_message(
        &self,
        _params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, NO_SAMPLING, None))
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleClient>,
    ) -> Result<CustomResult, ErrorData> {
        let known = ["elicitation/create", "sampling/createMessage"];
        Err(match known.contains(&request.method.as_str()) {
            true => ErrorData::invalid_params(unreadable(&request.method), None),
            false => ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None),
        })
    }
}

/// The request of ours with whose answer a request of the helper came. Only over HTTP that can be known.
fn came_with(context: &RequestContext<RoleClient>) -> Option<&RequestId> {
    match context.extensions.get()? {
        InboundStreamOrigin::OutboundRequest(request) => Some(request),
        InboundStreamOrigin::Unassociated => None,
    }
}

/// Puts a question to the caller's user. Nothing when nobody decides. It is taken back when this is dropped.
///
/// # Errors
/// Why nobody was asked, for the helper.
pub(crate) async fn put(
    caller: &McpCaller,
    request: McpServerElicitationRequestBody,
) -> Result<Option<McpServerElicitationRequestResponse>, String> {
    let Some(questions) = &caller.questions else {
        return Err("nobody was asked: this call is made on behalf of no user".to_owned());
    };
    let (answer, answered) = oneshot::channel();
    let given_up = CancellationToken::new();
    let _given_up = given_up.clone().drop_guard();
    let (turn, server) = (caller.turn.clone(), caller.server.clone());
    // A dropped question has no answer any more.
    if questions.send(HelperQuestion { turn, server, request, answer, given_up }).await.is_err() {
        return Ok(None);
    }
    Ok(answered.await.ok())
}

/// An answer as MCP has it.
pub(crate) fn elicited(answer: McpServerElicitationRequestResponse) -> ElicitResult {
    let mut result = ElicitResult::new(match answer.action {
        McpServerElicitationAction::Accept => ElicitationAction::Accept,
        McpServerElicitationAction::Decline => ElicitationAction::Decline,
        McpServerElicitationAction::Cancel => ElicitationAction::Cancel,
    });
    result.content = answer.content;
    result.meta = answer.meta.as_ref().and_then(reread);
    result
}

/// Where a helper works.
pub(crate) fn roots<'a>(folders: impl IntoIterator<Item = &'a Path>) -> ListRootsResult {
    let root = |folder: &Path| {
        let mut root = Root::new(file_uri(folder));
        root.name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        root
    };
    ListRootsResult::new(folders.into_iter().map(root).collect())
}

impl Line {
    /// The roots of its settings.
    pub(super) fn own_roots(&self) -> Option<ListRootsResult> {
        let folders = self.roots.iter().map(|folder| &**folder);
        (!self.roots.is_empty()).then(|| roots(folders))
    }
}

/// The answer to a request that is too long.
pub(crate) fn too_long() -> String {
    format!("a request has at most {} bytes", policy::HELPER_LONGEST_REQUEST)
}

/// The answer to a request with unreadable params.
pub(crate) fn unreadable(method: &str) -> String {
    format!("the params of {method} cannot be read")
}

/// The answer to a question that no user decided.
pub(crate) fn cancelled() -> McpServerElicitationRequestResponse {
    McpServerElicitationRequestResponse {
        meta: None,
        action: McpServerElicitationAction::Cancel,
        content: None,
    }
}

/// A question of MCP as one of the protocol.
///
/// # Errors
/// Why it cannot be shown, for the helper.
pub(crate) fn body(
    request: ElicitRequestParams,
    meta: Option<Value>,
) -> Result<McpServerElicitationRequestBody, ErrorData> {
    match request {
        ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
            let requested_schema = form(&requested_schema)?;
            Ok(McpServerElicitationRequestBody::Form { meta, message, requested_schema })
        }
        ElicitRequestParams::UrlElicitationParams { message, url, elicitation_id, .. } => {
            Ok(McpServerElicitationRequestBody::Url { meta, elicitation_id, message, url })
        }
        // The library may learn more of them.
        other => {
            Err(ErrorData::invalid_params(format!("this kind of question is not known: {other:?}"), None))
        }
    }
}

/// The form without what the protocol has no place for: a title and a description of the whole.
fn form(schema: &ElicitationSchema) -> Result<McpElicitationSchema, ErrorData> {
    let mut schema = serde_json::to_value(schema).unwrap_or_default();
    if let Some(members) = schema.as_object_mut() {
        members.retain(|name, _| !matches!(name.as_str(), "title" | "description"));
    }
    serde_json::from_value(schema)
        .map_err(|error| ErrorData::invalid_params(format!("this form cannot be shown: {error}"), None))
}

/// A directory as a URI (RFC 8089).
fn file_uri(folder: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = "file://".to_owned();
    for byte in folder.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};
    use serde_json::json;
    use skein_protocol::ids::ThreadId;
    use tokio::sync::mpsc;

    use super::*;
    use crate::spec::OnUnresponsive;

    /// A session, and where the thread with this number hears what is asked.
    fn session() -> Client {
        Client::new(Arc::default(), Line::new("/".into()))
    }

    fn caller(thread: u128) -> (McpCaller, mpsc::Receiver<HelperQuestion>) {
        let (questions, received) = mpsc::channel(16);
        let thread = ThreadId::new(uuid::Uuid::from_u128(thread));
        let (cwd, server) = (Path::new("/").into(), "a".to_owned());
        let on_unresponsive = OnUnresponsive::default();
        (McpCaller { thread, cwd, server, turn: None, questions: Some(questions), on_unresponsive }, received)
    }

    fn question() -> McpServerElicitationRequestBody {
        McpServerElicitationRequestBody::Url {
            meta: None,
            elicitation_id: "e".to_owned(),
            message: "?".to_owned(),
            url: "https://a.example/".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_question_reaches_the_caller_and_ends_with_the_answer_the_call_or_the_line() {
        let client = session();
        let never = CancellationToken::new();
        let (one, mut received) = caller(1);
        let call = client.line.callers.enter(Some(one.clone()));
        let mut asked = std::pin::pin!(client.elicit(question(), None, &never));
        assert!(poll!(asked.as_mut()).is_pending());
        let accepted =
            McpServerElicitationRequestResponse { action: McpServerElicitationAction::Accept, ..cancelled() };
        received.recv().await.unwrap().answer.send(accepted.clone()).unwrap();
        assert_eq!(asked.await.unwrap(), accepted);
        let mut asked = std::pin::pin!(client.elicit(question(), None, &never));
        assert!(poll!(asked.as_mut()).is_pending());
        drop(call);
        assert_eq!(asked.await.unwrap(), cancelled(), "the call has ended");
        assert!(received.recv().await.unwrap().given_up.is_cancelled());
        let _call = client.line.callers.enter(Some(one));
        let withdrawn = CancellationToken::new();
        let mut asked = std::pin::pin!(client.elicit(question(), None, &withdrawn));
        assert!(poll!(asked.as_mut()).is_pending());
        withdrawn.cancel();
        assert_eq!(asked.await.unwrap(), cancelled(), "the helper has withdrawn it");
        client.line.close(None);
        assert_eq!(client.elicit(question(), None, &never).await.unwrap(), cancelled());
    }

    #[tokio::test]
    async fn nobody_is_asked_in_doubt_or_too_often() {
        let client = session();
        let never = CancellationToken::new();
        let refused = |error: ErrorData| error.message.into_owned();
        let nobody = client.elicit(question(), None, &never).await.map_err(refused).unwrap_err();
        assert!(nobody.contains("no call is outstanding"), "{nobody}");
        let (one, mut received) = caller(1);
        let _first = client.line.callers.enter(Some(one));
        let mut open: Vec<_> = (0..policy::HELPER_QUESTIONS)
            .map(|_| Box::pin(client.elicit(question(), None, &never)))
            .collect();
        for asked in &mut open {
            assert!(poll!(asked).is_pending());
        }
        let often = client.elicit(question(), None, &never).now_or_never().expect("at once");
        assert!(often.map_err(refused).unwrap_err().contains("ask again"));
        drop(open);
        let (two, mut heard_by_two) = caller(2);
        let _second = client.line.callers.enter(Some(two));
        let doubt = client.elicit(question(), None, &never).await.map_err(refused).unwrap_err();
        assert!(doubt.contains("several conversations"), "{doubt}");
        assert!(heard_by_two.try_recv().is_err());
        assert!(
            std::iter::from_fn(|| received.try_recv().ok()).all(|question| question.given_up.is_cancelled())
        );
    }

    fn asked(params: Value) -> Result<Value, ErrorData> {
        let params = serde_json::from_value(params).expect("params of MCP");
        body(params, None).map(|body| serde_json::to_value(body).unwrap())
    }

    #[test]
    fn questions_of_mcp_become_questions_of_the_protocol() {
        let schema = json!({
            "type": "object", "title": "You", "description": "Who you are", "required": ["name"],
            "properties": {
                "name": { "type": "string", "title": "Name", "minLength": 1 },
                "age": { "type": "integer", "minimum": 0 },
                "sure": { "type": "boolean", "default": false },
                "colour": { "type": "string", "enum": ["red", "blue"] },
            },
        });
        for mode in [json!({ "mode": "form" }), json!({})] {
            let mut params = json!({ "message": "Who?", "requestedSchema": schema });
            params.as_object_mut().unwrap().extend(mode.as_object().unwrap().clone());
            let asked = asked(params).unwrap();
            assert_eq!((&asked["mode"], &asked["message"]), (&json!("form"), &json!("Who?")));
            assert_eq!(asked["requestedSchema"]["required"], json!(["name"]));
            assert_eq!(asked["requestedSchema"]["properties"]["age"]["type"], json!("integer"));
            assert_eq!(asked["requestedSchema"].get("title"), None);
        }
        let url =
            json!({ "mode": "url", "message": "Log in", "url": "https://a.example/", "elicitationId": "e" });
        let wanted = json!({ "_meta": null, "mode": "url", "message": "Log in", "url": "https://a.example/", "elicitationId": "e" });
        assert_eq!(asked(url).unwrap(), wanted);
    }

    #[test]
    fn a_directory_is_a_uri_whatever_its_name() {
        assert_eq!(file_uri(Path::new("/a/b c/ä%")), "file:///a/b%20c/%C3%A4%25");
    }
}
