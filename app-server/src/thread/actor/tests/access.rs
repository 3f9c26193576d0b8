//! Connections with less than full access, from the router down.

use std::sync::Arc;

use serde_json::{Value, json};
use skein_config::access::{Admission, Door};
use skein_protocol::access::Access;
use skein_protocol::error::WireError;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    AccountBedrockCheckGovCloudRequirements, AccountRateLimitsRead, AccountRead, AccountUsageRead,
    CollaborationModeList, ConfigBatchWrite, ConfigMcpServerReload, ConfigRead, ConfigRequirementsRead,
    ConfigValueWrite, ExperimentalFeatureList, HooksList, Initialize, METHODS, McpServerResourceRead,
    McpServerStatusList, McpServerToolCall, ModelList, ModelProviderCapabilitiesRead, ModelProviderList,
    PermissionProfileList, RpcDiscover, ServerDiagnostics, SkeinBudgetSet, SkeinCatalogResume,
    SkeinConnectionLeave, SkeinCredentialAdd, SkeinCredentialList, SkeinCredentialRevoke, SkeinHelpersList,
    SkeinQuestionsList, SkeinQuiesce, SkeinStatus, SkillsList, ThreadGoalGet, ThreadItemsList, ThreadList,
    ThreadLoadedList, ThreadQueueList, ThreadRead, ThreadResume, ThreadSearch, ThreadSearchOccurrences,
    ThreadTurnsList, ThreadUnsubscribe,
};
use skein_protocol::server::{ClientInfo, InitializeParams};
use skein_protocol::table::Method;
use skein_protocol::thread::ThreadResumeResponse;
use tokio::sync::mpsc;

use super::*;
use crate::handlers;
use crate::router::Router;
use crate::router::session::ClientSession;
use crate::thread::subscribers::Role;

/// The methods that every connection may call.
const OF_READ: [&str; 34] = [
    AccountBedrockCheckGovCloudRequirements::INFO.wire,
    AccountRateLimitsRead::INFO.wire,
    AccountRead::INFO.wire,
    AccountUsageRead::INFO.wire,
    CollaborationModeList::INFO.wire,
    ConfigRead::INFO.wire,
    ConfigRequirementsRead::INFO.wire,
    ExperimentalFeatureList::INFO.wire,
    HooksList::INFO.wire,
    Initialize::INFO.wire,
    McpServerStatusList::INFO.wire,
    ModelList::INFO.wire,
    ModelProviderCapabilitiesRead::INFO.wire,
    ModelProviderList::INFO.wire,
    PermissionProfileList::INFO.wire,
    RpcDiscover::INFO.wire,
    ServerDiagnostics::INFO.wire,
    SkeinCatalogResume::INFO.wire,
    SkeinConnectionLeave::INFO.wire,
    SkeinHelpersList::INFO.wire,
    SkeinQuestionsList::INFO.wire,
    SkeinStatus::INFO.wire,
    SkillsList::INFO.wire,
    ThreadGoalGet::INFO.wire,
    ThreadItemsList::INFO.wire,
    ThreadList::INFO.wire,
    ThreadLoadedList::INFO.wire,
    ThreadRead::INFO.wire,
    ThreadQueueList::INFO.wire,
    ThreadResume::INFO.wire,
    ThreadSearch::INFO.wire,
    ThreadSearchOccurrences::INFO.wire,
    ThreadTurnsList::INFO.wire,
    ThreadUnsubscribe::INFO.wire,
];

/// The methods that only `admin` may call.
const OF_ADMIN: [&str; 10] = [
    ConfigBatchWrite::INFO.wire,
    ConfigMcpServerReload::INFO.wire,
    ConfigValueWrite::INFO.wire,
    McpServerResourceRead::INFO.wire,
    McpServerToolCall::INFO.wire,
    SkeinBudgetSet::INFO.wire,
    SkeinCredentialAdd::INFO.wire,
    SkeinCredentialList::INFO.wire,
    SkeinCredentialRevoke::INFO.wire,
    SkeinQuiesce::INFO.wire,
];

/// A client behind the real router.
pub(super) struct Connection {
    pub(super) client: Client,
    session: Arc<ClientSession>,
    router: Arc<Router>,
    last_request: i64,
}

impl Connection {
    /// A connection with this access.
    pub(super) fn open(bench: &Bench, access: Access) -> Self {
        let client = bench.client();
        // Nobody runs the requests to the disk: no test here needs their answers.
        let (store_jobs, _jobs) = mpsc::channel(8);
        let admission = Admission { access, ..Admission::local(Door::Loopback) };
        let session = ClientSession::new(bench.app(), client.outbox(), store_jobs, admission);
        let info = ClientInfo { name: "test".to_owned(), title: None, version: "1".to_owned() };
        assert!(session.introduce(InitializeParams { capabilities: None, client_info: info }));
        Self { client, session: Arc::new(session), router: Arc::new(handlers::router()), last_request: 1_000 }
    }

    /// Sends a request, and returns its number.
    pub(super) fn send(&mut self, method: &str, params: Value) -> i64 {
        self.last_request += 1;
        let request = json!({ "id": self.last_request, "method": method, "params": params });
        self.router.take(&self.session, &request.to_string());
        self.last_request
    }

