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
