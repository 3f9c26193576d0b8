//! HTTP: the websocket, the page, health checks and metrics.

mod acceptor;
mod access;
mod auth;
mod control;
mod doors;
mod metrics;
mod page;
mod pairing;
mod places;
mod routes;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use acceptor::{Accept, Acceptor, HasRoom};
pub(crate) use control::Control;
pub(crate) use doors::Doors;
pub use doors::ListenError;
pub(crate) use routes::{WebState, routes};
pub use tls::TlsError;
pub(crate) use tls::TlsKeys;
