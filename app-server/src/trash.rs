//! Purges threads deleted long ago. Touches only the trash.
//!
//! A purge cannot be undone, so a clock that is far ahead of all known times is not trusted: the times in the home at
//! the start, and later the elapsed time.

use std::sync::Arc;
use std::time::Duration;

use skein_base::clock::{Clock, WallMs};
use skein_config::SharedConfig;
use skein_store::rollout::RolloutStore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::policy;

/// Checks the trash now and then until `stop`. A running purge finishes.
pub(crate) async fn run(
    store: Arc<dyn RolloutStore>,
    settings: Arc<SharedConfig>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut known = match store.last_change().await {
        Ok(last) => Some(KnownTime { at: last.unwrap_or(clock.wall()), seen: clock.now() }),
        Err(error) => {
            tracing::warn!(%error, "the trash is not emptied: the folders of the home cannot be read");
            None
        }
    };
    loop {
        // Read each time: the settings may change.
        let keep = settings.now().trash.keep;
        let now = clock.wall();
        if let Some(known) = &mut known {
            match known.believes(now, clock.now(), keep) {
                true => purge(store.as_ref(), now, keep).await,
                false => {
                    tracing::warn!(clock_ms = now.0, "the clock is far ahead of the home; the trash is kept")
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause(keep)) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn purge(store: &dyn RolloutStore, now: WallMs, keep: Duration) {
    match store.purge(WallMs(now.0.saturating_sub(millis(keep)))).await {
        Ok(0) => {}
        Ok(purged) => tracing::info!(purged, ?keep, "deleted threads were removed for good"),
        Err(error) => tracing::warn!(%error, "the trash cannot be emptied; it is tried again"),
    }
}

/// The known time.
#[derive(Debug, Clone, Copy)]
struct KnownTime {
    /// A lower bound.
    at: WallMs,
    /// When that was known.
    seen: Instant,
}

impl KnownTime {
    /// Whether the clock is plausible. It may be ahead by `keep`, as the home may have been unused for a while.
    fn believes(&mut self, clock: WallMs, now: Instant, keep: Duration) -> bool {
        let passed = now.saturating_duration_since(self.seen);
        let at = WallMs(self.at.0.saturating_add(millis(passed)));
        let slack = keep.max(policy::TRASH_CLOCK_SLACK);
        let may_be = clock.0 <= at.0.saturating_add(millis(slack));
        if may_be {
            *self = Self { at: at.max(clock), seen: now };
        }
        may_be
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn pause(keep: Duration) -> Duration {
    keep.clamp(policy::TRASH_LOOK_LEAST, policy::TRASH_LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_clock_that_is_years_ahead_is_not_believed() {
        let (keep, start) = (30 * DAY, Clock.now());
        let at = |days: u32| WallMs(millis(days * DAY));
        let known = KnownTime { at: at(1_000), seen: start };
        // At a start: the home was used recently, or long ago.
        for (clock, believed) in [(1_000, true), (1_030, true), (1_031, false), (4_650, false), (10, true)] {
            assert_eq!({ known }.believes(at(clock), start, keep), believed, "{clock}");
        }
        // Time passes, with and without the clock.
        let mut known = known;
        for (passed, clock, believed) in
            [(1, 1_001, true), (40, 1_040, true), (41, 1_080, false), (42, 1_042, true), (400, 1_430, true)]
        {
            assert_eq!(known.believes(at(clock), start + passed * DAY, keep), believed, "{passed}");
        }
        // Without `keep` the clock need not be exact.
        assert!(KnownTime { at: at(1), seen: start }.believes(
            WallMs(at(1).0 + 9_000),
            start,
            Duration::ZERO
        ));
    }
}
