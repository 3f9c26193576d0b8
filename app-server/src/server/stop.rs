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
        // One limit for all stages: a slow stage shortens the later ones.
        let limit = services.config().shutdown.limit.saturating_sub(policy::SHUTDOWN_RESERVE);
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
        // 2. Turns that wait are left to the next server. Others may end on their own for a moment; one that the next server goes on
        // with begins nothing more, and is left once nothing is under way.
        for handle in services.registry.handles() {
            handle.drain();
        }
        self.within(end, services.config().shutdown.drain, self.turns_end()).await;
        // 3. All threads shut down at once: turns are interrupted, helpers stopped, rollouts flushed. Unused helpers
        // stop in parallel.
        let zero = async {
            tokio::join!(self.threads_end(), services.helpers.close());
        };
        self.within(end, limit, zero).await;
        self.join(end, &self.background.repair_done).await;
        // 4. Clients have been notified; now their connections are closed, and the links of other servers.
        self.background.links.cancel();
        for outbox in services.subscribers.outboxes() {
            outbox.close(CloseReason::ServerStops);
        }
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
