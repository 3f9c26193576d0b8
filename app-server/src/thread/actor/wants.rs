//! The askers of questions, and the effect of an answer on each.

use serde_json::value::RawValue;
use skein_protocol::access::Access;
use skein_protocol::approval::{
    DynamicToolCallResponse, McpServerElicitationAction, McpServerElicitationRequestResponse,
    ToolRequestUserInputResponse,
};
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_store::history::AnsweredQuestion;
use skein_store::rollout::record::{AskedTool, QuestionEnd, QuestionKind};
use skein_turn::asking::{Allowed, Decision, GoesOn, Inputs, Permission};
use skein_turn::{Answered, own_tools};
use tokio::sync::oneshot;

use super::asking::Deciding;
use super::budget::WaitingRequest;
use super::consent::decision;
use crate::thread::questions::{Reach, Refusal};

/// For the model: a call is in doubt and is not made again.
const LOST: &str = "the server ended while this tool ran: the call may have been done, its result is lost, and it is \
    not made again";

/// The asker, with the channel for its answer.
pub(super) enum Wants {
    /// A turn that asks for text.
    Words(oneshot::Sender<Answered>),
    /// A model that asks the user several questions at once.
    Answers(oneshot::Sender<Result<ToolRequestUserInputResponse, String>>),
    /// A turn that wants to call a helper's tool.
    Permission(Deciding),
    /// A turn that calls a tool of the client.
    ToolOutput(oneshot::Sender<Result<DynamicToolCallResponse, String>>),
    /// A turn whose call waits for an answer to its helper's question. The records have the answer.
    Input(oneshot::Sender<Inputs>),
    /// A helper.
    Decision(oneshot::Sender<McpServerElicitationRequestResponse>),
    /// A turn whose budget is used up.
    Budget(WaitingRequest),
    /// A turn that an earlier load has begun. It has no channel before it wants the answer.
    GoingOn(Option<oneshot::Sender<GoesOn>>, Option<AskedTool>),
}

/// The outcome of a question.
#[derive(Debug)]
pub(super) enum Settled {
    Answers(ToolRequestUserInputResponse),
    Permission(Decision),
    /// Something else has decided instead of the user: the settings, or the answer to another question.
    Judged(Permission),
    ToolOutput(DynamicToolCallResponse),
    Decision(McpServerElicitationRequestResponse),
    /// No client that was asked has decided.
    Refused(Refusal),
    /// The asker has given up.
    GivenUp,
}

/// The effect of an outcome. It takes place once the record of the outcome is on disk.
pub(super) enum AnswerEffect {
    /// Hands the outcome to the asker, which may be gone.
    Hand(Box<dyn FnOnce() + Send>),
    /// The user has decided about a call.
    Decide(Deciding, Decision),
    /// Something else has decided about a call.
    Permit(Deciding, Permission),
    /// A request to a model is judged again.
    Judge(WaitingRequest),
    /// Nobody has decided about a request to a model.
    Undecided(WaitingRequest),
    /// Nobody waits for the outcome.
    None,
}

impl AnswerEffect {
    fn hand<T: Send + 'static>(to: oneshot::Sender<T>, outcome: T) -> Self {
        Self::Hand(Box::new(move || drop(to.send(outcome))))
    }
}

impl Settled {
    /// The answer as far as this access reaches: only `admin` changes the settings, so `always` of others holds for the
    /// session.
    pub(super) fn within(self, access: Access) -> Self {
        let is_kept = matches!(self, Self::Permission(Decision::Always));
        if is_kept && access < Access::Admin { Self::Permission(Decision::Session) } else { self }
    }

    /// Why the question ends without a client's answer; `None` for an answer.
    pub(super) fn end(&self) -> Option<QuestionEnd> {
        match self {
            Self::Answers(_) | Self::Permission(_) | Self::ToolOutput(_) | Self::Decision(_) => None,
            Self::Judged(_) => Some(QuestionEnd::Decided),
            Self::Refused(_) => Some(QuestionEnd::Refused),
            Self::GivenUp => Some(QuestionEnd::Withdrawn),
        }
    }

    /// Parses an answer to a question of this kind. An answer of another shape is an error.
    pub(super) fn read(kind: QuestionKind, raw: &RawValue) -> Result<Self, WireError> {
        match kind {
            QuestionKind::Input => envelope::result(raw).map(Self::Answers),
            QuestionKind::Approval => {
                envelope::result(raw).map(|response| Self::Permission(decision(&response)))
            }
            QuestionKind::MayHaveRun | QuestionKind::Budget => {
                envelope::result(raw).map(|response| Self::Permission(decision(&response).for_one_call()))
            }
            QuestionKind::ClientCall => envelope::result(raw).map(Self::ToolOutput),
            QuestionKind::Elicitation => envelope::result(raw).map(Self::Decision),
        }
    }

    /// The outcome for a call that an earlier load has begun.
    fn going_on(self, kind: QuestionKind, tool: Option<AskedTool>) -> GoesOn {
        match self {
            Self::Permission(Decision::Cancelled) => GoesOn::Cancelled,
            Self::Permission(Decision::Declined)
            | Self::Judged(Permission::Refused(_))
            | Self::Refused(_)
                if kind == QuestionKind::MayHaveRun =>
            {
                not_again()
            }
            Self::Permission(Decision::Declined) => GoesOn::Refused(DECLINED.to_owned()),
            Self::Permission(decision @ (Decision::Once | Decision::Session | Decision::Always)) => {
                GoesOn::Allowed(Allowed { tool, decision })
            }
            Self::Answers(answers) => GoesOn::Answers(answers),
            Self::ToolOutput(output) => GoesOn::ToolOutput(output),
            Self::Judged(Permission::Refused(why)) => GoesOn::Refused(why),
            Self::Judged(Permission::Cancelled) => GoesOn::Cancelled,
            Self::Judged(Permission::Granted | Permission::JudgedAnew) => GoesOn::Judge,
            Self::Refused(_) if kind == QuestionKind::Elicitation => GoesOn::Paused,
            Self::Refused(refusal) => {
                let cannot = "no client has put the question to the user";
                GoesOn::Refused(refusal.message(cannot, "a client answered the question with something else"))
            }
            // The records have the answer.
            Self::Decision(_) => GoesOn::Paused,
            Self::GivenUp => GoesOn::Judge,
        }
    }
}

