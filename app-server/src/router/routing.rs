//! Requests about threads that another server of the cluster has. They go there by a link, as the client has sent them.
//!
//! A thread that is loaded here is served here at once. For any other one the database says who has it. Meanwhile the requests of the
//! client about that thread wait in order, and no others do, unless a link to the same server is being opened.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use skein_config::Limits;
use skein_postgres::standing::Neighbour;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::ThreadUnsubscribe;
use skein_protocol::table::{Lane, Method};
use skein_store::rollout::StoreAway;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::errors::{self, RequestNames};
use super::session::ClientSession;
use super::slots::RequestSlots;
use super::{Route, RoutedRequest, Router, bytes_of};
use crate::links::Links;
use crate::links::client::{ClientLink, LinkedEnd};
use crate::links::frames::LinkedClient;
use crate::outbox::reply::AskOwner;
use crate::policy;
use crate::thread::error::ThreadError;
use crate::thread::machine::Phase;

/// The ways of one client to other servers.
pub(crate) struct Routing {
    links: Arc<Links>,
    /// Limits the requests that wait.
    slots: RequestSlots,
    /// The requests that wait, by their thread. A thread with a task has an entry.
    waiting: Mutex<HashMap<ThreadId, VecDeque<UnroutedRequest>>>,
    /// The open links, by their servers.
    open: Mutex<HashMap<Uuid, ClientLink>>,
    /// One link is opened to a server at a time.
    opening: Mutex<HashMap<Uuid, Arc<Semaphore>>>,
    /// The servers to which requests about threads have gone. There the client may be subscribed to a thread that is unloaded.
    ways: Mutex<HashMap<ThreadId, Uuid>>,
}

/// A request that waits for its way.
struct UnroutedRequest {
    text: String,
    /// How often its thread turned out to be with another server.
    asked: usize,
    _slot: OwnedSemaphorePermit,
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
            ways: Mutex::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<ThreadId, VecDeque<UnroutedRequest>>> {
        lock(&self.waiting)
    }

    /// The next request about a thread. Without one, the thread's task ends.
    fn next(&self, thread: ThreadId) -> Option<UnroutedRequest> {
        let mut waiting = self.waiting();
        let next = waiting.get_mut(&thread).and_then(VecDeque::pop_front);
        if next.is_none() {
            waiting.remove(&thread);
        }
        next
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
        let node = *lock(&self.ways).get(&thread)?;
        self.open_to(node)
    }

    /// The client leaves all threads.
    pub(super) fn leave(&self) {
        lock(&self.ways).clear();
    }

    /// Sends a request by a link. One that breaks closes the client's connection.
    async fn send(&self, link: &ClientLink, thread: ThreadId, request: UnroutedRequest) {
        let leaves = matches!(
            envelope::parse(&request.text),
            Ok(Incoming::Request { method, .. }) if method == ThreadUnsubscribe::INFO.wire
        );
        if leaves {
            lock(&self.ways).remove(&thread);
        }
        link.send(request.text).await;
    }

