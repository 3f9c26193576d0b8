//! Skein: a websocket app-server that owns the life of threads. ARCHITECTURE.md is the map of these rooms.

pub mod clock;
pub mod helpers;
pub mod policy;
pub mod tasks;
