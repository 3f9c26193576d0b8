//! The messages between servers beside the frames of clients, which are JSON objects and pass unread.
//!
//! The server that dials begins with a [`LinkHello`]. The other one answers with an array: `[number, start]` for a client's link,
//! and `[number, opening]` for an observer's. Each later array is an announcement: `[number, change]`, or `[number]` for one that is not
//! for this client. An observer may ask `["silence"]`, and the answer is `["silence", ms]`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use skein_config::access::Admission;
use skein_protocol::ids::ThreadId;
use skein_protocol::server::InitializeParams;
use skein_protocol::thread::ThreadStatus;
use uuid::Uuid;

use crate::thread::catalog::RelayedChange;

/// The first message of a link, from the server that dials.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkHello {
    /// That server, as its row names it.
    pub(crate) node: Uuid,
    /// The user of the link at that server.
    pub(crate) end: HelloEnd,
}

/// The end of a link at the server that dials.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum HelloEnd {
    /// A client of that server, as if it connected here.
    Client(Box<LinkedClient>),
    /// That server itself, for the announcements to all of its clients.
    Observer(ObserverPlace),
}

/// A client of another server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkedClient {
    /// The decision of its server to let it in. It has no secret.
    pub(crate) admission: Admission,
    pub(crate) initialize: InitializeParams,
}

/// The place of an observer among the announcements of others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObserverPlace {
    /// The number of the newest announcement of each start of a server, by its catalog's epoch.
    pub(crate) seen: BTreeMap<String, u64>,
    /// Whether the server that is dialed is newer, so that all of its announcements are wanted.
    pub(crate) from_start: bool,
}

/// The answer to an observer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObserverOpening {
    /// The epoch of the catalog.
    pub(crate) epoch: String,
    /// The announcements since its place; `None` if some are no longer known.
    pub(crate) missed: Option<Vec<(u64, RelayedChange)>>,
    /// The loaded threads that others can load.
    pub(crate) loaded: Vec<(ThreadId, ThreadStatus)>,
}

/// The question of an observer how long the other server has not reached the database.
pub(crate) const ASK_SILENCE: &str = "[\"silence\"]";

/// The answer to [`ASK_SILENCE`].
pub(crate) fn silence(silent: Duration) -> String {
    let ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
    serde_json::json!(["silence", ms]).to_string()
}

/// The time in an answer to [`ASK_SILENCE`]. `None` if the message is another one.
pub(crate) fn read_silence(text: &str) -> Option<Duration> {
    let ms = text.strip_prefix("[\"silence\",")?.strip_suffix(']')?;
    ms.parse().ok().map(Duration::from_millis)
}

/// Whether a message is one between servers.
pub(crate) fn is_for_server(text: &str) -> bool {
    text.starts_with('[')
}

/// Reads `[number]` or `[number, rest]`.
pub(crate) fn numbered<T: DeserializeOwned>(text: &str) -> Result<(u64, Option<T>), serde_json::Error> {
    match serde_json::from_str::<(u64, T)>(text) {
        Ok((number, rest)) => Ok((number, Some(rest))),
        Err(error) => serde_json::from_str::<(u64,)>(text).map(|(number,)| (number, None)).map_err(|_| error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_alone_or_before_the_rest() {
        assert!(is_for_server("[1]") && !is_for_server("{}"));
        assert_eq!(numbered::<bool>("[1]").unwrap(), (1, None));
        assert_eq!(numbered::<bool>("[1,true]").unwrap(), (1, Some(true)));
        assert_eq!(read_silence(&silence(Duration::from_secs(2))), Some(Duration::from_secs(2)));
        assert_eq!((read_silence(ASK_SILENCE), read_silence("[1,2]")), (None, None));
        assert!(numbered::<bool>("[1,2]").unwrap_err().to_string().contains("expected a boolean"));
    }
}
