//! Which handler serves which row of the method table, and how a message gets there. A row without a handler does
//! not start, and fails a test; a handler in another lane than its row's does not compile.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::value::RawValue;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::error::WireError;
use skein_protocol::ids::RequestId;
use skein_protocol::methods::{Initialize, METHODS};
use skein_protocol::table::{ClientNotification, Lane, Method};
use tokio::sync::OwnedSemaphorePermit;

use crate::connection::Connection;
use crate::outbox::reply::Reply;
use crate::policy;

pub mod errors;
#[cfg(test)]
mod tests;

/// One request to the disk, ready to run.
pub type StoreJob = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One request, before its params are read.
struct Request<'a> {
    connection: &'a Arc<Connection>,
    id: RequestId,
    params: Option<&'a RawValue>,
}

/// Answers at once.
type AtOnce<M> = fn(&Arc<Connection>, <M as Method>::Params) -> Result<<M as Method>::Response, WireError>;
/// Hands the reply on.
type HandOn<M> = fn(&Arc<Connection>, <M as Method>::Params, Reply<<M as Method>::Response>);

type Handle = Box<dyn for<'a> Fn(Request<'a>) + Send + Sync>;

struct Route {
    name: &'static str,
    lane: Lane,
    handle: Handle,
}

/// Method to handler.
#[derive(Default)]
pub struct Router {
    routes: HashMap<&'static str, Route>,
    heard: HashMap<&'static str, fn(&Arc<Connection>)>,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("routes", &self.routes.len()).finish()
    }
}

impl Router {
    /// Serves a row of the lane Inline: answered at once, from memory.
    pub fn inline<M: Method>(&mut self, handler: AtOnce<M>) {
        const { assert!(matches!(M::INFO.lane, Lane::Inline), "this row is of another lane") };
        self.add::<M>(Box::new(move |request| {
            let Request { connection, id, params: raw } = request;
            let reply = Reply::<M::Response>::new(connection.outbox.clone(), id, M::INFO.wire, None);
            let answer = envelope::params(raw).and_then(|params| handler(connection, params));
            reply.send(answer.map_err(|error| errors::About::of(raw).explain(error)));
        }));
    }

    /// Serves a row of the lane Inline whose handler answers by itself, in one step with what it looks at.
    pub fn in_step<M: Method>(&mut self, handler: HandOn<M>) {
        const { assert!(matches!(M::INFO.lane, Lane::Inline), "this row is of another lane") };
        self.uncounted::<M>(handler);
    }

    /// Serves a row of the lane Thread: the handler hands params and reply to the owner, and waits for nothing.
    pub fn thread<M: Method>(&mut self, handler: HandOn<M>) {
        const { assert!(matches!(M::INFO.lane, Lane::Thread), "this row is of another lane") };
        self.add::<M>(Box::new(move |request| {
            if let Some((connection, params, reply)) = admit::<M>(request) {
                handler(connection, params, reply);
            }
        }));
    }

    /// Serves a row of the lane Thread that counts against no cap, because it must get through.
    pub fn urgent<M: Method>(&mut self, handler: HandOn<M>) {
        const { assert!(matches!(M::INFO.lane, Lane::Thread), "this row is of another lane") };
        self.uncounted::<M>(handler);
    }

    fn uncounted<M: Method>(&mut self, handler: HandOn<M>) {
        self.add::<M>(Box::new(move |request| {
            let Request { connection, id, params } = request;
            let reply = Reply::new(connection.outbox.clone(), id, M::INFO.wire, None);
            match envelope::params(params) {
                Ok(params) => handler(connection, params, reply),
                Err(error) => reply.err(&error),
            }
        }));
    }

    /// Serves a row of the lane Store: in order with the connection's other requests of this lane, as many as may wait.
    pub fn store<M, F>(&mut self, handler: fn(Arc<Connection>, M::Params) -> F)
    where
        M: Method,
        F: Future<Output = Result<M::Response, WireError>> + Send + 'static,
    {
        const { assert!(matches!(M::INFO.lane, Lane::Store), "this row is of another lane") };
        self.add::<M>(Box::new(move |request| {
            let Request { connection, id, params } = request;
            let reply = Reply::<M::Response>::new(connection.outbox.clone(), id, M::INFO.wire, None);
            let Ok(place) = connection.store_jobs.try_reserve() else {
                connection.services.counters.overloaded.add_one();
                return reply.err(&errors::too_many_requests(policy::STORE_JOBS, policy::BUSY_RETRY));
            };
            let most = connection.services.config().limits.answer_bytes;
            let about = errors::About::of(params);
            let params = match envelope::params(params) {
                Ok(params) => params,
                Err(error) => return reply.err(&error),
            };
            let tasks = connection.services.tasks.clone();
            let (answer, pools) = (handler(Arc::clone(connection), params), tasks.clone());
            let job = async move {
                match answer.await {
                    Ok(response) => {
                        let too_large = move || errors::page_too_large(M::INFO.wire, &about, most);
                        reply.send_within(&pools, most, response, too_large).await;
                    }
                    Err(error) => reply.err(&about.explain(error)),
                }
            };
            // The lane takes the next request also after one that panics.
            place.send(Box::pin(async move {
                tasks.contain_async(M::INFO.wire, job).await.unwrap_or_default();
            }));
        }));
    }

