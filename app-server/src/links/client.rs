//! The link of one client to the server that has a thread of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::value::RawValue;
use skein_base::clock::Clock;
use skein_postgres::standing::Neighbour;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::error::WireError;
use skein_protocol::ids::RequestId;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes as FrameText};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Links;
use super::dial::{self, LinkError, PeerSocket};
use super::frames::{self, HelloEnd, LinkedClient};
use crate::outbox::{CloseReason, Outbox};
use crate::policy;
use crate::thread::Context;
use crate::thread::catalog::RelayedChange;
use crate::thread::subscribers::RelayedNumber;

/// The beginning of a frame that answers a request of this server itself.
const OWN_ANSWER: &str = "{\"id\":\"skein-link-";

/// An answer to a request of this server.
type OwnAnswer = Result<Box<RawValue>, WireError>;

/// An open link.
#[derive(Debug, Clone)]
pub(crate) struct ClientLink {
    id: Uuid,
    frames: mpsc::Sender<LinkFrame>,
    asked: Arc<OwnRequests>,
}

/// A frame that waits for the socket.
#[derive(Debug)]
struct LinkFrame {
    text: String,
    /// The slots of a request, so that those that wait hold a bounded number of bytes.
    _slot: Option<OwnedSemaphorePermit>,
}

/// The requests of this server itself, by their ids.
#[derive(Debug, Default)]
struct OwnRequests(Mutex<HashMap<RequestId, oneshot::Sender<OwnAnswer>>>);

/// The server's end of a client's connection.
#[derive(Clone)]
pub(crate) struct LinkedEnd {
    pub(crate) outbox: Outbox,
    /// Is cancelled when the client's connection ends.
    pub(crate) ended: CancellationToken,
    pub(crate) user: Arc<dyn LinkUser>,
}

/// Knows the client's threads at other servers.
pub(crate) trait LinkUser: Send + Sync {
    /// Takes a frame of a thread's server. Returns the frames for the client, and those for that server.
    fn take(&self, link: Uuid, frame: FrameText) -> (Vec<Utf8Bytes>, Vec<String>);

    /// Notes an announcement that has come by a link.
    fn announced(&self, change: &RelayedChange);

    /// A link has ended, after this time, and the client is there.
    fn ended(&self, link: Uuid, lived: Duration);
}

impl Links {
    /// Opens a link for a client. It ends with the client's connection. If it breaks before, its user learns of it.
    ///
    /// # Errors
    /// The other server does not take it now.
    pub(crate) async fn open(
        &self,
        context: &Arc<Context>,
        to: &Neighbour,
        (client, end): (LinkedClient, LinkedEnd),
    ) -> Result<ClientLink, LinkError> {
        let (socket, first) = dial::dial(self, to, HelloEnd::Client(Box::new(client))).await?;
        let (number, start) = frames::numbered::<Uuid>(&first).map_err(std::io::Error::from)?;
        let start = start.ok_or(LinkError::Ended)?;
        let id = Clock.new_id();
        context.subscribers.begin_link(end.outbox.connection(), id, RelayedNumber { start, number });
        let (frames, waiting) = mpsc::channel(policy::LINK_FRAMES);
        let link = ClientLink { id, frames, asked: Arc::default() };
        let open = OpenLink { context: Arc::clone(context), start, link: link.clone(), end };
        let (name, node, place) = (to.name.clone(), to.node, self.place.clone());
        context.tasks.spawn(format!("link/{name}"), async move {
            // Its threads are anybody's from then on, also if it only stands still and its sockets stay open.
            open.run(socket, waiting, (&name, place.until_dead(node))).await;
        });
        Ok(link)
    }
}

impl ClientLink {
    /// Its id, unique among all links.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Sends a frame of the client. Waits while the other server does not read. Returns `false` if the link is broken.
    pub(crate) async fn send(&self, text: String) -> bool {
        self.send_request(text, None).await
    }

    /// Like [`ClientLink::send`], for a request that keeps its slots until it is written.
    pub(crate) async fn send_request(&self, text: String, slot: Option<OwnedSemaphorePermit>) -> bool {
        self.frames.send(LinkFrame { text, _slot: slot }).await.is_ok()
    }

    /// Whether it is broken.
    pub(crate) fn is_broken(&self) -> bool {
        self.frames.is_closed()
    }

