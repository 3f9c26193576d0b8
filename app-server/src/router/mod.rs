//! Routes each message to the handler of its row. A row without a handler prevents the start, and fails a test; a
//! handler in another lane than its row's does not compile.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::value::RawValue;
use skein_protocol::access::Access;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::error::WireError;
use skein_protocol::ids::RequestId;
use skein_protocol::methods::{Initialize, METHODS};
use skein_protocol::table::{ClientNotification, Lane, Method};
use tokio::sync::OwnedSemaphorePermit;

use self::limits::NamedPath;
use self::routing::ReadRequest;
use self::session::ClientSession;
use crate::outbox::reply::{AskOwner, Divert, Reply, RequestTimer};
use crate::policy;
use crate::thread::answering;
use crate::thread::registry::GivenAnswer;

mod continuation;
pub(crate) mod errors;
mod limits;
mod routing;
pub(crate) mod session;
mod slots;
#[cfg(test)]
mod tests;

/// A request to the disk, ready to run.
pub(crate) type StoreJob = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request with unread params.
struct RoutedRequest<'a> {
    session: &'a Arc<ClientSession>,
    id: RequestId,
    params: Option<&'a RawValue>,
    /// For a request that another server may have to answer.
    ask_owner: Option<AskOwner>,
    /// For a request whose answer is not, or not as it is, for the client.
    divert: Option<Divert>,
}

impl RoutedRequest<'_> {
    /// The reply to it.
    fn reply<M: Method>(&mut self, in_flight: Option<OwnedSemaphorePermit>) -> Reply<M::Response> {
        let timer = RequestTimer::begin(M::INFO.lane, &self.session.app.counters.requests);
        let reply = Reply::new(self.session.outbox.clone(), self.id.clone(), M::INFO.wire, in_flight);
        reply.timed(timer).or_ask(self.ask_owner.take()).diverted(self.divert.take())
    }
}

/// Answers at once.
type AtOnce<M> = fn(&Arc<ClientSession>, <M as Method>::Params) -> Result<<M as Method>::Response, WireError>;
/// Hands the reply on.
type HandOn<M> = fn(&Arc<ClientSession>, <M as Method>::Params, Reply<<M as Method>::Response>);

type Handle = Box<dyn for<'a> Fn(RoutedRequest<'a>) + Send + Sync>;

struct Route {
    name: &'static str,
    lane: Lane,
    access: Access,
    handle: Handle,
}

impl Route {
    /// A handler that panics drops its reply, which answers with an error; the connection continues.
    fn handle_here(&self, request: RoutedRequest<'_>) {
        let tasks = request.session.app.tasks.clone();
        tasks.contain(self.name, || (self.handle)(request));
    }
}

/// The handlers by method.
#[derive(Default)]
pub(crate) struct Router {
    routes: HashMap<&'static str, Route>,
    notifications: HashMap<&'static str, fn(&Arc<ClientSession>)>,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("routes", &self.routes.len()).finish()
    }
}

impl Router {
    /// Serves a row of the lane Inline: answers at once, from memory.
    pub(crate) fn inline<M: Method>(&mut self, handler: AtOnce<M>) {
        const { assert!(matches!(M::INFO.lane, Lane::Inline), "this row is of another lane") };
        self.add::<M>(Box::new(move |mut request| {
            let reply = request.reply::<M>(None);
            let RoutedRequest { session, params: raw, .. } = request;
            let answer = at_once::<M>(session, raw).and_then(|params| handler(session, params));
            reply.send(answer.map_err(|error| errors::RequestNames::of(raw).explain(error)));
        }));
    }

    /// Serves a row of the lane Inline whose handler answers in the same step as it reads.
    pub(crate) fn in_step<M: Method>(&mut self, handler: HandOn<M>) {
        const { assert!(matches!(M::INFO.lane, Lane::Inline), "this row is of another lane") };
        self.uncounted::<M>(handler);
    }

    /// Serves a row of the lane Thread: the handler hands params and reply to the owner, and waits for nothing.
    pub(crate) fn thread<M: Method>(&mut self, handler: HandOn<M>) {
        const { assert!(matches!(M::INFO.lane, Lane::Thread), "this row is of another lane") };
        self.add::<M>(Box::new(move |request| {
            let Some(Admitted { session, params, paths, reply }) = admit::<M>(request) else { return };
            if paths.is_empty() {
                return handler(session, params, reply);
            }
            let (session, ended) = (Arc::clone(session), session.ended.clone());
            let tasks = session.app.tasks.clone();
            tasks.spawn(format!("named-paths/{}", M::INFO.wire), async move {
                match ended.run_until_cancelled(limits::look(&session, paths)).await {
                    Some(Ok(())) => handler(&session, params, reply),
                    Some(Err(error)) => reply.err(&error),
                    // The connection is closed.
                    None => {}
                }
            });
        }));
    }

