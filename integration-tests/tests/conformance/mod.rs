//! Compatibility with the peer: every message that Skein knows occurs here at least once.
//! `scripts/peer-conformance` records these tests and checks each message against the peer's own schema. It
//! fails if a message is missing.

mod calls;
mod questions;
mod queue;
mod thoughts;

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use skein_integration_tests::client::{Client, Received};
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::{
    items_params, occurrences_params, resume_params, search_params, steer_params, turn_params, turns_params,
};
use skein_integration_tests::view::{Kind, Leave, View, Window};
use skein_protocol::account::{
    BedrockCheckGovCloudRequirementsParams, GetAccountParams, GetAccountRateLimitsParams,
    GetAccountTokenUsageParams,
};
use skein_protocol::approval::{
    McpServerElicitationAction, McpServerElicitationRequestResponse, ToolRequestUserInputAnswer,
    ToolRequestUserInputResponse,
};
use skein_protocol::catalogue::{
    CollaborationModeListParams, ExperimentalFeatureListParams, HooksListParams,
    ModelProviderCapabilitiesReadParams, ModelProviderListParams, PermissionProfileListParams,
    SkillsListParams,
};
use skein_protocol::config::ConfigReadParams;
use skein_protocol::error::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND};
use skein_protocol::export;
use skein_protocol::extension::{
    EVENTS_EXTENSION, RepairState, RpcDiscoverParams, SkeinCatalogResumeParams, SkeinCredentialListParams,
    SkeinCredentialRevokeParams,
};
use skein_protocol::helper::{ListMcpServerStatusParams, McpServerStartupState};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    AccountBedrockCheckGovCloudRequirements, AccountRateLimitsRead, AccountRead, AccountUsageRead,
    CollaborationModeList, ConfigBatchWrite, ConfigMcpServerReload, ConfigRead, ConfigRequirementsRead,
    ConfigValueWrite, ExperimentalFeatureList, FeedbackUpload, HooksList, Initialize, McpServerResourceRead,
    McpServerStatusList, ModelList, ModelProviderCapabilitiesRead, ModelProviderList, PermissionProfileList,
    RpcDiscover, ServerDiagnostics, SkeinCatalogResume, SkeinCredentialAdd, SkeinCredentialList,
    SkeinCredentialRevoke, SkillsList, ThreadArchive, ThreadDelete, ThreadFork, ThreadGoalClear,
    ThreadGoalGet, ThreadGoalSet, ThreadInjectItems, ThreadItemsList, ThreadList, ThreadMetadataUpdate,
    ThreadNameSet, ThreadRead, ThreadReadStateUpdate, ThreadResume, ThreadRevert, ThreadRollback,
    ThreadSearch, ThreadSearchOccurrences, ThreadSettingsUpdate, ThreadStart, ThreadTurnsList,
    ThreadUnarchive, TurnStart, TurnSteer,
};
use skein_protocol::notifications::{
    ConfigWarning, Error, ItemAgentMessageDelta, ItemMcpToolCallProgress, McpServerStartupStatusUpdated,
    ServerRequestResolved, SkeinHeartbeat, SkeinRepairUpdated, SkeinStopping, ThreadArchived, ThreadDeleted,
    ThreadGoalCleared, ThreadGoalUpdated, ThreadNameUpdated, ThreadReadStateChanged, ThreadReverted,
    ThreadSettingsUpdated, ThreadStarted, ThreadTokenUsageUpdated, ThreadUnarchived, Warning,
};
use skein_protocol::server::{InitializeCapabilities, ModelListParams, ServerDiagnosticsParams};
use skein_protocol::server_requests::{ItemToolRequestUserInput, McpServerElicitationRequest};
use skein_protocol::table::Method;
use skein_protocol::thread::{
    SortDirection, ThreadArchiveParams, ThreadDeleteParams, ThreadForkParams, ThreadGoalClearParams,
    ThreadGoalGetParams, ThreadInjectItemsParams, ThreadItemsListParams, ThreadListParams,
    ThreadMetadataGitInfoUpdateParams, ThreadMetadataUpdateParams, ThreadReadParams, ThreadResumeParams,
    ThreadRevertParams, ThreadRollbackParams, ThreadSetNameParams, ThreadSortKey, ThreadStartParams,
    ThreadTurnsListParams, ThreadUnarchiveParams,
};
use skein_protocol::turn::{TurnItemsView, TurnStatus};

