//! Skein: a websocket app-server that owns the life of threads. ARCHITECTURE.md is the map of these rooms.

pub mod clock;
pub mod config;
pub mod helpers;
pub mod home;
pub mod index;
pub mod policy;
pub mod rollout;
pub mod tasks;
pub mod telemetry;
pub mod thread;
