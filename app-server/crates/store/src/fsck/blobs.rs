//! Texts in `blobs/` that no rollout names, for example of purged threads, and partial files of a killed server.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::home::HomePaths;
use crate::rollout::blob::BlobName;

/// A file in the folders of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// The name of its text; none if it was never whole.
    pub(crate) name: Option<BlobName>,
}

/// A text that no rollout names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unnamed {
    /// Its path below the home.
    #[serde(serialize_with = "crate::home::lossy")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Whether it was removed.
    pub removed: bool,
}

/// A file that may be a rollout and cannot be read: any text may be named in it.
#[derive(Debug)]
pub(crate) struct UnreadableFile {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// The texts of `stored` that no rollout names at any location, in the trash or in an interrupted restore. A rollout
/// names a text if the name stands anywhere in its bytes, even in a damaged line that may be mended by hand.
///
/// # Errors
/// [`Unread`].
pub(crate) fn unnamed(paths: &HomePaths, stored: Vec<StoredFile>) -> Result<Vec<StoredFile>, UnreadableFile> {
    let (whole, mut left): (Vec<StoredFile>, Vec<StoredFile>) =
        stored.into_iter().partition(|stored| stored.name.is_some());
    let mut named: BTreeMap<BlobName, StoredFile> =
        whole.into_iter().filter_map(|stored| Some((stored.name?, stored))).collect();
    let mut found = |name| drop(named.remove(&name));
    below(&paths.threads(), &mut found)?;
    for folder in [paths.archived(), paths.trash(), paths.open_markers(), paths.restore_ready()] {
        if folder.symlink_metadata().is_ok() {
            below(&folder, &mut found)?;
        }
    }
    left.extend(named.into_values());
    left.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(left)
}

/// Every name in the files below a folder. Follows links, as a server follows links for folders.
fn below(folder: &Path, found: &mut dyn FnMut(BlobName)) -> Result<(), UnreadableFile> {
    let unread = |path: &Path| {
        let path = path.to_owned();
        move |error| UnreadableFile { path, error }
    };
    for entry in fs::read_dir(folder).map_err(unread(folder))? {
        let path = entry.map_err(unread(folder))?.path();
        let seen = fs::metadata(&path).map_err(unread(&path))?;
        // The texts of an interrupted restore name nothing.
        if seen.is_dir() && path.file_name().is_none_or(|name| name != "blobs") {
            below(&path, found)?;
        } else if seen.is_file() {
            File::open(&path).and_then(|mut file| names_in(&mut file, found)).map_err(unread(&path))?;
        }
    }
    Ok(())
}

/// Every name in the bytes of a reader.
fn names_in(from: &mut dyn Read, found: &mut dyn FnMut(BlobName)) -> io::Result<()> {
    let mut block = vec![0; crate::policy::READ_BLOCK];
    let mut digits = String::new();
    loop {
        let came = from.read(&mut block)?;
        for byte in block.iter().take(came) {
            if matches!(byte, b'0'..=b'9' | b'a'..=b'f') {
                // One digit more than a name has shows that it is none.
                if digits.len() <= NAME_DIGITS {
                    digits.push(char::from(*byte));
                }
            } else {
                take(&mut digits, found);
            }
        }
        if came == 0 {
            take(&mut digits, found);
            return Ok(());
        }
    }
}

/// The number of digits in a name.
const NAME_DIGITS: usize = 64;

fn take(digits: &mut String, found: &mut dyn FnMut(BlobName)) {
    if let Ok(name) = digits.parse() {
        found(name);
    }
    digits.clear();
}
