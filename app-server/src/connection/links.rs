//! Introduces the link of another server, in the place of `initialize`.

use serde_json::json;
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::ThreadStatus;

use crate::links::frames::{self, HelloEnd, ObserverOpening, ObserverPlace};
use crate::outbox::Frame;
use crate::router::session::ClientSession;
use crate::thread::Context;
use crate::thread::event::Materialised;
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
                let opening = ObserverOpening { missed: since(after), epoch, loaded: loaded(context) };
                Frame::from(json!([newest, opening]).to_string())
            };
            subscribers.initialise_link(session.id(), ClientWishes::default(), (RelayKind::Observer, opened));
        }
    }
}

/// Takes a message of an observer: a question how long this server has not reached the database. Others are of a later version.
pub(super) fn take_question(session: &ClientSession, text: &str) {
    if text == frames::ASK_SILENCE
        && let Some(place) = &session.app.cluster
    {
        let silent = place.silence(session.app.clock.now());
        session.outbox.push(Frame::from(frames::silence(silent)));
    }
}

/// The number behind which an observer misses announcements of the start with this epoch.
fn place_of(place: &ObserverPlace, epoch: &str, newest: u64) -> u64 {
    let start = if place.from_start { 0 } else { newest };
    place.seen.get(epoch).copied().unwrap_or(start)
}

/// The loaded threads that others can load.
fn loaded(context: &Context) -> Vec<(ThreadId, ThreadStatus)> {
    let handles = context.registry.handles().into_iter();
    let shown = handles.filter_map(|handle| {
        let shown = handle.seen(|seen| (seen.materialised == Materialised::Yes, seen.status.clone()));
        (shown.0 && shown.1 != ThreadStatus::NotLoaded).then(|| (handle.id(), shown.1))
    });
    shown.collect()
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
