//! One turn, as a child task of its thread's owner: model, tools, model, until it ends, is interrupted, or has had all
//! the rounds that the settings allow. It owns nothing but what it streams; everything it does it reports to the owner.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use skein_base::clock::Clock;
use skein_base::tasks::Tasks;
use skein_helpers::HelperSet;
use skein_protocol::ids::{ItemId, ThreadId, TurnId};
use skein_protocol::item::{AgentMessageItem, ReasoningItem, ThreadItem};
use skein_protocol::response_item::MessagePhase;
use skein_protocol::turn::{TurnError, TurnStatus, UserInput};
use skein_provider::{
    Entry, ModelSettings, Prompt, Provider, ProviderError, Thoughts, ToolChoice, ToolResult, Usage,
};
use skein_store::rollout::record::{AnswerPart, FileRead, KeptMessages, ModelAnswer};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::ModelTerms;

mod abilities;
mod added;
mod answer;
pub(crate) mod approval;
pub(crate) mod asking;
mod budget;
mod compact;
pub(crate) mod context;
mod conversation;
pub(crate) mod conversation_cache;
mod files;
mod helper_notes;
mod input;
mod offer;
mod own_calls;
pub(crate) mod own_tools;
mod past;
mod picture;
pub(crate) mod plan;
mod planning;
pub(crate) mod result;
mod size;
pub(crate) mod surroundings;
mod tools;

pub(crate) use context::Context;
pub(crate) use conversation::Recipient;
pub(crate) use past::{Past, Stored};

use answer::{Answer, Unanswered};
use asking::Asking;
use offer::Offer;
use own_tools::OwnTools;
use planning::Planning;
use surroundings::Surroundings;

/// What a turn is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Task {
    /// To answer what the user said.
    Answer(Vec<UserInput>),
    /// To replace the conversation by a summary.
    Compact,
}

/// What the user adds while a turn runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Added {
    /// The item of the message.
    pub(crate) item: ItemId,
    /// What the client says beside it, for the model only, in the words of the model's interface.
    pub(crate) context: Vec<Value>,
    /// What the user says.
    pub(crate) input: Vec<UserInput>,
}

/// What a turn is given.
pub(crate) struct Job {
    /// Its thread.
    pub(crate) thread: ThreadId,
    /// Itself.
    pub(crate) turn: TurnId,
    /// What it is for.
    pub(crate) task: Task,
    /// What was said before, with the input of this turn.
    pub(crate) past: Past,
    /// The model, and who has it.
    pub(crate) recipient: Recipient,
    /// How it should answer.
    pub(crate) settings: ModelSettings,
    /// How often the model may be asked; `None` for no bound.
    pub(crate) rounds: Option<usize>,
    /// What holds for the model.
    pub(crate) terms: ModelTerms,
    /// The model's adapter.
    pub(crate) provider: Arc<dyn Provider>,
    /// What the model is told before the conversation.
    pub(crate) context: Context,
    /// Whether the model plans, and its plans are items.
    pub(crate) plans: bool,
    /// Whether a helper that is required has to be there first.
    pub(crate) needs_helpers: bool,
    /// The tools that no helper has.
    pub(crate) own_tools: OwnTools,
    /// Ends the turn. The turn ends soon after, and says so.
    pub(crate) cancel: CancellationToken,
    /// For the times of its items.
    pub(crate) clock: Clock,
    /// For reading files that the user names.
    pub(crate) tasks: Tasks,
}

/// A turn's way to its owner. All reports go through one bounded queue, in order.
#[derive(Debug)]
pub(crate) struct Wires {
    /// To the owner. While the disk is behind, the owner does not read it, and the turn waits.
    pub(crate) reports: mpsc::Sender<Report>,
    /// What the user adds while the turn runs. Closed by the turn when it takes no more.
    pub(crate) steers: mpsc::Receiver<Added>,
}

