//! The durable events of a thread, made from its records; pure. Live clients and replays get the same events.

use skein_base::clock::WallMs;
use skein_protocol::event::{
    ItemCompletedNotification, ItemStartedNotification, ThreadNameUpdatedNotification,
    ThreadRevertedNotification, ThreadTokenUsageUpdatedNotification, TurnCompletedNotification,
    TurnStartedNotification,
};
use skein_protocol::extension::RevertedFrom;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::notifications::{
    ItemCompleted as ItemCompletedNotice, ItemStarted as ItemStartedNotice, ThreadNameUpdated,
    ThreadReverted, ThreadTokenUsageUpdated, TurnCompleted as TurnCompletedNotice,
    TurnStarted as TurnStartedNotice,
};
use skein_protocol::table::{Notification, Recipients};
use skein_protocol::turn::{Turn, TurnItemsView};
use skein_store::history::{self, History, RestartTurns};
use skein_store::rollout::record::{
    ItemCompleted, ItemStarted, Record, RecordBody, Reverted, TurnCompleted, TurnUsage,
};

use super::outgoing::Notice;
use super::subscribers::Broadcast;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod view;

/// The start of an item, or its state so far.
pub(crate) fn item_started(
    thread_id: ThreadId,
    turn_id: &TurnId,
    item: ThreadItem,
) -> ItemStartedNotification {
    let started_at_ms = item.started_at_ms.unwrap_or_default();
    ItemStartedNotification { started_at_ms, item, thread_id, turn_id: turn_id.clone() }
}

/// The end of an item.
pub(crate) fn item_completed(
    thread_id: ThreadId,
    turn_id: &TurnId,
    item: ThreadItem,
) -> ItemCompletedNotification {
    ItemCompletedNotification {
        completed_at_ms: item.completed_at_ms.unwrap_or_default(),
        content_token_count: None,
        item,
        thread_id,
        turn_id: turn_id.clone(),
    }
}

/// A revert: a turn and all after it are gone.
pub(crate) fn thread_reverted(thread_id: ThreadId, before: &TurnId) -> ThreadRevertedNotification {
    ThreadRevertedNotification { thread_id, skein: Some(RevertedFrom { before_turn_id: before.clone() }) }
}

/// The end of a turn, with its last item only, as the peer shows it.
pub(crate) fn turn_completed(thread_id: ThreadId, mut turn: Turn) -> TurnCompletedNotification {
    turn.items = turn.items.pop().into_iter().collect();
    turn.items_view = TurnItemsView::Summary;
    TurnCompletedNotification { thread_id, turn, skein: None }
}

/// The items in progress with their content so far, for a client that joins. Each replaces the client's state of the item.
/// They have no numbers, because they are not new.
pub(crate) fn open_items(history: &History, at: WallMs) -> Vec<Broadcast> {
    let Some(turn) = history.open_turn() else { return Vec::new() };
    let shown = |item: &ThreadItem| {
        let params = item_started(history.id(), &turn.id, item.clone());
        Notice::new::<ItemStartedNotice>(Recipients::Subscribers, &params, at, None).broadcast
    };
    history.open_items().map(shown).collect()
}

/// The token usage so far, for a client that joins. It has no number, because it is not new.
pub(crate) fn usage(history: &History, at: WallMs) -> Option<Broadcast> {
    let (token_usage, last) = (*history.usage()?, history.held_turns().last()?);
    let turn_id = last.turn.id.clone();
    let params =
        ThreadTokenUsageUpdatedNotification { thread_id: history.id(), token_usage, turn_id, skein: None };
    Some(Notice::new::<ThreadTokenUsageUpdated>(Recipients::Subscribers, &params, at, None).broadcast)
}

