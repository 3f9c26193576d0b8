//! What a turn asks of those outside: whether a tool of a helper may be called, what the user says to a model's questions,
//! what a tool of the client answers. `questions.rs` puts it and takes the answers.

use std::sync::Arc;

use skein_helpers::ApprovalMode;
use skein_protocol::approval::{
    DynamicToolCallParams, DynamicToolCallResponse, McpServerElicitationRequestParams,
    ToolRequestUserInputParams, ToolRequestUserInputQuestion,
};
use skein_protocol::envelope;
use skein_protocol::event::ConfigWarningNotification;
use skein_protocol::ids::{ItemId, TurnId};
use skein_protocol::notifications::ConfigWarning;
use skein_protocol::server_requests::{ItemToolCall, ItemToolRequestUserInput, McpServerElicitationRequest};
use tokio::sync::oneshot;

use super::consent::{Decision, approval_form};
use super::helper_side::{Changed, ToolOf};
use super::open_questions::Wants;
use super::{Child, Owner};
use crate::config;
use crate::thread::Approved;
use crate::thread::pictures;
use crate::thread::questions::Refusal;
use crate::turn::approval::{self, Hints, Judged, Refusal as Refused, Rules, Verdict};
use crate::turn::asking::{About, Asking, ClientCall, Permission, WantedCall};

/// For the model, where nobody can answer a question any more.
const CHANGED: &str = "the settings have changed this helper while the user was asked; the call was not made";

/// A decision about a call that waits for the user.
pub(super) struct Deciding {
    pub(super) tool: ToolOf,
    /// What the tool said of itself when the user was asked.
    pub(super) hints: Hints,
    /// Whether the answer may hold for later calls, too.
    pub(super) lasting: bool,
    answer: oneshot::Sender<Permission>,
}

