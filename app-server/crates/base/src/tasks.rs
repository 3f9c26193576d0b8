//! The only starter of tasks. Every task has a name, is counted, and is joined when the server stops. A panicking
//! task is logged here, once.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
#[cfg(any(test, feature = "testing"))]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use tokio::runtime::{self, Handle, Runtime, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::panics::PanicWitness;
use crate::policy;

mod panics;

pub(crate) type TaskName = Cow<'static, str>;

/// Starts a thread that lives as long as the process, for work without a runtime that nobody joins.
///
/// # Errors
/// If the system refuses another thread.
pub fn thread(name: &'static str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Runs this many threads at the same moment, and waits for their end.
///
/// # Errors
/// The number of threads when the system refused the next one, and its error.
pub fn threads_at_once(count: usize) -> Result<(), (usize, io::Error)> {
    let (end, ends) = std::sync::mpsc::sync_channel::<()>(1);
    let ends = std::sync::Mutex::new(ends);
    std::thread::scope(|scope| {
        // The first waits for the end of the channel, and the others for the first.
        let wait = || drop(ends.lock().map(|ends| ends.recv()));
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, wait).map(drop);
        let started = (0..count).try_for_each(|at| spawn(at).map_err(|error| (at, error)));
        drop(end);
        started
    })
}

/// Does work of some milliseconds apart from the tasks that wait for this thread of the runtime. Another thread goes on with them at
/// once, also with a task that was woken a moment ago and that no other thread may take. The work is done when this returns.
pub fn apart<T>(work: impl FnOnce() -> T) -> T {
    let has_others = Handle::try_current().is_ok_and(|on| on.runtime_flavor() == RuntimeFlavor::MultiThread);
    if has_others { tokio::task::block_in_place(work) } else { work() }
}

/// A runtime for tasks that may use a processor for long. It has its own threads, which on Linux have a lower
/// priority than those that serve everybody. Dropping it ends its tasks at their next wait; blocking work continues.
#[derive(Debug)]
pub struct DedicatedRuntime(Option<Runtime>);

impl DedicatedRuntime {
    /// Starts `workers` threads.
    ///
    /// # Errors
    /// If the system refuses the runtime's means of waiting for I/O, such as a descriptor.
    pub fn start(workers: usize) -> io::Result<Self> {
        let mut builder = runtime::Builder::new_multi_thread();
        builder
            .worker_threads(workers)
            .thread_name("dedicated")
            .on_thread_start(lower_priority())
            .enable_all();
        Ok(Self(Some(builder.build()?)))
    }

    /// A tracker without tasks. Its [`Tasks::spawn_dedicated`] starts tasks here. Its [`Tasks::spawn`] uses the
    /// runtime that calls this function, also from a task that runs here.
    pub fn tasks(&self) -> Tasks {
        let dedicated = self.0.as_ref().map(|runtime| runtime.handle().clone());
        Tasks { dedicated, usual: Handle::try_current().ok(), ..Tasks::new() }
    }
}

impl Drop for DedicatedRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Returns a function that lowers its thread's priority below the caller's. If the system refuses, the priority
/// stays.
#[cfg(target_os = "linux")]
fn lower_priority() -> impl Fn() {
    use rustix::process::{getpriority_process, setpriority_process};
    // A thread inherits the priority of its creator, which may be lowered.
    let own = getpriority_process(None).ok();
    let lower = own.map(|own| own + policy::DEDICATED_NICE);
    move || {
        if let Some(lower) = lower {
            setpriority_process(None, lower).ok();
        }
    }
}

/// Other systems have priorities of processes only.
#[cfg(not(target_os = "linux"))]
fn lower_priority() -> impl Fn() {
    || {}
}

/// The bounded pools of threads that may block. One slow kind of work cannot starve another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockingPool {
    /// Reading rollouts.
    Read,
    /// Appending to rollouts and syncing them.
    Sync,
    /// The index.
    Index,
    /// Searching rollouts for a text.
    Search,
    /// Making the text index.
    Texts,
    /// Listing all processes of the machine.
    Processes,
    /// Ending processes that nobody watches any more.
    Cleanups,
    /// Reading files that users name.
    Inputs,
    /// Reading the directories of threads.
    Context,
}

