//! Members of requests that need more access than their method: programs, weaker settings, and paths.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use skein_helpers::HelperSpec;
use skein_protocol::access::Access;
use skein_protocol::error::WireError;
use skein_protocol::export::openrpc;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    ConfigRead, FeedbackUpload, HooksList, PermissionProfileList, SkeinThreadUnload, SkillsList, ThreadFork,
    ThreadList, ThreadQueueAdd, ThreadQueueUpdate, ThreadResume, ThreadSettingsUpdate, ThreadStart,
    TurnStart, TurnSteer,
};
use skein_protocol::notifications::{ConfigWarning, TurnCompleted};
use skein_protocol::settings::{AskForApproval, SandboxMode};
use skein_protocol::table::Method;

use super::access::Connection;
use super::*;

/// The member that a request was refused for; `None` if it was not refused as forbidden.
fn forbidden(error: Option<&WireError>) -> Option<String> {
    let data = error?.data.as_ref()?;
    if data.reason != "forbidden" {
        return None;
    }
    assert_eq!(error?.code, -32_600);
    assert_eq!(data.scope, Some(Access::Admin));
    Some(data.field.clone().expect("a field"))
}

/// The member that a request of this method is refused for.
async fn refused<M: Method>(connection: &mut Connection, params: Value) -> Option<String> {
    let answer = connection.request::<M>(params).await;
    forbidden(answer.err().as_ref())
}

fn with(thread: ThreadId, members: Value) -> Value {
    let mut params = members;
    params["threadId"] = json!(thread);
    params
}

