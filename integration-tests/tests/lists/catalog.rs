//! A correct list of threads stays correct through numbered notifications, even for a client that was away.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_protocol::extension::{
    CatalogPlace, EVENTS_EXTENSION, SkeinCatalogResumeParams, SkeinCatalogResumeResponse,
};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::methods::{SkeinCatalogResume, ThreadList, ThreadNameSet};
use skein_protocol::notifications::{
    ThreadClosed, ThreadNameUpdated, ThreadReadStateChanged, ThreadStarted, ThreadStatusChanged, TurnStarted,
};
use skein_protocol::server::InitializeCapabilities;
use skein_protocol::table::Notification;
use skein_protocol::thread::{ThreadListParams, ThreadSetNameParams, ThreadStatus};

/// A client that opted in to events.
async fn numbered(home: &Home) -> Result<Client> {
    let mut client = Client::connect(home.address()).await?;
    let extensions = serde_json::from_value(json!({ EVENTS_EXTENSION: { "version": 1 } }))?;
    let capabilities =
        InitializeCapabilities { extensions: Some(extensions), ..InitializeCapabilities::default() };
    client.initialize_with(Some(capabilities)).await?;
    Ok(client)
}

/// A client's view of the threads: names and statuses. The status also shows whether a thread is loaded.
#[derive(Debug, Clone, Default, PartialEq)]
struct View {
    place: CatalogPlace,
    threads: BTreeMap<ThreadId, (Option<String>, ThreadStatus)>,
    /// Number of messages of the client's record that the view has applied.
    seen: usize,
}

impl View {
    /// The server's own list.
    async fn listed(client: &mut Client) -> Result<Self> {
        let list = client.call::<ThreadList>(ThreadListParams::default()).await?;
        let threads = list.data.into_iter().map(|thread| (thread.id, (thread.name, thread.status)));
        let place = list.skein.context("no place")?.place;
        Ok(Self { place, threads: threads.collect(), seen: client.record().len() })
    }

    /// Applies the messages that the client has received.
    fn receive(&mut self, client: &Client) -> Result<()> {
        for message in &client.record()[self.seen..] {
            if let Some(method) = message.method().filter(|_| !message.value()["params"]["skein"].is_null()) {
                self.apply(method, &message.value()["params"])?;
            }
        }
        self.seen = client.record().len();
        Ok(())
    }

    /// Applies the changes that a new connection of the same client has missed.
    async fn catch_up(&mut self, client: &mut Client) -> Result<()> {
        let missed = since(client, &self.place).await?;
        anyhow::ensure!(!missed.too_old, "too old: {:?}", self.place);
        for change in &missed.changes {
            self.apply(&change.method, &serde_json::from_str(change.params.get())?)?;
        }
        anyhow::ensure!(self.place.catalog_seq == missed.catalog_seq, "{:?} {missed:?}", self.place);
        // The answer includes all messages before it.
        self.seen = client.record().len();
        Ok(())
    }

    fn apply(&mut self, method: &str, params: &Value) -> Result<()> {
        if method == ThreadStarted::INFO.wire {
            let started: <ThreadStarted as Notification>::Params = serde_json::from_value(params.clone())?;
            self.threads.insert(started.thread.id, (started.thread.name, started.thread.status));
            self.place = started.skein.context("no catalog number")?;
            return Ok(());
        }
        let thread: ThreadId = serde_json::from_value(params["threadId"].clone())?;
        let shown = self.threads.get_mut(&thread).context("a thread that is not in the list")?;
        if method == ThreadStatusChanged::INFO.wire {
            shown.1 = serde_json::from_value(params["status"].clone())?;
        } else if method == ThreadClosed::INFO.wire {
            shown.1 = ThreadStatus::NotLoaded;
        } else if method == ThreadNameUpdated::INFO.wire {
            shown.0 = serde_json::from_value(params["threadName"].clone())?;
        } else if method != ThreadReadStateChanged::INFO.wire {
            anyhow::bail!("{method} has a number");
        }
        self.place = serde_json::from_value(params["skein"].clone())?;
        Ok(())
    }
}

async fn since(client: &mut Client, place: &CatalogPlace) -> Result<SkeinCatalogResumeResponse> {
    let CatalogPlace { catalog_seq: after, catalog_epoch } = place.clone();
    client.call::<SkeinCatalogResume>(SkeinCatalogResumeParams { after, catalog_epoch }).await
}

/// Random numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % most
    }
}

/// A client that works: threads start, run turns, hang, get names, are left and resumed.
#[derive(Default)]
struct Worker {
    loaded: Vec<(ThreadId, Option<TurnId>)>,
    left: Vec<ThreadId>,
}

impl Worker {
    async fn work(&mut self, client: &mut Client, dice: &mut Dice) -> Result<()> {
        match dice.below(5) {
            0 if self.loaded.len() < 4 => self.loaded.push((client.start_thread_with("words").await?, None)),
            1 if !self.left.is_empty() => {
                let thread = self.left.swap_remove(dice.below(self.left.len()));
                client.resume(thread).await?;
                self.loaded.push((thread, None));
            }
            _ if self.loaded.is_empty() => {}
            2 => {
                let (thread, turn) = self.loaded.swap_remove(dice.below(self.loaded.len()));
                client.unload(thread, turn.is_some()).await?;
                client.thread_closed(thread).await?;
                self.left.push(thread);
            }
            3 => {
                let at = dice.below(self.loaded.len());
                let (thread, _) = self.loaded[at];
                let name = format!("name {}", dice.below(1_000));
                client.call::<ThreadNameSet>(ThreadSetNameParams { name, thread_id: thread }).await?;
                client.next::<ThreadNameUpdated>(|shapes| shapes.thread_id == thread).await?;
            }
            _ => {
                let at = dice.below(self.loaded.len());
                let (thread, turn) = &mut self.loaded[at];
                match turn.take() {
                    Some(turn) => {
                        client.interrupt(*thread, &turn).await?;
                        client.turn_end(&turn).await?;
                    }
                    None => {
                        let begun = client.start_turn(*thread, "/hang").await?;
                        client.next::<TurnStarted>(|shapes| shapes.turn.id == begun).await?;
                        *turn = Some(begun);
                    }
                }
            }
        }
        client.quiesce().await
    }
}

