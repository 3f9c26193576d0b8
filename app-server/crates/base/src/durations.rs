//! Durations, counted in buckets, for `skein/status` and the metrics. Writing and reading never wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::policy::DURATION_BUCKETS_US;

/// Measured durations.
#[derive(Debug, Default)]
pub struct Durations {
    /// The counts up to each bound; the last bucket has those above all bounds.
    buckets: [AtomicU64; DURATION_BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
    last_ms: AtomicU64,
    most_ms: AtomicU64,
}

/// The durations measured so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DurationCounts {
    /// The upper bound of each bucket in seconds, and the count in it and in no lower one.
    pub buckets: Vec<(f64, u64)>,
    /// Their number.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
    /// The last one in milliseconds.
    pub last_ms: Option<u64>,
    /// The longest one in milliseconds.
    pub max_ms: Option<u64>,
}

impl Durations {
    /// Adds a duration.
    pub fn add(&self, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        self.last_ms.store(ms, Ordering::Relaxed);
        self.most_ms.fetch_max(ms, Ordering::Relaxed);
        let at = DURATION_BUCKETS_US.partition_point(|bound| Duration::from_micros(*bound) < took);
        // Last, so that a reader of the count sees everything above too.
        self.buckets[at].fetch_add(1, Ordering::Release);
    }

    /// The durations so far.
    pub fn taken(&self) -> DurationCounts {
        #[expect(
            clippy::cast_precision_loss,
            reason = "bounds are small, and a sum of centuries may be rounded"
        )]
        let seconds = |value: u64, per_second: f64| value as f64 / per_second;
        let bounds = DURATION_BUCKETS_US.iter().map(|bound| seconds(*bound, 1e6)).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Acquire));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let known = |value: &AtomicU64| (count > 0).then(|| value.load(Ordering::Relaxed));
        let sum = seconds(self.sum_us.load(Ordering::Relaxed), 1e6);
        DurationCounts { count, sum, last_ms: known(&self.last_ms), max_ms: known(&self.most_ms), buckets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_in_the_lowest_bucket_that_has_room_for_it() {
        let durations = Durations::default();
        let none = durations.taken();
        assert_eq!((none.count, none.sum, none.last_ms, none.max_ms), (0, 0.0, None, None));
        let longest = DURATION_BUCKETS_US.last().copied().unwrap();
        for bound in DURATION_BUCKETS_US {
            durations.add(Duration::from_micros(bound));
        }
        durations.add(Duration::from_micros(longest + 1));
        durations.add(Duration::ZERO);
        let taken = durations.taken();
        let counts: Vec<u64> = taken.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts[0], 2);
        assert!(counts[1..].iter().all(|count| *count == 1), "{counts:?}");
        assert_eq!(
            (taken.count, taken.last_ms, taken.max_ms),
            (counts.len() as u64 + 1, Some(0), Some(longest / 1_000))
        );
        assert!(taken.buckets.is_sorted_by(|(one, _), (next, _)| one < next));
        let wanted = (DURATION_BUCKETS_US.iter().chain([&longest]).sum::<u64>() + 1) as f64 / 1e6;
        assert!((taken.sum - wanted).abs() < 1e-6, "{} instead of {wanted}", taken.sum);
    }
}
