//! Faults of the server: a panic of a handler, a turn or an owner ends its request, turn or thread, and nothing else.

use std::sync::Arc;

use skein_config::access::{Admission, Door};
use skein_helpers::HelperSpec;
use skein_protocol::methods::{
    McpServerStatusList, McpServerToolCall, ThreadLoadedList, ThreadNameSet, ThreadRead, TurnInterrupt,
};
use skein_protocol::notifications::{
    ServerRequestResolved, ThreadClosed, ThreadStatusChanged, TurnCompleted,
};
use skein_protocol::server::{ClientInfo, InitializeParams};
use skein_protocol::table::Method;
use skein_protocol::thread::{
    ThreadLoadedListParams, ThreadLoadedListResponse, ThreadResumeResponse, ThreadStatus,
};
use skein_protocol::turn::{TurnStartResponse, TurnStatus};
use tokio::sync::mpsc;

use super::*;
use crate::router::session::ClientSession;
use crate::router::{Router, StoreJob};
use crate::thread::actor::Owner;
use crate::thread::event::{Event, Materialised};
use crate::thread::machine::{Persistence, Phase};
use crate::thread::registry::Claim;
use crate::thread::subscribers::Role;

/// The owner of this thread panics when it is woken.
fn plant_fault(bench: &Bench, thread: skein_protocol::ids::ThreadId) {
    bench.services.registry.handle(thread).unwrap().plant_fault();
}

