//! Restarts of a service whose socket systemd keeps: no client is refused, and none loses a message that was acknowledged.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use nix::sys::signal::Signal;
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::process::wait_until;
use skein_integration_tests::requests::{turn_params, user_text};
use skein_protocol::error::WireError;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadRead, ThreadStart, TurnStart};
use skein_protocol::notifications::{
    SkeinStopping, ThreadReadStateChanged, ThreadStarted, ThreadStatusChanged,
};
use skein_protocol::table::Notification as _;
use skein_protocol::thread::{ThreadReadParams, ThreadStartParams};

use super::systemd::{Unit, ended, nobody_left, signal};

/// A number of the environment, for longer runs.
fn number(name: &str, usual: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
        Err(_) => Ok(usual),
    }
}

/// Whether a request failed because the service stops: the connection has ended, or the answer says so.
fn is_of_stop(client: &Client, error: &anyhow::Error) -> bool {
    let refused = error.chain().find_map(|cause| cause.downcast_ref::<WireError>());
    // A message that is sent behind the server's close frame, which this client has not read yet.
    let cut = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    let mut cut =
        cut.filter(|io| [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset].contains(&io.kind()));
    client.end().is_some()
        || cut.next().is_some()
        || refused.is_some_and(|error| error.reason() == "serverStops")
}

/// The announcements of all threads to all clients: with a thousand of them, reading these would be all that a client does.
const OF_OTHERS: [&str; 3] =
    [ThreadStarted::INFO.wire, ThreadStatusChanged::INFO.wire, ThreadReadStateChanged::INFO.wire];

/// The clients of one test, as they see the service.
struct Crowd {
    address: String,
    /// Messages that were acknowledged.
    acknowledged: AtomicUsize,
    /// Connections that ended before their handshake.
    cut: AtomicUsize,
    enough: AtomicBool,
}

impl Crowd {
    /// Connects, through any number of restarts. A refused connection is an error.
    async fn connect(&self) -> Result<Client> {
        loop {
            let error = match Client::numbered_without(&self.address, &OF_OTHERS).await {
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            let refused = |cause: &(dyn std::error::Error + 'static)| {
                cause
                    .downcast_ref::<io::Error>()
                    .is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
            };
            ensure!(!error.chain().any(refused), "refused: {error:#}");
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A thread of this client's own, which has a first message.
    async fn thread(&self) -> Result<(Client, ThreadId)> {
        loop {
            let mut client = self.connect().await?;
            let Ok(started) = client.call::<ThreadStart>(ThreadStartParams::default()).await else {
                continue;
            };
            let id = started.thread.id;
            if client.call::<TurnStart>(turn_params(id, "first")).await.is_ok() {
                return Ok((client, id));
            }
        }
    }

    /// Sends messages until it is enough. Returns the thread and those that were acknowledged.
    async fn chat(self: Arc<Self>, number: usize) -> Result<(ThreadId, Vec<String>)> {
        let (mut client, thread) = self.thread().await?;
        let mut acknowledged = Vec::new();
        for count in 0.. {
            if self.enough.load(Ordering::Relaxed) {
                break;
            }
            let text = format!("message {count} of {number}");
            match client.call::<TurnStart>(turn_params(thread, &text)).await {
                Ok(started) => {
                    acknowledged.push(text);
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    if client.turn_end(&started.turn.id).await.is_ok() {
                        continue;
                    }
                }
                Err(error) if !is_of_stop(&client, &error) => {
                    return Err(error.context(format!("client {number}")));
                }
                Err(_) => {}
            }
            client = self.come_back(thread).await?;
        }
        Ok((thread, acknowledged))
    }

    async fn come_back(&self, thread: ThreadId) -> Result<Client> {
        loop {
            let mut client = self.connect().await?;
            match client.resume(thread).await {
                Ok(_) => return Ok(client),
                Err(error) if !is_of_stop(&client, &error) => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Waits for this many more acknowledged messages, however slow the machine is, while there is another one in time.
    async fn goes_on(&self, more: usize) -> Result<()> {
        let wanted = self.acknowledged.load(Ordering::Relaxed) + more;
        loop {
            let seen = self.acknowledged.load(Ordering::Relaxed);
            if seen >= wanted {
                return Ok(());
            }
            let another = || (self.acknowledged.load(Ordering::Relaxed) > seen).then_some(());
            wait_until("another message", PATIENCE, another).await?;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_all_the_time_lose_nothing_over_restarts_and_are_not_refused() -> Result<()> {
    let clients = number("SKEIN_CLIENTS", 16)?;
    let rounds = number("SKEIN_ROUNDS", 3)?;
    let unit = Unit::new()?;
    let crowd = Crowd {
        address: unit.address()?,
        acknowledged: AtomicUsize::new(0),
        cut: AtomicUsize::new(0),
        enough: AtomicBool::new(false),
    };
    let crowd = Arc::new(crowd);
    let mut service = unit.start()?;
    unit.until("READY=1").await?;
    let chats: Vec<_> = (0..clients).map(|number| tokio::spawn(Arc::clone(&crowd).chat(number))).collect();
    for _ in 0..rounds {
        crowd.goes_on(clients).await?;
        signal(&service, Signal::SIGTERM)?;
        ended(service).await?;
        service = unit.start()?;
        unit.until("READY=1").await?;
    }
    crowd.goes_on(clients).await?;
    crowd.enough.store(true, Ordering::Relaxed);
    let chats = try_join_all(chats).await?;
    let mut reader = crowd.connect().await?;
    let mut all = 0;
    for chat in chats {
        let (thread, acknowledged) = chat?;
        let read = ThreadReadParams { thread_id: thread, include_turns: true };
        let found = reader.call::<ThreadRead>(read).await?.thread;
        let items = found.turns.iter().flat_map(|turn| &turn.items);
        let texts: Vec<String> = items.filter_map(user_text).collect();
        let distinct: HashSet<&String> = texts.iter().collect();
        ensure!(distinct.len() == texts.len(), "{thread} has a message twice: {texts:?}");
        all += acknowledged.len();
        if let Some(lost) = acknowledged.iter().find(|text| !distinct.contains(text)) {
            bail!("{thread} has lost {lost:?}");
        }
    }
    let cut = crowd.cut.load(Ordering::Relaxed);
    eprintln!(
        "{clients} clients, {rounds} restarts: {all} messages acknowledged, none lost; {cut} connections cut before their handshake"
    );
    signal(&service, Signal::SIGTERM)?;
    ended(service).await?;
    ensure!(nobody_left(unit.folder()), "a process of the home is left");
    Ok(())
}

#[tokio::test]
async fn clients_with_events_receive_the_stop_and_a_pause_each() -> Result<()> {
    let mut home = Home::start().await?;
    let mut plain = home.client().await?;
    let mut listening = Vec::new();
    for _ in 0..4 {
        listening.push(Client::numbered(home.address()).await?);
    }
    home.stop().await?;
    let mut pauses = Vec::new();
    for client in &mut listening {
        ensure!(client.until_end().await? == End::Close(Some(1001)), "{:?}", client.end());
        pauses.extend(client.received::<SkeinStopping>()?.iter().map(|told| told.retry_after_ms));
    }
    pauses.sort_unstable();
    ensure!(pauses == [0, 500, 1000, 1500], "{pauses:?}");
    ensure!(plain.until_end().await? == End::Close(Some(1001)), "{:?}", plain.end());
    ensure!(plain.received::<SkeinStopping>()?.is_empty(), "it has not opted in");
    home.start_again().await?;
    home.finish().await
}
