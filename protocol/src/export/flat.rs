//! One name for each type, for formats with a single list of types.
//!
//! A few types differ between the received and the sent form. The sent form keeps the name; the received one gets
//! [`RECEIVED`] appended.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::schema::Schemas;

/// The suffix of a type in the form that clients send.
const RECEIVED: &str = "Param";

const RECEIVED_PATH: &str = "#/$defs/received/";
const SENT_PATH: &str = "#/$defs/sent/";

/// The messages and types of [`Schemas`] with one map of types.
pub(super) struct Flat {
    /// The messages; their own maps of types are empty.
    pub messages: Schemas,
    pub types: Map<String, Value>,
}

impl Flat {
    /// Points references to `prefix` and the type's name.
    pub(super) fn new(mut messages: Schemas, prefix: &str) -> Self {
        let names = Names { prefix, twofold: twofold(&messages.received, &messages.sent) };
        let mut types = Map::new();
        for (name, mut schema) in std::mem::take(&mut messages.received) {
            names.point(&mut schema);
            types.insert(names.received(&name), schema);
        }
        for (name, mut schema) in std::mem::take(&mut messages.sent) {
            names.point(&mut schema);
            types.insert(name, schema);
        }
        let maps = [
            &mut messages.methods,
            &mut messages.client_notifications,
            &mut messages.notifications,
            &mut messages.server_requests,
        ];
        for schema in maps.into_iter().flat_map(Map::values_mut).chain([&mut messages.error]) {
            names.point(schema);
        }
        Self { messages, types }
    }
}

struct Names<'a> {
    prefix: &'a str,
    twofold: BTreeSet<String>,
}

impl Names<'_> {
    fn received(&self, name: &str) -> String {
        if self.twofold.contains(name) { format!("{name}{RECEIVED}") } else { name.to_owned() }
    }

    /// Rewrites every reference in `schema`.
    fn point(&self, schema: &mut Value) {
        match schema {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get_mut("$ref") {
                    if let Some(name) = target.strip_prefix(RECEIVED_PATH) {
                        *target = format!("{}{}", self.prefix, self.received(name));
                    } else if let Some(name) = target.strip_prefix(SENT_PATH) {
                        *target = format!("{}{name}", self.prefix);
                    }
                }
                members.values_mut().for_each(|schema| self.point(schema));
            }
            Value::Array(schemas) => schemas.iter_mut().for_each(|schema| self.point(schema)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// The types that differ by direction, directly or through a reference.
fn twofold(received: &Map<String, Value>, sent: &Map<String, Value>) -> BTreeSet<String> {
    let both: Vec<(&String, String, String)> = received
        .iter()
        .filter_map(|(name, schema)| Some((name, schema.to_string(), sent.get(name)?.to_string())))
        .collect();
    let mut found: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = found.len();
        for (name, received, sent) in &both {
            let differs = received.replace(RECEIVED_PATH, SENT_PATH) != *sent;
            if differs || found.iter().any(|other| sent.contains(&format!("\"{SENT_PATH}{other}\""))) {
                found.insert((*name).clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}