/// What a turn tells its owner.
#[derive(Debug)]
pub(crate) enum Report {
    /// An item begins.
    ItemStarted(ThreadItem),
    /// The next piece of an agent message's text.
    Delta {
        /// The message.
        item: ItemId,
        /// The piece.
        text: String,
    },
    /// The next piece of a plan.
    PlanDelta {
        /// The plan.
        item: ItemId,
        /// The piece.
        text: String,
    },
    /// The next piece of what the model thinks.
    ReasoningDelta {
        /// The thought.
        item: ItemId,
        /// Whether it is of a summary, or of the thoughts themselves.
        of: Thoughts,
        /// Which part of it, counted from 0.
        part: usize,
        /// The piece. Empty where a part begins.
        text: String,
    },
    /// The user is to know this; the turn goes on.
    Warning(String),
    /// The same, said once for each load of the thread.
    WarningOnce(String),
    /// An answer broke off, and the model is asked again.
    Again(TurnError),
    /// A summary replaces the conversation for the model.
    Compacted {
        /// The summary.
        summary: String,
        /// What stays at the end.
        kept: KeptMessages,
    },
    /// Files that a message names were read.
    FilesRead {
        /// The message.
        item: ItemId,
        /// What was found.
        files: Vec<FileRead>,
    },
    /// Behind that: about so many tokens the model is told next.
    Context(i64),
    /// A tool call has something to say before its end.
    Progress {
        /// The call.
        item: ItemId,
        /// What it says.
        message: String,
    },
    /// An item is done.
    ItemCompleted(ThreadItem),
    /// An answer calls tools, whose items have begun.
    Answered(Box<ModelAnswer>),
    /// What an answer of the model cost.
    Usage(Usage),
    /// The user is asked. The owner answers with what the user says.
    Question {
        /// The item that the question belongs to.
        item: ItemId,
        /// What is asked.
        text: String,
        /// Where the answer goes; dropped when there will be none.
        answer: oneshot::Sender<Answered>,
    },
    /// A call asks: whether it may be made, what the user says, what the client's tool answers.
    Ask(Box<Asking>),
    /// What was found where the thread works.
    Surroundings(Arc<Surroundings>),
    /// The turn needs tools. The owner starts the helpers if they are not there yet.
    WantsHelpers(oneshot::Sender<Arc<HelperSet>>),
    /// The last report.
    Ended(Outcome),
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The user's words.
    Text(String),
    /// Every client that was asked answered with an error: the first one's text.
    Refused(String),
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// Completed, interrupted or failed.
    pub(crate) status: TurnStatus,
    /// Why it failed.
    pub(crate) error: Option<TurnError>,
}

impl Outcome {
    /// A turn that failed with this text.
    #[must_use]
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { status: TurnStatus::Failed, error: Some(TurnError::new(message)) }
    }

    fn ended(status: TurnStatus) -> Self {
        Self { status, error: None }
    }
}

/// Why a turn does not go on.
#[derive(Debug)]
enum Stop {
    Interrupted,
    Failed(Box<TurnError>),
}

impl Stop {
    fn failed(message: impl Into<String>) -> Self {
        Self::Failed(Box::new(TurnError::new(message)))
    }
}

impl From<ProviderError> for Stop {
    fn from(error: ProviderError) -> Self {
        Self::Failed(Box::new(told(error)))
    }
}

/// The error as clients are told of it.
fn told(error: ProviderError) -> TurnError {
    let ProviderError { message, info, details, stopped: _ } = error;
    TurnError { codex_error_info: info, additional_details: details, ..TurnError::new(message) }
}

