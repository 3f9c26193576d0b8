//! Threads: what they are, who owns them, who listens to them.

pub mod effect;
pub mod event;
pub mod history;
pub mod machine;
pub mod publication;