    /// The link to a server, which is opened if there is none. `None` if the server does not take it.
    async fn link(&self, session: &ClientSession, owner: &Neighbour) -> Option<ClientLink> {
        if let Some(open) = self.open_to(owner.node) {
            return Some(open);
        }
        let opening =
            Arc::clone(lock(&self.opening).entry(owner.node).or_insert_with(|| Arc::new(Semaphore::new(1))));
        // Never closed; were it, a server would merely get two links.
        let _opening = opening.acquire().await.ok();
        if let Some(open) = self.open_to(owner.node) {
            return Some(open);
        }
        let client = LinkedClient {
            admission: session.admission().clone(),
            initialize: session.introduction()?.clone(),
        };
        let end = LinkedEnd { outbox: session.outbox.clone(), ended: session.ended.clone() };
        match self.links.open(&session.app.context, owner, (client, end)).await {
            Ok(link) => {
                lock(&self.open).insert(owner.node, link.clone());
                Some(link)
            }
            Err(error) => {
                tracing::debug!(name = owner.name, %error, "no link to another server");
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
        let Some(thread) = RequestNames::of(request.params).thread_id else { return false };
        if is_loaded(session, thread) && !routing.waiting().contains_key(&thread) {
            return false;
        }
        let Some(slot) = routing.slots.take(bytes_of(request.params)) else {
            session.app.counters.overloaded.add_one();
            let error = errors::too_many_requests(routing.slots.number(), policy::BUSY_RETRY);
            let reply = envelope::error_reply(Some(request.id), &error.method(route.name));
            session.outbox.push(reply.into());
            return true;
        };
        self.queue(session, thread, UnroutedRequest { text: request.text.to_owned(), asked: 0, _slot: slot });
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
        session.routing.as_ref().filter(|_| is_unnamed)?;
        Some(self.ask_again(session, text.to_owned(), 0))
    }

    fn ask_again(self: &Arc<Self>, session: &Arc<ClientSession>, text: String, asked: usize) -> AskOwner {
        let (router, session) = (Arc::clone(self), Arc::clone(session));
        AskOwner::by(move |thread| {
            let slot = session.routing.as_ref().and_then(|routing| routing.slots.take(text.len()));
            if let Some(slot) = slot {
                router.queue(&session, thread, UnroutedRequest { text, asked: asked + 1, _slot: slot });
            } else if let Ok(Incoming::Request { id, .. }) = envelope::parse(&text) {
                let error = errors::too_many_requests(session.in_flight.number(), policy::BUSY_RETRY);
                session.outbox.push(envelope::error_reply(Some(&id), &error).into());
            }
        })
    }

    fn queue(self: &Arc<Self>, session: &Arc<ClientSession>, thread: ThreadId, request: UnroutedRequest) {
        let Some(routing) = &session.routing else { return };
        let mut waiting = routing.waiting();
        if let Some(before) = waiting.get_mut(&thread) {
            return before.push_back(request);
        }
        waiting.insert(thread, VecDeque::from([request]));
        drop(waiting);
        let (router, session) = (Arc::clone(self), Arc::clone(session));
        let (tasks, ended) = (session.app.tasks.clone(), session.ended.clone());
        tasks.spawn(format!("route/{thread}"), async move {
            ended.run_until_cancelled(router.route_all(&session, thread)).await;
        });
    }

    async fn route_all(self: &Arc<Self>, session: &Arc<ClientSession>, thread: ThreadId) {
        let Some(routing) = &session.routing else { return };
        while let Some(request) = routing.next(thread) {
            // The requests behind one whose way panics go on.
            session.app.tasks.contain_async("route", self.route(session, routing, thread, request)).await;
        }
    }

    /// Sends a request to the server that has its thread, or serves it here. A server that has just ended has its threads until the
    /// others know.
    async fn route(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        routing: &Routing,
        thread: ThreadId,
        request: UnroutedRequest,
    ) {
        let began = session.app.clock.now();
        loop {
            if session.app.registry.handle(thread).is_some() {
                return self.serve_here(session, request);
            }
            let owner = match routing.links.owner_of(thread).await {
                Ok(Some(owner)) => owner,
                found @ (Ok(None) | Err(_)) => match routing.way(thread) {
                    Some(link) => return routing.send(&link, thread, request).await,
                    None => return self.serve_unowned(session, thread, request, found.err()),
                },
            };
            if let Some(link) = routing.link(session, &owner).await {
                lock(&routing.ways).insert(thread, owner.node);
                return routing.send(&link, thread, request).await;
            }
            if !self.waits_on(session, &request, (thread, &owner), began) {
                return;
            }
            sleep(policy::ROUTE_RETRY).await;
        }
    }

    /// Serves a request about a thread that nobody has, as far as is known.
    fn serve_unowned(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        thread: ThreadId,
        request: UnroutedRequest,
        failure: Option<io::Error>,
    ) {
        let Some(failure) = failure else { return self.serve_here(session, request) };
        let Ok(Incoming::Request { id, method, .. }) = envelope::parse(&request.text) else { return };
        let why = StoreAway { reason: failure.to_string(), retry_after: policy::BUSY_RETRY };
        let error = ThreadError::StoreUnavailable { id: thread, why }.to_wire();
        session.outbox.push(envelope::error_reply(Some(&id), &error.method(&method)).into());
    }

    /// Whether a request waits for a server that takes no link. Otherwise it is answered here: a read of what is saved, or a refusal.
    fn waits_on(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        request: &UnroutedRequest,
        (thread, owner): (ThreadId, &Neighbour),
        began: Instant,
    ) -> bool {
        let Ok(Incoming::Request { id, method, params }) = envelope::parse(&request.text) else {
            return false;
        };
        let Some(route) = self.routes.get(method.as_ref()) else { return false };
        let waited = session.app.clock.now().saturating_duration_since(began);
        if route.lane == Lane::Store && waited >= policy::ROUTE_PATIENCE_OF_READS {
            route.handle_here(RoutedRequest { session, id, params, ask_owner: None });
            return false;
        }
        if waited < policy::ROUTE_PATIENCE {
            return true;
        }
        let error = ThreadError::OwnerUnreachable { id: thread, owner: owner.name.clone() }.to_wire();
        session.outbox.push(envelope::error_reply(Some(&id), &error.method(route.name)).into());
        false
    }

    /// Serves a request here. If another server turns out to have the thread, it goes there.
    fn serve_here(self: &Arc<Self>, session: &Arc<ClientSession>, request: UnroutedRequest) {
        let UnroutedRequest { text, asked, _slot } = request;
        let Ok(Incoming::Request { id, method, params }) = envelope::parse(&text) else { return };
        let Some(route) = self.routes.get(method.as_ref()) else { return };
        let ask_owner = (asked < policy::ROUTE_TRIES).then(|| self.ask_again(session, text.clone(), asked));
        route.handle_here(RoutedRequest { session, id, params, ask_owner });
    }
}

/// Gives a client's answer to a question to the servers of its links: one of them may have asked.
pub(super) fn answer_others(session: &Arc<ClientSession>, text: &str) {
    let open = session.links();
    if open.is_empty() {
        return;
    }
    // A client that sends more answers than it has requests in flight answers no questions of ours.
    let Some(slot) = session.routing.as_ref().and_then(|routing| routing.slots.take(text.len())) else {
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
