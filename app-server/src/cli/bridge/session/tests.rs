//! A session between a client and a model of a server that ends and loses links at random.

mod lives;
mod model;

use std::time::Duration;

use model::{Link, World};
use serde_json::{Value, json};
use skein_protocol::extension::EVENTS_EXTENSION;
use skein_protocol::table::{Method, Notification};
use skein_protocol::{methods as m, notifications as n};

use super::{BridgeSession, ServerOwner};

/// An introduced client with one thread; earlier messages are dropped.
fn world(numbers: bool) -> World {
    let mut world = World::new(numbers);
    world.ask(m::ThreadStart::INFO.wire, &json!({}));
    world.settle();
    world.received.clear();
    world
}

/// A session whose second thread has no room at the new server, and how long it waits before it asks again.
pub(in crate::cli::bridge) fn turned_away() -> (BridgeSession, Duration) {
    let mut world = world(false);
    world.ask(m::ThreadStart::INFO.wire, &json!({}));
    world.settle();
    world.room = Some(1);
    world.lose(Link::Broken);
    world.link();
    while world.send() || world.receive() {}
    let wait = world.again_in().unwrap();
    (world.into_session(), wait)
}

fn methods(received: &[Value]) -> Vec<&str> {
    received.iter().filter_map(|message| message["method"].as_str()).collect()
}

#[test]
fn a_plain_client_sees_no_number_though_the_bridge_has_asked_for_them() {
    let mut world = World::new(false);
    world.ask(m::ThreadStart::INFO.wire, &json!({}));
    world.settle();
    world.event(0);
    world.announce(0);
    world.beat();
    world.settle();
    let welcome = &world.received[0]["result"]["skein"];
    assert_eq!((welcome["version"].as_str(), &welcome["extensions"]), (Some("model"), &json!({})));
    let begun = n::ThreadStarted::INFO.wire;
    let received = world
        .received
        .iter()
        .filter(|received| received["method"].is_string() && received["method"] != begun);
    let received: Vec<&Value> = received.collect();
    assert_eq!(received.len(), 2, "no heartbeat: {received:?}");
    for received in received {
        assert!(
            received["emittedAtMs"].is_i64() && received["seq"].is_null() && received["epoch"].is_null(),
            "{received}"
        );
        assert!(received["params"]["skein"].is_null(), "{received}");
    }
}

#[test]
fn a_client_that_asks_for_numbers_sees_everything_as_it_is() {
    let mut world = World::new(true);
    world.ask(m::ThreadStart::INFO.wire, &json!({}));
    world.settle();
    let welcome = world.received[0].clone();
    world.received.clear();
    world.event(0);
    world.announce(0);
    world.beat();
    world.settle();
    assert!(welcome["result"]["skein"]["extensions"][EVENTS_EXTENSION].is_object());
    let heard = [n::ItemCompleted::INFO.wire, n::ThreadNameUpdated::INFO.wire, n::SkeinHeartbeat::INFO.wire];
    assert_eq!(methods(&world.received), heard);
    let numbers: Vec<&Value> =
        world.received.iter().filter(|received| received["method"].is_string()).collect();
    assert_eq!(numbers[0]["seq"], 1);
    assert!(numbers[1]["params"]["skein"]["catalogSeq"].is_u64());
}

#[test]
fn no_client_hears_that_the_server_stops_because_its_connection_stays() {
    for numbered in [true, false] {
        let mut world = World::new(numbered);
        world.settle();
        world.received.clear();
        world.announce_stop();
        world.settle();
        assert_eq!(methods(&world.received), [""; 0]);
    }
}

#[test]
fn a_server_that_is_silent_for_three_of_its_own_heartbeats_does_not_run() {
    let mut world = world(false);
    assert_eq!(world.silence(), None, "it has not told of heartbeats");
    for (heartbeat, silence) in [(1_000, Some(3)), (20_000, Some(60)), (0, None)] {
        world.lose(Link::ServerDied);
        assert_eq!(world.silence(), None, "there is no server");
        world.grants = json!({"version": 1, "heartbeatMs": heartbeat});
        world.link();
        assert_eq!(world.silence(), None, "the next server has not answered yet");
        world.settle();
        assert_eq!(world.silence(), silence.map(Duration::from_secs));
    }
}

