//! All instances of helpers. Threads hold leases of them; the last lease that is given back ends an instance, at once or
//! after its `linger`. There is no other path, also for helpers that no two threads share.
//!
//! The key of an instance is everything that makes its process what it is, and who shares it: a thread, a working directory, or all. The
//! same key is the same instance. Policy (lists of tools, timeouts, `required`) is no part of it: each thread keeps its own. `pool/table.rs`
//! decides, without tasks and clocks, under one lock.
//!
//! - The last lease that is given back ends the instance, with `linger` after that time. An unload waits only for instances that nobody
//!   else holds. If an instance is shutting down or has ended, a new lease starts a fresh one.
//! - Without a thread (`set/lookup.rs`) a running helper of the settings is looked at; others are started for the answer and end with it.
//!   `thread/start` starts the `required` helpers itself, waits for them, and hands them to the thread's owner.
//! - All holders get what an instance reports. A later holder gets its start as the others got it. Tools that it lists anew are there
//!   for all at their next turn.
//! - An unresponsive shared instance is quarantined as soon as somebody asks for a lease or a call: a fresh one takes its place for all
//!   holders, and it ends with its calls. An instance that one thread has alone is not touched.
//! - After a change of the settings a lease whose key is still named stays, with the new policy; others are taken and given back. A call
//!   holds its lease, so a process that no setting names any more ends behind its last call, without its `linger`.
//! - A reload with the same text of the file changes nothing (`config/origin.rs`). It starts failed helpers again, for all holders.
//! - A thread that leaves ends its own calls, also at an instance that others go on with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skein_protocol::extension::HelperState;
use skein_protocol::helper::{McpServerStartupState, McpServerStatus};
use skein_protocol::ids::ThreadId;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::policy;
use crate::process::host::ProcessHost;
use crate::process::report::ExitReport;
use crate::spec::{ApprovalMode, HelperSpec};
use crate::supervisor::{HelperEvent, Reins, Snapshot, Supervisor, Terms};

mod key;
mod lease;
mod listing;
mod table;

#[cfg(any(test, feature = "testing"))]
pub(crate) mod double;
#[cfg(test)]
pub(crate) mod tests;

pub use key::Program;
pub(crate) use key::{Key, Scope};
pub(crate) use lease::{Hold, Lease};
use table::{Book, Entry, LeaseId, Left, Number, Standing};

/// The instances of one server.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) host: Arc<ProcessHost>,
    /// No await, no look at a disk and no other lock but an instance's `told` under it.
    book: Mutex<Book<Arc<Instance>, Lessee>>,
    /// An instance has left.
    left: Notify,
    /// Cancelled when the server stops: nobody waits for helpers any more.
    closing: CancellationToken,
    /// Stand for the processes in tests.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) doubles: std::sync::OnceLock<mpsc::Sender<double::Double>>,
}

/// A helper that was started.
#[derive(Debug)]
pub(crate) struct Instance {
    spec: Arc<HelperSpec>,
    /// Where it works, unless its spec says otherwise.
    directory: PathBuf,
    pub(crate) seen: watch::Receiver<Snapshot>,
    reins: Reins,
    terms: watch::Sender<Terms>,
    /// Cancelled when no process of it is left and everything is told.
    gone: CancellationToken,
    /// How far its start is, as its lessees have heard. Only touched under the pool's lock.
    told: Mutex<Option<HelperEvent>>,
}

/// Who holds an instance.
#[derive(Debug)]
pub(crate) struct Lessee {
    pub(crate) thread: ThreadId,
    events: mpsc::Sender<HelperEvent>,
    terms: Terms,
}

/// Instances that no thread uses, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Kept for who comes back.
    pub lingering: usize,
    /// Unresponsive, and kept for the calls that are under way.
    pub quarantined: usize,
}

impl Pool {
    /// Without instances. Their processes are `host`'s.
    pub(crate) fn new(host: &Arc<ProcessHost>) -> Arc<Self> {
        Arc::new(Self {
            host: Arc::clone(host),
            book: Mutex::default(),
            left: Notify::new(),
            closing: CancellationToken::new(),
            #[cfg(any(test, feature = "testing"))]
            doubles: std::sync::OnceLock::new(),
        })
    }

