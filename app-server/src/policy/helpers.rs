//! The numbers of helpers: how long they may take, what is kept of them, what they may have.

/// Questions of helpers that may wait for their thread's owner. Origin: guess; a session that finds no room waits.
pub(crate) const HELPER_QUESTIONS_WAITING: usize = 16;
/// The least memory that `limits.memory` of a helper takes, bytes. Origin: guess; below it hardly a program starts, and what
/// becomes the helper needs a few MiB itself.
pub(crate) const HELPER_MEMORY_LEAST: u64 = 16 << 20;
/// The most that `limits.processes` takes. Origin: the kernel's own limit of pids (proc_sys_kernel(5)).
pub(crate) const HELPER_PROCESSES_MOST: u64 = 1 << 22;
/// The most that `limits.files` takes. Origin: guess; the kernel's own limit is settable, usually a million.
pub(crate) const HELPER_FILES_MOST: u64 = 1 << 30;
/// Bounds of `limits.nice`. Origin: setpriority(2).
pub(crate) const NICE_LEAST: i32 = -20;
/// See above.
pub(crate) const NICE_MOST: i32 = 19;
/// Bytes of the instructions of one helper that a model reads. Origin: guess; a page, and a thousand tokens.
pub(crate) const HELPER_INSTRUCTIONS_BYTES: usize = 4 << 10;
/// Bytes of the instructions of all helpers of a thread together. Origin: guess; eight thousand tokens.
pub(crate) const HELPER_NOTES_BYTES: usize = 32 << 10;
/// Bytes of the reason that a model reads why a helper is not there. Origin: guess; a line.
pub(crate) const HELPER_REASON_BYTES: usize = 200;
