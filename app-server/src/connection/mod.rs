//! One websocket: its handshake, its reader and writer, its end. The reader hands messages to the router, the
//! writer empties the outbox; the first to end ends both, and whatever ends them, the connection leaves the
//! subscribers' map first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::ws::WebSocket;
use futures_util::StreamExt;
use skein_protocol::extension::SkeinHeartbeatNotification;
use skein_protocol::ids::ConnectionId;
use skein_protocol::notifications::SkeinHeartbeat;
use skein_protocol::server::ClientInfo;
use skein_protocol::table::Scope;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use self::heartbeat::Life;
use crate::app::App;
use crate::config::{Heartbeat, Limits};
use crate::outbox::{CloseReason, Outbox, OutboxLimits};
use crate::policy;
use crate::router::{Router, StoreJob};
use crate::thread::outgoing::Notice;

pub mod heartbeat;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

/// What requests of one connection share.
pub struct Connection {
    /// The server's parts.
    pub services: Arc<App>,
    /// What waits to be written.
    pub outbox: Outbox,
    /// Places for requests of the lanes that may take long.
    pub in_flight: Arc<Semaphore>,
    /// Ends with the connection, and with it what its requests wait for.
    pub ended: CancellationToken,
    /// The connection's requests to the disk: one after the other.
    pub store_jobs: mpsc::Sender<StoreJob>,
    /// When the client was last heard of.
    pub life: Arc<Life>,
    /// The client has asked for the heartbeat.
    pub wants_heartbeat: Notify,
    /// When it is asked for signs of life, and gets ours: what it is told at its beginning holds to its end.
    pub heartbeat: Heartbeat,
    client: OnceLock<ClientInfo>,
    initialised: AtomicBool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Connection {
    pub(crate) fn new(
        services: Arc<App>,
        outbox: Outbox,
        store_jobs: mpsc::Sender<StoreJob>,
        life: Arc<Life>,
    ) -> Self {
        Self {
            in_flight: Arc::new(Semaphore::new(services.config().limits.requests_in_flight)),
            outbox,
            ended: CancellationToken::new(),
            store_jobs,
            life,
            wants_heartbeat: Notify::new(),
            heartbeat: services.config().heartbeat,
            client: OnceLock::new(),
            initialised: AtomicBool::new(false),
            services,
        }
    }

    /// Its id, unique in this server's life.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.outbox.connection()
    }

    /// Who is connected, once it has said so.
    #[must_use]
    pub fn client(&self) -> Option<&ClientInfo> {
        self.client.get()
    }

    /// Notes who is connected. `false` when it was said before.
    pub fn introduce(&self, client: ClientInfo) -> bool {
        let first = self.client.set(client).is_ok();
        self.initialised.store(true, Ordering::Release);
        first
    }

    /// Whether `initialize` was answered.
    #[must_use]
    pub fn is_initialised(&self) -> bool {
        self.initialised.load(Ordering::Acquire)
    }
}

/// Ids of connections, and the tasks that serve them.
#[derive(Debug, Default)]
pub struct Connections {
    last: Mutex<u64>,
}

impl Connections {
    fn next_id(&self) -> ConnectionId {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        ConnectionId(*last)
    }

    /// Serves an accepted websocket until its end.
    pub async fn serve(&self, services: Arc<App>, router: Arc<Router>, socket: WebSocket, life: Arc<Life>) {
        let outbox = Outbox::new(self.next_id(), outbox_limits(&services.config().limits));
        life.takes_from(&outbox);
        let (store_jobs, jobs) = mpsc::channel(policy::STORE_JOBS);
        let connection = Connection::new(Arc::clone(&services), outbox.clone(), store_jobs, life);
        let connection = Arc::new(connection);
        services.subscribers.connect(outbox.clone());
        // From here on the connection is taken out of the map however this ends, also by a panic.
        let presence = Presence(Arc::clone(&connection));
        let lane = store_lane(jobs, connection.ended.clone(), outbox.clone());
        let lane = services.tasks.spawn(format!("store-lane/{}", connection.id().0), lane);
        talk(socket, &connection, router, presence).await;
        if outbox.closed() == Some(CloseReason::SlowClient) {
            services.counters.slow_clients.add_one();
        }
        drop(connection);
        // The lane ends with the token; a panic in it was logged.
        lane.await.ok();
    }
}

fn outbox_limits(limits: &Limits) -> OutboxLimits {
    OutboxLimits {
        waiting_bytes: limits.outbox_bytes,
        // The largest message of a user comes back as the start and the end of an item, beside an answer.
        most_bytes: limits.outbox_bytes + 2 * limits.message_bytes + limits.answer_bytes,
        pause_bytes: limits.outbox_bytes / 2,
        merge_bytes: limits.outbox_bytes / policy::OUTBOX_MERGE_PART,
    }
}

/// Reads and writes until one of both has ended. The client is gone from the subscribers before its last words.
async fn talk(socket: WebSocket, connection: &Arc<Connection>, router: Arc<Router>, presence: Presence) {
    let (sink, stream) = socket.split();
    let reader = reader::run(stream, &connection.outbox, |text| router.take(connection, text));
    let watch = watch(connection);
    let mut writer = std::pin::pin!(writer::run(sink, connection.outbox.clone()));
    tokio::select! {
        reason = async { tokio::select! { reason = reader => reason, reason = watch => reason } } => {
            connection.outbox.close(reason);
            drop(presence);
            // What the client is still owed, and the close frame.
            tokio::time::timeout(policy::CLOSE_WRITE, writer).await.ok();
        }
        () = &mut writer => {
            // Whoever waits for room waits no longer.
            connection.outbox.close(CloseReason::ClientLeft);
            drop(presence);
        }
    }
}

/// Waits until the client is given up as dead; tells it meanwhile that the server is not.
async fn watch(connection: &Connection) -> CloseReason {
    let services = &connection.services;
    let beat = || {
        let at = services.clock.wall();
        let params = SkeinHeartbeatNotification { at: at.0 };
        let notice = Notice::new::<SkeinHeartbeat>(Scope::All, &params, at, None);
        services.subscribers.publish_to(connection.id(), &notice.broadcast);
    };
    let Connection { life, outbox, wants_heartbeat, heartbeat, .. } = connection;
    let reason =
        heartbeat::watch(life, outbox, (*heartbeat, services.rounds_since), wants_heartbeat, beat).await;
    tracing::info!(connection = connection.id().0, ?reason, "a client's connection is given up");
    reason
}

/// Runs the connection's requests to the disk, one after the other, each when the client has taken the answers before it.
async fn store_lane(mut jobs: mpsc::Receiver<StoreJob>, ended: CancellationToken, outbox: Outbox) {
    loop {
        let job = tokio::select! {
            biased;
            () = ended.cancelled() => return,
            job = jobs.recv() => job,
        };
        let Some(job) = job else { return };
        let answer = async {
            outbox.room().await;
            job.await;
        };
        tokio::select! {
            biased;
            () = ended.cancelled() => return,
            () = answer => {}
        }
    }
}

/// The connection's place in the subscribers' map. Its end wakes the owners that were listened to.
struct Presence(Arc<Connection>);

impl Drop for Presence {
    fn drop(&mut self) {
        let Connection { services, ended, .. } = self.0.as_ref();
        let left = services.subscribers.disconnect(self.0.id());
        ended.cancel();
        for thread in left {
            services.registry.wake(thread);
        }
        services.freed.note();
    }
}