/// The end of an interrupted turn, as the next load will record it. It has no numbers: that load gives them. Of a turn that the
/// load goes on with, the items in progress.
pub(crate) fn of_what_is_cut_off(history: &History, rule: RestartTurns, at: WallMs) -> Vec<Broadcast> {
    let Some(open) = history.open_turn() else { return Vec::new() };
    let closed = history.clone().into_closed(rule);
    let ended = closed.turn(&open.id).filter(|_| closed.open_turn().is_none());
    let Some(turn) = ended else { return open_items(history, at) };
    let (unstarted, at_its_start) = (history.unstarted_item(), |item: &ThreadItem| {
        let params = item_started(closed.id(), &turn.id, item.clone());
        Notice::new::<ItemStartedNotice>(Recipients::Subscribers, &params, at, None).broadcast
    });
    let was_open = |item: &&ThreadItem| {
        unstarted.into_iter().chain(history.open_items()).any(|open| open.id() == item.id())
    };
    let ended = |item: &ThreadItem| {
        let params = item_completed(closed.id(), &turn.id, item.clone());
        Notice::new::<ItemCompletedNotice>(Recipients::Subscribers, &params, at, None).broadcast
    };
    let mut ends: Vec<Broadcast> = unstarted.map(at_its_start).into_iter().collect();
    ends.extend(turn.items.iter().filter(was_open).map(ended));
    let params = turn_completed(closed.id(), turn.clone());
    ends.push(Notice::new::<TurnCompletedNotice>(Recipients::Subscribers, &params, at, None).broadcast);
    ends
}

/// Makes events from the records of one thread.
#[derive(Debug)]
pub(crate) struct Replayer {
    thread: ThreadId,
    epoch: Epoch,
    /// The newest item of the open turn, among the records seen.
    last: Option<ThreadItem>,
}

impl Replayer {
    /// A replayer for a history of this version.
    pub(crate) fn new(thread: ThreadId, epoch: Epoch) -> Self {
        Self { thread, epoch, last: None }
    }

    /// The version of the history.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The event of a record, if it is one. Expects records in their order.
    pub(crate) fn event(&mut self, record: &Record) -> Option<Broadcast> {
        let made = self.made_of(record);
        debug_assert_eq!(made.is_some(), history::is_event(&record.body), "{record:?}");
        made
    }

    fn made_of(&mut self, record: &Record) -> Option<Broadcast> {
        let (seq, at) = (record.seq, record.at);
        match &record.body {
            RecordBody::TurnStarted(started) => Some(self.turn_started(&started.turn_id, seq, at)),
            RecordBody::ItemStarted(started) => Some(self.item_started(started, seq, at)),
            RecordBody::ItemCompleted(done) => Some(self.item_completed(done, seq, at)),
            RecordBody::TurnCompleted(done) => Some(self.turn_completed(done, seq, at)),
            RecordBody::ThreadNamed(named) => {
                Some(self.notice::<ThreadNameUpdated>(&self.named(named.name.clone()), seq, at))
            }
            RecordBody::Reverted(reverted) => Some(self.reverted(reverted, seq, at)),
            RecordBody::TurnUsage(usage) => Some(self.usage(usage, seq, at)),
            RecordBody::ThreadCreated(_)
            | RecordBody::ThreadOpened(_)
            | RecordBody::ThreadClosed(_)
            | RecordBody::ThreadMeta(_)
            | RecordBody::ThreadRead(_)
            | RecordBody::GoalChanged(_)
            | RecordBody::QuestionAsked(_)
            | RecordBody::QuestionAnswered(_)
            | RecordBody::QuestionClosed(_)
            | RecordBody::CallBegun(_)
            | RecordBody::CallPaused(_)
            | RecordBody::ModelAsked(_)
            | RecordBody::TurnResumed(_)
            | RecordBody::QueueAdded(_)
            | RecordBody::QueueUpdated(_)
            | RecordBody::QueueMoved(_)
            | RecordBody::QueueRemoved(_)
            | RecordBody::ItemCheckpoint(_)
            | RecordBody::Compacted(_)
            | RecordBody::ItemsInjected(_)
            | RecordBody::ModelAnswer(_)
            | RecordBody::FilesRead(_)
            | RecordBody::Archived(_)
            | RecordBody::Unarchived(_)
            | RecordBody::Imported(_)
            | RecordBody::Forked(_)
            | RecordBody::Unknown(_) => None,
        }
    }

