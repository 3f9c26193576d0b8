//! A server without a socket.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skein_base::clock::Clock;
use skein_base::counters::ServerCounters;
use skein_base::home_tag::HomeTag;
use skein_base::tasks::Tasks;
use skein_config::access::{CredentialFile, Credentials};
use skein_config::{ServerConfig, SharedConfig};
use skein_helpers::testing::{Fakes, Tools};
use skein_helpers::{Containment, GuardExecutable, Helpers, HostOptions};
use skein_protocol::ids::{ConnectionId, ThreadId};
use skein_provider::Providers;
use skein_store::home::{Home, Term};
use skein_store::index::ThreadIndex;
use skein_store::index::memory::MemoryIndex;
use skein_store::ownership::HomeOwnership;
use skein_store::rollout::file::FileStore;
use skein_store::rollout::file::fault::{FaultLayer, Op};
use skein_store::rollout::memory::MemoryStore;
use skein_store::rollout::{OpenMarker, RolloutStore};
use skein_store::testing::TestStore;
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};

use super::client::Client;
use super::model::{Listener, Puppet, Strings};
use crate::app::{App, ServedAt};
use crate::approved;
use crate::memory::{Freed, MemoryPressure};
use crate::outbox::OutboxLimits;
use crate::repair::StartupRepair;
use crate::search::ThreadSearch;
use crate::thread::Context;
use crate::thread::day::DayUse;
use crate::thread::gaps::Gaps;
use crate::thread::questions::QuestionNumbers;
use crate::thread::registry::Registry;
use crate::thread::subscribers::{ClientWishes, Subscribers};

/// Bound on failure of a wait. On paused time it passes at once when nothing else can happen; it is longer than
/// every grace.
pub(crate) const SOON: Duration = Duration::from_hours(2);

/// The same for real time.
const SOON_ON_FILES: Duration = Duration::from_secs(20);

pub(crate) struct Bench {
    pub services: Arc<Context>,
    pub search: Arc<ThreadSearch>,
    pub repair: Arc<StartupRepair>,
    pub disk: Arc<TestStore>,
    /// The layer under the store; unused by a store in memory.
    pub layer: FaultLayer,
    pub model: Arc<Puppet>,
    pub listener: Arc<Listener>,
    soon: Duration,
    home: Option<Arc<(TempDir, Home)>>,
    last_connection: AtomicU64,
    closed: Mutex<mpsc::Receiver<OpenMarker>>,
}

impl Bench {
    /// Over a store in memory, for paused time.
    pub(crate) fn in_memory() -> Self {
        Self::with(|_| ())
    }

    /// Over a store in memory, with other settings.
    pub(crate) fn with(tune: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::on_store(Arc::new(MemoryStore::default()), tune)
    }

    /// Over an existing store, with other settings.
    pub(crate) fn on_store(store: Arc<dyn RolloutStore>, tune: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::over(Arc::new(TestStore::over(store)), FaultLayer::new(), Tasks::new(), None, tune)
    }

    /// Over real files.
    pub(crate) fn on_files() -> Self {
        Self::on_files_with(|_| ())
    }

    /// Over real files, with other settings.
    pub(crate) fn on_files_with(tune: impl FnOnce(&mut ServerConfig)) -> Self {
        let folder = TempDir::new().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let (layer, tasks) = (FaultLayer::new(), Tasks::new());
        let store = FileStore::open(home.paths(), Arc::new(layer.clone()), tasks.clone()).unwrap();
        let disk = Arc::new(TestStore::over(Arc::new(store)));
        Self::over(disk, layer, tasks, Some(Arc::new((folder, home))), tune)
    }

    /// A second server on the same store, as after a kill of the first.
    pub(crate) fn after_a_kill(&self) -> Self {
        let disk = Arc::new(TestStore::over(self.disk.inner()));
        Self::over(disk, self.layer.clone(), Tasks::new(), self.home.clone(), |_| ())
    }

