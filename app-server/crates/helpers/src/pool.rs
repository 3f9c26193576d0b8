//! All instances of helpers. Threads hold leases of them. The last returned lease stops an instance, at once or after its `linger`.
//! There is no other path, also for helpers that no two threads share.
//!
//! The key of an instance holds everything that makes its process, and its scope: one thread, one working directory, or all. The same
//! key is the same instance. Policy (lists of tools, timeouts, `required`) is no part of the key: each thread keeps its own.
//! `pool/table.rs` decides, without tasks and clocks, under one lock.
//!
//! - An unload waits only for instances without other holders. If an instance is stopping or has stopped, a new lease starts a fresh
//!   one.
//! - Without a thread (`set/lookup.rs`) a running helper of the settings serves as it is; others start for the answer and end with it.
//!   `thread/start` starts the `required` helpers itself, waits for them, and hands them to the thread's owner.
//! - All holders receive the reports of an instance. A later holder gets the start as the others got it. New tools of an instance
//!   reach each holder at its next turn.
//! - An unresponsive shared instance is quarantined at the next lease or call: a fresh one takes its place for all holders, and the old
//!   one ends with its calls. An instance of one thread alone is not replaced.
//! - After a change of the settings a lease whose key is still named stays, with the new policy; other leases are replaced. A call holds
//!   its lease, so a process that no setting names any more ends with its last call, without its `linger`.
//! - A reload with the same text of the file changes nothing (`crates/config/src/origin.rs`). It starts failed helpers again, for all holders.
//! - A thread that leaves ends its own calls, also at an instance that others keep.

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
use crate::process::shutdown::Shutdown;
use crate::spec::{ApprovalMode, HelperSpec};
use crate::supervisor::{ControlHandle, HelperEvent, HelperSnapshot, RuntimeOptions, Starter};

mod key;
mod listing;
mod table;

#[cfg(any(test, feature = "testing"))]
pub(crate) mod double;
#[cfg(test)]
pub(crate) mod tests;

pub use key::Program;
pub(crate) use key::{Key, Scope};
use table::{InstanceState, LeaseTable, Returned, TableEntry};
pub(crate) use table::{LeaseId, Number};

/// The instances of one server.
#[derive(Debug)]
pub(crate) struct HelperPool {
    pub(super) host: Arc<ProcessHost>,
    /// Held without await, disk access and other locks, except an instance's `announced`.
    table: Mutex<LeaseTable<Arc<Instance>, LeaseHolder>>,
    /// An instance was removed.
    removed: Notify,
    /// Cancelled when the server stops: waits for helpers end then.
    closing: CancellationToken,
    /// Starts the helper of an instance.
    starter: Box<dyn Starter>,
}

/// A helper that was started.
#[derive(Debug)]
pub(crate) struct Instance {
    spec: Arc<HelperSpec>,
    /// Its working directory, unless its spec has another.
    directory: PathBuf,
    pub(crate) seen: watch::Receiver<HelperSnapshot>,
    control: ControlHandle,
    options: watch::Sender<RuntimeOptions>,
    /// The last announcement of its start. Only used under the pool's lock.
    announced: Mutex<Option<HelperEvent>>,
}

/// A thread that holds an instance.
#[derive(Debug)]
pub(crate) struct LeaseHolder {
    pub(crate) thread: ThreadId,
    events: mpsc::Sender<HelperEvent>,
    options: RuntimeOptions,
}

/// The number of instances that no thread uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Kept for their `linger`.
    pub lingering: usize,
    /// Unresponsive, and kept for their calls.
    pub quarantined: usize,
}

impl HelperPool {
    /// A pool without instances. `starter` starts them.
    pub(crate) fn new(host: &Arc<ProcessHost>, starter: Box<dyn Starter>) -> Arc<Self> {
        Arc::new(Self {
            host: Arc::clone(host),
            table: Mutex::default(),
            removed: Notify::new(),
            closing: CancellationToken::new(),
            starter,
        })
    }

