//! Numbers that are counted over the server's life, for `skein/status` and the metrics. Counting and reading wait for nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::durations::Durations;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// This many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Exactly this much: for the last value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of the server since its start.
#[derive(Debug, Default)]
pub struct ServerCounters {
    /// Turns that began.
    pub turns_started: Counter,
    /// Turns that ended, however.
    pub turns_completed: Counter,
    /// Requests answered with -32001.
    pub overloaded: Counter,
    /// Connections closed with 1013.
    pub slow_clients: Counter,
    /// Hard shutdowns that reached their zero.
    pub unloads: Durations,
    /// Events that were told again to clients that came back.
    pub replayed_events: Counter,
    /// Resumes by number that could not be continued.
    pub gaps: Counter,
    /// Reloads of the settings that were taken.
    pub reloads: Counter,
    /// Reloads that changed nothing, because the settings were wrong.
    pub reloads_refused: Counter,
    /// Reloads that found nothing changed.
    pub reloads_unchanged: Counter,
    /// When the last one was taken, in Unix milliseconds.
    pub reload_last_at_ms: Counter,
    /// Threads that had to make room.
    pub evicted: Counter,
    /// Times when room was needed and no thread could make it.
    pub unrelieved: Counter,
    /// Records that were given up because the disk did not take them in time.
    pub unsaved_records: Counter,
}
