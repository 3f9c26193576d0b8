use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::ws::Message;

use super::*;
use crate::outbox::WriterAction;

mod autobahn;

#[tokio::test(start_paused = true)]
async fn the_next_answer_from_the_disk_is_made_when_the_client_has_taken_those_before_it() {
    let limits = OutboxLimits { waiting_bytes: 10, most_bytes: 100, pause_bytes: 5, merge_bytes: 100 };
    let (outbox, ended) = (Outbox::new(ConnectionId(1), limits), CancellationToken::new());
    let (store_jobs, jobs) = mpsc::channel(8);
    let made = Arc::new(AtomicUsize::new(0));
    for _ in 0..4 {
        let (outbox, made) = (outbox.clone(), Arc::clone(&made));
        let job: StoreJob = Box::pin(async move {
            outbox.push("a whole page".into());
            made.fetch_add(1, Ordering::SeqCst);
        });
        store_jobs.try_send(job).unwrap_or_else(|_| panic!("there is room"));
    }
    let mut lane = std::pin::pin!(store_lane(jobs, ended.clone(), outbox.clone()));
    for answers in 1..=4 {
        assert!(futures_util::poll!(&mut lane).is_pending());
        assert_eq!(made.load(Ordering::SeqCst), answers);
        assert!(matches!(outbox.next().await, WriterAction::Frames(frames) if frames.len() == 1));
    }
    drop(store_jobs);
    lane.await;
}

#[tokio::test]
async fn a_flood_that_is_not_answered_lets_others_have_their_turn() {
    const FLOOD: usize = 1_000;
    let limits = OutboxLimits { waiting_bytes: 10, most_bytes: 100, pause_bytes: 5, merge_bytes: 100 };
    let outbox = Outbox::new(ConnectionId(1), limits);
    for (message, at_once) in [("{}".to_owned(), 16), ("x".repeat(policy::READER_TURN), 1)] {
        let taken = Cell::new(0);
        let flood =
            futures_util::stream::repeat_with(|| Ok(Message::Text(message.as_str().into()))).take(FLOOD);
        let mut reader = std::pin::pin!(reader::run(flood, &outbox, |_| taken.set(taken.get() + 1)));
        assert!(futures_util::poll!(&mut reader).is_pending(), "{} were taken in one go", taken.get());
        assert_eq!(taken.get(), at_once);
        assert_eq!((reader.await, taken.get()), (CloseReason::ClientLeft, FLOOD));
    }
}

/// Sets its flag at its end.
struct FlagOnDrop<'a>(&'a Cell<bool>);

impl Drop for FlagOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Ends with this reason, or never.
async fn end_with(reason: Option<CloseReason>) -> CloseReason {
    match reason {
        Some(reason) => reason,
        None => std::future::pending().await,
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_no_subscriber_any_more_when_its_last_messages_are_written() {
    let limits = OutboxLimits { waiting_bytes: 10, most_bytes: 100, pause_bytes: 5, merge_bytes: 100 };
    let (left, silent) = (CloseReason::ClientLeft, CloseReason::Silent);
    for (of_reader, of_watch) in [(Some(left), None), (None, Some(silent))] {
        let outbox = Outbox::new(ConnectionId(1), limits);
        outbox.push("the last message".into());
        let (gone, gone_at_the_write) = (Cell::new(false), Cell::new(None));
        let writer = async {
            outbox.until_closed().await;
            outbox.next().await;
            gone_at_the_write.set(Some(gone.get()));
        };
        let ends = (pin!(end_with(of_reader)), pin!(end_with(of_watch)));
        until_the_first_end(ends, pin!(writer), &outbox, FlagOnDrop(&gone)).await;
        assert_eq!((gone_at_the_write.get(), outbox.closed()), (Some(true), of_reader.or(of_watch)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_more_is_no_subscriber_and_no_request_waits_for_its_room() {
    let limits = OutboxLimits { waiting_bytes: 10, most_bytes: 100, pause_bytes: 5, merge_bytes: 100 };
    let (outbox, gone) = (Outbox::new(ConnectionId(1), limits), Cell::new(false));
    outbox.push("more than its room".into());
    let waits = outbox.room();
    let ends = (pin!(end_with(None)), pin!(end_with(None)));
    until_the_first_end(ends, pin!(async {}), &outbox, FlagOnDrop(&gone)).await;
    waits.await;
    assert_eq!((gone.get(), outbox.closed()), (true, Some(CloseReason::ClientLeft)));
}
