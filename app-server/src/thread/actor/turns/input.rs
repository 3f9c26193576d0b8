//! The user's input, as records that begin a turn or add to it.

use skein_protocol::ids::{EventSeq, ItemId, TurnId};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::turn::TurnStartParams;
use skein_store::rollout::Keep;
use skein_store::rollout::record::{
    ItemCompleted, ItemStarted, ItemsInjected, RecordBody, TurnStarted, TurnTerms,
};

use super::super::log::Log;
use super::super::settings::{context_of, continue_item};
use super::items;

/// Records the input that begins a turn. Returns the numbers of the turn, the item's start, and the item's end.
pub(super) fn record_beginning(
    log: &mut Log,
    turn_id: &TurnId,
    item: ItemId,
    params: &TurnStartParams,
) -> Vec<EventSeq> {
    let records = continuation_of(log, turn_id, params).unwrap_or_else(|| {
        let (turn_id, client_id) = (turn_id.clone(), params.client_user_message_id.clone());
        if params.input.is_empty() {
            return vec![
                TurnStarted { turn_id, input: Vec::new(), item_id: None, client_id: None, terms: None }
                    .into(),
            ];
        }
        let (input, item_id) = (params.input.clone(), Some(item.clone()));
        let records = message(log, &turn_id, item, params);
        let started = TurnStarted { turn_id, input, item_id, client_id, terms: terms_of(params) }.into();
        std::iter::once(started).chain(records).collect()
    });
    log.record(records, Keep::Power)
}

/// The client's wishes for this turn only; none if it has none.
pub(super) fn terms_of(params: &TurnStartParams) -> Option<Box<TurnTerms>> {
    let (output_schema, service_tier) = (params.output_schema.clone(), params.service_tier_for_turn.clone());
    let terms = TurnTerms { output_schema, service_tier };
    (terms != TurnTerms::default()).then(|| Box::new(terms))
}

/// Records a steer. The returned numbers end with those of the item's start and end.
pub(super) fn record_steer(
    log: &mut Log,
    turn_id: &TurnId,
    item: ItemId,
    params: &TurnStartParams,
) -> Vec<EventSeq> {
    let records = message(log, turn_id, item, params);
    log.record(records, Keep::Power)
}

fn message(log: &Log, turn_id: &TurnId, id: ItemId, params: &TurnStartParams) -> Vec<RecordBody> {
    let (at, client_id) = (log.wall().0, params.client_user_message_id.clone());
    let mut item = ThreadItem::user_message(id, params.input.clone(), client_id);
    item.started_at_ms = Some(at);
    let started = ItemStarted { turn_id: turn_id.clone(), item: item.clone() };
    item.completed_at_ms = Some(at);
    let completed = ItemCompleted { turn_id: turn_id.clone(), item };
    context_of(params).into_iter().chain([started.into(), completed.into()]).collect()
}

/// The beginning of a turn that answers the message of the previous, unsaved turn. The history has the message already, so
/// it is not recorded twice. `None` for any other message.
fn continuation_of(log: &Log, turn_id: &TurnId, params: &TurnStartParams) -> Option<Vec<RecordBody>> {
    let client_id = params.client_user_message_id.as_deref()?;
    let before = log.history()?.unsaved_turn_of(client_id, &params.input)?;
    let is_of_user = |item: &ThreadItem| matches!(item.body, ThreadItemBody::UserMessage(_));
    let answered = before.items.iter().any(|item| !is_of_user(item));
    let (turn_id, client_id) = (turn_id.clone(), Some(client_id.to_owned()));
    let started =
        TurnStarted { turn_id, input: Vec::new(), item_id: None, client_id, terms: terms_of(params) };
    let mut records = vec![started.into()];
    records.extend(answered.then(|| ItemsInjected { items: vec![continue_item()] }.into()));
    Some(records)
}

/// Publishes the message of these records, the last item of the turn.
pub(super) fn notify(log: &mut Log, turn_id: &TurnId, numbers: &[EventSeq]) {
    let [.., started, completed] = numbers else { return };
    let Some(item) = log.turn(turn_id).and_then(|turn| turn.items.last().cloned()) else { return };
    let begun = ThreadItem { completed_at_ms: None, ..item.clone() };
    items::notify_started(log, turn_id, begun, *started);
    items::notify_completed(log, turn_id, item, *completed);
}
