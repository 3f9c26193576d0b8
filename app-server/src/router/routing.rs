//! Requests about threads that another server of the cluster has. They go there by a link, as the client has sent them.
//!
//! A thread that is loaded here is served here at once. For any other one the database says who has it. Meanwhile the requests of the
//! client about that thread wait in order, and no others do, unless a link to the same server is being opened.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;
use skein_config::Limits;
use skein_postgres::standing::Neighbour;
use skein_protocol::access::Access;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::error::WireError;
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::table::Lane;
use skein_store::rollout::StoreAway;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::errors::{self, RequestNames};
use super::session::ClientSession;
use super::slots::RequestSlots;
use super::{Route, RoutedRequest, Router, bytes_of, continuation};
use crate::links::Links;
use crate::links::client::ClientLink;
use crate::outbox::reply::AskOwner;
use crate::policy;
use crate::relay::asked::RequestKind;
use crate::relay::retry;
use crate::relay::threads::{ENDED, NextOwner, RelayedThreads};
use crate::thread::error::ThreadError;
use crate::thread::machine::Phase;

mod place;
mod queue;
mod way;

pub(super) use place::LoadRequest;
pub(super) use queue::UnroutedRequest;
use queue::{Unrouted, put_lost_first, take_lost};
pub(super) use way::{RouteWait, ThreadWay};

/// The ways of one client to other servers.
pub(crate) struct Routing {
    links: Arc<Links>,
    /// Limits the requests that wait.
    slots: RequestSlots,
    /// The requests that wait, by their thread. A thread with a task has an entry.
    waiting: Mutex<HashMap<ThreadId, VecDeque<Unrouted>>>,
    /// The open links, by their servers.
    open: Mutex<HashMap<Uuid, ClientLink>>,
    /// One link is opened to a server at a time.
    opening: Mutex<HashMap<Uuid, Arc<LinkOpening>>>,
    /// How often the client has left all threads.
    leaves: AtomicU64,
    /// The threads at other servers. The client may be subscribed there to a thread that is unloaded.
    relayed: Mutex<RelayedThreads>,
}

/// The attempts to open a link to one server.
struct LinkOpening {
    /// One permit for an attempt.
    turn: Semaphore,
    /// When the last one has failed.
    failed: Mutex<Option<Instant>>,
}

impl Default for LinkOpening {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), failed: Mutex::default() }
    }
}

/// A request as it was read.
pub(super) struct ReadRequest<'a> {
    pub(super) text: &'a str,
    pub(super) id: &'a RequestId,
    pub(super) params: Option<&'a RawValue>,
}

