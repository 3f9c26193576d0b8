//! A home whose threads are in a database, or come from one: the note of it, which keeps commands for files of threads away.
//! Everything here blocks.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Home, HomeError, HomePaths, Location, SERVE, durable, fault, read_regular};

/// The content of `store.json`.
#[derive(Debug, Serialize, Deserialize)]
struct StoreJson {
    /// The address of the database, without a password.
    url: String,
    /// The threads are on their way from the database into files, and some may be here already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    arriving: bool,
    /// The instance of the database that served last, in a form of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<Value>,
}

/// The note of a home whose threads are in a database, for the server of the home.
#[derive(Debug)]
pub struct DatabaseNote {
    paths: HomePaths,
    url: String,
}

impl DatabaseNote {
    pub(super) fn of(paths: &HomePaths, url: String) -> Self {
        Self { paths: paths.clone(), url }
    }

    /// Notes the database, and the instance of it that serves. From here on the home has no files of threads.
    ///
    /// # Errors
    /// [`HomeError::Io`]
    pub fn write(&self, instance: Value) -> Result<(), HomeError> {
        replace(&self.paths, &StoreJson { url: self.url.clone(), arriving: false, instance: Some(instance) })
    }
}

impl Home {
    /// Takes the home of a server whose threads are in a database.
    ///
    /// # Errors
    /// As [`Home::take`], and [`HomeError::HasThreads`].
    pub fn open_for_database(root: &Path) -> Result<Self, HomeError> {
        Self::take_with(root, SERVE, refuse_threads)
    }

    /// The note that the home's threads are in the database at `url`, an address without a password; nobody has written it yet.
    pub fn database_note(&self, url: String) -> DatabaseNote {
        DatabaseNote::of(&self.paths, url)
    }

    /// The instance of its database that has served the home last, as [`DatabaseNote::write`] got it.
    ///
    /// # Errors
    /// [`HomeError::Io`] if the note cannot be read or parsed.
    pub fn database_instance(&self) -> Result<Option<Value>, HomeError> {
        instance_of(&self.paths)
    }
}

/// The address of the database with the home's threads; `None` where they are files.
///
/// # Errors
/// [`HomeError::Io`] if the note cannot be read or parsed.
pub fn database_of(paths: &HomePaths) -> Result<Option<String>, HomeError> {
    Ok(read(paths)?.map(|note| note.url))
}

/// The instance of that database that has served the home last, if one has.
///
/// # Errors
/// As [`database_of`].
pub fn instance_of(paths: &HomePaths) -> Result<Option<Value>, HomeError> {
    Ok(read(paths)?.and_then(|note| note.instance))
}

/// Whether the home has a part of the threads of its database, which are on their way into files.
///
/// # Errors
/// As [`database_of`].
pub(super) fn is_arriving(paths: &HomePaths) -> Result<bool, HomeError> {
    Ok(read(paths)?.is_some_and(|note| note.arriving))
}

