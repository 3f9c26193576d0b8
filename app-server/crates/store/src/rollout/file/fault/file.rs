//! An open file of the layer.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::{Fails, FaultLayer, OnDisk, Op};
use crate::rollout::file::layer::LayerFile;

/// A file of a [`FaultLayer`].
pub(super) struct FaultFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn LayerFile>,
    pub(crate) layer: FaultLayer,
}

impl FaultFile {
    fn note(&self, change: impl FnOnce(&mut OnDisk)) {
        if let Some(on_disk) = self.layer.state().files.get_mut(&self.path) {
            change(on_disk);
        }
    }

    fn write_some(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        self.note(|on_disk| on_disk.dirty.push(from..from.saturating_add(bytes.len())));
        Ok(())
    }

    /// Moves dirty bytes to the disk content that survives.
    fn persist(&self) -> io::Result<()> {
        let mut now = vec![0; usize::try_from(self.file.len()?).unwrap_or(usize::MAX)];
        self.file.read_at(&mut now, 0)?;
        self.note(|on_disk| {
            on_disk.bytes.resize(now.len(), 0);
            for range in on_disk.dirty.drain(..) {
                let range = range.start.min(now.len())..range.end.min(now.len());
                if let (Some(to), Some(from)) = (on_disk.bytes.get_mut(range.clone()), now.get(range)) {
                    to.copy_from_slice(from);
                }
            }
        });
        Ok(())
    }
}

impl LayerFile for FaultFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(bytes, offset)?;
        self.layer.shared.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.layer.begin(Op::Write, &self.path) {
            None => self.write_some(bytes, offset),
            Some(fault) => {
                let part = match fault.fails {
                    Fails::Before => 0,
                    Fails::Half => bytes.len() / 2,
                    Fails::After => bytes.len(),
                };
                self.write_some(bytes.get(..part).unwrap_or_default(), offset)?;
                Err(fault.kind.into())
            }
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.layer.whole(Op::Truncate, &self.path, || self.file.truncate(length))
    }

    fn sync(&self) -> io::Result<()> {
        match self.layer.begin(Op::Sync, &self.path) {
            None => self.persist(),
            Some(fault) => {
                if fault.fails == Fails::After {
                    self.persist()?;
                }
                // The kernel calls the pages clean although they are not on disk.
                self.note(|on_disk| {
                    let OnDisk { dirty, doubtful, .. } = on_disk;
                    doubtful.append(dirty);
                });
                Err(fault.kind.into())
            }
        }
    }

    fn as_file(&self) -> &File {
        self.file.as_file()
    }
}
