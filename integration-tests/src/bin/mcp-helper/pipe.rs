//! A pipe with a name that this process and all that it starts hold open, so that whoever reads it knows whether one of
//! them lives, however short a life each has. It carries a byte for each start, and one when a bad deed is under way.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

/// Sent at each start of the helper itself.
const STARTED: u8 = b's';
/// Sent when it does what its mode is about.
const AT_IT: u8 = b'!';

/// `--pipe FILE`. Without one, or once there is no such file any more, nothing is told.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Pipe(Option<RawFd>);

impl Pipe {
    pub(crate) fn open(file: &str) -> Self {
        // Without close-on-exec: what is started inherits it. It is never closed.
        let opened = open(file, OFlag::O_WRONLY | OFlag::O_NONBLOCK, Mode::empty()).ok();
        Self(opened.map(|opened: OwnedFd| {
            let raw = opened.as_raw_fd();
            std::mem::forget(opened);
            raw
        }))
    }

    pub(crate) fn started(self) {
        self.tell(STARTED);
    }

    pub(crate) fn at_it(self) {
        self.tell(AT_IT);
    }

    fn tell(self, byte: u8) {
        let Some(raw) = self.0 else { return };
        // SAFETY: it was opened above and is never closed by this process.
        let pipe = unsafe { BorrowedFd::borrow_raw(raw) };
        // The reader may be gone, or full of what it was told.
        let _ = nix::unistd::write(pipe, &[byte]);
    }
}