fn read(paths: &HomePaths) -> Result<Option<StoreJson>, HomeError> {
    let path = paths.store_json();
    match read_regular(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| fault(&path, error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(fault(&path, source)),
    }
}

/// Refuses a home whose threads are in a database.
pub(crate) fn refuse(paths: &HomePaths) -> Result<(), HomeError> {
    refuse_arriving(paths)?;
    match database_of(paths)? {
        Some(store) if has_threads(paths)? => {
            Err(HomeError::Leaving { home: paths.root().to_owned(), store })
        }
        Some(store) => Err(HomeError::InDatabase { home: paths.root().to_owned(), store }),
        None => Ok(()),
    }
}

/// Refuses a home with a part of the threads of a database.
fn refuse_arriving(paths: &HomePaths) -> Result<(), HomeError> {
    match read(paths)? {
        Some(StoreJson { url: store, arriving: true, .. }) => {
            Err(HomeError::Arriving { home: paths.root().to_owned(), store })
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses a home with threads of its own, which nobody would see beside those of a database.
pub(super) fn refuse_threads(paths: &HomePaths) -> Result<(), HomeError> {
    refuse_arriving(paths)?;
    if !has_threads(paths)? {
        return Ok(());
    }
    let home = paths.root().to_owned();
    Err(match database_of(paths)? {
        Some(store) => HomeError::Leaving { home, store },
        None => HomeError::HasThreads(home),
    })
}

/// Notes that the home's threads are in this database, or, `arriving`, on their way from it.
pub(super) fn write(paths: &HomePaths, url: &str, arriving: bool) -> Result<(), HomeError> {
    replace(paths, &StoreJson { url: url.to_owned(), arriving, instance: None })
}

fn replace(paths: &HomePaths, note: &StoreJson) -> Result<(), HomeError> {
    let path = paths.store_json();
    let text = serde_json::to_vec(note).map_err(io::Error::other);
    text.and_then(|text| durable::replace(&path, &text)).map_err(|source| fault(&path, source))
}

fn has_threads(paths: &HomePaths) -> Result<bool, HomeError> {
    for folder in [paths.location(Location::Active), paths.location(Location::Archived), paths.trash()] {
        if has_file(&folder).map_err(|source| fault(&folder, source))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a folder, or one directly in it, has a file.
fn has_file(folder: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || fs::read_dir(entry.path())?.next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::super::{Term, existing};
    use super::*;

    const URL: &str = "postgres:///skein";

    #[test]
    fn a_home_of_a_database_has_no_files_of_threads() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("home");
        drop(Home::open(&root).unwrap());
        let rollout = root.join("threads/0a/x.jsonl");
        fs::create_dir_all(rollout.parent().unwrap()).unwrap();
        fs::write(&rollout, "").unwrap();
        assert!(matches!(Home::open_for_database(&root), Err(HomeError::HasThreads(home)) if home == root));
        assert_eq!(database_of(&HomePaths::new(&root)).unwrap(), None, "it is as before");

        fs::remove_file(&rollout).unwrap();
        for before in [None, Some(Value::from("first"))] {
            let home = Home::open_for_database(&root).unwrap();
            assert_eq!(home.database_instance().unwrap(), before);
            home.database_note(URL.to_owned()).write("first".into()).unwrap();
        }
        assert_eq!(database_of(&HomePaths::new(&root)).unwrap().as_deref(), Some(URL));
        for refused in
            [Home::open(&root).map(drop), Home::take(&root, "reindex").map(drop), existing(&root).map(drop)]
        {
            let error = refused.unwrap_err();
            assert!(matches!(&error, HomeError::InDatabase { store, .. } if store == URL), "{error}");
        }
        let mut home = Home::take_for_migration(&root, URL).unwrap();
        home.expect_threads(URL).unwrap();
        assert!(home.expects_threads().unwrap());
        drop(home);
        for refused in
            [Home::open(&root).map(drop), Home::open_for_database(&root).map(drop), existing(&root).map(drop)]
        {
            let error = refused.unwrap_err();
            assert!(matches!(&error, HomeError::Arriving { store, .. } if store == URL), "{error}");
        }
        home = Home::take_for_migration(&root, URL).unwrap();
        home.receive_threads(Term(0)).unwrap();
        drop(home);
        drop(Home::open(&root).unwrap());

        fs::write(root.join("store.json"), "{").unwrap();
        assert!(matches!(Home::open(&root), Err(HomeError::Io { .. })), "a damaged note is no missing one");
    }

    #[test]
    fn a_move_into_a_database_that_is_cut_off_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("home");
        Home::open_for_database(&root).unwrap().database_note(URL.to_owned()).write("first".into()).unwrap();
        let rollout = root.join("threads/0a/x.jsonl");
        fs::create_dir_all(rollout.parent().unwrap()).unwrap();
        fs::write(&rollout, "").unwrap();
        for refused in [Home::open(&root), Home::open_for_database(&root)] {
            let error = refused.map(drop).unwrap_err();
            assert!(matches!(&error, HomeError::Leaving { store, .. } if store == URL), "{error}");
        }
        drop(Home::take_for_migration(&root, URL).unwrap());
    }
}
