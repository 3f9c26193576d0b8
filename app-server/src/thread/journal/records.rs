//! The uses of a record besides the history: a model's conversation, and the row in lists. Pure.

use skein_base::clock::WallMs;
use skein_protocol::item::ThreadItem;
use skein_store::history::{History, LoadedTurn};
use skein_store::rollout::record::{ItemCompleted, Record, RecordBody};

/// The items of a history's turns as records, for the model's conversation. Each has the number of its turn.
pub(super) fn as_records(history: &History) -> Vec<Record> {
    let of_turn = |held: &LoadedTurn| {
        let (turn_id, seq, at) = (held.turn.id.clone(), held.at, WallMs(0));
        let completed = move |item: &ThreadItem| {
            let body = ItemCompleted { turn_id: turn_id.clone(), item: item.clone() }.into();
            Record { seq, at, body }
        };
        held.turn.items.iter().map(completed).collect::<Vec<_>>()
    };
    history.held_turns().iter().flat_map(of_turn).collect()
}

/// Whether the conversation with a model needs this record.
pub(super) fn matters_to_a_model(body: &RecordBody) -> bool {
    matches!(
        body,
        RecordBody::ItemStarted(_)
            | RecordBody::ItemCompleted(_)
            | RecordBody::ItemsInjected(_)
            | RecordBody::ModelAnswer(_)
            | RecordBody::FilesRead(_)
            | RecordBody::Compacted(_)
            | RecordBody::TurnUsage(_)
    )
}

/// Whether the record changes the row of the thread in lists.
pub(super) fn changes_row(body: &RecordBody) -> bool {
    match body {
        RecordBody::ThreadCreated(_)
        | RecordBody::ThreadNamed(_)
        | RecordBody::ThreadMeta(_)
        | RecordBody::ThreadRead(_)
        | RecordBody::TurnStarted(_)
        | RecordBody::TurnCompleted(_)
        | RecordBody::Reverted(_)
        | RecordBody::Forked(_)
        | RecordBody::QuestionAsked(_)
        | RecordBody::QuestionAnswered(_)
        | RecordBody::QuestionClosed(_)
        | RecordBody::QueueAdded(_)
        | RecordBody::QueueUpdated(_)
        | RecordBody::QueueMoved(_)
        | RecordBody::QueueRemoved(_)
        // Only the number: a row of the last record saves a look at the rollout.
        | RecordBody::ThreadClosed(_) => true,
        // The row has the location of the rollout, and that changes later.
        RecordBody::Archived(_)
        | RecordBody::Unarchived(_)
        | RecordBody::Imported(_)
        | RecordBody::ThreadOpened(_)
        | RecordBody::GoalChanged(_)
        | RecordBody::ItemStarted(_)
        | RecordBody::ItemCheckpoint(_)
        | RecordBody::ItemCompleted(_)
        | RecordBody::TurnUsage(_)
        | RecordBody::Compacted(_)
        | RecordBody::ItemsInjected(_)
        | RecordBody::ModelAnswer(_)
        | RecordBody::FilesRead(_)
        | RecordBody::CallBegun(_)
            | RecordBody::CallPaused(_)
        | RecordBody::ModelAsked(_)
        | RecordBody::TurnResumed(_)
        | RecordBody::Unknown(_) => false,
    }
}
