//! Whole lives of a session, whatever happens when: nothing is lost, nothing is told twice, everything is answered once.

use proptest::prelude::*;
use serde_json::json;
use skein_protocol::methods as m;
use skein_protocol::table::Method;

use super::model::{Link, World};

#[derive(Debug, Clone)]
enum Happens {
    Event(usize),
    Delta(usize),
    OpenQuestion(usize),
    Answer,
    List,
    Message(usize),
    Steer(usize),
    Resume(usize),
    Unsubscribe(usize),
    Fork(usize),
    Send,
    Receive,
    Lose(Link),
    Link,
}

fn happens() -> impl Strategy<Value = Happens> {
    let thread = 0..2_usize;
    prop_oneof![
        4 => thread.clone().prop_map(Happens::Event),
        1 => thread.clone().prop_map(Happens::Delta),
        1 => thread.clone().prop_map(Happens::OpenQuestion),
        1 => Just(Happens::Answer),
        1 => Just(Happens::List),
        2 => thread.clone().prop_map(Happens::Message),
        1 => thread.clone().prop_map(Happens::Steer),
        1 => thread.clone().prop_map(Happens::Resume),
        1 => thread.clone().prop_map(Happens::Unsubscribe),
        1 => thread.prop_map(Happens::Fork),
        8 => Just(Happens::Send),
        8 => Just(Happens::Receive),
        1 => prop_oneof![Just(Link::Broken), Just(Link::ServerDied)].prop_map(Happens::Lose),
        2 => Just(Happens::Link),
    ]
}

/// Two threads, to which the client is subscribed.
fn begin(numbers: bool) -> World {
    let mut world = World::new(numbers);
    for _ in 0..2 {
        world.ask(m::ThreadStart::INFO.wire, &json!({}));
    }
    world.settle();
    world
}

fn play(world: &mut World, happens: &Happens, step: usize) {
    match happens {
        Happens::Event(thread) => world.event(*thread),
        Happens::Delta(thread) => world.delta(*thread),
        Happens::OpenQuestion(thread) => {
            world.question(*thread);
        }
        Happens::Answer => {
            if let Some(question) = world.shown_questions().first() {
                world.answer(*question);
            }
        }
        Happens::List => {
            world.ask(m::ThreadList::INFO.wire, &json!({}));
        }
        Happens::Message(thread) => message(world, m::TurnStart::INFO.wire, *thread, step),
        Happens::Steer(thread) => message(world, m::TurnSteer::INFO.wire, *thread, step),
        Happens::Resume(thread) => {
            world.resume(*thread);
            world.settle();
        }
        Happens::Unsubscribe(thread) => world.unsubscribe(*thread),
        Happens::Fork(thread) => {
            world.ask(m::ThreadFork::INFO.wire, &json!({"threadId": world.thread(*thread)}));
        }
        Happens::Send => {
            world.send();
        }
        Happens::Receive => {
            world.receive();
        }
        Happens::Lose(how) if world.is_linked() => world.lose(*how),
        Happens::Link if !world.is_linked() => world.link(),
        Happens::Lose(_) | Happens::Link => {}
    }
}

/// A message of the user; every other one has an id of the client's.
fn message(world: &mut World, method: &str, thread: usize, step: usize) {
    let mut params = json!({"threadId": world.thread(thread), "input": []});
    if step.is_multiple_of(2) {
        params["clientUserMessageId"] = format!("m-{step}").into();
    }
    world.ask(method, &params);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_client_sees_a_pause_and_nothing_else(numbers: bool, life in prop::collection::vec(happens(), 0..60)) {
        let mut world = begin(numbers);
        for (step, happens) in life.iter().enumerate() {
            // A resume of the client's own begins where it stands: only while nothing is on its way.
            if matches!(happens, Happens::Resume(_)) && world.is_linked() {
                world.settle();
            } else if matches!(happens, Happens::Resume(_)) {
                continue;
            }
            play(&mut world, happens, step);
        }
        if !world.is_linked() {
            world.link();
        }
        world.settle();
        // Whom it does not follow any more it asks for what it has missed.
        for thread in 0..2 {
            world.resume(thread);
            world.settle();
        }
        for thread in 0..2 {
            let received = world.events_received(thread);
            prop_assert_eq!(received, (1..=world.events(thread)).collect::<Vec<_>>());
        }
        for id in world.asked() {
            let answers = world.received.iter().filter(|received| received["id"] == id && received["method"].is_null()).count();
            prop_assert_eq!(answers, 1, "answers to request {}", id);
        }
        let mut shown = world.shown_questions();
        shown.sort_unstable();
        prop_assert_eq!(shown, world.open_questions());
        let stamped = world.received.iter().any(|received| received["seq"].is_u64());
        prop_assert!(numbers || !stamped);
    }
}
