//! Everything that is reached by HTTP: the websocket, and the health and the numbers of the server.

mod access;
mod control;
mod door;
mod metrics;
mod routes;

pub use control::Control;
pub use door::{Accept, Door, HasRoom, Visitor};
pub use routes::{Web, routes};
