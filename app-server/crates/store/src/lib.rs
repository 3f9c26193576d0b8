//! Everything that Skein keeps on disk. README.md lists the rooms.

pub mod backup;
pub mod fsck;
pub mod history;
pub mod home;
pub mod import;
pub mod index;
pub mod migrate;
pub mod ownership;
pub mod policy;
pub mod reindex;
pub mod rollout;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod texts;
