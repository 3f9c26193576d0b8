//! A server that is about to stop: turns that the next one goes on with end what is under way, and begin nothing more.

use skein_protocol::access::Access;
use skein_provider::{Callee, ModelEvent, ToolCall};

use super::*;
use crate::thread::machine::Phase;
use crate::thread::registry::{GivenAnswer, ThreadHandle};
use crate::thread::subscribers::Role;

/// How often the records have this kind.
fn times(kinds: &[String], kind: &str) -> usize {
    kinds.iter().filter(|other| *other == kind).count()
}

fn running(bench: &Bench, thread: ThreadId) -> TurnId {
    bench.services.registry.handle(thread).unwrap().snapshot().turn.expect("a turn")
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_parked_at_once() {
    let (bench, _fakes) = with_helper(None);
    let (_client, thread, question) = asking(&bench, &call(WRITES)).await;
    let before = bench.services.clock.now();
    bench.drain();
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now(), before);
    let (next, _fakes) = with_helper(Some(&bench));
    let mut client = next.client();
    client.resume(thread).await;
    assert_eq!(client.asked().await, question);
    next.finish().await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_ends_and_one_that_is_allowed_meanwhile_is_left_to_the_next_server() {
    let (bench, mut fakes) = with_helper(None);
    let (mut client, thread) = bench.materialised().await;
    client.input(thread, &format!("{}\n{}", call(WRITES), call(READS)));
    let (one, two) = (client.asked().await, client.asked().await);
    let is_of_reads = params(&client, one)["_meta"]["tool_name"] == READS;
    let (of_reads, of_writes) = if is_of_reads { (one, two) } else { (two, one) };
    fakes.fall_silent();
    answer(&client, of_writes, "accept");
    client.notified::<ServerRequestResolved>().await;
    bench.pass(Duration::from_secs(1)).await;
    bench.drain();
    answer(&client, of_reads, "accept");
    client.notified::<ServerRequestResolved>().await;
    bench.pass(Duration::from_secs(1)).await;
    assert!(bench.services.registry.handle(thread).is_some(), "a call is under way");
    fakes.recover();
    bench.gone(thread).await;
    let kinds = bench.kinds(thread).await;
    assert_eq!((times(&kinds, "call.begun"), times(&kinds, "turn.completed")), (1, 1), "{kinds:?}");
    assert_eq!(fakes.reached().len(), 1);
    assert!(bench.disk.open_markers().await.unwrap().contains(&thread), "the next start finds it");
    assert_eq!(client.count(Message::is::<TurnCompleted>), 1, "the turn has not ended");
    let (next, mut fakes) = with_helper(Some(&bench));
    let mut client = next.client();
    client.resume(thread).await;
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(fakes.reached().len(), 1, "the allowed call");
    assert_eq!(client.count(|message| matches!(message, Message::Question { .. })), 0);
    next.finish().await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_model_ends_and_its_calls_are_left_to_the_next_server() {
    let (bench, mut fakes) = with_helper(None);
    let mut client = bench.client();
    let thread = client.start_with(json!({ "modelProvider": model::LISTENER, "model": "any" })).await;
    client.input(thread, &call(READS));
    let question = client.asked().await;
    let callee = Callee::Helper { server: "helper".into(), tool: READS.into() };
    let again = ModelEvent::ToolCall(ToolCall::new("7", callee, r#"{"path":"b"}"#));
    bench.listener.will_hang_after(vec![ModelEvent::TextDelta("once more".into()), again]);
    answer(&client, question, "accept");
    bench.within("the second answer", bench.listener.hangs()).await;
    assert_eq!(fakes.reached().len(), 1);
    bench.drain();
    bench.pass(Duration::from_secs(1)).await;
    assert!(bench.services.registry.handle(thread).is_some(), "the model speaks");
    bench.listener.resume_hanging();
    bench.gone(thread).await;
    assert_eq!((bench.listener.times_asked(), fakes.reached().len()), (2, 0));
    let kinds = bench.kinds(thread).await;
    assert_eq!((times(&kinds, "question.asked"), times(&kinds, "turn.completed")), (1, 0), "{kinds:?}");
    let (next, mut fakes) = with_helper(Some(&bench));
    let mut client = next.client();
    client.resume(thread).await;
    let question = client.asked().await;
    assert_eq!(params(&client, question)["_meta"]["tool_params"], json!({ "path": "b" }));
    answer(&client, question, "accept");
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!((next.listener.times_asked(), fakes.reached().len()), (1, 1), "no answer was asked for twice");
    next.finish().await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_model_reads_the_results_of_calls_with_the_next_server() {
    let (bench, fakes) = with_helper(None);
    let (mut client, thread, question) = asking(&bench, &call(WRITES)).await;
    fakes.fall_silent();
    answer(&client, question, "accept");
    client.notified::<ServerRequestResolved>().await;
    bench.pass(Duration::from_secs(1)).await;
    bench.drain();
    fakes.recover();
    bench.gone(thread).await;
    let kinds = bench.kinds(thread).await;
    assert_eq!(kinds[kinds.len() - 2..], ["call.begun", "item.completed"].map(str::to_owned));
    let (next, mut fakes) = with_helper(Some(&bench));
    let mut client = next.client();
    client.resume(thread).await;
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(fakes.reached().len(), 0, "it was called by the server before");
    next.finish().await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_no_load_goes_on_with_may_end_on_its_own_and_the_next_server_begins_the_queued_one() {
    let bench = Bench::with(settings);
    let (mut client, thread, strings) = bench.running().await;
    super::super::queue::add(&mut client, thread, "later").await;
    let turns = client.count(Message::is::<TurnStarted>);
    bench.drain();
    strings.say("the end").await;
    strings.end();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.gone(thread).await;
    assert_eq!(client.count(Message::is::<TurnStarted>), turns);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_at_rest_and_one_that_is_being_loaded_are_left_at_once() {
    let (bench, _fakes) = with_helper(None);
    let (_client, idle) = bench.materialised().await;
    let (mut other, unloaded) = bench.materialised().await;
    other.unsubscribe(unloaded);
    bench.gone(unloaded).await;
    bench.disk.hold_loads();
    let resume = other.ask_resume(unloaded, Role::Subscriber);
    bench.drain();
    bench.gone(idle).await;
    bench.disk.release_loads();
    bench.gone(unloaded).await;
    assert_eq!(other.refusal(resume).await, "serverStops");
    bench.finish().await;
}

/// A user has interrupted the turn before while it waited.
#[tokio::test(start_paused = true)]
async fn a_turn_behind_one_that_waited_counts_as_work() {
    let (bench, _fakes) = with_helper(None);
    let (mut client, thread, _) = asking(&bench, &call(WRITES)).await;
    let works = || bench.services.registry.handle(thread).unwrap().seen(|seen| seen.works);
    bench.drained().await;
    assert!(!works(), "nothing goes on before an answer");
    client.interrupt(thread, &running(&bench, thread));
    client.notified::<TurnCompleted>().await;
    client.input(thread, model::PUPPET);
    let strings = bench.strings().await;
    bench.drained().await;
    assert!(works());
    strings.say("the end").await;
    strings.end();
    client.notified::<TurnCompleted>().await;
    bench.drained().await;
    assert!(!works());
    bench.finish().await;
}

/// The owner of the thread looks once for all of this.
#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_together_with_the_stop_is_kept() {
    for stop in [ThreadHandle::drain, ThreadHandle::shut_down] {
        let (bench, mut fakes) = with_helper(None);
        let (mut client, thread, question) = asking(&bench, &call(WRITES)).await;
        let before = bench.services.clock.now();
        stop(&bench.services.registry.handle(thread).unwrap());
        answer(&client, question, "accept");
        bench.gone(thread).await;
        assert_eq!((bench.services.clock.now(), client.closed()), (before, None));
        assert_eq!(client.count(Message::is::<ServerRequestResolved>), 1);
        let kinds = bench.kinds(thread).await;
        assert_eq!(
            (times(&kinds, "question.answered"), times(&kinds, "turn.completed")),
            (1, 1),
            "{kinds:?}"
        );
        assert_eq!(fakes.reached().len(), 0, "the call is made by the next server");
        let (next, mut fakes) = with_helper(Some(&bench));
        let mut client = next.client();
        client.resume(thread).await;
        assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
        assert_eq!(fakes.reached().len(), 1);
        next.finish().await;
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_that_comes_together_with_the_stop_ends_the_turn_for_good() {
    for stop in [ThreadHandle::drain, ThreadHandle::shut_down] {
        let (bench, _fakes) = with_helper(None);
        let (mut client, thread, _) = asking(&bench, &call(WRITES)).await;
        let turn = running(&bench, thread);
        let before = bench.services.clock.now();
        stop(&bench.services.registry.handle(thread).unwrap());
        client.interrupt(thread, &turn);
        bench.gone(thread).await;
        assert_eq!(bench.services.clock.now(), before);
        let ended = client.notified::<TurnCompleted>().await.turn;
        assert_eq!((ended.status, ended.error), (TurnStatus::Interrupted, None));
        assert_eq!(times(&bench.kinds(thread).await, "turn.completed"), 2);
        bench.finish().await;
    }
}

/// No other server can go on with it.
#[tokio::test(start_paused = true)]
async fn the_turn_of_an_ephemeral_thread_may_end_on_its_own_also_if_somebody_was_asked() {
    let (bench, mut fakes) = with_helper(None);
    let mut client = bench.client();
    let thread = client.start_ephemeral().await;
    client.input(thread, &format!("{}\n{}", call(WRITES), call(READS)));
    let first = client.asked().await;
    bench.drain();
    bench.pass(Duration::from_secs(1)).await;
    answer(&client, first, "accept");
    let second = client.asked().await;
    answer(&client, second, "accept");
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.gone(thread).await;
    assert_eq!(fakes.reached().len(), 2);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_to_a_helper_may_end_before_its_thread_is_left() {
    for waits in [false, true] {
        let (bench, _fakes) = with_helper(None);
        let (_client, thread) = match waits {
            true => {
                let (client, thread, _) = asking(&bench, &call(WRITES)).await;
                (client, thread)
            }
            false => bench.materialised().await,
        };
        let request = bench.services.registry.handle(thread).unwrap().begin_request();
        bench.drain();
        bench.pass(Duration::from_secs(1)).await;
        assert!(bench.services.registry.handle(thread).unwrap().seen(|seen| seen.works));
        drop(request);
        bench.gone(thread).await;
        bench.finish().await;
    }
}

/// The answer is taken by the owner that has left the turn in the step before.
#[tokio::test(start_paused = true)]
async fn an_answer_behind_the_moment_of_the_stop_is_for_the_next_load() {
    let (bench, _fakes) = with_helper(None);
    let (mut client, thread, question) = asking(&bench, &call(WRITES)).await;
    let handle = bench.services.registry.handle(thread).unwrap();
    bench.disk.hold_appends();
    handle.evict();
    bench.drained().await;
    assert!(handle.seen(|seen| seen.phase == Phase::Unloading));
    let before = bench.services.clock.now();
    let raw = to_raw_value(&json!({ "action": "accept" })).unwrap();
    handle.answer(GivenAnswer {
        by: client.id(),
        client: "test".to_owned(),
        access: Access::Admin,
        question,
        answer: Ok(raw),
    });
    bench.drained().await;
    bench.disk.release_appends();
    let ended = client.notified::<TurnCompleted>().await.turn;
    assert_eq!((ended.status, client.closed()), (TurnStatus::Completed, None));
    assert!(bench.services.clock.now() - before < Duration::from_secs(1));
    let kinds = bench.kinds(thread).await;
    assert_eq!(times(&kinds, "question.answered"), 1, "{kinds:?}");
    bench.finish().await;
}

/// The turn says that it is at rest while its permission waits for the record of the call.
#[tokio::test(start_paused = true)]
async fn a_call_that_was_allowed_in_front_of_the_stop_is_made() {
    let (bench, mut fakes) = with_helper(None);
    let (client, thread, question) = asking(&bench, &call(WRITES)).await;
    bench.drained().await;
    bench.disk.cut(thread);
    answer(&client, question, "accept");
    bench.drained().await;
    bench.drain();
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(fakes.reached().len(), 0);
    bench.disk.recover(thread);
    bench.gone(thread).await;
    let kinds = bench.kinds(thread).await;
    assert_eq!(kinds[kinds.len() - 2..], ["call.begun", "item.completed"].map(str::to_owned));
    assert_eq!(fakes.reached().len(), 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_behind_the_moment_in_which_a_turn_is_left_is_for_the_next_load() {
    let (bench, _fakes) = with_helper(None);
    let (mut client, thread, _) = asking(&bench, &call(WRITES)).await;
    let (handle, turn) = (bench.services.registry.handle(thread).unwrap(), running(&bench, thread));
    bench.disk.hold_appends();
    handle.evict();
    bench.drained().await;
    assert!(handle.seen(|seen| seen.phase == Phase::Unloading));
    handle.interrupt(turn);
    bench.drained().await;
    bench.disk.release_appends();
    let ended = client.notified::<TurnCompleted>().await.turn;
    assert_eq!(ended.status, TurnStatus::Interrupted);
    bench.finish().await;
}
