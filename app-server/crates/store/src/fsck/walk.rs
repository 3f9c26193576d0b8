//! Walks through a home: finds rollouts, open markers and foreign files. Mends names and modes if it may.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use skein_protocol::ids::ThreadId;

use super::Mend;
use super::blobs::StoredFile;
use super::finding::{Defect, FindingOutcome, FsckFinding};
use super::rollout::{RolloutFile, Side};
use crate::home::{FILE_MODE, FOLDER_MODE, Home, HomePaths, read_term};
use crate::rollout::Location;
use crate::rollout::blob::BlobName;
use crate::rollout::file::blobs::PART;

#[derive(Debug, Default)]
pub(crate) struct HomeContents {
    /// Rollouts, by side and path.
    pub(crate) rollouts: Vec<RolloutFile>,
    pub(crate) marked: BTreeSet<ThreadId>,
    /// Externalised texts, and partial files of them.
    pub(crate) blobs: Vec<StoredFile>,
    pub(crate) secrets: Vec<(ThreadId, StoredFile)>,
    pub(crate) findings: Vec<FsckFinding>,
}

/// The meaning of a name in one of our folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryName {
    Rollout(ThreadId),
    /// A rollout in another thread's folder.
    WrongFolder(ThreadId),
    Marker(ThreadId),
    /// A leftover of interrupted work.
    Leftover,
    Foreign,
}

struct HomeWalk<'a> {
    paths: &'a HomePaths,
    mend: Mend,
    /// Whether the home has no server.
    idle: bool,
    only: Option<&'a BTreeSet<ThreadId>>,
    found: HomeContents,
}

/// Looks at every name of a home without changes, or one that is only read. With `only`, just at those threads.
/// `idle` says that no server owns the home.
pub(crate) fn walk(
    paths: &HomePaths,
    mend: Mend,
    idle: bool,
    only: Option<&BTreeSet<ThreadId>>,
) -> HomeContents {
    let mut walk = HomeWalk { paths, mend, idle, only, found: HomeContents::default() };
    if only.is_none() {
        walk.root();
        walk.digit_folders(&paths.blobs(), false, &HomeWalk::texts);
    }
    walk.digit_folders(&paths.secrets(), false, &HomeWalk::secrets_in);
    for location in [Location::Active, Location::Archived] {
        walk.digit_folders(&paths.location(location), true, &|walk, folder, digits| {
            walk.folder(folder, Side::Kept, &|name| in_folder(name, digits));
        });
    }
    walk.folder(&paths.trash(), Side::Trash, &|name| {
        deleted(name).map_or(EntryName::Foreign, EntryName::Rollout)
    });
    walk.folder(&paths.open_markers(), Side::Kept, &|name| {
        name.parse().map_or(EntryName::Foreign, EntryName::Marker)
    });
    walk.twice();
    walk.found.rollouts.sort_by(|one, other| (one.side, &one.path).cmp(&(other.side, &other.path)));
    walk.found
}

