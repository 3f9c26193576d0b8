//! Questions of a turn: whether a helper's tool may be called, a model's questions to the user, and calls of the client's
//! tools. `questions.rs` puts them to clients and takes the answers.

use std::sync::Arc;

use skein_base::tasks::TaskGroup;
use skein_config::access::Digest;
use skein_helpers::{ApprovalMode, DescribedTool, Transport};
use skein_protocol::approval::{
    DynamicToolCallParams, DynamicToolCallResponse, McpServerElicitationRequestParams,
    ToolRequestUserInputParams, ToolRequestUserInputQuestion,
};
use skein_protocol::event::ConfigWarningNotification;
use skein_protocol::ids::{ItemId, ThreadId, TurnId};
use skein_protocol::notifications::ConfigWarning;
use skein_protocol::server_requests::{ItemToolCall, ItemToolRequestUserInput, McpServerElicitationRequest};
use skein_store::rollout::record::{AskedTool, QuestionKind};
use skein_turn::Answered;
use skein_turn::approval::{self, ApprovalRules, CallRefusal as Refused, CallVerdict, Hints, Judged};
use skein_turn::asking::{About, Allowed, Asking, ClientCall, Inputs, Permission, WantedCall};
use tokio::sync::oneshot;

use super::consent::approval_form;
use super::helper_side::{Changed, ToolOf};
use super::log::Log;
use super::open_questions::NewQuestion;
use super::wants::Wants;
use super::{Child, ThreadParts, settings};
use crate::thread::questions::Refusal;
use crate::thread::{Approved, Context, views};

/// The id of the one question in the request.
const QUESTION: &str = "q1";
/// The model's result of a call whose helper changed while the user was asked.
const CHANGED: &str = "the settings have changed this helper while the user was asked; the call was not made";

/// A call that waits for the user's decision.
pub(super) struct Deciding {
    pub(super) item: ItemId,
    pub(super) tool: ToolOf,
    /// The tool's description of itself when the user was asked.
    pub(super) hints: Hints,
    /// Whether the answer may hold for later calls.
    pub(super) lasting: bool,
    pub(super) answer: oneshot::Sender<Permission>,
}