    /// A lease of the instance that `spec` describes; `cwd` is the thread's directory. Starts a fresh instance if the current one does
    /// not respond, is stopping or has stopped.
    pub(crate) fn lease(
        self: &Arc<Self>,
        key: &Key,
        cwd: &Path,
        holder: LeaseHolder,
        spec: &HelperSpec,
    ) -> LeaseId {
        let mut table = self.table();
        if let Some((number, _)) = table.current(key).filter(|(_, entry)| !takes_more(entry)) {
            replace(self, &mut table, number);
        }
        // Each holder has its own list of tools and its own approval rules.
        let open = HelperSpec {
            enabled_tools: None,
            disabled_tools: Vec::new(),
            default_tools_approval: ApprovalMode::default(),
            tool_approvals: BTreeMap::new(),
            ..spec.clone()
        };
        let make = |number| Instance::start(self, Arc::new(open), key.scope.directory(cwd), number);
        let (id, number) = table.lease(key, holder, make);
        if let Some(entry) = table.entry(number) {
            apply_options(entry);
            entry.instance.replay_start(entry.holders.get(&id));
        }
        id
    }

    /// The status of any instance of this program, or server, that takes calls.
    pub(crate) fn up(&self, spec: &HelperSpec) -> Option<McpServerStatus> {
        let table = self.table();
        let alike = |entry: &&TableEntry<Arc<Instance>, LeaseHolder>| {
            let (one, takes) = (&entry.instance.spec, &entry.instance.seen.borrow().state);
            one.name == spec.name && one.transport == spec.transport && takes.is_up()
        };
        let entry = table.entries().map(|(_, entry)| entry).find(alike)?;
        let mut status = entry.instance.seen.borrow().shown();
        status.tools.retain(|name, _| spec.offers(name));
        Some(status)
    }

    /// Waits until the server stops.
    pub(crate) async fn closing(&self) {
        self.closing.cancelled().await;
    }

    pub(crate) fn instance_of(&self, lease: LeaseId) -> Option<Arc<Instance>> {
        self.table().of(lease).map(|entry| Arc::clone(&entry.instance))
    }

    /// Applies the settings that may change while an instance runs, for this lease.
    pub(crate) fn set_options(&self, lease: LeaseId, spec: &HelperSpec) {
        let mut table = self.table();
        if let Some(holder) = table.holder(lease) {
            holder.options = RuntimeOptions::of(spec);
        }
        table.of(lease).into_iter().for_each(apply_options);
    }

    /// Begins a call at the instance of a lease. If a shared instance does not respond, all its holders get a fresh one first, and the
    /// old one keeps only its calls.
    pub(crate) fn begin_call(self: &Arc<Self>, lease: LeaseId) -> Option<(Number, Arc<Instance>)> {
        let mut table = self.table();
        if let Some(number) = table.number_of(lease)
            && let Some(entry) = table.entry(number).filter(|entry| is_stuck(entry))
        {
            tracing::warn!(
                helper = entry.key.name,
                "the helper does not respond; a fresh instance takes its place"
            );
            replace(self, &mut table, number);
        }
        table.begin_call(lease)
    }

    pub(crate) fn end_call(&self, lease: LeaseId, number: Number) {
        end(self.table().end_call(lease, number));
    }

    pub(crate) fn give_back(self: &Arc<Self>, lease: LeaseId, linger: Duration) -> Vec<Arc<Instance>> {
        let (left, mut ends) = {
            let mut table = self.table();
            let number = table.number_of(lease);
            let given_back = table.give_back(lease, !linger.is_zero());
            number.and_then(|number| table.entry(number)).into_iter().for_each(apply_options);
            given_back
        };
        match left {
            Returned::Already | Returned::Kept(None) => {}
            Returned::Kept(Some((number, awaited))) => {
                let lingers = linger_over(Arc::clone(self), number, awaited, linger);
                self.host.options.tasks.spawn("helper-linger", lingers);
            }
            Returned::Ends(instance) => ends.push(instance),
        }
        end(ends.iter().cloned());
        ends
    }

    /// Restarts at once the helpers that are given up or wait for their next start, for all holders.
    pub(crate) fn revive(self: &Arc<Self>) {
        let mut table = self.table();
        // A stopped instance with holders has no task any more: its supervisor failed.
        let lost = table.entries().filter(|(_, entry)| {
            matches!(entry.state, InstanceState::Stopped)
                && entry.instance.seen.borrow().state != HelperState::Disabled
        });
        let lost: Vec<Number> = lost.map(|(number, _)| number).collect();
        lost.into_iter().for_each(|number| replace(self, &mut table, number));
        // A helper that is just failing finds this before it gives up. A running helper ignores it.
        table.entries().for_each(|(_, entry)| entry.instance.control.reopen.give());
    }