impl Owner {
    /// A turn asks. What is put stands in line behind the item that it is about.
    pub(super) fn ask_outside(&mut self, asking: Asking) {
        let Some(turn) = self.turns.id().cloned() else { return };
        let Asking { item, about } = asking;
        match about {
            About::Permission(wanted, answer) => self.decide(turn, &item, &wanted, answer),
            About::Questions(questions, answer) => {
                self.put_questions(turn, item, questions, Wants::Answers(answer));
            }
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
        let hints = Hints::of(wanted.described.tool.annotations.as_ref());
        let allowed = self.helpers.allows(&tool, hints);
        let judged = Judged { approval: wanted.described.approval, hints, allowed };
        match approval::judge(Rules { policy: &policy, sandbox: &sandbox }, judged) {
            Verdict::Go => drop(answer.send(Permission::Granted)),
            Verdict::Refuse(why) => drop(answer.send(Permission::Refused(why.for_model().to_owned()))),
            Verdict::Ask { lasting } => {
                let lasts = self.helpers.lasts(&wanted.server, lasting, &self.services.config());
                let params = McpServerElicitationRequestParams {
                    server_name: wanted.server.clone(),
                    thread_id: self.id,
                    turn_id: Some(turn.clone()),
                    request: approval_form(item, wanted, lasts),
                };
                self.put(Some(turn), Wants::Permission(Deciding { tool, hints, lasting, answer }), |id| {
                    envelope::server_request::<McpServerElicitationRequest>(id, &params).into()
                });
            }
        }
    }

    /// Puts questions to the user.
    pub(super) fn put_questions(
        &mut self,
        turn: TurnId,
        item_id: ItemId,
        questions: Vec<ToolRequestUserInputQuestion>,
        wants: Wants,
    ) {
        let params = ToolRequestUserInputParams {
            auto_resolution_ms: None,
            is_blocking: true,
            item_id,
            questions,
            thread_id: self.id,
            turn_id: turn.clone(),
        };
        self.put(Some(turn), wants, |id| {
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
        self.put(Some(turn), Wants::ToolOutput(answer), |id| {
            envelope::server_request::<ItemToolCall>(id, &params).into()
        });
    }

    /// The user has decided. What is to last does so until the thread is unloaded.
    pub(super) fn decided(&mut self, deciding: Deciding, decision: Decision) {
        let Deciding { tool, hints, lasting, answer } = deciding;
        let permission = match decision {
            Decision::Once => Permission::Granted,
            Decision::Session | Decision::Always => {
                if lasting {
                    self.helpers.allow(tool.clone(), hints);
                    self.settle_calls_of(&tool, hints);
                }
                // Settings know no hints: they keep no consent to what the tool was before.
                if lasting && decision == Decision::Always && self.helpers.hints_of(&tool) == Some(hints) {
                    self.keep_approval(tool);
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

    /// Has the settings keep what the user allows. Until they do it holds for the session.
    fn keep_approval(&mut self, tool: ToolOf) {
        let Some(transport) = self.helpers.transport_of(&tool.0) else { return };
        let approved = Approved { server: tool.0.clone(), tool: tool.1.clone(), transport };
        let (services, (done, kept)) = (Arc::clone(&self.services), oneshot::channel());
        // Not a child: the thread may end before the disk has it.
        self.services.tasks.spawn(format!("approve/{}", self.id), async move {
            let result = (services.keep_approval)(Arc::clone(&services), approved).await;
            if let Err(why) = &result {
                tracing::warn!(%why, "an approval does not outlive its thread's load");
            }
            // Nobody hears it whose thread is gone.
            done.send(result).ok();
        });
        self.children.spawn(format!("approved/{}", self.id), async move {
            let broke_off = || Err("writing it broke off".to_owned());
            Child::Approved(tool, kept.await.unwrap_or_else(|_| broke_off()))
        });
    }

    /// The settings have an approval by now, or will never have it.
    pub(super) fn approval_kept(&mut self, tool: &ToolOf, kept: Result<(), String>) {
        match kept {
            Ok(()) => {
                // What the user takes out of the settings is not to hold on here.
                self.take_policy();
                self.helpers.leave_to_settings(tool);
            }
            Err(why) => {
                let (server, tool) = tool;
                let summary = format!(
                    "tool {tool:?} of helper {server:?} is allowed only until this thread is unloaded: {why}"
                );
                let path = self.services.config().home.join(config::FILE).display().to_string();
                let params =
                    ConfigWarningNotification { details: None, path: Some(path), range: None, summary };
                let notice = self.log.notice::<ConfigWarning>(&params);
                self.log.put(notice);
            }
        }
    }
}

impl Deciding {
    /// What changed settings say of the call, where they leave nothing to the user. No answer to this question is about
    /// another program, or one that is gone.
    pub(super) fn judge_again(&self, Changed { specs, others }: &Changed) -> Option<Permission> {
        let (server, tool) = &self.tool;
        let spec = specs.get(server).filter(|spec| !others.contains(server) && spec.offers(tool));
        match spec.map(|spec| spec.approval_of(tool)) {
            None => Some(Permission::Refused(CHANGED.to_owned())),
            Some(ApprovalMode::Deny) => Some(Permission::Refused(Refused::Denied.for_model().to_owned())),
            Some(ApprovalMode::Approve) => Some(Permission::JudgedAnew),
            Some(ApprovalMode::Writes) if self.hints.only_reads() => Some(Permission::JudgedAnew),
            // Somebody was asked, and may answer.
            Some(ApprovalMode::Auto | ApprovalMode::Prompt | ApprovalMode::Writes) => None,
        }
    }

    /// The settings have decided.
    pub(super) fn judged(self, permission: Permission) {
        drop(self.answer.send(permission));
    }

    /// No client that was asked has decided.
    pub(super) fn undecided(self, refusal: &Refusal) {
        let text = refusal.told(
            "this call needs the user's approval, and no client could ask for it",
            "this call needs the user's approval, and the client's answer was not a consent; the call was not made",
        );
        drop(self.answer.send(Permission::Refused(text)));
    }
}
