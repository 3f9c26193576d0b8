//! The order in which the parts of a server start. `stop.rs` has that of the end.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use skein_base::clock::Clock;
use skein_base::counters::ServerCounters;
use skein_base::descriptors;
use skein_base::tasks::{DedicatedRuntime, Tasks};
use skein_config::access::{AccessError, Credentials, warn_if_open_to_others};
use skein_config::{GuardProgram, ServerConfig, SharedConfig, StoreUrl};
use skein_helpers::{Helpers, HostOptions};
use skein_postgres::news::RowNews;
use skein_postgres::presence::PresenceEvents;
use skein_protocol::ids::ThreadId;
use skein_provider::Providers;
use skein_provider::echo::{self, Echo};
use skein_provider::scripted::{self, Scripted};
use skein_store::home::{Home, HomeError};
use skein_store::index::OtherWriters;
use skein_store::rollout::OpenMarker;
use skein_store::texts::{Sources, TextIndex};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::{App, ServedAt};
use crate::http::{ListenError, WebState};
use crate::links::key::LinkKeyError;
use crate::links::{doubt, folders, observe};
use crate::memory::{self, Freed, MemoryPressure};
use crate::search::ThreadSearch;
use crate::thread::Context;
use crate::thread::day::{self, DayUse};
use crate::thread::gaps::Gaps;
use crate::thread::question_feed;
use crate::thread::registry::Registry;
use crate::thread::subscribers::Subscribers;
use crate::{
    approved, eviction, expiry, handlers, handover, lost_place, models, news, open_markers, policy, reload,
    repair, trash,
};

use self::serving::{OpenPlaces, ServedPlaces};
pub use self::storage::DatabaseError;
use self::storage::{ClusterParts, Storage};

mod drain;
mod serving;
mod stop;
mod storage;

/// A running server.
pub struct Server {
    services: Arc<App>,
    web: Arc<WebState>,
    home: Mutex<Option<Home>>,
    places: ServedPlaces,
    /// Ends accepting, and tasks that only a running server needs.
    accept: CancellationToken,
    background: Background,
    /// Runs the disk requests.
    _dedicated: DedicatedRuntime,
    /// Shortens every wait of the stop.
    hurry: CancellationToken,
    wishes: DatabaseWishes,
}

/// Why a server must stop, as its database says.
#[derive(Default)]
struct DatabaseWishes {
    /// Ends once the server has no place in its database any more.
    displaced: CancellationToken,
    /// Ends once somebody wants the server to drain and stop.
    drained: CancellationToken,
    /// Ends the time that this wish gives to turns.
    sooner: CancellationToken,
    /// When that time was ended.
    sooner_at: OnceLock<Instant>,
}

impl DatabaseWishes {
    fn of(presence: &PresenceEvents) -> Self {
        let (displaced, drained) = (presence.displaced.clone(), presence.drained.clone());
        Self { displaced, drained, ..Self::default() }
    }
}