    /// A lease of the instance that `spec` describes for `thread`, which works in `cwd`. One that does not live, is being
    /// ended, has ended or does not respond is not given: a fresh one is.
    pub(crate) fn lease(
        self: &Arc<Self>,
        (thread, cwd): (ThreadId, &Path),
        spec: &HelperSpec,
        events: mpsc::Sender<HelperEvent>,
    ) -> Lease {
        let key = Key::of(spec, thread, cwd);
        let mut book = self.book();
        if let Some((number, _)) = book.current(&key).filter(|(_, entry)| !takes_more(entry)) {
            replace(self, &mut book, number);
        }
        // Everybody who holds it has its own list of tools, and is asked by its own rules.
        let open = HelperSpec {
            enabled_tools: None,
            disabled_tools: Vec::new(),
            default_tools_approval: ApprovalMode::default(),
            tool_approvals: BTreeMap::new(),
            ..spec.clone()
        };
        let make = |number| Instance::start(self, Arc::new(open), key.scope.directory(cwd), number);
        let lessee = Lessee { thread, events, terms: Terms::of(spec) };
        let (id, number) = book.lease(&key, lessee, make);
        if let Some(entry) = book.entry(number) {
            goes_by_all(entry);
            entry.what.tell_again(entry.lessees.get(&id));
        }
        Lease::new(self, id, key)
    }

    /// The status of an instance of this program, or server, that takes calls, whoever holds it.
    pub(crate) fn up(&self, spec: &HelperSpec) -> Option<McpServerStatus> {
        let book = self.book();
        let alike = |entry: &&Entry<Arc<Instance>, Lessee>| {
            let (one, takes) = (&entry.what.spec, &entry.what.seen.borrow().state);
            one.name == spec.name && one.transport == spec.transport && takes.is_up()
        };
        let entry = book.entries().map(|(_, entry)| entry).find(alike)?;
        let mut status = entry.what.seen.borrow().shown();
        status.tools.retain(|name, _| spec.offers(name));
        Some(status)
    }

    /// Until the server stops.
    pub(crate) async fn closing(&self) {
        self.closing.cancelled().await;
    }

    fn of(&self, lease: LeaseId) -> Option<Arc<Instance>> {
        self.book().of(lease).map(|entry| Arc::clone(&entry.what))
    }

    /// What of `spec` may change while an instance lives, counts for this lease from now on.
    fn goes_by(&self, lease: LeaseId, spec: &HelperSpec) {
        let mut book = self.book();
        if let Some(lessee) = book.lessee(lease) {
            lessee.terms = Terms::of(spec);
        }
        book.of(lease).into_iter().for_each(goes_by_all);
    }

    /// The instance that takes a call now. Where the one of the lease does not respond and is not the thread's alone, all
    /// who hold it get a fresh one, and the old one keeps only the calls that are under way.
    fn begin_call(&self, lease: &Lease) -> Option<(Number, Arc<Instance>)> {
        let mut book = self.book();
        if let Some(number) = book.number_of(lease.id)
            && book.entry(number).is_some_and(is_stuck)
        {
            tracing::warn!(helper = lease.key.name, "it does not respond; another one takes its place");
            replace(&lease.pool, &mut book, number);
        }
        book.begin_call(lease.id)
    }

    fn end_call(&self, lease: LeaseId, number: Number) {
        end(self.book().end_call(lease, number));
    }

    fn give_back(self: &Arc<Self>, lease: LeaseId, linger: Duration) -> Vec<Arc<Instance>> {
        let (left, mut ends) = {
            let mut book = self.book();
            let number = book.number_of(lease);
            let given_back = book.give_back(lease, !linger.is_zero());
            number.and_then(|number| book.entry(number)).into_iter().for_each(goes_by_all);
            given_back
        };
        match left {
            Left::Already | Left::LivesOn(None) => {}
            Left::LivesOn(Some((number, awaited))) => {
                let lingers = linger_over(Arc::clone(self), number, awaited, linger);
                self.host.options.tasks.spawn("helper-linger", lingers);
            }
            Left::Ends(instance) => ends.push(instance),
        }
        end(ends.iter().cloned());
        ends
    }

