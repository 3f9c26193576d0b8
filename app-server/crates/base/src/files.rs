//! Opens files with names that others choose: regular files only, and without waiting for the other end of a FIFO.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// Flags for every file whose name others could have prepared: follow no link, and do not wait for the other end of a
/// FIFO. The standard library adds close-on-exec.
pub fn no_surprises() -> i32 {
    (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()
}

/// Opens a regular file that the user names, also through a link. Does not wait for the other end of a FIFO.
///
/// # Errors
/// The system's error, or `InvalidInput` with the kind of thing at the path.
pub fn open_regular(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).and_then(only_regular)
}

/// Refuses everything but a regular file.
///
/// # Errors
/// `InvalidInput` with the kind of thing at the path.
pub fn only_regular(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file; move it away"))
}
