//! The thread of a client that goes on with another server: its number, its open questions, and its unanswered requests. Pure: no I/O
//! and no waiting.
//!
//! A bridge helps its client to the next server of a home; a server of a cluster helps its clients to the next owner of a thread.

pub mod asked;
mod continuation;
pub mod names;
pub mod numbers;
pub mod questions;
pub mod retry;
pub(crate) mod threads;
pub mod tracked;

pub use continuation::{NOT_FOUND, RelayNotice};

/// The reason of a server that stops: the request was not done.
pub const SERVER_STOPS: &str = "serverStops";