impl HomeWalk<'_> {
    /// The home itself, and the files in its root.
    fn root(&mut self) {
        let root = self.paths.root().to_owned();
        self.is_private(&root, FOLDER_MODE);
        for folder in [self.paths.threads(), self.paths.open_markers()] {
            if let Err(error) = fs::symlink_metadata(&folder)
                && error.kind() == io::ErrorKind::NotFound
            {
                let made = || DirBuilder::new().mode(FOLDER_MODE).create(&folder);
                self.says(Defect::NoFolder, &folder, "it is not there".to_owned(), Some(&made));
            }
        }
        for file in [self.paths.lock(), self.paths.server_json()] {
            self.is_private(&file, FILE_MODE);
        }
        if let Ok(None) = read_term(&root) {
            self.says(Defect::Lock, &self.paths.lock(), "it cannot be understood".to_owned(), None);
        }
        if self.idle {
            self.leftovers(&root);
        }
        let Ok(entries) = fs::read_dir(&root) else { return };
        let is_index = |name: &str| name.starts_with("index-") || name.starts_with("search-");
        for index in entries.flatten().filter(|entry| is_index(&entry.file_name().to_string_lossy())) {
            self.is_private(&index.path(), FOLDER_MODE);
        }
    }

    /// The leftovers of a server that is gone.
    fn leftovers(&mut self, root: &Path) {
        let server = self.paths.server_json();
        if server.symlink_metadata().is_ok() {
            let said = match Home::read_server_json(root) {
                Ok(Some(says)) => format!("process {} does not serve this home any more", says.pid),
                Ok(None) => return,
                Err(error) => error.to_string(),
            };
            self.says(Defect::ServerJson, &server, said, Some(&|| fs::remove_file(&server)));
        }
        let beside = server.with_extension("json.new");
        if beside.symlink_metadata().is_ok() {
            self.leftover(&beside);
        }
    }

    /// Visits the folders below `root`, each named by two digits, with these digits. `parts` says that partial rollouts
    /// may stand beside the folders.
    fn digit_folders(&mut self, root: &Path, parts: bool, each: &dyn Fn(&mut Self, &Path, &str)) {
        for (path, seen) in self.entries(root) {
            let name = name_of(&path).unwrap_or_default();
            match is_two_digits(name) {
                true if seen.is_dir() => each(self, &path, name),
                true => self.odd(&path),
                false if parts && is_leftover(name) => self.leftover(&path),
                false => self.foreign(&path),
            }
        }
    }

    fn texts(&mut self, folder: &Path, digits: &str) {
        for (path, seen) in self.entries(folder) {
            let text = name_of(&path).unwrap_or_default();
            let name = text.parse().ok();
            if name.is_none() && !is_part_of_text(text) {
                self.foreign(&path);
            } else if !seen.is_file() {
                self.odd(&path);
            } else if !text.starts_with(digits) {
                self.misplaced(&path);
            } else {
                self.is_private(&path, FILE_MODE);
                self.found.blobs.push(StoredFile { path: self.below(&path), bytes: seen.len(), name });
            }
        }
    }

    fn secrets_in(&mut self, folder: &Path, digits: &str) {
        for (path, seen) in self.entries(folder) {
            let text = name_of(&path).unwrap_or_default();
            let thread =
                text.strip_suffix(".json").and_then(|stem| Some((stem, stem.parse::<ThreadId>().ok()?)));
            if self.only.is_some_and(|only| thread.is_none_or(|(_, thread)| !only.contains(&thread))) {
                continue;
            }
            match thread {
                None if is_leftover(text) => self.leftover(&path),
                Some((stem, thread)) if thread.to_string() == stem => {
                    self.secrets_of(thread, &path, &seen, stem.ends_with(digits));
                }
                None | Some(_) => self.foreign(&path),
            }
        }
    }

    fn secrets_of(&mut self, thread: ThreadId, path: &Path, seen: &Metadata, is_here: bool) {
        if !seen.is_file() {
            return self.odd(path);
        }
        if !is_here {
            return self.misplaced(path);
        }
        self.is_private(path, FILE_MODE);
        match fs::read(path)
            .map(|bytes| serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(&bytes))
        {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => self.says(Defect::Unreachable, path, error.to_string(), None),
            Ok(Err(error)) => self.says(Defect::Secrets, path, error.to_string(), None),
            Ok(Ok(_)) => {}
        }
        let stored = StoredFile { path: self.below(path), bytes: seen.len(), name: None };
        self.found.secrets.push((thread, stored));
    }

    /// A folder of files.
    fn folder(&mut self, folder: &Path, side: Side, name: &dyn Fn(&str) -> EntryName) {
        for (path, seen) in self.entries(folder) {
            let text = name_of(&path).unwrap_or_default();
            let is = if is_leftover(text) { EntryName::Leftover } else { name(text) };
            let thread = match is {
                EntryName::Rollout(thread) | EntryName::WrongFolder(thread) | EntryName::Marker(thread) => {
                    Some(thread)
                }
                EntryName::Leftover | EntryName::Foreign => None,
            };
            if self.only.is_some_and(|only| thread.is_none_or(|thread| !only.contains(&thread))) {
                continue;
            }
            match is {
                EntryName::Leftover => self.leftover(&path),
                EntryName::Foreign => self.foreign(&path),
                EntryName::Rollout(_) | EntryName::WrongFolder(_) | EntryName::Marker(_)
                    if !seen.is_file() =>
                {
                    self.odd(&path)
                }
                EntryName::WrongFolder(_) => self.misplaced(&path),
                EntryName::Marker(thread) => {
                    self.is_private(&path, FILE_MODE);
                    self.found.marked.insert(thread);
                }
                EntryName::Rollout(thread) => {
                    self.is_private(&path, FILE_MODE);
                    let path = self.below(&path);
                    self.found.rollouts.push(RolloutFile { path, thread, side, bytes: seen.len() });
                }
            }
        }
    }

    /// The entries of a folder, ordered by name. Like a server, it follows a link for one of the home's own folders.
    fn entries(&mut self, folder: &Path) -> Vec<(PathBuf, Metadata)> {
        let is_own = folder.parent() == Some(self.paths.root());
        let seen = match fs::metadata(folder) {
            Ok(seen) if is_own => Ok(seen),
            // Also for a lost link.
            Ok(_) | Err(_) => fs::symlink_metadata(folder),
        };
        match seen {
            Ok(seen) if seen.is_dir() => self.is_private(folder, FOLDER_MODE),
            Ok(_) => {
                self.odd(folder);
                return Vec::new();
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.says(Defect::Unreachable, folder, error.to_string(), None);
                return Vec::new();
            }
        }
        let read = fs::read_dir(folder).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<BTreeSet<PathBuf>>>()
        });
        match read {
            Ok(paths) => {
                // Entries that were removed meanwhile do not count.
                let seen = |path: PathBuf| fs::symlink_metadata(&path).ok().map(|seen| (path, seen));
                paths.into_iter().filter_map(seen).collect()
            }
            Err(error) => {
                self.says(Defect::Unreachable, folder, error.to_string(), None);
                Vec::new()
            }
        }
    }

    /// Checks that a file or folder is for its owner only, as the store creates it.
    fn is_private(&mut self, path: &Path, mode: u32) {
        let Ok(seen) = fs::symlink_metadata(path) else { return };
        if seen.is_symlink() || !(seen.is_dir() || seen.is_file()) {
            return;
        }
        let is = seen.permissions().mode() & 0o7777;
        if is != mode {
            let detail = format!("its mode is {is:04o}, and has to be {mode:04o}");
            let set = || fs::set_permissions(path, Permissions::from_mode(mode));
            self.says(Defect::Mode, path, detail, Some(&set));
        }
    }

    /// Reports a thread with several rollouts outside the trash.
    fn twice(&mut self) {
        let mut places: BTreeMap<ThreadId, Vec<&RolloutFile>> = BTreeMap::new();
        for place in self.found.rollouts.iter().filter(|place| place.side == Side::Kept) {
            places.entry(place.thread).or_default().push(place);
        }
        let root = self.paths.root();
        let mut twice = Vec::new();
        for (thread, places) in places {
            // One may have moved between two looks.
            let there: Vec<&&RolloutFile> =
                places.iter().filter(|place| root.join(&place.path).exists()).collect();
            if let [first, others @ ..] = there.as_slice() {
                let detail = format!("the thread has another rollout, {}", first.path.display());
                let more = others
                    .iter()
                    .map(|place| FsckFinding::new(Defect::Twice, &place.path, &detail).of(thread));
                twice.extend(more);
            }
        }
        twice.iter_mut().for_each(|finding| finding.outcome = self.mend.otherwise());
        self.found.findings.append(&mut twice);
    }

    fn leftover(&mut self, path: &Path) {
        if !self.idle {
            // Its server may be using it.
            return;
        }
        let gone = || fs::remove_file(path);
        self.says(Defect::Leftover, path, "the work that made it was broken off".to_owned(), Some(&gone));
    }

    fn misplaced(&mut self, path: &Path) {
        self.says(Defect::WrongFolder, path, "nobody looks for it in this folder".to_owned(), None);
    }

    fn foreign(&mut self, path: &Path) {
        self.says(Defect::Foreign, path, "no name that Skein gives".to_owned(), None);
    }

    fn odd(&mut self, path: &Path) {
        let is = match fs::symlink_metadata(path) {
            Ok(seen) if seen.is_symlink() => "it is a link, and is not followed",
            Ok(seen) if seen.is_dir() => "a folder is in the place of a file",
            Ok(seen) if seen.is_file() => "a file is in the place of a folder",
            Ok(_) | Err(_) => "it is neither file nor folder",
        };
        self.says(Defect::NotRegular, path, is.to_owned(), None);
    }

    /// Reports a defect, and mends it if that is possible and requested.
    fn says(&mut self, kind: Defect, path: &Path, detail: String, mend: Option<&dyn Fn() -> io::Result<()>>) {
        let mut finding = FsckFinding::new(kind, self.below(path), detail);
        finding.thread = name_of(path).and_then(thread_in);
        finding.outcome = self.mend.otherwise();
        if let (Mend::Yes, Some(mend)) = (self.mend, mend) {
            match mend() {
                Ok(()) => finding.outcome = FindingOutcome::Mended,
                Err(error) => finding.detail.push_str(&format!("; it cannot be mended: {error}")),
            }
        }
        self.found.findings.push(finding);
    }

    fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.paths.root()).unwrap_or(path).to_owned()
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// The thread at the beginning of a name.
fn thread_in(name: &str) -> Option<ThreadId> {
    name.split('.').next()?.parse().ok()
}

