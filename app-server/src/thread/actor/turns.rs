//! The owner's side of a turn: it begins it, numbers what it reports, and ends it in the books.

use skein_protocol::event::{ErrorNotification, TurnStartedNotification, WarningNotification};
use skein_protocol::extension::TurnSaved;
use skein_protocol::ids::{EventSeq, ItemId, TurnId};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{
    Error as ErrorNotice, TurnCompleted as TurnCompletedNotice, TurnStarted as TurnStartedNotice, Warning,
};
use skein_protocol::turn::{Turn, TurnError, TurnItemsView, TurnStartParams, TurnStatus};
use skein_store::history::SERVER_ENDED;
use skein_store::rollout::Keep;
use skein_store::rollout::record::{
    Compacted, FileRead, FilesRead, ItemCompleted, ItemStarted, ItemsInjected, Kept, RecordBody, TurnStarted,
};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::settings::{context_items, context_of, said_again};
use super::{Child, Owner};
use crate::thread::command::{Command, Input, InputReply};
use crate::thread::error::ThreadError;
use crate::thread::event::Event;
use crate::thread::events;
use crate::thread::machine::{Persistence, Phase};
use crate::thread::outgoing::Notice;
use crate::turn::{Added, Outcome, Report, Task};

mod items;
mod job;
mod usage;

/// The turn that runs.
pub(super) struct RunningTurn {
    /// Its id.
    pub(crate) id: TurnId,
    /// Its task, which ends by itself soon after a cancel.
    pub(crate) task: Option<AbortHandle>,
    /// Tokens that its model takes.
    window: i64,
    /// Whether it takes what the user adds.
    pub(crate) takes_more: bool,
    cancel: CancellationToken,
    steers: mpsc::Sender<Added>,
    ending: Ending,
}

/// Whether a turn ends as it says.
enum Ending {
    Own,
    /// The server's stop interrupts it, and no user.
    CutOff,
    /// It fails whatever it says: its records are not saved, for this reason.
    Unsaved(String),
}

impl Ending {
    fn of(&self, outcome: Outcome) -> Outcome {
        match self {
            Self::CutOff if outcome.status == TurnStatus::Interrupted => {
                Outcome { error: Some(TurnError::new(SERVER_ENDED)), ..outcome }
            }
            Self::Own | Self::CutOff => outcome,
            Self::Unsaved(why) => Outcome::failed(unsaved(why)),
        }
    }
}

impl Owner {
    /// Begins a turn with the input at hand. The answer goes before the turn's first notification.
    pub(super) fn begin_turn(&mut self) {
        let Some(input) = self.input.take() else { return };
        let Input { params, reply } = *input;
        let turn_id = TurnId::from(self.services.clock.new_id().to_string());
        // A compaction says nothing: a thread in which nobody has said anything stays in memory.
        let speaks = !matches!(reply, InputReply::Compact(_));
        if speaks && self.persistence == Persistence::Durable && !self.is_materialised() {
            self.follow_ups.push_back(Event::Materialised);
            if let Some(journal) = &mut self.journal {
                journal.materialise();
            }
        }
        self.faulted = false;
        self.change_for_turn(&params);
        let numbers = match self.goes_on(&turn_id, &params) {
            Some(records) => self.record_all(records),
            None => self.record_input(&turn_id, self.new_item_id(), &params, Beginning::OfTurn),
        };
        let settings = self.model_settings(&params);
        let task = match &reply {
            InputReply::Start(_) | InputReply::Steer(..) => Task::Answer(params.input),
            InputReply::Compact(_) => Task::Compact,
        };
        self.run_turn(turn_id.clone(), task, settings, numbers.last().copied());
        let mut shown = self.shown_turn(&turn_id);
        shown.started_at = None;
        self.acknowledge_input(reply, shown);
        self.tell_status();
        let turn = self.shown_turn(&turn_id);
        let params = TurnStartedNotification { thread_id: self.id, turn };
        self.notify::<TurnStartedNotice>(&params, numbers.first().copied());
        if numbers.len() > 2 {
            self.notify_of_input(&turn_id, &numbers);
        }
        self.warn_of_unknown_model();
        self.services.counters.turns_started.add_one();
    }

