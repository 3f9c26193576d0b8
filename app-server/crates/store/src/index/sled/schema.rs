//! The schemas of the index on disk, each in its own folder: a new one is made beside the old one.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::home::{HomePaths, folders};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    /// Rows, an order for each sort key, and an order for each working directory.
    Directories,
    /// In each order, archived threads come after the others.
    Locations,
}

impl Schema {
    pub(crate) const CURRENT: Self = Self::Locations;
    /// Schemas that can serve meanwhile, newest first.
    pub(crate) const EARLIER: [Self; 1] = [Self::Directories];

    fn version(self) -> u32 {
        match self {
            Self::Directories => 2,
            Self::Locations => 3,
        }
    }

    pub(crate) fn folder(self, home: &HomePaths) -> PathBuf {
        home.index(self.version())
    }
}

/// Removes the indexes of all other versions. Nobody writes to them from here on, so one that is behind would stay
/// behind.
pub(super) fn remove_others(home: &HomePaths) -> io::Result<()> {
    let kept = Schema::CURRENT.folder(home);
    for entry in fs::read_dir(home.root())? {
        let path = entry?.path();
        if path != kept && path != kept.with_extension("aside") && is_index(&path) {
            tracing::info!(path = %path.display(), "the index of another version is removed; it was replaced");
            folders::remove(&path)?;
        }
    }
    Ok(())
}

fn is_index(path: &Path) -> bool {
    let version =
        path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("index-"));
    version.is_some_and(|version| !version.is_empty() && version.bytes().all(|digit| digit.is_ascii_digit()))
}
