//! The client's introduction, which the bridge repeats to the next server. The bridge always requests event numbers,
//! and hides them from a client that has not.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use skein_protocol::envelope;
use skein_protocol::extension::{EVENTS_EXTENSION, EVENTS_VERSION, EventsExtension};
use skein_protocol::ids::RequestId;
use skein_protocol::methods::{Initialize, Initialized};
use skein_protocol::server::{InitializeParams, InitializedParams};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The id of the bridge's own `initialize`. Clients cannot guess it.
pub(super) const HELLO: &str = "skein-bridge-hello";

/// The client's introduction.
#[derive(Debug, Default)]
pub(super) struct Hello {
    /// The params; `None` before the client's introduction.
    params: Option<InitializeParams>,
    granted: bool,
    initialized: bool,
    numbered: bool,
    opted_out: HashSet<String>,
}

impl Hello {
    /// The client's `initialize` in the form for the server; `None` to pass it unchanged: unreadable, or not the
    /// first.
    pub(super) fn ask(&mut self, id: &RequestId, params: Option<&RawValue>) -> Option<Utf8Bytes> {
        if self.granted {
            return None;
        }
        let mut params: InitializeParams = envelope::params(params).ok()?;
        let capabilities = params.capabilities.get_or_insert_default();
        let extensions = capabilities.extensions.get_or_insert_default();
        let asked = extensions.get(EVENTS_EXTENSION).and_then(|asked| asked.get("version"));
        self.numbered = asked.and_then(Value::as_u64) == Some(EVENTS_VERSION);
        extensions.insert(EVENTS_EXTENSION.to_owned(), serde_json::json!({ "version": EVENTS_VERSION }));
        self.opted_out = capabilities.opt_out_notification_methods.iter().flatten().cloned().collect();
        let line = envelope::request::<Initialize>(id, &params);
        self.params = Some(params);
        Some(line.into())
    }

    /// The server accepted the client.
    pub(super) fn granted(&mut self) {
        self.granted = self.params.is_some();
    }

    /// The client sent `initialized`.
    pub(super) fn sent_initialized(&mut self) {
        self.initialized = true;
    }

    /// The introduction to another server; `None` before the first.
    pub(super) fn again(&self) -> Option<Utf8Bytes> {
        let params = self.params.as_ref().filter(|_| self.granted)?;
        Some(envelope::request::<Initialize>(&RequestId::String(HELLO.to_owned()), params).into())
    }

    /// The `initialized` for another server, if the client sent it.
    pub(super) fn initialized(&self) -> Option<Utf8Bytes> {
        let said = || envelope::client_notification::<Initialized>(&InitializedParams::default()).into();
        self.initialized.then(said)
    }

    /// Whether the client requested event numbers.
    pub(super) fn wants_numbers(&self) -> bool {
        self.numbered
    }

    /// Whether the client opted out of this notification.
    pub(super) fn opted_out(&self, method: &str) -> bool {
        self.opted_out.contains(method)
    }
}

/// The heartbeat interval in an answer to `initialize`.
pub(super) fn heartbeat(result: &RawValue) -> Option<Duration> {
    let result: Value = serde_json::from_str(result.get()).ok()?;
    let granted = result.get("skein")?.get("extensions")?.get(EVENTS_EXTENSION)?;
    let events: EventsExtension = serde_json::from_value(granted.clone()).ok()?;
    (events.heartbeat_ms > 0).then(|| Duration::from_millis(events.heartbeat_ms))
}

/// The answer to `initialize` for a client without event numbers.
pub(super) fn plain_welcome(id: &RequestId, result: &RawValue) -> Option<String> {
    let mut result: Value = serde_json::from_str(result.get()).ok()?;
    let extensions = result.pointer_mut("/skein/extensions").and_then(Value::as_object_mut)?;
    extensions.remove(EVENTS_EXTENSION);
    Some(envelope::response(id, &result))
}
