//! What is asked of the kernel about processes, where kernels differ: a file for each, with the same functions. Linux has
//! all of it. macOS has no subreapers, cgroups, namespaces, pidfds or `/proc`: there a guard ends the process group of its
//! helper and what still descends from it. Nothing here decides anything.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

pub mod proc;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub(crate) use macos::*;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("Skein runs on Linux, and with weaker containment of helpers on macOS");

/// What a process has used since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Processor time; the unit is the system's, since only a difference counts.
    pub(crate) time: u64,
    /// Bytes and calls of its I/O, all in one sum.
    pub(crate) io: u64,
}

/// The program that is run again as the guard.
#[derive(Debug)]
pub enum GuardProgram {
    /// An opened executable; it stays the same when the file is replaced by a new version.
    Opened(File),
    /// A path.
    Path(PathBuf),
}

impl GuardProgram {
    /// This very program.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn current() -> io::Result<Self> {
        own_program()
    }

    /// The arguments of execve(2).
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            // Resolved by the child that runs it, before its close-on-exec descriptors are closed.
            Self::Opened(file) => format!("/proc/self/fd/{}", file.as_raw_fd()).into(),
            Self::Path(path) => path.clone(),
        }
    }
}
