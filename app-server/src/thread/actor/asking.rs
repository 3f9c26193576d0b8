//! Questions of a turn: whether a helper's tool may be called, a model's questions to the user, and calls of the client's
//! tools. `questions.rs` puts them to clients and takes the answers.

use std::sync::Arc;

use skein_base::tasks::TaskGroup;
use skein_helpers::{ApprovalMode, Transport};
use skein_protocol::approval::{
    DynamicToolCallParams, DynamicToolCallResponse, McpServerElicitationRequestParams,
    ToolRequestUserInputParams, ToolRequestUserInputQuestion,
};
use skein_protocol::event::ConfigWarningNotification;
use skein_protocol::ids::{ItemId, ThreadId, TurnId};
use skein_protocol::notifications::ConfigWarning;
use skein_protocol::server_requests::{ItemToolCall, ItemToolRequestUserInput, McpServerElicitationRequest};
use tokio::sync::oneshot;

use super::consent::approval_form;
use super::helper_side::{Changed, HelperSide, ToolOf};
use super::log::Log;
use super::open_questions::Wants;
use super::questions::NewQuestion;
use super::{Child, settings};
use crate::thread::questions::Refusal;
use crate::thread::{Approved, Context, views};
use crate::turn::Answered;
use crate::turn::approval::{self, ApprovalRules, CallRefusal as Refused, CallVerdict, Hints, Judged};
use crate::turn::asking::{About, Asking, ClientCall, Permission, WantedCall};

/// The id of the one question in the request.
const QUESTION: &str = "q1";
/// The model's result of a call whose helper changed while the user was asked.
const CHANGED: &str = "the settings have changed this helper while the user was asked; the call was not made";

/// A call that waits for the user's decision.
pub(super) struct Deciding {
    pub(super) tool: ToolOf,
    /// The tool's description of itself when the user was asked.
    pub(super) hints: Hints,
    /// Whether the answer may hold for later calls.
    pub(super) lasting: bool,
    pub(super) answer: oneshot::Sender<Permission>,
}

/// The question of a turn for free text.
pub(super) fn words(
    log: &Log,
    turn: TurnId,
    item: ItemId,
    (text, answer): (String, oneshot::Sender<Answered>),
) -> NewQuestion {
    let question = ToolRequestUserInputQuestion {
        header: "Question".to_owned(),
        id: QUESTION.to_owned(),
        is_other: true,
        is_secret: false,
        options: None,
        question: text,
    };
    questions(log, turn, item, vec![question], Wants::Words(answer))
}

/// The question of a turn. `None` if the rules or the user's permissions already decide.
pub(super) fn question(
    log: &Log,
    helpers: &mut HelperSide,
    turn: TurnId,
    Asking { item, about }: Asking,
) -> Option<NewQuestion> {
    match about {
        About::Permission(wanted, answer) => decide(log, helpers, turn, (&item, &wanted), answer),
        About::Questions(asked, answer) => Some(questions(log, turn, item, asked, Wants::Answers(answer))),
        About::ClientCall(call, answer) => Some(client_call(log, turn, item, call, answer)),
    }
}

/// Decides about a call, or makes the question to the user.
fn decide(
    log: &Log,
    helpers: &mut HelperSide,
    turn: TurnId,
    (item, wanted): (&ItemId, &WantedCall),
    answer: oneshot::Sender<Permission>,
) -> Option<NewQuestion> {
    let settings = settings::of(log, helpers);
    let (policy, sandbox) = (views::approval_policy(&settings), views::sandbox_of(&settings));
    let tool = (wanted.server.clone(), wanted.tool.clone());
    let hints = Hints::of(wanted.described.tool.annotations.as_ref());
    let allowed = helpers.allows(&tool, hints);
    let judged = Judged { approval: wanted.described.approval, hints, allowed };
    let lasting = match approval::judge(ApprovalRules { policy: &policy, sandbox: &sandbox }, judged) {
        CallVerdict::Go => {
            drop(answer.send(Permission::Granted));
            return None;
        }
        CallVerdict::Refuse(why) => {
            drop(answer.send(Permission::Refused(why.for_model().to_owned())));
            return None;
        }
        CallVerdict::Ask { lasting } => lasting,
    };
    let lasts = helpers.lasts(&wanted.server, lasting, &log.config());
    let params = McpServerElicitationRequestParams {
        server_name: wanted.server.clone(),
        thread_id: log.id(),
        turn_id: Some(turn.clone()),
        request: approval_form(item, wanted, lasts),
    };
    let wants = Wants::Permission(Deciding { tool, hints, lasting, answer });
    Some(NewQuestion::new::<McpServerElicitationRequest>(Some(turn), wants, params))
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
    NewQuestion::new::<ItemToolRequestUserInput>(Some(turn), wants, params)
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
    NewQuestion::new::<ItemToolCall>(Some(turn), Wants::ToolOutput(answer), params)
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
    pub(super) fn judge_again(&self, Changed { specs, others }: &Changed) -> Option<Permission> {
        let (server, tool) = &self.tool;
        let spec = specs.get(server).filter(|spec| !others.contains(server) && spec.offers(tool));
        match spec.map(|spec| spec.approval_of(tool)) {
            None => Some(Permission::Refused(CHANGED.to_owned())),
            Some(ApprovalMode::Deny) => Some(Permission::Refused(Refused::Denied.for_model().to_owned())),
            Some(ApprovalMode::Approve) => Some(Permission::JudgedAnew),
            Some(ApprovalMode::Writes) if self.hints.only_reads() => Some(Permission::JudgedAnew),
            // The user was asked, and may answer.
            Some(ApprovalMode::Auto | ApprovalMode::Prompt | ApprovalMode::Writes) => None,
        }
    }

    /// Answers with the decision of the settings.
    pub(super) fn judged(self, permission: Permission) {
        drop(self.answer.send(permission));
    }

    /// Answers that no client has decided.
    pub(super) fn undecided(self, refusal: &Refusal) {
        let text = refusal.message(
            "this call needs the user's approval, and no client could ask for it",
            "this call needs the user's approval, and the client's answer was not a consent; the call was not made",
        );
        drop(self.answer.send(Permission::Refused(text)));
    }
}