    /// A second server on the same files, which remembers nothing of the first.
    pub(crate) fn after_a_crash(&self) -> Self {
        let (_, home) = self.home.as_deref().expect("a bench on files");
        let (layer, tasks) = (FaultLayer::new(), Tasks::new());
        let store = FileStore::open(home.paths(), Arc::new(layer.clone()), tasks.clone()).unwrap();
        Self::over(Arc::new(TestStore::over(Arc::new(store))), layer, tasks, self.home.clone(), |_| ())
    }

    /// A server of this home over this layer, for paused time. The caller's task does the work on files, until the layer stops.
    pub(crate) fn on_machine(
        home: &Arc<(TempDir, Home)>,
        layer: &FaultLayer,
        (life, term): (uuid::Uuid, Term),
        tune: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        let tasks = Tasks::inline(layer.stopped());
        let store = FileStore::open(home.1.paths(), Arc::new(layer.clone()), tasks.clone()).unwrap();
        let disk = Arc::new(TestStore::over(Arc::new(store)));
        let mut bench = Self::over(disk, layer.clone(), tasks, Some(Arc::clone(home)), tune);
        bench.soon = SOON;
        bench.disk.set_life(life);
        let services = Arc::get_mut(&mut bench.services).expect("nobody uses the bench yet");
        services.ownership = Arc::new(HomeOwnership::new(term));
        // A home gives each of its servers ids of its own.
        let servers = i64::try_from(term.0).unwrap();
        services.questions = QuestionNumbers::from(home.1.first_question() + servers * 1_000_000);
        bench
    }

    /// Clears the open markers that wait for it, as the server's task does.
    pub(crate) async fn clear_open_markers(&self) {
        let batch = self.waiting_open_markers();
        self.services.index.flush().await.unwrap();
        self.disk.clear_open_markers(batch).await.unwrap();
    }

