//! Removes for good what was deleted long enough ago. It only ever touches the trash.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::WallMs;
use crate::policy;
use crate::services::Services;

/// Looks into the trash at once and then again and again, until `stop`. A purge that is under way then ends by itself.
pub async fn run(services: Arc<Services>, stop: CancellationToken) {
    loop {
        // Asked anew each time: the settings may change.
        let keep = services.config().trash_keep;
        let now = services.clock.wall();
        let before = now.0.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        match services.store.purge(WallMs(before)).await {
            Ok(0) => {}
            Ok(purged) => tracing::info!(purged, ?keep, "deleted threads were removed for good"),
            Err(error) => tracing::warn!(%error, "the trash cannot be emptied; it is tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause(keep)) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn pause(keep: Duration) -> Duration {
    keep.clamp(policy::TRASH_LOOK_LEAST, policy::TRASH_LOOK)
}
