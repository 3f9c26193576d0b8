//! Resumes by number: missed events come once, in order, whatever happens meanwhile.

use skein_protocol::extension::GapReason;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{
    ItemAgentMessageDelta, ItemCompleted, ItemStarted, ServerRequestResolved, ThreadNameUpdated,
    TurnCompleted, TurnStarted,
};
use skein_protocol::thread::ThreadResumeResponse;

use super::model::Strings;
use super::*;
use crate::policy;
use crate::thread::event::Force;
use crate::thread::subscribers::Role;

const E: Epoch = Epoch(1);

fn agent_text(item: &ThreadItem) -> Option<String> {
    let ThreadItemBody::AgentMessage(message) = &item.body else { return None };
    Some(message.text.clone())
}

/// Method, params and number of each durable event of threads that a client has received. Announcements have a catalog
/// number too, which is removed.
fn durable(client: &mut Client) -> Vec<(EventSeq, String)> {
    let received = |message: &Message| match message {
        Message::Notice { method, params, stamp } => {
            let mut params: serde_json::Value = serde_json::from_str(params.get()).unwrap();
            params.as_object_mut().unwrap().remove("skein");
            Some((stamp.seq?, format!("{method} {params}")))
        }
        Message::Answer { .. } | Message::Question { .. } => None,
    };
    client.received().iter().filter_map(received).collect()
}

fn numbers(client: &mut Client) -> Vec<u64> {
    durable(client).into_iter().map(|(seq, _)| seq.0).collect()
}

#[tokio::test(start_paused = true)]
async fn replayed_events_equal_the_published_ones() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let first = durable(&mut client).len();
    assert_eq!(first, 0);
    client.turn(thread, "hello").await;
    client.set_name(thread, "a name");
    client.turn(thread, "/fail on purpose").await;
    let mut late = bench.client();
    let response = late.resume_from(thread, (EventSeq(0), E)).await;
    let view = response.skein.unwrap();
    assert_eq!((view.seq, view.epoch, view.gap), (EventSeq(0), E, None));
    assert!(response.thread.turns.is_empty());
    for _ in 0..2 {
        late.notified::<TurnCompleted>().await;
    }
    let (received, replayed) = (durable(&mut client), durable(&mut late));
    assert_eq!(received, replayed);
    assert_eq!(view.replay_to, replayed.last().map(|(seq, _)| *seq));
    assert!(received.is_sorted() && received.len() > 8, "{received:#?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_in_mid_turn_gets_the_text_so_far_and_then_deltas() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<ItemStarted>().await;
    let seen = durable(&mut client).last().unwrap().0;
    strings.say("one ").await;
    strings.say("two ").await;
    client.take("a delta", |m| m.params::<ItemAgentMessageDelta>().is_some_and(|d| d.delta == "two ")).await;
    client.disconnect();
    let mut back = bench.client();
    let response = back.resume_from(thread, (seen, E)).await;
    assert!(response.skein.unwrap().replay_to.is_some());
    let shown = back.take("the text so far", |m| {
        m.params::<ItemStarted>().and_then(|s| agent_text(&s.item)).is_some_and(|text| text == "one two ")
    });
    let shown = shown.await;
    assert_eq!(back.log[shown].seq(), None, "it is no news");
    strings.say("three").await;
    strings.end();
    let delta = back.notified::<ItemAgentMessageDelta>().await;
    assert_eq!(delta.delta, "three");
    back.notified::<TurnCompleted>().await;
    let numbers = numbers(&mut back);
    assert!(numbers.is_sorted() && numbers.iter().all(|number| *number > seen.0));
    bench.finish().await;
}

/// A client that knows the first turn, and catches up while reads of the disk are held.
async fn catching_up(bench: &Bench) -> (Client, ThreadId, Client) {
    let (mut client, thread) = bench.materialised().await;
    let seen = durable(&mut client).last().unwrap().0;
    client.turn(thread, "second").await;
    bench.disk.hold_reads();
    let mut back = bench.client();
    back.resume_from(thread, (seen, E)).await;
    (client, thread, back)
}

