//! Helper processes: the guard, the server's side of it, and how both start and end.

pub(crate) mod control;
pub mod guard;
pub(crate) mod host;
pub(crate) mod input;
pub(crate) mod liveness;
pub(crate) mod living;
pub(crate) mod monitor;
pub(crate) mod report;
pub(crate) mod shutdown;
pub(crate) mod stages;
pub(crate) mod start;
pub(crate) mod stderr;
pub(crate) mod table;
