//! What a user lets models call for ever: written into the settings, and in force when this is done.

use std::sync::Arc;

use crate::config::edit::{Access, NotWritten, SettingsFile};
use crate::config::{Config, Origin};
use crate::helpers::Transport;
use crate::reload::{self, Refused};
use crate::services::Services;
use crate::tasks::Pool;

/// A tool, and the helper that the user was asked about.
#[derive(Debug, Clone)]
pub struct Approved {
    /// The helper's name.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// What the name stands for in the thread.
    pub transport: Transport,
}

/// Why an approval does not last.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The server has no settings file.
    #[error("this server has no settings file")]
    NoFile,
    /// The file does not take it.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// It is written, and not in force.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The write broke off.
    #[error("writing the settings broke off, and the server's log has more")]
    BrokeOff,
}

/// Writes the approval, and has all loaded threads take it. One write after the other, as with those of clients.
///
/// # Errors
/// [`NotKept`].
pub async fn keep(services: &Arc<Services>, approved: Approved) -> Result<(), NotKept> {
    let _turn = services.settings.writing().await;
    let config = services.config();
    let write = move || write(&config, &approved);
    match services.tasks.blocking("write-approval", Pool::Sync, write).await {
        Ok(written) => written?,
        // The tracker has logged it.
        Err(_) => return Err(NotKept::BrokeOff),
    }
    Ok(reload::reload(services).await?)
}

fn write(config: &Config, approved: &Approved) -> Result<(), NotKept> {
    let flags = config.origin.as_ref().map(Origin::flags).ok_or(NotKept::NoFile)?;
    let file = SettingsFile::open_under(flags, &config.home, Access::Change);
    let mut file = file.map_err(NotWritten::from)?;
    file.approve(&approved.server, &approved.tool, &approved.transport)?;
    file.write().map_err(NotWritten::from)?;
    Ok(())
}
