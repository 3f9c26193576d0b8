//! Every number of this crate, with its unit, its reason and where it comes from.

/// Threads that may read rollouts at once. Origin: guess; reads are short.
pub const READ_THREADS: usize = 16;
/// Threads that may append and sync at once. Origin: syncs of different files run in parallel on the disk; 64
/// writers were the best of those measured for design section 6.
pub(crate) const SYNC_THREADS: usize = 64;
/// Threads that may wait for the index at once. Origin: guess; sled serialises its flushes.
pub const INDEX_THREADS: usize = 4;
/// Threads that may look through rollouts for a text at once. Origin: guess; a search takes a whole core, so few of them leave
/// cores to others.
pub const SEARCH_THREADS: usize = 2;
/// How much lower the priority of the threads for requests to the disk is, in steps of `nice(2)`. Origin: measured with `scripts/fairness`; they get a third of
/// what a thread that serves everybody gets where both want the same core.
#[cfg(target_os = "linux")]
pub(crate) const DEDICATED_NICE: i32 = 5;
/// Threads that make the text index at once: it writes one file.
pub(crate) const TEXTS_THREADS: usize = 1;
/// Descriptors that are kept for files: connections and helpers get none of them. Origin: every pool that reads or writes may need one.
pub(crate) const DESCRIPTORS_RESERVE: u64 = 16;
/// Descriptors that are left when files of idle threads are closed and idle threads go; of a small limit a quarter, and never fewer than a
/// helper needs beside the reserve. Origin: guess; a
/// thread with a few helpers takes some twenty.
pub(crate) const DESCRIPTORS_LOW: u64 = 64;
/// Descriptors that a helper takes while it starts; 5 of them stay. Origin: counted: 6 of pipes, 2 of a pair of sockets, 4 of the start.
pub const HELPER_DESCRIPTORS: u64 = 12;
/// Descriptors that the server asks the system for, at most. Origin: guess; some 200,000 helpers.
pub(crate) const DESCRIPTORS: u64 = 1 << 20;
/// Upper bounds of the buckets in which durations are counted, in milliseconds. Origin: an unload without helpers takes a few,
/// a stubborn helper 500 for each stage of its end, zero is promised within 1500, and a rollout is given up after 5000.
pub(crate) const DURATION_BUCKETS_MS: [u64; 11] = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 1500, 5000];
/// The least that a secret has which is masked in what a helper says, bytes. Origin: guess; shorter words stand in any text.
pub(crate) const SECRET_LEAST: usize = 6;
/// Threads that may look at all processes at once. Origin: guess; a look takes milliseconds, and few want one.
pub(crate) const PROCESSES_THREADS: usize = 2;
/// Threads that may read files which users name at once. Origin: guess; a file on a dead network disk holds up no rollout.
pub(crate) const INPUT_THREADS: usize = 2;
/// Threads that may look around in directories of threads at once. Origin: guess; some of them may be on dead disks.
pub(crate) const CONTEXT_THREADS: usize = 4;