    /// Asks the other server in the name of the client. `None` if the link breaks, or no answer comes in this time.
    pub(crate) async fn ask(&self, method: &str, params: &RawValue, limit: Duration) -> Option<OwnAnswer> {
        let id = format!("skein-link-{}", Clock.new_id());
        let (answer, answered) = oneshot::channel();
        self.asked.note(RequestId::String(id.clone()), answer);
        let request = serde_json::json!({ "id": id, "method": method, "params": params });
        let asked = async {
            if !self.send(request.to_string()).await {
                return None;
            }
            tokio::select! {
                answer = answered => answer.ok(),
                () = self.frames.closed() => None,
            }
        };
        timeout(limit, asked).await.ok()?
    }
}

impl OwnRequests {
    fn note(&self, id: RequestId, answer: oneshot::Sender<OwnAnswer>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
    }

    /// Takes the answer to a request of this server. Returns whether it is one.
    fn take(&self, text: &str) -> bool {
        let (id, answer) = match envelope::parse(text) {
            Ok(Incoming::Response { id, result }) => (id, Ok(result.to_owned())),
            Ok(Incoming::Error { id, error }) => (id, Err(error)),
            Ok(Incoming::Request { .. } | Incoming::Notification { .. }) | Err(_) => return false,
        };
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        // The asker may be gone.
        asked.map(|asked| asked.send(answer).ok()).is_some()
    }
}

/// The parts of an open link's task.
struct OpenLink {
    context: Arc<Context>,
    /// The start of the other server.
    start: Uuid,
    link: ClientLink,
    end: LinkedEnd,
}

impl OpenLink {
    async fn run(
        self,
        socket: PeerSocket,
        waiting: mpsc::Receiver<LinkFrame>,
        (name, is_dead): (&str, impl Future<Output = ()>),
    ) {
        let (mut sink, stream) = socket.split();
        let (connection, began) = (self.end.outbox.connection().0, Clock.now());
        let is_broken = tokio::select! {
            biased;
            () = self.end.ended.cancelled() => false,
            () = is_dead => true,
            () = self.read(stream) => true,
            () = write(&mut sink, waiting) => true,
        };
        if is_broken {
            tracing::info!(connection, name, "the link of a client to another server has ended");
            self.context.subscribers.end_link(self.end.outbox.connection(), (self.link.id, self.start));
            self.end.user.ended(self.link.id, Clock.now().saturating_duration_since(began));
        }
        // The other server notices the end of the socket as well.
        timeout(policy::CLOSE_WRITE, sink.close()).await.ok();
    }

    /// Passes frames on until the link ends.
    async fn read(&self, mut stream: SplitStream<PeerSocket>) {
        while let Ok(Some(Ok(message))) = timeout(policy::LINK_SILENCE, stream.next()).await {
            match message {
                Message::Text(text) => self.take(text).await,
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
                Message::Close(frame) => {
                    let reason = frame.as_ref().map(|frame| (u16::from(frame.code), frame.reason.as_str()));
                    if reason == CloseReason::SlowClient.frame() {
                        self.end.outbox.close(CloseReason::SlowClient);
                    }
                    return;
                }
            }
        }
    }

    async fn take(&self, frame: FrameText) {
        if frames::is_for_server(&frame) {
            match frames::numbered::<RelayedChange>(&frame) {
                Ok((number, change)) => {
                    let from = RelayedNumber { start: self.start, number };
                    let connection = self.end.outbox.connection();
                    let is_new = self.context.subscribers.pass_on(connection, from, change.clone());
                    if let Some(change) = change.filter(|_| is_new) {
                        self.end.user.announced(&change);
                    }
                }
                Err(error) => tracing::warn!(%error, "a message of another server cannot be read"),
            }
        } else if !frame.starts_with(OWN_ANSWER) || !self.link.asked.take(&frame) {
            // Not read further meanwhile, so the other server stops sending.
            self.end.outbox.room_for_link().await;
            let (to_client, to_owner) = self.end.user.take(self.link.id, frame);
            to_client.into_iter().for_each(|frame| self.end.outbox.push(frame));
            for frame in to_owner {
                self.link.send(frame).await;
            }
        }
    }
}

async fn write(sink: &mut SplitSink<PeerSocket, Message>, mut waiting: mpsc::Receiver<LinkFrame>) {
    while let Some(LinkFrame { text, _slot }) = waiting.recv().await {
        if sink.feed(Message::text(text)).await.is_err() {
            return;
        }
        if waiting.is_empty() && sink.flush().await.is_err() {
            return;
        }
    }
    // The client's connection keeps a sender, and its end comes another way.
    std::future::pending::<()>().await;
}
