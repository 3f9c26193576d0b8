//! Skein: a websocket app-server that owns the life of threads. ARCHITECTURE.md is the map of these rooms.

pub mod app;
pub mod approved;
pub mod backup;
pub mod config;
pub mod connection;
pub mod export;
pub mod feedback;
pub mod fsck;
#[cfg(test)]
mod fuzz;
pub mod handlers;
pub mod http;
pub mod import;
pub mod markers;
pub mod memory;
pub mod models;
pub mod outbox;
pub mod policy;
pub mod pressure;
pub mod reindex;
pub mod reload;
pub mod repair;
pub mod room;
pub mod router;
pub mod search;
pub mod server;
pub mod telemetry;
pub mod thread;
pub mod trash;
pub mod turn;

pub use server::{Server, StartError};
