//! Introduces the link of another server, in the place of `initialize`.

use std::sync::Arc;

use serde_json::json;
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::ThreadStatus;
use skein_store::home::Term;

use crate::links::folders;
use crate::links::frames::{HelloEnd, ObserverOpening, ObserverPlace, PeerAnswer, PeerQuestion};
use crate::outbox::Frame;
use crate::router::session::ClientSession;
use crate::thread::Context;
use crate::thread::event::Materialised;
use crate::thread::machine::Persistence;
use crate::thread::subscribers::{ChangesSince, ClientWishes, RelayKind};

/// Takes the wishes of the client, or the place of the observer. The answer is the first message of the link.
pub(super) fn introduce(session: &ClientSession, hello: HelloEnd) {
    let subscribers = &session.app.subscribers;
    match hello {
        HelloEnd::Client(client) => {
            let wishes = ClientWishes::of(&client.initialize);
            session.introduce(client.initialize);
            let opened = |newest, _: ChangesSince<'_>| {
                Frame::from(json!([newest, subscribers.catalog_epoch()]).to_string())
            };
            subscribers.initialise_link(session.id(), wishes, (RelayKind::Client, opened));
        }
        HelloEnd::Observer(place) => {
            let context = &session.app.context;
            let opened = |newest, since: ChangesSince<'_>| {
                let epoch = subscribers.catalog_epoch().to_owned();
                let after = place_of(&place, &epoch, newest);
                // One that is saved meanwhile is announced behind this.
                let (new, loaded) = (loaded(context, Materialised::No), loaded(context, Materialised::Yes));
                let new = if cfg!(feature = "earlier") { Vec::new() } else { new };
                let opening =
                    ObserverOpening { missed: since(after), epoch, loaded, new, terms: terms(context) };
                Frame::from(json!([newest, opening]).to_string())
            };
            subscribers.initialise_link(session.id(), ClientWishes::default(), (RelayKind::Observer, opened));
        }
    }
}

/// Takes a message of an observer: a question. Others are of a later version.
pub(super) fn take_question(session: &Arc<ClientSession>, text: &str) {
    match PeerQuestion::read(text) {
        Some(PeerQuestion::Silence) => {
            if let Some(place) = &session.app.cluster {
                let silent = place.silence(session.app.clock.now());
                session.outbox.push(Frame::from(PeerAnswer::Silence(silent).text()));
            }
        }
        Some(PeerQuestion::Folder(folder)) => {
            let (session, tasks) = (Arc::clone(session), session.app.tasks.clone());
            tasks.spawn("folder of another server", async move {
                // A server that stops loads nothing. A disk that hangs gives no answer.
                let looks = Arc::clone(&session.folder_looks);
                if let Some(is_there) = folders::is_there(&session.app, looks, &folder).await {
                    let is_there = is_there && !session.app.registry.is_closed();
                    session.outbox.push(Frame::from(PeerAnswer::Folder(folder, is_there).text()));
                }
            });
        }
        Some(PeerQuestion::Thread(thread)) => {
            let is_there = session.app.registry.handle(thread).is_some();
            session.outbox.push(Frame::from(PeerAnswer::Thread(thread, is_there).text()));
        }
        Some(PeerQuestion::PastAnswer(question)) => {
            let past = session.app.questions.past_answer(question);
            session.outbox.push(Frame::from(PeerAnswer::PastAnswer(question, past).text()));
        }
        None => {}
    }
}

/// The number behind which an observer misses announcements of the start with this epoch.
fn place_of(place: &ObserverPlace, epoch: &str, newest: u64) -> u64 {
    let start = if place.from_start { 0 } else { newest };
    place.seen.get(epoch).copied().unwrap_or(start)
}

/// The loaded threads that are saved, or those that are new. Ephemeral ones are nobody's but their subscribers'.
fn loaded(context: &Context, wanted: Materialised) -> Vec<(ThreadId, ThreadStatus)> {
    let handles = context.registry.handles().into_iter();
    let shown = handles.filter_map(|handle| {
        let (is_wanted, status) = handle.seen(|seen| {
            let is_wanted = seen.persistence == Persistence::Durable && seen.materialised == wanted;
            (is_wanted, seen.status.clone())
        });
        (is_wanted && status != ThreadStatus::NotLoaded).then(|| (handle.id(), status))
    });
    shown.collect()
}

/// The terms of the loaded threads.
fn terms(context: &Context) -> Vec<(ThreadId, Term)> {
    let handles = context.registry.handles().into_iter();
    handles.filter_map(|handle| Some((handle.id(), handle.seen(|seen| seen.term)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observer_gets_what_it_misses() {
        let mut place = ObserverPlace::default();
        assert_eq!(place_of(&place, "e", 7), 7, "an old server, seen for the first time");
        place.from_start = true;
        assert_eq!(place_of(&place, "e", 7), 0, "a new one");
        place.seen.insert("e".to_owned(), 5);
        assert_eq!((place_of(&place, "e", 7), place_of(&place, "f", 7)), (5, 0));
    }
}
