//! One websocket: handshake, reader, writer and end. The reader hands messages to the router; the writer empties the
//! outbox; the first to end ends both. At any end the connection first leaves the map of subscribers.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use futures_util::StreamExt;
use skein_config::access::{Admission, AdmittedConnection, CredentialEnd, Door};
use skein_config::{Heartbeat, Limits, LocalPrograms, ServerConfig};
use skein_protocol::extension::SkeinHeartbeatNotification;
use skein_protocol::ids::ConnectionId;
use skein_protocol::notifications::SkeinHeartbeat;
use skein_protocol::table::Recipients;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::heartbeat::{ClientLiveness, Pings};
use crate::app::App;
use crate::links::frames::{HelloEnd, LinkHello};
use crate::outbox::{CloseReason, Outbox, OutboxLimits};
use crate::policy;
use crate::router::session::ClientSession;
use crate::router::{Router, StoreJob};
use crate::thread::outgoing::Notice;

pub(crate) mod heartbeat;
mod links;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

/// The times of the link of an observer.
const OBSERVER_TIMES: Heartbeat = Heartbeat {
    ping: policy::OBSERVER_PING,
    dead_after: policy::OBSERVER_SILENCE,
    heartbeat: policy::OBSERVER_SILENCE,
};

/// Numbers connections, and starts the tasks that serve them.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    last: Mutex<u64>,
}

impl Connections {
    fn next_id(&self) -> ConnectionId {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        ConnectionId(*last)
    }

    /// Serves a websocket that was admitted until its end. Returns the task of its requests to the disk, which is about to end.
    pub(crate) async fn serve(
        &self,
        services: Arc<App>,
        router: Arc<Router>,
        socket: Box<WebSocket>,
        life: Arc<ClientLiveness>,
        admission: Arc<Admission>,
    ) -> JoinHandle<()> {
        let began = services.clock.now();
        let (outbox, (store_jobs, jobs)) = (self.outbox(&services, &life), mpsc::channel(policy::STORE_JOBS));
        let session = ClientSession::new(Arc::clone(&services), outbox.clone(), store_jobs, admission);
        let session = Arc::new(session);
        services.subscribers.connect(outbox.clone());
        // From here on any end, even a panic, removes the connection from the map.
        let admitted = services.admitted.count(session.admission());
        let presence = Presence { session: Arc::clone(&session), _admitted: Some(admitted) };
        let lane = start_store_lane(&session, jobs);
        let take = |text: &str| router.take(&session, text);
        exchange(socket, &session.outbox, take, pin!(watch(&session, &life)), presence).await;
        if outbox.closed() == Some(CloseReason::SlowClient) {
            services.counters.slow_clients.add_one();
        }
        log_end(&session, began);
        drop(session);
        lane
    }

    /// Serves a link of another server until its end, as a connection of the client that it is for. That server watches over the
    /// rights of the client, and sends it heartbeats.
    pub(crate) async fn serve_link(
        &self,
        services: Arc<App>,
        router: Arc<Router>,
        socket: Box<WebSocket>,
        life: Arc<ClientLiveness>,
        hello: LinkHello,
    ) {
        let limits = OutboxLimits::of(&services.config().limits);
        let outbox = Outbox::of_link(self.next_id(), limits);
        life.takes_from(&outbox);
        let (store_jobs, jobs) = mpsc::channel(policy::STORE_JOBS);
        let node = hello.node;
        let (admission, times) = match &hello.end {
            // A client that is slow keeps its server from reading, and so from answering pings.
            HelloEnd::Client(client) => {
                let times = services.config().heartbeat;
                let dead_after = times.dead_after.max(policy::LINK_SILENCE);
                (client.admission.clone(), Heartbeat { ping: policy::LINK_PING, dead_after, ..times })
            }
            HelloEnd::Observer(_) => (Admission::of_observer(), OBSERVER_TIMES),
        };
        let session = ClientSession::linked(Arc::clone(&services), outbox.clone(), store_jobs, admission);
        let session = Arc::new(session);
        services.subscribers.connect_link(outbox.clone(), node);
        let presence = Presence { session: Arc::clone(&session), _admitted: None };
        let lane = start_store_lane(&session, jobs);
        let is_observer = matches!(hello.end, HelloEnd::Observer(_));
        links::introduce(&session, hello.end);
        let take = |text: &str| match is_observer {
            true => links::take_question(&session, text),
            false => router.take(&session, text),
        };
        exchange(
            socket,
            &session.outbox,
            take,
            pin!(silence(&session, &life, (times, Pings::Steady))),
            presence,
        )
        .await;
        if outbox.closed() == Some(CloseReason::SlowClient) {
            services.counters.slow_clients.add_one();
        }
        drop(session);
        // A panic in it was logged.
        lane.await.ok();
    }

    fn outbox(&self, services: &App, life: &ClientLiveness) -> Outbox {
        let outbox = Outbox::new(self.next_id(), OutboxLimits::of(&services.config().limits));
        life.takes_from(&outbox);
        outbox
    }
}

fn start_store_lane(session: &ClientSession, jobs: mpsc::Receiver<StoreJob>) -> JoinHandle<()> {
    let lane = store_lane(jobs, session.ended.clone(), session.outbox.clone());
    session.app.tasks.spawn_dedicated(format!("store-lane/{}", session.id().0), lane)
}

