//! The settings, read again while the server runs: all of a file that is right, or nothing of it. Loaded threads take the
//! new policies at once, everything else asks for a setting when it uses it.

use std::sync::Arc;

use futures_util::future::join_all;
use skein_base::tasks::Pool;
use skein_protocol::error::WireError;
use skein_protocol::event::ConfigWarningNotification;
use skein_protocol::notifications::ConfigWarning;
use skein_protocol::table::Recipients;
use tokio::sync::oneshot;

use crate::config::{self, Config, ConfigErrors};
use crate::models;
use crate::thread::Context;
use crate::thread::command::Command;
use crate::thread::outgoing::Notice;
use crate::thread::subscribers::Broadcast;

/// Why settings that were looked at again are not in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// They are wrong.
    #[error(transparent)]
    Wrong(ConfigErrors),
    /// Reading them broke off.
    #[error("reading them broke off, and the server's log has more")]
    BrokeOff,
}

impl Refused {
    /// The error as the wire says it.
    #[must_use]
    pub(crate) fn to_wire(&self) -> WireError {
        let text = format!("the settings cannot be used, nothing has changed: {self}");
        match self {
            Self::Wrong(_) => WireError::invalid_request("badConfig", text),
            Self::BrokeOff => WireError::internal("settingsUnreadable", text),
        }
    }
}

/// Looks at the file again, under the flags of the start. When it is as it was nothing is read into settings and no thread
/// is woken. Helpers that have failed are started again in any case. Returns when all loaded threads have taken what has
/// changed.
///
/// # Errors
/// [`Refused`]; the settings that were in force still are.
pub(crate) async fn reload(context: &Arc<Context>) -> Result<(), Refused> {
    let _turn = context.settings.turn().await;
    let origin = context.config().origin.clone();
    let look = move || origin.and_then(|origin| origin.look());
    let looked = context.tasks.blocking("read-settings", Pool::Read, look).await;
    context.helpers.revive();
    match looked {
        Ok(None) => {
            context.counters.reloads_unchanged.add_one();
            Ok(())
        }
        Ok(Some(read)) => {
            take(context, read).map_err(Refused::Wrong)?;
            all_have_looked(context).await;
            Ok(())
        }
        // The tracker has logged it.
        Err(_) => {
            context.counters.reloads_refused.add_one();
            Err(Refused::BrokeOff)
        }
    }
}

/// Until every owner has taken the settings: whoever asked for the reload finds the new helpers. Owners never stall. One that
/// has too much to do is not waited for; it takes them before its next command all the same.
async fn all_have_looked(context: &Context) {
    let asked = context.registry.handles().into_iter().filter_map(|handle| {
        let (done, passed) = oneshot::channel();
        handle.send(Command::Fence(done)).ok().map(|()| passed)
    });
    // An owner that has gone drops its end.
    join_all(asked).await;
}

/// Takes what was read, and tells everybody whom it concerns.
///
/// # Errors
/// What was wrong with it; it is in the log, too.
pub(crate) fn take(context: &Arc<Context>, read: Result<Config, ConfigErrors>) -> Result<(), ConfigErrors> {
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
    // Level-triggered: an owner compares what it has with what there is now.
    for handle in context.registry.handles() {
        handle.wake();
    }
    context.pressure.look();
    for warning in warnings {
        tracing::warn!("{warning}");
        context.subscribers.publish_to_everybody(&config_warning(context, warning));
    }
    Ok(())
}

/// What was odd in the settings, as clients hear it.
#[must_use]
pub(crate) fn config_warning(context: &Context, summary: String) -> Broadcast {
    let path = context.config().home.join(config::FILE).display().to_string();
    let params = ConfigWarningNotification { details: None, path: Some(path), range: None, summary };
    Notice::new::<ConfigWarning>(Recipients::All, &params, context.clock.wall(), None).broadcast
}
