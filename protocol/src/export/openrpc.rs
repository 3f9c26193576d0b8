//! Renders the OpenRPC document that `rpc.discover` answers.
//!
//! OpenRPC knows one kind of method. All four kinds of message are listed, told apart by `x-kind`. `x-params` is the
//! whole type of the params, while `params` lists their fields. `x-unraised` gives the reason for a message that is
//! never sent.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{
    document::{joined, lane, scope, stability},
    flat::Flat,
    schema::Schemas,
};
use crate::{
    declined::UNRAISED,
    error::CODES,
    methods::{CLIENT_NOTIFICATIONS, METHODS},
    notifications::NOTIFICATIONS,
    server_requests::SERVER_REQUESTS,
    table::{EventKind, MessageInfo, MethodInfo, NotificationInfo},
};

/// The place of types in the document.
const TYPES: &str = "#/components/schemas/";

/// The OpenRPC version, which uses JSON Schema draft 7.
const VERSION: &str = "1.3.2";

/// The version of the peer with these names and types.
const PEER: &str = "0.169.0";

/// The document; deterministic.
pub fn openrpc() -> Value {
    let flat = Flat::new(Schemas::with(SchemaSettings::draft07()), TYPES);
    let rows = [requests(&flat), client_notifications(&flat), notifications(&flat), server_requests(&flat)];
    json!({
        "openrpc": VERSION,
        "info": {
            "title": "Skein",
            "description": "An app-server that owns the life of threads, over a websocket: one JSON-RPC 2.0 message \
                            in each text frame, without the member `jsonrpc`. The core of Codex app-server v2, of \
                            the version of this document.",
            "version": PEER,
        },
        "methods": rows.concat(),
        "components": { "schemas": flat.types, "errors": errors() },
    })
}

/// The document as text that ends in a line break.
pub fn openrpc_json() -> String {
    format!("{:#}\n", openrpc())
}

fn requests(flat: &Flat) -> Vec<Value> {
    let row = |info: &MethodInfo| {
        let schemas = &flat.messages.methods[info.wire];
        let mut row = message(flat, "request", info.wire, info.doc, &schemas["params"]);
        put_result(&mut row, &schemas["result"]);
        row.insert("x-lane".to_owned(), json!(lane(info.lane)));
        row.insert("x-stability".to_owned(), json!(stability(info.stability)));
        row.insert("x-access".to_owned(), json!(info.access));
        Value::Object(row)
    };
    METHODS.iter().map(row).collect()
}

fn client_notifications(flat: &Flat) -> Vec<Value> {
    let row = |info: &MessageInfo| {
        let params = &flat.messages.client_notifications[info.wire]["params"];
        Value::Object(message(flat, "clientNotification", info.wire, info.doc, params))
    };
    CLIENT_NOTIFICATIONS.iter().map(row).collect()
}

fn notifications(flat: &Flat) -> Vec<Value> {
    let row = |info: &NotificationInfo| {
        let params = &flat.messages.notifications[info.wire]["params"];
        let mut row = message(flat, "notification", info.wire, info.doc, params);
        row.insert("x-scope".to_owned(), json!(scope(info.scope)));
        row.insert("x-durable".to_owned(), json!(info.kind == EventKind::Durable));
        Value::Object(row)
    };
    NOTIFICATIONS.iter().map(row).collect()
}

fn server_requests(flat: &Flat) -> Vec<Value> {
    let row = |info: &MessageInfo| {
        let schemas = &flat.messages.server_requests[info.wire];
        let mut row = message(flat, "serverRequest", info.wire, info.doc, &schemas["params"]);
        put_result(&mut row, &schemas["result"]);
        Value::Object(row)
    };
    SERVER_REQUESTS.iter().map(row).collect()
}

/// The members that all kinds of message share.
fn message(flat: &Flat, kind: &str, wire: &str, doc: &str, params: &Value) -> Map<String, Value> {
    let row = json!({
        "name": wire,
        "description": joined(doc),
        "paramStructure": "by-name",
        "params": fields(flat, params),
        "x-params": params,
        "x-kind": kind,
    });
    let Value::Object(mut row) = row else { return Map::new() };
    if let Some(unraised) = UNRAISED.iter().find(|row| row.wire == wire) {
        row.insert("x-unraised".to_owned(), json!(unraised.reason));
    }
    row
}

fn put_result(row: &mut Map<String, Value>, schema: &Value) {
    let name = schema["$ref"].as_str().and_then(|target| target.strip_prefix(TYPES)).unwrap_or("result");
    row.insert("result".to_owned(), json!({ "name": name, "schema": schema }));
    let errors =
        CODES.iter().map(|(_, name, _)| json!({ "$ref": format!("#/components/errors/{}", key(name)) }));
    row.insert("errors".to_owned(), errors.collect());
}

/// The fields of params, each as OpenRPC describes one.
fn fields(flat: &Flat, params: &Value) -> Vec<Value> {
    let name = params["$ref"].as_str().and_then(|target| target.strip_prefix(TYPES));
    let schema = name.and_then(|name| flat.types.get(name)).unwrap_or(params);
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let required =
        |name: &String| schema["required"].as_array().is_some_and(|names| names.contains(&json!(name)));
    let field = |(name, schema): (&String, &Value)| {
        let mut field = json!({ "name": name, "required": required(name), "schema": schema });
        if let Some(text) = schema.get("description") {
            field["description"] = text.clone();
        }
        field
    };
    properties.iter().map(field).collect()
}

fn errors() -> Map<String, Value> {
    let row = |(code, name, meaning): &(i64, &str, &str)| {
        let data = json!({ "$ref": format!("{TYPES}ErrorData") });
        (key(name), json!({ "code": code, "message": meaning, "data": data }))
    };
    CODES.iter().map(row).collect()
}

/// A name of several words, joined.
fn key(name: &str) -> String {
    name.replace(' ', "-")
}
