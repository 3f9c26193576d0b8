//! The state that one client's requests share, from the start of its connection to the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use skein_config::Heartbeat;
use skein_config::access::Admission;
use skein_protocol::access::Access;
use skein_protocol::ids::ConnectionId;
use skein_protocol::server::ClientInfo;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::StoreJob;
use super::slots::RequestSlots;
use crate::app::App;
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
    /// The decision that let the connection in.
    admission: Arc<Admission>,
    client: OnceLock<ClientInfo>,
    initialised: AtomicBool,
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
            store_slots: RequestSlots::new(policy::STORE_JOBS, limits.message_bytes),
            outbox,
            ended: CancellationToken::new(),
            store_jobs,
            wants_heartbeat: Notify::new(),
            heartbeat: app.config().heartbeat,
            looks: Semaphore::new(1),
            admission: admission.into(),
            client: OnceLock::new(),
            initialised: AtomicBool::new(false),
            app,
        }
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
        self.client.get()
    }

    /// Keeps the client's name and version. Returns `false` if `initialize` has set them before.
    pub(crate) fn introduce(&self, client: ClientInfo) -> bool {
        let first = self.client.set(client).is_ok();
        self.initialised.store(true, Ordering::Release);
        first
    }

    /// Whether `initialize` was answered.
    pub(crate) fn is_initialised(&self) -> bool {
        self.initialised.load(Ordering::Acquire)
    }
}