/// The members of methods below admin whose name sounds as if they needed more access.
fn suspicious_members() -> Vec<String> {
    let words =
        ["path", "cwd", "root", "file", "config", "sandbox", "approval", "force", "environment", "input"];
    let document = openrpc();
    let rows = document["methods"].as_array().unwrap().iter();
    let mut found = Vec::new();
    for row in rows.filter(|row| row["x-kind"] == "request" && row["x-access"] != "admin") {
        for member in row["params"].as_array().unwrap() {
            let name = member["name"].as_str().unwrap();
            if words.iter().any(|word| name.to_lowercase().contains(word)) {
                found.push(format!("{} {name}", row["name"].as_str().unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Those that `router/limits.rs` judges, or that need no judgement.
fn known_members() -> Vec<String> {
    let of =
        |wire: &str, names: &[&str]| names.iter().map(|name| format!("{wire} {name}")).collect::<Vec<_>>();
    let common = ["approvalPolicy", "config", "cwd", "runtimeWorkspaceRoots", "sandbox"];
    let turn = ["approvalPolicy", "cwd", "environments", "sandboxPolicy"];
    let mut known = [
        of(FeedbackUpload::INFO.wire, &["extraLogFiles"]),
        of(SkeinThreadUnload::INFO.wire, &["force"]),
        of(ThreadFork::INFO.wire, &common),
        of(ThreadFork::INFO.wire, &["path"]),
        of(ThreadQueueAdd::INFO.wire, &["input"]),
        of(ThreadQueueUpdate::INFO.wire, &["input"]),
        of(ThreadResume::INFO.wire, &common),
        of(ThreadResume::INFO.wire, &["path"]),
        of(ThreadSettingsUpdate::INFO.wire, &turn),
        of(ThreadStart::INFO.wire, &common),
        of(ThreadStart::INFO.wire, &["environments", "selectedCapabilityRoots"]),
        of(TurnStart::INFO.wire, &turn),
        of(TurnStart::INFO.wire, &["input", "runtimeWorkspaceRoots"]),
        of(TurnSteer::INFO.wire, &["input"]),
        // Every question goes to the user, whichever reviewer is named.
        [ThreadFork::INFO.wire, ThreadResume::INFO.wire, ThreadSettingsUpdate::INFO.wire]
            .map(|wire| format!("{wire} approvalsReviewer"))
            .to_vec(),
        [ThreadStart::INFO.wire, TurnStart::INFO.wire]
            .map(|wire| format!("{wire} approvalsReviewer"))
            .to_vec(),
        // Filters and places of settings, which open nothing.
        of(ConfigRead::INFO.wire, &["cwd"]),
        of(HooksList::INFO.wire, &["cwds"]),
        of(PermissionProfileList::INFO.wire, &["cwd"]),
        of(SkillsList::INFO.wire, &["cwds"]),
        of(ThreadList::INFO.wire, &["cwd"]),
        // Neither a folder nor force over a thread.
        of(TurnStart::INFO.wire, &["rootTurnId"]),
        of(SkillsList::INFO.wire, &["forceReload"]),
    ]
    .concat();
    known.sort();
    known
}

#[test]
fn every_member_that_may_need_more_access_is_known() {
    let why = "router/limits.rs judges the new ones, or this list says why not";
    assert_eq!(suspicious_members(), known_members(), "{why}");
}

#[tokio::test(start_paused = true)]
async fn chat_names_no_programs() {
    let bench = Bench::in_memory();
    let (_client, thread) = bench.materialised().await;
    let mut chat = Connection::open(&bench, Access::Chat);
    let config = json!({ "mcp_servers": { "x": { "command": "/nowhere/program" } } });
    let field = Some("config.mcp_servers.x.command".to_owned());
    assert_eq!(refused::<ThreadStart>(&mut chat, json!({ "config": config })).await, field);
    assert_eq!(refused::<ThreadResume>(&mut chat, with(thread, json!({ "config": config }))).await, field);
    assert_eq!(refused::<ThreadFork>(&mut chat, with(thread, json!({ "config": config }))).await, field);
    let harmless = json!({ "config": { "model_reasoning_effort": "low" } });
    assert_eq!(refused::<ThreadStart>(&mut chat, harmless).await, None);
    let mut admin = Connection::open(&bench, Access::Admin);
    assert_eq!(refused::<ThreadStart>(&mut admin, json!({ "config": config })).await, None);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn chat_weakens_no_consent_by_any_request() {
    let bench = Bench::with(|config| config.sandbox_mode = SandboxMode::WorkspaceWrite);
    let (_client, thread) = bench.materialised().await;
    let mut chat = Connection::open(&bench, Access::Chat);
    for (members, field) in [
        (json!({ "approvalPolicy": "never" }), Some("approvalPolicy")),
        (json!({ "approvalPolicy": "untrusted" }), None),
        (json!({ "approvalPolicy": "on-request" }), None),
        (json!({ "sandbox": "danger-full-access" }), Some("sandbox")),
        (json!({ "sandbox": "workspace-write" }), None),
        (json!({ "sandbox": "read-only" }), None),
        (json!({ "config": { "approval_policy": "never" } }), Some("config.approval_policy")),
        (json!({ "config": { "sandbox_mode": "danger-full-access" } }), Some("config.sandbox_mode")),
        (json!({ "config": { "sandbox_mode": "read-only" } }), None),
    ] {
        let field = field.map(str::to_owned);
        assert_eq!(refused::<ThreadStart>(&mut chat, members.clone()).await, field, "{members}");
        let params = with(thread, members.clone());
        assert_eq!(refused::<ThreadResume>(&mut chat, params.clone()).await, field, "{members}");
        assert_eq!(refused::<ThreadFork>(&mut chat, params).await, field, "{members}");
    }
    for (members, field) in [
        (json!({ "approvalPolicy": "never" }), Some("approvalPolicy")),
        (json!({ "approvalPolicy": "untrusted" }), None),
        (json!({ "sandboxPolicy": { "type": "dangerFullAccess" } }), Some("sandboxPolicy")),
        (json!({ "sandboxPolicy": { "type": "externalSandbox" } }), Some("sandboxPolicy")),
        (json!({ "sandboxPolicy": { "type": "readOnly", "networkAccess": true } }), Some("sandboxPolicy")),
        (json!({ "sandboxPolicy": { "type": "readOnly" } }), None),
    ] {
        let field = field.map(str::to_owned);
        let params = with(thread, members.clone());
        assert_eq!(refused::<ThreadSettingsUpdate>(&mut chat, params.clone()).await, field, "{members}");
        let mut params = params;
        params["input"] = json!([{ "type": "text", "text": "hello" }]);
        assert_eq!(refused::<TurnStart>(&mut chat, params).await, field, "{members}");
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn chat_takes_no_sandbox_away_from_a_thread_that_never_asks() {
    // The default settings: the user is asked, and nothing is confined.
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let mut chat = Connection::open(&bench, Access::Chat);
    let full = json!({ "sandboxPolicy": { "type": "dangerFullAccess" } });
    assert_eq!(refused::<ThreadSettingsUpdate>(&mut chat, with(thread, full.clone())).await, None);
    let strict = json!({ "approvalPolicy": "never", "sandbox": "read-only" });
    let strict = client.start_with(strict).await;
    let params = with(strict, full.clone());
    assert_eq!(
        refused::<ThreadSettingsUpdate>(&mut chat, params.clone()).await,
        Some("sandboxPolicy".to_owned())
    );
    let mut params = params;
    params["approvalPolicy"] = json!("on-request");
    assert_eq!(refused::<ThreadSettingsUpdate>(&mut chat, params).await, None);
    // Nobody knows how a thread asks that is not loaded.
    let unloaded = with(ThreadId::new(uuid::Uuid::from_u128(7)), full);
    assert_eq!(refused::<ThreadSettingsUpdate>(&mut chat, unloaded).await, Some("sandboxPolicy".to_owned()));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_allow_everything_are_no_limit() {
    let bench = Bench::with(|config| config.approval_policy = AskForApproval::Never);
    let (_client, thread) = bench.materialised().await;
    let mut chat = Connection::open(&bench, Access::Chat);
    let members = json!({ "approvalPolicy": "never", "sandboxPolicy": { "type": "dangerFullAccess" } });
    assert_eq!(refused::<ThreadSettingsUpdate>(&mut chat, with(thread, members)).await, None);
    bench.finish().await;
}

/// Sends this path in each member that takes one.
async fn paths_are_judged(chat: &mut Connection, thread: ThreadId, path: &str, inside: bool) {
    let expected = |field: &str| (!inside).then(|| field.to_owned());
    assert_eq!(refused::<ThreadStart>(chat, json!({ "cwd": path })).await, expected("cwd"), "{path}");
    for field in ["cwd", "path"] {
        let params = with(thread, json!({ field: path }));
        assert_eq!(refused::<ThreadFork>(chat, params.clone()).await, expected(field), "{path}");
        assert_eq!(refused::<ThreadResume>(chat, params).await, expected(field), "{path}");
    }
    let input = json!([
        { "type": "text", "text": "see" },
        { "type": "mention", "name": "it", "path": path },
    ]);
    let params = with(thread, json!({ "input": input }));
    assert_eq!(refused::<TurnStart>(chat, params).await, expected("input[1].path"), "{path}");
    for kind in ["localImage", "localAudio", "skill"] {
        let input = json!([{ "type": kind, "name": "it", "path": path }]);
        let params = with(thread, json!({ "input": input, "expectedTurnId": "x" }));
        assert_eq!(refused::<TurnSteer>(chat, params).await, expected("input[0].path"), "{path}");
    }
    let params = with(thread, json!({ "cwd": path }));
    assert_eq!(refused::<ThreadSettingsUpdate>(chat, params).await, expected("cwd"), "{path}");
    let roots = json!({ "type": "workspaceWrite", "writableRoots": [path] });
    let params = with(thread, json!({ "sandboxPolicy": roots }));
    let field = expected("sandboxPolicy.writableRoots[0]");
    assert_eq!(refused::<ThreadSettingsUpdate>(chat, params).await, field, "{path}");
}

#[tokio::test(start_paused = true)]
async fn every_path_of_chat_lies_in_the_roots() {
    let disk = tempfile::tempdir().unwrap();
    let at = |name: &str| disk.path().join(name).display().to_string();
    for folder in ["root", "other"] {
        fs::create_dir(at(folder)).unwrap();
    }
    symlink(at("other"), at("root/link")).unwrap();
    let bench = Bench::with(|config| config.browser.roots = vec![at("root")]);
    let (_client, thread) = bench.materialised().await;
    let mut chat = Connection::open(&bench, Access::Chat);
    for (path, inside) in [
        ("root", true),
        ("root/new", true),
        ("other", false),
        ("root/link", false),
        ("root/link/new", false),
        ("root/../other", false),
    ] {
        paths_are_judged(&mut chat, thread, &at(path), inside).await;
    }
    let home = json!({ "input": [{ "type": "mention", "name": "key", "path": "~/.ssh/id" }] });
    assert!(refused::<TurnStart>(&mut chat, with(thread, home)).await.is_some());
    let mut admin = Connection::open(&bench, Access::Admin);
    assert_eq!(refused::<ThreadStart>(&mut admin, json!({ "cwd": at("other") })).await, None);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn chat_may_repeat_the_folder_that_a_thread_has() {
    let disk = tempfile::tempdir().unwrap();
    let at = |name: &str| disk.path().join(name).display().to_string();
    fs::create_dir(at("root")).unwrap();
    let bench = Bench::with(|config| config.browser.roots = vec![at("root")]);
    let (mut client, usual) = bench.materialised().await;
    let other = client.start_with(json!({ "cwd": at("other") })).await;
    let mut chat = Connection::open(&bench, Access::Chat);
    let here = std::env::current_dir().unwrap().display().to_string();
    let input = json!([{ "type": "text", "text": "hello" }]);
    for (thread, own, foreign) in [(usual, here.clone(), at("other")), (other, at("other"), here.clone())] {
        for (cwd, field) in [(own, None), (foreign, Some("cwd".to_owned()))] {
            let params = with(thread, json!({ "cwd": cwd }));
            assert_eq!(refused::<ThreadResume>(&mut chat, params.clone()).await, field, "{cwd}");
            let turn = with(thread, json!({ "cwd": cwd, "input": input }));
            assert_eq!(refused::<TurnStart>(&mut chat, turn).await, field, "{cwd}");
            assert_eq!(refused::<ThreadSettingsUpdate>(&mut chat, params).await, field, "{cwd}");
            let workspace = with(thread, json!({ "runtimeWorkspaceRoots": [at("root"), cwd] }));
            let field = field.map(|_| "runtimeWorkspaceRoots[1]".to_owned());
            assert_eq!(refused::<ThreadResume>(&mut chat, workspace).await, field, "{cwd}");
            let image = json!([{ "type": "localImage", "path": cwd }]);
            let turn = with(thread, json!({ "cwd": cwd, "input": image }));
            assert!(refused::<TurnStart>(&mut chat, turn).await.is_some(), "{cwd}");
        }
    }
    assert_eq!(refused::<ThreadStart>(&mut chat, json!({ "cwd": here })).await, None);
    assert_eq!(
        refused::<ThreadStart>(&mut chat, json!({ "cwd": at("other") })).await,
        Some("cwd".to_owned())
    );
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn chat_unloads_a_thread_but_not_by_force() {
    let bench = Bench::in_memory();
    let (_client, thread) = bench.materialised().await;
    let mut chat = Connection::open(&bench, Access::Chat);
    let force = with(thread, json!({ "force": true }));
    assert_eq!(refused::<SkeinThreadUnload>(&mut chat, force.clone()).await, Some("force".to_owned()));
    let plain = chat.request::<SkeinThreadUnload>(with(thread, json!({}))).await.unwrap_err();
    assert_eq!(plain.reason(), "subscribed");
    assert_eq!(refused::<SkeinThreadUnload>(&mut Connection::open(&bench, Access::Admin), force).await, None);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_always_of_chat_holds_for_the_session() {
    let tool = json!({ "name": "one", "inputSchema": {}, "annotations": { "destructiveHint": true } });
    // Without a settings file no approval can be kept, and a warning says so.
    for (access, warnings) in [(Access::Chat, 0), (Access::Admin, 1)] {
        let bench = Bench::with(|config| {
            config.helpers.insert("helper".to_owned(), HelperSpec::new("helper", "program"));
        });
        let listed = [("one".to_owned(), serde_json::from_value(tool.clone()).unwrap())];
        let (bench, fakes) = bench.with_fakes(listed.into_iter().collect());
        let (client, thread) = bench.materialised().await;
        let mut connection = Connection::open(&bench, access);
        connection.client.resume(thread).await;
        client.disconnect();
        connection.client.input(thread, "/tool helper one {}");
        let question = connection.client.asked().await;
        connection.answers(question, json!({ "action": "accept", "_meta": { "persist": "always" } }));
        connection.client.notified::<TurnCompleted>().await;
        // The second call needs no question.
        connection.client.input(thread, "/tool helper one {}");
        connection.client.notified::<TurnCompleted>().await;
        bench.drained().await;
        let warned = connection.client.count(Message::is::<ConfigWarning>);
        assert_eq!(warned, warnings, "{access}");
        drop(connection);
        bench.finish().await;
        fakes.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn below_admin_a_budget_is_at_most_that_of_the_settings() {
    let bench = Bench::with(|config| config.budget.turn_tokens = Some(100));
    let thread = bench.stored().await;
    for (budget, access, field) in [
        (json!({ "turn_tokens": 50, "thread_tokens": 9, "ask": false }), Access::Chat, None),
        (json!({ "turn_tokens": 101 }), Access::Chat, Some("config.budget")),
        (json!({ "turn_tokens": 0 }), Access::Chat, Some("config.budget")),
        (json!({ "turn_rounds": 1001 }), Access::Chat, Some("config.budget")),
        (json!({ "turn_tokens": 0, "turn_rounds": 0 }), Access::Admin, None),
    ] {
        let mut connection = Connection::open(&bench, access);
        let params = json!({ "config": { "budget": budget } });
        let field = field.map(str::to_owned);
        assert_eq!(refused::<ThreadStart>(&mut connection, params.clone()).await, field, "{budget}");
        assert_eq!(refused::<ThreadResume>(&mut connection, with(thread, params.clone())).await, field);
        assert_eq!(refused::<ThreadFork>(&mut connection, with(thread, params)).await, field, "{budget}");
    }
    bench.finish().await;
}