    /// Gives the input at hand to the running turn. One that is ending leaves it for the next turn, which a steer is not
    /// for.
    pub(super) fn steer_turn(&mut self) {
        let Some(input) = self.input.take() else { return };
        let Some(turn) = &self.turn else { return self.leave_to_next_turn(input) };
        if !turn.takes_more || matches!(input.reply, InputReply::Compact(_)) {
            return self.leave_to_next_turn(input);
        }
        let turn_id = turn.id.clone();
        let item = self.new_item_id();
        let said = input.params.input.clone();
        let added = Added { item: item.clone(), context: context_items(&input.params), input: said };
        match turn.steers.try_send(added) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                return input.reply.err(&ThreadError::SteersFull { id: self.id }.to_wire());
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return self.leave_to_next_turn(input),
        }
        let Input { params, reply } = *input;
        // What it says of how to go on holds from now on: for the questions of this turn, and for the next one.
        if matches!(reply, InputReply::Start(_)) {
            self.change_for_turn(&params);
        }
        let numbers = self.record_input(&turn_id, item, &params, Beginning::OfSteer);
        let mut turn = self.shown_turn(&turn_id);
        turn.started_at = None;
        self.acknowledge_input(reply, turn);
        self.notify_of_input(&turn_id, &numbers);
    }

    fn leave_to_next_turn(&mut self, input: Box<Input>) {
        match input.reply.expected() {
            None => self.defer(Command::Input(input)),
            Some(_) => input.reply.err(&ThreadError::NothingToSteer { id: self.id }.to_wire()),
        }
    }

    pub(super) fn stop_turn(&mut self) {
        if let Some(turn) = &self.turn {
            turn.cancel.cancel();
        }
    }

    /// The server stops: a turn that nobody has interrupted before says so.
    pub(super) fn cut_off_turn(&mut self) {
        let untouched = |turn: &&mut RunningTurn| !turn.cancel.is_cancelled();
        if let Some(turn) = self.turn.as_mut().filter(untouched) {
            turn.ending = Ending::CutOff;
        }
    }

    /// The disk does not take the turn's records: it ends, and what it says is told as not saved.
    pub(super) fn fail_turn(&mut self, why: &str) {
        if let Some(turn) = &mut self.turn {
            if !matches!(turn.ending, Ending::Unsaved(_)) {
                turn.ending = Ending::Unsaved(why.to_owned());
            }
            self.step(Event::Interrupt);
        }
    }

    /// Takes one report of the turn.
    pub(super) fn report(&mut self, report: Report) {
        match report {
            Report::ItemStarted(item) => self.item_started(item),
            Report::Delta { item, text } => self.delta(item, text),
            Report::PlanDelta { item, text } => self.plan_delta(item, text),
            Report::ReasoningDelta { item, of, part, text } => self.reasoning(item, of, part, text),
            Report::Warning(message) => self.warn(message),
            Report::WarningOnce(message) => self.warn_once(message),
            Report::Again(error) => self.tell_error(error, true),
            Report::Compacted { summary, kept } => self.compacted(summary, kept),
            Report::FilesRead { item, files } => self.files_read(item, files),
            Report::Context(tokens) => self.context_is(tokens),
            Report::Progress { item, message } => self.progress(item, message),
            Report::ItemCompleted(item) => self.item_completed(item),
            Report::Answered(answer) => {
                self.record_one((*answer).into(), Keep::Process);
            }
            Report::Usage(usage) => self.usage(usage),
            Report::Question { item, text, answer } => self.ask(item, text, answer),
            Report::Ask(asking) => self.ask_outside(*asking),
            Report::Surroundings(found) => self.helpers.found(Some(found)),
            Report::WantsHelpers(give) => self.give_helpers(give),
            Report::Ended(outcome) => self.end_turn(outcome),
        }
    }

    /// A turn's task has ended. What it reported last is still taken; one that ended without a word has failed. By
    /// then the next turn may run.
    pub(super) fn turn_task_ended(&mut self, turn: &TurnId) {
        while self.runs(turn)
            && let Ok(report) = self.reports.1.try_recv()
        {
            self.report(report);
        }
        if self.runs(turn) {
            self.end_turn(Outcome::failed("internal error: the turn broke off; the server's log has more"));
        }
    }

    fn runs(&self, turn: &TurnId) -> bool {
        self.turn.as_ref().is_some_and(|running| running.id == *turn)
    }

    fn new_item_id(&self) -> ItemId {
        ItemId::from(self.services.clock.new_id().to_string())
    }

    /// Records what the user said. The numbers are those of the turn (if it begins one), the item's start, its end.
    fn record_input(
        &mut self,
        turn_id: &TurnId,
        item_id: ItemId,
        params: &TurnStartParams,
        of: Beginning,
    ) -> Vec<EventSeq> {
        let at = self.services.clock.wall().0;
        let client_id = params.client_user_message_id.clone();
        let mut item = ThreadItem::user_message(item_id.clone(), params.input.clone(), client_id.clone());
        item.started_at_ms = Some(at);
        let mut records: Vec<RecordBody> = Vec::new();
        if params.input.is_empty() {
            let turn_id = turn_id.clone();
            let started = TurnStarted { turn_id, input: Vec::new(), item_id: None, client_id: None };
            return self.record_all(vec![started.into()]);
        }
        match of {
            Beginning::OfTurn => records.push(
                TurnStarted {
                    turn_id: turn_id.clone(),
                    input: params.input.clone(),
                    item_id: Some(item_id),
                    client_id,
                }
                .into(),
            ),
            Beginning::OfSteer => {}
        }
        records.extend(context_of(params));
        records.push(ItemStarted { turn_id: turn_id.clone(), item: item.clone() }.into());
        item.completed_at_ms = Some(at);
        records.push(ItemCompleted { turn_id: turn_id.clone(), item }.into());
        self.record_all(records)
    }

    /// The beginning of a turn that answers the message of the turn before it, which the disk did not take in time: the message is
    /// there, and is not said twice. None for any other message.
    fn goes_on(&self, turn_id: &TurnId, params: &TurnStartParams) -> Option<Vec<RecordBody>> {
        let client_id = params.client_user_message_id.as_deref()?;
        let before = self.journal.as_ref()?.history.unsaved_turn_of(client_id, &params.input)?;
        let is_of_user = |item: &ThreadItem| matches!(item.body, ThreadItemBody::UserMessage(_));
        let answered = before.items.iter().any(|item| !is_of_user(item));
        let (turn_id, client_id) = (turn_id.clone(), Some(client_id.to_owned()));
        let started = TurnStarted { turn_id, input: Vec::new(), item_id: None, client_id };
        let mut records = vec![started.into()];
        records.extend(answered.then(|| ItemsInjected { items: vec![said_again()] }.into()));
        Some(records)
    }

    fn record_all(&mut self, records: Vec<RecordBody>) -> Vec<EventSeq> {
        self.journal.as_mut().map(|journal| journal.record(records, Keep::Power)).unwrap_or_default()
    }

    fn notify_of_input(&mut self, turn_id: &TurnId, numbers: &[EventSeq]) {
        let [.., started, completed] = numbers else { return };
        let (started, completed) = (*started, *completed);
        let item =
            self.journal.as_ref().and_then(|journal| journal.history.turn(turn_id)?.items.last().cloned());
        let Some(item) = item else { return };
        let mut begun = item.clone();
        begun.completed_at_ms = None;
        self.notify_item_started(turn_id, begun, started);
        self.notify_item_completed(turn_id, item, completed);
    }

    fn compacted(&mut self, summary: String, kept: Kept) {
        let Some(turn_id) = self.turn.as_ref().map(|turn| turn.id.clone()) else { return };
        self.record_one(Compacted { turn_id, summary, kept }.into(), Keep::Process);
    }

    fn files_read(&mut self, item_id: ItemId, files: Vec<FileRead>) {
        let Some(turn_id) = self.turn.as_ref().map(|turn| turn.id.clone()) else { return };
        self.record_one(FilesRead { turn_id, item_id, files }.into(), Keep::Process);
    }

    fn warn_once(&mut self, message: String) {
        if self.helpers.is_news(&message) {
            self.warn(message);
        }
    }

    fn warn(&mut self, message: String) {
        let params = WarningNotification { message, thread_id: Some(self.id) };
        self.notify::<Warning>(&params, None);
    }

    fn tell_error(&mut self, error: TurnError, will_retry: bool) {
        let Some(turn_id) = self.turn.as_ref().map(|turn| turn.id.clone()) else { return };
        let params = ErrorNotification { error, thread_id: self.id, turn_id, will_retry };
        self.notify::<ErrorNotice>(&params, None);
    }

    /// Ends the turn: what is open is closed, the status changes, the turn is completed.
    fn end_turn(&mut self, outcome: Outcome) {
        let Some(turn) = self.turn.take() else { return };
        let saved = !matches!(turn.ending, Ending::Unsaved(_));
        let outcome = turn.ending.of(outcome);
        self.faulted = outcome.status == TurnStatus::Failed;
        self.drop_questions_of(Some(&turn.id));
        self.step(Event::Questions(0));
        self.close_open_items();
        let number = self.record_end(&turn.id, &outcome, saved);
        self.tell_status();
        if let Some(error) = outcome.error {
            let params =
                ErrorNotification { error, thread_id: self.id, turn_id: turn.id.clone(), will_retry: false };
            self.notify::<ErrorNotice>(&params, None);
        }
        // Before the last word on the turn: who has heard that hears nothing more of it.
        self.tell_marks(&turn.id);
        self.notify_turn_completed(&turn.id, number, saved);
        self.services.counters.turns_completed.add_one();
        self.fail_ended_turns();
        self.step(Event::TurnEnded);
        if self.machine.phase() == Phase::Idle {
            for command in std::mem::take(&mut self.deferred) {
                self.command(command);
            }
        }
    }

    fn record_end(&mut self, turn_id: &TurnId, outcome: &Outcome, saved: bool) -> EventSeq {
        let Some(journal) = &self.journal else { return EventSeq(0) };
        let (turn_id, error) = (turn_id.clone(), outcome.error.clone());
        let completed = match saved {
            true => journal.history.turn_completed_record(turn_id, outcome.status, error),
            false => journal.history.turn_unsaved_record(turn_id, error),
        };
        self.record_one(completed, Keep::Power)
    }

    /// The disk does not take the ends of these turns: who hears of them hears that they have failed, and so it is recorded. Not
    /// while a turn runs: its records stand together.
    pub(super) fn fail_ended_turns(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        let why = unsaved(journal.failure.as_deref().unwrap_or("the disk does not take its end"));
        let ended = journal.take_unsaved_ends();
        for (end, turn_id) in &ended {
            let Some(journal) = &self.journal else { return };
            let error = journal.history.turn(turn_id).and_then(|turn| turn.error.clone());
            let error = error.unwrap_or_else(|| TurnError::new(&*why));
            let failed = journal.history.turn_unsaved_record(turn_id.clone(), Some(error));
            let number = self.record_one(failed, Keep::Power);
            let Some(notice) = self.turn_completed_notice(turn_id, number, false) else { continue };
            // A resume may wait in the queue whose answer shows the turn as completed: the failure goes behind it.
            if let Some(journal) = &mut self.journal {
                journal.withdraw(*end);
            }
            self.put_in_line(notice);
        }
        if !ended.is_empty() {
            self.faulted = true;
            self.tell_status();
        }
    }

    fn record_one(&mut self, body: RecordBody, keep: Keep) -> EventSeq {
        let numbers = self.journal.as_mut().map(|journal| journal.record(vec![body], keep));
        numbers.and_then(|numbers| numbers.first().copied()).unwrap_or(EventSeq(0))
    }

    /// The notification that a record of the end of something is for clients.
    pub(super) fn notify_of_record(&mut self, body: &RecordBody, number: EventSeq) {
        if let RecordBody::ItemCompleted(done) = body {
            self.notify_item_completed(&done.turn_id, done.item.clone(), number);
        }
        if let RecordBody::TurnCompleted(done) = body {
            self.notify_turn_completed(&done.turn_id, number, true);
        }
    }

    fn notify_turn_completed(&mut self, turn_id: &TurnId, number: EventSeq, saved: bool) {
        if let Some(notice) = self.turn_completed_notice(turn_id, number, saved) {
            self.put_in_line(notice);
        }
    }

    /// The turn with its last item only, as the peer shows it; said to be unsaved, and so failed, where it is.
    fn turn_completed_notice(&mut self, turn_id: &TurnId, number: EventSeq, saved: bool) -> Option<Notice> {
        let journal = self.journal.as_mut()?;
        let mut params = events::turn_completed(self.id, journal.history.turn(turn_id)?.clone());
        let (at, scope) = (self.services.clock.wall(), skein_protocol::table::Scope::Subscribers);
        if !saved {
            journal.recent.skip(number);
        }
        let number = saved.then(|| (number, journal.epoch()));
        let mut notice = Notice::new::<TurnCompletedNotice>(scope, &params, at, number);
        params.skein = Some(TurnSaved { saved: false });
        params.turn.status = TurnStatus::Failed;
        params.turn.error.get_or_insert_with(|| TurnError::new(unsaved("the disk does not take its end")));
        let unsaved = Notice::new::<TurnCompletedNotice>(scope, &params, at, None).broadcast;
        if !saved {
            notice.broadcast.plain = unsaved.plain.clone();
        }
        notice.unsaved = Some(unsaved.plain);
        Some(notice)
    }

    /// The turn as answers show it: without items.
    fn shown_turn(&self, turn_id: &TurnId) -> Turn {
        let found = self.journal.as_ref().and_then(|journal| journal.history.turn(turn_id)).cloned();
        let mut turn = found.unwrap_or_else(|| Turn::new(turn_id.clone(), 0));
        turn.items = Vec::new();
        turn.items_view = TurnItemsView::NotLoaded;
        turn
    }
}

/// Why a turn has failed that the disk does not take.
fn unsaved(why: &str) -> String {
    format!("the turn could not be saved: {why}")
}

/// What the user's input begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    OfTurn,
    OfSteer,
}
