//! Which approval policy applies: that of the thread, of a turn, or of the settings.

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

use super::{DESTROY, decide, meta};

async fn thread_with(client: &mut Client, policy: AskForApproval, sandbox: SandboxMode) -> Result<ThreadId> {
    let params = ThreadStartParams {
        approval_policy: Some(policy),
        sandbox: Some(sandbox),
        ..ThreadStartParams::default()
    };
    Ok(client.call::<ThreadStart>(params).await?.thread.id)
}

#[tokio::test]
async fn the_default_policy_asks_only_about_tools_with_warnings() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let started = client.call::<ThreadStart>(ThreadStartParams::default()).await?;
    assert_eq!(started.approval_policy, AskForApproval::OnRequest);
    let thread = started.thread.id;
    assert_eq!(client.say(thread, "/tool helper echo {\"text\":\"silent\"}").await?, "silent");
    assert_eq!(client.say(thread, "/tool helper look").await?, "seen 0");
    assert!(client.questions() == 0);
    for tool in ["destroy", "change"] {
        let turn = client.start_turn(thread, &format!("/tool helper {tool}")).await?;
        let (id, params) = client.helper_question().await?;
        assert_eq!(meta(&params)?["tool_name"], tool);
        decide(&mut client, &id, Action::Decline).await?;
        client.turn_end(&turn).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn the_policy_never_makes_or_refuses_calls_without_questions() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let free = thread_with(&mut client, AskForApproval::Never, SandboxMode::DangerFullAccess).await?;
    assert_eq!(client.say(free, DESTROY).await?, "done 1");
    let confined = thread_with(&mut client, AskForApproval::Never, SandboxMode::ReadOnly).await?;
    let reply = client.say(confined, DESTROY).await?;
    assert!(reply.contains("the approval policy is never to ask"), "{reply}");
    assert_eq!(client.say(confined, "/tool helper look").await?, "seen 0");
    // A question from a helper itself gets no answer of a user, either.
    let schema = json!({ "type": "object", "properties": {} });
    let params = json!({ "mode": "form", "message": "Sure?", "requestedSchema": schema });
    let asks = json!({ "request": { "method": "elicitation/create", "params": params } });
    let reply = client.say(confined, &format!("/tool helper ask {asks}")).await?;
    assert!(reply.contains("decline"), "{reply}");
    let granular = AskForApproval::Granular(GranularApproval {
        mcp_elicitations: false,
        request_permissions: false,
        rules: true,
        sandbox_approval: true,
        skill_approval: false,
    });
    let quiet = thread_with(&mut client, granular, SandboxMode::DangerFullAccess).await?;
    let reply = client.say(quiet, DESTROY).await?;
    assert!(reply.contains("no questions about tools"), "{reply}");
    assert!(client.questions() == 0);
    home.finish().await
}

#[tokio::test]
async fn a_turn_can_set_the_policy_of_its_thread() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let untrusted = TurnStartParams {
        approval_policy: Some(AskForApproval::Untrusted),
        ..turn_params(thread, "/tool helper echo {\"text\":\"so\"}")
    };
    let turn = client.call::<TurnStart>(untrusted).await?.turn.id;
    let (id, _) = client.helper_question().await?;
    decide(&mut client, &id, Action::Accept).await?;
    client.turn_end(&turn).await?;
    let turn = client.start_turn(thread, "/tool helper echo {\"text\":\"again\"}").await?;
    let (id, _) = client.helper_question().await?;
    decide(&mut client, &id, Action::Accept).await?;
    client.turn_end(&turn).await?;
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("again"));
    assert_eq!(client.say(thread, "/tool helper look").await?, "seen 0", "the tool is declared read-only");
    home.finish().await
}

#[tokio::test]
async fn settings_of_single_tools_override_every_policy() -> Result<()> {
    let helper = Helper::named("helper")?
        .set("default_tools_approval_mode", "prompt")
        .set("tools.destroy.approval_mode", "approve")
        .set("tools.look.approval_mode", "deny");
    let (home, mut client) = Home::setup().helper(helper).start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    assert_eq!(client.say(thread, DESTROY).await?, "done 1");
    let reply = client.say(thread, "/tool helper look").await?;
    assert!(reply.contains("settings deny"), "{reply}");
    for _ in 0..2 {
        let turn = client.start_turn(thread, "/tool helper echo {\"text\":\"x\"}").await?;
        let (id, params) = client.helper_question().await?;
        assert_eq!(meta(&params)?.get("persist"), None, "no lasting permission is offered");
        let lasting = super::decision(Action::Accept, Some(json!({ "persist": "session" })));
        client.answer_request::<McpServerElicitationRequest>(&id, &lasting).await?;
        client.turn_end(&turn).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn the_user_sets_the_default_policy_and_reviews_every_question() -> Result<()> {
    let (home, mut client) = Home::setup()
        .helper(Helper::named("helper")?)
        .set("approval_policy", "never")
        .start_with_client()
        .await?;
    let params = ThreadStartParams {
        approvals_reviewer: Some(ApprovalsReviewer::AutoReview),
        ..ThreadStartParams::default()
    };
    let started = client.call::<ThreadStart>(params).await?;
    assert_eq!(started.approval_policy, AskForApproval::Never);
    assert_eq!(started.approvals_reviewer, ApprovalsReviewer::User, "the user is the only reviewer");
    assert_eq!(client.say(started.thread.id, DESTROY).await?, "done 1");
    home.finish().await?;
    let confined = Home::setup().helper(Helper::named("helper")?).set("approval_policy", "never");
    let (home, mut client) = confined.set("sandbox_mode", "read-only").start_with_client().await?;
    let started = client.call::<ThreadStart>(ThreadStartParams::default()).await?;
    assert_eq!(started.sandbox, SandboxPolicy::ReadOnly { network_access: false });
    let reply = client.say(started.thread.id, DESTROY).await?;
    assert!(reply.contains("the approval policy is never to ask"), "{reply}");
    home.finish().await
}