/// The access line of a connection, at its end.
fn log_end(session: &ClientSession, began: Instant) {
    let Admission { door, identity, access, origin, .. } = session.admission();
    let reason = session.outbox.closed();
    let code = reason.and_then(CloseReason::frame).map(|(code, _)| code);
    let origin = origin.as_ref().map(tracing::field::display);
    let reason = reason.map(tracing::field::debug);
    let seconds = session.app.clock.now().saturating_duration_since(began).as_secs_f64();
    let connection = session.id().0;
    tracing::info!(connection, who = %identity, %door, origin, scope = %access, seconds, reason, code, "a connection has ended");
}

/// Sets the sizes of a websocket: a client's messages and frames, and the read buffer.
pub(crate) fn sized(upgrade: WebSocketUpgrade, limits: &Limits) -> WebSocketUpgrade {
    let most = limits.message_bytes;
    upgrade.max_message_size(most).max_frame_size(most).read_buffer_size(policy::READ_BUFFER)
}

/// Reads and writes until either ends, or `watch` gives a reason to end. Gives each message to `take`.
///
/// The socket is boxed and the futures are pinned: a value that is moved into a future takes its room twice.
async fn exchange<P>(
    socket: Box<WebSocket>,
    outbox: &Outbox,
    take: impl Fn(&str),
    watch: Pin<&mut impl Future<Output = CloseReason>>,
    presence: P,
) {
    let (sink, stream) = socket.split();
    let reader = pin!(reader::run(stream, outbox, take));
    let writer = pin!(writer::run(sink, outbox.clone()));
    until_the_first_end((reader, watch), writer, outbox, presence).await;
}

/// Runs until one of these ends. The client is no longer a subscriber, which is the end of `presence`, when its last
/// messages are written.
async fn until_the_first_end<P>(
    (reader, watch): (
        Pin<&mut impl Future<Output = CloseReason>>,
        Pin<&mut impl Future<Output = CloseReason>>,
    ),
    mut writer: Pin<&mut impl Future<Output = ()>>,
    outbox: &Outbox,
    presence: P,
) {
    tokio::select! {
        reason = async { tokio::select! { reason = reader => reason, reason = watch => reason } } => {
            outbox.close(reason);
            drop(presence);
            // The remaining messages, and the close frame.
            tokio::time::timeout(policy::CLOSE_WRITE, writer).await.ok();
        }
        () = &mut writer => {
            // Ends all waits for room.
            outbox.close(CloseReason::ClientLeft);
            drop(presence);
        }
    }
}

/// Waits until the client counts as dead, or loses its right to be here; sends heartbeats meanwhile.
async fn watch(session: &ClientSession, life: &ClientLiveness) -> CloseReason {
    tokio::select! {
        reason = silence(session, life, (session.heartbeat, Pings::AfterSilence)) => reason,
        reason = loss_of_right(&session.app, session.admission()) => {
            tracing::info!(connection = session.id().0, ?reason, "a client's connection is closed");
            reason
        }
    }
}

/// Waits until the credential of a connection ends, or the settings no longer allow its page, want a credential that
/// it does not have, or ask for its user now.
async fn loss_of_right(services: &App, admission: &Admission) -> CloseReason {
    let credential = async {
        match admission.credential() {
            Some(id) => services.credentials.ended(id).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        end = credential => match end {
            CredentialEnd::Revoked => CloseReason::Revoked,
            CredentialEnd::Expired => CloseReason::Expired,
        },
        reason = services.settings.until_some(|config| lost_by_settings(config, admission)) => reason,
    }
}

/// Why the settings do not let a connection stay, if they do not.
fn lost_by_settings(config: &ServerConfig, admission: &Admission) -> Option<CloseReason> {
    let page = admission.origin.as_ref().filter(|_| !admission.is_own_page);
    let is_program = admission.door != Door::Unix && admission.credential().is_none();
    if page.is_some_and(|origin| !config.browser.allows(origin)) {
        Some(CloseReason::OriginRemoved)
    } else if is_program && config.auth.local == LocalPrograms::Token {
        Some(CloseReason::TokenNeeded)
    } else if admission.is_user_unasked && config.auth.local != LocalPrograms::Any {
        Some(CloseReason::UserUnasked)
    } else {
        None
    }
}

/// Waits until the client counts as dead; sends heartbeats meanwhile.
async fn silence(
    session: &ClientSession,
    life: &ClientLiveness,
    (times, pings): (Heartbeat, Pings),
) -> CloseReason {
    let services = &session.app;
    let beat = || {
        let at = services.clock.wall();
        let params = SkeinHeartbeatNotification { at: at.0 };
        let notice = Notice::new::<SkeinHeartbeat>(Recipients::All, &params, at, None);
        services.subscribers.publish_to(session.id(), &notice.broadcast);
    };
    let ClientSession { outbox, wants_heartbeat, .. } = session;
    let times = (times, pings, services.rounds_since);
    let reason = heartbeat::watch(life, outbox, times, wants_heartbeat, beat).await;
    tracing::info!(connection = session.id().0, ?reason, "a client's connection is given up");
    reason
}

/// Runs the connection's disk requests one after the other, each once the client has taken the earlier answers.
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

/// The connection's entry in the map of subscribers. Its end wakes the owners of subscribed threads.
struct Presence {
    session: Arc<ClientSession>,
    _admitted: Option<AdmittedConnection>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let ClientSession { app: services, ended, .. } = self.session.as_ref();
        let left = services.subscribers.disconnect(self.session.id());
        ended.cancel();
        for thread in left {
            services.registry.wake(thread);
        }
        services.freed.note();
    }
}
