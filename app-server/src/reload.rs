//! The settings, read again while the server runs: all of a file that is right, or nothing of it. Loaded threads take the
//! new policies at once, everything else asks for a setting when it uses it.

use std::sync::Arc;

use skein_protocol::event::ConfigWarningNotification;
use skein_protocol::notifications::ConfigWarning;
use skein_protocol::table::Scope;

use crate::config::{self, Config, ConfigErrors, Flags};
use crate::services::Services;
use crate::tasks::Pool;
use crate::thread::outgoing::Notice;
use crate::thread::subscribers::Broadcast;

/// Reads the file again, under the flags of the start.
pub async fn reload(services: &Arc<Services>, flags: Flags) {
    match services.tasks.blocking("read-settings", Pool::Read, move || Config::load(&flags)).await {
        Ok(read) => take(services, read),
        // The tracker has logged it.
        Err(_) => services.counters.reloads_refused.add_one(),
    }
}

/// Takes what was read, and tells everybody whom it concerns.
pub fn take(services: &Services, read: Result<Config, ConfigErrors>) {
    let config = match read {
        Ok(config) => config,
        Err(errors) => {
            services.counters.reloads_refused.add_one();
            tracing::error!("the settings are not read again, nothing has changed:");
            for error in &errors.0 {
                tracing::error!("{error}");
            }
            return;
        }
    };
    let mut warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    let kept = services.settings.take(config);
    warnings.extend(kept.iter().map(|key| format!("{key} has changed; it takes effect at the next start")));
    services.counters.reload_last_at_ms.set(u64::try_from(services.clock.wall().0).unwrap_or_default());
    services.counters.reloads.add_one();
    tracing::info!("the settings were read again");
    // Level-triggered: an owner compares what it has with what there is now.
    for handle in services.registry.handles() {
        handle.wake();
    }
    services.pressure.look();
    for warning in warnings {
        tracing::warn!("{warning}");
        services.subscribers.publish_to_everybody(&config_warning(services, warning));
    }
}

/// What was odd in the settings, as clients hear it.
#[must_use]
pub fn config_warning(services: &Services, summary: String) -> Broadcast {
    let path = services.config().home.join(config::FILE).display().to_string();
    let params = ConfigWarningNotification { details: None, path: Some(path), range: None, summary };
    Notice::new::<ConfigWarning>(Scope::All, &params, services.clock.wall(), None).broadcast
}