/// Starts tasks and waits for their end. Clones share one tracker.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    panics: Arc<AtomicU64>,
    read: Arc<Semaphore>,
    sync: Arc<Semaphore>,
    index: Arc<Semaphore>,
    search: Arc<Semaphore>,
    texts: Arc<Semaphore>,
    processes: Arc<Semaphore>,
    cleanups: Arc<Semaphore>,
    inputs: Arc<Semaphore>,
    context: Arc<Semaphore>,
    dedicated: Option<Handle>,
    /// The runtime of other tasks; none means that of each caller.
    usual: Option<Handle>,
    #[cfg(any(test, feature = "testing"))]
    inline: Option<Arc<AtomicBool>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// A tracker without tasks.
    pub fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            panics: Arc::default(),
            read: Arc::new(Semaphore::new(policy::READ_THREADS)),
            sync: Arc::new(Semaphore::new(policy::SYNC_THREADS)),
            index: Arc::new(Semaphore::new(policy::INDEX_THREADS)),
            search: Arc::new(Semaphore::new(policy::SEARCH_THREADS)),
            texts: Arc::new(Semaphore::new(policy::TEXTS_THREADS)),
            processes: Arc::new(Semaphore::new(policy::PROCESSES_THREADS)),
            cleanups: Arc::new(Semaphore::new(policy::CLEANUP_THREADS)),
            inputs: Arc::new(Semaphore::new(policy::INPUT_THREADS)),
            context: Arc::new(Semaphore::new(policy::CONTEXT_THREADS)),
            dedicated: None,
            usual: None,
            #[cfg(any(test, feature = "testing"))]
            inline: None,
        }
    }

    /// A tracker without pools, for tests with a fixed order of events: blocking work runs on the caller. Once
    /// `stopped` is set, as by a power loss, work never runs or ends.
    #[cfg(any(test, feature = "testing"))]
    pub fn inline(stopped: Arc<AtomicBool>) -> Self {
        Self { inline: Some(stopped), ..Self::new() }
    }

    /// Starts a task. It runs to its end even if the handle is dropped; [`Tasks::finish`] waits for it.
    pub fn spawn<F>(&self, name: impl Into<TaskName>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let runtime = self.usual.clone().unwrap_or_else(Handle::current);
        self.spawn_on(&runtime, name.into(), future)
    }

    /// Starts a task that may use a processor for long: on the dedicated runtime, or on the caller's without one.
    pub fn spawn_dedicated<F>(&self, name: impl Into<TaskName>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match &self.dedicated {
            Some(runtime) => self.spawn_on(runtime, name.into(), future),
            None => self.spawn(name, future),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one permitted caller")]
    fn spawn_on<F>(&self, runtime: &Handle, name: TaskName, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let span = tracing::debug_span!("task", %name);
        let witness = PanicWitness::new(name, &self.panics);
        runtime.spawn(self.tracker.track_future(witness.around(future)).instrument(span))
    }

    /// Runs blocking work (files, the index) on a thread of `pool`, and waits for a free one.
    ///
    /// # Errors
    /// [`JoinError`] if the work panicked.
    #[expect(clippy::disallowed_methods, reason = "the one permitted caller")]
    pub async fn blocking<T, W>(
        &self,
        name: &'static str,
        pool: BlockingPool,
        work: W,
    ) -> Result<T, JoinError>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        #[cfg(any(test, feature = "testing"))]
        if let Some(stopped) = &self.inline {
            return Ok(done_inline(stopped, work).await);
        }
        let threads = match pool {
            BlockingPool::Read => &self.read,
            BlockingPool::Sync => &self.sync,
            BlockingPool::Index => &self.index,
            BlockingPool::Search => &self.search,
            BlockingPool::Texts => &self.texts,
            BlockingPool::Processes => &self.processes,
            BlockingPool::Cleanups => &self.cleanups,
            BlockingPool::Inputs => &self.inputs,
            BlockingPool::Context => &self.context,
        };
        // The semaphore is never closed. If it were, the work would merely run unbounded.
        let permit = Arc::clone(threads).acquire_owned().await.ok();
        let span = tracing::debug_span!("blocking", name);
        let token = self.tracker.token();
        let witness = PanicWitness::new(name, &self.panics);
        tokio::task::spawn_blocking(move || {
            let _held = (permit, token);
            let _watch = witness.watch();
            span.in_scope(work)
        })
        .await
    }

    /// Contains a panic of this work: logs and counts it, and returns `None`. State shared with others must be whole
    /// whenever the work may panic; requests and owners keep to that.
    pub fn contain<T>(&self, name: &'static str, work: impl FnOnce() -> T) -> Option<T> {
        let witness = PanicWitness::new(name, &self.panics);
        catch_unwind(AssertUnwindSafe(move || {
            let _watch = witness.watch();
            work()
        }))
        .ok()
    }

    /// Does the same for asynchronous work.
    pub async fn contain_async<F: Future>(&self, name: impl Into<TaskName>, work: F) -> Option<F::Output> {
        let witness = PanicWitness::new(name, &self.panics);
        AssertUnwindSafe(witness.around(work)).catch_unwind().await.ok()
    }

    /// The number of panics.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// A set of tasks that one owner starts and joins. Dropping it aborts the running ones.
    #[must_use]
    pub fn group<T: Send + 'static>(&self) -> TaskGroup<T> {
        TaskGroup { tasks: self.clone(), set: JoinSet::new() }
    }

    /// The number of running tasks.
    pub fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Waits until every task has ended, also tasks that start meanwhile.
    pub async fn finish(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(any(test, feature = "testing"))]
async fn done_inline<T>(stopped: &AtomicBool, work: impl FnOnce() -> T) -> T {
    // Others run meanwhile, as beside a pool's thread.
    tokio::task::yield_now().await;
    if !stopped.load(Ordering::Relaxed) {
        let done = work();
        if !stopped.load(Ordering::Relaxed) {
            return done;
        }
    }
    std::future::pending().await
}

