//! What a turn asks of those outside: whether a tool of a helper may be called, what the user says to a model's questions,
//! what a tool of the client answers. `questions.rs` puts it and takes the answers.

use serde_json::{Map, Value, json};
use skein_protocol::approval::{
    DynamicToolCallParams, DynamicToolCallResponse, McpServerElicitationAction,
    McpServerElicitationRequestBody, McpServerElicitationRequestParams, McpServerElicitationRequestResponse,
    ToolRequestUserInputParams, ToolRequestUserInputQuestion, ToolRequestUserInputResponse,
};
use skein_protocol::elicitation::{McpElicitationObjectType, McpElicitationSchema};
use skein_protocol::envelope;
use skein_protocol::ids::{ItemId, RequestId, TurnId};
use skein_protocol::server_requests::{ItemToolCall, ItemToolRequestUserInput, McpServerElicitationRequest};
use skein_protocol::settings::ModeKind;
use tokio::sync::oneshot;

use super::Owner;
use super::questions::Wants;
use crate::connection::outbox::Frame;
use crate::thread::machine::Persistence;
use crate::thread::pictures;
use crate::turn::approval::{self, Hints, Judged, Rules, Verdict};
use crate::turn::asking::{About, Asking, ClientCall, Permission, WantedCall};
use crate::turn::own_tools::{Asks, OwnTools};

/// A tool of a helper: whose, and which.
pub(super) type ToolOf = (String, String);

/// What says in an answer that it holds for later calls, too, and in a question that this can be said.
const PERSIST: &str = "persist";
/// For as long as the thread is loaded.
const SESSION: &str = "session";
/// For ever, as some clients offer it by themselves: taken for the above.
const ALWAYS: &str = "always";

/// A decision about a call that waits for the user.
pub(super) struct Deciding {
    pub(super) tool: ToolOf,
    /// Whether the answer may hold for later calls, too.
    pub(super) lasting: bool,
    answer: oneshot::Sender<Permission>,
}

/// What the user has decided about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Once,
    Lasting,
    Declined,
    Cancelled,
}

impl Owner {
    /// A turn asks. What is put stands in line behind the item that it is about.
    pub(super) fn ask_outside(&mut self, asking: Asking) {
        let Some(turn) = self.turn.as_ref().map(|turn| turn.id.clone()) else { return };
        let Asking { item, about } = asking;
        match about {
            About::Permission(wanted, answer) => self.decide(turn, &item, &wanted, answer),
            About::Questions(questions, answer) => self.put_questions(turn, item, questions, answer),
            About::ClientCall(call, answer) => self.have_called(turn, item, call, answer),
        }
    }

    /// Decides about a call, or has the user do it.
    fn decide(
        &mut self,
        turn: TurnId,
        item: &ItemId,
        wanted: &WantedCall,
        answer: oneshot::Sender<Permission>,
    ) {
        let settings = self.settings();
        let (policy, sandbox) = (pictures::approval_policy(&settings), pictures::sandbox_of(&settings));
        let tool = (wanted.server.clone(), wanted.tool.clone());
        let said = wanted.described.tool.as_ref().and_then(|tool| tool.annotations.as_ref());
        let judged = Judged {
            approval: wanted.described.approval,
            hints: Hints::of(said),
            allowed: self.allowed_tools.contains(&tool),
        };
        match approval::judge(Rules { policy: &policy, sandbox: &sandbox }, judged) {
            Verdict::Go => drop(answer.send(Permission::Granted)),
            Verdict::Refuse(why) => drop(answer.send(Permission::Refused(why.for_model().to_owned()))),
            Verdict::Ask { lasting } => {
                let params = McpServerElicitationRequestParams {
                    server_name: wanted.server.clone(),
                    thread_id: self.id,
                    turn_id: Some(turn.clone()),
                    request: approval_form(item, wanted, lasting),
                };
                self.put(turn, Wants::Permission(Deciding { tool, lasting, answer }), |id| {
                    envelope::server_request::<McpServerElicitationRequest>(id, &params).into()
                });
            }
        }
    }

    /// Puts a model's questions to the user.
    pub(super) fn put_questions(
        &mut self,
        turn: TurnId,
        item_id: ItemId,
        questions: Vec<ToolRequestUserInputQuestion>,
        answer: oneshot::Sender<Result<ToolRequestUserInputResponse, String>>,
    ) {
        let params = ToolRequestUserInputParams {
            auto_resolution_ms: None,
            is_blocking: true,
            item_id,
            questions,
            thread_id: self.id,
            turn_id: turn.clone(),
        };
        self.put(turn, Wants::Answers(answer), |id| {
            envelope::server_request::<ItemToolRequestUserInput>(id, &params).into()
        });
    }

    /// Has the client carry out a call of its own tool.
    fn have_called(
        &mut self,
        turn: TurnId,
        call_id: ItemId,
        call: ClientCall,
        answer: oneshot::Sender<Result<DynamicToolCallResponse, String>>,
    ) {
        let params = DynamicToolCallParams {
            arguments: call.arguments,
            call_id,
            namespace: call.tool.namespace,
            thread_id: self.id,
            tool: call.tool.name,
            turn_id: turn.clone(),
        };
        self.put(turn, Wants::ToolOutput(answer), |id| {
            envelope::server_request::<ItemToolCall>(id, &params).into()
        });
    }

