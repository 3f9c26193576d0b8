//! The only reader of time. Decisions use the monotonic clock and take `now` as a parameter; the wall clock is
//! for records and for what a person reads.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use uuid::Uuid;

/// Milliseconds since the Unix epoch, as the wire and the rollouts write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct WallMs(pub i64);

impl WallMs {
    /// The time of a file system.
    pub fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Whole seconds since the Unix epoch, the unit of the wire's `createdAt` and `updatedAt`.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// Reads the two clocks. A tokio runtime with paused time pauses [`Clock::now`] too.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// The monotonic clock: for deadlines and durations.
    #[expect(clippy::disallowed_methods, reason = "the one permitted caller")]
    pub fn now(self) -> Instant {
        Instant::now()
    }

    /// The wall clock: for records and for display, never for a decision.
    #[expect(clippy::disallowed_methods, reason = "the one permitted caller")]
    pub fn wall(self) -> WallMs {
        WallMs::of(SystemTime::now())
    }

    /// A new UUID of version 7 (RFC 9562), for threads, turns and items.
    pub fn new_id(self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Waits until `deadline`; for ever without one.
pub async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
