//! Doubles and records for the tests of this crate and of higher ones.

mod disk;
mod life;
mod records;

pub use disk::TestStore;
pub use life::{Happening, RecordedLife, THREAD};
pub use records::{closed, decode, lease, named, names, opened, thread};