/// Plays a life of the list: one client is always connected, another one comes and goes.
async fn play(home: &Home, seed: u64) -> Result<()> {
    let (mut dice, mut worker) = (Dice(seed), Worker::default());
    let mut client = home.client().await?;
    for _ in 0..3 {
        worker.loaded.push((client.start_thread_with("words").await?, None));
    }
    let mut always = numbered(home).await?;
    let mut shown = View::listed(&mut always).await?;
    let mut guest = Some(numbered(home).await?);
    let mut guests = View::listed(guest.as_mut().context("just made")?).await?;
    for _ in 0..25 {
        match dice.below(4) {
            0 => match guest.take() {
                Some(mut there) => {
                    // The client knows only the messages that it has read; the rest is lost with the
                    // connection.
                    if dice.below(2) == 0 {
                        there.status().await?;
                    }
                    guests.receive(&there)?;
                }
                None => {
                    let mut back = numbered(home).await?;
                    guests.catch_up(&mut back).await?;
                    guest = Some(back);
                }
            },
            _ => worker.work(&mut client, &mut dice).await?,
        }
    }
    drop(guest);
    let mut back = numbered(home).await?;
    guests.catch_up(&mut back).await?;
    let truth = View::listed(&mut always).await?;
    shown.receive(&always)?;
    anyhow::ensure!(shown.threads == truth.threads, "always connected: {shown:#?}\nlisted: {truth:#?}");
    anyhow::ensure!(guests.threads == truth.threads, "came and went: {guests:#?}\nlisted: {truth:#?}");
    Ok(())
}

#[tokio::test]
async fn a_client_that_was_away_has_the_same_list_as_one_that_was_not() -> Result<()> {
    for seed in 0..30 {
        // The end does not wait for hanging turns.
        let setup = Home::setup().set("durability", "process").set("shutdown.drain", "0s");
        let home = setup.start().await?;
        play(&home, seed).await.with_context(|| format!("seed {seed}"))?;
        home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn after_a_restart_clients_must_list_again() -> Result<()> {
    let mut home = Home::start().await?;
    let mut client = numbered(&home).await?;
    client.start_thread_with("words").await?;
    let before = View::listed(&mut client).await?.place;
    assert!(!since(&mut client, &before).await?.too_old);
    home.restart().await?;
    let mut client = numbered(&home).await?;
    let missed = since(&mut client, &before).await?;
    assert!(missed.too_old && missed.changes.is_empty());
    assert_ne!(View::listed(&mut client).await?.place.catalog_epoch, before.catalog_epoch);
    home.finish().await
}

#[tokio::test]
async fn numbers_have_no_gaps_when_many_threads_begin_and_end_at_once() -> Result<()> {
    const THREADS: usize = 24;
    let home = Home::setup().set("durability", "process").start().await?;
    let mut watcher = numbered(&home).await?;
    let mut people = Vec::new();
    for _ in 0..THREADS {
        let mut client = home.client().await?;
        people.push(async move { client.start_thread_with("words").await });
    }
    // Each client leaves after its turn, and its thread ends.
    for outcome in futures_util::future::join_all(people).await {
        outcome?;
    }
    for _ in 0..THREADS {
        watcher.next::<ThreadClosed>(|_| true).await?;
    }
    let numbers: Vec<u64> = watcher
        .record()
        .iter()
        .filter_map(|message| message.value()["params"]["skein"]["catalogSeq"].as_u64())
        .collect();
    let count = u64::try_from(numbers.len())?;
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
    assert!(numbers.len() >= 5 * THREADS, "{} changes", numbers.len());
    home.finish().await
}

#[tokio::test]
async fn subscribers_of_a_thread_get_its_name_with_an_event_number() -> Result<()> {
    let home = Home::start().await?;
    let (mut plain, mut listens) = (home.client().await?, numbered(&home).await?);
    let mut other = numbered(&home).await?;
    let thread = plain.start_thread_with("words").await?;
    listens.resume(thread).await?;
    let name = ThreadSetNameParams { name: "Plans".to_owned(), thread_id: thread };
    plain.call::<ThreadNameSet>(name).await?;
    let mut shapes = Vec::new();
    for client in [&mut plain, &mut listens, &mut other] {
        let is_it =
            |message: &skein_integration_tests::client::Received| message.notifies::<ThreadNameUpdated>();
        let message = client.until("the name", is_it).await?;
        let has = |value: &Value| !value.is_null();
        let value = message.value();
        shapes.push([has(&value["seq"]), has(&value["epoch"]), has(&value["params"]["skein"]["catalogSeq"])]);
    }
    assert_eq!(shapes, [[false, false, false], [true, true, true], [false, false, true]]);
    home.finish().await
}