/// Runs a turn to its end. The last report is [`Report::Ended`].
pub(crate) async fn run(job: Job, wires: Wires) {
    let planning = job.plans.then(Planning::default);
    let mut turn = Running {
        job,
        reports: wires.reports,
        steers: wires.steers,
        message: None,
        planning,
        texts: Vec::new(),
        phase: None,
        thought: None,
        offer: Offer::default(),
        before: Vec::new(),
        context_tokens: 0,
        added: VecDeque::new(),
    };
    let outcome = match turn.carry_out().await {
        Ok(()) => Outcome::ended(TurnStatus::Completed),
        Err(Stop::Interrupted) => Outcome::ended(TurnStatus::Interrupted),
        Err(Stop::Failed(error)) => Outcome { status: TurnStatus::Failed, error: Some(*error) },
    };
    turn.complete_thought().await;
    turn.complete_messages().await;
    turn.report(Report::Ended(outcome)).await;
}

struct Running {
    job: Job,
    reports: mpsc::Sender<Report>,
    steers: mpsc::Receiver<Added>,
    /// The agent message that is being streamed.
    message: Option<AgentMessageItem>,
    /// The phase of the message that is to begin.
    phase: Option<MessagePhase>,
    /// In plan mode: the plans in it.
    planning: Option<Planning>,
    /// Texts of the answer at hand that are whole.
    texts: Vec<AgentMessageItem>,
    /// The thought that is being streamed.
    thought: Option<ReasoningItem>,
    /// What the model may call.
    offer: Offer,
    /// What the model is told before the conversation. It is no part of it: nothing of it is recorded or summarised.
    before: Vec<Entry>,
    /// Tokens that the conversation had when it was last sent.
    context_tokens: i64,
    /// What the user has added, and the model has not been asked with yet.
    added: VecDeque<Added>,
}

impl Running {
    async fn carry_out(&mut self) -> Result<(), Stop> {
        if self.job.needs_helpers {
            self.require_helpers().await?;
        }
        let mut prompt = self.prompt().await?;
        match self.job.task {
            Task::Answer(_) => self.rounds(&mut prompt).await,
            Task::Compact => self.compact(&mut prompt, KeptMessages::Results).await,
        }
    }

    /// What the model is asked first.
    async fn prompt(&mut self) -> Result<Prompt, Stop> {
        let history = self.conversation().await?;
        self.look_around().await?;
        match self.job.task {
            Task::Answer(_) => self.offer_tools().await?,
            Task::Compact if compact::is_worth_it(&history, KeptMessages::Results) => {
                self.show_tools().await?
            }
            Task::Compact => {}
        }
        Ok(Prompt {
            thread: self.job.thread,
            model: self.job.recipient.model.clone(),
            settings: self.job.settings.clone(),
            history,
            tools: self.offer.specs(),
            tool_choice: ToolChoice::Auto,
        })
    }

    /// The conversation, with the input of this turn.
    async fn conversation(&mut self) -> Result<Vec<Entry>, Stop> {
        let mut past = std::mem::replace(&mut self.job.past, Past::Unneeded);
        let input: &[UserInput] = match &self.job.task {
            Task::Answer(input) => input,
            Task::Compact => &[],
        };
        let read = self.unless_interrupted(past.read(&self.job.recipient, input)).await?;
        let cannot = |error| Stop::failed(format!("what was said before cannot be read: {error}"));
        // Not on disk: the owner says so.
        let mut conversation = read.map_err(cannot)?.ok_or(Stop::Interrupted)?;
        self.read_files_of(&mut conversation).await?;
        if conversation.is_trimmed() {
            self.warn_of_budget().await;
        }
        self.context_tokens = conversation.tokens();
        let history = conversation.entries();
        past.keep(conversation, &self.job.recipient);
        Ok(history)
    }

    /// Replaces old results and pictures by notes where they are too much for a request.
    async fn keep_to_budget(&mut self, history: &mut [Entry]) {
        if budget::fit(history.iter_mut().collect()) {
            self.warn_of_budget().await;
        }
    }

    async fn warn_of_budget(&self) {
        self.report(Report::WarningOnce(budget::WARNING.to_owned())).await;
    }

    /// Waits, but no longer than the turn: files that are read may be on a disk that is gone.
    async fn unless_interrupted<T>(&self, what: impl Future<Output = T>) -> Result<T, Stop> {
        self.job.cancel.run_until_cancelled(what).await.ok_or(Stop::Interrupted)
    }

