//! Folders that are derived from others, and can be thrown away. Everything here blocks.

use std::fs;
use std::io;
use std::path::Path;

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// The system's error.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Gives a folder the name of another one, which goes. Nothing happens where there is none.
///
/// # Errors
/// The system's error.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    remove(to)?;
    fs::rename(from, to)
}

/// Gives a folder the name under which people find what could not be used, in place of an earlier one.
///
/// # Errors
/// The system's error.
pub fn set_aside(path: &Path) -> io::Result<()> {
    replace(path, &path.with_extension("aside"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_takes_the_place_of_an_earlier_one_and_what_is_not_there_of_none() {
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
