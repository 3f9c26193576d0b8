//! A server that runs on the home hears that its settings have changed, or its user hears how to tell it.

use std::path::Path;

use serde_json::{Value, json};
use skein_protocol::methods::ConfigMcpServerReload;
use skein_protocol::table::Method;
use skein_store::home::{HomePaths, SERVE, holder};

use super::super::client::Client;
use super::super::out::causes;

/// What is said where the settings file was closed to others.
pub(super) const CLOSED: &str = "; only you can read the settings now, as they have secrets";

/// What the server on a home knows of the change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// There is none.
    Nobody,
    /// It has read the settings again.
    Reloaded(Option<u32>),
    /// It has not, and why.
    Not(Option<u32>, String),
}

/// Has the server on this home read its helpers again, where there is one. The change is in the file, so that nothing of
/// this is an error.
pub(super) async fn reload(home: &Path) -> Told {
    let Some(holder) = holder(&HomePaths::new(home)) else { return Told::Nobody };
    if holder.doing.as_deref().is_some_and(|doing| doing != SERVE) {
        return Told::Nobody;
    }
    let asked = async {
        let mut client = Client::open_home(home).await?;
        client.call(ConfigMcpServerReload::INFO.wire, None, |_| Ok(())).await?;
        client.close().await;
        anyhow::Ok(())
    };
    match asked.await {
        Ok(()) => Told::Reloaded(holder.pid),
        Err(error) => Told::Not(holder.pid, causes(&error)),
    }
}

impl Told {
    /// Behind a sentence that says what was changed.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Nobody => String::new(),
            Self::Reloaded(_) => "; the running server has read it".to_owned(),
            Self::Not(Some(pid), _) => format!("; the running server reads it when told: kill -HUP {pid}"),
            Self::Not(None, _) => "; the running server reads it at SIGHUP, or at its next start".to_owned(),
        }
    }

    pub(super) fn json(&self) -> Value {
        match self {
            Self::Nobody => Value::Null,
            Self::Reloaded(pid) => json!({ "pid": pid, "reloaded": true }),
            Self::Not(pid, why) => json!({ "pid": pid, "reloaded": false, "reason": why }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Told;

    #[test]
    fn who_is_not_told_is_named_with_what_to_do() {
        assert_eq!(Told::Nobody.words(), "");
        assert!(Told::Not(Some(7), "no".into()).words().ends_with("kill -HUP 7"));
        assert_eq!(Told::Not(Some(7), "no".into()).json()["reason"], "no");
    }
}
