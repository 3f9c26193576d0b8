//! Every number of this crate, with its unit, its reason and where it comes from.

/// Threads that read rollouts. Origin: guess; reads are short.
pub const READ_THREADS: usize = 16;
/// Threads that append and sync. Origin: syncs of different files run in parallel on the disk; 64 writers were the
/// best of those measured.
pub(crate) const SYNC_THREADS: usize = 64;
/// Threads that wait for the index. Origin: guess; sled serialises its flushes.
pub const INDEX_THREADS: usize = 4;
/// Threads that search rollouts for a text. Origin: guess; a search takes a whole core, so few of them leave cores to
/// others.
pub const SEARCH_THREADS: usize = 2;
/// Priority steps of `nice(2)` by which threads for disk requests are lower. Origin: measured with
/// `scripts/fairness`; they get a third of the time of a thread that serves everybody, if both want the same core.
#[cfg(target_os = "linux")]
pub(crate) const DEDICATED_NICE: i32 = 5;
/// Threads that write the text index, which is one file.
pub(crate) const TEXTS_THREADS: usize = 1;
/// Descriptors that are reserved for files: connections and helpers get none of them. Origin: every pool that reads
/// or writes may need one.
pub(crate) const DESCRIPTORS_RESERVE: u64 = 16;
/// Free descriptors below which files of idle threads are closed and idle threads are evicted. A quarter of a small
/// limit, and never fewer than a helper needs beside the reserve. Origin: guess; a thread with a few helpers takes
/// some twenty.
pub(crate) const DESCRIPTORS_LOW: u64 = 64;
/// Descriptors of a starting helper; 5 of them stay. Origin: counted: 6 of pipes, 2 of a pair of sockets, 4 of the
/// start.
pub const HELPER_DESCRIPTORS: u64 = 12;
/// Descriptors that the server requests from the system, at most. Origin: guess; some 200,000 helpers.
pub(crate) const DESCRIPTORS: u64 = 1 << 20;
/// Upper bounds of the buckets for durations, in microseconds. Origin: an answer from memory takes some 100, an unload without
/// helpers a few thousand, a stubborn helper half a second for each stage of its stop. A full stop is promised within 1.5 s, and
/// a rollout is given up after 5 s. Turns and tool calls take up to hours.
pub(crate) const DURATION_BUCKETS_US: [u64; 18] = [
    100,
    500,
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    1_500_000,
    5_000_000,
    15_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
    7_200_000_000,
];
/// The shortest secret that is masked in a helper's output, bytes. Origin: guess; shorter words stand in any text.
pub(crate) const SECRET_LEAST: usize = 6;
/// Threads that list all processes. Origin: guess; a list takes milliseconds, and few want one.
pub(crate) const PROCESSES_THREADS: usize = 2;
/// Threads that end processes of dead guards and servers. Origin: guess; one may take seconds beside a chain of forks, and clients
/// who come in wait for a list of processes meanwhile.
pub(crate) const CLEANUP_THREADS: usize = 2;
/// Threads that read files which users name. Origin: guess; a file on a dead network disk holds up no rollout.
pub(crate) const INPUT_THREADS: usize = 2;
/// Threads that read the directories of threads. Origin: guess; some of them may be on dead disks.
pub(crate) const CONTEXT_THREADS: usize = 4;
/// Bytes of a certificate file or a key file that are read, at most. Origin: guess; a chain of certificates has some kilobytes.
pub(crate) const PEM_BYTES: u64 = 1 << 20;
