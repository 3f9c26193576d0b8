//! Who is asked by which policy: that of the thread, of a turn, of the settings.

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::turn_params;
use skein_protocol::approval::McpServerElicitationAction as Action;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadStart, TurnStart};
use skein_protocol::server_requests::McpServerElicitationRequest;
use skein_protocol::settings::{
    ApprovalsReviewer, AskForApproval, GranularApproval, SandboxMode, SandboxPolicy,
};
use skein_protocol::thread::ThreadStartParams;
use skein_protocol::turn::TurnStartParams;

use super::{DESTROY, asked, decide, meta, was_asked};

async fn thread_with(client: &mut Client, policy: AskForApproval, sandbox: SandboxMode) -> Result<ThreadId> {
    let params = ThreadStartParams {
        approval_policy: Some(policy),
        sandbox: Some(sandbox),
        ..ThreadStartParams::default()
    };
    Ok(client.call::<ThreadStart>(params).await?.thread.id)
}

#[tokio::test]
async fn a_thread_that_says_nothing_asks_about_what_warns_and_nothing_else() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let started = client.call::<ThreadStart>(ThreadStartParams::default()).await?;
    assert_eq!(started.approval_policy, AskForApproval::OnRequest);
    let thread = started.thread.id;
    assert_eq!(client.say(thread, "/tool helper echo {\"text\":\"silent\"}").await?, "silent");
    assert_eq!(client.say(thread, "/tool helper look").await?, "seen 0");
    assert!(!was_asked(&client));
    for tool in ["destroy", "change"] {
        let turn = client.start_turn(thread, &format!("/tool helper {tool}")).await?;
        let (id, params) = asked(&mut client).await?;
        assert_eq!(meta(&params)?["tool_name"], tool);
        decide(&mut client, &id, Action::Decline).await?;
        client.turn_end(&turn).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn who_never_wants_to_be_asked_has_it_done_or_refused() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let free = thread_with(&mut client, AskForApproval::Never, SandboxMode::DangerFullAccess).await?;
    assert_eq!(client.say(free, DESTROY).await?, "done 1");
    let confined = thread_with(&mut client, AskForApproval::Never, SandboxMode::ReadOnly).await?;
    let said = client.say(confined, DESTROY).await?;
    assert!(said.contains("the approval policy is never to ask"), "{said}");
    assert_eq!(client.say(confined, "/tool helper look").await?, "seen 0");
    // A helper that asks by itself gets no answer of a user, either.
    let schema = json!({ "type": "object", "properties": {} });
    let params = json!({ "mode": "form", "message": "Sure?", "requestedSchema": schema });
    let asks = json!({ "request": { "method": "elicitation/create", "params": params } });
    let said = client.say(confined, &format!("/tool helper ask {asks}")).await?;
    assert!(said.contains("decline"), "{said}");
    let granular = AskForApproval::Granular(GranularApproval {
        mcp_elicitations: false,
        request_permissions: false,
        rules: true,
        sandbox_approval: true,
        skill_approval: false,
    });
    let quiet = thread_with(&mut client, granular, SandboxMode::DangerFullAccess).await?;
    let said = client.say(quiet, DESTROY).await?;
    assert!(said.contains("no questions about tools"), "{said}");
    assert!(!was_asked(&client));
    home.finish().await
}

#[tokio::test]
async fn a_turn_can_bring_a_policy_that_holds_from_then_on() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_said_thread("words").await?;
    let untrusted = TurnStartParams {
        approval_policy: Some(AskForApproval::Untrusted),
        ..turn_params(thread, "/tool helper echo {\"text\":\"so\"}")
    };
    let turn = client.call::<TurnStart>(untrusted).await?.turn.id;
    let (id, _) = asked(&mut client).await?;
    decide(&mut client, &id, Action::Accept).await?;
    client.turn_end(&turn).await?;
    let turn = client.start_turn(thread, "/tool helper echo {\"text\":\"again\"}").await?;
    let (id, _) = asked(&mut client).await?;
    decide(&mut client, &id, Action::Accept).await?;
    client.turn_end(&turn).await?;
    assert_eq!(client.said(&turn)?.as_deref(), Some("again"));
    assert_eq!(client.say(thread, "/tool helper look").await?, "seen 0", "it says that it only reads");
    home.finish().await
}

#[tokio::test]
async fn settings_say_of_single_tools_what_no_policy_changes() -> Result<()> {
    let helper = Helper::named("helper")?
        .set("default_tools_approval_mode", "prompt")
        .set("tools.destroy.approval_mode", "approve")
        .set("tools.look.approval_mode", "deny");
    let home = Home::setup().helper(helper).start().await?;
    let mut client = home.client().await?;
    let thread = client.start_said_thread("words").await?;
    assert_eq!(client.say(thread, DESTROY).await?, "done 1");
    let said = client.say(thread, "/tool helper look").await?;
    assert!(said.contains("settings deny"), "{said}");
    for _ in 0..2 {
        let turn = client.start_turn(thread, "/tool helper echo {\"text\":\"x\"}").await?;
        let (id, params) = asked(&mut client).await?;
        assert_eq!(meta(&params)?.get("persist"), None, "each time");
        let lasting = super::decision(Action::Accept, Some(json!({ "persist": "session" })));
        client.answer_request::<McpServerElicitationRequest>(&id, &lasting).await?;
        client.turn_end(&turn).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn the_default_is_the_users_to_set_and_the_user_is_who_decides() -> Result<()> {
    let home = Home::setup().helper(Helper::named("helper")?).set("approval_policy", "never").start().await?;
    let mut client = home.client().await?;
    let params = ThreadStartParams {
        approvals_reviewer: Some(ApprovalsReviewer::AutoReview),
        ..ThreadStartParams::default()
    };
    let started = client.call::<ThreadStart>(params).await?;
    assert_eq!(started.approval_policy, AskForApproval::Never);
    assert_eq!(started.approvals_reviewer, ApprovalsReviewer::User, "nobody else reviews here");
    assert_eq!(client.say(started.thread.id, DESTROY).await?, "done 1");
    home.finish().await?;
    let confined = Home::setup().helper(Helper::named("helper")?).set("approval_policy", "never");
    let home = confined.set("sandbox_mode", "read-only").start().await?;
    let mut client = home.client().await?;
    let started = client.call::<ThreadStart>(ThreadStartParams::default()).await?;
    assert_eq!(started.sandbox, SandboxPolicy::ReadOnly { network_access: false });
    let said = client.say(started.thread.id, DESTROY).await?;
    assert!(said.contains("the approval policy is never to ask"), "{said}");
    home.finish().await
}