impl Routing {
    /// The ways of a client that has used none.
    pub(super) fn new(links: &Arc<Links>, limits: Limits) -> Self {
        Self {
            links: Arc::clone(links),
            slots: RequestSlots::new(limits.requests_in_flight, limits.message_bytes),
            waiting: Mutex::default(),
            open: Mutex::default(),
            opening: Mutex::default(),
            leaves: AtomicU64::new(0),
            relayed: Mutex::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<ThreadId, VecDeque<Unrouted>>> {
        lock(&self.waiting)
    }

    /// The threads at other servers.
    pub(super) fn relayed(&self) -> MutexGuard<'_, RelayedThreads> {
        lock(&self.relayed)
    }

    /// The open links.
    pub(super) fn open(&self) -> Vec<ClientLink> {
        let open = lock(&self.open);
        open.values().filter(|link| !link.is_broken()).cloned().collect()
    }

    fn open_to(&self, node: Uuid) -> Option<ClientLink> {
        let open = lock(&self.open);
        open.get(&node).filter(|link| !link.is_broken()).cloned()
    }

    /// The open link by which the latest request about a thread has gone.
    fn way(&self, thread: ThreadId) -> Option<ClientLink> {
        let id = self.relayed().way(thread)?;
        let open = lock(&self.open);
        open.values().find(|link| link.id() == id && !link.is_broken()).cloned()
    }

    /// How often the client has left all threads.
    pub(super) fn leaves(&self) -> u64 {
        self.leaves.load(Ordering::Acquire)
    }

    /// The client leaves all threads.
    pub(super) fn leave(&self) -> Vec<Utf8Bytes> {
        self.leaves.fetch_add(1, Ordering::AcqRel);
        self.relayed().leave()
    }

    /// The link to a server, which is opened if there is none. `None` if the server does not take it, or has not taken one since that time:
    /// a server that is silent is not waited for by one after the other.
    async fn link(
        &self,
        router: &Arc<Router>,
        session: &Arc<ClientSession>,
        owner: &Neighbour,
        since: Instant,
    ) -> Option<ClientLink> {
        if let Some(open) = self.open_to(owner.node) {
            return Some(open);
        }
        let opening = Arc::clone(lock(&self.opening).entry(owner.node).or_default());
        // Never closed; were it, a server would merely get two links.
        let _turn = opening.turn.acquire().await.ok();
        if let Some(open) = self.open_to(owner.node) {
            return Some(open);
        }
        if lock(&opening.failed).is_some_and(|failed| failed >= since) {
            return None;
        }
        let (client, end) = continuation::ends_of_link(router, session)?;
        match self.links.open(&session.app.context, owner, (client, end)).await {
            Ok(link) => {
                lock(&self.open).insert(owner.node, link.clone());
                Some(link)
            }
            Err(error) => {
                tracing::debug!(name = owner.name, %error, "no link to another server");
                *lock(&opening.failed) = Some(session.app.clock.now());
                None
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a thread is loaded here. One that is loading may turn out to be with another server.
fn is_loaded(session: &ClientSession, thread: ThreadId) -> bool {
    let handle = session.app.registry.handle(thread);
    handle.is_some_and(|handle| {
        handle.seen(|seen| match seen.phase {
            Phase::Idle | Phase::Running | Phase::Unloading => true,
            Phase::Loading | Phase::Gone => false,
        })
    })
}

impl Router {
    /// Whether a request waits for its way now, or is refused, because another server may have its thread.
    pub(super) fn goes_another_way(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        route: &Route,
        request: &ReadRequest<'_>,
    ) -> bool {
        let Some(routing) = &session.routing else { return false };
        let named = RequestNames::of(request.params).thread_id;
        let Some(thread) = named.or_else(|| place::new_thread(session, route, request)) else { return false };
        let is_here = is_loaded(session, thread) && !routing.relayed().is_tracked(thread);
        if is_here && !routing.waiting().contains_key(&thread) {
            return false;
        }
        // A read need not wait for the next server: what is saved is in the database.
        if route.lane == Lane::Store && routing.relayed().is_lost(thread) {
            return false;
        }
        let Some(slot) = routing.slots.take(bytes_of(request.params)) else {
            session.app.counters.overloaded.add_one();
            let error = errors::too_many_requests(routing.slots.number(), policy::BUSY_RETRY);
            let reply = envelope::error_reply(Some(request.id), &error.method(route.name));
            session.outbox.push(reply.into());
            return true;
        };
        let (text, leaves) = (request.text.to_owned(), routing.leaves());
        let came = session.app.clock.now();
        let request = UnroutedRequest { text, came, asked: 0, is_again: false, leaves, slot: Some(slot) };
        self.queue(session, thread, request);
        true
    }

    /// Sends a request to the server of its thread if its answer turns out to be there: the request names no thread.
    pub(super) fn ask_owner(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        route: &Route,
        text: &str,
        params: Option<&RawValue>,
    ) -> Option<AskOwner> {
        let is_unnamed = route.lane == Lane::Thread && RequestNames::of(params).thread_id.is_none();
        let leaves = session.routing.as_ref().filter(|_| is_unnamed)?.leaves();
        let came = session.app.clock.now();
        Some(self.ask_again(session, text.to_owned(), (came, 0, false), leaves))
    }

    fn ask_again(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        text: String,
        (came, asked, is_again): (Instant, u32, bool),
        leaves: u64,
    ) -> AskOwner {
        let (router, session) = (Arc::clone(self), Arc::clone(session));
        AskOwner::by(move |thread| {
            let routing = session.routing.as_ref();
            if let Some(slot) = routing.and_then(|routing| routing.slots.take(text.len())) {
                let asked = asked + 1;
                let request = UnroutedRequest { text, came, asked, is_again, leaves, slot: Some(slot) };
                router.queue(&session, thread, request);
            } else if let Ok(Incoming::Request { id, .. }) = envelope::parse(&text) {
                let error = errors::too_many_requests(session.in_flight.number(), policy::BUSY_RETRY);
                session.outbox.push(envelope::error_reply(Some(&id), &error).into());
            }
        })
    }

    fn queue(self: &Arc<Self>, session: &Arc<ClientSession>, thread: ThreadId, request: UnroutedRequest) {
        self.enqueue(session, thread, |waiting| waiting.push_back(Unrouted::Request(request)));
    }

    /// Brings a thread back that has lost its server, after this time and before the requests that wait.
    pub(super) fn bring_back(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        thread: ThreadId,
        pause: Duration,
    ) {
        self.enqueue(session, thread, |waiting| put_lost_first(waiting, pause));
    }

    /// Repeats requests, in their order and before those that wait.
    pub(super) fn repeat(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        thread: ThreadId,
        requests: Vec<UnroutedRequest>,
    ) {
        if requests.is_empty() {
            return;
        }
        self.enqueue(session, thread, |waiting| {
            // A thread that is lost again comes back before.
            let lost = take_lost(waiting);
            requests.into_iter().rev().for_each(|request| waiting.push_front(Unrouted::Request(request)));
            lost.into_iter().for_each(|pause| waiting.push_front(Unrouted::Lost(pause)));
        });
    }

    fn enqueue(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        thread: ThreadId,
        add: impl FnOnce(&mut VecDeque<Unrouted>),
    ) {
        let Some(routing) = &session.routing else { return };
        let mut waiting = routing.waiting();
        if let Some(before) = waiting.get_mut(&thread) {
            return add(before);
        }
        add(waiting.entry(thread).or_default());
        drop(waiting);
        let (router, session) = (Arc::clone(self), Arc::clone(session));
        let (tasks, ended) = (session.app.tasks.clone(), session.ended.clone());
        tasks.spawn(format!("route/{thread}"), async move {
            ended.run_until_cancelled(router.route_all(&session, thread)).await;
        });
    }

    async fn route_all(self: &Arc<Self>, session: &Arc<ClientSession>, thread: ThreadId) {
        let Some(routing) = &session.routing else { return };
        while let Some(next) = routing.next(thread) {
            let step = async {
                match next {
                    Unrouted::Request(request) => self.route(session, routing, thread, request).await,
                    Unrouted::Lost(pause) => self.come_back(session, routing, thread, pause).await,
                }
            };
            // The requests behind one whose way panics go on.
            session.app.tasks.contain_async("route", step).await;
        }
        let is_forgotten = routing.relayed().is_forgotten(thread);
        if is_forgotten {
            self.bring_back(session, thread, policy::ROUTE_RETRY);
        }
    }

    /// Sends a request to the server that has its thread, or serves it here.
    pub(super) async fn route(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        routing: &Routing,
        thread: ThreadId,
        request: UnroutedRequest,
    ) {
        if let Some(pause) = request.pause() {
            sleep(pause).await;
        }
        let way = self.way_of(session, routing, thread, &request).await;
        let owner = match &way {
            Some(ThreadWay::Here) => Some(NextOwner::Here),
            Some(ThreadWay::To(link)) => Some(NextOwner::Link(link.id())),
            Some(ThreadWay::Unknown(_)) | None => None,
        };
        let is_astray =
            owner.is_some_and(|owner| routing.relayed().goes_astray(thread, owner, &request.text));
        continuation::note_followed(session, routing);
        if is_astray {
            return self.enqueue(session, thread, |waiting| {
                let pause = take_lost(waiting).unwrap_or_default();
                waiting.push_front(Unrouted::Request(request));
                put_lost_first(waiting, pause);
            });
        }
        if let Some(way) = way {
            self.go(session, routing, (thread, way), request).await;
        }
    }

    /// Sends a request its way.
    async fn go(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        routing: &Routing,
        (thread, way): (ThreadId, ThreadWay),
        request: UnroutedRequest,
    ) {
        match way {
            ThreadWay::Here => self.serve_here(session, request),
            ThreadWay::To(link) => {
                let text = {
                    let mut relayed = routing.relayed();
                    let text = relayed.send((thread, link.id()), request.text, request.is_again);
                    relayed.note_newest(request.asked, request.leaves != routing.leaves());
                    text
                };
                continuation::note_followed(session, routing);
                self.send(session, &link, (text.as_str().to_owned(), request.slot)).await;
            }
            ThreadWay::Unknown(failure) => refuse_unowned(session, thread, &request, &failure),
        }
    }

    /// The way of a request. `None` if it was answered meanwhile.
    async fn way_of(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        routing: &Routing,
        thread: ThreadId,
        request: &UnroutedRequest,
    ) -> Option<ThreadWay> {
        let load = LoadRequest::read(&request.text);
        let way = match load.as_ref().is_some_and(LoadRequest::is_start) {
            true => Some(ThreadWay::Here),
            false => {
                let waits =
                    |owner: &Neighbour, waited| self.waits_on(session, request, (thread, owner), waited);
                self.way(session, routing, (thread, request.came), waits).await
            }
        };
        match (way, load) {
            (Some(ThreadWay::Here), Some(load)) => Some(self.to_folder(session, routing, thread, load).await),
            (way, _) => way,
        }
    }

    /// Sends a frame by a link.
    pub(super) async fn send(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        link: &ClientLink,
        (text, slot): (String, Option<OwnedSemaphorePermit>),
    ) {
        if !link.send_request(text, slot).await {
            // Its end may have been noted before the frame was.
            self.link_has_ended(session, link.id(), policy::LINK_RETRY);
        }
    }

    /// Whether a request waits for a server that takes no link. Otherwise it is answered here: a read of what is saved, or a refusal.
    fn waits_on(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        request: &UnroutedRequest,
        (thread, owner): (ThreadId, &Neighbour),
        waited: Duration,
    ) -> RouteWait {
        let Ok(Incoming::Request { id, method, params }) = envelope::parse(&request.text) else {
            return RouteWait::No;
        };
        let Some(route) = self.routes.get(method.as_ref()) else { return RouteWait::No };
        if route.lane == Lane::Store && waited >= policy::ROUTE_PATIENCE_OF_READS {
            route.handle_here(RoutedRequest { session, id, params, ask_owner: None, divert: None });
            return RouteWait::No;
        }
        if waited < policy::ROUTE_PATIENCE {
            let needs_thread = RequestKind::of(&method, params).needs_thread();
            return RouteWait::of(needs_thread && session.access() >= Access::Chat);
        }
        let error = ThreadError::OwnerUnreachable { id: thread, owner: owner.name.clone() }.to_wire();
        let error = not_repeated(request, route.name).unwrap_or(error);
        session.outbox.push(envelope::error_reply(Some(&id), &error.method(route.name)).into());
        RouteWait::No
    }

    /// Serves a request here. If another server turns out to have the thread, it goes there.
    pub(super) fn serve_here(self: &Arc<Self>, session: &Arc<ClientSession>, request: UnroutedRequest) {
        let has_left = session.routing.as_ref().is_some_and(|routing| routing.leaves() != request.leaves);
        let divert = match has_left && continuation::subscribes(&request.text) {
            true => Some(continuation::left_meanwhile(session)),
            false => continuation::answer_to(session, &request),
        };
        let UnroutedRequest { text, came, asked, is_again, leaves, slot: _slot } = request;
        let Ok(Incoming::Request { id, method, params }) = envelope::parse(&text) else { return };
        let Some(route) = self.routes.get(method.as_ref()) else { return };
        let ask_owner = (asked < policy::ROUTE_TRIES)
            .then(|| self.ask_again(session, text.clone(), (came, asked, is_again), leaves));
        route.handle_here(RoutedRequest { session, id, params, ask_owner, divert });
    }
}

/// Refuses a request because the database does not say who has its thread.
fn refuse_unowned(session: &ClientSession, thread: ThreadId, request: &UnroutedRequest, failure: &io::Error) {
    let Ok(Incoming::Request { id, method, .. }) = envelope::parse(&request.text) else { return };
    let why = StoreAway { reason: failure.to_string(), retry_after: policy::BUSY_RETRY };
    let error = ThreadError::StoreUnavailable { id: thread, why }.to_wire();
    let error = not_repeated(request, &method).unwrap_or(error);
    session.outbox.push(envelope::error_reply(Some(&id), &error.method(&method)).into());
}

/// The refusal of a request that may have been done by a server before: the client must not send it again unseen.
fn not_repeated(request: &UnroutedRequest, method: &str) -> Option<WireError> {
    request.is_again.then(|| retry::not_repeated(ENDED, method))
}

/// Keeps a client's answer to a question of a thread that it follows by a link, for the next server of the thread.
pub(super) fn keep_answer(session: &ClientSession, question: &RequestId, text: &str) {
    if let Some(routing) = &session.routing {
        routing.relayed().answered(question, text);
    }
}

/// Gives a client's answer to a question to the servers of its links: one of them may have asked.
pub(super) fn answer_others(session: &Arc<ClientSession>, text: &str) {
    let open = session.links();
    if open.is_empty() {
        return;
    }
    let Some(slot) = session.answers.take(text.len()) else {
        return;
    };
    let text = text.to_owned();
    session.app.tasks.spawn("answer to others", async move {
        for link in open {
            link.send(text.clone()).await;
        }
        drop(slot);
    });
}