impl ThreadParts<'_> {
    /// Puts the question of a turn for free text.
    pub(super) fn ask_for_words(
        &mut self,
        turn: TurnId,
        item: ItemId,
        (text, answer): (String, oneshot::Sender<Answered>),
    ) {
        let question = ToolRequestUserInputQuestion {
            header: "Question".to_owned(),
            id: QUESTION.to_owned(),
            is_other: true,
            is_secret: false,
            options: None,
            question: text,
        };
        self.put(questions(self.log, turn, item, vec![question], Wants::Words(answer)));
    }

    /// Puts a turn's question, unless the rules or the user's permissions already decide, or the turn is left to the next load.
    pub(super) fn turn_asks(&mut self, asking: Asking) {
        let Some(turn) = self.turns.id().cloned() else { return };
        let Some(asking) = self.note_pause(&turn, asking).and_then(|asking| self.turns.hold(asking)) else {
            return;
        };
        let Asking { item, about } = asking;
        match about {
            About::Permission(wanted, answer) => self.decide(turn, item, &wanted, answer),
            About::Questions(asked, answer) => {
                self.put(questions(self.log, turn, item, asked, Wants::Answers(answer)));
            }
            About::Inputs(_, answer) => self.ask_for_inputs(turn, item, answer),
            About::ClientCall(call, answer) => {
                self.put(client_call(self.log, turn, item, call, answer));
            }
        }
    }

    /// Records that a call has ended with questions of its helper. Returns what is asked, unless the questions are refused.
    fn note_pause(&mut self, turn: &TurnId, asking: Asking) -> Option<Asking> {
        let Asking { item, about } = asking;
        let About::Inputs(Some(pause), answer) = about else { return Some(Asking { item, about }) };
        if let Err(why) = self.pause_call(turn, &item, *pause) {
            drop(answer.send(Inputs::Refused(why)));
            return None;
        }
        let about = About::Inputs(None, answer);
        Some(Asking { item, about })
    }

    /// Decides about a call, or asks the user.
    fn decide(
        &mut self,
        turn: TurnId,
        item: ItemId,
        wanted: &WantedCall,
        answer: oneshot::Sender<Permission>,
    ) {
        let settings = settings::of(self.log, self.helpers);
        let (policy, sandbox) = (views::approval_policy(&settings), views::sandbox_of(&settings));
        let tool = (wanted.server.clone(), wanted.tool.clone());
        let hints = Hints::of(wanted.described.tool.annotations.as_ref());
        let allowed = self.helpers.allows(&tool, hints);
        let judged = Judged { approval: wanted.described.approval, hints, allowed };
        let verdict = approval::judge(ApprovalRules { policy: &policy, sandbox: &sandbox }, judged);
        let lasting = matches!(verdict, CallVerdict::Ask { lasting: true });
        let deciding = Deciding { item, tool, hints, lasting, answer };
        let is_denied = wanted.described.approval == ApprovalMode::Deny;
        let asked = asked_tool(wanted);
        match (verdict, &wanted.earlier) {
            // The user was asked about this tool as it is now.
            (_, Some(Allowed { tool, decision })) if !is_denied && *tool == asked => {
                self.decided(deciding, *decision);
            }
            (CallVerdict::Go, _) => self.permit(deciding, Permission::Granted),
            (CallVerdict::Refuse(why), _) => {
                self.permit(deciding, Permission::Refused(why.for_model().to_owned()));
            }
            (CallVerdict::Ask { .. }, _) => self.ask_for_permission(turn, wanted, asked, deciding),
        }
    }

    fn ask_for_permission(
        &mut self,
        turn: TurnId,
        wanted: &WantedCall,
        tool: Option<AskedTool>,
        deciding: Deciding,
    ) {
        let lasts = self.helpers.lasts(&wanted.server, deciding.lasting, &self.log.config());
        let item = deciding.item.clone();
        let params = McpServerElicitationRequestParams {
            server_name: wanted.server.clone(),
            thread_id: self.id,
            turn_id: Some(turn.clone()),
            request: approval_form(&item, wanted, lasts),
        };
        let (kind, wants) = (QuestionKind::Approval, Wants::Permission(deciding));
        let question = NewQuestion::new::<McpServerElicitationRequest>(kind, Some(turn), &params, wants);
        let question = question.about(item);
        self.put(match tool {
            Some(tool) => question.of_tool(tool),
            None => question,
        });
    }
}

/// The tool of a question, with the hash of its description.
fn asked_tool(wanted: &WantedCall) -> Option<AskedTool> {
    tool_of(&wanted.server, &wanted.described)
}

/// A tool as it is now, with the hash of its description.
pub(super) fn tool_of(server: &str, described: &DescribedTool) -> Option<AskedTool> {
    let hash = Digest::of(&serde_json::to_string(&described.tool).ok()?).to_hex();
    let (program, name) = (described.program.to_string(), described.tool.name.clone());
    Some(AskedTool { server: server.to_owned(), program, name, hash })
}

/// Questions to the user.
fn questions(
    log: &Log,
    turn: TurnId,
    item_id: ItemId,
    questions: Vec<ToolRequestUserInputQuestion>,
    wants: Wants,
) -> NewQuestion {
    let params = ToolRequestUserInputParams {
        auto_resolution_ms: None,
        is_blocking: true,
        item_id,
        questions,
        thread_id: log.id(),
        turn_id: turn.clone(),
    };
    let item = params.item_id.clone();
    NewQuestion::new::<ItemToolRequestUserInput>(QuestionKind::Input, Some(turn), &params, wants).about(item)
}

