//! Threads: what they are, who owns them, who listens to them.
//!
//! The life of a thread is `machine.rs`, pure; `actor/` owns a thread and drives its machine; `registry.rs` finds
//! owners; `subscribers.rs` counts listeners; `dispatch.rs` brings commands to owners.

pub mod actor;
pub mod catalog;
pub mod catch_up;
pub mod command;
mod context;
pub mod directory;
pub mod dispatch;
pub mod effect;
pub mod error;
pub mod event;
pub mod events;
pub mod holes;
pub mod journal;
pub mod machine;
pub mod observe;
pub mod outgoing;
pub mod pages;
pub mod pictures;
pub mod publication;
pub mod questions;
pub mod recent;
pub mod registry;
pub mod snapshot;
pub mod subscribers;
pub mod writer;

pub use context::{Approved, Context, KeepApproval};

#[cfg(test)]
#[cfg(feature = "races")]
mod tests;
