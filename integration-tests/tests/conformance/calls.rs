//! Calls of models that need the user's decision, and calls that the client carries out.

use anyhow::Result;
use serde_json::json;
use skein_protocol::approval::{
    DynamicToolCallResponse, McpServerElicitationAction, McpServerElicitationRequestResponse,
};
use skein_protocol::item::DynamicToolCallOutputContentItem;
use skein_protocol::methods::ThreadStart;
use skein_protocol::notifications::ServerRequestResolved;
use skein_protocol::server_requests::{ItemToolCall, McpServerElicitationRequest};
use skein_protocol::thread::ThreadStartParams;

use super::{home, talkative};

#[tokio::test]
async fn calls_with_a_decision_and_calls_of_the_clients_own_tools() -> Result<()> {
    let home = home().await?;
    let mut client = talkative(&home).await?;
    let function = |name: &str| json!({ "type": "function", "name": name, "description": "looks", "inputSchema": { "type": "object" } });
    let namespace =
        json!({ "type": "namespace", "name": "app", "description": "", "tools": [function("look")] });
    let params = ThreadStartParams {
        dynamic_tools: serde_json::from_value(json!([function("lookup"), namespace]))?,
        ..ThreadStartParams::default()
    };
    let thread = client.call::<ThreadStart>(params).await?.thread.id;
    for action in [McpServerElicitationAction::Accept, McpServerElicitationAction::Decline] {
        let turn = client.start_turn(thread, "/tool helper destroy").await?;
        let (id, _) = client.next_request::<McpServerElicitationRequest>().await?;
        let meta = Some(json!({ "persist": "once" }));
        let answer = McpServerElicitationRequestResponse { meta, action, content: Some(json!({})) };
        client.answer_request::<McpServerElicitationRequest>(&id, &answer).await?;
        client.next::<ServerRequestResolved>(|resolved| resolved.request_id == id).await?;
        client.turn_end(&turn).await?;
    }
    for name in ["lookup", "app__look"] {
        let turn = client.start_turn(thread, &format!("/call {name} {{\"q\":\"x\"}}")).await?;
        let (id, _) = client.next_request::<ItemToolCall>().await?;
        let content_items = vec![
            DynamicToolCallOutputContentItem::InputText { text: "42".to_owned() },
            DynamicToolCallOutputContentItem::InputImage {
                image_url: "data:image/png;base64,iVBORw0KGgo=".to_owned(),
            },
        ];
        let answer = DynamicToolCallResponse { content_items, success: true };
        client.answer_request::<ItemToolCall>(&id, &answer).await?;
        client.turn_end(&turn).await?;
    }
    client.read_thread(thread).await?;
    home.finish().await
}
