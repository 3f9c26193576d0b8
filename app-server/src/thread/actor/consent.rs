//! The question to the user about a call of a helper's tool, and the meaning of the answer. A helper's own question must
//! never look like this one.

use serde_json::{Map, Value, json};
use skein_protocol::approval::{
    McpServerElicitationAction, McpServerElicitationRequestBody, McpServerElicitationRequestResponse,
};
use skein_protocol::elicitation::{McpElicitationObjectType, McpElicitationSchema};
use skein_protocol::ids::ItemId;
use skein_protocol::item::McpToolCallItem;
use skein_turn::asking::{Decision, WantedCall};

/// Distinguishes the question from a form of a helper.
const KIND: &str = "codex_approval_kind";
/// In an answer: how long it holds. In a question: the possible values.
const PERSIST: &str = "persist";
/// For as long as the thread is loaded.
const SESSION: &str = "session";
/// For ever, in the settings.
const ALWAYS: &str = "always";

const TOOL_NAME: &str = "tool_name";
const TOOL_TITLE: &str = "tool_title";
const TOOL_DESCRIPTION: &str = "tool_description";
const TOOL_PARAMS: &str = "tool_params";
pub(super) const SKEIN: &str = "skein";

/// Further members that the peer's clients read.
const READ_BY_CLIENTS: [&str; 5] =
    ["tool_params_display", "source", "connector_id", "connector_name", "connector_description"];
/// The prefix of names that belong to the server.
const RESERVED: &str = "codex_";

/// How long an answer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasts {
    /// For this call only.
    Not,
    /// As long as the thread is loaded.
    Session,
    /// For ever: the settings have the helper, and do not decide about the tool.
    Always,
}

/// The question about a call, in the form that the peer's clients know.
pub(super) fn approval_form(
    item: &ItemId,
    wanted: &WantedCall,
    lasts: Lasts,
) -> McpServerElicitationRequestBody {
    let WantedCall { server, tool, arguments, described, earlier: _ } = wanted;
    let described = &described.tool;
    let mut meta = Map::from_iter([
        (KIND.to_owned(), json!("mcp_tool_call")),
        (TOOL_NAME.to_owned(), json!(tool)),
        (TOOL_PARAMS.to_owned(), arguments.clone()),
        (SKEIN.to_owned(), json!({ "itemId": item })),
    ]);
    if let Some(title) = &described.title {
        meta.insert(TOOL_TITLE.to_owned(), json!(title));
    }
    if let Some(description) = &described.description {
        meta.insert(TOOL_DESCRIPTION.to_owned(), json!(description));
    }
    match lasts {
        Lasts::Not => {}
        Lasts::Session => drop(meta.insert(PERSIST.to_owned(), json!(SESSION))),
        Lasts::Always => drop(meta.insert(PERSIST.to_owned(), json!([SESSION, ALWAYS]))),
    }
    form(meta, format!("May the helper {server} run its tool {tool}?"))
}

/// A call whose result is lost: the server ended while its helper may have made it.
pub(super) struct LostCall<'c> {
    pub(super) item: &'c ItemId,
    pub(super) call: &'c McpToolCallItem,
    /// How often a helper may have heard of it.
    pub(super) attempt: u32,
    /// When it began, Unix milliseconds.
    pub(super) begun_at_ms: i64,
}

/// The question whether a call is made again, in the form of the question about a call. An answer holds for this once.
pub(super) fn repetition_form(lost: &LostCall<'_>) -> McpServerElicitationRequestBody {
    let LostCall { item, call, attempt, begun_at_ms } = lost;
    let ours =
        json!({ "itemId": item, "mayHaveRun": true, "attempt": attempt, "begunAt": begun_at_ms / 1000 });
    let meta = Map::from_iter([
        (KIND.to_owned(), json!("mcp_tool_call")),
        (TOOL_NAME.to_owned(), json!(call.tool)),
        (TOOL_PARAMS.to_owned(), call.arguments.clone()),
        (SKEIN.to_owned(), ours),
    ]);
    let (server, tool) = (&call.server, &call.tool);
    form(
        meta,
        format!(
            "The server ended while the helper {server} ran its tool {tool}. The call may have been done; its result is \
             lost. May {server} run {tool} once more?"
        ),
    )
}

/// A form without fields: the answer is the user's action.
pub(super) fn form(meta: Map<String, Value>, message: String) -> McpServerElicitationRequestBody {
    McpServerElicitationRequestBody::Form {
        meta: Some(Value::Object(meta)),
        message,
        requested_schema: McpElicitationSchema {
            schema: None,
            properties: std::collections::BTreeMap::new(),
            required: None,
            kind: McpElicitationObjectType::Object,
        },
    }
}