/// Two helpers, one of which cannot start, and an unknown setting.
async fn home() -> Result<Home> {
    let broken = Helper::with("broken", &["--exit-at-start", "3"])?;
    let setup = Home::setup()
        .helper(Helper::named("helper")?)
        .helper(broken)
        .set("colour", "blue")
        .set("connections.heartbeat", "50ms");
    setup.start().await
}

/// A client with every capability.
async fn talkative(home: &Home) -> Result<Client> {
    let mut client = Client::connect(home.address()).await?;
    let capabilities = InitializeCapabilities {
        experimental_api: true,
        explicit_gateway_oauth: true,
        extensions: json!({ EVENTS_EXTENSION: { "version": 1 } }).as_object().cloned(),
        mcp_server_openai_form_elicitation: true,
        opt_out_notification_methods: Some(vec!["account/updated".to_owned()]),
        request_attestation: false,
        required_human_approval: true,
    };
    client.initialize_with(Some(capabilities)).await?;
    Ok(client)
}

#[tokio::test]
async fn a_thread_from_its_start_to_its_end() -> Result<()> {
    let home = home().await?;
    let mut client = talkative(&home).await?;
    client.next::<ConfigWarning>(|_| true).await?;
    client.call::<ModelList>(ModelListParams::default()).await?;
    let thread = client.start_thread_with("one two").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.thread_id == thread).await?;
    client.next::<ThreadTokenUsageUpdated>(|usage| usage.thread_id == thread).await?;
    client
        .call::<ThreadNameSet>(ThreadSetNameParams { name: "A name".to_owned(), thread_id: thread })
        .await?;
    client.next::<ThreadNameUpdated>(|named| named.thread_id == thread).await?;
    change_around(&mut client, thread).await?;
    look_around(&mut client, thread).await?;
    client.unsubscribe(thread).await?;
    client.thread_closed(thread).await?;
    client.unsubscribe(thread).await?;
    client.call::<ThreadRead>(ThreadReadParams { include_turns: false, thread_id: thread }).await?;
    let resumed = client.resume(thread).await?;
    ensure!(!resumed.thread.turns.is_empty(), "a resume returns the turns: {resumed:?}");
    let bare = ThreadResumeParams { exclude_turns: true, ..resume_params(thread) };
    client.call::<ThreadResume>(bare).await?;
    client.unload(thread, true).await?;
    client.unload(thread, true).await?;
    put_aside(&mut client, thread).await?;
    home.finish().await
}

/// Changes everything about a thread except its turns.
async fn change_around(client: &mut Client, thread: ThreadId) -> Result<()> {
    let unread = client.next::<ThreadReadStateChanged>(|update| update.thread_id == thread).await?.read_state;
    let read =
        json!({ "threadId": thread, "expectedRevision": unread.revision, "operation": { "type": "read" } });
    client.call::<ThreadReadStateUpdate>(serde_json::from_value(read)?).await?;
    let settings =
        json!({ "threadId": thread, "effort": "low", "summary": "concise", "personality": "friendly" });
    client.call::<ThreadSettingsUpdate>(serde_json::from_value(settings)?).await?;
    client.next::<ThreadSettingsUpdated>(|update| update.thread_id == thread).await?;
    let goal = json!({ "threadId": thread, "objective": "the moon", "tokenBudget": 1000 });
    client.call::<ThreadGoalSet>(serde_json::from_value(goal)?).await?;
    client.next::<ThreadGoalUpdated>(|update| update.thread_id == thread).await?;
    let kept = client.call::<ThreadGoalGet>(ThreadGoalGetParams { thread_id: thread }).await?;
    ensure!(kept.goal.is_some_and(|goal| goal.objective == "the moon"), "the goal is kept");
    client.call::<ThreadGoalClear>(ThreadGoalClearParams { origin: None, thread_id: thread }).await?;
    client.next::<ThreadGoalCleared>(|update| update.thread_id == thread).await?;
    Ok(())
}

/// Moves a thread to the archive, back, and into the trash.
async fn put_aside(client: &mut Client, thread: ThreadId) -> Result<()> {
    client.call::<ThreadArchive>(ThreadArchiveParams { thread_id: thread }).await?;
    client.next::<ThreadArchived>(|archived| archived.thread_id == thread).await?;
    let archived = ThreadListParams { archived: Some(true), ..ThreadListParams::default() };
    ensure!(client.call::<ThreadList>(archived).await?.data.len() == 1, "the archived list");
    client.call::<ThreadUnarchive>(ThreadUnarchiveParams { thread_id: thread }).await?;
    client.next::<ThreadUnarchived>(|back| back.thread_id == thread).await?;
    client.call::<ThreadDelete>(ThreadDeleteParams { thread_id: thread }).await?;
    client.next::<ThreadDeleted>(|deleted| deleted.thread_id == thread).await?;
    Ok(())
}

