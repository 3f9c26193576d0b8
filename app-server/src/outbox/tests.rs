use std::sync::Arc;

use proptest::prelude::*;
use skein_base::clock::WallMs;
use skein_protocol::event::AgentMessageDeltaNotification;
use skein_protocol::ids::{ItemId, TurnId};

use super::*;

fn outbox() -> Outbox {
    let limits = OutboxLimits { waiting_bytes: 10, most_bytes: 100, pause_bytes: 5, merge_bytes: 100 };
    Outbox::new(ConnectionId(1), limits)
}

fn taken(next: WriterAction) -> Vec<String> {
    match next {
        WriterAction::Frames(frames) => frames.iter().map(|f| f.as_str().to_owned()).collect(),
        WriterAction::Ping => Vec::new(),
        WriterAction::Close(reason) => panic!("closed: {reason:?}"),
    }
}

#[tokio::test]
async fn everything_that_waits_is_taken_in_order() {
    let outbox = outbox();
    outbox.push("one".into());
    outbox.push("two".into());
    assert_eq!(taken(outbox.next().await), ["one", "two"]);
    assert_eq!(outbox.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_keep_up_is_closed_and_gets_nothing_more() {
    let outbox = outbox();
    outbox.push("12345678".into());
    outbox.push("123".into());
    tokio::time::advance(policy::OUTBOX_PATIENCE).await;
    assert_eq!(outbox.closed(), None, "nothing more came");
    outbox.push("4".into());
    assert!(matches!(outbox.next().await, WriterAction::Close(CloseReason::SlowClient)));
    outbox.push("late".into());
    assert!(matches!(outbox.next().await, WriterAction::Close(CloseReason::SlowClient)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_what_waits_begins_anew() {
    let outbox = outbox();
    for _ in 0..3 {
        outbox.push("12345678".into());
        outbox.push("123".into());
        assert_eq!(taken(outbox.next().await).len(), 2);
        tokio::time::advance(policy::OUTBOX_PATIENCE).await;
    }
    assert_eq!(outbox.closed(), None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_of_what_waits_keeps_its_connection() {
    let outbox = outbox();
    outbox.push("12345678".into());
    outbox.push("123".into());
    for _ in 0..5 {
        tokio::time::advance(policy::OUTBOX_PATIENCE / 2).await;
        outbox.took(Clock.now());
        outbox.push("4".into());
        assert!(!outbox.is_overdue(Clock.now()));
    }
    assert_eq!(outbox.closed(), None);
    tokio::time::advance(policy::OUTBOX_PATIENCE).await;
    outbox.push("5".into());
    assert_eq!(outbox.closed(), Some(CloseReason::SlowClient), "it has taken nothing");
}

#[tokio::test(start_paused = true)]
async fn large_messages_may_wait_but_not_without_end() {
    let outbox = outbox();
    outbox.push("x".repeat(60).into());
    outbox.push("x".repeat(60).into());
    assert_eq!(outbox.closed(), None);
    outbox.push("x".into());
    assert_eq!(outbox.closed(), Some(CloseReason::SlowClient));
}

#[tokio::test]
async fn what_waits_is_written_before_an_orderly_end() {
    let outbox = outbox();
    outbox.push("last".into());
    outbox.close(CloseReason::ServerStops);
    outbox.close(CloseReason::Fault);
    assert_eq!(taken(outbox.next().await), ["last"]);
    assert!(matches!(outbox.next().await, WriterAction::Close(CloseReason::ServerStops)));
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_when_the_client_has_taken_its_answers() {
    let outbox = outbox();
    outbox.push("12345678".into());
    let reader = outbox.clone();
    let waits = async move { reader.room().await };
    tokio::pin!(waits);
    assert!(futures_util::poll!(&mut waits).is_pending());
    assert_eq!(taken(outbox.next().await), ["12345678"]);
    waits.await;
}

/// A pushed message: text of a thread's item, or another one.
#[derive(Debug, Clone, PartialEq)]
enum Pushed {
    /// About no thread, and so in order with all.
    Answer(u32),
    /// About a thread.
    Event(u8, u32),
    /// Text of a thread's item.
    Text(u8, u8, String),
}

fn thread(number: u8) -> ThreadId {
    ThreadId::new(uuid::Uuid::from_u128(number.into()))
}

fn push(outbox: &Outbox, pushed: &Pushed) {
    match pushed {
        Pushed::Answer(id) => outbox.push(serde_json::json!({ "id": id }).to_string().into()),
        Pushed::Event(of, id) => {
            outbox.push_of(thread(*of), serde_json::json!({ "of": of, "event": id }).to_string().into());
        }
        Pushed::Text(of, item, text) => {
            let params = AgentMessageDeltaNotification {
                delta: text.clone(),
                item_id: ItemId::from(item.to_string()),
                thread_id: thread(*of),
                turn_id: TurnId::from("turn".to_owned()),
            };
            outbox.push_text(Arc::new(TextDelta::new(params, WallMs(7))));
        }
    }
}

fn read(frame: &str) -> Pushed {
    let value: serde_json::Value = serde_json::from_str(frame).unwrap();
    let small = |value: &serde_json::Value| u8::try_from(value.as_u64().unwrap()).unwrap();
    if let Some(id) = value.get("id") {
        return Pushed::Answer(id.as_u64().unwrap().try_into().unwrap());
    }
    if let Some(id) = value.get("event") {
        return Pushed::Event(small(&value["of"]), id.as_u64().unwrap().try_into().unwrap());
    }
    let params: AgentMessageDeltaNotification = serde_json::from_value(value["params"].clone()).unwrap();
    let of = u8::try_from(params.thread_id.uuid().as_u128()).unwrap();
    Pushed::Text(of, params.item_id.as_str().parse().unwrap(), params.delta)
}

/// One thread's view: its events and texts, and messages about no thread, with continuous text in one piece.
fn view(of: u8, all: &[Pushed]) -> Vec<Pushed> {
    let mut view: Vec<Pushed> = Vec::new();
    for pushed in all {
        match (view.last_mut(), pushed) {
            (_, Pushed::Event(other, _) | Pushed::Text(other, ..)) if *other != of => {}
            (Some(Pushed::Text(_, last, said)), Pushed::Text(_, item, text)) if last == item => {
                said.push_str(text);
            }
            (_, pushed) => view.push(pushed.clone()),
        }
    }
    view
}

/// Takes what waits, if anything does.
fn take(outbox: &Outbox) -> Vec<Pushed> {
    use futures_util::FutureExt;
    match outbox.next().now_or_never() {
        Some(next) => taken(next).iter().map(|frame| read(frame)).collect(),
        None => Vec::new(),
    }
}

fn steps() -> impl Strategy<Value = Vec<Option<Pushed>>> {
    let text = prop_oneof![Just(String::new()), "[a-z]{1,3}", Just("\u{0}\"\\\n\u{1F9F6}".to_owned())];
    let step = prop_oneof![
        1 => Just(None),
        1 => any::<u32>().prop_map(|id| Some(Pushed::Answer(id))),
        2 => (0..3_u8, any::<u32>()).prop_map(|(of, id)| Some(Pushed::Event(of, id))),
        9 => (0..3_u8, 0..2_u8, text).prop_map(|(of, item, text)| Some(Pushed::Text(of, item, text))),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// However late a client reads: text is complete, the order within a thread is kept, and nothing is lost.
    #[test]
    fn a_client_that_is_behind_reads_the_same(steps in steps(), merge_bytes in 0..2_000_usize) {
        let limits =
            OutboxLimits { waiting_bytes: 1 << 20, most_bytes: 1 << 20, pause_bytes: 1 << 20, merge_bytes };
        let outbox = Outbox::new(ConnectionId(1), limits);
        let (mut pushed, mut seen) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Some(next) => {
                    push(&outbox, &next);
                    pushed.push(next);
                }
                None => seen.extend(take(&outbox)),
            }
        }
        seen.extend(take(&outbox));
        for of in 0..3 {
            prop_assert_eq!(view(of, &pushed), view(of, &seen));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_text_for_a_client_that_reads_nothing_takes_only_the_room_of_its_letters() {
    let limits =
        OutboxLimits { waiting_bytes: 40_000, most_bytes: 1 << 20, pause_bytes: 20_000, merge_bytes: 20_000 };
    let outbox = Outbox::new(ConnectionId(1), limits);
    for _ in 0..10_000 {
        push(&outbox, &Pushed::Text(1, 1, "ab".to_owned()));
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(outbox.closed(), None);
    assert!(outbox.bytes() <= 20_000 + 200, "{} bytes", outbox.bytes());
    assert_eq!(take(&outbox), [Pushed::Text(1, 1, "ab".repeat(10_000))]);
    // A client that keeps up gets each delta, in the same frame as all others.
    push(&outbox, &Pushed::Text(1, 1, "a".to_owned()));
    push(&outbox, &Pushed::Text(1, 1, "b".to_owned()));
    assert_eq!(take(&outbox).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn texts_of_two_threads_are_merged_each_for_itself() {
    let limits = OutboxLimits { waiting_bytes: 1 << 20, most_bytes: 1 << 20, pause_bytes: 1, merge_bytes: 0 };
    let outbox = Outbox::new(ConnectionId(1), limits);
    for _ in 0..3 {
        push(&outbox, &Pushed::Text(1, 1, "a".to_owned()));
        push(&outbox, &Pushed::Text(2, 1, "b".to_owned()));
    }
    push(&outbox, &Pushed::Event(2, 5));
    push(&outbox, &Pushed::Text(1, 1, "a".to_owned()));
    push(&outbox, &Pushed::Text(2, 1, "b".to_owned()));
    let text = |of, text: &str| Pushed::Text(of, 1, text.to_owned());
    assert_eq!(take(&outbox), [text(1, "aaaa"), text(2, "bbb"), Pushed::Event(2, 5), text(2, "b")]);
}

/// The waits for room: the reader's, and those of catch-ups.
#[tokio::test(start_paused = true)]
async fn who_waits_for_room_is_woken_when_the_client_is_too_slow() {
    let outbox = outbox();
    outbox.push("12345678".into());
    outbox.push("123".into());
    let mut room = std::pin::pin!(outbox.room());
    assert!(futures_util::poll!(&mut room).is_pending());
    tokio::time::advance(policy::OUTBOX_PATIENCE).await;
    assert!(outbox.is_overdue(Clock.now()) && outbox.closed().is_none(), "nothing was pushed since");
    outbox.push("4".into());
    assert_eq!(outbox.closed(), Some(CloseReason::SlowClient));
    assert!(futures_util::poll!(&mut room).is_ready());
}

/// The client's own server decides, and the server of its thread waits for it.
#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_a_link_waiting_is_too_slow_unless_it_takes_something() {
    let outbox = outbox();
    outbox.push("12345678".into());
    let waiting = outbox.clone();
    let mut room = std::pin::pin!(waiting.room_for_link());
    assert!(futures_util::poll!(&mut room).is_pending());
    tokio::time::advance(policy::OUTBOX_PATIENCE / 2).await;
    outbox.took(Clock.now());
    tokio::time::advance(policy::OUTBOX_PATIENCE / 2).await;
    assert!(!outbox.is_overdue(Clock.now()), "it reads");
    tokio::time::advance(policy::OUTBOX_PATIENCE / 2).await;
    assert!(outbox.is_overdue(Clock.now()));
    assert_eq!(taken(outbox.next().await), ["12345678"]);
    room.await;
    assert!(!outbox.is_overdue(Clock.now()), "it has taken everything");
    let limits = OutboxLimits { waiting_bytes: 5, most_bytes: 100, pause_bytes: 5, merge_bytes: 100 };
    let of_link = Outbox::of_link(ConnectionId(2), limits);
    of_link.push("12345678".into());
    of_link.push("1".into());
    tokio::time::advance(policy::OUTBOX_PATIENCE).await;
    assert!(!of_link.is_overdue(Clock.now()));
    tokio::time::advance(policy::LINK_SILENCE).await;
    assert!(of_link.is_overdue(Clock.now()));
}

#[tokio::test]
async fn a_ping_does_not_stand_behind_what_waits() {
    let outbox = outbox();
    outbox.push("one".into());
    outbox.ping();
    assert!(matches!(outbox.next().await, WriterAction::Ping));
    assert_eq!(taken(outbox.next().await), ["one"]);
}
