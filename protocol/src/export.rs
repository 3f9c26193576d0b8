//! What is derived from the tables for people and other programs: the JSON Schema, TypeScript, an OpenRPC document and
//! METHODS.md. Text only; the program `generate` writes the files, and a test compares them.

mod document;
mod flat;
mod notation;
mod openrpc;
mod schema;
mod typescript;

pub use document::methods_md;
pub use openrpc::{openrpc, openrpc_json};
pub use schema::schema_json;
pub use typescript::typescript;

/// Every generated file: its path from the root of the repository, and its content.
#[must_use]
pub fn files() -> [(&'static str, String); 4] {
    [
        ("protocol/generated/schema.json", schema_json()),
        ("protocol/generated/openrpc.json", openrpc_json()),
        ("protocol/generated/skein.ts", typescript()),
        ("METHODS.md", methods_md()),
    ]
}
