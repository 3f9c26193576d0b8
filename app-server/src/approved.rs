//! Permanent approvals of tools: written into the settings, and in force on return.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use skein_base::tasks::BlockingPool;
use skein_config::edit::{EditMode, NotWritten, SettingsFile};
use skein_config::{Origin, ServerConfig};

use crate::reload::{self, ReloadError};
use crate::thread::{Approved, Context};

/// Why an approval is not permanent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    /// The server has no settings file.
    #[error("this server has no settings file")]
    NoFile,
    /// The file cannot be written.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// It is written, but not in force.
    #[error(transparent)]
    ReloadError(#[from] ReloadError),
    /// The write panicked.
    #[error("writing the settings broke off, and the server's log has more")]
    BrokeOff,
}

/// Writes the approval and applies it to all loaded threads; a [`KeepApproval`](crate::thread::KeepApproval). The
/// error is the text of a [`NotKept`].
pub(crate) fn keep(context: Arc<Context>, approved: Approved) -> BoxFuture<'static, Result<(), String>> {
    async move { write_and_reload(&context, approved).await.map_err(|error| error.to_string()) }.boxed()
}

/// Writes run one after the other, together with those of clients.
async fn write_and_reload(context: &Arc<Context>, approved: Approved) -> Result<(), NotKept> {
    let _turn = context.settings.writing().await;
    let config = context.config();
    let write = move || write(&config, &approved);
    match context.tasks.blocking("write-approval", BlockingPool::Sync, write).await {
        Ok(written) => written?,
        // The tracker has logged it.
        Err(_) => return Err(NotKept::BrokeOff),
    }
    Ok(reload::reload(context).await?)
}

fn write(config: &ServerConfig, approved: &Approved) -> Result<(), NotKept> {
    let flags = config.origin.as_ref().map(Origin::flags).ok_or(NotKept::NoFile)?;
    let file = SettingsFile::open_under(flags, &config.home, EditMode::Change);
    let mut file = file.map_err(NotWritten::from)?;
    file.approve(&approved.server, &approved.tool, &approved.transport)?;
    file.write().map_err(NotWritten::from)?;
    Ok(())
}
