//! Observes the other servers: which of them live, what they announce, and which threads they have loaded.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use skein_base::clock::Clock;
use skein_postgres::standing::Neighbour;
use skein_protocol::ids::ThreadId;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Links;
use super::dial::{self, LinkError, PeerSocket};
use super::frames::{self, HelloEnd, ObserverOpening, ObserverPlace, PeerAnswer};
use super::loaded::LoadedByOthers;
use super::peers::{AskedPeer, UnansweredQuestions};
use crate::outbox::CloseReason;
use crate::policy;
use crate::thread::Context;
use crate::thread::catalog::RelayedChange;
use crate::thread::subscribers::RelayedNumber;

/// Observes every other server that lives, until `stop`.
pub(crate) async fn run(context: Arc<Context>, links: Arc<Links>, stop: CancellationToken) {
    let mut observed: HashMap<Uuid, (String, CancellationToken)> = HashMap::new();
    let mut known = Vec::new();
    // A server that was there before this one has announced much that nobody here misses.
    let mut is_newer = false;
    while let Some(members) = stop.run_until_cancelled(links.place.members_beside(&known)).await {
        let neighbours = match stop.run_until_cancelled(links.place.neighbours()).await {
            None => return,
            Some(Ok(neighbours)) => neighbours,
            Some(Err(error)) => {
                tracing::debug!(%error, "the other servers are not known");
                stop.run_until_cancelled(sleep(policy::LINK_RETRY)).await;
                continue;
            }
        };
        links.trust(&neighbours);
        context.subscribers.keep_links_of(&neighbours.iter().map(|it| it.node).collect());
        observed.retain(|node, (name, observer)| {
            let lives = neighbours.iter().any(|neighbour| neighbour.node == *node);
            if !lives {
                tracing::info!(%name, %node, "another server has ended, or was lost; its threads are anybody's");
                observer.cancel();
            }
            lives
        });
        for neighbour in neighbours.into_iter().filter(|neighbour| neighbour.link.is_some()) {
            observed.entry(neighbour.node).or_insert_with(|| {
                let (context, links) = (Arc::clone(&context), Arc::clone(&links));
                Observer { context, links, neighbour, is_newer }.start(stop.child_token())
            });
        }
        (known, is_newer) = (members, true);
    }
}

/// The observer of one server.
struct Observer {
    context: Arc<Context>,
    links: Arc<Links>,
    neighbour: Neighbour,
    /// Whether that server is newer than this one.
    is_newer: bool,
}

impl Observer {
    /// Begins, until the token is cancelled. Returns the server's name with it.
    fn start(self, gone: CancellationToken) -> (String, CancellationToken) {
        let (name, tasks) = (self.neighbour.name.clone(), self.context.tasks.clone());
        drop(tasks.spawn(format!("observer/{name}"), self.run(gone.clone())));
        (name, gone)
    }

    /// Observes until the server is gone. A link that breaks is opened again.
    async fn run(self, gone: CancellationToken) {
        let observing = async {
            self.links.note_cut_off(self.neighbour.node, Clock.now());
            loop {
                let name = &self.neighbour.name;
                match self.observe().await {
                    Ok(()) => tracing::info!(name, "another server has ended its link"),
                    Err(error) => tracing::debug!(name, %error, "another server is not observed"),
                }
                self.links.note_cut_off(self.neighbour.node, Clock.now());
                self.forget();
                sleep(policy::LINK_RETRY).await;
            }
        };
        gone.run_until_cancelled(observing).await;
        self.forget();
        self.links.note_reached(self.neighbour.node);
    }

    fn forget(&self) {
        self.links.questions.close(self.neighbour.node);
        self.links.loaded.forget(self.neighbour.node);
    }

