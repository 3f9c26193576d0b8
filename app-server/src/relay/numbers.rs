//! Removes event numbers from messages to a client that has not requested them.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use skein_protocol::envelope::Stamp;
use skein_protocol::ids::{ItemId, ThreadId};
use skein_protocol::notifications::{NOTIFICATIONS, ServerRequestResolved};
use skein_protocol::table::{EventKind, Notification, Recipients};

/// The beginning of the server's notifications.
const BEGINS: &str = r#"{"method":""#;

/// Members of `params.skein` for clients with event numbers only.
const OF_CATALOG: [&str; 2] = ["catalogSeq", "catalogEpoch"];

/// Whether a message has no number and does not change the session: mostly deltas. Needs no parsing.
pub fn is_quiet(text: &str) -> bool {
    let Some(method) = text.strip_prefix(BEGINS).and_then(|rest| rest.split('"').next()) else {
        return false;
    };
    let quiet = |kind, scope| kind == EventKind::Transient && scope == Recipients::Subscribers;
    method != ServerRequestResolved::INFO.wire
        && NOTIFICATIONS.iter().any(|known| known.wire == method && quiet(known.kind, known.scope))
}

/// The thread of a quiet message. Needs no parsing: the quotes of a name inside a text are escaped.
pub fn thread_of(quiet: &str) -> Option<ThreadId> {
    quiet.split_once(r#""threadId":""#)?.1.split('"').next()?.parse().ok()
}

/// The item of a quiet message, if it is about one. Needs no parsing, either.
pub fn item_of(quiet: &str) -> Option<ItemId> {
    quiet.split_once(r#""itemId":""#)?.1.split('"').next().map(ItemId::from)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plain<'a, P: ?Sized> {
    method: &'a str,
    params: &'a P,
    #[serde(skip_serializing_if = "Option::is_none")]
    emitted_at_ms: Option<i64>,
}

/// A notification without its numbers; `None` if it has none.
pub fn without(method: &str, params: Option<&RawValue>, stamp: Stamp) -> Option<String> {
    let (params, emitted_at_ms) = (params?, stamp.emitted_at_ms);
    if let Some(params) = of_catalog(method, params) {
        return serde_json::to_string(&Plain { method, params: &params, emitted_at_ms }).ok();
    }
    stamp.seq?;
    serde_json::to_string(&Plain { method, params, emitted_at_ms }).ok()
}

/// The params without the catalog number; `None` if they have none.
fn of_catalog(method: &str, params: &RawValue) -> Option<Value> {
    let to_all = NOTIFICATIONS.iter().any(|known| known.wire == method && known.scope == Recipients::All);
    // Most have none, and need no parsing.
    if !to_all || !params.get().contains(OF_CATALOG[0]) {
        return None;
    }
    let mut params: Map<String, Value> = serde_json::from_str(params.get()).ok()?;
    let skein = params.get_mut("skein")?.as_object_mut()?;
    skein.retain(|member, _| !OF_CATALOG.contains(&member.as_str()));
    if skein.is_empty() {
        params.remove("skein");
    }
    Some(Value::Object(params))
}