#[test]
fn what_was_missed_follows_once_and_in_order() {
    let mut world = world(false);
    world.event(0);
    world.settle();
    world.event(0);
    world.lose(Link::Broken);
    world.event(0);
    world.link();
    world.event(0);
    world.settle();
    assert_eq!(world.events_received(0), [1, 2, 3, 4]);
}

#[test]
fn what_can_be_repeated_is_asked_again_and_only_once() {
    let mut world = world(false);
    let id = world.ask(model::NEVER_ANSWERED, &json!({}));
    world.send_all();
    world.lose(Link::ServerDied);
    assert_eq!(world.answer_to(id), None, "it waits");
    world.link();
    world.settle();
    world.lose(Link::ServerDied);
    let answer = world.answer_to(id).unwrap();
    assert_eq!(answer["error"]["data"]["reason"], "serverEnded", "twice is enough: {answer}");
    world.link();
    world.settle();
    assert_eq!(world.received.iter().filter(|received| received["id"] == id).count(), 1);
}

/// Its client sends it again under another id.
#[test]
fn a_repeated_message_that_the_next_server_does_not_look_for_may_have_been_done() {
    let mut world = world(false);
    world.unsubscribe(0);
    world.settle();
    let message = json!({"threadId": world.thread(0), "input": []});
    let id = world.ask(m::TurnStart::INFO.wire, &message);
    world.send_all();
    world.lose(Link::ServerDied);
    world.link();
    world.settle();
    let answer = world.answer_to(id).unwrap();
    assert_eq!(answer["error"]["data"]["reason"], "serverEnded", "{answer}");
}

#[test]
fn what_cannot_be_repeated_is_refused_with_what_to_do() {
    let mut world = world(false);
    let thread = world.thread(0);
    let asked = [
        (m::ThreadFork::INFO.wire, json!({"threadId": thread}), m::ThreadList::INFO.wire),
        (m::McpServerToolCall::INFO.wire, json!({}), "the tool may have been called"),
        ("something/new", json!({}), "look whether it was done"),
    ];
    let asked = asked.map(|(method, params, hint)| (world.ask(method, &params), method, hint));
    world.send_all();
    let unsent = world.ask(m::ThreadFork::INFO.wire, &json!({"threadId": thread, "unsent": true}));
    world.lose(Link::ServerDied);
    assert_eq!(world.answer_to(unsent), None, "no server has seen it");
    for (id, method, hint) in asked {
        let answer = world.answer_to(id).unwrap();
        let text = answer["error"]["message"].as_str().unwrap();
        assert!(text.contains(method) && text.contains(hint), "{text}");
        assert_eq!(answer["error"]["data"]["reason"], "serverEnded");
    }
}

#[test]
fn a_turn_that_ended_with_its_server_was_interrupted_as_asked() {
    let mut world = world(false);
    let params = json!({"threadId": world.thread(0), "turnId": "t"});
    let id = world.ask(m::TurnInterrupt::INFO.wire, &params);
    world.lose(Link::ServerDied);
    world.link();
    world.settle();
    assert_eq!(world.answer_to(id).unwrap()["result"], json!({}));
    // Also if the bridge reads the request only after that server is gone.
    world.lose(Link::ServerDied);
    let id = world.ask(m::TurnInterrupt::INFO.wire, &params);
    world.link();
    world.settle();
    assert_eq!(world.answer_to(id).unwrap()["result"], json!({}));
    // A first request is the server's to judge.
    let id = world.ask(m::TurnInterrupt::INFO.wire, &params);
    world.settle();
    assert_eq!(world.answer_to(id).unwrap()["error"]["data"]["reason"], "noTurn");
}

