//! The owner, with all that it owns, over a store and a model that do what a test tells them. Connections are
//! outboxes: what a client receives is read there, as it would go over the wire.
//!
//! Nothing here sleeps. Tests in memory run on paused time; tests on files run on a folder whose operations can be
//! held back and made to fail.

mod bench;
mod client;
pub(crate) mod disk;
mod model;

mod answers;
mod checkpoints;
mod edits;
mod failures;
mod forks;
mod last_words;
mod loads;
mod numbers;
mod observers;
mod panics;
mod pressure;
mod questions;
mod rebuilds;
mod reloads;
mod repairs;
mod replays;
mod resumes;
mod shelves;
mod simulation;
mod turns;
mod unloads;

use bench::{Bench, SOON};
use client::{Client, Message};
