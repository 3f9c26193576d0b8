//! Every request is answered truthfully, even if its thread or its sender leaves meanwhile.

use skein_protocol::ids::{Epoch, EventSeq};
use skein_protocol::turn::TurnStartResponse;

use super::*;
use crate::thread::subscribers::{Left, Role};

#[tokio::test(start_paused = true)]
async fn commands_deferred_by_an_unwanted_load_go_to_the_next_owner() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.hold_loads();
    let (mut client, mut other) = (bench.client(), bench.client());
    client.ask_resume(thread, Role::Subscriber);
    let input = other.input(thread, "hello");
    let named = other.set_name(thread, "new");
    bench.drained().await;
    client.disconnect();
    bench.disk.release_loads();
    // By the same thread, or with an error if the thread is gone by then.
    other.answer::<TurnStartResponse>(input).await.unwrap();
    other.answer::<serde_json::Value>(named).await.unwrap();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_resume_of_an_observer_that_has_left_is_refused() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.hold_reads_from_the_end();
    let mut observer = bench.client();
    let resume = observer.ask_resume_from(thread, Role::Observer, (EventSeq(0), Epoch(1)));
    bench.drained().await;
    assert_eq!(observer.unsubscribe(thread), Left::Subscription);
    bench.disk.release_reads_from_the_end();
    assert_eq!(observer.refusal(resume).await, "withdrawn");
    bench.finish().await;
}
