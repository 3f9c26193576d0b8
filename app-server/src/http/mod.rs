//! Everything that is reached by HTTP: the websocket, and the health and the numbers of the server.

mod access;
mod control;
mod door;
mod metrics;
mod routes;

pub(crate) use control::Control;
pub(crate) use door::{Accept, Door, HasRoom, Visitor};
pub(crate) use routes::{Web, routes};