    /// Serves a row of the lane Thread without a limit, because it must get through.
    pub(crate) fn urgent<M: Method>(&mut self, handler: HandOn<M>) {
        const { assert!(matches!(M::INFO.lane, Lane::Thread), "this row is of another lane") };
        self.uncounted::<M>(handler);
    }

    fn uncounted<M: Method>(&mut self, handler: HandOn<M>) {
        self.add::<M>(Box::new(move |mut request| {
            let reply = request.reply::<M>(None);
            let RoutedRequest { session, params, .. } = request;
            match at_once::<M>(session, params) {
                Ok(params) => handler(session, params, reply),
                Err(error) => reply.err(&error),
            }
        }));
    }

    /// Serves a row of the lane Store, in order with the connection's other requests of this lane, up to a number
    /// that may wait.
    pub(crate) fn store<M, F>(&mut self, handler: fn(Arc<ClientSession>, M::Params) -> F)
    where
        M: Method,
        F: Future<Output = Result<M::Response, WireError>> + Send + 'static,
    {
        const { assert!(matches!(M::INFO.lane, Lane::Store), "this row is of another lane") };
        self.add::<M>(Box::new(move |mut request| {
            let reply = request.reply::<M>(None);
            let RoutedRequest { session, params, .. } = request;
            let slot = session.store_slots.take(bytes_of(params));
            let (Some(slot), Ok(place)) = (slot, session.store_jobs.try_reserve()) else {
                session.app.counters.overloaded.add_one();
                return reply.err(&errors::too_many_requests(policy::STORE_JOBS, policy::BUSY_RETRY));
            };
            let most = session.app.config().limits.answer_bytes;
            let about = errors::RequestNames::of(params);
            let (params, paths) = match permitted::<M>(session, params) {
                Ok(permitted) => permitted,
                Err(error) => return reply.err(&error),
            };
            let tasks = session.app.tasks.clone();
            let answer = looked_at(Arc::clone(session), (params, paths), handler);
            let job = async move {
                let answered = answer.await;
                // The answer is bounded by the outbox.
                drop(slot);
                match answered {
                    Ok(response) => {
                        let too_large = move || errors::page_too_large(M::INFO.wire, &about, most);
                        reply.prepare_within(most, &response, too_large).send();
                    }
                    Err(error) => reply.err(&about.explain(error)),
                }
            };
            // The lane continues after a request that panics.
            place.send(Box::pin(async move {
                tasks.contain_async(M::INFO.wire, job).await.unwrap_or_default();
            }));
        }));
    }

    /// Serves a row of the lane Helper: a child task of the connection waits for the helper.
    pub(crate) fn helper<M, F>(&mut self, handler: fn(Arc<ClientSession>, M::Params) -> F)
    where
        M: Method,
        F: Future<Output = Result<M::Response, WireError>> + Send + 'static,
    {
        const { assert!(matches!(M::INFO.lane, Lane::Helper), "this row is of another lane") };
        self.add::<M>(Box::new(move |request| {
            if let Some(Admitted { session, params, paths, reply }) = admit::<M>(request) {
                let ended = session.ended.clone();
                let answer = looked_at(Arc::clone(session), (params, paths), handler);
                session.app.tasks.spawn(format!("helper-lane/{}", M::INFO.wire), async move {
                    tokio::select! {
                        biased;
                        // The connection is closed.
                        () = ended.cancelled() => {}
                        answer = answer => reply.send(answer),
                    }
                });
            }
        }));
    }

    /// Handles a notification of clients.
    pub(crate) fn notification<N: ClientNotification>(&mut self, handler: fn(&Arc<ClientSession>)) {
        self.notifications.insert(N::INFO.wire, handler);
    }

