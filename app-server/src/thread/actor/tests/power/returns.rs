//! All clients resume by their last number, and end with the stored state.

use std::time::Duration;

use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::history::{History, RestartTurns};

use super::super::simulation::dice::Trace;
use super::super::simulation::person::{Person, Request, in_words};
use super::super::{Bench, Client};
use super::scripts::Script;
use crate::thread::events::view::EventView;
use crate::thread::subscribers::Role;

/// Half of them resume an unloaded thread, sometimes as observers, the others during the conversation. Returns the clients.
pub(super) async fn all(bench: &Bench, thread: ThreadId, views: &[EventView], turn: usize) -> Vec<Client> {
    // One in three of them, others each time.
    let views: Vec<&EventView> = views.iter().skip(turn % 3).step_by(3).collect();
    let role = if turn % 4 < 2 { Role::Observer } else { Role::Subscriber };
    let half = views.len() / 2;
    let (early, late) =
        if turn.is_multiple_of(2) { views.split_at(half) } else { (&views[half..], &views[..half]) };
    let mut people: Vec<Person> = early.iter().map(|view| comes(bench, thread, view, role)).collect();
    settle(bench, &mut people).await;
    check(bench, thread, &people).await;
    let mut script = Script::of(bench.client(), Some(thread), None);
    if script.resume().await {
        script.name("last").await;
        people.extend(late.iter().map(|view| comes(bench, thread, view, Role::Subscriber)));
        script.say("in the last life").await;
    }
    settle(bench, &mut people).await;
    check(bench, thread, &people).await;
    let others = people.into_iter().filter_map(|person| person.client);
    others.chain(script.end().person.client).collect()
}

fn comes(bench: &Bench, thread: ThreadId, view: &EventView, role: Role) -> Person {
    let mut person = Person::new(0, true, role);
    person.views.insert(thread, view.clone());
    let mut client = bench.client();
    let request = match view.at {
        Some(number) => client.ask_resume_from(thread, role, number),
        None => client.ask_resume(thread, role),
    };
    person.connected(client);
    person.asked(request, Request::Resume(thread));
    person
}

/// All clients read until nothing more comes.
async fn settle(bench: &Bench, people: &mut [Person]) {
    let mut trace = Trace::of(0);
    for _ in 0..4 {
        bench.pass(Duration::from_millis(600)).await;
        for person in &mut *people {
            person.drain(&mut trace).unwrap().expect("nobody is closed");
            person.receive(person.in_flight()).unwrap();
        }
    }
}

/// Every client was answered, and has the stored state. An interrupted turn is as the next load will close it.
async fn check(bench: &Bench, thread: ThreadId, people: &[Person]) {
    let mut history = History::read(bench.disk.as_ref(), thread).await.ok();
    if bench.services.registry.handle(thread).is_none() {
        history = history.map(|history| history.into_closed(RestartTurns::Asked));
    }
    for person in people {
        assert!(!person.has_asked(), "a resume is never answered");
        match (&history, person.listens(thread)) {
            (Some(history), true) => {
                let difference = person.views[&thread].difference(history, false);
                let received: Vec<String> = person.client.iter().flat_map(|c| &c.log).map(in_words).collect();
                let from = person.views[&thread].at;
                assert_eq!(difference, None, "{:?} at {from:?} received {received:?}", person.role);
            }
            // Nothing readable of the first write is on disk.
            (history, false) if history.as_ref().is_none_or(|history| history.seq() == EventSeq(0)) => {}
            (history, listens) => panic!("listens: {listens}, and there is {history:?}"),
        }
    }
}
