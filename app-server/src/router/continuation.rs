//! The threads of a client that lose their server go on with the next one, and the client stays connected.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes as ClientText;
use bytes::Bytes;
use serde_json::json;
use serde_json::value::to_raw_value;
use skein_protocol::access::Access;
use skein_protocol::envelope::{self, Incoming, Stamp};
use skein_protocol::extension::{EVENTS_EXTENSION, EVENTS_VERSION};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::server::InitializeParams;
use skein_protocol::table::Lane;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::routing::{LoadRequest, RouteWait, Routing, ThreadWay, UnroutedRequest};
use super::session::ClientSession;
use super::{RoutedRequest, Router};
use crate::links::client::{LinkUser, LinkedEnd};
use crate::links::frames::LinkedClient;
use crate::outbox::CloseReason;
use crate::outbox::reply::Divert;
use crate::policy;
use crate::relay::asked::{PendingRequest, RequestKind};
use crate::relay::retry;
use crate::relay::threads::{ENDED, NextOwner, Relayed, unsubscription};
use crate::relay::tracked::SubscribedAnswer;
use crate::thread::catalog::RelayedChange;
use crate::thread::subscribers::{ClientWishes, Left};

/// A client, as the user of its links.
struct RelayedClient {
    router: Arc<Router>,
    session: Arc<ClientSession>,
}

/// The ends of a new link of a client. `None` before its introduction.
pub(super) fn ends_of_link(
    router: &Arc<Router>,
    session: &Arc<ClientSession>,
) -> Option<(LinkedClient, LinkedEnd)> {
    let introduction = session.introduction()?;
    let wishes = ClientWishes::of(introduction);
    let name = session.app.clock.new_id().to_string();
    session.routing.as_ref()?.relayed().introduce(name, wishes.numbered, wishes.opted_out);
    let client =
        LinkedClient { admission: session.admission().clone(), initialize: numbered(introduction.clone()) };
    let user = RelayedClient { router: Arc::clone(router), session: Arc::clone(session) };
    let end =
        LinkedEnd { outbox: session.outbox.clone(), ended: session.ended.clone(), user: Arc::new(user) };
    Some((client, end))
}

/// The introduction of a client that gets the numbers of events.
fn numbered(mut introduction: InitializeParams) -> InitializeParams {
    let capabilities = introduction.capabilities.get_or_insert_default();
    let extensions = capabilities.extensions.get_or_insert_default();
    extensions.insert(EVENTS_EXTENSION.to_owned(), json!({ "version": EVENTS_VERSION }));
    introduction
}

impl LinkUser for RelayedClient {
    fn take(&self, link: Uuid, frame: Utf8Bytes) -> (Vec<ClientText>, Vec<String>) {
        let Some(routing) = &self.session.routing else { return Default::default() };
        let relayed = routing.relayed().receive(link, frame, self.session.app.clock.wall().0);
        note_followed(&self.session, routing);
        let Relayed { to_client, mut to_owner, again, unwanted, copy } = relayed;
        to_owner.extend(unwanted.map(unsubscription));
        if let Some((thread, pause)) = again {
            self.router.bring_back(&self.session, thread, pause);
        }
        if let Some(request) = copy {
            let now = self.session.app.clock.now();
            self.router.copy(&self.session, repeated(routing, &request, now));
        }
        let to_owner = to_owner.into_iter().map(|frame| frame.as_str().to_owned()).collect();
        (to_client.into_iter().filter_map(for_client).collect(), to_owner)
    }

    fn announced(&self, change: &RelayedChange) {
        let Some(routing) = &self.session.routing else { return };
        let Ok(params) = to_raw_value(&change.params) else { return };
        let (seq, epoch) = change.number.unzip();
        let stamp = Stamp { seq, epoch, ..Stamp::default() };
        routing.relayed().announced(&change.method, &params, stamp);
        note_followed(&self.session, routing);
    }

    fn ended(&self, link: Uuid, lived: Duration) {
        let pause = if lived < policy::RELINK_SETTLED { policy::LINK_RETRY } else { Duration::ZERO };
        self.router.link_has_ended(&self.session, link, pause);
    }
}

