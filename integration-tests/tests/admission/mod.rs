//! The doors of a running server: whom it lets in, and whom it keeps out.

mod helper;
mod tunnels;
mod users;

use serde_json::{Value, json};
use skein_protocol::methods::{Initialize, Initialized};
use skein_protocol::table::{ClientNotification, Method};

/// The messages that open a connection.
fn greeting() -> Vec<Value> {
    let client = json!({ "name": "visitor", "version": "1" });
    vec![
        request::<Initialize>(1, json!({ "clientInfo": client })),
        json!({ "method": Initialized::INFO.wire }),
    ]
}

/// A request as a program writes it.
fn request<M: Method>(id: u32, params: Value) -> Value {
    json!({ "id": id, "method": M::INFO.wire, "params": params })
}
