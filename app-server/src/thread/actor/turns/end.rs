//! The end of a turn: its records, and the notification, which says whether the end is saved.

use skein_protocol::extension::TurnSaved;
use skein_protocol::ids::{EventSeq, TurnId};
use skein_protocol::notifications::TurnCompleted as TurnCompletedNotice;
use skein_protocol::table::Recipients;
use skein_protocol::turn::{TurnError, TurnStatus};
use skein_store::rollout::Keep;
use skein_store::rollout::record::RecordBody;

use super::super::log::Log;
use super::{Ended, items};
use crate::thread::events;
use crate::thread::outgoing::Notice;

impl Ended {
    pub(super) fn record(&self, log: &mut Log) -> EventSeq {
        let (turn_id, error) = (self.id.clone(), self.outcome.error.clone());
        let completed = log.history().map(|history| match self.saved {
            true => history.turn_completed_record(turn_id, self.outcome.status, error),
            false => history.turn_unsaved_record(turn_id, error),
        });
        completed.map_or(EventSeq(0), |completed| log.record_one(completed, Keep::Power))
    }
}

/// Records and publishes the ends of items that a turn has left open.
pub(super) fn close_open_items(log: &mut Log) {
    let closing = log.history().map(|history| history.closing_records(log.wall())).unwrap_or_default();
    let of_items = |body: &RecordBody| matches!(body, RecordBody::ItemCompleted(_));
    record_closing(log, closing.into_iter().filter(of_items).collect());
}

/// Records and publishes the end of an interrupted turn, or of its items.
pub(in super::super) fn record_closing(log: &mut Log, closing: Vec<RecordBody>) {
    if closing.is_empty() {
        return;
    }
    let numbers = log.record(closing.clone(), Keep::Power);
    for (body, number) in closing.into_iter().zip(numbers) {
        if let RecordBody::ItemCompleted(done) = body {
            items::notify_completed(log, &done.turn_id, done.item, number);
        } else if let RecordBody::TurnCompleted(done) = body {
            notify(log, &done.turn_id, number, true);
        }
    }
}

/// Records and publishes as failed the turns whose ends the disk does not take. Returns whether there are any.
pub(super) fn fail_unsaved(log: &mut Log) -> bool {
    let why = unsaved(log.failure().unwrap_or(NOT_TAKEN));
    let ended = log.take_unsaved_ends();
    for (end, turn_id) in &ended {
        let error = log.turn(turn_id).and_then(|turn| turn.error.clone());
        let error = error.unwrap_or_else(|| TurnError::new(&*why));
        let Some(history) = log.history() else { continue };
        let failed = history.turn_unsaved_record(turn_id.clone(), Some(error));
        let number = log.record_one(failed, Keep::Power);
        if let Some(notice) = notice(log, turn_id, number, false) {
            // A queued resume may show the turn as completed: the failure goes behind it.
            log.withdraw(*end);
            log.put(notice);
        }
    }
    !ended.is_empty()
}

/// Publishes that the turn has ended.
pub(super) fn notify(log: &mut Log, turn_id: &TurnId, number: EventSeq, saved: bool) {
    if let Some(notice) = notice(log, turn_id, number, saved) {
        log.put(notice);
    }
}

/// The turn with its last item only, as the peer shows it. An unsaved turn has failed.
fn notice(log: &mut Log, turn_id: &TurnId, number: EventSeq, saved: bool) -> Option<Notice> {
    let mut params = events::turn_completed(log.id(), log.turn(turn_id)?.clone());
    let (at, scope) = (log.wall(), Recipients::Subscribers);
    if !saved {
        log.skip(number);
    }
    let number = saved.then(|| (number, log.end().epoch));
    let mut notice = Notice::new::<TurnCompletedNotice>(scope, &params, at, number);
    params.skein = Some(TurnSaved { saved: false });
    params.turn.status = TurnStatus::Failed;
    params.turn.error.get_or_insert_with(|| TurnError::new(unsaved(NOT_TAKEN)));
    let unsaved = Notice::new::<TurnCompletedNotice>(scope, &params, at, None).broadcast;
    if !saved {
        notice.broadcast.plain = unsaved.plain.clone();
    }
    notice.unsaved = Some(unsaved.plain);
    Some(notice)
}

const NOT_TAKEN: &str = "the disk does not take its end";

/// The error of a turn that the disk does not take.
pub(super) fn unsaved(why: &str) -> String {
    format!("the turn could not be saved: {why}")
}
