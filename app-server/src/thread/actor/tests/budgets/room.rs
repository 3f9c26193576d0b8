//! A limit that has room again lets everything go on that waited for it, but no turn that its user has stopped.

use std::time::Duration;

use skein_protocol::access::Access;
use skein_protocol::thread::ThreadForkParams;
use skein_store::history::History;
use skein_store::home::Term;
use skein_store::testing::opened;

use super::*;
use crate::thread::actor::tests::fences::another_writes;
use crate::thread::machine::Phase;
use crate::thread::registry::GivenAnswer;

/// Waits until the thread has ended so many turns; not until the next day, which has room.
async fn ended(bench: &Bench, thread: ThreadId, turns: usize) {
    let is_there = async {
        while bench.kinds(thread).await.iter().filter(|kind| *kind == "turn.completed").count() < turns {
            bench.pass(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), is_there).await.expect("the turn ends");
}

#[tokio::test(start_paused = true)]
async fn a_question_is_closed_before_the_next_limit_asks() {
    let limits = ThreadBudget { thread_tokens: Some(110), ..limit(BudgetScope::Turn, 100) };
    let bench = bench(None, limits);
    let (mut client, _, first) = at_the_limit(&bench).await;
    answer(&client, first, "accept");
    let second = client.asked().await;
    assert_eq!(params(&client, second)["_meta"]["skein"]["budget"]["scope"], "thread");
    let place = |found: &dyn Fn(&Message) -> bool| client.log.iter().position(found);
    let resolved = place(&|message| message.params::<ServerRequestResolved>().is_some());
    let asked = place(&|message| matches!(message, Message::Question { id, .. } if *id == second));
    assert!(resolved.is_some() && resolved < asked, "resolved at {resolved:?}, asked again at {asked:?}");
    answer(&client, second, "decline");
    assert!(exceeded(&client.notified::<TurnCompleted>().await.turn));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_its_user_stops_asks_no_model_though_there_is_room_by_then() {
    for action in ["decline", "cancel"] {
        let bench = bench(None, limit(BudgetScope::Day, 100));
        let (mut client, _, question) = at_the_limit(&bench).await;
        answer(&client, question, action);
        raise_day(&bench, 1_000);
        let ended = client.notified::<TurnCompleted>().await.turn;
        assert!(exceeded(&ended), "{ended:?}");
        let message = ended.error.unwrap().message;
        assert_eq!(message, "The user has stopped this turn at the limit budget.day_tokens");
        assert_eq!(bench.listener.times_asked(), 2);
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_accept_is_enough_to_go_on() {
    let bench = bench(None, limit(BudgetScope::Turn, 100));
    will_call(&bench, &[60, 990]);
    let (mut client, thread) = bench.started().await;
    client.input(thread, "one");
    let question = client.asked().await;
    assert_eq!(params(&client, question)["_meta"]["skein"]["budget"]["more"], 1_000);
    answer(&client, question, "accept");
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_accept_for_the_day_lets_other_threads_go_on() {
    let bench = bench(None, limit(BudgetScope::Day, 100_000));
    will_call(&bench, &[60_000, 60_000]);
    let (mut client, thread) = bench.started().await;
    client.input(thread, "one");
    let question = client.asked().await;
    let mut other = bench.client();
    let two = other.start().await;
    queue::add(&mut other, two, "two").await;
    let stop = watching(&bench);
    bench.drained().await;
    assert_eq!(bench.listener.times_asked(), 2);
    answer(&client, question, "accept");
    ended(&bench, two, 1).await;
    ended(&bench, thread, 1).await;
    stop.cancel();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_uses_less_than_its_estimate_lets_other_threads_go_on() {
    let bench = Bench::in_memory();
    bench.services.day.complete();
    let stop = watching(&bench);
    let (mut client, thread) = bench.materialised().await;
    let used = bench.services.day.on(DaySpent::day_of(bench.services.clock.wall())).tokens;
    raise_day(&bench, used + 2);
    client.input(thread, model::PUPPET);
    let strings = bench.strings().await;
    let mut other = bench.client();
    let two = other.start().await;
    queue::add(&mut other, two, "two").await;
    bench.drained().await;
    assert!(!bench.kinds(two).await.contains(&"turn.started".to_owned()), "the estimate leaves no room");
    assert!(strings.try_send(usage(1)));
    ended(&bench, two, 1).await;
    strings.end();
    ended(&bench, thread, 2).await;
    stop.cancel();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_turn_goes_on_with_a_higher_limit_of_its_own_however_short_the_grace() {
    let tune = |config: &mut ServerConfig| {
        config.model_provider = model::LISTENER.to_owned();
        config.budget = limit(BudgetScope::Turn, 100).over(config.budget);
        config.orphans.pending_grace = Duration::ZERO;
    };
    let bench = Bench::with(tune);
    let (client, thread, _) = at_the_limit(&bench).await;
    client.disconnect();
    bench.gone(thread).await;
    let mut other = bench.client();
    set(&mut other, thread, 1_000).await;
    ended(&bench, thread, 1).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_estimate_is_no_reason_for_a_warning() {
    let bench = bench(None, limit(BudgetScope::Thread, 1_000));
    let (mut client, thread) = bench.started().await;
    for used in [10, 850] {
        bench.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(used)]));
        client.turn(thread, &"words ".repeat(590)).await;
        assert!((800..1_000).contains(&bench.listener.last_asked().estimated_tokens()) || used > 10);
    }
    let warnings: Vec<String> =
        client.log.iter().filter_map(Message::params::<Warning>).map(|warning| warning.message).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("This thread has used 860 of 1000 tokens (budget.thread_tokens)"),
        "{warnings:?}"
    );
    bench.finish().await;
}

/// A server whose limit of the day is used up, a client, and its new thread.
async fn on_a_spent_day() -> (Bench, Client, ThreadId) {
    let bench = bench(None, limit(BudgetScope::Day, 100));
    bench.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(150)]));
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    let new = client.start().await;
    (bench, client, new)
}

#[tokio::test(start_paused = true)]
async fn the_first_message_of_a_thread_waits_on_disk_and_its_thread_is_in_the_list() {
    let (first, mut client, thread) = on_a_spent_day().await;
    queue::add(&mut client, thread, "two").await;
    let (row, _) = first.services.index.get(thread).await.unwrap().expect("the thread is in the list");
    assert_eq!(row.preview, "two");
    client.disconnect();
    first.gone(thread).await;
    let done = first.waiting_open_markers();
    assert!(
        done.iter().all(|marker| marker.thread != thread),
        "the next start looks at the thread: {done:?}"
    );
    // A second server finds what the first one has acknowledged.
    let second = bench(Some(&first), ThreadBudget::default());
    let mut client = second.client();
    client.resume(thread).await;
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(second.listener.times_asked(), 1);
    second.finish().await;
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn a_thread_whose_only_message_is_deleted_stays_in_the_list_as_its_rollout_has_it() {
    let (bench, mut client, thread) = on_a_spent_day().await;
    let message = queue::add(&mut client, thread, "two").await;
    assert!(queue::delete(&mut client, thread, &message).await);
    client.disconnect();
    bench.gone(thread).await;
    let row = bench.services.index.get(thread).await.unwrap().expect("the thread is in the list");
    let history = History::read_end(&*bench.services.store, thread, 0).await.unwrap();
    assert!(history.is_materialised());
    assert_eq!(row, (history.row(), history.seq()));
    assert_eq!(row.0.preview, "");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_fork_ends_before_a_turn_that_waits() {
    let bench = bench(None, limit(BudgetScope::Turn, 100));
    let (mut client, thread) = bench.started().await;
    let done = client.turn(thread, "one").await.turn.id;
    will_call(&bench, &[60, 60]);
    client.input(thread, "two");
    let question = client.asked().await;
    for is_loaded in [true, false] {
        let mut client = if is_loaded {
            bench.client()
        } else {
            std::mem::replace(&mut client, bench.client()).disconnect();
            bench.gone(thread).await;
            bench.client()
        };
        let fork = client.fork(ThreadForkParams::of(thread)).await.thread;
        assert_eq!(fork.turns.iter().map(|turn| &turn.id).collect::<Vec<_>>(), [&done]);
        let (row, _) = bench.services.index.get(fork.id).await.unwrap().unwrap();
        assert_eq!(row.waiting, []);
    }
    client.resume(thread).await;
    assert_eq!(client.asked().await, question, "the source keeps its question");
    answer(&client, question, "accept");
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

/// The look for turns that may go on finds the thread still loaded.
#[tokio::test(start_paused = true)]
async fn room_that_comes_while_a_turn_is_parked_is_for_the_next_load() {
    let bench = bench(None, limit(BudgetScope::Day, 100));
    let (mut client, thread, _) = at_the_limit(&bench).await;
    let stop = watching(&bench);
    let handle = bench.services.registry.handle(thread).unwrap();
    bench.disk.hold_appends();
    handle.evict();
    bench.drained().await;
    assert!(handle.seen(|seen| seen.phase == Phase::Unloading));
    raise_day(&bench, 1_000);
    bench.drained().await;
    assert_eq!(
        client.count(|message| message.params::<ServerRequestResolved>().is_some()),
        0,
        "it still waits"
    );
    bench.disk.release_appends();
    ended(&bench, thread, 1).await;
    assert_eq!(bench.services.counters.unsaved_records.get(), 0);
    stop.cancel();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_request_that_an_answer_lets_begin_waits_until_the_answer_is_on_disk() {
    for scope in [BudgetScope::Rounds, BudgetScope::Turn] {
        let most = if scope == BudgetScope::Rounds { 1 } else { 100 };
        let bench = bench(None, limit(scope, most));
        let (mut client, _, question) = at_the_limit(&bench).await;
        let asked = bench.listener.times_asked();
        bench.disk.hold_appends();
        answer(&client, question, "accept");
        bench.drained().await;
        assert_eq!(bench.listener.times_asked(), asked);
        bench.disk.release_appends();
        client.notified::<ServerRequestResolved>().await;
        bench.drained().await;
        assert_eq!(bench.listener.times_asked(), asked + 1);
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_answer_is_acknowledged_when_the_first_one_is_on_disk_and_counts_where_that_is_lost() {
    for is_lost in [false, true] {
        let bench = bench(None, limit(BudgetScope::Turn, 100));
        let (mut client, thread, question) = at_the_limit(&bench).await;
        let raw = || Ok(to_raw_value(&json!({ "action": "accept" })).unwrap());
        bench.drained().await;
        bench.disk.hold_appends();
        client.say_raw(question, raw());
        bench.drained().await;
        let (by, client_name) = (client.id(), "test".to_owned());
        let given = GivenAnswer { by, client: client_name, access: Access::Chat, question, answer: raw() };
        let repeated = client.edit(thread, |reply| Edit::Answer(Box::new(given), reply));
        bench.drained().await;
        assert_eq!(client.count(|message| message.answers(repeated)), 0);
        if is_lost {
            another_writes(&bench, thread, Term(2), |seq| opened(seq, 2)).await;
            bench.disk.release_appends();
            bench.gone(thread).await;
            assert!(client.answer::<Value>(repeated).await.is_err());
            assert!(bench.services.questions.past_answer(question).is_none(), "the next owner asks again");
        } else {
            bench.disk.release_appends();
            client.answer::<Value>(repeated).await.unwrap();
            assert!(bench.services.questions.past_answer(question).is_some());
        }
        bench.finish().await;
    }
}