/// For the model: the user has refused a call.
pub(super) const DECLINED: &str = "the user declined this call; it was not made";

/// How a call goes on whose question was answered before the load.
pub(super) fn carried_out(answered: &AnsweredQuestion) -> GoesOn {
    let AnsweredQuestion { kind, tool, scope, answer } = answered;
    // A secret is in no record, so the user is asked again.
    let raw = answer.clone().and_then(|answer| RawValue::from_string(answer).ok());
    let settled = raw.and_then(|raw| Settled::read(*kind, &raw).ok());
    let access = scope.parse().unwrap_or(Access::Chat);
    settled.map_or(GoesOn::Judge, |settled| settled.within(access).going_on(*kind, tool.clone()))
}

/// A call may be made again that only reads, if the tool is still the one that the user was asked about.
pub(super) fn again(tool: Option<AskedTool>) -> GoesOn {
    GoesOn::Allowed(Allowed { tool, decision: Decision::Once })
}

/// The user or the settings refuse to have the call made again, or nobody may be asked.
pub(super) fn not_again() -> GoesOn {
    GoesOn::Refused(LOST.to_owned())
}

impl Wants {
    /// Only one client carries out the call of a client's tool.
    pub(super) fn reach(kind: QuestionKind) -> Reach {
        match kind {
            QuestionKind::ClientCall => Reach::OneAtATime,
            QuestionKind::Input
            | QuestionKind::Approval
            | QuestionKind::MayHaveRun
            | QuestionKind::Elicitation
            | QuestionKind::Budget => Reach::Everyone,
        }
    }

    /// The effect of the outcome of a question of this kind.
    pub(super) fn effect(self, kind: QuestionKind, settled: Settled) -> AnswerEffect {
        match (self, settled) {
            (Self::GoingOn(Some(answer), tool), settled) => {
                AnswerEffect::hand(answer, settled.going_on(kind, tool))
            }
            // The turn finds the outcome in its records.
            (Self::GoingOn(None, _), _) => AnswerEffect::None,
            (Self::Permission(deciding), Settled::Permission(decision)) => {
                AnswerEffect::Decide(deciding, decision)
            }
            (Self::Permission(deciding), Settled::Judged(permission)) => {
                AnswerEffect::Permit(deciding, permission)
            }
            (Self::Permission(deciding), Settled::Refused(refusal)) => {
                AnswerEffect::Permit(deciding, Permission::Refused(Deciding::undecided(&refusal)))
            }
            (Self::Budget(waiting), Settled::Refused(_)) => AnswerEffect::Undecided(waiting),
            // The records have the answer.
            (Self::Budget(waiting), _) => AnswerEffect::Judge(waiting),
            (Self::Input(next), _) => AnswerEffect::hand(next, Inputs::More),
            (wants, Settled::Refused(refusal)) => wants.refused(refusal),
            (Self::Words(answer), Settled::Answers(answers)) => {
                AnswerEffect::hand(answer, Answered::Text(own_tools::words(&answers)))
            }
            (Self::Answers(answer), Settled::Answers(answers)) => AnswerEffect::hand(answer, Ok(answers)),
            (Self::ToolOutput(answer), Settled::ToolOutput(output)) => AnswerEffect::hand(answer, Ok(output)),
            (Self::Decision(answer), Settled::Decision(decision)) => AnswerEffect::hand(answer, decision),
            // Answers have the type of their question.
            (
                Self::Words(_)
                | Self::Answers(_)
                | Self::Permission(_)
                | Self::ToolOutput(_)
                | Self::Decision(_),
                Settled::Answers(_)
                | Settled::Permission(_)
                | Settled::Judged(_)
                | Settled::ToolOutput(_)
                | Settled::Decision(_)
                | Settled::GivenUp,
            ) => AnswerEffect::None,
        }
    }

    /// No client has decided.
    fn refused(self, refusal: Refusal) -> AnswerEffect {
        match self {
            Self::Words(answer) => AnswerEffect::hand(answer, Answered::Refused(refusal.why())),
            Self::Answers(answer) => {
                let cannot = "no client has put the questions to the user";
                let message = refusal.message(cannot, "a client answered the questions with something else");
                AnswerEffect::hand(answer, Err(message))
            }
            Self::ToolOutput(answer) => {
                let cannot = "no client has carried out the call";
                let message = refusal.message(cannot, "a client answered the call with something else");
                AnswerEffect::hand(answer, Err(message))
            }
            Self::Decision(answer) => AnswerEffect::hand(answer, declined()),
            // `effect` has taken these.
            Self::Permission(_) | Self::Budget(_) | Self::Input(_) | Self::GoingOn(..) => AnswerEffect::None,
        }
    }
}

/// The answer to a helper if no user decides.
pub(super) fn declined() -> McpServerElicitationRequestResponse {
    McpServerElicitationRequestResponse {
        meta: None,
        action: McpServerElicitationAction::Decline,
        content: None,
    }
}

/// The answer to a helper if no client could put its question.
pub(super) fn cancelled() -> McpServerElicitationRequestResponse {
    McpServerElicitationRequestResponse {
        meta: None,
        action: McpServerElicitationAction::Cancel,
        content: None,
    }
}