    /// Starts those again at once that are given up, or wait for their next start, for all who hold them.
    pub(crate) fn revive(self: &Arc<Self>) {
        let mut book = self.book();
        // What is over while it is held has no task any more that could be told: that one has failed itself.
        let lost = book.entries().filter(|(_, entry)| {
            matches!(entry.standing, Standing::Over)
                && entry.what.seen.borrow().state != HelperState::Disabled
        });
        let lost: Vec<Number> = lost.map(|(number, _)| number).collect();
        lost.into_iter().for_each(|number| replace(self, &mut book, number));
        // Kept for one that is just failing: it looks before it gives up. Those that run take it for nothing.
        book.entries().for_each(|(_, entry)| entry.what.reins.reopen.notify_one());
    }

    /// Those that are being ended, and that `thread` had alone or held last.
    pub(crate) fn ending(&self, thread: ThreadId) -> Vec<Arc<Instance>> {
        let book = self.book();
        let own = book.entries().filter(|(_, entry)| {
            let held_last = || entry.lessees.values().any(|lessee| lessee.thread == thread);
            entry.key.scope == Scope::Thread(thread) || held_last()
        });
        let ending = own.filter(|(_, entry)| matches!(entry.standing, Standing::Ending));
        ending.map(|(_, entry)| Arc::clone(&entry.what)).collect()
    }

    /// Ends what is kept for who comes back, and keeps nothing more. Returns when no instance is left: those that threads
    /// hold end with their threads.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        end(self.book().close());
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            if self.book().is_empty() {
                return;
            }
            left.await;
        }
    }

    /// The numbers of now. Waits for nothing.
    pub(crate) fn counts(&self) -> PoolCounts {
        let mut counts = PoolCounts::default();
        for (_, entry) in self.book().entries() {
            match entry.standing {
                Standing::Lingering(_) => counts.lingering += 1,
                Standing::Apart => counts.quarantined += 1,
                Standing::Held | Standing::Ending | Standing::Over => {}
            }
        }
        counts
    }

    fn tell(&self, number: Number, event: &HelperEvent) {
        let book = self.book();
        let Some(entry) = book.entry(number) else { return };
        match event {
            HelperEvent::Startup { .. } => *entry.what.told() = Some(event.clone()),
            HelperEvent::Liveness { .. } => {}
        }
        entry.lessees.values().for_each(|lessee| lessee.tell(event.clone()));
    }

    fn over(&self, number: Number) {
        self.book().over(number);
        self.left.notify_waiters();
    }

    fn book(&self) -> MutexGuard<'_, Book<Arc<Instance>, Lessee>> {
        // Whole whenever the lock is free, also after a panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// Starts it: its supervisor, and who tells its lessees what the supervisor tells.
    fn start(pool: &Arc<Pool>, spec: Arc<HelperSpec>, directory: PathBuf, number: Number) -> Arc<Self> {
        let (events, heard) = mpsc::channel(policy::HELPER_EVENTS);
        let (kill, reopen) = (pool.host.hurry.child_token(), Arc::new(Notify::new()));
        let (terms, told_terms) = watch::channel(Terms::of(&spec));
        let reins = Reins { stop: CancellationToken::new(), kill, reopen, terms: told_terms };
        let seen = supervise(pool, (&spec, directory.clone()), events, &reins, number);
        let name = format!("helper-events/{number}/{}", spec.name);
        let (gone, told) = (CancellationToken::new(), Mutex::default());
        let instance = Arc::new(Self { spec, directory, seen, reins, terms, gone, told });
        let relayed = relay(Arc::clone(pool), number, Arc::clone(&instance), heard);
        pool.host.options.tasks.spawn(name, relayed);
        instance
    }

    fn is_unresponsive(&self) -> bool {
        self.seen.borrow().is_unresponsive()
    }

    /// The spec of another one like it.
    fn spec(&self) -> HelperSpec {
        let Terms { startup_timeout, on_unresponsive } = *self.terms.borrow();
        HelperSpec { startup_timeout, on_unresponsive, ..HelperSpec::clone(&self.spec) }
    }

    /// Whether it was told to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.reins.stop.is_cancelled()
    }

    /// Somebody calls it while it waits for its next start: a server of somebody else's is looked for at once.
    pub(crate) fn is_called(&self) {
        if self.spec.stdio().is_none() {
            self.reins.reopen.notify_one();
        }
    }

    /// Until no process of it is left.
    pub(crate) async fn over(&self) -> ExitReport {
        self.gone.cancelled().await;
        // Bound to a name, or the borrow would outlive what it is of.
        let over = self.seen.borrow().over.clone();
        over.unwrap_or_else(|| ExitReport::nothing(&self.spec.name))
    }

    /// Kills it, whatever stage of its end it is in.
    pub(crate) fn kill(&self) {
        self.reins.stop.cancel();
        self.reins.kill.cancel();
    }

    /// Somebody new hears what the others have heard of the start.
    fn tell_again(&self, lessee: Option<&Lessee>) {
        let (Some(lessee), Some(told)) = (lessee, self.told().clone()) else { return };
        if let HelperEvent::Startup { name, state, .. } = &told
            && *state != McpServerStartupState::Starting
        {
            let (name, state) = (name.clone(), McpServerStartupState::Starting);
            lessee.tell(HelperEvent::Startup { name, state, error: None });
        }
        lessee.tell(told);
    }

    fn told(&self) -> MutexGuard<'_, Option<HelperEvent>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lessee {
    fn tell(&self, event: HelperEvent) {
        if let Err(lost) = self.events.try_send(event) {
            tracing::debug!(thread = %self.thread, %lost, "a thread does not hear what a helper tells");
        }
    }
}