    fn turn_started(&mut self, turn: &TurnId, seq: EventSeq, at: WallMs) -> Broadcast {
        let params = self.begun(turn, at);
        self.notice::<TurnStartedNotice>(&params, seq, at)
    }

    fn turn_completed(&self, done: &TurnCompleted, seq: EventSeq, at: WallMs) -> Broadcast {
        self.notice::<TurnCompletedNotice>(&self.ended(done, at), seq, at)
    }

    fn item_started(&mut self, started: &ItemStarted, seq: EventSeq, at: WallMs) -> Broadcast {
        self.last = Some(started.item.clone());
        let params = item_started(self.thread, &started.turn_id, started.item.clone());
        self.notice::<ItemStartedNotice>(&params, seq, at)
    }

    fn item_completed(&mut self, done: &ItemCompleted, seq: EventSeq, at: WallMs) -> Broadcast {
        self.see_completed(&done.item);
        let params = item_completed(self.thread, &done.turn_id, done.item.clone());
        self.notice::<ItemCompletedNotice>(&params, seq, at)
    }

    fn usage(&self, usage: &TurnUsage, seq: EventSeq, at: WallMs) -> Broadcast {
        self.notice::<ThreadTokenUsageUpdated>(&self.used(usage), seq, at)
    }

    /// The revert event. Later events have numbers of the new version.
    fn reverted(&mut self, reverted: &Reverted, seq: EventSeq, at: WallMs) -> Broadcast {
        self.epoch = reverted.epoch;
        let params = thread_reverted(self.thread, &reverted.before_turn_id);
        self.notice::<ThreadReverted>(&params, seq, at)
    }

    fn named(&self, thread_name: Option<String>) -> ThreadNameUpdatedNotification {
        ThreadNameUpdatedNotification { thread_id: self.thread, thread_name, skein: None }
    }

    fn begun(&mut self, turn_id: &TurnId, at: WallMs) -> TurnStartedNotification {
        self.last = None;
        let mut turn = Turn::new(turn_id.clone(), at.seconds());
        turn.items_view = TurnItemsView::NotLoaded;
        TurnStartedNotification { thread_id: self.thread, turn }
    }

    fn used(&self, usage: &TurnUsage) -> ThreadTokenUsageUpdatedNotification {
        let (token_usage, turn_id) = (usage.usage, usage.turn_id.clone());
        ThreadTokenUsageUpdatedNotification { thread_id: self.thread, token_usage, turn_id, skein: None }
    }

    fn see_completed(&mut self, item: &ThreadItem) {
        if self.last.as_ref().is_none_or(|last| last.id() == item.id()) {
            self.last = Some(item.clone());
        }
    }

    /// The ended turn, with its newest item among the records seen.
    fn ended(&self, done: &TurnCompleted, at: WallMs) -> TurnCompletedNotification {
        let started = done.started_at_ms.map(WallMs);
        let mut turn = Turn::new(done.turn_id.clone(), at.seconds());
        turn.started_at = started.map(WallMs::seconds);
        turn.completed_at = Some(at.seconds());
        turn.duration_ms = started.map(|started| at.0.saturating_sub(started.0).max(0));
        turn.status = done.status;
        turn.error.clone_from(&done.error);
        turn.items = self.last.iter().cloned().collect();
        let mut params = turn_completed(self.thread, turn);
        if self.last.is_none() {
            // Its last item ended before the first record seen.
            params.turn.items_view = TurnItemsView::NotLoaded;
        }
        params
    }

    fn notice<N: Notification>(&self, params: &N::Params, seq: EventSeq, at: WallMs) -> Broadcast {
        Notice::new::<N>(Recipients::Subscribers, params, at, Some((seq, self.epoch))).broadcast
    }
}
