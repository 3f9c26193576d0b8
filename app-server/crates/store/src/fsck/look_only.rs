//! Read-only file access: a store over it refuses every change.

use std::io;
use std::path::Path;

use crate::rollout::file::layer::{DiskLayer, FileLayer, FolderEntry, LayerFile, OpenMode};

/// The read-only layer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LookOnly;

fn refused<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "nothing is changed while it is checked"))
}

impl FileLayer for LookOnly {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn LayerFile>> {
        match how {
            OpenMode::Read => DiskLayer.open(path, how),
            OpenMode::Write | OpenMode::New => refused(),
        }
    }

    fn copy(&self, _from: &dyn LayerFile, _to: &Path, _length: u64) -> io::Result<Box<dyn LayerFile>> {
        refused()
    }

    fn make_folder(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _path: &Path) -> io::Result<bool> {
        refused()
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<FolderEntry>> {
        DiskLayer.entries(path)
    }
}
