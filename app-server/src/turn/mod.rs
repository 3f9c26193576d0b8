//! One turn, as a child task of its thread's owner: model, tools, model, until it ends, is interrupted, or hits the
//! configured rounds. It owns nothing but what it streams; everything it does it reports to the owner.

use std::sync::Arc;
use std::time::Duration;

use skein_protocol::ids::{ItemId, ThreadId, TurnId};
use skein_protocol::item::{AgentMessageItem, ThreadItem, ThreadItemBody};
use skein_protocol::turn::{TurnError, TurnStatus, UserInput};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::helpers::HelperSet;
use crate::policy;
use crate::provider::{
    Entry, ModelEvent, ModelSettings, Prompt, Provider, ProviderError, ToolCall, ToolResult, Usage,
};

mod input;
mod offer;
mod tools;

use offer::Offer;

/// What a turn is given.
#[derive(Clone)]
pub struct Job {
    /// Its thread.
    pub thread: ThreadId,
    /// Itself.
    pub turn: TurnId,
    /// What the user said.
    pub input: Vec<UserInput>,
    /// The model's name.
    pub model: String,
    /// The model's adapter.
    pub provider: Arc<dyn Provider>,
    /// Whether a helper that is required has to be there first.
    pub needs_helpers: bool,
    /// Ends the turn. The turn ends soon after, and says so.
    pub cancel: CancellationToken,
    /// For the times of its items.
    pub clock: Clock,
}

/// A turn's way to its owner. All reports go through one bounded queue, in order.
#[derive(Debug)]
pub struct Wires {
    /// To the owner. While the disk is behind, the owner does not read it, and the turn waits.
    pub reports: mpsc::Sender<Report>,
    /// What the user adds while the turn runs. Closed by the turn when it takes no more.
    pub steers: mpsc::Receiver<Vec<UserInput>>,
}

/// What a turn tells its owner.
#[derive(Debug)]
pub enum Report {
    /// An item begins.
    ItemStarted(ThreadItem),
    /// The next piece of an agent message's text.
    Delta {
        /// The message.
        item: ItemId,
        /// The piece.
        text: String,
    },
    /// A tool call has something to say before its end.
    Progress {
        /// The call.
        item: ItemId,
        /// What it says.
        message: String,
    },
    /// An item is done.
    ItemCompleted(ThreadItem),
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
    /// The turn needs tools. The owner starts the helpers if they are not there yet.
    WantsHelpers(oneshot::Sender<Arc<HelperSet>>),
    /// The last report.
    Ended(Outcome),
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// The user's words.
    Text(String),
    /// Every client that was asked answered with an error: the first one's text.
    Refused(String),
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Completed, interrupted or failed.
    pub status: TurnStatus,
    /// Why it failed.
    pub error: Option<TurnError>,
}

impl Outcome {
    /// A turn that failed with this text.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
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
        let ProviderError { message, info, details } = error;
        let (codex_error_info, additional_details) = (info, details);
        Self::Failed(Box::new(TurnError { codex_error_info, additional_details, ..TurnError::new(message) }))
    }
}

/// Runs a turn to its end. The last report is [`Report::Ended`].
pub async fn run(job: Job, wires: Wires) {
    let mut turn =
        Running { job, reports: wires.reports, steers: wires.steers, message: None, offer: Offer::default() };
    let outcome = match turn.rounds().await {
        Ok(()) => Outcome::ended(TurnStatus::Completed),
        Err(Stop::Interrupted) => Outcome::ended(TurnStatus::Interrupted),
        Err(Stop::Failed(error)) => Outcome { status: TurnStatus::Failed, error: Some(*error) },
    };
    turn.complete_message().await;
    turn.report(Report::Ended(outcome)).await;
}

struct Running {
    job: Job,
    reports: mpsc::Sender<Report>,
    steers: mpsc::Receiver<Vec<UserInput>>,
    /// The agent message that is being streamed.
    message: Option<AgentMessageItem>,
    /// What the model may call.
    offer: Offer,
}

/// What one answer of the model has said so far.
#[derive(Debug, Default)]
struct Answer {
    /// For the conversation: texts, thoughts and calls in their order.
    said: Vec<Entry>,
    /// What it wants called.
    calls: Vec<ToolCall>,
    /// What the user answered to its questions.
    answered: Vec<ToolResult>,
}

impl Running {
    async fn rounds(&mut self) -> Result<(), Stop> {
        if self.job.needs_helpers {
            self.require_helpers().await?;
        }
        self.offer_tools().await?;
        let mut prompt = self.prompt();
        for _ in 0..policy::TURN_ROUNDS {
            let answer = self.answer(prompt.clone()).await?;
            prompt.history.extend(answer.said);
            let mut results = answer.answered;
            if !answer.calls.is_empty() {
                results.extend(self.call_tools(answer.calls).await?);
            }
            if results.is_empty() {
                match self.steered().await {
                    Some(input) => prompt.history.push(input::entry(&input)),
                    None => return Ok(()),
                }
            }
            prompt.history.extend(results.into_iter().map(Entry::Result));
        }
        let most = policy::TURN_ROUNDS;
        Err(Stop::failed(format!(
            "the model asked for tools {most} times without an end; say what to do next"
        )))
    }