    /// The stopping instances of which `thread` was the only or the last holder.
    pub(crate) fn ending(&self, thread: ThreadId) -> Vec<Arc<Instance>> {
        let table = self.table();
        let own = table.entries().filter(|(_, entry)| {
            let held_last = || entry.holders.values().any(|holder| holder.thread == thread);
            entry.key.scope == Scope::Thread(thread) || held_last()
        });
        let ending = own.filter(|(_, entry)| matches!(entry.state, InstanceState::Stopping));
        ending.map(|(_, entry)| Arc::clone(&entry.instance)).collect()
    }

    /// Kills the lingering instances.
    pub(crate) fn kill_lingering(&self) {
        let ends = self.table().end_lingering();
        ends.iter().for_each(|instance| instance.kill());
        end(ends);
    }

    /// Stops lingering instances, and keeps none from now on. Returns when no instance is left: held ones end with their threads.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        end(self.table().close());
        loop {
            let mut removed = std::pin::pin!(self.removed.notified());
            removed.as_mut().enable();
            if self.table().is_empty() {
                return;
            }
            removed.await;
        }
    }

    /// The current numbers. Waits for nothing.
    pub(crate) fn counts(&self) -> PoolCounts {
        let mut counts = PoolCounts::default();
        for (_, entry) in self.table().entries() {
            match entry.state {
                InstanceState::Lingering(_) => counts.lingering += 1,
                InstanceState::Quarantined => counts.quarantined += 1,
                InstanceState::Held | InstanceState::Stopping | InstanceState::Stopped => {}
            }
        }
        counts
    }

    fn notify(&self, number: Number, event: &HelperEvent) {
        let table = self.table();
        let Some(entry) = table.entry(number) else { return };
        match event {
            HelperEvent::Startup { .. } => *entry.instance.announced() = Some(event.clone()),
            HelperEvent::Liveness { .. } => {}
        }
        entry.holders.values().for_each(|holder| holder.notify(event.clone()));
    }

    fn stopped(&self, number: Number) {
        self.table().stopped(number);
        self.removed.notify_waiters();
    }

    fn table(&self) -> MutexGuard<'_, LeaseTable<Arc<Instance>, LeaseHolder>> {
        // Consistent whenever the lock is free, also after a panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// Starts an instance: its supervisor, and the task that passes its reports on to the holders.
    fn start(pool: &Arc<HelperPool>, spec: Arc<HelperSpec>, directory: PathBuf, number: Number) -> Arc<Self> {
        let (events, reported) = mpsc::channel(policy::HELPER_EVENTS);
        let (options, current) = watch::channel(RuntimeOptions::of(&spec));
        let shutdown = Shutdown::new(&pool.host.kill_all);
        let control = ControlHandle { shutdown, reopen: Arc::default(), options: current };
        let seen = pool.starter.start(number, &spec, directory.clone(), events, &control);
        let name = format!("helper-events/{number}/{}", spec.name);
        let instance =
            Arc::new(Self { spec, directory, seen, control, options, announced: Mutex::default() });
        let relayed = relay(Arc::clone(pool), number, Arc::clone(&instance), reported);
        pool.host.options.tasks.spawn(name, relayed);
        instance
    }

    fn is_unresponsive(&self) -> bool {
        self.seen.borrow().is_unresponsive()
    }

    /// The spec of a fresh instance in its place.
    fn spec(&self) -> HelperSpec {
        let RuntimeOptions { startup_timeout, on_unresponsive } = *self.options.borrow();
        HelperSpec { startup_timeout, on_unresponsive, ..HelperSpec::clone(&self.spec) }
    }

    /// Whether it was ordered to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.control.shutdown.is_stopping()
    }

    /// The state by `seen`, which is borrowed from the published one. A helper that is given up is starting as soon as it is asked to.
    pub(crate) fn state(&self, seen: &HelperSnapshot) -> HelperState {
        let is_asked_for = seen.state == HelperState::Broken && self.control.reopen.is_outstanding();
        if is_asked_for { HelperState::Restarting } else { seen.state }
    }

    /// Reports a call during the wait for the next start: a helper over HTTP is tried at once.
    pub(crate) fn is_called(&self) {
        if self.spec.stdio().is_none() {
            self.control.reopen.give();
        }
    }

    /// Waits until no process of it is left.
    pub(crate) async fn stopped(&self) -> ExitReport {
        self.control.shutdown.finished().await;
        // Bound to a name, or the borrow would outlive the channel.
        let over = self.seen.borrow().over.clone();
        over.unwrap_or_else(|| ExitReport::nothing(&self.spec.name))
    }

    /// Kills it, in any stage of its end.
    pub(crate) fn kill(&self) {
        self.control.shutdown.kill();
    }

    /// Sends a new holder the announcements of the start.
    fn replay_start(&self, holder: Option<&LeaseHolder>) {
        let (Some(holder), Some(last)) = (holder, self.announced().clone()) else { return };
        if let HelperEvent::Startup { name, state, .. } = &last
            && *state != McpServerStartupState::Starting
        {
            let (name, state) = (name.clone(), McpServerStartupState::Starting);
            holder.notify(HelperEvent::Startup { name, state, error: None });
        }
        holder.notify(last);
    }

    fn announced(&self) -> MutexGuard<'_, Option<HelperEvent>> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseHolder {
    /// A thread that holds an instance with this spec.
    pub(crate) fn new(thread: ThreadId, events: mpsc::Sender<HelperEvent>, spec: &HelperSpec) -> Self {
        Self { thread, events, options: RuntimeOptions::of(spec) }
    }

    fn notify(&self, event: HelperEvent) {
        if let Err(lost) = self.events.try_send(event) {
            tracing::debug!(thread = %self.thread, %lost, "a thread misses an event of a helper");
        }
    }
}

