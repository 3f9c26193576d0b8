//! A home whose threads go to a database, or come from one. Everything here blocks.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::folders::forget_indexes;
use super::{Home, HomeError, HomePaths, Term, database_note, fault, sync_folder};

/// The folder for the files of threads that are in a database now.
const ASIDE: &str = "threads-before-database";

impl Home {
    /// Takes a home for a migration of its threads. A note of the database at `url` does not matter: an earlier run was cut off, or
    /// the threads come back.
    ///
    /// # Errors
    /// As [`Home::take`].
    pub fn take_for_migration(root: &Path, url: &str) -> Result<Self, HomeError> {
        Self::take_with(root, "migrate", |paths| match database_note::database_of(paths)? {
            Some(noted) if noted != url => database_note::refuse(paths),
            Some(_) | None => Ok(()),
        })
    }

    /// Whether a move of threads into this home was cut off.
    ///
    /// # Errors
    /// [`HomeError::Io`]
    pub fn expects_threads(&self) -> Result<bool, HomeError> {
        database_note::is_arriving(self.paths())
    }

    /// Notes that threads are on their way from the database at `url`. Nobody serves the home until [`Home::receive_threads`].
    ///
    /// # Errors
    /// [`HomeError::Io`]
    pub fn expect_threads(&self, url: &str) -> Result<(), HomeError> {
        database_note::write(self.paths(), url, true)
    }

    /// Notes that the threads are in the database at `url`, and sets the files of them aside. Returns their folder.
    ///
    /// # Errors
    /// [`HomeError::Io`]. The note is first, so nobody serves a part of them; another run goes on.
    pub fn set_threads_aside(&self, url: &str) -> Result<PathBuf, HomeError> {
        let paths = self.paths();
        let aside = folder_aside(paths)?;
        database_note::write(paths, url, false)?;
        let (threads, archived) = (paths.threads(), paths.archived());
        let files = [threads, archived, paths.trash(), paths.blobs(), paths.secrets(), paths.open_markers()];
        for from in files {
            let Some(name) = from.file_name() else { continue };
            carry(&from, &aside.join(name)).map_err(|source| fault(&from, source))?;
        }
        forget_indexes(paths)?;
        sync_folder(&aside)?;
        sync_folder(paths.root())?;
        Ok(aside)
    }

    /// Renames the file of sessions and tokens, which a database has now.
    ///
    /// # Errors
    /// [`HomeError::Io`]
    pub fn set_credentials_aside(&self) -> Result<(), HomeError> {
        let (file, aside) = (self.paths().access(), self.paths().access_aside());
        match fs::rename(&file, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => {
                renamed.map_err(|source| fault(&file, source))?;
                sync_folder(self.paths().root())
            }
        }
    }

    /// Makes the home one of files again, whose threads have come from a database and have terms up to `seen`.
    ///
    /// # Errors
    /// [`HomeError::Io`]
    pub fn receive_threads(&mut self, seen: Term) -> Result<(), HomeError> {
        self.pass_term(seen)?;
        forget_indexes(self.paths())?;
        let note = self.paths().store_json();
        match fs::remove_file(&note) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(|source| fault(&note, source))?,
        }
        sync_folder(self.paths().root())
    }
}

/// The folder for the files: that of a run that was cut off, or a new one.
fn folder_aside(paths: &HomePaths) -> Result<PathBuf, HomeError> {
    let numbered = |number: u32| match number {
        1 => paths.root().join(ASIDE),
        number => paths.root().join(format!("{ASIDE}-{number}")),
    };
    let is_there = |number: &u32| numbered(*number).symlink_metadata().is_ok();
    let next = (1..).find(|number| !is_there(number)).unwrap_or(u32::MAX);
    if next > 1 && database_note::database_of(paths)?.is_some() {
        return Ok(numbered(next - 1));
    }
    let made = numbered(next);
    super::make_folder(&made)?;
    Ok(made)
}

/// Moves a folder, or what an earlier run has left of it. Replaces no file.
fn carry(from: &Path, to: &Path) -> io::Result<()> {
    let is_empty = || fs::remove_dir(from).is_ok();
    if from.symlink_metadata().is_err() || is_empty() {
        return Ok(());
    }
    if to.symlink_metadata().is_err() {
        return fs::rename(from, to);
    }
    if !from.is_dir() || !to.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} is there already", to.display()),
        ));
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        carry(&entry.path(), &to.join(entry.file_name()))?;
    }
    fs::remove_dir(from)
}
