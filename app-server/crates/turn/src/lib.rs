//! One turn, run as a child task of its thread's owner. The turn alternates between model and tools until the model is
//! done, the user interrupts, or the rounds that the settings allow are used up. It holds only the answer in progress
//! and reports everything else to the owner.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use skein_base::clock::Clock;
use skein_base::tasks::Tasks;
use skein_config::ModelTerms;
use skein_protocol::event::NextTry;
use skein_protocol::ids::{ItemId, ThreadId, TurnId};
use skein_protocol::item::{AgentMessageItem, ReasoningItem, ThreadItem};
use skein_protocol::response_item::MessagePhase;
use skein_protocol::turn::{TurnError, TurnStatus, UserInput};
use skein_provider::{Entry, ModelSettings, Prompt, Provider, ProviderError, ToolChoice, ToolResult};
use skein_store::rollout::record::{AnswerPart, KeptMessages};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod abilities;
mod added;
mod answer;
mod answering;
pub mod approval;
pub mod asking;
mod budget;
mod compact;
pub mod context;
mod conversation;
pub mod conversation_cache;
mod files;
mod go_on;
mod helper_notes;
mod history;
mod image;
mod input;
mod offer;
mod own_calls;
pub mod own_tools;
pub mod plan;
mod planning;
pub mod policy;
mod report;
mod rest;
mod result;
mod size;
pub mod surroundings;
mod tools;

pub use context::TurnContext;
pub use conversation::Recipient;
pub use go_on::{HistorySoFar, LeftOver, Turnstile};
pub use history::{HistorySource, StoredHistory};
pub use report::{Answered, ModelRequest, ModelRequestKind, Outcome, Report, TurnLimits, Wires};

use answer::{AnswerInProgress, Unanswered};
use offer::Offer;
use own_tools::OwnTools;
use planning::Planning;
use rest::Work;

/// The task of a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnTask {
    /// Answer this input of the user.
    Answer(Vec<UserInput>),
    /// Go on with the turn of an earlier load.
    GoOn(LeftOver),
    /// Replace the conversation by a summary.
    Compact,
}

/// A message from the user while a turn runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// The item of the message.
    pub item: ItemId,
    /// Items from the client for the model only, in the format of the Responses API.
    pub context: Vec<Value>,
    /// The user's words, pictures and files.
    pub input: Vec<UserInput>,
}

/// Everything that a turn needs to run.
pub struct Job {
    /// The thread.
    pub thread: ThreadId,
    /// The turn.
    pub turn: TurnId,
    /// The task.
    pub task: TurnTask,
    /// Ends with the input of this turn.
    pub history: HistorySource,
    /// The model, by its names.
    pub recipient: Recipient,
    /// The settings of its requests.
    pub settings: ModelSettings,
    /// Its window, and when the conversation is compacted.
    pub terms: ModelTerms,
    /// The model itself.
    pub provider: Arc<dyn Provider>,
    /// The limits for the use of the model at the beginning of the turn.
    pub limits: TurnLimits,
    /// Goes to the model before the conversation.
    pub context: TurnContext,
    /// Whether plans in the model's text become items.
    pub plans: bool,
    /// Whether a required helper must run before the turn starts.
    pub needs_helpers: bool,
    /// Tools that no helper has.
    pub own_tools: OwnTools,
    /// Lets a few of the turns that a start goes on with work at once.
    pub turnstile: Option<Turnstile>,
    /// Cancelled when the user interrupts.
    pub cancel: CancellationToken,
    /// Cancelled when the server stops, and the next one goes on with the turn: no call and no request begins any more.
    pub ends_early: CancellationToken,
    /// The clock.
    pub clock: Clock,
    /// Starts tasks.
    pub tasks: Tasks,
}

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
        Self::Failed(Box::new(turn_error(error)))
    }
}

/// The cause of an end is the interrupt, not what it makes fail at the same moment; `run_until_cancelled` prefers the
/// future.
async fn unless_cancelled<T>(cancel: &CancellationToken, wait: impl Future<Output = T>) -> Result<T, Stop> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Stop::Interrupted),
        done = wait => Ok(done),
    }
}

fn turn_error(error: ProviderError) -> TurnError {
    let ProviderError { message, info, details, stopped: _, wait: _ } = error;
    TurnError { codex_error_info: info, additional_details: details, ..TurnError::new(message) }
}

/// The report of an answer that broke off.
fn again(error: ProviderError) -> Report {
    let ms = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let next = error.wait.map(|wait| NextTry { retry_in_ms: ms(wait) });
    Report::Again { error: turn_error(error), next }
}