/// Applies the mildest options of all holders to an instance. Without holders its options stay.
fn apply_options(entry: &TableEntry<Arc<Instance>, LeaseHolder>) {
    if let Some(options) = entry.holders.values().map(|holder| holder.options).reduce(RuntimeOptions::mildest)
    {
        entry.instance.options.send_replace(options);
    }
}

/// Whether a shareable instance does not respond. An instance of one thread alone never counts: no other thread suffers.
fn is_stuck(entry: &TableEntry<Arc<Instance>, LeaseHolder>) -> bool {
    match entry.key.scope {
        Scope::Thread(_) => false,
        Scope::Project(_) | Scope::Shared => entry.instance.is_unresponsive(),
    }
}

/// Whether the next holder gets this instance.
fn takes_more(entry: &TableEntry<Arc<Instance>, LeaseHolder>) -> bool {
    let is = |state| entry.instance.seen.borrow().state == state;
    match entry.state {
        InstanceState::Held => !is_stuck(entry),
        // A lingering helper is kept to be ready; a helper that is given up is not.
        InstanceState::Lingering(_) => !is_stuck(entry) && !is(HelperState::Broken),
        // A fresh instance of a disabled helper would be no different.
        InstanceState::Stopped => is(HelperState::Disabled),
        InstanceState::Quarantined | InstanceState::Stopping => false,
    }
}

/// Puts a fresh instance in the place of `number`.
fn replace(pool: &Arc<HelperPool>, table: &mut LeaseTable<Arc<Instance>, LeaseHolder>, number: Number) {
    let Some(entry) = table.entry(number) else { return };
    let (spec, directory) = (Arc::new(entry.instance.spec()), entry.instance.directory.clone());
    end(table.replace(number, |number| Instance::start(pool, spec, directory, number)));
}

fn end(instances: impl IntoIterator<Item = Arc<Instance>>) {
    instances.into_iter().for_each(|instance| instance.control.shutdown.stop());
}

/// Passes the events of a supervisor on to all holders, until the supervisor has ended.
async fn relay(
    pool: Arc<HelperPool>,
    number: Number,
    instance: Arc<Instance>,
    mut reported: mpsc::Receiver<HelperEvent>,
) {
    while let Some(event) = reported.recv().await {
        pool.notify(number, &event);
    }
    pool.stopped(number);
    instance.control.shutdown.done();
}

/// Stops an instance after its `linger`, unless it gets a holder.
async fn linger_over(pool: Arc<HelperPool>, number: Number, awaited: CancellationToken, linger: Duration) {
    tokio::select! {
        biased;
        () = awaited.cancelled() => {}
        () = tokio::time::sleep(linger) => end(pool.table().linger_over(number, &awaited)),
    }
}
