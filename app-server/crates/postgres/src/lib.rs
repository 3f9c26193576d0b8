//! Rollouts, index and ownership of threads in PostgreSQL, and the credentials of their servers. README.md lists the rooms.

pub mod address;
mod append;
mod claims;
mod connection;
mod connector;
pub mod credentials;
pub mod database;
pub mod drain;
mod failure;
mod handover;
pub mod index;
pub mod instance;
pub mod lines;
pub mod news;
pub mod node;
mod numbers;
pub mod ownership;
pub mod policy;
mod pool;
pub mod presence;
pub mod rows;
pub mod schema;
pub mod standing;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tls;
mod turns;