async fn last_text(client: &mut Client, text: &str) {
    let done = |m: &Message| {
        m.params::<ItemCompleted>().and_then(|d| agent_text(&d.item)).is_some_and(|t| t == text)
    };
    client.take(text, done).await;
    client.notified::<TurnCompleted>().await;
}

#[tokio::test(start_paused = true)]
async fn events_during_a_catch_up_follow_it_once() {
    let bench = Bench::in_memory();
    let (mut client, thread, mut back) = catching_up(&bench).await;
    client.turn(thread, "third").await;
    assert_eq!(numbers(&mut back), Vec::<u64>::new(), "no event comes before an older one");
    bench.disk.release_reads();
    last_text(&mut back, "third").await;
    client.turn(thread, "fourth").await;
    last_text(&mut back, "fourth").await;
    let (received, again) = (numbers(&mut client), numbers(&mut back));
    assert_eq!(received[received.len() - again.len()..], again);
    assert_eq!(back.count(Message::is::<TurnStarted>), 3);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_given_during_the_catch_up_has_its_number_once_and_in_its_place() {
    let bench = Bench::in_memory();
    let (mut client, thread, mut back) = catching_up(&bench).await;
    let mut stranger = bench.client();
    client.set_name(thread, "a name");
    stranger.notified::<ThreadNameUpdated>().await;
    assert_eq!(numbers(&mut stranger), Vec::<u64>::new(), "a number is a place in what the client follows");
    client.turn(thread, "third").await;
    assert_eq!(numbers(&mut back), Vec::<u64>::new(), "no event comes before an older one");
    bench.disk.release_reads();
    last_text(&mut back, "third").await;
    let (received, again) = (numbers(&mut client), numbers(&mut back));
    assert_eq!(received[received.len() - again.len()..], again);
    let numbered = |m: &Message| m.is::<ThreadNameUpdated>() && m.seq().is_some();
    assert_eq!(back.count(numbered), 1, "once in its place");
    assert_eq!(back.count(Message::is::<ThreadNameUpdated>), 2, "and once as all connections receive it");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn more_than_is_kept_in_memory_is_read_from_the_disk_again() {
    let bench = Bench::in_memory();
    let (mut client, thread, mut back) = catching_up(&bench).await;
    for _ in 0..policy::RECENT_EVENTS / 4 {
        client.turn(thread, "more").await;
    }
    client.turn(thread, "last").await;
    bench.disk.release_reads();
    last_text(&mut back, "last").await;
    let (received, again) = (numbers(&mut client), numbers(&mut back));
    assert_eq!(received[received.len() - again.len()..], again);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_catches_up_keeps_the_thread_until_it_leaves() {
    let bench = Bench::in_memory();
    let (client, thread, back) = catching_up(&bench).await;
    client.disconnect();
    assert!(back.fence(thread).await, "it is loaded");
    back.unsubscribe(thread);
    bench.gone(thread).await;
    bench.disk.release_reads();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_replay_ends_with_an_event_even_if_later_records_are_no_events() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let seen = durable(&mut client).last().unwrap().0;
    client.disconnect();
    bench.gone(thread).await;
    for role in [Role::Observer, Role::Subscriber] {
        let mut back = bench.client();
        let request = back.ask_resume_from(thread, role, (seen, E));
        let response = back.answer::<ThreadResumeResponse>(request).await.unwrap();
        assert_eq!(
            response.skein.unwrap().replay_to,
            Some(seen),
            "nothing follows, and nothing is waited for"
        );
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unload_during_the_catch_up_turns_into_a_load() {
    let bench = Bench::in_memory();
    let (mut client, thread, mut back) = catching_up(&bench).await;
    let unload = client.unload(thread, Force::Yes);
    client.answer::<serde_json::Value>(unload).await.unwrap();
    bench.disk.release_reads();
    last_text(&mut back, "second").await;
    back.turn(thread, "third").await;
    let numbers = numbers(&mut back);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(back.count(Message::is::<TurnStarted>), 2);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_disk_refuses_nobody_joins_and_later_nothing_is_missing() {
    let bench = Bench::in_memory();
    let (mut client, thread, mut back) = catching_up(&bench).await;
    bench.disk.refuse(thread);
    let failed = client.input(thread, "unsaved");
    client.answer::<serde_json::Value>(failed).await.unwrap_err();
    bench.disk.release_reads();
    last_text(&mut back, "second").await;
    bench.disk.recover(thread);
    // The writer tries again by itself.
    last_text(&mut back, "unsaved").await;
    let numbers = numbers(&mut back);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(back.count(Message::is::<TurnStarted>), 2);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_resumes_by_number_gets_no_event_twice() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let before = durable(&mut client);
    let from = (before.last().unwrap().0, E);
    client.resume_from(thread, from).await;
    client.turn(thread, "second").await;
    let after = numbers(&mut client);
    assert!(after.is_sorted_by(|a, b| a < b), "{after:?}");
    bench.finish().await;
}

async fn gap(bench: &Bench, thread: ThreadId, from: (EventSeq, Epoch)) -> Option<GapReason> {
    let mut client = bench.client();
    let response = client.resume_from(thread, from).await;
    let view = response.skein.unwrap();
    assert_eq!(view.replay_to.is_none(), view.gap.is_some());
    client.disconnect();
    view.gap.map(|gap| gap.reason)
}

#[tokio::test(start_paused = true)]
async fn a_void_number_is_a_gap_with_the_full_state() {
    let bench = Bench::with(|config| config.limits.replay = 3);
    let (_client, thread) = bench.materialised().await;
    let end = bench.client().resume(thread).await.skein.unwrap().seq;
    assert_eq!(gap(&bench, thread, (EventSeq(end.0 - 3), E)).await, None);
    assert_eq!(gap(&bench, thread, (EventSeq(end.0 - 4), E)).await, Some(GapReason::TooMany));
    assert_eq!(gap(&bench, thread, (EventSeq(end.0 + 1), E)).await, Some(GapReason::UnknownSeq));
    assert_eq!(gap(&bench, thread, (end, Epoch(2))).await, Some(GapReason::OtherEpoch));
    let response = bench.client().resume_from(thread, (EventSeq(0), E)).await;
    assert_eq!(response.thread.turns.len(), 1, "the full state");
    let (_other, unwritten) = bench.started().await;
    assert_eq!(gap(&bench, unwritten, (EventSeq(0), E)).await, Some(GapReason::NotStored));
    assert_eq!(bench.services.counters.gaps.get(), 5);
    bench.finish().await;
}

/// The damage includes the end of the turn, which was not published again.
#[tokio::test]
async fn later_damage_is_a_gap_for_clients_that_have_not_seen_the_record() {
    let bench = Bench::on_files();
    let thread = bench.stored().await;
    let mut client = bench.client();
    client.resume(thread).await;
    client.turn(thread, "second").await;
    client.disconnect();
    bench.gone(thread).await;
    let text = String::from_utf8(bench.file(thread)).unwrap();
    let end = text.find("\"turn.completed\"").unwrap();
    let mut bytes = text.into_bytes();
    bytes[end + 1] = b'!';
    bench.overwrite(thread, &bytes);
    assert_eq!(gap(&bench, thread, (EventSeq(4), E)).await, Some(GapReason::Damaged));
    assert_eq!(gap(&bench, thread, (EventSeq(9), E)).await, None, "it has seen what is damaged");
    bench.finish().await;
}

/// A load does not read so far back. A replay meets the damage, and its client resumes again.
#[tokio::test]
async fn damage_that_no_load_has_read_is_a_gap_for_those_who_come_back_from_before_it() {
    let bench = Bench::on_files();
    let thread = bench.stored().await;
    let mut client = bench.client();
    client.resume(thread).await;
    for _ in 0..4 {
        client.turn(thread, &"x".repeat(skein_store::policy::HISTORY_WINDOW / 2)).await;
    }
    client.disconnect();
    bench.gone(thread).await;
    let text = String::from_utf8(bench.file(thread)).unwrap();
    let end = text.find("\"turn.completed\"").unwrap();
    let mut bytes = text.into_bytes();
    bytes[end + 1] = b'!';
    bench.overwrite(thread, &bytes);
    let mut back = bench.client();
    back.resume_from(thread, (EventSeq(4), E)).await;
    bench.within("the end of the connection", back.outbox().until_closed()).await;
    back.disconnect();
    bench.gone(thread).await;
    assert_eq!(gap(&bench, thread, (EventSeq(4), E)).await, Some(GapReason::Damaged));
    assert_eq!(gap(&bench, thread, (EventSeq(9), E)).await, None, "it has seen what is damaged");
    bench.finish().await;
}

/// A turn that asks its client, which knows everything up to the number. Replays are held.
async fn asked_while_reads_are_held(bench: &Bench) -> (Client, ThreadId, Strings, EventSeq) {
    let (mut client, thread, strings) = bench.running().await;
    let seen = durable(&mut client).last().unwrap().0;
    strings.ask("first?").await;
    bench.disk.hold_reads();
    (client, thread, strings, seen)
}

#[tokio::test(start_paused = true)]
async fn a_question_is_put_again_and_one_that_was_settled_meanwhile_is_taken_back() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings, seen) = asked_while_reads_are_held(&bench).await;
    let first = client.asked().await;
    let mut back = bench.client();
    let response = back.resume_from(thread, (EventSeq(seen.0 - 1), E)).await;
    let open = response.skein.unwrap().pending_requests;
    assert_eq!(open, [skein_protocol::ids::RequestId::Integer(first)]);
    client.say(first, Ok("answered"));
    client.notified::<ServerRequestResolved>().await;
    strings.ask("second?").await;
    let second = client.asked().await;
    bench.disk.release_reads();
    let resolved = back.notified::<ServerRequestResolved>().await;
    assert_eq!(resolved.request_id, skein_protocol::ids::RequestId::Integer(first));
    assert_eq!(back.asked().await, second);
    assert_eq!(back.count(|m| matches!(m, Message::Question { .. })), 1);
    back.say(second, Ok("yes"));
    strings.end();
    client.notified::<TurnCompleted>().await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_can_answer_a_question_that_its_resume_names_as_open_at_once() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings, seen) = asked_while_reads_are_held(&bench).await;
    let question = client.asked().await;
    let mut observer = bench.client();
    let request = observer.ask_resume_from(thread, Role::Observer, (EventSeq(seen.0 - 1), E));
    let response = observer.answer::<ThreadResumeResponse>(request).await.unwrap();
    assert_eq!(response.skein.unwrap().pending_requests, []);
    observer.say(question, Ok("not mine to answer"));
    assert!(observer.fence(thread).await);
    assert_eq!(client.count(Message::is::<ServerRequestResolved>), 0);
    let mut back = bench.client();
    back.resume_from(thread, (EventSeq(seen.0 - 1), E)).await;
    // The client still shows the dialog: the user answers before the question is put again.
    back.say(question, Ok("answered"));
    client.notified::<ServerRequestResolved>().await;
    strings.end();
    client.notified::<TurnCompleted>().await;
    bench.disk.release_reads();
    back.notified::<TurnCompleted>().await;
    assert_eq!(back.count(Message::is::<ServerRequestResolved>), 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_continues_by_number_without_loading() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let mut observer = bench.client();
    let request = observer.ask_resume_from(thread, Role::Observer, (EventSeq(0), E));
    let response = observer.answer::<ThreadResumeResponse>(request).await.unwrap();
    assert!(response.thread.turns.is_empty());
    last_text(&mut observer, "hello").await;
    assert_eq!(bench.disk.loads(), 0);
    let mut client = bench.client();
    client.resume(thread).await;
    client.turn(thread, "second").await;
    last_text(&mut observer, "second").await;
    let numbers = numbers(&mut observer);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_whose_thread_is_loaded_during_the_catch_up_misses_nothing() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let mut observer = bench.client();
    let request = observer.ask_resume_from(thread, Role::Observer, (EventSeq(2), E));
    observer.answer::<ThreadResumeResponse>(request).await.unwrap();
    bench.disk.hold_reads();
    let mut client = bench.client();
    client.resume(thread).await;
    client.turn(thread, "second").await;
    client.disconnect();
    bench.gone(thread).await;
    bench.disk.release_reads();
    last_text(&mut observer, "second").await;
    let numbers = numbers(&mut observer);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    bench.finish().await;
}
