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
use crate::outbox::{CloseReason, Outbox};
use crate::policy;
use crate::thread::outgoing::Notice;

impl Server {
    /// Stops everything, in order. Returns when nothing is left.
    pub async fn stop(&self) {
        let services = &self.services;
        let began = services.clock.now();
        let limit = services.config().shutdown.limit.saturating_sub(policy::SHUTDOWN_RESERVE);
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
        let drained_at = self.drain(began).await;
        // One limit for all stages: a slow stage shortens the later ones. A wish that the server drains has a time of its own for turns.
        let end = drained_at.unwrap_or(began) + limit;
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
        let close = |outbox: &Outbox| outbox.close(CloseReason::ServerStops);
        self.within(end, policy::STOPPING_SPREAD * 2, self.in_batches(&outboxes, close)).await;
        outboxes.iter().for_each(close);
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

    /// Gives the turns of a server that drains the time that they have after any signal. Shortens every wait of any other stop.
    pub fn stop_sooner(&self) {
        match self.wishes.sooner_at.set(self.services.clock.now()) {
            Ok(()) => self.wishes.sooner.cancel(),
            Err(_) => self.stop_now(),
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
