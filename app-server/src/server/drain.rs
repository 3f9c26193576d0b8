//! The first part of a stop: threads at rest leave, and turns may end on their own. Beside others, their clients leave as well.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::Server;
use crate::outbox::CloseReason;
use crate::policy;
use crate::thread::registry::ThreadHandle;

impl Server {
    /// Whether somebody wants the server to drain, in place of a signal.
    pub(super) fn drains(&self) -> bool {
        self.wishes.drained.is_cancelled()
    }

    /// How long the whole stop may take, if that is longer than after a signal.
    pub fn drain_limit(&self) -> Option<Duration> {
        let config = self.services.config();
        self.drains().then(|| config.cluster.drain + config.shutdown.limit)
    }

    /// Leaves threads to the next server until no turn works, or the time is over. Returns when the rest of the stop begins, if a wish has given
    /// the turns a time of their own.
    pub(super) async fn drain(&self, began: Instant) -> Option<Instant> {
        let (wishes, is_wish) = (&self.wishes, self.drains());
        if !is_wish {
            // Another signal shortens every wait.
            wishes.sooner_at.set(began).ok();
        }
        let left = async {
            self.drain_threads().await;
            self.turns_end().await;
        };
        tokio::select! {
            biased;
            () = left => {}
            () = self.hurry.cancelled() => {}
            () = self.clients_go() => {}
            () = self.turns_had_time(began, is_wish) => tracing::warn!("turns have not ended in time, and are interrupted"),
        }
        let now = self.services.clock.now();
        is_wish.then(|| *wishes.sooner_at.get_or_init(|| now))
    }

    async fn turns_had_time(&self, began: Instant, is_wish: bool) {
        let config = self.services.config();
        let after_signal = config.shutdown.drain.min(config.shutdown.limit);
        if !is_wish {
            return sleep_until(began + after_signal).await;
        }
        let all = began + config.cluster.drain;
        tokio::select! {
            () = sleep_until(all) => {}
            () = self.wishes.sooner.cancelled() => {
                let sooner = self.services.clock.now() + after_signal;
                sleep_until(all.min(sooner)).await;
            }
        }
    }

    /// Asks every thread to end once it is at rest.
    async fn drain_threads(&self) {
        let handles = self.services.registry.handles();
        self.in_batches(&handles, ThreadHandle::drain).await;
    }

    async fn turns_end(&self) {
        loop {
            let changed = self.services.registry.changed();
            // A turn that waits for an answer is left to the next server, once its records are saved.
            let Some(handle) = self.services.registry.handles().into_iter().find(ThreadHandle::works) else {
                return;
            };
            let mut seen = handle.watch();
            seen.mark_unchanged();
            if !handle.works() {
                continue;
            }
            tokio::select! {
                // The owner shows the beginning and the end of its work. A terminated one does nothing.
                _ = seen.changed() => {}
                () = changed => {}
            }
        }
    }

    /// Closes the clients whose threads are no longer here, if they can use other servers. Never ends.
    async fn clients_go(&self) {
        let services = &self.services;
        if services.links.is_none() {
            return std::future::pending().await;
        }
        let is_here = |thread| services.registry.handle(thread).is_some();
        let most = self.batch(services.subscribers.outboxes().len());
        loop {
            for outbox in services.subscribers.unserved(is_here).into_iter().take(most) {
                outbox.close(CloseReason::ServerStops);
            }
            sleep(policy::STOPPING_PAUSE).await;
        }
    }

    /// The part of so many threads or clients that leaves at once. A server that drains spreads them, so that not everybody comes to the others
    /// in one moment.
    fn batch(&self, all: usize) -> usize {
        if self.drains() { all.div_ceil(policy::STOPPING_BATCHES).max(1) } else { usize::MAX }
    }

    /// Does something with each of these, one part after the other.
    pub(super) async fn in_batches<T>(&self, all: &[T], act: impl Fn(&T)) {
        for (number, batch) in all.chunks(self.batch(all.len())).enumerate() {
            if number > 0 {
                sleep(policy::STOPPING_PAUSE).await;
            }
            batch.iter().for_each(&act);
        }
    }
}
