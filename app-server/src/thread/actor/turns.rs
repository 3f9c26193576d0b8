//! The running turn: how the owner begins it, records its reports, and ends it.

use std::sync::Arc;

use skein_protocol::budget::{BudgetScope, BudgetState};
use skein_protocol::event::{ErrorNotification, NextTry, TurnStartedNotification};
use skein_protocol::ids::{ItemId, ThreadId, TurnId};
use skein_protocol::notifications::{Error as ErrorNotice, TurnStarted as TurnStartedNotice};
use skein_protocol::turn::{TurnError, TurnStatus};
use skein_store::rollout::Keep;
use skein_store::rollout::record::{AnswerPart, Compacted, FilesRead, ModelAnswer};
use skein_turn::conversation_cache::Slot;
use skein_turn::{Added, Outcome, Report, TurnTask};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answers::{answer_input, shown_turn};
use super::budget::{RequestStart, WaitingRequest};
use super::log::Log;
use super::settings::context_items;
use super::{Child, Owner, ThreadParts, queue, settings, user_state};
use crate::policy;
use crate::thread::command::{Command, Input, InputReply};
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, TurnKept, WaiterId};
use crate::thread::machine::Persistence;

mod end;
mod input;
mod items;
mod job;
mod usage;

pub(super) use end::record_closing;
pub(super) use items::warn;

/// The turn of a thread.
pub(super) struct TurnState {
    running: Option<RunningTurn>,
    failed: bool,
    /// The conversation that the model of the last turn has read.
    conversation: Arc<Slot>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    /// The limits that were near at the last look. The user was warned of them.
    warned: Vec<(BudgetScope, i64)>,
    /// Whether the server is about to stop.
    drains: bool,
}

/// The running turn.
struct RunningTurn {
    id: TurnId,
    /// The task. It ends soon after a cancel.
    task: AbortHandle,
    /// The model's context window, in tokens.
    window: i64,
    /// Whether it takes steers.
    takes_more: bool,
    cancel: CancellationToken,
    /// Cancelled when no call and no request begins any more.
    ends_early: CancellationToken,
    /// Whether it has ended early, without an end.
    rests: bool,
    /// Calls and requests that were let begin.
    begun: usize,
    /// Requests of a turn that ends early. They stay without an answer.
    held: Vec<Box<dyn std::any::Any + Send>>,
    steers: mpsc::Sender<Added>,
    ending: Ending,
    began: Instant,
}

/// A turn that has ended.
pub(super) struct Ended {
    pub(super) id: TurnId,
    pub(super) outcome: Outcome,
    /// Whether its records are saved or can still be.
    pub(super) saved: bool,
    began: Instant,
}

/// Why the running turn does not take a steer.
enum NotSteered {
    Full,
    /// No turn runs, it is ending, or it takes no steers: the next turn may take the input.
    Later,
}

/// Whether a turn ends with its own outcome.
enum Ending {
    Own,
    /// Something else than a user interrupts it, for this reason.
    CutOff(&'static str),
    /// It fails, because its records are not saved, for this reason.
    Unsaved(String),
}

impl Ending {
    fn of(&self, outcome: Outcome) -> Outcome {
        match self {
            Self::CutOff(why) if outcome.status == TurnStatus::Interrupted => {
                Outcome { error: Some(TurnError::new(*why)), ..outcome }
            }
            Self::Own | Self::CutOff(_) => outcome,
            Self::Unsaved(why) => Outcome::failed(end::unsaved(why)),
        }
    }
}

impl TurnState {
    pub(super) fn new(conversation: Arc<Slot>) -> Self {
        let reports = mpsc::channel(policy::TURN_REPORTS);
        Self { running: None, failed: false, conversation, reports, warned: Vec::new(), drains: false }
    }

    /// Drops reports of a turn before this load.
    pub(super) fn forget_reports(&mut self) {
        self.reports = mpsc::channel(policy::TURN_REPORTS);
    }

    pub(super) fn inbox(&mut self) -> &mut mpsc::Receiver<Report> {
        &mut self.reports.1
    }

    /// Whether the running turn takes messages: it is no compaction.
    pub(super) fn takes_more(&self) -> bool {
        self.running.as_ref().is_some_and(|turn| turn.takes_more)
    }

    /// Those of the limits that are near which were not at the last look.
    pub(super) fn newly_near(&mut self, near: Vec<BudgetState>) -> Vec<BudgetState> {
        let limits = near.iter().map(|state| (state.scope, state.limit)).collect();
        let before = std::mem::replace(&mut self.warned, limits);
        near.into_iter().filter(|state| !before.contains(&(state.scope, state.limit))).collect()
    }

    /// The running turn.
    pub(super) fn id(&self) -> Option<&TurnId> {
        self.running.as_ref().map(|turn| &turn.id)
    }

