//! Ids for user messages, so that a repeated message counts once. If the client gives none, the bridge adds one that
//! the client never sees.

use std::collections::BTreeMap;

use memchr::memmem;
use serde::Serialize;
use serde_json::value::RawValue;
use skein_protocol::ids::RequestId;

/// The member of the params.
const MEMBER: &str = "clientUserMessageId";

/// The prefix of such ids.
const PREFIX: &str = "skein-bridge-message-";

/// The printed form: quotes in a user's text are escaped, so that no text looks like this.
const PRINTED: &str = r#""clientId":"skein-bridge-message-"#;

/// A request whose members stay as written.
#[derive(Debug, Serialize)]
pub struct RawRequest<'a> {
    /// The id.
    pub id: &'a RequestId,
    /// The wire name of the method.
    pub method: &'a str,
    /// The params, by name.
    pub params: BTreeMap<&'a str, &'a RawValue>,
}

/// The request with a message id made from `unique`; `None` if it has one or is unreadable.
pub fn named(id: &RequestId, method: &str, params: Option<&RawValue>, unique: &str) -> Option<String> {
    let mut members: BTreeMap<&str, &RawValue> = serde_json::from_str(params?.get()).ok()?;
    if members.get(MEMBER).is_some_and(|name| name.get() != "null") {
        return None;
    }
    let name = serde_json::value::to_raw_value(&format!("{PREFIX}{unique}")).ok()?;
    members.insert(MEMBER, &name);
    serde_json::to_string(&RawRequest { id, method, params: members }).ok()
}

/// A message without these ids; `None` if it has none.
pub fn without(text: &str) -> Option<String> {
    let finder = memmem::Finder::new(PRINTED);
    let mut found = finder.find_iter(text.as_bytes()).peekable();
    found.peek()?;
    let mut plain = String::with_capacity(text.len());
    let mut from = 0;
    for at in found {
        let rest = text.get(at + PRINTED.len()..).unwrap_or_default();
        let end = rest.find('"').map_or(text.len(), |quote| at + PRINTED.len() + quote + 1);
        plain += text.get(from..at).unwrap_or_default();
        plain += r#""clientId":null"#;
        from = end;
    }
    plain += text.get(from..).unwrap_or_default();
    Some(plain)
}

#[cfg(test)]
mod tests {
    use skein_protocol::methods::{TurnStart, TurnSteer};
    use skein_protocol::table::Method;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_message_without_an_id_gets_one_and_one_with_an_id_keeps_it() {
        let id = RequestId::Integer(7);
        for method in [TurnStart::INFO.wire, TurnSteer::INFO.wire] {
            let named = |text| named(&id, method, Some(&raw(text)), "u-1");
            let params = r#"{"clientUserMessageId":"skein-bridge-message-u-1","input":[ 1.50 ]}"#;
            let expected = format!(r#"{{"id":7,"method":"{method}","params":{params}}}"#);
            assert_eq!(named(r#"{"input":[ 1.50 ]}"#).as_ref(), Some(&expected), "the rest is as it was");
            let null = named(r#"{"input":[ 1.50 ],"clientUserMessageId":null}"#);
            assert_eq!(null.as_ref(), Some(&expected));
            assert_eq!(named(r#"{"clientUserMessageId":"mine"}"#), None);
            assert_eq!(named("[]"), None);
        }
    }

    #[test]
    fn nobody_sees_these_ids_and_nothing_else_is_touched() {
        let told = r#"[{"clientId":"skein-bridge-message-u-1","a":"ä"},{"clientId":"mine"},{"clientId":"skein-bridge-message-u-2"}]"#;
        let plain = r#"[{"clientId":null,"a":"ä"},{"clientId":"mine"},{"clientId":null}]"#;
        assert_eq!(without(told).as_deref(), Some(plain));
        let said = serde_json::to_string(&told).unwrap();
        assert_eq!(without(&said), None, "somebody has said it: {said}");
    }
}