async fn sees_it_go(client: &mut Client) {
    let gone = |message: &Message| {
        let changed = message.params::<ThreadStatusChanged>();
        changed.is_some_and(|changed| changed.status == ThreadStatus::NotLoaded)
    };
    client.take("the status", gone).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_owner_ends_its_thread_and_no_other() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let (mut other, unharmed, other_strings) = bench.running().await;
    let mut stranger = bench.client();
    strings.say("half a wo").await;
    other_strings.say("half").await;
    client.fence(thread).await;
    plant_fault(&bench, thread);
    sees_it_go(&mut client).await;
    stranger.notified::<ThreadClosed>().await;
    bench.gone(thread).await;
    assert_eq!(client.count(Message::is::<ThreadClosed>), 0, "it is subscribed");
    assert_eq!(bench.services.subscribers.role(client.id(), thread), Some(Role::Subscriber));
    assert_eq!(bench.disk.held(), [unharmed], "the lease is released");
    assert_eq!(bench.services.tasks.panics(), 1);

    // The other thread continues its turn.
    other_strings.say(" a word").await;
    other_strings.end();
    assert_eq!(other.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);

    // The next load closes what was open, as after a crash.
    let request = client.input(thread, "again");
    client.answer::<TurnStartResponse>(request).await.unwrap();
    let cut_off = client.notified::<TurnCompleted>().await.turn;
    assert_eq!(cut_off.status, TurnStatus::Interrupted);
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unload_whose_last_step_panics_counts_once() {
    let bench = Bench::in_memory();
    let thread = skein_protocol::ids::ThreadId::new(bench.services.clock.new_id());
    let Claim::Claimed(slot) = bench.services.registry.claim(thread, Persistence::Durable) else {
        panic!("nobody else owns it")
    };
    let mut owner = Owner::new(Arc::clone(&bench.services), *slot);
    owner.step(Event::Loaded(Materialised::No));
    owner.step(Event::Shutdown);
    assert!(owner.machine.is_gone());
    owner.clean_up_after_panic().await;
    drop(owner);
    assert_eq!(bench.services.counters.unloads.taken().count, 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_owner_counts_as_one_unload() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    plant_fault(&bench, thread);
    sees_it_go(&mut client).await;
    bench.gone(thread).await;
    assert_eq!(bench.services.counters.unloads.taken().count, 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_owner_refuses_waiting_requests_and_leaves_later_ones_to_the_next_owner() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.hold_loads();
    let (mut client, mut next) = (bench.client(), bench.client());
    let waits = client.ask_resume(thread, Role::Subscriber);
    // The load is held, and the owner has taken the command.
    client.fence(thread).await;
    plant_fault(&bench, thread);
    let comes = next.ask_resume(thread, Role::Subscriber);
    assert_eq!(client.refusal(waits).await, "brokeOff");
    bench.disk.release_loads();
    next.answer::<ThreadResumeResponse>(comes).await.unwrap();
    let again = client.ask_resume(thread, Role::Subscriber);
    client.answer::<ThreadResumeResponse>(again).await.unwrap();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_owner_leaves_its_questions_to_the_next_load() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    strings.ask("really?").await;
    let question = client.asked().await;
    plant_fault(&bench, thread);
    bench.gone(thread).await;
    client.resume(thread).await;
    assert_eq!(client.asked().await, question);
    client.say(question, Ok("yes"));
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(client.count(Message::is::<ServerRequestResolved>), 1, "the panic settles nothing");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_owner_refuses_answers_that_wait_for_a_dead_disk() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.hold_appends();
    let named = client.set_name(thread, "not saved");
    let mut other = bench.client();
    let joins = other.ask_resume(thread, Role::Subscriber);
    client.fence(thread).await;
    let began = bench.services.clock.now();
    plant_fault(&bench, thread);
    assert_eq!(client.refusal(named).await, "notSaved");
    assert_eq!(bench.services.clock.now() - began, crate::policy::UNLOAD_LIMIT);
    assert_eq!(other.refusal(joins).await, "brokeOff", "it is not subscribed, so it is not answered either");
    assert_eq!(bench.services.subscribers.role(other.id(), thread), None);
    bench.gone(thread).await;
    assert!(bench.services.counters.unsaved_records.get() >= 1);
    bench.disk.release_appends();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn records_written_before_a_panic_of_the_owner_are_acknowledged_and_stay() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.hold_appends();
    let named = client.set_name(thread, "saved");
    client.fence(thread).await;
    let mut seen = bench.services.registry.handle(thread).unwrap().watch();
    plant_fault(&bench, thread);
    bench.within("the break", seen.wait_for(|seen| seen.phase == Phase::Unloading)).await.unwrap();
    bench.disk.release_appends();
    client.answer::<serde_json::Value>(named).await.unwrap();
    bench.gone(thread).await;
    assert_eq!(client.resume(thread).await.thread.name.as_deref(), Some("saved"));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_owner_ends_its_helpers() {
    let bench = Bench::with(|config| {
        config.helpers.insert("one".to_owned(), HelperSpec::new("one", "/nowhere"));
    });
    let (mut client, thread) = bench.materialised().await;
    let handle = bench.services.registry.handle(thread).unwrap();
    // This handle keeps the helpers from ending by a drop: the owner has to end them.
    let held = handle.snapshot().helpers.unwrap();
    plant_fault(&bench, thread);
    sees_it_go(&mut client).await;
    assert!(handle.snapshot().helpers.is_none());
    assert!(held.is_stopping());
    assert_eq!(held.alive(), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_panics_leaves_the_turns_of_others_alone() {
    let bench = Bench::in_memory();
    let (mut other, _, strings) = bench.running().await;
    let (mut client, thread) = bench.materialised().await;
    strings.say("half").await;
    assert_eq!(client.turn(thread, model::PANIC).await.turn.status, TurnStatus::Failed);
    assert_eq!(bench.services.tasks.panics(), 1);
    strings.say(" a word").await;
    strings.end();
    let end = other.notified::<TurnCompleted>().await;
    assert_eq!(end.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

/// A router whose handlers of all lanes panic but one.
fn faulty() -> Arc<Router> {
    let mut router = Router::default();
    router.inline::<McpServerStatusList>(|_, _| panic!("as the test wants"));
    router.inline::<ThreadLoadedList>(|_, _| {
        Ok(ThreadLoadedListResponse { data: Vec::new(), next_cursor: None, skein: None })
    });
    router.thread::<ThreadNameSet>(|_, _, _| panic!("as the test wants"));
    router.urgent::<TurnInterrupt>(|_, _, _| panic!("as the test wants"));
    router.store::<ThreadRead, _>(|_, _| async { panic!("as the test wants") });
    router.helper::<McpServerToolCall, _>(|_, _| async { panic!("as the test wants") });
    Arc::new(router)
}

/// The client's session, with this many places in the lane of requests to the disk.
fn session(bench: &Bench, client: &Client, places: usize) -> (Arc<ClientSession>, mpsc::Receiver<StoreJob>) {
    let (store_jobs, jobs) = mpsc::channel(places);
    let admission = Admission::local(Door::Unix);
    let session = ClientSession::new(bench.app(), client.outbox(), store_jobs, admission);
    let info = ClientInfo { name: "test".to_owned(), title: None, version: "1".to_owned() };
    assert!(session.introduce(InitializeParams { capabilities: None, client_info: info }));
    (Arc::new(session), jobs)
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_those_that_may_wait_for_the_disk_are_refused_and_others_answered() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let (session, jobs) = session(&bench, &client, 2);
    let router = faulty();
    for number in 900..903 {
        let params = serde_json::json!({ "threadId": thread });
        let request = serde_json::json!({ "id": number, "method": ThreadRead::INFO.wire, "params": params });
        router.take(&session, &request.to_string());
    }
    let error = client.answer::<serde_json::Value>(902).await.unwrap_err();
    let data = error.data.unwrap();
    assert_eq!((error.code, data.reason.as_ref()), (-32001, "requestsInFlight"));
    assert!(data.retry_after_ms.is_some());
    let request = serde_json::json!({ "id": 1000, "method": ThreadLoadedList::INFO.wire, "params": {} });
    router.take(&session, &request.to_string());
    client.answer::<serde_json::Value>(1000).await.unwrap();
    drop((session, jobs));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_answers_with_an_error_and_the_connection_goes_on() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let (session, mut jobs) = session(&bench, &client, 8);
    let router = faulty();
    let threaded = serde_json::json!({
        "threadId": thread, "name": "n", "turnId": "t", "server": "s", "tool": "t", "includeTurns": true,
    });
    let faulty = [
        McpServerStatusList::INFO.wire,
        ThreadNameSet::INFO.wire,
        TurnInterrupt::INFO.wire,
        ThreadRead::INFO.wire,
        McpServerToolCall::INFO.wire,
    ];
    for (number, method) in (900..).zip(faulty) {
        let request = serde_json::json!({ "id": number, "method": method, "params": threaded });
        router.take(&session, &request.to_string());
        if let Ok(job) = jobs.try_recv() {
            job.await;
        }
        let error = client.answer::<serde_json::Value>(number).await.unwrap_err();
        assert_eq!((error.code, error.data.unwrap().reason.as_ref()), (-32603, "dropped"), "{method}");
    }
    assert_eq!(bench.services.tasks.panics(), 5);
    let request = serde_json::json!({ "id": 1000, "method": ThreadLoadedList::INFO.wire, "params": ThreadLoadedListParams::default() });
    router.take(&session, &request.to_string());
    client.answer::<serde_json::Value>(1000).await.unwrap();
    assert!(session.in_flight.are_free(), "every place is free again");
    drop(session);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_breaks_off_keeps_nobody_waiting_and_the_next_load_goes_on() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.set_write_trap();
    let input = client.input(thread, "lost");
    assert_eq!(client.refusal(input).await, "notSaved");
    client.notified::<TurnCompleted>().await;
    client.disconnect();
    bench.gone(thread).await;
    let mut back = bench.client();
    assert_eq!(back.resume(thread).await.thread.turns.len(), 1);
    assert_eq!(back.turn(thread, "well again").await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}