/// Tasks with one owner. See [`Tasks::group`].
#[derive(Debug)]
pub struct TaskGroup<T> {
    tasks: Tasks,
    set: JoinSet<T>,
}

impl<T: Send + 'static> TaskGroup<T> {
    /// Starts a task of this group.
    pub fn spawn<F>(&mut self, name: impl Into<TaskName>, future: F) -> tokio::task::AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        let name = name.into();
        let span = tracing::debug_span!("task", %name);
        let witness = PanicWitness::new(name, &self.tasks.panics);
        self.set.spawn(self.tasks.tracker.track_future(witness.around(future)).instrument(span))
    }

    /// The next task that ends. It is pending while there is none, so that it can be an arm of a `select!`.
    pub async fn next(&mut self) -> Result<T, JoinError> {
        match self.set.join_next().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    /// Aborts every task, and returns when none is left.
    pub async fn end(&mut self) {
        self.set.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_task_that_was_just_woken_goes_on_beside_work_that_is_apart() {
        let tasks = Tasks::new();
        let (sender, receiver) = mpsc::sync_channel(1);
        let others = tasks.clone();
        let work = tasks.spawn("work", async move {
            let woken = others.spawn("woken", async move { sender.send(()).unwrap() });
            let came = apart(|| receiver.recv_timeout(std::time::Duration::from_secs(60)).is_ok());
            woken.await.unwrap();
            came
        });
        assert!(work.await.unwrap());
    }

    #[tokio::test]
    async fn work_apart_is_done_at_once_where_no_other_thread_is() {
        assert_eq!(apart(|| 7), 7);
    }

    #[tokio::test]
    async fn dedicated_tasks_that_never_yield_hold_up_no_other_task() {
        let runtime = DedicatedRuntime::start(2).unwrap();
        let tasks = runtime.tasks();
        let busy: Vec<_> = (0..2)
            .map(|_| {
                let (end, ends) = mpsc::channel::<()>();
                (end, tasks.spawn_dedicated("busy", async move { ends.recv().is_err() }))
            })
            .collect();
        let here = thread::current().id();
        assert_eq!(tasks.spawn("other", async { thread::current().id() }).await.unwrap(), here);
        for (end, task) in busy {
            drop(end);
            assert!(task.await.unwrap());
        }
        assert_ne!(tasks.spawn_dedicated("free", async { thread::current().id() }).await.unwrap(), here);
        tasks.finish().await;
    }

    #[tokio::test]
    async fn a_panic_counts_once_wherever_the_work_runs() {
        let tasks = Tasks::new();
        let faulty = || async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        };
        assert!(tasks.spawn::<_>("task", faulty()).await.is_err_and(|error| error.is_panic()));
        assert_eq!(tasks.panics(), 1);
        assert_eq!(tasks.contain_async("work", faulty()).await, None::<()>);
        assert_eq!(tasks.panics(), 2);
        assert_eq!(tasks.contain("work", || panic!("on purpose")), None::<()>);
        assert_eq!(tasks.panics(), 3);
        let blocking = tasks.blocking("work", BlockingPool::Read, || panic!("on purpose"));
        assert!(blocking.await.is_err_and(|error: JoinError| error.is_panic()));
        assert_eq!(tasks.panics(), 4);
        let mut group = tasks.group::<()>();
        group.spawn("member", faulty());
        assert!(group.next().await.is_err());
        assert_eq!(tasks.panics(), 5);
        // A task that is aborted while another one panics has no fault.
        tasks.spawn("endless", std::future::pending::<()>()).abort();
        tasks.finish().await;
        assert_eq!(tasks.panics(), 5);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn dedicated_threads_have_a_lower_priority_also_where_they_block() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let runtime = DedicatedRuntime::start(1).unwrap();
        let tasks = runtime.tasks();
        let (own, pools) = (priority(), tasks.clone());
        let dedicated = async move {
            let blocking = pools.blocking("look", BlockingPool::Read, priority).await.unwrap();
            (priority(), blocking)
        };
        let lower = (own + policy::DEDICATED_NICE).min(19);
        assert_eq!(tasks.spawn_dedicated("look", dedicated).await.unwrap(), (lower, lower));
        assert_eq!(priority(), own);
        tasks.finish().await;
    }

    #[tokio::test]
    async fn a_task_that_a_dedicated_one_starts_runs_where_the_others_do() {
        let runtime = DedicatedRuntime::start(1).unwrap();
        let tasks = runtime.tasks();
        let here = || Handle::current().id();
        let (usual, starter) = (here(), tasks.clone());
        let dedicated =
            async move { (here(), starter.spawn("started", async move { here() }).await.unwrap()) };
        let (own, started) = tasks.spawn_dedicated("starter", dedicated).await.unwrap();
        assert_ne!(own, usual);
        assert_eq!(started, usual);
        tasks.finish().await;
    }
}
