//! Doubles and records for the tests of this crate and of higher ones.

mod disk;
mod gate;
mod imported;
mod life;
pub mod peer;
mod records;
mod text_index;

pub use disk::TestStore;
pub use imported::imported;
pub use life::{Happening, RecordedLife, THREAD};
pub use records::{closed, decode, lease, named, names, opened, thread};
pub use text_index::IndexedThreads;
#[cfg(test)]
pub(crate) use text_index::{agent_message, found, turn_started};