    /// The answer to a request of this method.
    pub(super) async fn request<M: Method>(&mut self, params: Value) -> Result<M::Response, WireError> {
        let request = self.send(M::INFO.wire, params);
        self.client.answer(request).await
    }

    /// Answers a question.
    pub(super) fn answers(&self, question: i64, result: Value) {
        self.router.take(&self.session, &json!({ "id": question, "result": result }).to_string());
    }
}

fn needed(method: &str) -> Access {
    match method {
        method if OF_READ.contains(&method) => Access::Read,
        method if OF_ADMIN.contains(&method) => Access::Admin,
        _other => Access::Chat,
    }
}

/// Whether the answer to this request is the refusal for this access.
fn is_forbidden(message: &Message, request: i64, scope: Access) -> bool {
    let Message::Answer { id, result: Err(error) } = message else { return false };
    let data = error.data.as_ref();
    *id == request
        && error.code == -32_600
        && error.reason() == "forbidden"
        && data.is_some_and(|data| data.scope == Some(scope) && data.field.is_none())
}

#[tokio::test(start_paused = true)]
async fn each_method_answers_every_level_of_access_as_the_table_says() {
    let bench = Bench::in_memory();
    for access in [Access::Read, Access::Chat, Access::Admin] {
        for info in METHODS {
            let mut connection = Connection::open(&bench, access);
            // A wrong shape: the access counts before it is read, and nothing runs.
            let request = connection.send(info.wire, json!("no params"));
            let scope = needed(info.wire);
            let refused = connection.client.count(|message| is_forbidden(message, request, scope)) == 1;
            assert_eq!(refused, access < scope, "{} for {access}", info.wire);
        }
    }
    bench.finish().await;
}

fn resume(thread: ThreadId) -> Value {
    json!({ "threadId": thread })
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_may_read_keeps_no_thread_loaded() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let mut reader = Connection::open(&bench, Access::Read);
    let response = reader.request::<ThreadResume>(resume(thread)).await.unwrap();
    assert_eq!((response.thread.turns.len(), bench.disk.loads()), (1, 0), "it loads nothing");
    let mut client = bench.client();
    client.resume(thread).await;
    assert_eq!(bench.services.subscribers.role(reader.client.id(), thread), Some(Role::Observer));
    client.disconnect();
    bench.gone(thread).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_may_read_is_not_asked_and_its_answers_are_dropped() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let mut reader = Connection::open(&bench, Access::Read);
    let _seen: ThreadResumeResponse = reader.request::<ThreadResume>(resume(thread)).await.unwrap();
    strings.ask("who?").await;
    let question = client.asked().await;
    assert_eq!(reader.client.count(|message| matches!(message, Message::Question { .. })), 0);
    reader.answers(question, json!({ "answers": { "q1": { "answers": ["intruder"] } } }));
    assert!(client.fence(thread).await);
    assert_eq!(bench.services.questions.thread(question), Some(thread), "the question is still open");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn answers_of_a_connection_that_was_asked_count_from_chat_on() {
    for (access, counts) in [(Access::Read, false), (Access::Chat, true), (Access::Admin, true)] {
        let bench = Bench::in_memory();
        let (_client, thread, strings) = bench.running().await;
        let mut connection = Connection::open(&bench, access);
        // As if it had subscribed with more access.
        connection.client.resume(thread).await;
        strings.ask("who?").await;
        let question = connection.client.asked().await;
        connection.answers(question, json!({ "answers": { "q1": { "answers": ["me"] } } }));
        assert!(connection.client.fence(thread).await);
        let is_open = bench.services.questions.thread(question).is_some();
        assert_eq!(is_open, !counts, "{access}");
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_leave_of_a_connection_that_may_read_unloads_nothing() {
    let bench = Bench::in_memory();
    let (client, thread, _strings) = bench.running().await;
    let mut reader = Connection::open(&bench, Access::Read);
    reader.request::<ThreadResume>(resume(thread)).await.unwrap();
    client.disconnect();
    // A resume that still waits has no role yet.
    let _waits = bench.services.subscribers.begin_resume(reader.client.id(), thread, usize::MAX).unwrap();
    assert_eq!(
        bench.services.subscribers.leave(reader.client.id(), thread),
        crate::thread::subscribers::Left::Subscription
    );
    let _waits = bench.services.subscribers.begin_resume(reader.client.id(), thread, usize::MAX).unwrap();
    let left = reader.request::<SkeinConnectionLeave>(json!({})).await.unwrap();
    assert_eq!((left.left, left.loaded), (0, 0));
    assert!(bench.services.registry.handle(thread).is_some(), "the turn goes on");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_of_helpers_starts_none_for_a_connection_that_may_read() {
    let helper = || skein_helpers::HelperSpec::new("files", "/nowhere/program");
    let bench = Bench::with(|config| drop(config.helpers.insert("files".to_owned(), helper())));
    let mut reader = Connection::open(&bench, Access::Read);
    let request = reader.send(McpServerStatusList::INFO.wire, json!({}));
    let answered = reader.client.count(|message| message.answers(request));
    assert_eq!(answered, 1, "at once, without a helper's start");
    bench.finish().await;
}
