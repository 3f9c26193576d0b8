use futures_util::FutureExt;
use proptest::prelude::*;
use skein_base::clock::WallMs;
use skein_protocol::ids::Epoch;
use skein_protocol::turn::UserInput;

use super::*;
use crate::home::Term;
use crate::rollout::record::{QueueAdded, QueueMoved, QueueUpdated, Record, ThreadOpened};
use crate::testing::{Happening, RecordedLife, THREAD};

fn message(id: &str) -> WaitingMessage {
    let input = vec![UserInput::text(id)];
    WaitingMessage { id: id.into(), client_id: format!("m-{id}"), input, metadata: None }
}

fn ids(queue: &MessageQueue) -> Vec<&str> {
    queue.messages().map(|message| message.id.as_str()).collect()
}

/// A thread with a turn, and these messages in its queue.
fn waiting(messages: &[&str]) -> RecordedLife {
    let mut life = RecordedLife::of_turns(1);
    messages.iter().for_each(|id| life.record(QueueAdded(message(id))));
    life
}

#[test]
fn each_record_changes_the_queue_as_its_name_says() {
    let mut life = waiting(&["a", "b", "c"]);
    life.record(QueueMoved { ids: vec!["c".into(), "a".into()] });
    assert_eq!(ids(life.history.queue()), ["c", "a", "b"]);
    life.record(QueueUpdated(WaitingMessage { input: vec![UserInput::text("new")], ..message("a") }));
    assert_eq!(life.history.queue().message(&"a".into()).unwrap().input, [UserInput::text("new")]);
    life.record(QueueRemoved { id: "c".into(), by: "ada".to_owned() });
    assert_eq!(ids(life.history.queue()), ["a", "b"]);
    assert_eq!(life.history.queue().deleted_by(&"c".into()), Some("ada"));
    assert_eq!(life.history.queue().deleted_by(&"a".into()), None);
    life.happens(&Happening::QueuedTurn(Some(TurnStatus::Completed)));
    assert_eq!((ids(life.history.queue()), life.history.turn(&"a".into()).is_some()), (vec!["b"], true));
}

#[test]
fn only_the_end_of_a_turn_and_a_restore_hold_a_queue_and_an_empty_queue_is_never_held() {
    use TurnStatus::{Completed, Failed, Interrupted};
    let ended = |status| {
        let mut life = waiting(&["a"]);
        life.happens(&Happening::Turn(1, 1, Some(status)));
        life
    };
    assert_eq!(ended(Completed).history.queue().next(), Some(&message("a")));
    let holds = [(Failed, QueueHold::Failed), (Interrupted, QueueHold::Interrupted)];
    for (status, hold) in holds {
        let mut life = ended(status);
        assert_eq!((life.history.queue().hold(), life.history.queue().next()), (Some(hold), None));
        life.happens(&Happening::Turn(1, 1, Some(Completed)));
        assert_eq!(life.history.queue().next(), Some(&message("a")), "a turn has completed");
    }
    let mut life = ended(Failed);
    life.record(QueueRemoved { id: "a".into(), by: String::new() });
    life.record(QueueAdded(message("b")));
    assert_eq!(life.history.queue().next(), Some(&message("b")), "the queue was empty");
    let restored = ThreadOpened { boot_id: Uuid::nil(), term: Term(1), epoch: Epoch(1) };
    life.record(restored);
    assert_eq!(life.history.queue().hold(), Some(QueueHold::Restored));
}

#[test]
fn deletions_are_remembered_up_to_a_bound() {
    let mut queue = MessageQueue::default();
    let names: Vec<String> = (0..=policy::REMEMBERED_DELETIONS).map(|n| n.to_string()).collect();
    for name in &names {
        queue.remove(&QueueRemoved { id: name.as_str().into(), by: name.clone() });
    }
    assert_eq!(queue.deleted_by(&"0".into()), None);
    assert!(names.iter().skip(1).all(|name| queue.deleted_by(&name.as_str().into()) == Some(name)));
}

#[tokio::test]
async fn a_reader_of_a_header_whose_message_is_lost_goes_on_without_it() {
    let mut life = waiting(&["a", "b"]);
    life.happens(&Happening::Turn(1, 1, Some(TurnStatus::Completed)));
    // The record of "a" is damaged: another one has its number.
    let at = life.records.iter().position(|record| record.body.kind() == "queue.added").unwrap();
    life.records[at] = Record {
        body: QueueRemoved { id: "x".into(), by: String::new() }.into(),
        ..life.records[at].clone()
    };
    let read = History::read_end(&life.store(), THREAD, 0).await.unwrap();
    assert_eq!(ids(read.queue()), ["b"]);
}

proptest! {
    #[test]
    fn a_reader_from_the_end_has_the_queue_of_the_whole_history(
        draws in proptest::collection::vec(any::<[u16; 4]>(), 0..60)
    ) {
        let life = RecordedLife::drawn(&draws);
        let read = History::read_end(&life.store(), THREAD, 0).now_or_never().unwrap().unwrap();
        prop_assert_eq!(read.queue(), life.history.queue());
    }

    #[test]
    fn the_queue_keeps_the_order_of_a_plain_list(steps in proptest::collection::vec((0..5u8, 0..6usize), 0..40)) {
        let (mut queue, mut list): (MessageQueue, Vec<String>) = Default::default();
        for (number, (step, place)) in steps.into_iter().enumerate() {
            let named = list.get(place).cloned();
            match (step, named) {
                (0 | 1, _) => {
                    let id = number.to_string();
                    queue.add(&message(&id), EventSeq(1));
                    list.push(id);
                }
                (2, Some(id)) => {
                    queue.reorder(&[id.as_str().into()]);
                    list.retain(|other| *other != id);
                    list.insert(0, id);
                }
                (3, Some(id)) => {
                    queue.remove(&QueueRemoved { id: id.as_str().into(), by: String::new() });
                    list.retain(|other| *other != id);
                }
                (4, Some(id)) => {
                    queue.take(&id.as_str().into());
                    list.retain(|other| *other != id);
                }
                _ => {}
            }
            prop_assert_eq!(ids(&queue), list.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_fork_leaves_the_queue_to_its_source_and_a_revert_keeps_it() {
    let mut life = waiting(&["a"]);
    life.happens(&Happening::Revert(0));
    assert_eq!(ids(life.history.queue()), ["a"]);
    let mut fork = life.history.clone();
    let forked = crate::rollout::record::Forked {
        from: THREAD,
        up_to: fork.seq(),
        epoch: Epoch(9),
        thread_source: None,
        originator: None,
    };
    fork.apply(&Record { seq: fork.seq().next(), at: WallMs(1), body: forked.into() });
    assert_eq!(ids(fork.queue()), Vec::<&str>::new());
}
