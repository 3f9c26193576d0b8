//! Reloads the settings of a running server: all of a valid file, or nothing. Loaded threads take new policies at
//! once; other parts read a setting when they use it.

use std::sync::Arc;

use futures_util::future::join_all;
use skein_base::tasks::BlockingPool;
use skein_config::{ConfigErrors, ServerConfig};
use skein_protocol::error::WireError;
use skein_protocol::event::ConfigWarningNotification;
use skein_protocol::notifications::ConfigWarning;
use skein_protocol::table::Recipients;
use tokio::sync::oneshot;

use crate::models;
use crate::thread::Context;
use crate::thread::command::Command;
use crate::thread::outgoing::Notice;
use crate::thread::subscribers::Broadcast;

/// Why a reload failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The settings are wrong.
    #[error(transparent)]
    Wrong(ConfigErrors),
    /// The read panicked.
    #[error("reading them broke off, and the server's log has more")]
    BrokeOff,
}

impl ReloadError {
    pub(crate) fn to_wire(&self) -> WireError {
        let text = format!("the settings cannot be used, nothing has changed: {self}");
        match self {
            Self::Wrong(_) => WireError::invalid_request("badConfig", text),
            Self::BrokeOff => WireError::internal("settingsUnreadable", text),
        }
    }
}

/// Reads the file again, under the flags of the start. An unchanged file wakes no thread. Failed helpers are started
/// again in any case. Returns when all loaded threads have the new settings.
///
/// # Errors
/// [`ReloadError`]; the previous settings stay in force.
pub(crate) async fn reload(context: &Arc<Context>) -> Result<(), ReloadError> {
    let _turn = context.settings.turn().await;
    let origin = context.config().origin.clone();
    let look = move || origin.and_then(|origin| origin.look());
    let looked = context.tasks.blocking("read-settings", BlockingPool::Read, look).await;
    context.helpers.revive();
    match looked {
        Ok(None) => {
            context.counters.reloads_unchanged.add_one();
            Ok(())
        }
        Ok(Some(read)) => {
            take(context, read).map_err(ReloadError::Wrong)?;
            all_have_looked(context).await;
            Ok(())
        }
        // The tracker has logged it.
        Err(_) => {
            context.counters.reloads_refused.add_one();
            Err(ReloadError::BrokeOff)
        }
    }
}

/// Waits until all owners have the settings, so that the new helpers exist for the caller. An owner with a full
/// mailbox is skipped; it takes them before its next command.
async fn all_have_looked(context: &Context) {
    let asked = context.registry.handles().into_iter().filter_map(|handle| {
        let (done, passed) = oneshot::channel();
        handle.send(Command::Fence(done)).ok().map(|()| passed)
    });
    // A terminated owner drops its end.
    join_all(asked).await;
}

/// Applies the settings, and notifies everything that depends on them.
///
/// # Errors
/// The errors, which are in the log, too.
pub(crate) fn take(
    context: &Arc<Context>,
    read: Result<ServerConfig, ConfigErrors>,
) -> Result<(), ConfigErrors> {
    let config = match read {
        Ok(config) => config,
        Err(errors) => {
            context.counters.reloads_refused.add_one();
            tracing::error!("the settings are not read again, nothing has changed:");
            for error in &errors.0 {
                tracing::error!("{error}");
            }
            return Err(errors);
        }
    };
    let mut warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    let kept = context.settings.take(config);
    context.providers.configure(&context.config().providers);
    models::refresh_default(context);
    warnings.extend(kept.iter().map(|key| format!("{key} has changed; it takes effect at the next start")));
    context.counters.reload_last_at_ms.set(u64::try_from(context.clock.wall().0).unwrap_or_default());
    context.counters.reloads.add_one();
    tracing::info!("the settings were read again");
    // Level-triggered: an owner compares its settings with the current ones.
    for handle in context.registry.handles() {
        handle.wake();
    }
    context.pressure.look();
    context.day.look();
    for warning in warnings {
        tracing::warn!("{warning}");
        context.subscribers.publish_to_everybody(&config_warning(context, warning));
    }
    Ok(())
}

/// The warnings about the settings, for clients.
pub(crate) fn config_warning(context: &Context, summary: String) -> Broadcast {
    let path = context.config().home.join(skein_config::FILE).display().to_string();
    let params = ConfigWarningNotification { details: None, path: Some(path), range: None, summary };
    Notice::new::<ConfigWarning>(Recipients::All, &params, context.clock.wall(), None).broadcast
}
