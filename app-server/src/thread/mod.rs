//! Threads, their owners and their subscribers.
//!
//! The life of a thread is `machine.rs`, pure; `actor/` owns a thread and drives its machine; `registry.rs` finds
//! owners; `subscribers.rs` counts listeners; `dispatch.rs` brings commands to owners.

pub(crate) mod actor;
pub(crate) mod answering;
mod backlog;
pub(crate) mod budget;
pub(crate) mod catalog;
pub(crate) mod catch_up;
pub(crate) mod command;
mod context;
pub(crate) mod day;
pub(crate) mod directory;
pub(crate) mod dispatch;
pub(crate) mod effect;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod events;
pub(crate) mod gaps;
pub(crate) mod journal;
pub(crate) mod machine;
pub(crate) mod observe;
pub(crate) mod outgoing;
pub(crate) mod pages;
pub(crate) mod publication;
pub(crate) mod question_feed;
pub(crate) mod questions;
pub(crate) mod queue_error;
pub(crate) mod recent;
pub(crate) mod registry;
pub(crate) mod snapshot;
pub(crate) mod subscribers;
pub(crate) mod views;
pub(crate) mod writer;

pub(crate) use context::{Approved, Context};

#[cfg(test)]
#[cfg(feature = "races")]
mod tests;