/// Runs a turn to its end. The last report is [`Report::Ended`].
pub async fn run(job: Job, wires: Wires) {
    let planning = job.plans.then(Planning::default);
    let mut turn = TurnRun {
        work: Work::new(job.ends_early.clone()),
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

struct TurnRun {
    job: Job,
    work: Work,
    reports: mpsc::Sender<Report>,
    steers: mpsc::Receiver<Added>,
    /// The message that is being streamed.
    message: Option<AgentMessageItem>,
    /// The phase of the next message.
    phase: Option<MessagePhase>,
    /// Set in plan mode.
    planning: Option<Planning>,
    /// Complete texts of the current answer.
    texts: Vec<AgentMessageItem>,
    /// The thought that is being streamed.
    thought: Option<ReasoningItem>,
    offer: Offer,
    /// Stands before the conversation in each request. The rollout and summaries leave it out.
    before: Vec<Entry>,
    /// Tokens of the conversation in the last request.
    context_tokens: i64,
    /// Messages of the user that no request has contained yet.
    added: VecDeque<Added>,
}

impl TurnRun {
    async fn carry_out(&mut self) -> Result<(), Stop> {
        if let Some(turnstile) = self.job.turnstile.take()
            && let Some(permit) = self.answer_from(turnstile.pass()).await?
        {
            self.report(Report::MayWork(permit)).await;
        }
        let words = match self.job.task.clone() {
            TurnTask::GoOn(left) if left.is_done => return Ok(()),
            TurnTask::GoOn(left) => {
                let words = self.end_left_over(left).await?;
                // No helper starts while the user is asked.
                self.may_ask(ModelRequestKind::Round, 0).await?;
                words
            }
            TurnTask::Answer(_) | TurnTask::Compact => Vec::new(),
        };
        if self.job.needs_helpers {
            self.require_helpers().await?;
        }
        let mut prompt = self.prompt().await?;
        prompt.history.extend(words.into_iter().map(Entry::Result));
        match self.job.task {
            TurnTask::Answer(_) | TurnTask::GoOn(_) => self.rounds(&mut prompt).await,
            TurnTask::Compact => self.compact(&mut prompt, KeptMessages::Results).await,
        }
    }

    async fn prompt(&mut self) -> Result<Prompt, Stop> {
        let history = self.conversation().await?;
        self.look_around().await?;
        match self.job.task {
            TurnTask::Answer(_) | TurnTask::GoOn(_) => self.offer_tools().await?,
            TurnTask::Compact if compact::is_worth_it(&history, KeptMessages::Results) => {
                self.show_tools().await?
            }
            TurnTask::Compact => {}
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

    /// Returns the conversation with the input of this turn.
    async fn conversation(&mut self) -> Result<Vec<Entry>, Stop> {
        let mut source = std::mem::replace(&mut self.job.history, HistorySource::InputOnly);
        let input: &[UserInput] = match &self.job.task {
            TurnTask::Answer(input) => input,
            TurnTask::GoOn(_) | TurnTask::Compact => &[],
        };
        let read = self.unless_interrupted(source.read(&self.job.recipient, input)).await?;
        let cannot = |error| Stop::failed(format!("what was said before cannot be read: {error}"));
        // The input is not on disk, and the owner reports that.
        let mut conversation = read.map_err(cannot)?.ok_or(Stop::Interrupted)?;
        self.read_files_of(&mut conversation).await?;
        if conversation.is_trimmed() {
            self.warn_of_budget().await;
        }
        self.context_tokens = conversation.tokens();
        let history = conversation.entries();
        source.keep(conversation, &self.job.recipient);
        Ok(history)
    }

    async fn warn_of_budget(&self) {
        self.report(Report::WarningOnce(budget::WARNING.to_owned())).await;
    }

    /// Waits for something outside of the turn, which may never come. An interrupt at the same time wins.
    async fn unless_interrupted<T>(&self, wait: impl Future<Output = T>) -> Result<T, Stop> {
        unless_cancelled(&self.job.cancel, wait).await
    }

    /// Asks the model, with the results of its calls, until an answer neither calls tools nor is followed by a message.
    async fn rounds(&mut self, prompt: &mut Prompt) -> Result<(), Stop> {
        loop {
            self.make_room(prompt).await?;
            let mut answer = self.answer_that_fits(prompt).await?;
            // A message of the user may have cut the answer before its first word.
            if answer.is_silent() && self.added.is_empty() {
                let message =
                    format!("the model {} has said nothing in its answer", self.job.recipient.model);
                self.report(Report::Warning(message)).await;
            }
            prompt.history.extend(answer.entries);
            let mut results = answer.answered;
            if !answer.calls.is_empty() {
                results.extend(self.call_tools(answer.calls, answer.recorded).await?);
            } else {
                // Thoughts of an answer without calls end with the turn.
                answer.recorded.retain(|part| !matches!(part, AnswerPart::Thought { .. }));
                self.record_answer(answer.recorded, &[]).await;
            }
            if results.is_empty() && !self.is_steered().await {
                return Ok(());
            }
            prompt.history.extend(results.into_iter().map(Entry::Result));
        }
    }

    /// Waits until a request to the model may begin.
    async fn may_ask(&mut self, kind: ModelRequestKind, tokens: i64) -> Result<(), Stop> {
        self.may_begin().await?;
        let request = ModelRequest { kind, tokens };
        if !self.job.limits.take(request) {
            return Ok(());
        }
        if let Some(day) = &self.job.limits.day {
            self.answer_from(day.cancelled()).await?;
        }
        let (answer, answered) = oneshot::channel();
        self.report(Report::MayAsk(request, answer)).await;
        match self.answer_from(answered).await? {
            Ok(allowed) => {
                if allowed.is_ok() {
                    self.work.note_begun();
                }
                allowed.map_err(Stop::Failed)
            }
            // The thread is gone.
            Err(_) => Err(Stop::Interrupted),
        }
    }

    /// Asks for one answer. If the provider finds the conversation too long, compacts it first: without the unread
    /// results, and then with them.
    async fn answer_that_fits(&mut self, prompt: &mut Prompt) -> Result<AnswerInProgress, Stop> {
        let mut attempts = [KeptMessages::Results, KeptMessages::Messages].into_iter();
        loop {
            // A message that comes while the user is asked is in the request.
            self.may_ask(ModelRequestKind::Round, prompt.estimated_tokens()).await?;
            self.take_added(&mut prompt.history).await?;
            if budget::fit(prompt.history.iter_mut().collect()) {
                self.warn_of_budget().await;
            }
            let error = match self.answer(prompt.clone()).await {
                Err(Unanswered::Error(error)) if compact::is_too_long(&error) => error,
                answer => return answer.map_err(Stop::from),
            };
            let worth = |kept: &KeptMessages| compact::is_worth_it(&prompt.history, *kept);
            let Some(kept) = attempts.find(worth) else { return Err(error.into()) };
            self.compact(prompt, kept).await?;
        }
    }

    /// Asks the user. The question belongs to the message of the answer, because clients must know the item first.
    async fn ask(&mut self, text: String) -> Result<ToolResult, Stop> {
        let (answer, answered) = oneshot::channel();
        let item = self.open_message().await;
        self.report(Report::Question { item, text, answer }).await;
        match self.answer_from(answered).await? {
            Ok(Answered::Text(text)) => Ok(ToolResult::text("question", text, false)),
            Ok(Answered::Refused(why)) => Err(Stop::failed(format!("the question was not answered: {why}"))),
            Err(_) => Err(Stop::Interrupted),
        }
    }

    /// Reports the begin of an item, and returns the item with its time.
    async fn begin(&self, item: impl Into<ThreadItem>) -> ThreadItem {
        let item = ThreadItem { started_at_ms: Some(self.job.clock.wall().0), ..item.into() };
        self.report(Report::ItemStarted(item.clone())).await;
        item
    }

    async fn complete(&self, item: impl Into<ThreadItem>) {
        self.report(Report::ItemCompleted(item.into())).await;
    }

    fn new_item_id(&self) -> ItemId {
        ItemId::from(self.job.clock.new_id().to_string())
    }

    async fn report(&self, report: Report) {
        // Without an owner the thread is gone, and no report is needed.
        self.reports.send(report).await.ok();
    }
}

/// Milliseconds since an instant.
fn took(clock: Clock, since: Instant) -> i64 {
    i64::try_from(clock.now().saturating_duration_since(since).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn an_interrupt_wins_over_an_answer_that_comes_at_the_same_time() {
        let (cancel, (answer, answered)) = (CancellationToken::new(), oneshot::channel());
        let mut waits = Box::pin(unless_cancelled(&cancel, answered));
        assert!(waits.as_mut().now_or_never().is_none());
        answer.send("an error").unwrap();
        cancel.cancel();
        assert!(matches!(waits.now_or_never(), Some(Err(Stop::Interrupted))));
    }
}
