//! Records are on disk before clients receive their events.

use skein_config::Durability;
use skein_protocol::notifications::{ItemCompleted, ThreadNameUpdated, TurnCompleted, TurnStarted};
use skein_protocol::thread::ThreadResumeResponse;
use skein_protocol::turn::{TurnItemsView, TurnStartResponse};
use skein_store::rollout::file::fault::Op;

use super::*;
use crate::thread::subscribers::Role;

/// Waits until the held operation has begun.
async fn begun(bench: &Bench, op: Op, before: usize) {
    let begun = async {
        while bench.layer.done().iter().filter(|(done, _)| *done == op).count() <= before {
            tokio::task::yield_now().await;
        }
    };
    bench.within("the operation that is held back", begun).await;
}

fn syncs(bench: &Bench) -> usize {
    bench.layer.done().iter().filter(|(op, _)| *op == Op::Sync).count()
}

#[tokio::test]
async fn the_disk_is_synced_before_a_turns_start_is_answered() {
    let bench = Bench::on_files();
    let (mut client, thread) = bench.started().await;
    client.received();
    let notified = client.log.len();
    let before = syncs(&bench);
    bench.layer.hold(Op::Sync);
    let request = client.input(thread, "hello");
    begun(&bench, Op::Sync, before).await;
    assert!(client.fence(thread).await);
    assert_eq!(client.received().len(), notified, "an event was published before it was on disk");
    bench.layer.release(Op::Sync);
    client.answer::<TurnStartResponse>(request).await.unwrap();
    client.notified::<TurnCompleted>().await;
    bench.finish().await;
}

#[tokio::test]
async fn the_disk_is_synced_before_a_turns_end_is_published() {
    let bench = Bench::on_files();
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<TurnStarted>().await;
    strings.say("words").await;
    let before = syncs(&bench);
    bench.layer.hold(Op::Sync);
    strings.end();
    begun(&bench, Op::Sync, before).await;
    assert!(client.fence(thread).await);
    assert_eq!(client.count(Message::is::<TurnCompleted>), 1, "the end was published before it was on disk");
    bench.layer.release(Op::Sync);
    client.notified::<TurnCompleted>().await;
    bench.finish().await;
}

#[tokio::test]
async fn a_turns_items_are_not_synced_one_by_one() {
    let bench = Bench::on_files();
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<TurnStarted>().await;
    let before = syncs(&bench);
    let done = client.count(Message::is::<ItemCompleted>);
    strings.ask("who?").await;
    let question = client.asked().await;
    client.say(question, Ok("me"));
    strings.end();
    client.notified::<TurnCompleted>().await;
    assert!(client.count(Message::is::<ItemCompleted>) > done);
    assert_eq!(syncs(&bench), before + 3, "the question, its answer and the end, and nothing else");
    assert!(client.fence(thread).await);
    bench.finish().await;
}

#[tokio::test]
async fn with_durability_event_every_record_is_synced() {
    let bench = Bench::on_files_with(|config| config.durability = Durability::Event);
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<TurnStarted>().await;
    let before = syncs(&bench);
    bench.layer.hold(Op::Sync);
    strings.say("words").await;
    begun(&bench, Op::Sync, before).await;
    bench.layer.release(Op::Sync);
    strings.end();
    client.notified::<TurnCompleted>().await;
    assert!(client.fence(thread).await);
    bench.finish().await;
}

#[tokio::test]
async fn with_durability_process_only_what_begins_a_load_is_synced() {
    let bench = Bench::on_files_with(|config| config.durability = Durability::Process);
    let (mut client, thread) = bench.materialised().await;
    let request = client.set_name(thread, "unsynced");
    client.answer::<serde_json::Value>(request).await.unwrap();
    client.notified::<ThreadNameUpdated>().await;
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(syncs(&bench), 1);
    assert_eq!(bench.kinds(thread).await.last().map(String::as_str), Some("thread.closed"));
    bench.finish().await;
}

#[tokio::test]
async fn every_load_that_writes_says_so_first_and_synced() {
    let bench = Bench::on_files();
    let thread = bench.stored().await;
    let mut client = bench.client();
    client.resume(thread).await;
    let before = bench.kinds(thread).await.len();
    client.turn(thread, "again").await;
    let kinds = bench.kinds(thread).await;
    assert_eq!(kinds[before], "thread.opened");
    assert_eq!(kinds[before + 1], "turn.started");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_whose_answer_is_too_large_subscribes_nobody() {
    let bench = Bench::with(|config| config.limits.answer_bytes = 1_000);
    let thread = bench.stored().await;
    let mut client = bench.client();
    for role in [Role::Subscriber, Role::Observer] {
        let request = client.ask_resume(thread, role);
        assert_eq!(client.refusal(request).await, "answerTooLarge");
        bench.gone(thread).await;
        assert_eq!(bench.services.subscribers.role(client.id(), thread), None);
    }
    bench.finish().await;
}

/// Also with a small limit that the newest turn fills.
#[tokio::test(start_paused = true)]
async fn a_turn_that_does_not_fit_into_an_answer_is_shown_in_part() {
    let bench = Bench::with(|config| config.limits.answer_bytes = 65_536);
    let (mut client, thread, _) = talked(&bench, &["one", &"\u{1}word ".repeat(20_000)]).await;
    for role in [Role::Subscriber, Role::Observer] {
        let mut other = bench.client();
        let request = other.ask_resume(thread, role);
        let shown: ThreadResumeResponse = other.answer(request).await.unwrap();
        let turns = &shown.thread.turns;
        assert_eq!((turns.len(), turns[0].items_view), (1, TurnItemsView::Summary), "{role:?}");
        assert!(serde_json::to_vec(&turns[0].items[0]).unwrap().len() > 5_000);
        assert!(shown.skein.unwrap().older_turns.is_some());
        other.disconnect();
    }
    client.turn(thread, "three").await;
    assert_eq!(client.rollback(thread, 1).await.thread.turns.len(), 1);
    client.disconnect();
    bench.gone(thread).await;
    bench.finish().await;
}
