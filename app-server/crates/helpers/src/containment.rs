//! The means of holding a helper's processes together: cgroup, PID namespace, limits, environment and process tag.

pub(crate) mod cgroup;
pub(crate) mod environment;
pub mod levels;
pub(crate) mod limits;
pub(crate) mod namespace;
pub(crate) mod step;
pub(crate) mod tag;
