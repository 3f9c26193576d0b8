//! A person who uses threads at any server, sends a message again until it is acknowledged, and notes what it gets.

mod deeds;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use skein_integration_tests::chaos::{NamedOwner, Notes, NumberedEvent, SentMessage};
use skein_integration_tests::client::Received;
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::seed::Seed;
use skein_integration_tests::view::{Contradiction, Kind, Leave, TextCounts, View, Window};
use skein_protocol::error::WireError;
use skein_protocol::extension::ThreadOwner;
use skein_protocol::ids::ThreadId;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::notifications::{ThreadClosed, Warning};
use skein_protocol::table::Method;
use skein_protocol::thread::Thread;
use skein_protocol::turn::Turn;
use tokio::sync::watch;
use tokio::time::timeout;

/// Pause between two tries to reach a server.
const TRY: Duration = Duration::from_millis(100);
/// Longest time without an answer to a request. A server that has the thread may be paused, and the next one has its own limits.
const ANSWER: Duration = Duration::from_secs(50);
/// Longest time until some server acknowledges a message.
const ACKNOWLEDGED: Duration = Duration::from_secs(120);
/// Messages in the error of a contradiction, and their characters.
const NEWEST: usize = 20;
const LINE: usize = 400;
/// Refusals that send a client to another try.
const FOR_NOW: [&str; 11] = [
    "busy",
    "closing",
    "notLoaded",
    "notSaved",
    "overloaded",
    "ownerUnreachable",
    "resumesUnderWay",
    "serverEnded",
    "serverStops",
    "steersFull",
    "storeUnavailable",
];

/// The servers' addresses, which change when they start again.
#[derive(Clone, Default)]
pub(super) struct Addresses(Arc<Mutex<Vec<String>>>);

impl Addresses {
    pub(super) fn set(&self, node: usize, address: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() <= node {
            all.resize(node + 1, String::new());
        }
        address.clone_into(&mut all[node]);
    }

    pub(super) fn one(&self, seed: &mut Seed) -> String {
        seed.one_of(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).clone()
    }
}

pub(super) struct Person {
    number: usize,
    seed: Seed,
    kind: Kind,
    servers: Addresses,
    threads: Vec<ThreadId>,
    /// The thread that it shows.
    thread: ThreadId,
    window: Option<Window>,
    messages: usize,
    /// Views that a new one has replaced.
    texts: TextCounts,
    gaps: usize,
    /// Acknowledged messages whose text is their id.
    texts_to_find: Vec<SentMessage>,
    pub(super) notes: Notes,
    stop: watch::Receiver<bool>,
}

/// The messages of users in a thread, by their ids.
pub(super) fn messages(thread: &Thread) -> Vec<String> {
    thread.turns.iter().flat_map(messages_of).cloned().collect()
}

/// Those of a turn.
pub(super) fn messages_of(turn: &Turn) -> impl Iterator<Item = &String> {
    turn.items.iter().filter_map(|item| {
        let ThreadItemBody::UserMessage(message) = &item.body else { return None };
        message.client_id.as_ref()
    })
}

/// The newest messages of the thread of a window.
fn newest(window: &mut Window) -> Result<String> {
    let thread = window.thread().to_string();
    let all = window.client()?.record().iter().map(|message| message.value().to_string());
    let of_thread: Vec<String> = all.filter(|text| text.contains(&thread)).collect();
    let newest = &of_thread[of_thread.len().saturating_sub(NEWEST)..];
    Ok(newest.iter().map(|text| text.chars().take(LINE).collect::<String>() + "\n").collect())
}

/// Waits without a connection.
async fn pause() {
    let mut ticks = tokio::time::interval(TRY);
    ticks.tick().await;
    ticks.tick().await;
}

fn contradicts(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Contradiction>().is_some()
}

impl Person {
    pub(super) fn new(
        number: usize,
        mut seed: Seed,
        servers: Addresses,
        threads: Vec<ThreadId>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let kind = if seed.percent(60) { Kind::Numbered } else { Kind::Plain };
        let thread = *seed.one_of(&threads);
        let (window, texts, notes) = (None, TextCounts::default(), Notes::default());
        Self {
            number,
            seed,
            kind,
            servers,
            threads,
            thread,
            window,
            messages: 0,
            texts,
            gaps: 0,
            texts_to_find: Vec::new(),
            notes,
            stop,
        }
    }

    /// How the texts of the agent came.
    pub(super) fn texts(&self) -> TextCounts {
        let shown = self.window.as_ref().map(|window| window.view.texts).unwrap_or_default();
        TextCounts { whole: self.texts.whole + shown.whole, parts: self.texts.parts + shown.parts }
    }

    /// How often the history could not be continued.
    pub(super) fn gaps(&self) -> usize {
        self.gaps + self.window.as_ref().map(|window| window.view.gaps).unwrap_or_default()
    }

    /// Uses the servers until the stop. The last message is acknowledged.
    ///
    /// # Errors
    /// Something contradicts what it was shown, or it gets no answer.
    pub(super) async fn live(&mut self) -> Result<()> {
        while !*self.stop.borrow() {
            if self.seed.percent(60) {
                self.answer().await?;
            }
            match self.seed.below(100) {
                0..45 => self.say().await?,
                45..55 => self.read().await?,
                55..60 => self.list().await?,
                60..65 => self.search().await?,
                65..69 => self.fork().await?,
                69..77 => self.leave().await,
                77..82 => {
                    self.forget_view();
                    self.thread = *self.seed.one_of(&self.threads);
                }
                _rest => {
                    let time = Duration::from_millis(self.seed.below(1_000));
                    self.listen(time).await?;
                }
            }
        }
        Ok(())
    }

