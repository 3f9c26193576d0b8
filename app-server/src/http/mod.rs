//! Everything that is reached by HTTP: the websocket, and the health of the server.

mod access;
mod door;
mod routes;

pub use door::{Door, Visitor};
pub use routes::{Web, routes};