    /// Rows without a handler.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        METHODS.iter().map(|info| info.wire).filter(|wire| !self.routes.contains_key(wire)).collect()
    }

    /// Takes one message of a client.
    pub(crate) fn take(self: &Arc<Self>, session: &Arc<ClientSession>, text: &str) {
        match envelope::parse(text) {
            Ok(Incoming::Request { id, method, params }) => {
                if let Some(route) = self.permitted(session, &id, &method)
                    && !self.goes_another_way(session, route, &ReadRequest { text, id: &id, params })
                {
                    let ask_owner = self.ask_owner(session, route, text, params);
                    route.handle_here(RoutedRequest { session, id, params, ask_owner, divert: None });
                }
            }
            Ok(Incoming::Notification { method, .. }) => {
                // Unknown notifications are ignored, as in the standard.
                if let Some(handler) = self.notifications.get(method.as_ref()) {
                    session.app.tasks.contain("notification", || handler(session));
                }
            }
            Ok(Incoming::Response { id, result }) => {
                answered(session, &id, Ok(result.to_owned()), text);
            }
            Ok(Incoming::Error { id, error }) => {
                answered(session, &id, Err(error), text);
            }
            Err(bad) => {
                let reply = envelope::error_reply(bad.id.as_ref(), &bad.error);
                session.outbox.push(reply.into());
            }
        }
    }

    /// The route of a request that the client may send now. Refuses any other.
    fn permitted(&self, session: &ClientSession, id: &RequestId, method: &str) -> Option<&Route> {
        let refuse = |error: WireError| {
            let reply = envelope::error_reply(Some(id), &error.method(method));
            session.outbox.push(reply.into());
            None
        };
        let Some(route) = self.routes.get(method) else {
            return refuse(WireError::method_not_found(method));
        };
        if !session.is_initialised() && method != Initialize::INFO.wire {
            return refuse(errors::not_initialised());
        }
        // Before the params are read: a stranger to the method learns nothing of their form.
        if session.access() < route.access {
            tracing::debug!(connection = session.id().0, method, needed = %route.access, "a request is forbidden");
            return refuse(errors::forbidden(method, route.access, session.access()));
        }
        tracing::trace!(connection = session.id().0, method, lane = ?route.lane, "request");
        Some(route)
    }

    fn add<M: Method>(&mut self, handle: Handle) {
        let name = M::INFO.wire;
        self.routes.insert(name, Route { name, lane: M::INFO.lane, access: M::INFO.access, handle });
    }
}

/// Reads the params of a request, and judges them by the connection's access. The paths are still to be looked at.
fn permitted<M: Method>(
    session: &ClientSession,
    params: Option<&RawValue>,
) -> Result<(M::Params, Vec<NamedPath>), WireError> {
    let params: M::Params = envelope::params(params)?;
    let paths = limits::judge(session, &params)?;
    Ok((params, paths))
}

/// The same for a handler that waits for nothing, and so for no look at paths.
fn at_once<M: Method>(session: &ClientSession, params: Option<&RawValue>) -> Result<M::Params, WireError> {
    let (params, paths) = permitted::<M>(session, params)?;
    limits::unlooked(&paths).map(|()| params)
}

/// Runs a handler behind the look at the paths of its request.
async fn looked_at<P, R, F>(
    session: Arc<ClientSession>,
    (params, paths): (P, Vec<NamedPath>),
    handler: fn(Arc<ClientSession>, P) -> F,
) -> Result<R, WireError>
where
    F: Future<Output = Result<R, WireError>>,
{
    limits::look(&session, paths).await?;
    handler(session, params).await
}

/// The bytes of unread JSON.
fn bytes_of(raw: Option<&RawValue>) -> usize {
    raw.map_or(0, |raw| raw.get().len())
}

/// A request of a slow lane with its slot among those in flight.
struct Admitted<'a, M: Method> {
    session: &'a Arc<ClientSession>,
    params: M::Params,
    paths: Vec<NamedPath>,
    reply: Reply<M::Response>,
}

/// Admits a request of a slow lane if the connection has a free slot.
fn admit<M: Method>(mut request: RoutedRequest<'_>) -> Option<Admitted<'_, M>> {
    let permit = request.session.in_flight.take(bytes_of(request.params));
    let admitted = permit.is_some();
    let reply = request.reply::<M>(permit);
    let RoutedRequest { session, params, .. } = request;
    if !admitted {
        session.app.counters.overloaded.add_one();
        reply.err(&errors::too_many_requests(session.in_flight.number(), policy::BUSY_RETRY));
        return None;
    }
    match permitted::<M>(session, params) {
        Ok((params, paths)) => Some(Admitted { session, params, paths, reply }),
        Err(error) => {
            reply.err(&error);
            None
        }
    }
}

/// Hands a client's answer to the thread that asked. The thread may be parked since, to free memory. An answer to a question that
/// waits nowhere is ignored: another client was faster, or the turn has ended. So is an answer of a connection that may only read. Another server may have asked.
fn answered(
    session: &Arc<ClientSession>,
    id: &RequestId,
    answer: Result<Box<RawValue>, WireError>,
    text: &str,
) {
    let RequestId::Integer(question) = id else { return };
    if session.access() < Access::Chat {
        return;
    }
    let services = &session.app;
    let asks = services.questions.thread(*question);
    // Kept also if the question waits here: its thread may have moved, and this client follows it a moment later.
    routing::keep_answer(session, id, text);
    if asks.is_none() {
        routing::answer_others(session, text);
    }
    let given = GivenAnswer {
        by: session.id(),
        client: session.client().map(|client| client.name.clone()).unwrap_or_default(),
        access: session.access(),
        question: *question,
        answer,
    };
    match asks {
        Some(thread) => {
            if let Some(handle) = services.registry.handle(thread) {
                handle.answer(given);
            }
        }
        // An error answers nothing here: the next load asks again.
        None if given.answer.is_err() => {}
        None => {
            if let Some(slot) = session.answers.take(text.len()) {
                answering::deliver_to_parked(&services.context, session.outbox.clone(), given, slot);
            }
        }
    }
}
