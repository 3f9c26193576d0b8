//! What Skein promises to its users, shown on a real server with real processes: a module for each promise.

mod approvals;
mod conformance;
mod control;
mod crash;
mod edits;
mod endings;
mod helpers;
mod histories;
mod imports;
mod lifecycle;
mod links;
mod lists;
mod marks;
mod memory;
mod questions;
mod reconnect;
mod search;
mod shelves;
mod snapshots;
mod streams;
mod terminal;
mod texts;
mod trials;
mod turns;
mod wedged;
mod wire;