/// The call of a client's own tool.
fn client_call(
    log: &Log,
    turn: TurnId,
    call_id: ItemId,
    call: ClientCall,
    answer: oneshot::Sender<Result<DynamicToolCallResponse, String>>,
) -> NewQuestion {
    let params = DynamicToolCallParams {
        arguments: call.arguments,
        call_id,
        namespace: call.tool.namespace,
        thread_id: log.id(),
        tool: call.tool.name,
        turn_id: turn.clone(),
    };
    let (item, wants) = (params.call_id.clone(), Wants::ToolOutput(answer));
    NewQuestion::new::<ItemToolCall>(QuestionKind::ClientCall, Some(turn), &params, wants).about(item)
}

/// Writes an approval into the settings. Until it is written it holds for the session.
pub(super) fn keep_approval(
    services: &Arc<Context>,
    children: &mut TaskGroup<Child>,
    thread: ThreadId,
    (tool, transport): (ToolOf, Option<Transport>),
) {
    let Some(transport) = transport else { return };
    let approved = Approved { server: tool.0.clone(), tool: tool.1.clone(), transport };
    let (context, (done, kept)) = (Arc::clone(services), oneshot::channel());
    // Not a child: the thread may end before the settings are written.
    services.tasks.spawn(format!("approve/{thread}"), async move {
        let result = (context.keep_approval)(Arc::clone(&context), approved).await;
        if let Err(why) = &result {
            tracing::warn!(%thread, %why, "an approval lasts only until this thread is unloaded");
        }
        // The thread may be gone.
        done.send(result).ok();
    });
    children.spawn(format!("approved/{thread}"), async move {
        let broke_off = || Err("writing it broke off".to_owned());
        Child::Approved(tool, kept.await.unwrap_or_else(|_| broke_off()))
    });
}

/// Warns clients that an approval does not last.
pub(super) fn warn_of_approval(log: &mut Log, (server, tool): &ToolOf, why: &str) {
    let summary =
        format!("tool {tool:?} of helper {server:?} is allowed only until this thread is unloaded: {why}");
    let path = log.config().home.join(skein_config::FILE).display().to_string();
    let params = ConfigWarningNotification { details: None, path: Some(path), range: None, summary };
    let notice = log.notice::<ConfigWarning>(&params);
    log.put(notice);
}

impl Deciding {
    /// The decision of changed settings, or `None` if the user still decides. An answer never holds for another program or a
    /// removed one.
    pub(super) fn judge_again(&self, changed: &Changed) -> Option<Permission> {
        let (server, tool) = &self.tool;
        let approval = changed.specs.get(server).map(|spec| spec.approval_of(tool));
        let is_read = approval == Some(ApprovalMode::Writes) && self.hints.only_reads();
        changed.decision_about(&self.tool).or(is_read.then_some(Permission::JudgedAnew))
    }

    /// For the model: no client has decided.
    pub(super) fn undecided(refusal: &Refusal) -> String {
        refusal.message(
            "this call needs the user's approval, and no client could ask for it",
            "this call needs the user's approval, and the client's answer was not a consent; the call was not made",
        )
    }
}

impl Changed {
    /// The decision of changed settings about a tool, whatever its description; `None` if the user still decides.
    pub(super) fn decision_about(&self, (server, tool): &ToolOf) -> Option<Permission> {
        let spec = self.specs.get(server).filter(|spec| !self.others.contains(server) && spec.offers(tool));
        match spec.map(|spec| spec.approval_of(tool)) {
            None => Some(Permission::Refused(CHANGED.to_owned())),
            Some(ApprovalMode::Deny) => Some(Permission::Refused(Refused::Denied.for_model().to_owned())),
            Some(ApprovalMode::Approve) => Some(Permission::JudgedAnew),
            Some(ApprovalMode::Writes | ApprovalMode::Auto | ApprovalMode::Prompt) => None,
        }
    }
}
