//! A named pipe that this process and all its children hold open. Its reader sees whether one of them lives,
//! however short each life is. The pipe carries a byte for each start, and a byte when the bad behaviour
//! begins.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

/// Sent at each start of the helper itself.
const STARTED: u8 = b's';
/// Sent when the helper does what its mode is about.
const AT_IT: u8 = b'!';

/// `--pipe FILE`. Without a pipe, or after its file is gone, nothing is sent.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Pipe(Option<RawFd>);

impl Pipe {
    pub(crate) fn open(file: &str) -> Self {
        // Without close-on-exec, so that children inherit it. It is never closed.
        let opened = open(file, OFlag::O_WRONLY | OFlag::O_NONBLOCK, Mode::empty()).ok();
        Self(opened.map(|opened: OwnedFd| {
            let raw = opened.as_raw_fd();
            std::mem::forget(opened);
            raw
        }))
    }

    pub(crate) fn started(self) {
        self.write(STARTED);
    }

    pub(crate) fn at_it(self) {
        self.write(AT_IT);
    }

    fn write(self, byte: u8) {
        let Some(raw) = self.0 else { return };
        // SAFETY: `open` above opened it, and this process never closes it.
        let pipe = unsafe { BorrowedFd::borrow_raw(raw) };
        // The reader may be gone, or the pipe may be full.
        let _ = nix::unistd::write(pipe, &[byte]);
    }
}
