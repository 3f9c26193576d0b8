//! Everything that is reached by HTTP: the websocket, and the health of the server.

mod access;
mod routes;

pub use routes::{Web, routes};