/// Sends every request that a loaded thread allows.
async fn look_around(client: &mut Client, thread: ThreadId) -> Result<()> {
    client.loaded().await?;
    client.status().await?;
    client.quiesce().await?;
    client.read_thread(thread).await?;
    client.call::<ThreadList>(ThreadListParams::default()).await?;
    let params = SkeinCatalogResumeParams { after: 0, catalog_epoch: "another start".to_owned() };
    let other_epoch = client.call::<SkeinCatalogResume>(params).await?;
    let params = SkeinCatalogResumeParams { after: 0, catalog_epoch: other_epoch.catalog_epoch };
    let here = client.call::<SkeinCatalogResume>(params).await?;
    ensure!(other_epoch.too_old && !here.changes.is_empty(), "the changes since the start: {here:?}");
    client.next::<SkeinHeartbeat>(|_| true).await?;
    let sorted = ThreadListParams {
        limit: Some(1),
        sort_key: Some(ThreadSortKey::CreatedAt),
        sort_direction: Some(SortDirection::Asc),
        ..ThreadListParams::default()
    };
    client.call::<ThreadList>(sorted).await?;
    for items_view in [TurnItemsView::NotLoaded, TurnItemsView::Summary, TurnItemsView::Full] {
        let params = ThreadTurnsListParams { items_view: Some(items_view), ..turns_params(thread) };
        client.call::<ThreadTurnsList>(params).await?;
    }
    let found = client.call::<ThreadSearch>(search_params("one")).await?;
    ensure!(found.data.len() == 1, "the thread is found: {found:?}");
    let hits = client.call::<ThreadSearchOccurrences>(occurrences_params(thread, "one")).await?;
    ensure!(!hits.data.is_empty(), "the message is found: {hits:?}");
    let paged = ThreadItemsListParams { limit: Some(1), ..items_params(thread) };
    client.call::<ThreadItemsList>(paged).await?;
    client.call::<McpServerStatusList>(ListMcpServerStatusParams::default()).await?;
    let of_thread =
        ListMcpServerStatusParams { thread_id: Some(thread), ..ListMcpServerStatusParams::default() };
    client.call::<McpServerStatusList>(of_thread).await?;
    let resource = json!({ "server": "helper", "threadId": thread, "uri": "memo://one" });
    client.call::<McpServerResourceRead>(serde_json::from_value(resource)?).await?;
    Ok(())
}

#[tokio::test]
async fn the_next_server_repairs_the_home_of_a_killed_one() -> Result<()> {
    let mut home = home().await?;
    let mut client = talkative(&home).await?;
    let thread = client.start_thread().await?.id;
    client.start_turn(thread, "/stream 100000 8 200").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.thread_id == thread).await?;
    home.restart_after_kill().await?;
    let mut client = talkative(&home).await?;
    client.next::<SkeinRepairUpdated>(|update| update.repair.state == RepairState::Complete).await?;
    home.stop().await?;
    client.next::<SkeinStopping>(|_| true).await?;
    home.start_again().await?;
    home.finish().await
}

