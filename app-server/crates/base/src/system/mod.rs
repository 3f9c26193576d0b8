//! Kernel services for processes, where kernels differ: a file for each, with the same functions. Linux has all of
//! them. macOS has no subreapers, cgroups, namespaces, pidfds or `/proc`: there a guard ends its helper's process
//! group and the remaining descendants. Nothing here decides anything.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

pub mod peers;
pub mod proc;

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

/// The resources that a process has used since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Processor time in the system's unit, since only differences count.
    pub(crate) time: u64,
    /// Bytes and calls of its I/O, in one sum.
    pub(crate) io: u64,
}

/// The state of a process with all its threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// One of them runs, or waits for a processor.
    Runnable,
    /// All of them wait for something else.
    Waiting,
    /// A signal stopped it, or it is traced.
    Stopped,
}

/// The program that runs again as the guard.
#[derive(Debug)]
pub enum GuardExecutable {
    /// An opened executable; it stays the same if a new version replaces the file.
    Opened(File),
    /// A path.
    Path(PathBuf),
}

impl GuardExecutable {
    /// This program.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn current() -> io::Result<Self> {
        own_program()
    }

    /// The program path for execve(2).
    pub fn path(&self) -> PathBuf {
        match self {
            // The child resolves it before its close-on-exec descriptors are closed.
            Self::Opened(file) => format!("/proc/self/fd/{}", file.as_raw_fd()).into(),
            Self::Path(path) => path.clone(),
        }
    }
}