    /// What the model is asked first.
    fn prompt(&mut self) -> Prompt {
        Prompt {
            thread: self.job.thread,
            model: self.job.model.clone(),
            settings: ModelSettings::default(),
            history: vec![input::entry(&std::mem::take(&mut self.job.input))],
            tools: self.offer.specs(),
        }
    }

    /// What the user added meanwhile. When there is nothing, nothing can be added any more: the owner keeps what
    /// comes later for the next turn.
    async fn steered(&mut self) -> Option<Vec<UserInput>> {
        if let Ok(input) = self.steers.try_recv() {
            return Some(input);
        }
        self.steers.close();
        // Ends at once, but waits for what the owner is putting in at this very moment.
        self.steers.recv().await
    }

    /// One answer of the model.
    async fn answer(&mut self, prompt: Prompt) -> Result<Answer, Stop> {
        let (events, mut stream) = mpsc::channel(policy::MODEL_EVENTS);
        let provider = Arc::clone(&self.job.provider);
        let cancel = self.job.cancel.clone();
        let mut answering = std::pin::pin!(provider.answer(prompt, events, cancel));
        let mut ended = None;
        let mut answer = Answer::default();
        loop {
            let event = tokio::select! {
                biased;
                event = stream.recv() => event,
                result = &mut answering, if ended.is_none() => {
                    ended = Some(result);
                    continue;
                }
            };
            match event {
                Some(event) => self.heard(event, &mut answer).await?,
                None => break,
            }
        }
        let result = match ended {
            Some(result) => result,
            None => answering.await,
        };
        if self.job.cancel.is_cancelled() {
            return Err(Stop::Interrupted);
        }
        self.keep_text(&mut answer).await;
        result.map(|()| answer).map_err(Stop::from)
    }

    /// Takes one event of the model's stream.
    async fn heard(&mut self, event: ModelEvent, answer: &mut Answer) -> Result<(), Stop> {
        match event {
            ModelEvent::TextDelta(text) => self.say(text).await,
            ModelEvent::ReasoningDelta { .. } => {}
            ModelEvent::Reasoning(reasoning) => {
                self.keep_text(answer).await;
                answer.said.push(Entry::Reasoning(reasoning));
            }
            ModelEvent::Usage(usage) => {
                self.keep_text(answer).await;
                self.report(Report::Usage(usage)).await;
            }
            ModelEvent::ToolCall(call) => {
                self.keep_text(answer).await;
                answer.said.push(Entry::Call(call.clone()));
                answer.calls.push(call);
            }
            ModelEvent::Question(text) => {
                self.keep_text(answer).await;
                answer.answered.push(self.ask(text).await?);
            }
            ModelEvent::Again(_) => {
                self.complete_text().await;
                *answer = Answer::default();
            }
        }
        Ok(())
    }

    /// Completes the text that is being streamed, and makes it part of the conversation.
    async fn keep_text(&mut self, answer: &mut Answer) {
        if let Some(message) = self.message.as_ref().filter(|message| !message.text.is_empty()) {
            answer.said.push(Entry::Assistant(message.text.clone()));
        }
        self.complete_text().await;
    }

    async fn say(&mut self, text: String) {
        self.open_message().await;
        if let Some(message) = &mut self.message {
            message.text.push_str(&text);
            let item = message.id.clone();
            self.report(Report::Delta { item, text }).await;
        }
    }

    /// Begins a message, unless one is being streamed. Returns its id.
    async fn open_message(&mut self) -> ItemId {
        if let Some(message) = &self.message {
            return message.id.clone();
        }
        let item = self.begin(ThreadItem::agent_message(self.new_item_id(), ""));
        let id = item.id().clone();
        self.report(Report::ItemStarted(item.clone())).await;
        if let ThreadItemBody::AgentMessage(message) = item.body {
            self.message = Some(message);
        }
        id
    }

    /// Completes the message that is being streamed, if it says something. One that waits for its first word, because
    /// the user was asked before it, goes on.
    async fn complete_text(&mut self) {
        if self.message.as_ref().is_some_and(|message| !message.text.is_empty()) {
            self.complete_message().await;
        }
    }

    /// Completes the message that is being streamed, if any.
    async fn complete_message(&mut self) {
        if let Some(message) = self.message.take() {
            let item = ThreadItemBody::AgentMessage(message).into();
            self.report(Report::ItemCompleted(item)).await;
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