fn is_two_digits(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// `<thread>.jsonl` in the folder of these digits.
fn in_folder(name: &str, digits: &str) -> EntryName {
    let thread = name.strip_suffix(".jsonl").and_then(|stem| Some((stem, stem.parse::<ThreadId>().ok()?)));
    match thread {
        // Another spelling of the same id is another name.
        Some((stem, thread)) if thread.to_string() != stem => EntryName::Foreign,
        Some((stem, thread)) if stem.ends_with(digits) => EntryName::Rollout(thread),
        Some((_, thread)) => EntryName::WrongFolder(thread),
        None => EntryName::Foreign,
    }
}

/// `<thread>.<Unix ms>.jsonl`.
fn deleted(name: &str) -> Option<ThreadId> {
    let (thread, at) = name.strip_suffix(".jsonl")?.split_once('.')?;
    at.parse::<i64>().ok()?;
    thread.parse().ok()
}

/// The name of a partial copy of a rollout: `<thread>.part`.
fn is_leftover(name: &str) -> bool {
    name.strip_suffix(".part").is_some_and(|stem| stem.parse::<ThreadId>().is_ok())
}

/// The name of a partial text: `<SHA-256>.<thread>.part`.
fn is_part_of_text(name: &str) -> bool {
    let parts = name.strip_suffix(PART).and_then(|stem| stem.split_once('.'));
    parts.is_some_and(|(text, thread)| text.parse::<BlobName>().is_ok() && thread.parse::<ThreadId>().is_ok())
}