#[tokio::test]
async fn requests_before_the_first_thread() -> Result<()> {
    let home = home().await?;
    let mut client = talkative(&home).await?;
    client.call::<AccountRead>(GetAccountParams::default()).await?;
    client.call::<ConfigRead>(ConfigReadParams { cwd: None, include_layers: true }).await?;
    // The peer takes no params at all here.
    client.call_raw(ConfigRequirementsRead::INFO.wire, &Value::Null).await??;
    client.call_raw(ConfigMcpServerReload::INFO.wire, &Value::Null).await??;
    let value = json!({ "keyPath": "unload.grace", "mergeStrategy": "replace", "value": "1s" });
    client.call::<ConfigValueWrite>(serde_json::from_value(value.clone())?).await?;
    client.call::<ConfigBatchWrite>(serde_json::from_value(json!({ "edits": [value] }))?).await?;
    client.call::<SkillsList>(SkillsListParams::default()).await?;
    client.call::<HooksList>(HooksListParams::default()).await?;
    client.call::<CollaborationModeList>(CollaborationModeListParams {}).await?;
    client.call::<PermissionProfileList>(PermissionProfileListParams::default()).await?;
    client.call::<AccountRateLimitsRead>(GetAccountRateLimitsParams::default()).await?;
    client.call::<AccountUsageRead>(GetAccountTokenUsageParams::default()).await?;
    let region = BedrockCheckGovCloudRequirementsParams {};
    client.call::<AccountBedrockCheckGovCloudRequirements>(region).await?;
    client.call::<ModelProviderList>(ModelProviderListParams {}).await?;
    client.call::<ModelProviderCapabilitiesRead>(ModelProviderCapabilitiesReadParams {}).await?;
    client.call::<ExperimentalFeatureList>(ExperimentalFeatureListParams::default()).await?;
    client.call::<ServerDiagnostics>(ServerDiagnosticsParams {}).await?;
    let feedback = json!({ "classification": "bug", "reason": "words", "tags": { "a": "b" } });
    client.call::<FeedbackUpload>(serde_json::from_value(feedback)?).await?;
    credentials(&mut client).await?;
    home.finish().await
}