    /// Serves a row of the lane Helper: a child task of the connection waits for the helper.
    pub fn helper<M, F>(&mut self, handler: fn(Arc<Connection>, M::Params) -> F)
    where
        M: Method,
        F: Future<Output = Result<M::Response, WireError>> + Send + 'static,
    {
        const { assert!(matches!(M::INFO.lane, Lane::Helper), "this row is of another lane") };
        self.add::<M>(Box::new(move |request| {
            if let Some((connection, params, reply)) = admit::<M>(request) {
                let ended = connection.ended.clone();
                let answer = handler(Arc::clone(connection), params);
                connection.services.tasks.spawn(format!("helper-lane/{}", M::INFO.wire), async move {
                    tokio::select! {
                        biased;
                        // Nobody is left to be answered.
                        () = ended.cancelled() => {}
                        answer = answer => reply.send(answer),
                    }
                });
            }
        }));
    }

    /// Hears a notification of clients.
    pub fn notification<N: ClientNotification>(&mut self, handler: fn(&Arc<Connection>)) {
        self.heard.insert(N::INFO.wire, handler);
    }

    /// Rows that nobody serves.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        METHODS.iter().map(|info| info.wire).filter(|wire| !self.routes.contains_key(wire)).collect()
    }

    /// Takes one message of a client.
    pub fn take(&self, connection: &Arc<Connection>, text: &str) {
        match envelope::parse(text) {
            Ok(Incoming::Request { id, method, params }) => self.request(connection, id, &method, params),
            Ok(Incoming::Notification { method, .. }) => {
                // Those that nobody knows are passed over, as the standard says.
                if let Some(handler) = self.heard.get(method.as_ref()) {
                    connection.services.tasks.contain("notification", || handler(connection));
                }
            }
            Ok(Incoming::Response { id, result }) => {
                answered(connection, &id, Ok(result.to_owned()));
            }
            Ok(Incoming::Error { id, error }) => {
                answered(connection, &id, Err(error));
            }
            Err(bad) => {
                let reply = envelope::error_reply(bad.id.as_ref(), &bad.error);
                connection.outbox.push(reply.into());
            }
        }
    }

    fn request(&self, connection: &Arc<Connection>, id: RequestId, method: &str, params: Option<&RawValue>) {
        let refuse = |error: WireError| {
            let reply = envelope::error_reply(Some(&id), &error.method(method));
            connection.outbox.push(reply.into());
        };
        let Some(route) = self.routes.get(method) else {
            return refuse(WireError::method_not_found(method));
        };
        if !connection.is_initialised() && method != Initialize::INFO.wire {
            return refuse(errors::not_initialised());
        }
        tracing::trace!(connection = connection.id().0, method, lane = ?route.lane, "request");
        // A handler that panics drops its reply, which answers with an error; the connection goes on.
        let work = || (route.handle)(Request { connection, id, params });
        connection.services.tasks.contain(route.name, work);
    }

    fn add<M: Method>(&mut self, handle: Handle) {
        let name = M::INFO.wire;
        self.routes.insert(name, Route { name, lane: M::INFO.lane, handle });
    }
}

type Admitted<'a, M> = (&'a Arc<Connection>, <M as Method>::Params, Reply<<M as Method>::Response>);

/// Lets a request of a lane that may take long in, while the connection has a place for it.
fn admit<M: Method>(request: Request<'_>) -> Option<Admitted<'_, M>> {
    let Request { connection, id, params } = request;
    let permit: Option<OwnedSemaphorePermit> = Arc::clone(&connection.in_flight).try_acquire_owned().ok();
    let admitted = permit.is_some();
    let reply = Reply::<M::Response>::new(connection.outbox.clone(), id, M::INFO.wire, permit);
    if !admitted {
        connection.services.counters.overloaded.add_one();
        let most = connection.services.config().limits.requests_in_flight;
        reply.err(&errors::too_many_requests(most, policy::BUSY_RETRY));
        return None;
    }
    match envelope::params(params) {
        Ok(params) => Some((connection, params, reply)),
        Err(error) => {
            reply.err(&error);
            None
        }
    }
}

/// Hands a client's answer to the thread whose question it is. Answers to nothing that is open are passed over:
/// another client was faster, or the turn has ended.
fn answered(connection: &Connection, id: &RequestId, answer: Result<Box<RawValue>, WireError>) {
    let RequestId::Integer(question) = id else { return };
    let services = &connection.services;
    let thread = services.questions.thread(*question);
    if let Some(handle) = thread.and_then(|thread| services.registry.handle(thread)) {
        handle.answer(connection.id(), *question, answer);
    }
}