#[test]
fn a_thread_that_was_only_in_memory_is_closed_and_its_turn_interrupted() {
    let mut world = world(false);
    let thread = world.thread(0);
    world.begin_turn(0, "t");
    world.question(0);
    world.settle();
    world.received.clear();
    world.forget(0);
    world.lose(Link::ServerDied);
    world.link();
    world.settle();
    let heard =
        [n::ServerRequestResolved::INFO.wire, n::TurnCompleted::INFO.wire, n::ThreadClosed::INFO.wire];
    assert_eq!(methods(&world.received), heard);
    assert!(world.received.iter().all(|received| received["params"]["threadId"] == thread));
    let turn = &world.received[1]["params"]["turn"];
    assert_eq!((turn["id"].as_str(), turn["status"].as_str()), (Some("t"), Some("interrupted")));
}

#[test]
fn a_thread_without_messages_starts_again_unnoticed() {
    let mut world = world(false);
    world.forget(0);
    world.lose(Link::ServerDied);
    world.link();
    world.settle();
    assert_eq!(world.received, [] as [Value; 0]);
    world.event(0);
    world.settle();
    assert_eq!(world.events_received(0), [1], "it is subscribed");
}

#[test]
fn what_a_server_refuses_as_it_stops_is_asked_of_the_next() {
    let mut world = world(false);
    world.stop();
    let id = world.ask(model::REFUSED_BY_WHO_STOPS, &json!({}));
    world.settle();
    assert_eq!(world.answer_to(id), None, "it is not the client's business");
    world.lose(Link::ServerDied);
    world.link();
    world.settle();
    assert!(world.answer_to(id).unwrap()["result"].is_object());
}

/// The next one may have done it before its end.
#[test]
fn what_a_stopping_server_has_not_done_is_asked_of_one_more_only() {
    let mut world = world(false);
    world.stop();
    let id = world.ask(model::REFUSED_BY_WHO_STOPS, &json!({}));
    world.settle();
    world.lose(Link::ServerDied);
    world.link();
    world.until_done(id);
    world.lose(Link::ServerDied);
    assert_eq!(world.answer_to(id).unwrap()["error"]["data"]["reason"], "serverEnded");
}

#[test]
fn the_answer_to_a_message_that_is_sent_again_comes_before_its_turn() {
    let mut world = world(false);
    world.event(0);
    world.settle();
    // The bridge adds an id.
    let params = json!({"threadId": world.thread(0), "input": []});
    let id = world.ask(m::TurnStart::INFO.wire, &params);
    world.send_all();
    // It was done, and its turn has ended.
    world.lose(Link::ServerDied);
    world.received.clear();
    world.link();
    world.settle();
    assert_eq!(world.received[0]["id"], id, "{:?}", world.received);
    assert_eq!(world.events_received(0), [2], "the turn's event, once");
}

#[test]
fn a_word_to_a_running_turn_is_taken_once_though_only_the_link_was_lost() {
    let mut world = world(false);
    let params = json!({"threadId": world.thread(0), "expectedTurnId": "t", "input": []});
    let id = world.ask(m::TurnSteer::INFO.wire, &params);
    world.send_all();
    world.lose(Link::Broken);
    world.link();
    world.settle();
    assert!(world.answer_to(id).unwrap()["result"].is_object());
    assert_eq!(world.events_received(0), [1]);
}

#[test]
fn a_question_is_put_once_and_an_answer_that_was_lost_is_given_again() {
    let mut world = world(false);
    let (first, second) = (world.question(0), world.question(0));
    world.settle();
    world.answer(first);
    world.lose(Link::Broken);
    world.link();
    world.settle();
    let put: Vec<i64> = world
        .received
        .iter()
        .filter(|received| received["params"]["q"] == true)
        .map(|received| received["id"].as_i64().unwrap())
        .collect();
    assert_eq!(put, [first, second], "not again");
    assert_eq!(world.open_questions(), [second], "the answer has come");
    world.lose(Link::ServerDied);
    world.link();
    world.settle();
    assert_eq!(world.shown_questions(), [0; 0], "the end of the server has voided it");
}

