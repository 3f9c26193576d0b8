//! The order in which the parts of a server stop.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use skein_protocol::extension::SkeinStoppingNotification;
use skein_protocol::notifications::SkeinStopping;
use skein_protocol::table::Recipients;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Server;
use crate::app::App;
use crate::outbox::CloseReason;
use crate::policy;
use crate::thread::outgoing::Notice;
use crate::thread::registry::ThreadHandle;
use crate::thread::snapshot::Snapshot;

impl Server {
    /// Stops everything, in order. Returns when nothing is left.
    pub async fn stop(&self) {
        let services = &self.services;
        let (drain, limit) = self.limits();
        // One limit for all stages: a slow stage shortens the later ones.
        let end = services.clock.now() + limit;
        // 1. No new connections, no new threads.
        self.web.ready.store(false, Ordering::Release);
        self.accept.cancel();
        announce_stop(services);
        self.places.remove_files();
        services.providers.stop.cancel();
        services.registry.close();
        // The thread under repair is unloaded with the others.
        self.background.repair.cancel();
        // 2. Threads at rest, and turns that wait, are left to the next server. Other turns may end on their own for a moment; one that the
        // next server goes on with begins nothing more, and is left once nothing is under way.
        let drained = async {
            tokio::select! {
                () = async { tokio::join!(self.drain_threads(), self.turns_end()); } => {}
                () = self.clients_go() => {}
            }
        };
        self.within(end, drain, drained).await;
        // 3. All threads shut down at once: turns are interrupted, helpers stopped, rollouts flushed. Unused helpers
        // stop in parallel.
        let zero = async {
            tokio::join!(self.threads_end(), services.helpers.close());
        };
        self.within(end, limit, zero).await;
        self.join(end, &self.background.repair_done).await;
        // 4. Clients have been notified; now their connections are closed, and the links of other servers.
        self.background.links.cancel();
        let outboxes = services.subscribers.outboxes();
        let closed = self.in_batches(&outboxes, |outbox| outbox.close(CloseReason::ServerStops));
        self.within(end, policy::STOPPING_SPREAD * 2, closed).await;
        // 5. Background tasks finish: markers are removed, the index is flushed and closed.
        self.background.open_markers.cancel();
        self.join(end, &self.background.open_markers_done).await;
        self.background.index.cancel();
        self.within(end, policy::CLOSE_WRITE * 2, services.tasks.finish()).await;
        services.helpers.host().finish();
        // 6. The home is free for the next server.
        drop(self.home.lock().unwrap_or_else(PoisonError::into_inner).take());
        tracing::info!("stopped");
    }

    /// The time for turns to end, and for the whole stop.
    fn limits(&self) -> (Duration, Duration) {
        let config = self.services.config();
        let limit = config.shutdown.limit.saturating_sub(policy::SHUTDOWN_RESERVE);
        match self.wishes.drained.is_cancelled() {
            true => (config.cluster.drain, config.cluster.drain + limit),
            false => (config.shutdown.drain, limit),
        }
    }

    /// Asks every thread to end once it is at rest.
    async fn drain_threads(&self) {
        let handles = self.services.registry.handles();
        self.in_batches(&handles, ThreadHandle::drain).await;
    }

    /// Closes the clients whose threads are no longer here, if they can use other servers. Never ends.
    async fn clients_go(&self) {
        let services = &self.services;
        if services.links.is_none() {
            return std::future::pending().await;
        }
        loop {
            let changed = services.registry.changed();
            let is_here = |thread| services.registry.handle(thread).is_some();
            let unserved = services.subscribers.unserved(is_here);
            self.in_batches(&unserved, |outbox| outbox.close(CloseReason::ServerStops)).await;
            changed.await;
        }
    }

    /// Does something with each of these. A server that drains spreads it, so that not everybody comes to the others at once.
    async fn in_batches<T>(&self, all: &[T], act: impl Fn(&T)) {
        let batches = if self.wishes.drained.is_cancelled() { policy::STOPPING_BATCHES } else { 1 };
        let batch = all.len().div_ceil(batches).max(1);
        for (number, batch) in all.chunks(batch).enumerate() {
            if number > 0 {
                tokio::time::sleep(policy::STOPPING_PAUSE).await;
            }
            batch.iter().for_each(&act);
        }
    }

    /// Shortens every wait of a running stop. Threads are notified first: the stop interrupts their turns, so that
    /// the death of a helper fails no call.
    pub fn stop_now(&self) {
        for handle in self.services.registry.handles() {
            handle.shut_down();
        }
        self.services.helpers.host().kill_all();
        self.hurry.cancel();
    }

    /// Waits for a background task. A panic was logged; the next start does the rest.
    async fn join(&self, end: Instant, task: &Mutex<Option<JoinHandle<()>>>) {
        let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            self.within(end, policy::CLOSE_WRITE, async { drop(task.await) }).await;
        }
    }

    /// Waits for `what` until the limit, the end of the stop, or a hurry.
    async fn within(&self, end: Instant, limit: Duration, what: impl Future<Output = ()>) {
        let until = end.min(self.services.clock.now() + limit);
        tokio::select! {
            biased;
            () = what => {}
            () = self.hurry.cancelled() => {}
            () = tokio::time::sleep_until(until) => tracing::warn!(?limit, "a wait of the stop was cut off"),
        }
    }

    async fn turns_end(&self) {
        loop {
            let changed = self.services.registry.changed();
            // A turn that waits for an answer is left to the next server.
            let works = |seen: &Snapshot| seen.turn.is_some() && !seen.waits;
            let runs = |handle: &ThreadHandle| handle.seen(works);
            let Some(handle) = self.services.registry.handles().into_iter().find(runs) else { return };
            let mut seen = handle.watch();
            tokio::select! {
                // A terminated owner has no turn.
                _ = seen.wait_for(|seen| !works(seen)) => {}
                () = changed => {}
            }
        }
    }

    async fn threads_end(&self) {
        loop {
            let changed = self.services.registry.changed();
            let handles = self.services.registry.handles();
            if handles.is_empty() {
                return;
            }
            for handle in handles {
                handle.shut_down();
            }
            changed.await;
        }
    }
}

/// Tells every client that listens when to come back, each at another time.
fn announce_stop(services: &App) {
    let receivers = services.subscribers.listening();
    let at = services.clock.wall();
    let spread = u64::try_from(policy::STOPPING_SPREAD.as_millis()).unwrap_or_default();
    for (number, receiver) in (0..).zip(&receivers) {
        let retry_after_ms = spread * number / receivers.len() as u64;
        let params = SkeinStoppingNotification { retry_after_ms };
        receiver.send(&Notice::new::<SkeinStopping>(Recipients::All, &params, at, None).broadcast);
    }
}
