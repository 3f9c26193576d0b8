//! The words between a turn and its owner: what the turn reports and asks, and how it ends.

use std::sync::Arc;

use skein_helpers::HelperSet;
use skein_protocol::event::NextTry;
use skein_protocol::ids::ItemId;
use skein_protocol::item::ThreadItem;
use skein_protocol::turn::{TurnError, TurnStatus};
use skein_provider::{Thoughts, TokenUsage};
use skein_store::rollout::record::{FileRead, KeptMessages, ModelAnswer};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::asking::{Asking, GoesOn};
use super::surroundings::Surroundings;
use super::{Added, HistorySoFar};

/// Both directions between a turn and its owner. All reports go through one bounded queue, in order.
#[derive(Debug)]
pub struct Wires {
    /// While the disk is behind, the owner does not read this queue, and the turn waits.
    pub reports: mpsc::Sender<Report>,
    /// The turn closes this queue when it accepts no more messages.
    pub steers: mpsc::Receiver<Added>,
}

/// A report of a turn to the owner of its thread.
#[derive(Debug)]
pub enum Report {
    /// An item begins.
    ItemStarted(ThreadItem),
    /// A piece of a message.
    Delta {
        /// The message.
        item: ItemId,
        /// The piece.
        text: String,
    },
    /// A piece of a plan.
    PlanDelta {
        /// The plan.
        item: ItemId,
        /// The piece.
        text: String,
    },
    /// A piece of the model's thoughts.
    ReasoningDelta {
        /// Their item.
        item: ItemId,
        /// Whether it belongs to the summary or to the thoughts themselves.
        of: Thoughts,
        /// Counted from 0.
        part: usize,
        /// Empty where a part begins.
        text: String,
    },
    /// A warning for the user; the turn goes on.
    Warning(String),
    /// A warning that the owner publishes once for each load of the thread.
    WarningOnce(String),
    /// An answer broke off; the turn asks the model again.
    Again {
        /// Why it broke off.
        error: TurnError,
        /// The next try; `None` if it begins at once.
        next: Option<NextTry>,
    },
    /// A summary replaces the conversation for the model.
    Compacted {
        /// The summary.
        summary: String,
        /// The end of the conversation that stays.
        kept: KeptMessages,
    },
    /// The files that an input names were read.
    FilesRead {
        /// The item of the input.
        item: ItemId,
        /// The files as read, in the order of the input.
        files: Vec<FileRead>,
    },
    /// Estimated tokens of the next request. Follows [`Report::Compacted`].
    Context(i64),
    /// The helper of a call says how far it is (MCP: `notifications/progress`).
    Progress {
        /// The call.
        item: ItemId,
        /// The helper's words.
        message: String,
    },
    /// An item is complete.
    ItemCompleted(ThreadItem),
    /// A whole answer. The items of its calls have begun.
    Answered(Box<ModelAnswer>),
    /// The cost of an answer.
    Usage(TokenUsage),
    /// A question of the model to the user.
    Question {
        /// The message with the question.
        item: ItemId,
        /// The question.
        text: String,
        /// Dropped if no answer will come.
        answer: oneshot::Sender<Answered>,
    },
    /// A call waits for a permission, for the user's answers or for the client's result.
    Ask(Box<Asking>),
    /// Asks for the decision about a call of an earlier load.
    AskAgain {
        /// The item of the call.
        item: ItemId,
        /// Dropped if no answer will come.
        answer: oneshot::Sender<GoesOn>,
    },
    /// The turn may work beside the others that a start goes on with.
    MayWork(OwnedSemaphorePermit),
    /// The conversation up to now.
    WantsHistory(oneshot::Sender<HistorySoFar>),
    /// The files and facts of the thread's directory, read a moment ago.
    Surroundings(Arc<Surroundings>),
    /// The turn needs tools. The owner starts the helpers if they are not running.
    WantsHelpers(oneshot::Sender<Arc<HelperSet>>),
    /// A request to the model is about to begin. The error ends the turn.
    MayAsk(ModelRequest, oneshot::Sender<Result<(), Box<TurnError>>>),
    /// Nothing is under way and nothing more begins, because the server stops. So many calls and requests have begun by permission of the
    /// owner: one whose permission is on its way still begins.
    AtRest(usize),
    /// Always the last report.
    Ended(Outcome),
}

/// The limits of a turn, as far as its task has to know them: at a limit the owner decides about each request.
#[derive(Debug, Clone, Default)]
pub struct TurnLimits {
    /// Whether tokens are counted.
    pub tokens: bool,
    /// How many answers with calls are left; `None` for no limit.
    pub rounds: Option<i64>,
    /// Cancelled once it is known what all threads have used today; `None` where no limit asks for that.
    pub day: Option<CancellationToken>,
}

impl TurnLimits {
    /// Counts a request. Returns whether the owner decides about it.
    pub(crate) fn take(&mut self, request: ModelRequest) -> bool {
        let at_limit = self.rounds.is_some_and(|left| left <= 0);
        if let (Some(left), ModelRequestKind::Round) = (&mut self.rounds, request.kind) {
            *left -= 1;
        }
        // A look is for the owner only.
        self.tokens || at_limit || request.tokens == 0
    }
}

/// A request to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelRequest {
    /// Its purpose.
    pub kind: ModelRequestKind,
    /// Its tokens, by an estimate; 0 for a look whether the turn has to wait.
    pub tokens: i64,
}

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelRequestKind {
    /// For an answer.
    Round,
    /// For a summary, or once more after an answer that broke off.
    Other,
}

/// The end of a model's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// The user's answer.
    Text(String),
    /// The error text of the first client, if every client answered with an error.
    Refused(String),
}

/// The end of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub status: TurnStatus,
    /// Why it failed.
    pub error: Option<TurnError>,
}

impl Outcome {
    /// A failure with nothing but a message.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self { status: TurnStatus::Failed, error: Some(TurnError::new(message)) }
    }

    pub(crate) fn ended(status: TurnStatus) -> Self {
        Self { status, error: None }
    }
}
