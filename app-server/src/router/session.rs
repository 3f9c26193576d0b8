//! The state that one client's requests share, from the start of its connection to the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use skein_config::Heartbeat;
use skein_config::access::Admission;
use skein_protocol::access::Access;
use skein_protocol::ids::ConnectionId;
use skein_protocol::server::{ClientInfo, InitializeParams};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::StoreJob;
use super::routing::Routing;
use super::slots::RequestSlots;
use crate::app::App;
use crate::links::client::ClientLink;
use crate::outbox::Outbox;
use crate::policy;

/// One client's session. A connection makes it, and each handler gets it with the params of a request.
pub(crate) struct ClientSession {
    /// The server's parts.
    pub(crate) app: Arc<App>,
    /// The messages that wait to be written to the client.
    pub(crate) outbox: Outbox,
    /// Limits the requests in flight of the lanes that may take long.
    pub(crate) in_flight: RequestSlots,
    /// Limits the answers under way to questions that wait elsewhere. Requests take none of their slots, as an answer that finds none is
    /// lost: a client that sends more of them than it may have requests in flight answers no questions of ours.
    pub(super) answers: RequestSlots,
    /// Limits the bytes of requests to the disk.
    pub(super) store_slots: RequestSlots,
    /// Is cancelled when the connection ends, and cancels the work of its requests.
    pub(crate) ended: CancellationToken,
    /// Queues the client's requests to the disk, which run one after the other.
    pub(crate) store_jobs: mpsc::Sender<StoreJob>,
    /// Wakes the connection when the client asks for heartbeats.
    pub(crate) wants_heartbeat: Notify,
    /// The heartbeat settings from the start of the connection. A later change of the settings leaves them as they are.
    pub(crate) heartbeat: Heartbeat,
    /// One permit for a look at the paths of a request.
    pub(super) looks: Semaphore,
    /// One permit for a look at the folder of a thread.
    pub(crate) folder_looks: Arc<Semaphore>,
    /// The decision that let the connection in.
    admission: Arc<Admission>,
    introduction: OnceLock<InitializeParams>,
    initialised: AtomicBool,
    /// The ways to other servers; none for a server alone, and for a client of another server.
    pub(super) routing: Option<Routing>,
}

impl std::fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientSession").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl ClientSession {
    /// The session of a client that has not sent `initialize` yet.
    pub(crate) fn new(
        app: Arc<App>,
        outbox: Outbox,
        store_jobs: mpsc::Sender<StoreJob>,
        admission: impl Into<Arc<Admission>>,
    ) -> Self {
        let limits = app.config().limits;
        Self {
            in_flight: RequestSlots::new(limits.requests_in_flight, limits.message_bytes),
            answers: RequestSlots::new(limits.requests_in_flight, limits.message_bytes),
            store_slots: RequestSlots::new(policy::STORE_JOBS, limits.message_bytes),
            outbox,
            ended: CancellationToken::new(),
            store_jobs,
            wants_heartbeat: Notify::new(),
            heartbeat: app.config().heartbeat,
            looks: Semaphore::new(1),
            folder_looks: Arc::new(Semaphore::new(1)),
            admission: admission.into(),
            introduction: OnceLock::new(),
            initialised: AtomicBool::new(false),
            routing: app.links.as_ref().map(|links| Routing::new(links, limits)),
            app,
        }
    }

    /// The session of a client of another server, which sends only what this one has to answer.
    pub(crate) fn linked(
        app: Arc<App>,
        outbox: Outbox,
        store_jobs: mpsc::Sender<StoreJob>,
        admission: Admission,
    ) -> Self {
        Self { routing: None, ..Self::new(app, outbox, store_jobs, admission) }
    }

    /// The id of the connection, unique in this server's life.
    pub(crate) fn id(&self) -> ConnectionId {
        self.outbox.connection()
    }

    /// The access of the connection, which does not change during its life.
    pub(crate) fn access(&self) -> Access {
        self.admission.access
    }

    /// The decision that let the connection in.
    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The client's name and version; `None` before `initialize`.
    pub(crate) fn client(&self) -> Option<&ClientInfo> {
        self.introduction.get().map(|introduction| &introduction.client_info)
    }

    /// The params of `initialize`; `None` before it.
    pub(crate) fn introduction(&self) -> Option<&InitializeParams> {
        self.introduction.get()
    }

    /// Keeps the params of `initialize`. Returns `false` if an earlier one has set them.
    pub(crate) fn introduce(&self, introduction: InitializeParams) -> bool {
        let first = self.introduction.set(introduction).is_ok();
        self.initialised.store(true, Ordering::Release);
        first
    }

    /// The links to servers that may have threads of the client, which leaves them.
    pub(crate) fn leave_others(&self) -> Vec<ClientLink> {
        if let Some(routing) = &self.routing {
            let refusals = routing.leave();
            super::continuation::give(self, refusals);
            super::continuation::note_followed(self, routing);
        }
        self.links()
    }

    /// The links to servers that may have threads of the client.
    pub(super) fn links(&self) -> Vec<ClientLink> {
        self.routing.as_ref().map(Routing::open).unwrap_or_default()
    }

    /// Whether `initialize` was answered.
    pub(crate) fn is_initialised(&self) -> bool {
        self.initialised.load(Ordering::Acquire)
    }
}
