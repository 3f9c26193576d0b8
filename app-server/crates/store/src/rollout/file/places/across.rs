//! Moves between two file systems: a folder of the home may be a link, or a mount. Such a move is a copy.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use skein_protocol::ids::ThreadId;

use super::{PART, RolloutPaths};
use crate::rollout::Location;
use crate::rollout::file::layer::{LayerFile, OpenMode};

/// Bytes of two files that one step compares.
const COMPARED: usize = 64 << 10;

impl RolloutPaths {
    /// Renames a rollout, also to another file system: a folder of the home may be a link, or a mount. There it
    /// copies the file, and the copy is on disk before the original goes. A whole copy replaces an existing file of
    /// that name.
    pub(crate) fn give_name(&self, thread: ThreadId, from: &Path, to: &Path) -> io::Result<()> {
        match self.layer.rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
            other => return other,
        }
        let folder = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let part = folder.join(format!("{thread}.{PART}"));
        let replaces = self.is_there(to);
        let moved = self
            .copy_whole(from, &part)
            .and_then(|()| self.layer.rename(&part, to))
            .and_then(|()| self.layer.sync_folder(folder))
            .and_then(|()| self.layer.remove(from));
        if moved.is_err() && self.is_there(from) {
            // The first error counts. A partial copy is no rollout, and the next move replaces a whole one.
            drop(self.layer.remove(&part));
            if !replaces {
                drop(self.layer.remove(to));
            }
        }
        moved.map(drop)
    }

    /// Copies a rollout with its modification time. The content is on disk when this returns.
    fn copy_whole(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.layer.remove(to)?;
        let source = self.layer.open(from, OpenMode::Read)?;
        let copy = self.layer.copy(&*source, to, source.len()?)?;
        copy.as_file().set_modified(source.as_file().metadata()?.modified()?)?;
        self.sync(&*copy)
    }

    /// Removes the copy that an interrupted move has left beside the rollout at this location.
    pub(super) fn remove_left(&self, thread: ThreadId, there: Location) -> io::Result<()> {
        let other = match there {
            Location::Active => Location::Archived,
            Location::Archived => Location::Active,
        };
        self.is_left_of_a_move(&self.on(there, thread), &self.on(other, thread)).map(drop)
    }

    /// Whether `to` is the copy of an interrupted move: it has nothing that `from` lacks. Removes it then.
    pub(super) fn is_left_of_a_move(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let (Ok(from), Ok(left)) =
            (self.layer.open(from, OpenMode::Read), self.layer.open(to, OpenMode::Read))
        else {
            return Ok(false);
        };
        let device = |file: &dyn LayerFile| Ok::<_, io::Error>(file.as_file().metadata()?.dev());
        let is_left = device(&*from)? != device(&*left)? && begins_with(&*from, &*left)?;
        if is_left {
            self.layer.remove(to)?;
            // After the rollout is deleted, a loss of power must not bring the copy back.
            to.parent().map_or(Ok(()), |folder| self.layer.sync_folder(folder))?;
        }
        Ok(is_left)
    }
}

/// Whether a file begins with all bytes of another one.
fn begins_with(file: &dyn LayerFile, other: &dyn LayerFile) -> io::Result<bool> {
    let (mut one, mut two) = (vec![0; COMPARED], vec![0; COMPARED]);
    let mut offset = 0;
    loop {
        let (came, wanted) = (file.read_at(&mut one, offset)?, other.read_at(&mut two, offset)?);
        if came < wanted || one.get(..wanted) != two.get(..wanted) {
            return Ok(false);
        }
        if wanted < COMPARED {
            return Ok(true);
        }
        offset += wanted as u64;
    }
}