#[test]
fn a_question_is_put_again_to_who_comes_back_by_itself() {
    let mut world = world(false);
    let question = world.question(0);
    world.settle();
    world.unsubscribe(0);
    world.settle();
    assert_eq!(world.shown_questions(), [0; 0], "the dialog is closed");
    world.resume(0);
    world.settle();
    assert_eq!(world.shown_questions(), [question], "the turn waits for it");
    // Another client may still answer; this client's answer is not repeated.
    world.refuse_question(question);
    world.settle();
    world.resume(0);
    world.settle();
    assert_eq!(world.shown_questions(), [question]);
}

#[test]
fn lines_for_a_dead_link_wait_for_the_next_one() {
    let mut world = world(false);
    world.fall_silent();
    let fork = world.ask(m::ThreadFork::INFO.wire, &json!({"threadId": world.thread(0)}));
    assert!(!world.send(), "it waits");
    world.event(0);
    world.receive();
    assert_eq!(world.events_received(0), [1], "what comes is told");
    world.lose(Link::Broken);
    assert_eq!(world.answer_to(fork), None, "no server has seen it");
    world.link();
    world.settle();
    assert!(world.answer_to(fork).unwrap()["result"].is_object());
}

#[test]
fn a_server_that_has_no_room_is_asked_again_when_it_says() {
    let mut world = world(false);
    world.ask(m::ThreadStart::INFO.wire, &json!({}));
    world.settle();
    world.room = Some(1);
    world.lose(Link::Broken);
    world.link();
    let steps = (0..100).take_while(|_| world.send() || world.receive()).count();
    assert!(steps < 100, "it is asked without end");
    assert_eq!((world.turned_away, world.again_in()), (1, Some(Duration::from_millis(200))));
    world.room = None;
    world.resume_again();
    world.settle();
    assert_eq!(world.again_in(), None);
    for thread in 0..2 {
        world.event(thread);
    }
    world.settle();
    assert_eq!((world.events_received(0), world.events_received(1)), (vec![1], vec![1]));
}

#[test]
fn who_leaves_while_threads_are_resumed_waits_for_none_that_there_is_no_room_for() {
    let mut world = world(false);
    world.ask(m::ThreadStart::INFO.wire, &json!({}));
    world.settle();
    world.room = Some(1);
    world.lose(Link::Broken);
    assert!(!world.can_leave(true), "nobody is there");
    world.link();
    assert!(!world.can_leave(true), "it does not know yet who the client is");
    while world.send() || world.receive() {}
    assert!(world.again_in().is_some() && !world.can_leave(false));
    assert!(world.can_leave(true));
    world.room = None;
    world.resume_again();
    assert!(!world.send(), "nothing is resumed for who leaves");
    assert_eq!(world.again_in(), None);
}

#[test]
fn when_nobody_is_there_any_more_everything_is_answered() {
    let mut world = world(false);
    let sent = world.ask(m::ThreadList::INFO.wire, &json!({}));
    world.lose(Link::ServerDied);
    let waits = world.ask(m::TurnStart::INFO.wire, &json!({}));
    world.give_up("the disk is gone");
    for id in [sent, waits] {
        let answer = world.answer_to(id).unwrap();
        assert_eq!(answer["error"]["data"]["reason"], "noServer");
        assert!(answer["error"]["message"].as_str().unwrap().contains("the disk is gone"));
    }
}

#[test]
fn before_the_client_has_introduced_itself_everything_waits_for_it() {
    let mut session = BridgeSession::default();
    session.client_says("{\"id\":1,\"method\":\"x\"}".into());
    assert_eq!(session.next_to_server(), None);
    session.linked(ServerOwner::Theirs);
    assert_eq!(session.next_to_server().as_deref(), Some("{\"id\":1,\"method\":\"x\"}"));
    assert_eq!((session.next_to_server(), session.waiting_bytes()), (None, 0));
}
