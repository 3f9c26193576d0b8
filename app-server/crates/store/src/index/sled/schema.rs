//! The forms that an index on disk has had, each in a folder of its own: a new form is made beside the one before it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::home::{HomePaths, folders};

/// What is in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    /// Rows, an order for each sort key, and one of each working directory.
    Directories,
    /// In each order, archived threads stand behind the others.
    Locations,
}

impl Schema {
    /// What is made now.
    pub(crate) const CURRENT: Self = Self::Locations;
    /// What can serve until that is ready, the newest first.
    pub(crate) const EARLIER: [Self; 1] = [Self::Directories];

    fn version(self) -> u32 {
        match self {
            Self::Directories => 2,
            Self::Locations => 3,
        }
    }

    /// Its folder.
    pub(crate) fn folder(self, home: &HomePaths) -> PathBuf {
        home.index(self.version())
    }
}

/// Removes the indexes of every other version, older and newer: from here on nobody writes to them, and one that is
/// behind without an open marker that says so would never be mended.
pub(super) fn remove_others(home: &HomePaths) -> io::Result<()> {
    let kept = Schema::CURRENT.folder(home);
    for entry in fs::read_dir(home.root())? {
        let path = entry?.path();
        if path != kept && path != kept.with_extension("aside") && is_index(&path) {
            tracing::info!(path = %path.display(), "an index of another version goes; it was replaced");
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
