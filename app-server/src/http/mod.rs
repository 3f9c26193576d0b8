//! HTTP: the websocket, the page, health checks and metrics.

mod acceptor;
mod access;
mod auth;
mod control;
mod doors;
mod links;
mod metrics;
mod page;
mod pairing;
mod passed;
mod places;
mod routes;
mod scrapes;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use acceptor::{Accept, Acceptor, HasRoom, Visitor};
pub(crate) use control::Control;
pub(crate) use doors::Doors;
pub use doors::ListenError;
pub(crate) use links::LinkDoor;
pub(crate) use routes::{WebState, routes};
pub(crate) use scrapes::ScrapeDoor;
pub use tls::TlsError;
pub(crate) use tls::TlsKeys;
