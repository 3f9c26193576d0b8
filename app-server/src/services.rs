//! What every room of the running server may use. Made once, by `server.rs`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock::{Clock, WallMs};
use crate::config::{Config, ContextOverride, Settings};
use crate::durations::Durations;
use crate::helpers::Helpers;
use crate::home::{HomePaths, STDIO, Term};
use crate::index::ThreadIndex;
use crate::memory::Freed;
use crate::policy;
use crate::pressure::Pressure;
pub use crate::provider::Providers;
use crate::repair::Repair;
use crate::rollout::{OpenMark, RolloutStore};
use crate::search::ThreadSearch;
use crate::tasks::Tasks;
use crate::thread::holes::Holes;
use crate::thread::questions::QuestionNumbers;
use crate::thread::registry::Registry;
use crate::thread::subscribers::Subscribers;
use crate::turn::context;
use crate::turn::conversation_cache::ConversationCache;
use crate::turn::surroundings::Surroundings;

/// Where clients come in, once they can.
#[derive(Debug, Default)]
pub struct ServedAt {
    /// The address of the websocket; none for a server on standard streams.
    pub address: OnceLock<SocketAddr>,
    /// The control socket; none where the file system has no sockets.
    pub control: OnceLock<PathBuf>,
}

impl ServedAt {
    /// The address as a URL, which is `stdio://` on standard streams.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.get().map_or_else(|| STDIO.to_owned(), |address| format!("ws://{address}"))
    }

    /// The path of the control socket; empty where there is none.
    #[must_use]
    pub fn control_socket(&self) -> String {
        self.control.get().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// The running server's parts.
pub struct Services {
    /// The settings, which can change: [`Services::config`].
    pub settings: Settings,
    /// Both clocks.
    pub clock: Clock,
    /// The starter of tasks.
    pub tasks: Tasks,
    /// Which threads are loaded.
    pub registry: Registry,
    /// Who listens to them.
    pub subscribers: Subscribers,
    /// Their histories.
    pub store: Arc<dyn RolloutStore>,
    /// Their lists.
    pub index: Arc<dyn ThreadIndex>,
    /// Looks for texts in them.
    pub search: ThreadSearch,
    /// Their helpers.
    pub helpers: Arc<Helpers>,
    /// The numbers of questions to clients.
    pub questions: QuestionNumbers,
    /// Damage that was met in rollouts.
    pub holes: Holes,
    /// This start of the server.
    pub start_id: Uuid,
    /// This start of the machine.
    pub machine_boot: Uuid,
    /// This ownership of the home.
    pub term: Term,
    /// When the server started.
    pub started: WallMs,
    /// The moment from which the rounds count in which connections look after their clients.
    pub rounds_since: Instant,
    /// Where it is served.
    pub served_at: ServedAt,
    /// Where owners say which open marks the index covers, so that they are taken off in batches.
    pub closed_rollouts: mpsc::Sender<OpenMark>,
    /// Wakes who makes room.
    pub pressure: Pressure,
    /// Has free memory given back.
    pub freed: Freed,
    /// How far the mending of what an earlier end of the server left open is.
    pub repair: Repair,
    /// What is counted.
    pub counters: Counters,
    /// The models.
    pub providers: Providers,
    /// The conversations of loaded threads.
    pub conversations: Arc<ConversationCache>,
}

impl Services {
    /// Where things lie in the home.
    #[must_use]
    pub fn paths(&self) -> HomePaths {
        HomePaths::new(&self.config().home)
    }

    /// The settings of this moment. Whoever needs several that belong together asks once.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.settings.now()
    }

    /// What is found in a thread's directory, if that answers soon, and models are to read it.
    pub async fn look_around(&self, cwd: &str, own: &ContextOverride) -> Option<Arc<Surroundings>> {
        let docs = self.config().docs(own);
        if docs.most == 0 || cwd.is_empty() {
            return None;
        }
        context::look(&self.tasks, cwd.to_owned(), docs, policy::CONTEXT_PATIENCE_OF_ANSWERS).await
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("start_id", &self.start_id).finish_non_exhaustive()
    }
}

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// This many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Exactly this much: for the last value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted over the server's life.
#[derive(Debug, Default)]
pub struct Counters {
    /// Turns that began.
    pub turns_started: Counter,
    /// Turns that ended, however.
    pub turns_completed: Counter,
    /// Requests answered with -32001.
    pub overloaded: Counter,
    /// Connections closed with 1013.
    pub slow_clients: Counter,
    /// Hard shutdowns that reached their zero.
    pub unloads: Durations,
    /// Events that were told again to clients that came back.
    pub replayed_events: Counter,
    /// Resumes by number that could not be continued.
    pub gaps: Counter,
    /// Reloads of the settings that were taken.
    pub reloads: Counter,
    /// Reloads that changed nothing, because the settings were wrong.
    pub reloads_refused: Counter,
    /// Reloads that found nothing changed.
    pub reloads_unchanged: Counter,
    /// When the last one was taken, in Unix milliseconds.
    pub reload_last_at_ms: Counter,
    /// Threads that had to make room.
    pub squeezed: Counter,
    /// Times when room was needed and no thread could make it.
    pub unrelieved: Counter,
    /// Records that were given up because the disk did not take them in time.
    pub unsaved_records: Counter,
}
