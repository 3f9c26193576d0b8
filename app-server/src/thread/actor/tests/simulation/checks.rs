//! The rules of a quiet world.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;
use skein_protocol::ids::ThreadId;
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::turn::TurnItemsView;
use skein_store::history::{History, RestartTurns};

use super::super::Bench;
use super::person::Person;
use super::world::World;
use crate::thread::event::Counts;
use crate::thread::subscribers::Role;

/// All listeners have the same state: the stored history, the text in flight, and the open questions.
pub(super) fn views(world: &World, bench: &Bench) -> Result<(), String> {
    for (number, thread) in world.threads.iter().enumerate() {
        let mut history = History::read(world.store.as_ref(), *thread).now_or_never().unwrap().ok();
        if bench.services.registry.handle(*thread).is_none() {
            // An interrupted turn is shown as the next load will record it.
            history = history.map(|history| history.into_closed(RestartTurns::Asked));
        }
        for person in &world.people {
            let place = format!("P{} at T{number}", person.name);
            view(world, bench, person, *thread, history.as_ref())
                .map_err(|fault| format!("{place}: {fault}"))?;
        }
    }
    for person in &world.people {
        if person.has_asked() {
            return Err(format!("P{} waits for ever: {:?}", person.name, person.unanswered()));
        }
    }
    Ok(())
}

fn view(
    world: &World,
    bench: &Bench,
    person: &Person,
    thread: ThreadId,
    history: Option<&History>,
) -> Result<(), String> {
    let Some(client) = &person.client else { return Ok(()) };
    let role = bench.services.subscribers.role(client.id(), thread);
    match (person.listens(thread), role) {
        (true, Some(role)) if role == person.role => {}
        (false, None) => return Ok(()),
        (listens, role) => return Err(format!("listens: {listens}, and its role is {role:?}")),
    }
    let view = person.views.get(&thread).ok_or("listens, and knows nothing")?;
    // A client may know unnumbered events that the disk has lost. A client without numbers cannot distinguish them, and loads
    // the page again.
    let troubled = if person.numbered { &world.ever_troubled } else { &world.troubled };
    let let_down = troubled.contains(&thread);
    let comparable = person.numbered || !let_down;
    if let Some(history) = history.filter(|_| comparable)
        && let Some(difference) = view.difference(history, let_down)
    {
        return Err(difference);
    }
    let Some(handle) = bench.services.registry.handle(thread) else { return Ok(()) };
    let now = handle.snapshot();
    let lost = |turn| let_down && (!person.numbered || view.is_unsaved(turn));
    // The disk may have a turn as it waits for an answer whose end it has refused.
    let goes_on = now.turn.as_ref().is_some_and(lost);
    if now.turn.as_ref() != view.running() && !view.running().is_some_and(lost) && !goes_on {
        return Err(format!("knows turn {:?} to run, and {:?} does", view.running(), now.turn));
    }
    for item in &now.open_items {
        if view.item(item.id()).map(text) != Some(text(item)) {
            return Err(format!("knows {:?} of {item:?}", view.item(item.id()).map(text)));
        }
    }
    let open: BTreeSet<i64> =
        world.questions().filter(|q| bench.services.questions.thread(*q) == Some(thread)).collect();
    match person.role {
        Role::Subscriber if open != view.questions => {
            Err(format!("knows questions {:?}, and {open:?} are open", view.questions))
        }
        Role::Subscriber | Role::Observer => Ok(()),
    }
}

fn text(item: &ThreadItem) -> String {
    let ThreadItemBody::AgentMessage(message) = &item.body else { return format!("{:?}", item.body) };
    message.text.clone()
}

/// An answer to a question counts at most once, and only from a client that was asked.
pub(super) fn answers(world: &World) -> Result<(), String> {
    let mut counted: BTreeMap<i64, &str> = BTreeMap::new();
    let mut all = String::new();
    for thread in &world.threads {
        if let Ok(history) = History::read(world.store.as_ref(), *thread).now_or_never().unwrap() {
            let turns = history.turns(TurnItemsView::Full);
            all.extend(turns.iter().flat_map(|turn| &turn.items).map(text));
        }
    }
    for given in world.given.iter().filter(|given| all.contains(&given.text)) {
        if !given.rightly {
            return Err(format!("{} of somebody who was not asked counts", given.text));
        }
        if let Some(other) = counted.insert(given.question, &given.text) {
            return Err(format!("{other} and {} count for question {}", given.text, given.question));
        }
    }
    Ok(())
}

/// When all clients have left, nothing is left.
pub(super) async fn nothing_is_left(world: &mut World, bench: Bench) -> Result<(), String> {
    for person in &mut world.people {
        if let Some(client) = person.client.take() {
            client.disconnect();
        }
    }
    for thread in &world.threads {
        bench.gone(*thread).await;
    }
    let totals = bench.services.subscribers.totals();
    if totals != (0, Counts::default()) {
        return Err(format!("connections and subscriptions are left: {totals:?}"));
    }
    if bench.services.tasks.count() > 0 {
        bench.pass(Duration::from_secs(1)).await;
    }
    match bench.services.tasks.count() {
        0 => {
            bench.finish().await;
            Ok(())
        }
        left => Err(format!("{left} tasks are left")),
    }
}