    /// The model answers, and is asked again with what came of its calls, until it is done.
    async fn rounds(&mut self, prompt: &mut Prompt) -> Result<(), Stop> {
        let mut round = 0;
        while self.job.rounds.is_none_or(|most| round < most) {
            round += 1;
            self.make_room(prompt).await?;
            let mut answer = self.answer_that_fits(prompt).await?;
            // What the user has added may have cut it before its first word.
            if answer.is_silent() && self.added.is_empty() {
                let message =
                    format!("the model {} has said nothing in its answer", self.job.recipient.model);
                self.report(Report::Warning(message)).await;
            }
            prompt.history.extend(answer.said);
            let mut results = answer.answered;
            if !answer.calls.is_empty() {
                results.extend(self.call_tools(answer.calls, answer.recorded).await?);
            } else if answer.recorded.iter().any(|said| matches!(said, AnswerPart::Raw { .. })) {
                // Thoughts of an answer without calls end with the turn.
                answer.recorded.retain(|said| !matches!(said, AnswerPart::Thought { .. }));
                self.record_answer(answer.recorded, &[]).await;
            }
            if results.is_empty() && !self.is_steered().await {
                return Ok(());
            }
            prompt.history.extend(results.into_iter().map(Entry::Result));
        }
        Err(Stop::failed(format!(
            "the model was asked {round} times in this turn, the most that limits.turn_rounds allows; say how to go on"
        )))
    }

    /// One answer of the model to all that was said. Where the provider finds the conversation too long, it is compacted first:
    /// without the results that no model has read, and then with them.
    async fn answer_that_fits(&mut self, prompt: &mut Prompt) -> Result<Answer, Stop> {
        let mut attempts = [KeptMessages::Results, KeptMessages::Messages].into_iter();
        loop {
            self.take_added(&mut prompt.history).await?;
            self.keep_to_budget(&mut prompt.history).await;
            let error = match self.answer(prompt.clone()).await {
                Err(Unanswered::Error(error)) if compact::is_too_long(&error) => error,
                answer => return answer.map_err(Stop::from),
            };
            let worth = |kept: &KeptMessages| compact::is_worth_it(&prompt.history, *kept);
            let Some(kept) = attempts.find(worth) else { return Err(error.into()) };
            self.compact(prompt, kept).await?;
        }
    }

    /// Asks the user. The question belongs to the message that the answer is for: clients know it before they are asked.
    async fn ask(&mut self, text: String) -> Result<ToolResult, Stop> {
        let (answer, answered) = oneshot::channel();
        let item = self.open_message().await;
        self.report(Report::Question { item, text, answer }).await;
        tokio::select! {
            biased;
            () = self.job.cancel.cancelled() => Err(Stop::Interrupted),
            answered = answered => match answered {
                Ok(Answered::Text(text)) => Ok(ToolResult::text("question", text, false)),
                Ok(Answered::Refused(why)) => Err(Stop::failed(format!("the question was not answered: {why}"))),
                Err(_) => Err(Stop::Interrupted),
            },
        }
    }

    fn begin(&self, mut item: ThreadItem) -> ThreadItem {
        item.started_at_ms = Some(self.job.clock.wall().0);
        item
    }

    fn new_item_id(&self) -> ItemId {
        ItemId::from(self.job.clock.new_id().to_string())
    }

    async fn report(&self, report: Report) {
        // The owner is gone only when the thread is; then nobody wants the report.
        self.reports.send(report).await.ok();
    }
}

/// A duration in whole milliseconds, as the wire wants it.
fn millis(took: Duration) -> i64 {
    i64::try_from(took.as_millis()).unwrap_or(i64::MAX)
}

/// How long something took, in milliseconds.
fn took(clock: Clock, since: Instant) -> i64 {
    millis(clock.now().saturating_duration_since(since))
}
