//! Renders the generated files: JSON Schema, TypeScript, Python, OpenRPC and METHODS.md. Text only; the program `generate`
//! writes them, and a test compares them.

mod document;
mod flat;
mod notation;
mod openrpc;
mod python;
mod recorded;
mod schema;
mod typescript;

pub use document::methods_md;
pub use openrpc::{openrpc, openrpc_json};
pub use python::python;
pub use schema::schema_json;
pub use typescript::typescript;

/// The OpenRPC document as it was generated. The types' schemas, which make it anew, need a twentieth of the server's program.
pub const OPENRPC: &str = include_str!("../generated/openrpc.json");

/// The generated files: path from the root of the repository, and content.
pub fn files() -> [(&'static str, String); 5] {
    [
        ("protocol/generated/schema.json", schema_json()),
        ("protocol/generated/openrpc.json", openrpc_json()),
        ("protocol/generated/skein.ts", typescript()),
        ("protocol/python/skein_client/protocol.py", python()),
        ("METHODS.md", methods_md()),
    ]
}
