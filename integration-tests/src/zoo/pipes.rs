//! A pipe with a name for each helper of the zoo, held open by all its processes: it tells whether one of them lives, also
//! where each lives for a millisecond and no look at `/proc` meets it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Result;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use tempfile::TempDir;

/// What a pipe has told so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// Starts of the helper itself.
    pub(super) starts: usize,
    /// How often it began what its mode is about.
    pub(super) at_it: usize,
    /// Somebody has it open.
    pub(super) held: bool,
}

/// The pipes of some modes.
#[derive(Debug)]
pub(super) struct Pipes {
    folder: TempDir,
    all: BTreeMap<&'static str, (File, Told)>,
}

impl Pipes {
    pub(super) fn new(modes: &[&'static str]) -> Result<Self> {
        let mut pipes = Self { folder: tempfile::tempdir()?, all: BTreeMap::new() };
        for mode in modes {
            let file = pipes.file(mode);
            nix::unistd::mkfifo(&file, Mode::S_IRWXU)?;
            let reader = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&file)?;
            pipes.all.insert(mode, (reader, Told::default()));
        }
        Ok(pipes)
    }

    pub(super) fn modes(&self) -> impl Iterator<Item = &'static str> {
        self.all.keys().copied()
    }

    pub(super) fn file(&self, mode: &str) -> PathBuf {
        self.folder.path().join(mode)
    }

    /// Nobody can open them any more; who has them open keeps them.
    pub(super) fn unlink(&self) -> Result<()> {
        for mode in self.all.keys() {
            std::fs::remove_file(self.file(mode))?;
        }
        Ok(())
    }

    pub(super) fn told(&mut self, mode: &str) -> Told {
        let Some((reader, told)) = self.all.get_mut(mode) else { return Told::default() };
        let mut bytes = [0; 64];
        told.held = loop {
            match reader.read(&mut bytes) {
                Ok(0) => break false,
                Ok(count) => {
                    let starts = bytes[..count].iter().filter(|byte| **byte == b's').count();
                    told.starts += starts;
                    told.at_it += count - starts;
                }
                // Nothing to read as long as somebody might write.
                Err(_) => break true,
            }
        };
        *told
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_pipe_tells_what_was_written_and_whether_somebody_holds_it() {
        let mut pipes = Pipes::new(&["one"]).unwrap();
        assert!(!pipes.told("one").held);
        let mut writer = File::options().write(true).open(pipes.file("one")).unwrap();
        pipes.unlink().unwrap();
        writer.write_all(b"ss!").unwrap();
        let told = pipes.told("one");
        assert_eq!((told.starts, told.at_it, told.held), (2, 1, true));
        drop(writer);
        let told = pipes.told("one");
        assert_eq!((told.starts, told.at_it, told.held), (2, 1, false));
    }
}
