//! HTTP: the websocket, the page, health checks and metrics.

mod acceptor;
mod access;
mod auth;
mod control;
mod metrics;
mod page;
mod routes;
#[cfg(test)]
mod tests;

pub(crate) use acceptor::{Accept, Acceptor, HasRoom};
pub(crate) use control::Control;
pub(crate) use routes::{WebState, routes};
