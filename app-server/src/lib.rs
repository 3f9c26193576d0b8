//! Skein: a websocket app-server that owns the life of threads. ARCHITECTURE.md is the map of these rooms.

pub(crate) mod app;
pub(crate) mod approved;
pub mod bounds;
pub(crate) mod connection;
pub mod database_credentials;
pub(crate) mod eviction;
pub(crate) mod expiry;
pub mod export;
pub(crate) mod feedback;
#[cfg(test)]
mod fuzz;
pub(crate) mod handlers;
pub(crate) mod handover;
pub(crate) mod http;
pub(crate) mod links;
pub(crate) mod lost_place;
pub(crate) mod memory;
pub(crate) mod models;
pub(crate) mod news;
pub(crate) mod open_markers;
pub(crate) mod outbox;
pub mod policy;
pub mod relay;
pub(crate) mod reload;
pub(crate) mod repair;
pub mod room;
pub(crate) mod router;
pub(crate) mod search;
pub(crate) mod server;
pub mod telemetry;
pub(crate) mod thread;
pub(crate) mod trash;

pub use http::{ListenError, TlsError};
pub use server::{DatabaseError, Server, StartError};
