//! Counts over the server's life, for `skein/status` and the metrics. Counting and reading never wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::WallMs;
use crate::durations::Durations;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Sets the value, for a counter that holds the last one.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of the server since its start.
#[derive(Debug, Default)]
pub struct ServerCounters {
    /// Turns that began.
    pub turns_started: Counter,
    /// Durations of turns that ended in any way.
    pub turns: Durations,
    /// Durations of requests, from the arrival to the answer.
    pub requests: Arc<RequestDurations>,
    /// Requests answered with -32001.
    pub overloaded: Counter,
    /// Connections closed with 1013.
    pub slow_clients: Counter,
    /// Durations of unloads that stopped all helper processes.
    pub unloads: Durations,
    /// Events that were sent again to resuming clients.
    pub replayed_events: Counter,
    /// Resumes by number that found a gap.
    pub gaps: Counter,
    /// Reloads that took new settings.
    pub reloads: Counter,
    /// Reloads that changed nothing, because the settings were wrong.
    pub reloads_refused: Counter,
    /// Reloads that found nothing changed.
    pub reloads_unchanged: Counter,
    /// Time of the last accepted reload, Unix milliseconds.
    pub reload_last_at_ms: Counter,
    /// Threads that were evicted.
    pub evicted: Counter,
    /// Times when no thread could be evicted to make room.
    pub unrelieved: Counter,
    /// Records that were given up because the disk did not take them in time.
    pub unsaved_records: Counter,
    /// The disk's failures that last.
    pub disk_failures: OpenFailures,
}

/// Durations of requests, by the lane of their method.
#[derive(Debug, Default)]
pub struct RequestDurations {
    /// Of requests that are answered from memory.
    pub inline: Durations,
    /// Of requests to the disk.
    pub store: Durations,
    /// Of requests to one thread.
    pub thread: Durations,
    /// Of requests to one helper.
    pub helper: Durations,
}

/// Failures that last, each until its [`OpenFailure`] is dropped.
#[derive(Debug, Default)]
pub struct OpenFailures(Arc<Mutex<Vec<WallMs>>>);

impl OpenFailures {
    /// Counts a failure that began at this time.
    pub fn open(&self, since: WallMs, why: String) -> OpenFailure {
        lock(&self.0).push(since);
        OpenFailure { why, since, all: Arc::clone(&self.0) }
    }

    /// The beginning of the oldest failure that lasts.
    pub fn since(&self) -> Option<WallMs> {
        lock(&self.0).iter().min().copied()
    }
}

/// A failure that lasts until this is dropped.
#[derive(Debug)]
pub struct OpenFailure {
    /// The reason, for users.
    pub why: String,
    /// Its beginning.
    pub since: WallMs,
    all: Arc<Mutex<Vec<WallMs>>>,
}

impl Drop for OpenFailure {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if let Some(at) = all.iter().position(|since| *since == self.since) {
            all.swap_remove(at);
        }
    }
}

fn lock(all: &Mutex<Vec<WallMs>>) -> std::sync::MutexGuard<'_, Vec<WallMs>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_open_failure_tells_since_when() {
        let failures = OpenFailures::default();
        assert_eq!(failures.since(), None);
        let [first, second] = [1, 2].map(|at| failures.open(WallMs(at), "full".to_owned()));
        assert_eq!(failures.since(), Some(WallMs(1)));
        drop(first);
        assert_eq!(failures.since(), Some(WallMs(2)));
        drop(second);
        assert_eq!(failures.since(), None);
    }
}
