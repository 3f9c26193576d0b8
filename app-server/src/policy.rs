//! Every number, with its unit, its reason and where it comes from. What a user may change is in `config.rs`; its
//! default is here.

use std::time::Duration;

/// Threads that may read rollouts at once. Origin: guess; reads are short.
pub const READ_THREADS: usize = 16;
/// Threads that may append and sync at once. Origin: syncs of different files run in parallel on the disk; 64
/// writers were the best of those measured for design section 6.
pub const SYNC_THREADS: usize = 64;
/// Threads that may wait for the index at once. Origin: guess; sled serialises its flushes.
pub const INDEX_THREADS: usize = 4;

/// Each wait between the stages of ending a helper: close of stdin, SIGTERM, SIGKILL. Origin: of eleven real
/// servers SIGTERM ended all within 0.5 s.
pub const HELPER_STOP_GRACE: Duration = Duration::from_millis(500);