/// The decision in the user's answer.
pub(super) fn decision(response: &McpServerElicitationRequestResponse) -> Decision {
    let persist = response.meta.as_ref().and_then(|meta| meta.get(PERSIST)).and_then(Value::as_str);
    match (response.action, persist) {
        (McpServerElicitationAction::Accept, Some(SESSION)) => Decision::Session,
        (McpServerElicitationAction::Accept, Some(ALWAYS)) => Decision::Always,
        (McpServerElicitationAction::Accept, Some(_) | None) => Decision::Once,
        (McpServerElicitationAction::Decline, _) => Decision::Declined,
        (McpServerElicitationAction::Cancel, _) => Decision::Cancelled,
    }
}

/// A helper's own question, without members that belong to the question about a call: clients show these members.
pub(super) fn without_ours(mut request: McpServerElicitationRequestBody) -> McpServerElicitationRequestBody {
    let ours = [KIND, PERSIST, TOOL_NAME, TOOL_TITLE, TOOL_DESCRIPTION, TOOL_PARAMS, SKEIN];
    let is_ours =
        |name: &str| name.starts_with(RESERVED) || ours.contains(&name) || READ_BY_CLIENTS.contains(&name);
    let meta = match &mut request {
        McpServerElicitationRequestBody::UserVerification { meta, .. }
        | McpServerElicitationRequestBody::Form { meta, .. }
        | McpServerElicitationRequestBody::NamespacedOpenaiForm { meta, .. }
        | McpServerElicitationRequestBody::OpenaiForm { meta, .. }
        | McpServerElicitationRequestBody::Url { meta, .. } => meta,
    };
    if let Some(Value::Object(members)) = meta {
        members.retain(|name, _| !is_ours(name));
        if members.is_empty() {
            *meta = None;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use skein_helpers::{ApprovalMode, DescribedTool, Program};

    use super::*;

    fn wanted() -> WantedCall {
        let tool = json!({"name": "remove", "title": "Remove", "description": "removes", "inputSchema": {}});
        let tool = serde_json::from_value(tool).unwrap();
        let described =
            DescribedTool { tool, approval: ApprovalMode::default(), program: Program::default() };
        let arguments = json!({"path": "a"});
        WantedCall { server: "files".into(), tool: "remove".into(), arguments, described, earlier: None }
    }

    fn meta(lasts: Lasts) -> Value {
        let item = ItemId::from("i1".to_owned());
        let form = approval_form(&item, &wanted(), lasts);
        let McpServerElicitationRequestBody::Form { meta, message, requested_schema } = form else {
            panic!("a form: {form:?}")
        };
        assert!(message.contains("files") && message.contains("remove") && message.ends_with('?'));
        assert!(requested_schema.properties.is_empty());
        meta.unwrap()
    }

    #[test]
    fn a_question_about_a_call_is_one_that_clients_know() {
        let expected = json!({
            "codex_approval_kind": "mcp_tool_call", "persist": "session",
            "tool_name": "remove", "tool_title": "Remove", "tool_description": "removes",
            "tool_params": {"path": "a"},
            "skein": {"itemId": "i1"},
        });
        assert_eq!(meta(Lasts::Session), expected);
        assert_eq!(meta(Lasts::Not).get(PERSIST), None);
        assert_eq!(meta(Lasts::Always)[PERSIST], json!(["session", "always"]));
    }

    #[test]
    fn a_helpers_question_keeps_its_own_meta_and_nothing_of_a_question_about_a_call() {
        let item = ItemId::from("i1".to_owned());
        let McpServerElicitationRequestBody::Form { meta: Some(Value::Object(mut forged)), .. } =
            approval_form(&item, &wanted(), Lasts::Always)
        else {
            panic!("a form with meta")
        };
        for name in READ_BY_CLIENTS.into_iter().chain(["codex_request_type"]) {
            forged.insert(name.to_owned(), json!("x"));
        }
        let asked = |meta: Map<String, Value>| {
            let schema = json!({"type": "object", "properties": {}});
            let asked = json!({"mode": "form", "_meta": meta, "message": "?", "requestedSchema": schema});
            let asked = without_ours(serde_json::from_value(asked).unwrap());
            serde_json::to_value(asked).unwrap()["_meta"].clone()
        };
        assert_eq!(asked(forged.clone()), Value::Null);
        forged.insert("example.org/own".to_owned(), json!(1));
        assert_eq!(asked(forged), json!({"example.org/own": 1}));
    }

    #[test]
    fn an_answer_decides_once_or_for_long_or_against() {
        for (answer, expected) in [
            (json!({"action": "accept"}), Decision::Once),
            (json!({"action": "accept", "_meta": null, "content": {}}), Decision::Once),
            (json!({"action": "accept", "_meta": {"persist": "session"}}), Decision::Session),
            (json!({"action": "accept", "_meta": {"persist": "always"}}), Decision::Always),
            (json!({"action": "accept", "_meta": {"persist": 1}}), Decision::Once),
            (json!({"action": "decline", "_meta": {"persist": "session"}}), Decision::Declined),
            (json!({"action": "cancel"}), Decision::Cancelled),
        ] {
            let response = serde_json::from_value(answer.clone()).unwrap();
            assert_eq!(decision(&response), expected, "{answer}");
        }
    }
}