/// The background tasks, ended one after the other: removing markers needs the index.
struct Background {
    /// Ends the way of other servers to this one, whose clients use its threads until these have ended.
    links: CancellationToken,
    repair: CancellationToken,
    repair_done: Mutex<Option<JoinHandle<()>>>,
    open_markers: CancellationToken,
    open_markers_done: Mutex<Option<JoinHandle<()>>>,
    index: CancellationToken,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The home is not available.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A place to listen at is not available.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The server would be unreachable: it has no address, and no control socket.
    #[error("there is no control socket in the home; put the home on a file system that has sockets")]
    Unreachable,
    /// The credentials are not available.
    #[error(transparent)]
    Credentials(#[from] AccessError),
    /// The rollouts are not available.
    #[error("the rollouts in the home cannot be reached: {0}")]
    Store(#[source] std::io::Error),
    /// The database cannot be used.
    #[error("the threads in {url} cannot be served: {source}")]
    Database {
        /// Its address, without a password.
        url: StoreUrl,
        /// The reason.
        #[source]
        source: DatabaseError,
    },
    /// The server has a name among those of a database, and no database.
    #[error(
        "the server {0} has a name among the servers of a database, and no database; name it (`--store`), or leave the name out \
         (`--node-name`, cluster.node_name)"
    )]
    NameWithoutDatabase(String),
    /// The system refuses a second runtime.
    #[error(
        "the threads for requests to the disk cannot be started: {0}; raise the limits of open files (ulimit -n) and of \
         processes (ulimit -u, or pids.max of the cgroup)"
    )]
    Threads(#[source] std::io::Error),
    /// Helpers cannot be supervised.
    #[error("helpers cannot be supervised: {0}")]
    Helpers(#[source] std::io::Error),
    /// There are no keys for links to other servers: a bug.
    #[error(transparent)]
    LinkKey(#[from] LinkKeyError),
    /// A row of the method table has no handler: a bug.
    #[error("no handler serves {0}")]
    Unserved(String),
}

impl Server {
    /// Starts a server; it accepts connections when this returns. The time does not depend on the size of the
    /// history.
    ///
    /// # Errors
    /// Home, address or helper supervision are not available. Nothing is left running then.
    pub async fn start(config: ServerConfig) -> Result<Self, StartError> {
        let router = handlers::router();
        if !router.missing().is_empty() {
            return Err(StartError::Unserved(router.missing().join(", ")));
        }
        descriptors::raise();
        // 1. The home: from here on this process owns it, or the error names the owner.
        let home = match &config.store.url {
            Some(_) => Home::open_for_database(&config.home)?,
            None => Home::open(&config.home)?,
        };
        // 2. The shared parts. The index opens in the background.
        let dedicated = DedicatedRuntime::start(policy::DEDICATED_THREADS).map_err(StartError::Threads)?;
        let (tasks, stop_index) = (dedicated.tasks(), CancellationToken::new());
        let mut storage = Storage::open(&config, &home, &tasks, stop_index.clone()).await?;
        let cluster = storage.cluster.take();
        let credentials = credentials(&config, &home, &storage).await?;
        let parts = (storage, credentials, cluster.as_ref());
        let (services, background) = services(config, &home, parts, (tasks, stop_index))?;
        let (presence, news, door) = ClusterParts::split(cluster);
        let links = door.as_ref().and_then(|door| door.address().ok());
        let wishes = presence.as_ref().map(DatabaseWishes::of).unwrap_or_default();
        let left_open = services.store.open_markers().await.map_err(StartError::Store)?;
        services.repair.schedule(left_open.len());
        // 3. The ports and the sockets, then their announcement to other processes.
        let places = OpenPlaces::open(&home, &services).await?;
        // 4. Serve.
        let web = Arc::new(WebState::new(Arc::clone(&services), router));
        let accept = CancellationToken::new();
        while_it_serves(&services, &accept, &background);
        wake_writers(&services, &background);
        let places = places.serve(&web, &accept, (door, &background.links));
        models::refresh_default(&services.context);
        // 5. Threads left open by an earlier end are repaired in the background.
        let later = beside_others(&services, (presence, news), (&accept, &background));
        start_repair(&services, left_open, later, &background);
        say_serving(&services, links);
        let hurry = CancellationToken::new();
        let home = Mutex::new(Some(home));
        Ok(Self { services, web, home, places, accept, background, _dedicated: dedicated, hurry, wishes })
    }

    /// Where it listens, as clients write it, ports first; empty with only a control socket.
    pub fn addresses(&self) -> &[String] {
        self.services.served_at.addresses()
    }

    /// Serves a connection that another unix socket of this process has accepted, by the rules of the control socket. Waits
    /// while too many have not shaken hands. A server that stops closes it.
    pub async fn bring_in(&self, visitor: UnixStream) {
        if let Some(entrance) = &self.places.entrance {
            // An error drops it.
            entrance.send(visitor).await.ok();
        }
    }

    /// The number of connected clients.
    pub fn clients(&self) -> usize {
        self.services.subscribers.connected()
    }

    /// Waits until no client is connected.
    pub async fn deserted(&self) {
        let subscribers = &self.services.subscribers;
        loop {
            let goes = subscribers.one_goes();
            if subscribers.is_deserted() {
                return;
            }
            goes.await;
        }
    }

    /// Waits until the server has no place in its database any more: another one has taken it, or its name. It must stop then.
    pub async fn displaced(&self) {
        self.wishes.displaced.cancelled().await;
    }

    /// Waits until somebody wants the server to drain: it must stop then.
    pub async fn drained(&self) {
        self.wishes.drained.cancelled().await;
    }

    /// Whether the server has no place in its database any more.
    pub fn is_displaced(&self) -> bool {
        self.wishes.displaced.is_cancelled()
    }

    /// Reloads the settings, and the certificate of ports with TLS. See `reload::reload`. The log has the errors.
    pub async fn reload(&self) {
        self.places.reload(&self.services).await;
        reload::reload(&self.services.context).await.ok();
    }
}

/// The log line of a server that is ready. One among others takes links at this address.
fn say_serving(services: &App, links: Option<SocketAddr>) {
    let (addresses, config) = (services.served_at.addresses().join(" "), services.config());
    let (home, node) = (config.home.display(), config.cluster.node_name.as_deref());
    let links = links.map(|bound| config.cluster.address(bound));
    tracing::info!(addresses, %home, node, links, "serving");
}

/// Starts the tasks of a server whose threads are in a database. Returns the threads that other servers leave open; those of a home
/// have no other server.
fn beside_others(
    services: &App,
    (presence, news): (Option<PresenceEvents>, Option<Arc<RowNews>>),
    (accept, background): (&CancellationToken, &Background),
) -> mpsc::Receiver<Vec<ThreadId>> {
    let context = || Arc::clone(&services.context);
    if let Some(links) = &services.links {
        services.tasks.spawn("observe", observe::run(context(), Arc::clone(links), background.links.clone()));
        services.tasks.spawn("doubt", doubt::run(context(), Arc::clone(links), background.links.clone()));
    }
    if let Some(news) = news {
        services.tasks.spawn("news", news::run(context(), news, accept.clone()));
    }
    let Some(PresenceEvents { losses, left_open, wanted, .. }) = presence else { return mpsc::channel(1).1 };
    if let Some(links) = &services.links {
        let handover = handover::run(context(), Arc::clone(links), wanted, accept.clone());
        services.tasks.spawn("handover", handover);
    }
    services.tasks.spawn("lost place", lost_place::run(context(), losses, background.index.clone()));
    let Some(links) = services.links.clone() else { return left_open };
    let (own, of_this_server) = mpsc::channel(1);
    let stop = background.repair.clone();
    services.tasks.spawn("left open", folders::leave_to_others(context(), links, left_open, own, stop));
    of_this_server
}

/// Starts the repair of these threads, and of those that come later.
fn start_repair(
    services: &App,
    left_open: Vec<ThreadId>,
    later: mpsc::Receiver<Vec<ThreadId>>,
    background: &Background,
) {
    let (context, repair) = (Arc::clone(&services.context), Arc::clone(&services.repair));
    let repair = repair::run_all(context, repair, left_open, later, background.repair.clone());
    let repair = services.tasks.spawn("repair", repair);
    *background.repair_done.lock().unwrap_or_else(PoisonError::into_inner) = Some(repair);
}

/// Starts the tasks that only a running server needs.
fn while_it_serves(services: &Arc<App>, accept: &CancellationToken, background: &Background) {
    memory::tune();
    let tasks = &services.tasks;
    tasks.spawn("memory", memory::run(Arc::clone(&services.freed), tasks.clone(), accept.clone()));
    tasks.spawn("day", day::run(Arc::clone(&services.context), accept.clone()));
    tasks.spawn("question feed", question_feed::run(Arc::clone(&services.context), accept.clone()));
    tasks.spawn("expiry", expiry::run(Arc::clone(&services.context), accept.clone()));
    tasks.spawn("pressure", eviction::run(Arc::clone(&services.context), accept.clone()));
    let (store, settings) = (Arc::clone(&services.store), Arc::clone(&services.settings));
    tasks.spawn("trash", trash::run(store, settings, services.clock, accept.clone()));
    let credentials = Arc::clone(&services.credentials);
    // Also while clients stay until their turns have ended.
    tasks.spawn("credentials", credentials.keep(background.links.clone()));
    tasks.spawn("reaper", Arc::clone(services.helpers.host()).reap_unowned_children(accept.clone()));
}

/// Wakes the writers of announcements, also while a stop still makes some.
fn wake_writers(services: &Arc<App>, background: &Background) {
    let (context, stop) = (Arc::clone(&services.context), background.index.clone());
    services.tasks.spawn("wakes", async move { context.subscribers.wakes().run(stop).await });
}

/// The parts of a server; `stop_index` ends the tasks of its index.
fn services(
    config: ServerConfig,
    home: &Home,
    (storage, credentials, cluster): (Storage, Arc<Credentials>, Option<&ClusterParts>),
    (tasks, stop_index): (Tasks, CancellationToken),
) -> Result<(Arc<App>, Background), StartError> {
    let clock = Clock;
    let helpers = helpers(&config, home, clock, &tasks).map_err(StartError::Helpers)?;
    let (texts, closed_rollouts, background) = background(home, (&storage, cluster), &tasks, stop_index);
    let Storage { store, ownership, index, questions, .. } = storage;
    let context = Context {
        registry: Registry::new(config.limits.mailbox),
        subscribers: Subscribers::new(home.start_id()),
        questions,
        restarts: Arc::new(Semaphore::new(config.restart.at_once)),
        gaps: Gaps::default(),
        ownership,
        counters: ServerCounters::default(),
        conversations: Arc::default(),
        question_feed: Arc::default(),
        providers: providers(&config, &tasks),
        settings: Arc::new(SharedConfig::new(config)),
        pressure: MemoryPressure::woken_by(helpers.host().room_wanted()),
        freed: Arc::new(Freed::default()),
        backlog: Arc::default(),
        keep_approval: approved::keep,
        clock,
        day: DayUse::default(),
        tasks,
        store,
        index,
        helpers,
        closed_rollouts,
    };
    Ok((Arc::new(app(context, home, (texts, cluster), credentials)), background))
}

fn app(
    context: Context,
    home: &Home,
    (texts, cluster): (TextIndex, Option<&ClusterParts>),
    credentials: Arc<Credentials>,
) -> App {
    let clock = context.clock;
    App {
        context: Arc::new(context),
        search: Arc::new(ThreadSearch::new(texts)),
        credentials,
        repair: Arc::default(),
        cluster: cluster.map(|cluster| cluster.place.clone()),
        links: cluster.and_then(|cluster| cluster.others.as_ref()).map(|others| Arc::clone(&others.links)),
        start_id: home.start_id(),
        started: clock.wall(),
        rounds_since: clock.now(),
        served_at: ServedAt::default(),
        refusals: Arc::default(),
        admitted: Arc::default(),
    }
}

async fn credentials(
    config: &ServerConfig,
    home: &Home,
    storage: &Storage,
) -> Result<Arc<Credentials>, AccessError> {
    let credentials = Credentials::open(Arc::clone(&storage.credentials), Clock).await?;
    warn_if_open_to_others(&home.paths().access(), "access.json", ", and revoke its tokens");
    Ok(Arc::new(credentials.with_ws_auth(config.ws_auth.clone())))
}

/// Starts the background tasks except the repair, which needs everything else.
fn background(
    home: &Home,
    (storage, cluster): (&Storage, Option<&ClusterParts>),
    tasks: &Tasks,
    stop_index: CancellationToken,
) -> (TextIndex, mpsc::Sender<OpenMarker>, Background) {
    let stop_markers = CancellationToken::new();
    let (store, index) = (Arc::clone(&storage.store), Arc::clone(&storage.index));
    let texts = TextIndex::new(Sources {
        home: home.paths().clone(),
        store: Arc::clone(&store),
        index: Arc::clone(&index),
        changes: Arc::clone(&storage.changes),
        others: cluster
            .and_then(|cluster| cluster.others.as_ref())
            .map(|others| Arc::clone(&others.news) as Arc<dyn OtherWriters>),
        tasks: tasks.clone(),
        stop: stop_markers.clone(),
    });
    let (closed_rollouts, closed) = mpsc::channel(policy::OPEN_MARKERS_WAITING);
    let markers = open_markers::run(closed, store, index, stop_markers.clone());
    let background = Background {
        links: CancellationToken::new(),
        repair: CancellationToken::new(),
        repair_done: Mutex::new(None),
        open_markers: stop_markers,
        open_markers_done: Mutex::new(Some(tasks.spawn("markers", markers))),
        index: stop_index,
    };
    (texts, closed_rollouts, background)
}

fn providers(config: &ServerConfig, tasks: &Tasks) -> Providers {
    let providers = Providers::new(vec![
        (echo::NAME, Arc::new(Echo { faults: config.test_fences })),
        (scripted::NAME, Arc::new(Scripted::new(config.home.clone(), tasks.clone()))),
    ]);
    providers.configure(&config.providers);
    providers
}

fn helpers(config: &ServerConfig, home: &Home, clock: Clock, tasks: &Tasks) -> std::io::Result<Arc<Helpers>> {
    Helpers::start(HostOptions {
        guard: config.guard.open()?,
        tasks: tasks.clone(),
        clock,
        stop_grace: config.helper_rules.stop_grace,
        liveness: config.helper_rules.liveness,
        containment: config.helper_rules.containment,
        // A server that is its own guard program is alone in its process; one inside a test is not.
        exclusive: config.guard == GuardProgram::ThisProgram,
        home: home.tag()?,
    })
}