    async fn observe(&self) -> Result<(), LinkError> {
        let seen = self.links.seen();
        let hello = HelloEnd::Observer(ObserverPlace { seen, from_start: self.is_newer });
        let (mut socket, first) = dial::dial(&self.links, &self.neighbour, hello).await?;
        let opened = frames::numbered::<ObserverOpening>(&first).map_err(std::io::Error::from)?;
        let (newest, Some(opening)) = opened else { return Err(LinkError::Ended) };
        let questions = self.links.questions.open(self.neighbour.node);
        tracing::info!(name = self.neighbour.name, "another server is observed");
        self.links.note_reached(self.neighbour.node);
        let start: Uuid = opening.epoch.parse().map_err(|_| LinkError::Ended)?;
        let with = |is_saved| move |(thread, status)| (thread, status, is_saved);
        // One that was saved meanwhile is among both.
        let threads =
            opening.new.into_iter().map(with(false)).chain(opening.loaded.into_iter().map(with(true)));
        let loaded = self.links.loaded.set(self.neighbour.node, &self.neighbour.name, threads);
        self.close_listeners_of(loaded);
        match opening.missed {
            Some(missed) => {
                for (number, change) in missed {
                    // It may be unloaded there by now.
                    self.close_listeners_of(LoadedByOthers::loaded_in(&change));
                    self.announce(start, number, change);
                }
            }
            None => self.context.subscribers.forget_catalog(),
        }
        self.links.see(&opening.epoch, newest);
        self.follow(&mut socket, (&opening.epoch, start), questions).await
    }

    /// Takes in what the other server announces and answers, and asks it these questions, until the link ends.
    async fn follow(
        &self,
        socket: &mut PeerSocket,
        (epoch, start): (&str, Uuid),
        mut questions: mpsc::Receiver<AskedPeer>,
    ) -> Result<(), LinkError> {
        let mut unanswered = UnansweredQuestions::default();
        let mut silent_at = Clock.now() + policy::OBSERVER_SILENCE;
        loop {
            let text = tokio::select! {
                text = next_text(socket, &mut silent_at) => text?,
                Some(asked) = questions.recv() => {
                    let text = asked.question.text();
                    unanswered.note(asked);
                    let sent = timeout_at(silent_at, socket.send(Message::text(text))).await;
                    sent.map_err(|_| LinkError::Late)??;
                    continue;
                }
            };
            let Some(text) = text else { return Ok(()) };
            if let Some(answer) = PeerAnswer::read(&text) {
                unanswered.take(answer);
                continue;
            }
            let (number, change) = frames::numbered::<RelayedChange>(&text).map_err(std::io::Error::from)?;
            if let Some(change) = change {
                self.close_listeners_of(self.links.loaded.take_in(self.neighbour.node, &change));
                self.announce(start, number, change);
            }
            self.links.see(epoch, number);
        }
    }

    /// Closes the clients of threads that this server had unloaded while they listened, and that the other one has loaded now: they come
    /// back, and get the events from there.
    fn close_listeners_of(&self, loaded: impl IntoIterator<Item = ThreadId>) {
        for thread in loaded {
            if self.context.registry.handle(thread).is_none() {
                self.context.subscribers.close_listeners(thread, CloseReason::OwnerLeft);
            }
        }
    }

    fn announce(&self, start: Uuid, number: u64, change: RelayedChange) {
        let from = RelayedNumber { start, number };
        self.context.subscribers.announce_relayed(from, change);
    }
}

/// The next message, or `None` at the end of the link, which is broken at this moment unless something comes before.
async fn next_text(socket: &mut PeerSocket, silent_at: &mut Instant) -> Result<Option<String>, LinkError> {
    loop {
        let frame = timeout_at(*silent_at, socket.next()).await.map_err(|_| LinkError::Late)?;
        *silent_at = Clock.now() + policy::OBSERVER_SILENCE;
        match frame {
            Some(Ok(Message::Text(text))) => return Ok(Some(text.as_str().to_owned())),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) | None => return Ok(None),
            Some(Err(error)) => return Err(error.into()),
        }
    }
}