impl Router {
    /// The threads of a link that has ended come back, each after this time.
    pub(super) fn link_has_ended(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        link: Uuid,
        pause: Duration,
    ) {
        let Some(routing) = &session.routing else { return };
        let (refusals, threads) = routing.relayed().lost(link);
        give(session, refusals);
        // A read need not wait for the next server: what is saved is in the database.
        let is_read = |method: &str| self.routes.get(method).is_some_and(|route| route.lane == Lane::Store);
        let reads = routing.relayed().take_lost(is_read);
        let waiting = threads.iter().flat_map(|thread| routing.take_waiting(*thread, is_read));
        let now = session.app.clock.now();
        for read in reads.iter().map(|read| repeated(routing, read, now)).chain(waiting) {
            self.serve_here(session, read);
        }
        for thread in threads {
            self.bring_back(session, thread, pause);
        }
    }

    /// Takes a thread to its next server.
    pub(super) async fn come_back(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        routing: &Routing,
        thread: ThreadId,
        pause: Duration,
    ) {
        let waits = routing.relayed().waits(thread);
        if !waits {
            return;
        }
        sleep(pause).await;
        let (resume, requests) = routing.relayed().continuation(thread);
        if let Some(id) = resume {
            self.resume(session, routing, thread, &id).await;
        }
        let now = session.app.clock.now();
        let requests = requests.iter().map(|request| repeated(routing, request, now)).collect();
        self.repeat(session, thread, requests);
        routing.turn_has_ended(thread);
    }

    /// Resumes a thread for its client. If its server is not found in time, the client connects again.
    async fn resume(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        routing: &Routing,
        thread: ThreadId,
        id: &RequestId,
    ) {
        let began = session.app.clock.now();
        let way = loop {
            let waits = |_: &_, waited| match waited < policy::CONTINUATION_PATIENCE {
                true => {
                    RouteWait::of(session.access() >= Access::Chat && !routing.relayed().observes(thread))
                }
                false => RouteWait::No,
            };
            let came = session.app.clock.now();
            match self.way(session, routing, (thread, came), waits).await {
                Some(ThreadWay::Unknown(_))
                    if session.app.clock.now().saturating_duration_since(began)
                        < policy::CONTINUATION_PATIENCE =>
                {
                    sleep(policy::ROUTE_RETRY).await;
                }
                Some(ThreadWay::Here) if !routing.relayed().observes(thread) => {
                    let load = LoadRequest::default();
                    break Some(self.to_folder(session, routing, thread, load).await);
                }
                way @ (Some(_) | None) => break way,
            }
        };
        match way {
            Some(ThreadWay::To(link)) => {
                let text = routing.relayed().resume(id, NextOwner::Link(link.id()));
                if let Some(text) = text {
                    self.send(session, &link, (text.as_str().to_owned(), None)).await;
                }
            }
            Some(ThreadWay::Here) => {
                let text = routing.relayed().resume(id, NextOwner::Here);
                if let Some(text) = text {
                    self.resume_here(session, text);
                }
            }
            Some(ThreadWay::Unknown(_)) | None => session.outbox.close(CloseReason::OwnerLeft),
        }
    }

    fn resume_here(self: &Arc<Self>, session: &Arc<ClientSession>, text: Utf8Bytes) {
        let Ok(Incoming::Request { id, method, params }) = envelope::parse(&text) else { return };
        let Some(route) = self.routes.get(method.as_ref()) else { return };
        let (router, client) = (Arc::clone(self), Arc::clone(session));
        let divert = Some(Divert::by(move |frame| router.resumed_here(&client, &frame)));
        route.handle_here(RoutedRequest { session, id, params, ask_owner: None, divert });
    }

    /// Takes the answer of this server to a resume, at its place before the events that follow.
    fn resumed_here(self: &Arc<Self>, session: &Arc<ClientSession>, frame: &str) {
        let Some(routing) = &session.routing else { return };
        let (id, answer) = match envelope::parse(frame) {
            Ok(Incoming::Response { id, result }) => (id, Ok(result)),
            Ok(Incoming::Error { id, error }) => (id, Err(error)),
            Ok(Incoming::Request { .. } | Incoming::Notification { .. }) | Err(_) => return,
        };
        let now = session.app.clock.wall().0;
        let relayed = routing.relayed().came_back(&id, NextOwner::Here, answer, now);
        note_followed(session, routing);
        give(session, relayed.to_client);
        if let Some((thread, pause)) = relayed.again {
            self.bring_back(session, thread, pause);
        }
        if let Some(thread) = relayed.unwanted {
            leave(session, thread);
        }
        let answers = relayed.to_owner;
        if !answers.is_empty() {
            let (router, session) = (Arc::clone(self), Arc::clone(session));
            // Apart from the owner, which answers in this step.
            let tasks = session.app.tasks.clone();
            tasks.spawn("answers of before", async move {
                answers.iter().for_each(|answer| router.take(&session, answer));
            });
        }
    }
}

