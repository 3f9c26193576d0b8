//! Observes the other servers: which of them live, what they announce, and which threads they have loaded.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use skein_base::clock::Clock;
use skein_postgres::standing::Neighbour;
use skein_protocol::event::ThreadStatusChangedNotification;
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::ThreadStatusChanged;
use skein_protocol::table::Recipients;
use skein_protocol::thread::ThreadStatus;
use skein_store::home::Term;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Links;
use super::dial::{self, LinkError, PeerSocket};
use super::frames::{self, HelloEnd, ObserverOpening, ObserverPlace, PeerAnswer};
use super::loaded::{LoadedByOthers, OtherThread};
use super::peers::{AskedPeer, UnansweredQuestions};
use crate::outbox::CloseReason;
use crate::policy;
use crate::thread::Context;
use crate::thread::catalog::RelayedChange;
use crate::thread::outgoing::Notice;
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
            let mut reported = None;
            loop {
                let ended = self.observe().await;
                let now = Clock.now();
                let since = self.links.note_cut_off(self.neighbour.node, now);
                let is_new = reported != Some(since) && now - since >= policy::LINK_REPORT;
                match ended {
                    Ok(()) => tracing::info!(name = self.neighbour.name, "another server has ended its link"),
                    Err(error) if is_new => {
                        reported = Some(since);
                        self.report(&error);
                    }
                    Err(error) => {
                        tracing::debug!(name = self.neighbour.name, %error, "another server is not observed");
                    }
                }
                self.forget();
                sleep(policy::LINK_RETRY).await;
            }
        };
        gone.run_until_cancelled(observing).await;
        self.forget();
        self.links.note_reached(self.neighbour.node);
    }

    /// Tells the operator of a server that lives and is not reached.
    fn report(&self, error: &LinkError) {
        let Neighbour { name, link, .. } = &self.neighbour;
        let address = link.as_ref().map(|link| link.address.as_str());
        let way_out =
            "look at its --cluster-listen and --cluster-advertise, and at the network between the two";
        tracing::warn!(name, address, %error, way_out, "another server is not reached");
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
        let epoch = opening.epoch.clone();
        self.take_opening(start, opening);
        self.links.see(&epoch, newest);
        self.follow(&mut socket, (&epoch, start), questions).await
    }

    fn take_opening(&self, start: Uuid, mut opening: ObserverOpening) {
        let missed = opening.missed.take();
        let node = self.neighbour.node;
        let loaded = self.links.loaded.set(node, &self.neighbour.name, threads_of(node, opening));
        self.close_listeners_of(loaded.iter().copied());
        let Some(missed) = missed else { return self.context.subscribers.forget_catalog() };
        for (number, change) in missed {
            // It may be unloaded there by now.
            self.close_listeners_of(LoadedByOthers::loaded_in(&change));
            self.announce(start, number, change);
        }
        for thread in loaded {
            self.announce_status(start, thread);
        }
    }

    /// Tells the clients of this server that a thread works at the other one: they may have listed it before that was known here.
    fn announce_status(&self, start: Uuid, thread: ThreadId) {
        let status = match self.links.loaded.status(thread) {
            Some(status @ (ThreadStatus::Active { .. } | ThreadStatus::SystemError)) => status,
            Some(ThreadStatus::Idle | ThreadStatus::NotLoaded) | None => return,
        };
        if self.context.registry.handle(thread).is_none() {
            let params = ThreadStatusChangedNotification { status, thread_id: thread, skein: None };
            let now = self.context.clock.wall();
            let notice = Notice::new::<ThreadStatusChanged>(Recipients::All, &params, now, None);
            self.context.subscribers.announce_here(thread, start, &notice.broadcast);
        }
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
                if !self.is_past(&change) {
                    self.close_listeners_of(self.links.loaded.take_in(self.neighbour.node, &change));
                }
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
        match self.is_past(&change) {
            true => self.context.subscribers.leave_out(from),
            false => self.context.subscribers.announce_relayed(from, change),
        }
    }

    /// Whether a later owner has the thread whose state this change says. The other server may have stood still, or its link.
    fn is_past(&self, change: &RelayedChange) -> bool {
        let own =
            self.context.registry.handle(change.thread).and_then(|handle| handle.seen(|seen| seen.term));
        self.links.loaded.is_past(self.neighbour.node, change, own)
    }
}

/// The threads of a server, as it has them at the opening of its link. One that was saved meanwhile is among both.
fn threads_of(node: Uuid, opening: ObserverOpening) -> impl Iterator<Item = (ThreadId, OtherThread)> {
    let ObserverOpening { new, loaded, terms, .. } = opening;
    let terms: HashMap<ThreadId, Term> = terms.into_iter().collect();
    let new = new.into_iter().map(|(thread, status)| (thread, status, false));
    let loaded = loaded.into_iter().map(|(thread, status)| (thread, status, true));
    new.chain(loaded).map(move |(thread, status, is_saved)| {
        (thread, OtherThread { node, status, is_saved, term: terms.get(&thread).copied() })
    })
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
