//! What a turn says: its items, and their pieces while they come.

use skein_protocol::event::{
    AgentMessageDeltaNotification, McpToolCallProgressNotification, PlanDeltaNotification,
    ReasoningSummaryPartAddedNotification, ReasoningSummaryTextDeltaNotification,
    ReasoningTextDeltaNotification,
};
use skein_protocol::ids::{EventSeq, ItemId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::notifications::{
    ItemCompleted as ItemCompletedNotice, ItemMcpToolCallProgress, ItemPlanDelta,
    ItemReasoningSummaryPartAdded, ItemReasoningSummaryTextDelta, ItemReasoningTextDelta,
    ItemStarted as ItemStartedNotice,
};
use skein_provider::Thoughts;
use skein_store::rollout::Keep;
use skein_store::rollout::record::{ItemCompleted, ItemStarted, RecordBody};

use super::Owner;
use crate::policy;
use crate::thread::events;
use crate::thread::outgoing::{Notice, Outgoing};

impl Owner {
    pub(super) fn item_started(&mut self, item: ThreadItem) {
        let Some(turn_id) = self.turn.as_ref().map(|turn| turn.id.clone()) else { return };
        let body = ItemStarted { turn_id: turn_id.clone(), item: item.clone() }.into();
        let number = self.record_one(body, Keep::Process);
        self.notify_item_started(&turn_id, item, number);
    }

    pub(super) fn item_completed(&mut self, mut item: ThreadItem) {
        let Some(turn_id) = self.turn.as_ref().map(|turn| turn.id.clone()) else { return };
        item.completed_at_ms = Some(self.services.clock.wall().0);
        if item.started_at_ms.is_none() {
            let open = self.journal.as_ref().and_then(|journal| {
                journal.history.open_items().find(|open| open.id() == item.id())?.started_at_ms
            });
            item.started_at_ms = open;
        }
        let body = ItemCompleted { turn_id: turn_id.clone(), item: item.clone() }.into();
        let number = self.record_one(body, Keep::Process);
        self.notify_item_completed(&turn_id, item, number);
    }

    /// Adds a piece of text to an open item of the running turn, which is returned.
    fn hear(&mut self, item_id: &ItemId, delta: &str) -> Option<TurnId> {
        let turn_id = self.turn.as_ref().map(|turn| turn.id.clone())?;
        if let Some(journal) = &mut self.journal {
            journal.history.hear(item_id, delta);
        }
        self.append_to_snapshot(item_id, delta);
        self.checkpoint_soon();
        Some(turn_id)
    }

    pub(super) fn delta(&mut self, item_id: ItemId, delta: String) {
        let Some(turn_id) = self.hear(&item_id, &delta) else { return };
        let params = AgentMessageDeltaNotification { delta, item_id, thread_id: self.id, turn_id };
        let notice = Notice::text(params, self.services.clock.wall());
        if let Some(journal) = &mut self.journal {
            journal.publish(Outgoing::Notify(notice));
        }
    }

    pub(super) fn plan_delta(&mut self, item_id: ItemId, delta: String) {
        let Some(turn_id) = self.hear(&item_id, &delta) else { return };
        let params = PlanDeltaNotification { delta, item_id, thread_id: self.id, turn_id };
        self.notify::<ItemPlanDelta>(&params, None);
    }

    pub(super) fn progress(&mut self, item_id: ItemId, message: String) {
        let Some(turn_id) = self.turn.as_ref().map(|turn| turn.id.clone()) else { return };
        let params = McpToolCallProgressNotification { item_id, message, thread_id: self.id, turn_id };
        self.notify::<ItemMcpToolCallProgress>(&params, None);
    }

    pub(super) fn reasoning(&mut self, item_id: ItemId, of: Thoughts, part: usize, delta: String) {
        let Some(turn_id) = self.turn.as_ref().map(|turn| turn.id.clone()) else { return };
        let (thread_id, index) = (self.id, i64::try_from(part).unwrap_or(i64::MAX));
        match of {
            Thoughts::Summary if delta.is_empty() => {
                let params = ReasoningSummaryPartAddedNotification {
                    item_id,
                    summary_index: index,
                    thread_id,
                    turn_id,
                };
                self.notify::<ItemReasoningSummaryPartAdded>(&params, None);
            }
            Thoughts::Summary => {
                let params = ReasoningSummaryTextDeltaNotification {
                    delta,
                    item_id,
                    summary_index: index,
                    thread_id,
                    turn_id,
                };
                self.notify::<ItemReasoningSummaryTextDelta>(&params, None);
            }
            Thoughts::Content if delta.is_empty() => {}
            Thoughts::Content => {
                let params = ReasoningTextDeltaNotification {
                    content_index: index,
                    delta,
                    item_id,
                    thread_id,
                    turn_id,
                };
                self.notify::<ItemReasoningTextDelta>(&params, None);
            }
        }
    }

    /// Text that was heard is written within a second.
    fn checkpoint_soon(&mut self) {
        self.checkpoint_at.get_or_insert_with(|| self.services.clock.now() + policy::CHECKPOINT);
    }

    /// Writes the text that was heard since the last time. While the disk does not take it, it waits for the next time.
    pub(in crate::thread::actor) fn checkpoint(&mut self) {
        self.checkpoint_at = None;
        let Some(journal) = &mut self.journal else { return };
        let checkpoints = journal.history.checkpoints();
        if checkpoints.is_empty() {
            return;
        }
        if journal.failure.is_some() || !journal.has_room() {
            return self.checkpoint_soon();
        }
        journal.record(checkpoints, Keep::Process);
    }

    pub(super) fn close_open_items(&mut self) {
        let Some(journal) = &self.journal else { return };
        let mut closing = journal.history.closing_records(self.services.clock.wall());
        closing.retain(|body| matches!(body, RecordBody::ItemCompleted(_)));
        self.record_closing(closing);
    }

    pub(super) fn notify_item_started(&mut self, turn_id: &TurnId, item: ThreadItem, number: EventSeq) {
        let params = events::item_started(self.id, turn_id, item);
        self.notify::<ItemStartedNotice>(&params, Some(number));
    }

    pub(super) fn notify_item_completed(&mut self, turn_id: &TurnId, item: ThreadItem, number: EventSeq) {
        let params = events::item_completed(self.id, turn_id, item);
        self.notify::<ItemCompletedNotice>(&params, Some(number));
    }
}
