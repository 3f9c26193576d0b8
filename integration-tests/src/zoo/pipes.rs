//! A named pipe for each zoo helper, held open by all its processes. It shows whether one of them lives, even
//! if each lives only a millisecond and no look at `/proc` catches it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Result;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use tempfile::TempDir;

/// Signs received from a pipe so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signs {
    /// Starts of the helper itself.
    pub(super) starts: usize,
    /// Number of times that the bad behaviour began.
    pub(super) at_it: usize,
    /// Whether a process holds the pipe open.
    pub(super) held: bool,
}

/// The pipes of some modes.
#[derive(Debug)]
pub(super) struct Pipes {
    folder: TempDir,
    all: BTreeMap<&'static str, (File, Signs)>,
}

impl Pipes {
    pub(super) fn new(modes: &[&'static str]) -> Result<Self> {
        let mut pipes = Self { folder: tempfile::tempdir()?, all: BTreeMap::new() };
        for mode in modes {
            let file = pipes.file(mode);
            nix::unistd::mkfifo(&file, Mode::S_IRWXU)?;
            let reader = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&file)?;
            pipes.all.insert(mode, (reader, Signs::default()));
        }
        Ok(pipes)
    }

    pub(super) fn modes(&self) -> impl Iterator<Item = &'static str> {
        self.all.keys().copied()
    }

    pub(super) fn file(&self, mode: &str) -> PathBuf {
        self.folder.path().join(mode)
    }

    /// Removes the files. No new process can open the pipes; processes that hold them keep them.
    pub(super) fn unlink(&self) -> Result<()> {
        for mode in self.all.keys() {
            std::fs::remove_file(self.file(mode))?;
        }
        Ok(())
    }

    pub(super) fn signs(&mut self, mode: &str) -> Signs {
        let Some((reader, signs)) = self.all.get_mut(mode) else { return Signs::default() };
        let mut bytes = [0; 64];
        signs.held = loop {
            match reader.read(&mut bytes) {
                Ok(0) => break false,
                Ok(count) => {
                    let starts = bytes[..count].iter().filter(|byte| **byte == b's').count();
                    signs.starts += starts;
                    signs.at_it += count - starts;
                }
                // Nothing to read while a writer exists.
                Err(_) => break true,
            }
        };
        *signs
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_pipe_shows_its_signs_and_whether_a_process_holds_it() {
        let mut pipes = Pipes::new(&["one"]).unwrap();
        assert!(!pipes.signs("one").held);
        let mut writer = File::options().write(true).open(pipes.file("one")).unwrap();
        pipes.unlink().unwrap();
        writer.write_all(b"ss!").unwrap();
        let signs = pipes.signs("one");
        assert_eq!((signs.starts, signs.at_it, signs.held), (2, 1, true));
        drop(writer);
        let signs = pipes.signs("one");
        assert_eq!((signs.starts, signs.at_it, signs.held), (2, 1, false));
    }
}
