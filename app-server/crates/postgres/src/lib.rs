//! Rollouts, index and ownership of threads in PostgreSQL. README.md lists the rooms.

mod append;
mod connection;
pub mod database;
mod entrance;
mod failure;
pub mod index;
pub mod ownership;
pub mod policy;
mod pool;
pub mod schema;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod turns;
