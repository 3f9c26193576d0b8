//! Threads: what they are, who owns them, who listens to them.

pub mod history;
