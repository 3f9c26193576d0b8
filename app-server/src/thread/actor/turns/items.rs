//! The items of a turn, and their deltas.

use skein_protocol::event::{
    AgentMessageDeltaNotification, McpToolCallProgressNotification, PlanDeltaNotification,
    ReasoningSummaryPartAddedNotification, ReasoningSummaryTextDeltaNotification,
    ReasoningTextDeltaNotification, WarningNotification,
};
use skein_protocol::ids::{EventSeq, ItemId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::notifications::{
    ItemCompleted as ItemCompletedNotice, ItemMcpToolCallProgress, ItemPlanDelta,
    ItemReasoningSummaryPartAdded, ItemReasoningSummaryTextDelta, ItemReasoningTextDelta,
    ItemStarted as ItemStartedNotice, Warning,
};
use skein_provider::Thoughts;
use skein_store::history::History;
use skein_store::rollout::Keep;
use skein_store::rollout::record::{ItemCompleted, ItemStarted};

use super::super::helper_side::HelperSide;
use super::super::log::Log;
use crate::thread::events;
use crate::thread::outgoing::{Notice, Outgoing};

pub(super) fn started(log: &mut Log, turn: &TurnId, item: ThreadItem) {
    let number = log.record_one(ItemStarted { turn_id: turn.clone(), item: item.clone() }, Keep::Process);
    notify_started(log, turn, item, number);
}

pub(super) fn completed(log: &mut Log, turn: &TurnId, mut item: ThreadItem) {
    item.completed_at_ms = Some(log.wall().0);
    if item.started_at_ms.is_none() {
        let mut open = log.history().into_iter().flat_map(History::open_items);
        item.started_at_ms = open.find(|open| open.id() == item.id()).and_then(|open| open.started_at_ms);
    }
    let number = log.record_one(ItemCompleted { turn_id: turn.clone(), item: item.clone() }, Keep::Process);
    notify_completed(log, turn, item, number);
}

pub(super) fn delta(log: &mut Log, turn: &TurnId, item_id: ItemId, delta: String) {
    log.append(&item_id, &delta);
    let params = AgentMessageDeltaNotification { delta, item_id, thread_id: log.id(), turn_id: turn.clone() };
    let notice = Notice::text(params, log.wall());
    log.publish(Outgoing::Notify(notice));
}

pub(super) fn plan_delta(log: &mut Log, turn: &TurnId, item_id: ItemId, delta: String) {
    log.append(&item_id, &delta);
    let params = PlanDeltaNotification { delta, item_id, thread_id: log.id(), turn_id: turn.clone() };
    log.notify::<ItemPlanDelta>(&params, None);
}

pub(super) fn progress(log: &mut Log, turn: &TurnId, item_id: ItemId, message: String) {
    let (thread_id, turn_id) = (log.id(), turn.clone());
    let params = McpToolCallProgressNotification { item_id, message, thread_id, turn_id };
    log.notify::<ItemMcpToolCallProgress>(&params, None);
}

pub(super) fn reasoning(
    log: &mut Log,
    turn: &TurnId,
    item_id: ItemId,
    (of, part): (Thoughts, usize),
    delta: String,
) {
    let (thread_id, turn_id) = (log.id(), turn.clone());
    let index = i64::try_from(part).unwrap_or(i64::MAX);
    match of {
        Thoughts::Summary if delta.is_empty() => {
            let params =
                ReasoningSummaryPartAddedNotification { item_id, summary_index: index, thread_id, turn_id };
            log.notify::<ItemReasoningSummaryPartAdded>(&params, None);
        }
        Thoughts::Summary => {
            let params = ReasoningSummaryTextDeltaNotification {
                delta,
                item_id,
                summary_index: index,
                thread_id,
                turn_id,
            };
            log.notify::<ItemReasoningSummaryTextDelta>(&params, None);
        }
        Thoughts::Content if delta.is_empty() => {}
        Thoughts::Content => {
            let params =
                ReasoningTextDeltaNotification { content_index: index, delta, item_id, thread_id, turn_id };
            log.notify::<ItemReasoningTextDelta>(&params, None);
        }
    }
}

pub(in super::super) fn warn(log: &mut Log, message: String) {
    log.notify::<Warning>(&WarningNotification { message, thread_id: Some(log.id()) }, None);
}

/// Sends a warning once per load.
pub(super) fn warn_once(log: &mut Log, helpers: &mut HelperSide, message: String) {
    if helpers.is_news(&message) {
        warn(log, message);
    }
}

pub(super) fn notify_started(log: &mut Log, turn: &TurnId, item: ThreadItem, number: EventSeq) {
    log.notify::<ItemStartedNotice>(&events::item_started(log.id(), turn, item), Some(number));
}

pub(super) fn notify_completed(log: &mut Log, turn: &TurnId, item: ThreadItem, number: EventSeq) {
    log.notify::<ItemCompletedNotice>(&events::item_completed(log.id(), turn, item), Some(number));
}