    async fn leave(&mut self) {
        let how = *self.seed.one_of(&[Leave::Goodbye, Leave::Drop, Leave::Reset]);
        if let Some(window) = &mut self.window {
            window.leave(how).await.ok();
        }
    }

    /// Shows a thread as if for the first time.
    fn forget_view(&mut self) {
        (self.texts, self.gaps) = (self.texts(), self.gaps());
        self.window = None;
    }

    /// The window on a thread, with a connection.
    async fn window(&mut self) -> Result<&mut Window> {
        let deadline = Instant::now() + ACKNOWLEDGED;
        while !self.window.as_ref().is_some_and(Window::is_connected) {
            ensure!(Instant::now() < deadline, "no server takes person {}", self.number);
            let address = self.servers.one(&mut self.seed);
            let shown = match self.window.as_mut() {
                Some(window) => timeout(PATIENCE, window.come_back(&address)).await,
                None => {
                    let opened = timeout(PATIENCE, Window::open(self.kind, &address, self.thread)).await;
                    opened.map(|opened| opened.map(|window| self.show(window)))
                }
            };
            match shown {
                Ok(Ok(())) => {}
                Ok(Err(error)) if contradicts(&error) => return Err(error),
                Ok(Err(_)) | Err(_) => {
                    self.drop_connection().await;
                    pause().await;
                }
            }
        }
        self.window.as_mut().context("it was just made")
    }

    fn show(&mut self, mut window: Window) {
        window.view.is_relayed = true;
        self.window = Some(window);
    }

    async fn drop_connection(&mut self) {
        if let Some(window) = &mut self.window {
            window.leave(Leave::Drop).await.ok();
        }
    }

    /// Takes the next message. `None` if the connection has ended, or the server says that the view has to be made anew.
    async fn receive(&mut self) -> Result<Option<Received>> {
        let number = self.number;
        let window = self.window().await?;
        let message = match window.receive().await {
            Ok(message) => message,
            Err(error) if contradicts(&error) => {
                let newest = newest(window)?;
                return Err(error.context(format!("person {number}, thread {}: {newest}", window.thread())));
            }
            Err(_) => {
                self.drop_connection().await;
                return Ok(None);
            }
        };
        let thread = window.thread();
        let of_thread = message.value()["params"]["threadId"] == thread.to_string();
        if of_thread {
            self.note(thread, &message)?;
        }
        let is_gap =
            message.notification::<Warning>()?.is_some_and(|it| it.message.contains("resume it to see"));
        if of_thread && (is_gap || message.notifies::<ThreadClosed>()) {
            self.drop_connection().await;
            if is_gap {
                self.forget_view();
                self.gaps += 1;
            }
            return Ok(None);
        }
        Ok(Some(message))
    }

    fn note(&mut self, thread: ThreadId, message: &Received) -> Result<()> {
        self.notes.events.extend(NumberedEvent::read(thread, message)?);
        Ok(())
    }

    /// Takes messages for this time.
    async fn listen(&mut self, time: Duration) -> Result<()> {
        let listening = async {
            loop {
                self.receive().await?;
            }
        };
        timeout(time, listening).await.unwrap_or(Ok(()))
    }

    /// Asks in the window, and takes messages until the answer. `None` if the connection has ended first.
    async fn ask<M: Method>(&mut self, params: &M::Params) -> Result<Option<Result<M::Response, WireError>>> {
        let Ok(pending) = self.window().await?.client()?.start_call::<M>(params).await else {
            self.drop_connection().await;
            return Ok(None);
        };
        let (number, name) = (self.number, M::INFO.wire);
        let answered = async {
            while let Some(message) = self.receive().await? {
                if message.answers(pending.id()) {
                    return Ok(Some(message.into_answer::<M::Response>()?));
                }
            }
            Ok(None)
        };
        timeout(ANSWER, answered)
            .await
            .with_context(|| format!("person {number} gets no answer to {name}"))?
    }

    fn named(&mut self, thread: ThreadId, owner: Option<ThreadOwner>, asked: Instant) {
        let answered = Instant::now();
        self.notes.owners.extend(owner.map(|owner| NamedOwner { thread, owner, asked, answered }));
    }

    async fn take_refusal(&mut self, refused: &WireError) -> Result<()> {
        ensure!(FOR_NOW.contains(&refused.reason()), "person {}: {refused:?}", self.number);
        match refused.retry_after() {
            Some(wait) => self.listen(wait).await,
            // The thread is unloaded, or the server ends: another one may have it.
            None => {
                self.drop_connection().await;
                pause().await;
                Ok(())
            }
        }
    }

    /// Takes messages until the view is that of the thread as it is at the end.
    ///
    /// # Errors
    /// It never is.
    pub(super) async fn until_same_as(&mut self, last: &[Thread]) -> Result<()> {
        let thread = self.window().await?.thread();
        let read = last.iter().find(|read| read.id == thread).context("a thread of the campaign")?;
        let same = |view: &View| view.same_as_read(read);
        let shown = async {
            while same(&self.window().await?.view).is_err() {
                self.receive().await?;
            }
            anyhow::Ok(())
        };
        if let Ok(shown) = timeout(PATIENCE, shown).await {
            return shown;
        }
        same(&self.window().await?.view).with_context(|| format!("the view of person {}", self.number))
    }
}