    pub(super) fn runs(&self, turn: &TurnId) -> bool {
        self.id() == Some(turn)
    }

    /// The turn of this task.
    pub(super) fn of_task(&self, task: tokio::task::Id) -> Option<TurnId> {
        let running = self.running.as_ref()?;
        (running.task.id() == task).then(|| running.id.clone())
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Forgets that the last turn failed.
    pub(super) fn forget_failure(&mut self) {
        self.failed = false;
    }

    /// Why the turn that a steer names does not take the steer.
    pub(super) fn refusal_of_steer(&self, id: ThreadId, named: &TurnId) -> Option<ThreadError> {
        match &self.running {
            _ if named.as_str().is_empty() => Some(ThreadError::NoTurnNamed { id }),
            Some(turn) if turn.id != *named => {
                Some(ThreadError::SteersOther { id, named: named.clone(), active: turn.id.clone() })
            }
            Some(turn) if !turn.takes_more => Some(ThreadError::NotSteerable { id, turn: turn.id.clone() }),
            Some(_) => None,
            None => Some(ThreadError::NothingToSteer { id }),
        }
    }

    /// Gives input to the running turn, as this item.
    fn steer(&self, item: &ItemId, input: &Input) -> Result<TurnId, NotSteered> {
        let is_turn = matches!(input.reply, InputReply::Compact(_) | InputReply::Queued(..));
        let takes = |turn: &&RunningTurn| turn.takes_more && !is_turn;
        let turn = self.running.as_ref().filter(takes).ok_or(NotSteered::Later)?;
        let (context, text) = (context_items(&input.params), input.params.input.clone());
        let added = Added { item: item.clone(), context, input: text };
        match turn.steers.try_send(added) {
            Ok(()) => Ok(turn.id.clone()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(NotSteered::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(NotSteered::Later),
        }
    }

    /// The number of steers that the running turn has not taken from its queue yet.
    fn waiting_steers(&self) -> usize {
        self.running.as_ref().map_or(0, |turn| turn.steers.max_capacity() - turn.steers.capacity())
    }

    pub(super) fn stop(&self) {
        if let Some(turn) = &self.running {
            turn.cancel.cancel();
        }
    }

    /// The server is about to stop.
    pub(super) fn drain(&mut self) {
        self.drains = true;
    }

    /// Whether the server is about to stop.
    pub(super) fn drains(&self) -> bool {
        self.drains
    }

    /// Lets the turn begin nothing more.
    pub(super) fn end_early(&self) {
        if let Some(turn) = &self.running {
            turn.ends_early.cancel();
        }
    }

    /// Whether the turn has been told to end, by a user or for the next server.
    pub(super) fn is_stopped(&self) -> bool {
        self.running.as_ref().is_some_and(|turn| turn.cancel.is_cancelled() || turn.ends_early.is_cancelled())
    }

    /// Notes that a call or a request may begin.
    pub(super) fn note_begun(&mut self) {
        if let Some(turn) = &mut self.running {
            turn.begun += 1;
        }
    }

    /// Notes that the turn has ended early, unless a call or a request begins yet: so many have begun.
    fn rest(&mut self, begun: usize) {
        if let Some(turn) = &mut self.running {
            turn.rests = begun == turn.begun;
        }
    }

    /// Whether the turn has ended early, and waits for the next server.
    pub(super) fn is_at_rest(&self) -> bool {
        self.running.as_ref().is_some_and(|turn| turn.rests)
    }

    /// Holds a request of a turn that ends early; returns that of another turn.
    pub(super) fn hold<T: Send + 'static>(&mut self, request: T) -> Option<T> {
        match self.running.as_mut().filter(|turn| turn.ends_early.is_cancelled()) {
            Some(turn) => turn.held.push(Box::new(request)),
            None => return Some(request),
        }
        None
    }

    /// The end of an uninterrupted turn says why it is interrupted now.
    pub(super) fn cut_off(&mut self, why: &'static str) {
        let untouched = |turn: &&mut RunningTurn| !turn.cancel.is_cancelled();
        if let Some(turn) = self.running.as_mut().filter(untouched) {
            turn.ending = Ending::CutOff(why);
        }
    }

    /// Fails the running turn, because the disk does not take its records. Returns whether a turn runs.
    pub(super) fn fail(&mut self, why: &str) -> bool {
        let Some(turn) = &mut self.running else { return false };
        if !matches!(turn.ending, Ending::Unsaved(_)) {
            turn.ending = Ending::Unsaved(why.to_owned());
        }
        true
    }

    /// Aborts the turn without recording an end.
    pub(super) fn abort(&mut self) {
        if let Some(turn) = self.running.take() {
            turn.task.abort();
        }
    }

    /// Ends the turn with its own outcome, unless the server or the disk has ended it.
    fn end(&mut self, outcome: Outcome) -> Option<Ended> {
        let turn = self.running.take()?;
        let saved = !matches!(turn.ending, Ending::Unsaved(_));
        let outcome = turn.ending.of(outcome);
        self.failed = outcome.status == TurnStatus::Failed;
        Some(Ended { id: turn.id, outcome, saved, began: turn.began })
    }
}

impl Owner {
    /// Gives a thread its rollout that has to be on disk from now on. Returns the event for the machine if it had none.
    pub(super) fn materialise(&mut self) -> Option<Event> {
        let is_durable = self.log.persistence() == Persistence::Durable;
        let materialises = is_durable && !self.machine.is_materialised();
        if materialises {
            self.log.materialise();
        }
        materialises.then_some(Event::Materialised)
    }

    /// Begins a turn with this input, and queues the answer before the turn's first notification. Returns
    /// [`Event::Materialised`] if the thread gets its rollout with this turn.
    pub(super) fn begin_turn(&mut self, input: WaiterId) -> Option<Event> {
        let Input { params, reply } = *self.waiters.take_input(input)?;
        let turn_id = match &reply {
            InputReply::Queued(message, _) => message.clone(),
            InputReply::Start(_) | InputReply::Steer(..) | InputReply::Compact(_) => {
                TurnId::from(self.services.clock.new_id().to_string())
            }
        };
        let is_queued = matches!(reply, InputReply::Queued(..));
        // A compaction is no message: a thread without messages stays in memory.
        let speaks = !matches!(reply, InputReply::Compact(_));
        let materialised = if speaks { self.materialise() } else { None };
        settings::change(&mut self.log, &self.helpers, Keep::Process, &params);
        let item = ItemId::from(self.services.clock.new_id().to_string());
        let numbers = input::record_beginning(&mut self.log, &turn_id, item, &params);
        let task = match &reply {
            InputReply::Start(_) | InputReply::Steer(..) | InputReply::Queued(..) => {
                TurnTask::Answer(params.input.clone())
            }
            InputReply::Compact(_) => TurnTask::Compact,
        };
        let terms = input::terms_of(&params).map(|terms| *terms).unwrap_or_default();
        self.parts().run_turn(turn_id.clone(), task, &terms, numbers.last().copied());
        answer_input(&mut self.log, reply, &turn_id);
        self.parts().show_status();
        let turn = shown_turn(&self.log, &turn_id);
        let params = TurnStartedNotification { thread_id: self.id, turn };
        self.log.notify::<TurnStartedNotice>(&params, numbers.first().copied());
        if numbers.len() > 2 {
            input::notify(&mut self.log, &turn_id, &numbers);
        }
        if is_queued {
            queue::notify(&mut self.log);
        }
        job::warn_of_unknown_model(&self.services, &mut self.log, &mut self.helpers);
        self.services.counters.turns_started.add_one();
        materialised
    }

    /// Gives this input to the running turn. If the turn is ending, defers the input for the next turn, or refuses a steer.
    pub(super) fn steer_turn(&mut self, input: WaiterId) {
        let Some(input) = self.waiters.take_input(input) else { return };
        let item = ItemId::from(self.services.clock.new_id().to_string());
        let turn_id = match (self.turns.steer(&item, &input), input.reply.expected()) {
            (Ok(turn_id), _) => turn_id,
            (Err(NotSteered::Later), None) => return self.defer(Command::Input(input)),
            (Err(NotSteered::Later), Some(_)) => {
                return input.reply.err(&ThreadError::NothingToSteer { id: self.id }.to_wire());
            }
            (Err(NotSteered::Full), _) => {
                return input.reply.err(&ThreadError::SteersFull { id: self.id }.to_wire());
            }
        };
        let Input { params, reply } = *input;
        // Its settings hold from now on: for the questions of this turn, and for the next turn.
        if matches!(reply, InputReply::Start(_)) {
            settings::change(&mut self.log, &self.helpers, Keep::Process, &params);
        }
        let numbers = input::record_steer(&mut self.log, &turn_id, item, &params);
        answer_input(&mut self.log, reply, &turn_id);
        input::notify(&mut self.log, &turn_id, &numbers);
    }

    /// Takes a report of the turn.
    pub(super) fn report(&mut self, report: Report) {
        let Some(turn) = &self.turns.running else { return };
        let (id, log) = (&turn.id, &mut self.log);
        match report {
            Report::ItemStarted(item) => items::started(log, id, item),
            Report::Delta { item, text } => items::delta(log, id, item, text),
            Report::PlanDelta { item, text } => items::plan_delta(log, id, item, text),
            Report::ReasoningDelta { item, of, part, text } => {
                items::reasoning(log, id, item, (of, part), text)
            }
            Report::Warning(message) => items::warn(log, message),
            Report::WarningOnce(message) => items::warn_once(log, &mut self.helpers, message),
            Report::Again { error, next } => notify_of_error(log, id, error, (true, next)),
            Report::Compacted { summary, kept } => {
                log.record_one(Compacted { turn_id: id.clone(), summary, kept }, Keep::Process);
            }
            Report::FilesRead { item, files } => {
                log.record_one(FilesRead { turn_id: id.clone(), item_id: item, files }, Keep::Process);
            }
            Report::Context(tokens) => self.parts().context_is(tokens),
            Report::Progress { item, message } => items::progress(log, id, item, message),
            Report::ItemCompleted(item) => items::completed(log, id, item),
            Report::Answered(answer) => self.parts().answered(*answer),
            Report::Usage(used) => self.parts().used(&used),
            Report::MayAsk(request, answer) => {
                self.parts().may_ask(WaitingRequest { request, answer }, RequestStart::AtOnce);
            }
            Report::Question { item, text, answer } => {
                let turn = id.clone();
                self.parts().ask_for_words(turn, item, (text, answer));
            }
            Report::Ask(asking) => self.parts().turn_asks(*asking),
            Report::AskAgain { item, answer } => self.parts().ask_again(item, answer),
            // The turn may have ended.
            Report::WantsHistory(give) => drop(give.send(self.parts().history_so_far())),
            Report::MayWork(permit) => self.repair.works_with(permit),
            Report::Surroundings(found) => self.helpers.found(Some(found)),
            Report::WantsHelpers(give) => self.command(Command::Helpers(give)),
            Report::AtRest(begun) => self.turns.rest(begun),
            Report::Ended(outcome) => self.end_turn(outcome),
        }
    }

    /// A turn's task has ended. Takes its last reports. A task that ended without a report of its end has failed. The next turn
    /// may run already.
    pub(super) fn turn_task_ended(&mut self, turn: &TurnId) {
        while self.turns.runs(turn)
            && let Ok(report) = self.turns.reports.1.try_recv()
        {
            self.report(report);
        }
        if self.turns.runs(turn) {
            self.end_turn(Outcome::failed("internal error: the turn broke off; the server's log has more"));
        }
    }

    /// Ends the turn: closes open questions and items, records the end, and publishes it.
    fn end_turn(&mut self, outcome: Outcome) {
        let Some(ended) = self.turns.end(outcome) else { return };
        self.parts().end_questions(&ended.id);
        self.step(Event::Turn { kept: self.machine.turn().0, questions: 0 });
        end::close_open_items(&mut self.log);
        let number = ended.record(&mut self.log);
        self.parts().show_status();
        if let Some(error) = ended.outcome.error.clone() {
            notify_of_error(&mut self.log, &ended.id, error, (false, None));
        }
        // Before `turn/completed`, which is the last notification of a turn.
        user_state::notify_of_end(&mut self.log, &ended.id);
        end::notify(&mut self.log, &ended.id, number, ended.saved);
        let took = self.services.clock.now().saturating_duration_since(ended.began);
        self.services.counters.turns.add(took);
        self.parts().fail_unsaved_turns();
        // Before the end of the turn, which unloads an orphaned thread.
        self.note_queue();
        self.step(Event::TurnEnded);
        if self.machine.is_loaded() {
            self.take_up_deferred();
        }
    }
}

impl ThreadParts<'_> {
    /// Records a whole answer, if a model or the next load has to know more of it than its items.
    fn answered(&mut self, answer: ModelAnswer) {
        let has_own_form = |part: &AnswerPart| match part {
            AnswerPart::Call(_) | AnswerPart::Raw { .. } => true,
            AnswerPart::Text { .. } | AnswerPart::Thought { .. } => false,
        };
        if answer.parts.iter().any(has_own_form) || self.turn_kept() != TurnKept::No {
            self.log.record_one(answer, Keep::Process);
        }
    }

    /// Fails turns whose ends the disk does not take. Not during a turn, whose records stay together.
    pub(super) fn fail_unsaved_turns(&mut self) {
        if end::fail_unsaved(self.log) {
            self.turns.failed = true;
            self.show_status();
        }
    }
}

/// Publishes an error, whether the turn asks the model again, and when.
fn notify_of_error(
    log: &mut Log,
    turn_id: &TurnId,
    error: TurnError,
    (will_retry, skein): (bool, Option<NextTry>),
) {
    let params =
        ErrorNotification { error, thread_id: log.id(), turn_id: turn_id.clone(), will_retry, skein };
    log.notify::<ErrorNotice>(&params, None);
}

#[cfg(test)]
mod tests;
