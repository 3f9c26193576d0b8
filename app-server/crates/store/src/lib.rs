//! What Skein keeps on disk. README.md lists the rooms.

pub mod history;
pub mod home;
pub mod index;
pub mod policy;
pub mod rollout;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
