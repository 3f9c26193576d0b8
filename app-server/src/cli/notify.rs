//! Reloads the settings of a running server after a change, or tells the user how.

use std::path::Path;

use skein_protocol::methods::ConfigMcpServerReload;
use skein_protocol::table::Method;
use skein_store::home::{Holder, HomePaths, SERVE, holder};

use super::client::CliClient;
use super::out::causes;
use super::outputs::ReloadOutcome;

/// The note after the settings file was made private.
pub(super) const CLOSED: &str = "; only you can read the settings now, as they have secrets";

/// The running server's state after the change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReloadNotice {
    /// No server runs.
    Nobody,
    /// It has reloaded.
    Reloaded(Option<u32>),
    /// It has not, for this reason.
    Not(Option<u32>, String),
}

/// The process that serves the home, if one does.
pub(super) fn server(home: &Path) -> Option<Holder> {
    holder(&HomePaths::new(home)).filter(|holder| holder.doing.as_deref().is_none_or(|doing| doing == SERVE))
}

/// Has the home's server read the settings again, if one runs. The change is in the file, so a failure is no error.
pub(super) async fn reload(home: &Path) -> ReloadNotice {
    let Some(holder) = server(home) else { return ReloadNotice::Nobody };
    let asked = async {
        let mut client = CliClient::open_home(home).await?;
        client.call(ConfigMcpServerReload::INFO.wire, None, |_| Ok(())).await?;
        client.close().await;
        anyhow::Ok(())
    };
    match asked.await {
        Ok(()) => ReloadNotice::Reloaded(holder.pid),
        Err(error) => ReloadNotice::Not(holder.pid, causes(&error)),
    }
}

impl ReloadNotice {
    /// A clause for the end of the message about the change.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Nobody => String::new(),
            Self::Reloaded(_) => "; the running server has read it".to_owned(),
            Self::Not(Some(pid), _) => format!("; the running server reads it when told: kill -HUP {pid}"),
            Self::Not(None, _) => "; the running server reads it at SIGHUP, or at its next start".to_owned(),
        }
    }

    pub(super) fn outcome(&self) -> Option<ReloadOutcome<'_>> {
        match self {
            Self::Nobody => None,
            Self::Reloaded(pid) => Some(ReloadOutcome { pid: *pid, reloaded: true, reason: None }),
            Self::Not(pid, why) => Some(ReloadOutcome { pid: *pid, reloaded: false, reason: Some(why) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ReloadNotice;

    #[test]
    fn a_server_that_does_not_reload_is_named_with_the_remedy() {
        assert_eq!(ReloadNotice::Nobody.words(), "");
        assert!(ReloadNotice::Not(Some(7), "no".into()).words().ends_with("kill -HUP 7"));
        assert_eq!(ReloadNotice::Not(Some(7), "no".into()).outcome().unwrap().reason, Some("no"));
    }
}