/// What counts from now on for the starts and the silence of an instance: the mildest of all who hold it. One that nobody holds
/// keeps what it has.
fn goes_by_all(entry: &Entry<Arc<Instance>, Lessee>) {
    if let Some(terms) = entry.lessees.values().map(|lessee| lessee.terms).reduce(Terms::mildest) {
        entry.what.terms.send_replace(terms);
    }
}

/// Whether an instance that several may share does not respond. One that a thread has alone is waited for, or its calls are
/// interrupted: nobody else suffers.
fn is_stuck(entry: &Entry<Arc<Instance>, Lessee>) -> bool {
    match entry.key.scope {
        Scope::Thread(_) => false,
        Scope::Project(_) | Scope::Shared => entry.what.is_unresponsive(),
    }
}

/// Whether the next lessee gets this instance.
fn takes_more(entry: &Entry<Arc<Instance>, Lessee>) -> bool {
    let is = |state| entry.what.seen.borrow().state == state;
    match entry.standing {
        Standing::Held => !is_stuck(entry),
        // What nobody holds is kept for being there: one that is given up is not.
        Standing::Lingering(_) => !is_stuck(entry) && !is(HelperState::Broken),
        // One that is disabled has nothing that could be there again.
        Standing::Over => is(HelperState::Disabled),
        Standing::Apart | Standing::Ending => false,
    }
}

/// Puts the same in the place of an instance.
fn replace(pool: &Arc<Pool>, book: &mut Book<Arc<Instance>, Lessee>, number: Number) {
    let Some(entry) = book.entry(number) else { return };
    let (spec, directory) = (Arc::new(entry.what.spec()), entry.what.directory.clone());
    end(book.replace(number, |number| Instance::start(pool, spec, directory, number)));
}

fn end(instances: impl IntoIterator<Item = Arc<Instance>>) {
    instances.into_iter().for_each(|instance| instance.reins.stop.cancel());
}

/// Starts the task of an instance. What it tells goes to `events`, until it has ended.
fn supervise(
    pool: &Pool,
    (spec, directory): (&Arc<HelperSpec>, PathBuf),
    events: mpsc::Sender<HelperEvent>,
    reins: &Reins,
    number: Number,
) -> watch::Receiver<Snapshot> {
    #[cfg(any(test, feature = "testing"))]
    if let Some(doubles) = pool.doubles.get() {
        return double::Double::start(doubles, (spec, directory), events, &reins.stop);
    }
    let (supervisor, seen) = Supervisor::new(&pool.host, spec, directory, events, reins.clone());
    pool.host.options.tasks.spawn(format!("supervisor/{number}/{}", spec.name), supervisor.run());
    seen
}

/// Tells all who hold an instance what its supervisor tells, until that has ended.
async fn relay(
    pool: Arc<Pool>,
    number: Number,
    instance: Arc<Instance>,
    mut heard: mpsc::Receiver<HelperEvent>,
) {
    while let Some(event) = heard.recv().await {
        pool.tell(number, &event);
    }
    pool.over(number);
    instance.gone.cancel();
}

/// Ends an instance when nobody came for it.
async fn linger_over(pool: Arc<Pool>, number: Number, awaited: CancellationToken, linger: Duration) {
    tokio::select! {
        biased;
        () = awaited.cancelled() => {}
        () = tokio::time::sleep(linger) => end(pool.book().linger_over(number, &awaited)),
    }
}
