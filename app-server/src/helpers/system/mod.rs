//! What is asked of the kernel about processes, where kernels differ: a file for each, with the same functions. Linux has
//! all of it. macOS has no subreapers, cgroups, namespaces, pidfds or `/proc`: there a guard ends the process group of its
//! helper and what still descends from it. Nothing here decides anything.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub use macos::*;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("Skein runs on Linux, and with weaker containment of helpers on macOS");

/// What a process has used since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Processor time; the unit is the system's, since only a difference counts.
    pub time: u64,
    /// Bytes and calls of its I/O, all in one sum.
    pub io: u64,
}