/// The announcements about a thread that the client follows by a link come with its events.
pub(super) fn note_followed(session: &ClientSession, routing: &Routing) {
    // In the order of the changes.
    let mut relayed = routing.relayed();
    if let Some(followed) = relayed.changed() {
        session.app.subscribers.follow(session.id(), followed);
    }
}

/// A request that a lost server was asked.
fn repeated(routing: &Routing, request: &PendingRequest, came: Instant) -> UnroutedRequest {
    let (text, leaves) = (request.line.as_str().to_owned(), routing.leaves());
    let is_again = request.again || !request.not_done;
    UnroutedRequest { text, came, asked: request.moved, is_again, leaves, slot: None }
}

/// Takes the answer to a repeated request: some refusals mean that it was done the first time. `None` if its answer is as usual.
fn done_before(session: &Arc<ClientSession>, request: PendingRequest) -> Divert {
    let outbox = session.outbox.clone();
    Divert::by(move |frame| {
        let frame = match envelope::parse(&frame) {
            Ok(Incoming::Error { id, error }) if request.rule.is_done(&error) => {
                envelope::response(&id, &json!({})).into()
            }
            Ok(Incoming::Error { id, error }) if request.may_be_done_after(&error) => {
                let error = retry::not_repeated(ENDED, &request.method);
                envelope::error_reply(Some(&id), &error).into()
            }
            Ok(_) | Err(_) => frame.clone(),
        };
        outbox.push(frame);
    })
}

/// Takes the answer to a request of the client that this server serves, where the relay has to know it.
pub(super) fn answer_to(session: &Arc<ClientSession>, request: &UnroutedRequest) -> Option<Divert> {
    let routing = session.routing.as_ref()?;
    let Ok(Incoming::Request { id, method, params }) = envelope::parse(&request.text) else { return None };
    let mut asked = PendingRequest::new(id, &method, params, request.text.as_str().into());
    if let RequestKind::Resume { thread: Some(thread), .. } = asked.kind
        && routing.relayed().is_tracked(thread)
    {
        return Some(resumed_itself(session, thread));
    }
    request.is_again.then(|| {
        asked.again = true;
        done_before(session, asked)
    })
}

/// Whether a request subscribes the client.
pub(super) fn subscribes(text: &str) -> bool {
    let Ok(Incoming::Request { id, method, params }) = envelope::parse(text) else { return false };
    PendingRequest::new(id, &method, params, Utf8Bytes::default()).subscribes()
}

/// Takes the answer to a request that subscribes a client which has left all threads meanwhile. It leaves this one as well.
pub(super) fn left_meanwhile(session: &Arc<ClientSession>) -> Divert {
    let session = Arc::clone(session);
    Divert::by(move |frame| {
        let subscribed = match envelope::parse(&frame) {
            Ok(Incoming::Response { result, .. }) => SubscribedAnswer::read(result).map(|shown| shown.id()),
            Ok(_) | Err(_) => None,
        };
        session.outbox.push(frame);
        if let Some(thread) = subscribed {
            leave(&session, thread);
        }
    })
}

/// Ends a subscription that the client does not want. Its owner learns of it apart from this step, in which the registry may be held: an
/// observer is answered so.
fn leave(session: &Arc<ClientSession>, thread: ThreadId) {
    if session.app.subscribers.leave(session.id(), thread) != Left::Nothing {
        let (tasks, session) = (session.app.tasks.clone(), Arc::clone(session));
        tasks.spawn(format!("leave/{thread}"), async move { session.app.registry.wake(thread) });
    }
}

/// Takes the answer to the client's own resume of a thread that it followed by a link.
fn resumed_itself(session: &Arc<ClientSession>, thread: ThreadId) -> Divert {
    let session = Arc::clone(session);
    Divert::by(move |frame| {
        let is_granted = matches!(envelope::parse(&frame), Ok(Incoming::Response { .. }));
        session.outbox.push(frame);
        if let Some(routing) = &session.routing {
            routing.relayed().resumed_itself(thread, is_granted);
            note_followed(&session, routing);
        }
    })
}

/// Queues frames for the client.
pub(super) fn give(session: &ClientSession, frames: Vec<Utf8Bytes>) {
    for frame in frames.into_iter().filter_map(for_client) {
        session.outbox.push(frame);
    }
}

/// A frame in the form of an outbox.
fn for_client(frame: Utf8Bytes) -> Option<ClientText> {
    ClientText::try_from(Bytes::from(frame)).ok()
}