#[tokio::test]
async fn questions_of_a_helper_to_the_user() -> Result<()> {
    let home = home().await?;
    let mut client = talkative(&home).await?;
    let thread = client.start_thread_with("words").await?;
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let form = json!({ "mode": "form", "message": "Who?", "requestedSchema": schema });
    let url = json!({ "mode": "url", "message": "In", "url": "https://a.example/", "elicitationId": "e" });
    let accepted = (McpServerElicitationAction::Accept, Some(json!({ "name": "Ada" })));
    for (params, (action, content)) in [(form, accepted), (url, (McpServerElicitationAction::Decline, None))]
    {
        let asks = json!({ "request": { "method": "elicitation/create", "params": params } });
        let turn = client.start_turn(thread, &format!("/tool helper ask {asks}")).await?;
        let (id, _) = client.next_request::<McpServerElicitationRequest>().await?;
        let answer = McpServerElicitationRequestResponse { meta: None, action, content };
        client.answer_request::<McpServerElicitationRequest>(&id, &answer).await?;
        client.next::<ServerRequestResolved>(|resolved| resolved.request_id == id).await?;
        client.turn_end(&turn).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn working_tools_and_a_broken_helper() -> Result<()> {
    let home = home().await?;
    let mut client = talkative(&home).await?;
    let thread = client.start_thread_with("words").await?;
    let failed = McpServerStartupState::Failed;
    let calls = "/tool helper progress {\"steps\":2}\n/tool helper echo {\"text\":\"x\"}";
    ensure!(client.say(thread, calls).await?.contains('x'), "the agent's message is the tool's answer");
    client.next::<ItemMcpToolCallProgress>(|progress| progress.thread_id == thread).await?;
    client.next::<McpServerStartupStatusUpdated>(|startup| startup.status == failed).await?;
    client.turn(thread, "/tool helper nonsense").await?;
    client.turn(thread, "/tool broken echo").await?;
    client.tool(thread, "helper", "echo", json!({ "text": "direct" })).await?;
    let of_thread =
        ListMcpServerStatusParams { thread_id: Some(thread), ..ListMcpServerStatusParams::default() };
    client.call::<McpServerStatusList>(of_thread).await?;
    client.read_thread(thread).await?;
    home.finish().await
}

#[tokio::test]
async fn tools_that_a_model_rejects_are_left_out_with_one_warning() -> Result<()> {
    let of = |key: &str| format!("model_providers.few.{key}");
    let (home, mut client) = Home::setup()
        .helper(Helper::named("helper")?)
        .set(&of("base_url"), "http://127.0.0.1:9/v1")
        .set(&of("wire_api"), "chat")
        .set(&of("request_max_retries"), 0)
        .set(&of("stream_max_retries"), 0)
        .set(&of("max_tools"), 3)
        .set("model_context_window", 128_000)
        .start_with_client()
        .await?;
    let few = Some("few".to_owned());
    let params = ThreadStartParams {
        model_provider: few,
        model: Some("m".to_owned()),
        ..ThreadStartParams::default()
    };
    let thread = client.call::<ThreadStart>(params).await?.thread.id;
    for _ in 0..2 {
        ensure!(client.turn(thread, "words").await?.status == TurnStatus::Failed, "no model is there");
    }
    let warnings = client.received::<Warning>()?;
    let [warning] = &warnings[..] else { bail!("{warnings:?}") };
    for part in ["helper", "3 tools", "mcp_servers.helper.enabled_tools"] {
        ensure!(warning.message.contains(part), "{part} is not in {warning:?}");
    }
    home.finish().await
}

#[tokio::test]
async fn turns_with_questions_failures_and_interrupts() -> Result<()> {
    let home = home().await?;
    let mut client = talkative(&home).await?;
    let [mut other, mut observer] = home.clients().await?;
    let thread = client.start_thread_with("words").await?;
    other.resume(thread).await?;
    observer.observe(thread).await?;
    let asking = client.start_turn(thread, "/ask Which one?").await?;
    let (id, params) = client.next_request::<ItemToolRequestUserInput>().await?;
    // A client that joins now gets the question, too.
    let mut late = home.client().await?;
    late.resume(thread).await?;
    late.next_request::<ItemToolRequestUserInput>().await?;
    let answer = ToolRequestUserInputAnswer { answers: vec!["the red one".to_owned()] };
    let answers = BTreeMap::from([(params.questions[0].id.clone(), answer)]);
    client.answer_request::<ItemToolRequestUserInput>(&id, &ToolRequestUserInputResponse { answers }).await?;
    other.next::<ServerRequestResolved>(|resolved| resolved.request_id == id).await?;
    client.turn_end(&asking).await?;
    let failing = client.start_turn(thread, "/fail no money").await?;
    client.next::<Error>(|error| error.turn_id == failing).await?;
    ensure!(client.turn_end(&failing).await?.status == TurnStatus::Failed, "a failing turn ends as failed");
    let hanging = client.start_turn(thread, "/hang").await?;
    late.resume(thread).await?;
    // The added input starts at once, and hangs again.
    client.call::<TurnStart>(turn_params(thread, "/hang")).await?;
    client.call::<TurnSteer>(steer_params(thread, &hanging.to_string(), "/hang")).await?;
    client.interrupt(thread, &hanging).await?;
    for client in [&mut client, &mut other, &mut observer, &mut late] {
        client.turn_end(&hanging).await?;
        client.quiesce().await?;
    }
    client.read_thread(thread).await?;
    home.finish().await
}

#[tokio::test]
async fn a_client_resumes_by_number() -> Result<()> {
    let home = home().await?;
    let mut window = Window::start(Kind::Numbered, home.address()).await?;
    let mut observer = Window::observe(Kind::Numbered, home.address(), window.thread()).await?;
    let turn = window.start_turn("/stream 40 8 1000").await?;
    window.start_turn("/ask Which one?").await?;
    window.receive_some(10, View::waits_for_the_user).await?;
    for window in [&mut window, &mut observer] {
        window.leave(Leave::Reset).await?;
        window.come_back(home.address()).await?;
    }
    window.until("the question", |view| view.open_question().is_some()).await?;
    // In the middle of a question, and over a connection that is already subscribed.
    window.resume().await?;
    window.until("the question again", |view| view.open_question().is_some()).await?;
    window.answer("the red one").await?;
    for window in [&mut window, &mut observer] {
        // If the first turn is over by now, the question belongs to a turn of its own.
        let over = |view: &View| view.has_ended(&turn) && view.has_caught_up() && view.is_at_rest();
        window.until("the end", over).await?;
    }
    window.view.same_as(&observer.view)?;
    home.finish().await
}

#[tokio::test]
async fn a_history_is_reverted_and_forked() -> Result<()> {
    let home = home().await?;
    let mut client = talkative(&home).await?;
    let thread = client.start_thread().await?.id;
    let first = client.turn(thread, "one").await?.id;
    for text in ["two", "three", "four"] {
        client.turn(thread, text).await?;
    }
    let fork = ThreadForkParams { last_turn_id: Some(first.clone()), ..ThreadForkParams::of(thread) };
    let fork = client.call::<ThreadFork>(fork).await?.thread;
    ensure!(fork.forked_from_id == Some(thread) && fork.turns.len() == 1, "{fork:?}");
    client.next::<ThreadStarted>(|started| started.thread.id == fork.id).await?;
    let ephemeral = ThreadForkParams { ephemeral: true, exclude_turns: true, ..ThreadForkParams::of(thread) };
    client.call::<ThreadFork>(ephemeral).await?;
    client.call::<ThreadRollback>(ThreadRollbackParams { num_turns: 1, thread_id: thread }).await?;
    let second = client.read_thread(thread).await?.turns[1].id.clone();
    client.call::<ThreadRevert>(ThreadRevertParams { before_turn_id: second, thread_id: thread }).await?;
    client.next::<ThreadReverted>(|reverted| reverted.thread_id == thread).await?;
    let git_info = ThreadMetadataGitInfoUpdateParams {
        branch: Some(Some("main".to_owned())),
        origin_url: Some(None),
        ..ThreadMetadataGitInfoUpdateParams::default()
    };
    let params = ThreadMetadataUpdateParams {
        daybreak_enabled: None,
        git_info: Some(git_info),
        project_id: None,
        thread_id: thread,
    };
    client.call::<ThreadMetadataUpdate>(params).await?;
    let injected =
        json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "so" }] });
    client
        .call::<ThreadInjectItems>(ThreadInjectItemsParams { items: vec![injected], thread_id: thread })
        .await?;
    home.finish().await
}

