//! Derived folders, which can be removed at any time. Everything here blocks.

use std::path::Path;
use std::{fs, io};

use super::{HomeError, HomePaths, fault};

/// Removes a folder with its content, if it exists.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes the indexes of a home: the next server makes them from the rollouts. A mount point stays, empty.
pub(crate) fn forget_indexes(paths: &HomePaths) -> Result<(), HomeError> {
    let root = paths.root();
    let entries = fs::read_dir(root).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in entries.map_err(|source| fault(root, source))? {
        let (name, path) = (entry.file_name(), entry.path());
        let version = name.to_str().and_then(|name| name.strip_prefix("index-"));
        let is_index = version.is_some_and(|version| version.parse::<u32>().is_ok()) || path == paths.texts();
        if !is_index {
            continue;
        }
        match remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::ResourceBusy => return Err(fault(&path, error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Renames a folder over another one. Does nothing if `from` does not exist.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    remove(to)?;
    fs::rename(from, to)
}

/// Renames an unusable folder so that people find it, replacing an earlier one.
pub fn set_aside(path: &Path) -> io::Result<()> {
    replace(path, &path.with_extension("aside"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_set_aside_replaces_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, aside) = (dir.path().join("index"), dir.path().join("index.aside"));
        for text in ["one", "two"] {
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("file"), text).unwrap();
            set_aside(&folder).unwrap();
            assert_eq!(
                (folder.exists(), fs::read_to_string(aside.join("file")).unwrap()),
                (false, text.to_owned())
            );
        }
        set_aside(&folder).unwrap();
        assert!(aside.exists(), "there is nothing newer");
        remove(&aside).unwrap();
        remove(&aside).unwrap();
        assert!(!aside.exists());
    }
}
