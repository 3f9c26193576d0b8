//! The numbers of helpers: timeouts, bounds and limits.

/// Questions of helpers waiting for their thread's owner. Origin: guess; a session without room waits.
pub(crate) const HELPER_QUESTIONS_WAITING: usize = 16;
/// The least `limits.memory` of a helper, in bytes. Origin: guess; hardly a program starts below it, and the starting
/// process itself needs a few MiB.
pub(crate) const HELPER_MEMORY_LEAST: u64 = 16 << 20;
/// The most that `limits.processes` takes. Origin: the kernel's own limit of pids (proc_sys_kernel(5)).
pub(crate) const HELPER_PROCESSES_MOST: u64 = 1 << 22;
/// The most that `limits.files` takes. Origin: guess; the kernel's own limit is settable, usually a million.
pub(crate) const HELPER_FILES_MOST: u64 = 1 << 30;
/// Bounds of `limits.nice`. Origin: setpriority(2).
pub(crate) const NICE_LEAST: i32 = -20;
/// See above.
pub(crate) const NICE_MOST: i32 = 19;
/// Bytes of one helper's instructions for a model. Origin: guess; a page, and a thousand tokens.
pub(crate) const HELPER_INSTRUCTIONS_BYTES: usize = 4 << 10;
/// Bytes of the instructions of all helpers of a thread together. Origin: guess; eight thousand tokens.
pub(crate) const HELPER_NOTES_BYTES: usize = 32 << 10;
/// Bytes of the reason for a missing helper, for a model. Origin: guess; a line.
pub(crate) const HELPER_REASON_BYTES: usize = 200;