async fn credentials(client: &mut Client) -> Result<()> {
    let token = json!({ "name": "page", "sha256": "0".repeat(64), "origin": "app://chat", "scope": "read", "expiresAt": i64::from(u32::MAX) });
    let added = client.call::<SkeinCredentialAdd>(serde_json::from_value(token.clone())?).await?.credential;
    let again = client.refusal::<SkeinCredentialAdd>(serde_json::from_value(token)?).await?;
    ensure!(again.reason() == "credentialExists", "{again:?}");
    let listed = client.call::<SkeinCredentialList>(SkeinCredentialListParams {}).await?.data;
    ensure!(listed == [added.clone()], "{listed:?}");
    let revoke = SkeinCredentialRevokeParams { id: added.id.clone() };
    ensure!(client.call::<SkeinCredentialRevoke>(revoke.clone()).await?.credential == added, "{added:?}");
    let gone = client.refusal::<SkeinCredentialRevoke>(revoke).await?;
    ensure!(gone.reason() == "credentialNotFound", "{gone:?}");
    Ok(())
}

#[tokio::test]
async fn an_ephemeral_thread() -> Result<()> {
    let home = home().await?;
    let mut client = talkative(&home).await?;
    let params = ThreadStartParams {
        ephemeral: Some(true),
        cwd: Some(home.beside().display().to_string()),
        developer_instructions: Some("be brief".to_owned()),
        ..ThreadStartParams::default()
    };
    let thread = client.call::<ThreadStart>(params).await?.thread.id;
    client.turn(thread, "a title").await?;
    client.unsubscribe(thread).await?;
    client.until_status("no thread", |status| status.threads.loaded == 0).await?;
    home.finish().await
}

#[tokio::test]
async fn refusals_have_the_peers_envelope() -> Result<()> {
    let home = home().await?;
    let mut client = Client::connect(home.address()).await?;
    let refused = client.call_raw(ModelList::INFO.wire, &json!({})).await?;
    ensure!(refused.is_err_and(|error| error.code == INVALID_REQUEST), "before initialize");
    client.initialize().await?;
    let nobody = ThreadId::new(uuid::Uuid::now_v7());
    let requests: [(&str, Value, i64); 5] = [
        (Initialize::INFO.wire, json!({ "clientInfo": { "name": "a", "version": "1" } }), INVALID_REQUEST),
        ("thread/no-such-method", json!({}), METHOD_NOT_FOUND),
        (ThreadStart::INFO.wire, json!({ "cwd": 5 }), INVALID_PARAMS),
        (ThreadRead::INFO.wire, json!({ "threadId": nobody }), INVALID_REQUEST),
        (ThreadResume::INFO.wire, json!({ "threadId": nobody }), INVALID_REQUEST),
    ];
    for (method, params, code) in requests {
        let refused = client.call_raw(method, &params).await?;
        ensure!(refused.as_ref().is_err_and(|error| error.code == code), "{method}: {refused:?}");
    }
    client.send_raw("this is no JSON").await?;
    client.until("a refusal", Received::refuses_unknown).await?;
    home.finish().await
}

#[tokio::test]
async fn the_server_describes_itself_like_the_committed_document() -> Result<()> {
    let (home, mut client) = Home::setup().start_with_client().await?;
    let document = client.call::<RpcDiscover>(RpcDiscoverParams {}).await?.0;
    let document: Value = serde_json::from_str(document.get())?;
    assert_eq!(document, export::openrpc());
    home.finish().await
}