    fn put(&mut self, turn: TurnId, wants: Wants, frame: impl FnOnce(&RequestId) -> Frame) {
        let number = self.services.questions.open(self.id);
        let frame = frame(&RequestId::Integer(number));
        self.open_question(number, frame, Some(turn), wants);
    }

    /// The user has decided. What is to last does so until the thread is unloaded.
    pub(super) fn decided(&mut self, deciding: Deciding, decision: Decision) {
        let Deciding { tool, lasting, answer } = deciding;
        let permission = match decision {
            Decision::Once => Permission::Granted,
            Decision::Lasting => {
                if lasting {
                    self.allowed_tools.insert(tool.clone());
                    self.settle_calls_of(&tool);
                }
                Permission::Granted
            }
            Decision::Declined => {
                Permission::Refused("the user declined this call; it was not made".to_owned())
            }
            Decision::Cancelled => Permission::Cancelled,
        };
        // Who does not want it any more, is gone.
        drop(answer.send(permission));
    }

    /// The tools of the next turn that no helper has.
    pub(super) fn own_tools(&self) -> OwnTools {
        let settings = self.settings();
        let plans = settings.mode() == Some(ModeKind::Plan);
        let wanted = plans || self.overrides.asks.unwrap_or(self.services.config().asks);
        let asks = match self.persistence {
            Persistence::Durable if wanted => Asks::Yes,
            // What is ephemeral is a client's own work, such as a title: its user is not there.
            Persistence::Durable | Persistence::Ephemeral => Asks::No,
        };
        OwnTools { client: settings.dynamic_tools, asks }
    }
}

impl Deciding {
    /// Nobody who was asked could put the question.
    pub(super) fn unasked(self, why: &str) {
        let text = format!("this call needs the user's approval, and no client could ask for it: {why}");
        drop(self.answer.send(Permission::Refused(text)));
    }
}

/// The question about a call, in the form by which the peer's clients know it.
fn approval_form(item: &ItemId, wanted: &WantedCall, lasting: bool) -> McpServerElicitationRequestBody {
    let WantedCall { server, tool, arguments, described } = wanted;
    let described = described.tool.as_ref();
    let mut meta = Map::from_iter([
        ("codex_approval_kind".to_owned(), json!("mcp_tool_call")),
        ("tool_name".to_owned(), json!(tool)),
        ("tool_params".to_owned(), arguments.clone()),
        ("skein".to_owned(), json!({ "itemId": item })),
    ]);
    if let Some(title) = described.and_then(|tool| tool.title.as_ref()) {
        meta.insert("tool_title".to_owned(), json!(title));
    }
    if let Some(description) = described.and_then(|tool| tool.description.as_ref()) {
        meta.insert("tool_description".to_owned(), json!(description));
    }
    if lasting {
        meta.insert(PERSIST.to_owned(), json!(SESSION));
    }
    McpServerElicitationRequestBody::Form {
        meta: Some(Value::Object(meta)),
        message: format!("May the helper {server} run its tool {tool}?"),
        requested_schema: McpElicitationSchema {
            schema: None,
            properties: std::collections::BTreeMap::new(),
            required: None,
            kind: McpElicitationObjectType::Object,
        },
    }
}

/// What the user's answer to the question about a call means.
pub(super) fn decision(response: &McpServerElicitationRequestResponse) -> Decision {
    let persist = response.meta.as_ref().and_then(|meta| meta.get(PERSIST)).and_then(Value::as_str);
    match (response.action, persist) {
        (McpServerElicitationAction::Accept, Some(SESSION | ALWAYS)) => Decision::Lasting,
        (McpServerElicitationAction::Accept, Some(_) | None) => Decision::Once,
        (McpServerElicitationAction::Decline, _) => Decision::Declined,
        (McpServerElicitationAction::Cancel, _) => Decision::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helpers::DescribedTool;

    fn wanted() -> WantedCall {
        let tool = json!({"name": "remove", "title": "Remove", "description": "removes", "inputSchema": {}});
        let described = DescribedTool { tool: serde_json::from_value(tool).ok(), ..DescribedTool::default() };
        let arguments = json!({"path": "a"});
        WantedCall { server: "files".into(), tool: "remove".into(), arguments, described }
    }

    fn meta(lasting: bool) -> Value {
        let item = ItemId::from("i1".to_owned());
        let form = approval_form(&item, &wanted(), lasting);
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
        assert_eq!(meta(true), expected);
        assert_eq!(meta(false).get(PERSIST), None);
    }

    #[test]
    fn an_answer_decides_once_or_for_long_or_against() {
        for (answer, expected) in [
            (json!({"action": "accept"}), Decision::Once),
            (json!({"action": "accept", "_meta": null, "content": {}}), Decision::Once),
            (json!({"action": "accept", "_meta": {"persist": "session"}}), Decision::Lasting),
            (json!({"action": "accept", "_meta": {"persist": "always"}}), Decision::Lasting),
            (json!({"action": "accept", "_meta": {"persist": 1}}), Decision::Once),
            (json!({"action": "decline", "_meta": {"persist": "session"}}), Decision::Declined),
            (json!({"action": "cancel"}), Decision::Cancelled),
        ] {
            let response = serde_json::from_value(answer.clone()).unwrap();
            assert_eq!(decision(&response), expected, "{answer}");
        }
    }
}
