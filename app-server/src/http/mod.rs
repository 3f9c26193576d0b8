//! HTTP: the websocket, health checks and metrics.

mod access;
mod control;
mod door;
mod metrics;
mod routes;

pub(crate) use control::Control;
pub(crate) use door::{Accept, Acceptor, HasRoom, Visitor};
pub(crate) use routes::{WebState, routes};