    /// Takes the open markers that wait to be cleared.
    pub(crate) fn waiting_open_markers(&self) -> Vec<OpenMarker> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| closed.try_recv().ok()).collect()
    }

    fn over(
        disk: Arc<TestStore>,
        layer: FaultLayer,
        tasks: Tasks,
        home: Option<Arc<(TempDir, Home)>>,
        tune: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        let config = tuned(tune);
        let (closed_rollouts, closed) = mpsc::channel(1_000);
        let (model, listener) = (Arc::new(Puppet::default()), Arc::new(Listener::default()));
        let store: Arc<dyn RolloutStore> = Arc::clone(&disk) as _;
        let clock = Clock;
        disk.set_life(clock.new_id());
        let index: Arc<dyn ThreadIndex> = Arc::new(MemoryIndex::default());
        let texts = skein_store::texts::TextIndex::nowhere(Arc::clone(&store), Arc::clone(&index), &tasks);
        let (search, repair) = (Arc::new(ThreadSearch::new(texts)), Arc::default());
        let services = Arc::new(Context {
            registry: Registry::new(config.limits.mailbox),
            subscribers: Subscribers::new(uuid::Uuid::nil()),
            index,
            helpers: Helpers::start(helper_options(&tasks)).unwrap(),
            questions: QuestionNumbers::from(clock.wall().0),
            day: DayUse::default(),
            restarts: Arc::new(Semaphore::new(config.restart.at_once)),
            gaps: Gaps::default(),
            ownership: Arc::new(HomeOwnership::new(Term(1))),
            counters: ServerCounters::default(),
            conversations: Arc::default(),
            question_feed: Arc::default(),
            providers: providers(&model, &listener),
            store,
            settings: Arc::new(SharedConfig::new(config)),
            pressure: MemoryPressure::default(),
            freed: Arc::new(Freed::default()),
            backlog: Arc::default(),
            keep_approval: approved::keep,
            clock,
            tasks,
            closed_rollouts,
        });
        let soon = if home.is_some() { SOON_ON_FILES } else { SOON };
        let (last_connection, closed) = (AtomicU64::new(0), Mutex::new(closed));
        Self { services, search, repair, disk, layer, model, listener, soon, home, last_connection, closed }
    }

    /// The app for a connection to this server.
    pub(crate) fn app(&self) -> Arc<App> {
        let nowhere = CredentialFile::new("/nowhere/access.json".into(), Tasks::new());
        self.app_with(Credentials::empty(Arc::new(nowhere), self.services.clock))
    }

    /// The same with these credentials.
    pub(crate) fn app_with(&self, credentials: Credentials) -> Arc<App> {
        let clock = self.services.clock;
        Arc::new(App {
            context: Arc::clone(&self.services),
            search: Arc::clone(&self.search),
            credentials: Arc::new(credentials),
            repair: Arc::clone(&self.repair),
            cluster: None,
            links: None,
            start_id: clock.new_id(),
            started: clock.wall(),
            rounds_since: clock.now(),
            refusals: Arc::default(),
            admitted: Arc::default(),
            served_at: ServedAt::default(),
        })
    }

    /// With this index. Call it before the first use of the bench.
    pub(crate) fn with_index(mut self, index: Arc<dyn ThreadIndex>) -> Self {
        Arc::get_mut(&mut self.services).expect("nobody uses the bench yet").index = index;
        self
    }

    /// With doubles of helpers that list these tools. Call it before the first use of the bench.
    pub(crate) fn with_fakes(mut self, listed: Tools) -> (Self, Fakes) {
        let (helpers, fakes) = Fakes::start(helper_options(&self.services.tasks), listed).unwrap();
        Arc::get_mut(&mut self.services).expect("nobody uses the bench yet").helpers = helpers;
        (self, fakes)
    }

    /// With this search. Call it before the first use of the bench.
    pub(crate) fn with_search(mut self, search: ThreadSearch) -> Self {
        self.search = Arc::new(search);
        self
    }

    /// Appends part of a line to a thread's file, as a torn write does.
    pub(crate) fn tear(&self, thread: ThreadId, torn: &[u8]) {
        let bytes = [self.file(thread).as_slice(), torn].concat();
        self.overwrite(thread, &bytes);
    }

    /// For a test in memory that runs on real time.
    pub(crate) fn in_real_time(mut self) -> Self {
        self.soon = SOON_ON_FILES;
        self
    }

    /// A client that is connected and initialised.
    pub(crate) fn client(&self) -> Client {
        let id = ConnectionId(self.last_connection.fetch_add(1, Ordering::Relaxed) + 1);
        Client::connect(Arc::clone(&self.services), id, self.soon)
    }

    /// A client with these wishes and limits.
    pub(crate) fn client_as(&self, wishes: ClientWishes, limits: OutboxLimits) -> Client {
        let id = ConnectionId(self.last_connection.fetch_add(1, Ordering::Relaxed) + 1);
        Client::connect_as(Arc::clone(&self.services), id, self.soon, wishes, limits)
    }

    /// A client, and a thread that it has started.
    pub(crate) async fn started(&self) -> (Client, ThreadId) {
        let mut client = self.client();
        let thread = client.start().await;
        (client, thread)
    }

    /// A client, and its thread with one complete turn.
    pub(crate) async fn materialised(&self) -> (Client, ThreadId) {
        let (mut client, thread) = self.started().await;
        client.turn(thread, "hello").await;
        (client, thread)
    }

    /// A thread that is on disk, and not loaded.
    pub(crate) async fn stored(&self) -> ThreadId {
        let (client, thread) = self.materialised().await;
        client.disconnect();
        self.gone(thread).await;
        thread
    }

    /// A client, its thread, and the strings of the running turn.
    pub(crate) async fn running(&self) -> (Client, ThreadId, Strings) {
        let (mut client, thread) = self.materialised().await;
        client.input(thread, super::model::PUPPET);
        let strings = self.strings().await;
        (client, thread, strings)
    }

    /// The strings of the next answer that a turn asks the model for.
    pub(crate) async fn strings(&self) -> Strings {
        self.within("a turn that asks the model", self.model.next()).await
    }

    /// Waits until the thread has no owner.
    pub(crate) async fn gone(&self, thread: ThreadId) {
        let gone = async {
            loop {
                let changed = self.services.registry.changed();
                if self.services.registry.handle(thread).is_none() {
                    return;
                }
                changed.await;
            }
        };
        self.within("the end of the thread's owner", gone).await;
    }

    /// Waits until no task can continue by itself: paused time passes only then.
    pub(crate) async fn drained(&self) {
        self.pass(Duration::from_millis(1)).await;
    }

    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::sleep_until(Clock.now() + time).await;
    }

    pub(crate) async fn within<T>(&self, what: &str, wait: impl Future<Output = T>) -> T {
        tokio::time::timeout(self.soon, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// The bytes of a thread's file.
    pub(crate) fn file(&self, thread: ThreadId) -> Vec<u8> {
        std::fs::read(self.path(thread)).unwrap()
    }

    pub(crate) fn overwrite(&self, thread: ThreadId, bytes: &[u8]) {
        std::fs::write(self.path(thread), bytes).unwrap();
    }

    fn path(&self, thread: ThreadId) -> PathBuf {
        let (folder, _) = self.home.as_deref().expect("a bench on files");
        let id = thread.to_string();
        folder.path().join("threads").join(&id[id.len() - 2..]).join(format!("{id}.jsonl"))
    }

    /// The types of a thread's records, in order.
    pub(crate) async fn kinds(&self, thread: ThreadId) -> Vec<String> {
        let page = self.disk.read_after(thread, skein_protocol::ids::EventSeq(0), 10_000).await.unwrap();
        page.records.iter().map(|record| record.body.kind().to_owned()).collect()
    }

    /// Ends the server, and asserts that no owner, no task and no lease in the store is left.
    /// The server is about to stop, and gives turns a moment.
    pub(crate) fn drain(&self) {
        self.services.registry.close();
        for handle in self.services.registry.handles() {
            handle.drain();
        }
    }

    pub(crate) async fn finish(self) {
        self.services.registry.close();
        for handle in self.services.registry.handles() {
            handle.shut_down();
            self.gone(handle.id()).await;
        }
        self.within("the end of every task", self.services.tasks.finish()).await;
        assert!(self.services.registry.handles().is_empty());
        assert_eq!(self.disk.held(), Vec::<ThreadId>::new(), "the store still holds threads");
    }
}

impl Drop for Bench {
    /// Releases held operations: a thread of the pool that waits would block the end of a failed test.
    fn drop(&mut self) {
        for op in [Op::Write, Op::Sync, Op::SyncFolder, Op::Open, Op::Create] {
            self.layer.release(op);
        }
    }
}

fn helper_options(tasks: &Tasks) -> HostOptions {
    HostOptions {
        guard: GuardExecutable::Path("/nowhere".into()),
        tasks: tasks.clone(),
        clock: Clock,
        stop_grace: Duration::from_millis(10),
        liveness: skein_helpers::policy::HELPER_LIVENESS,
        containment: Containment::Guard,
        exclusive: false,
        home: HomeTag::of(&[Clock.new_id().as_bytes()]),
    }
}

/// Settings without a home, as `tune` changes them.
fn tuned(tune: impl FnOnce(&mut ServerConfig)) -> ServerConfig {
    let mut config = ServerConfig::new("/nowhere".into());
    config.model_provider = super::model::NAME.to_owned();
    config.helper_rules.containment = Containment::Guard;
    // The context before the conversation has its own tests.
    (config.context.environment, config.context.doc_bytes) = (false, 0);
    // So has the warning about an unknown model.
    config.every_model.window = Some(skein_config::policy::CONTEXT_WINDOW);
    tune(&mut config);
    config
}

fn providers(model: &Arc<Puppet>, listener: &Arc<Listener>) -> Providers {
    let puppet = (super::model::NAME, Arc::clone(model) as _);
    Providers::new(vec![puppet, (super::model::LISTENER, Arc::clone(listener) as _)])
}
