//! Unloads and stops of a server that leave a turn to the next load.

use std::sync::Arc;

use skein_protocol::access::Access;
use tokio::sync::Semaphore;

use super::*;
use crate::thread::answering;
use crate::thread::registry::GivenAnswer;
use crate::thread::subscribers::Role;

#[tokio::test(start_paused = true)]
async fn a_thread_that_waits_is_parked_after_its_grace_and_nothing_ends() {
    let (bench, _fakes) = with_helper(None);
    let mut bystander = bench.client();
    let (client, thread, question) = asking(&bench, &call(WRITES)).await;
    let before = bench.services.clock.now();
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now() - before, bench.services.config().orphans.pending_grace);
    let kinds = bench.kinds(thread).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "turn.completed").count(), 1, "{kinds:?}");
    assert_eq!(kinds.last().map(String::as_str), Some("thread.closed"));
    bystander.notified::<ThreadClosed>().await;
    let status = bystander.log.iter().filter_map(Message::params::<ThreadStatusChanged>).next_back().unwrap();
    let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnApproval] };
    assert_eq!(status.status, waits, "it is neither idle nor only not loaded");
    let (row, _) = bench.services.index.get(thread).await.unwrap().unwrap();
    assert_eq!(row.waiting.iter().map(|waiting| waiting.id).collect::<Vec<_>>(), [question]);
    let mut back = bench.client();
    let resumed = back.resume(thread).await;
    assert_eq!(last_turn(&resumed).status, TurnStatus::InProgress);
    assert_eq!(back.asked().await, question);
    answer(&back, question, "accept");
    assert_eq!(back.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    let (row, _) = bench.services.index.get(thread).await.unwrap().unwrap();
    assert_eq!(row.waiting, []);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_parked_thread_waits_for_a_storage_that_is_away() {
    let (bench, _fakes) = with_helper(None);
    let (mut client, thread, question) = asking(&bench, &call(WRITES)).await;
    bench.services.registry.handle(thread).unwrap().evict();
    bench.gone(thread).await;
    bench.disk.stop_serving();
    let slots = Arc::new(Semaphore::new(1));
    let given = GivenAnswer {
        by: client.id(),
        client: "test".to_owned(),
        access: Access::Admin,
        question,
        answer: Ok(to_raw_value(&json!({ "action": "accept" })).unwrap()),
    };
    let slot = Arc::clone(&slots).try_acquire_owned().unwrap();
    answering::deliver_to_parked(&bench.services, client.outbox(), given, slot);
    bench.pass(Duration::from_secs(60)).await;
    assert_eq!(client.count(Message::is::<ServerRequestResolved>), 0);
    assert_eq!(slots.available_permits(), 0, "it is under way");
    bench.disk.serve_again();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(slots.available_permits(), 1);
    bench.finish().await;
}

/// Its dialog is still open, and nobody puts the question to it again.
#[tokio::test(start_paused = true)]
async fn a_client_that_stays_subscribed_answers_also_after_another_has_loaded_the_thread() {
    let (bench, _fakes) = with_helper(None);
    let (mut client, thread, question) = asking(&bench, &call(WRITES)).await;
    bench.services.registry.handle(thread).unwrap().evict();
    bench.gone(thread).await;
    let mut other = bench.client();
    other.resume(thread).await;
    assert_eq!(other.asked().await, question);
    answer(&client, question, "accept");
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(client.count(|message| matches!(message, Message::Question { .. })), 1, "it is asked once");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unload_without_force_parks_a_thread_that_waits_and_force_interrupts_it() {
    let (bench, _fakes) = with_helper(None);
    let (mut client, thread, question) = asking(&bench, &call(WRITES)).await;
    let unload = client.unload(thread, Force::No);
    client.answer::<Value>(unload).await.unwrap();
    bench.gone(thread).await;
    client.resume(thread).await;
    assert_eq!(client.asked().await, question);
    let unload = client.unload(thread, Force::Yes);
    client.answer::<Value>(unload).await.unwrap();
    bench.gone(thread).await;
    let resumed = client.resume(thread).await;
    assert_eq!(last_turn(&resumed).status, TurnStatus::Interrupted);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_resume_is_answered_after_a_park_has_begun_is_asked() {
    let (bench, _fakes) = with_helper(None);
    let (mut client, thread, question) = asking(&bench, &call(WRITES)).await;
    bench.drained().await;
    bench.disk.hold_appends();
    // The answer of the resume waits until the name is on disk.
    client.set_name(thread, "unsaved");
    let mut joining = bench.client();
    let resume = joining.ask_resume(thread, Role::Subscriber);
    assert!(joining.fence(thread).await);
    let unload = client.unload(thread, Force::No);
    assert!(client.fence(thread).await);
    bench.disk.release_appends();
    joining.answer::<ThreadResumeResponse>(resume).await.unwrap();
    assert_eq!(joining.asked().await, question);
    client.answer::<Value>(unload).await.unwrap();
    bench.gone(thread).await;
    assert_eq!(joining.count(Message::is::<ServerRequestResolved>), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_during_a_park_is_asked_once_by_the_next_load() {
    let (bench, _fakes) = with_helper(None);
    let (mut client, thread, question) = asking(&bench, &call(WRITES)).await;
    bench.drained().await;
    bench.disk.hold_appends();
    client.set_name(thread, "unsaved");
    let unload = client.unload(thread, Force::No);
    assert!(client.fence(thread).await);
    let mut late = bench.client();
    let resume = late.ask_resume(thread, Role::Subscriber);
    assert!(late.fence(thread).await);
    bench.disk.release_appends();
    client.answer::<Value>(unload).await.unwrap();
    let resumed = late.answer::<ThreadResumeResponse>(resume).await.unwrap();
    assert_eq!(resumed.skein.unwrap().pending_requests, [RequestId::Integer(question)]);
    assert_eq!(late.asked().await, question);
    answer(&late, question, "accept");
    assert_eq!(late.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(late.count(|message| matches!(message, Message::Question { .. })), 1);
    assert_eq!(late.count(Message::is::<ServerRequestResolved>), 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_the_server_leaves_what_the_next_one_goes_on_with() {
    let (first, fakes) = with_helper(None);
    let (mut client, waiting, question) = asking(&first, &call(WRITES)).await;
    let working = client.start().await;
    client.turn(working, "hello").await;
    client.input(working, &call(WRITES));
    let of_working = client.asked().await;
    fakes.fall_silent();
    answer(&client, of_working, "accept");
    client.notified::<ServerRequestResolved>().await;
    let unasked = client.start().await;
    client.input(unasked, "/hang");
    while client.notified::<TurnStarted>().await.thread_id != unasked {}
    let store = first.disk.inner();
    first.finish().await;
    let (bench, mut fakes) = Bench::on_store(store, settings).with_fakes(tools("as before"));
    assert_eq!(bench.kinds(waiting).await.last().map(String::as_str), Some("thread.closed"));
    assert_eq!(bench.kinds(working).await.last().map(String::as_str), Some("call.begun"));
    let open = bench.disk.open_markers().await.unwrap();
    assert!(open.contains(&working), "the next start finds it: {open:?}");
    let mut client = bench.client();
    client.resume(waiting).await;
    assert_eq!(client.asked().await, question);
    answer(&client, question, "decline");
    client.resume(working).await;
    let again = client.asked().await;
    assert_eq!(params(&client, again)["_meta"]["skein"]["mayHaveRun"], true);
    answer(&client, again, "accept");
    for _ in [waiting, working] {
        assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    }
    assert_eq!(fakes.reached().len(), 1);
    let resumed = client.resume(unasked).await;
    assert_eq!(last_turn(&resumed).status, TurnStatus::Interrupted, "nobody was asked in it");
    bench.finish().await;
}
