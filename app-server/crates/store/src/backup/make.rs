//! Writes a backup of a home, which a server may use meanwhile.
//!
//! Rollouts are append-only, and acknowledged records are in the file. So a copy of its whole lines has every record
//! that was acknowledged before the copy began, as after a kill at that moment. The backup locks nothing and asks no
//! server.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use schemars::JsonSchema;
use serde::Serialize;
use skein_base::clock::Clock;
use skein_protocol::ids::ThreadId;
use tar::{Builder, EntryType, Header};

use super::{
    BackupError, BackupHead, BackupName, BackupProgress, CONFIG, FIRST, HashingReader, LOCATIONS, MANIFEST,
    ManifestEntry, VERSION, VERSION_WITH_SECRETS, hex, rollout, secrets,
};
use crate::home::{self, FILE_MODE, HomePaths, durable, existing};
use crate::policy;
use crate::rollout::file::layer::{DiskLayer, FileLayer, LayerFile, OpenMode};

/// The request for a backup.
#[derive(Debug, Clone, Copy)]
pub struct BackupRequest<'a> {
    /// The home.
    pub home: &'a Path,
    /// The backup's file.
    pub file: &'a Path,
    /// Whether to replace an existing file.
    pub force: bool,
    /// Whether to include the secrets of threads.
    pub secrets: bool,
}

/// The written backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeBackup {
    /// Threads in it.
    pub threads: u64,
    /// Files in it, rollouts among them.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Bytes of the backup.
    pub size: u64,
    /// Files of the home that are missing from the backup. An empty list means a complete backup.
    pub left_out: Vec<OmittedFile>,
}

/// A part of a home that is missing from the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OmittedFile {
    /// Its path.
    #[serde(serialize_with = "home::lossy")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The reason.
    #[serde(rename = "reason")]
    pub why: String,
}

impl OmittedFile {
    fn new(path: PathBuf, why: impl Into<String>) -> Self {
        Self { path, why: why.into() }
    }
}

/// Writes a backup under a temporary name (the file's with `.part`), and renames it once it is whole and on disk.
///
/// # Errors
/// [`BackupError`]; an existing file stays unchanged.
pub fn make(
    order: BackupRequest<'_>,
    progress: impl FnMut(BackupProgress),
) -> Result<MadeBackup, BackupError> {
    let paths = existing(order.home)?;
    if !order.force && order.file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(order.file.to_owned()));
    }
    let part = part_of(order.file);
    let open = lock_part(open_part(&part)?, &part)?;
    let spool = open_spool(order.file)?;
    let written = write(&paths, (&open, spool), order.secrets, progress).and_then(|made| {
        put_in_place(&part, order)?;
        Ok(made)
    });
    if written.is_err() && is_at(&open, &part) {
        // The part is useless, and the next try would replace it.
        fs::remove_file(&part).ok();
    }
    written
}

/// The temporary name of a backup.
pub(super) fn part_of(file: &Path) -> PathBuf {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    PathBuf::from(part)
}

/// An unnamed file beside the backup.
fn open_spool(file: &Path) -> Result<File, BackupError> {
    let mut name = file.as_os_str().to_owned();
    name.push(".copy");
    let name = PathBuf::from(name);
    let spool = open_part(&name)?;
    fs::remove_file(&name).map_err(BackupError::io(&name))?;
    Ok(spool)
}

/// Opens the temporary file, which another backup may be writing.
pub(super) fn open_part(part: &Path) -> Result<File, BackupError> {
    durable::open_private(part).map_err(BackupError::io(part))
}

/// Locks and empties the open file.
pub(super) fn lock_part(file: File, part: &Path) -> Result<Flock<File>, BackupError> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        // Its writer has renamed or removed it while this one waited for the lock.
        Ok(file) if !is_at(&file, part) => Err(BackupError::Busy(part.to_owned())),
        Ok(file) => {
            file.set_len(0).map_err(BackupError::io(part))?;
            Ok(file)
        }
        Err((_, Errno::EWOULDBLOCK)) => Err(BackupError::Busy(part.to_owned())),
        Err((_, errno)) => Err(BackupError::io(part)(errno.into())),
    }
}

/// Whether the open file still has this name.
fn is_at(file: &File, name: &Path) -> bool {
    let there = (file.metadata(), name.symlink_metadata());
    matches!(there, (Ok(open), Ok(there)) if (open.dev(), open.ino()) == (there.dev(), there.ino()))
}

fn put_in_place(part: &Path, order: BackupRequest<'_>) -> Result<(), BackupError> {
    let renamed = if order.force {
        fs::rename(part, order.file)
    } else {
        match durable::rename_new(part, order.file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists(order.file.to_owned()));
            }
            other => other,
        }
    };
    renamed.map_err(BackupError::io(order.file))?;
    let folder = order.file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BackupError::io(folder))
}

fn write(
    paths: &HomePaths,
    (file, spool): (&File, File),
    secrets: bool,
    progress: impl FnMut(BackupProgress),
) -> Result<MadeBackup, BackupError> {
    let zip = GzEncoder::new(BufWriter::new(file), Compression::new(policy::BACKUP_LEVEL));
    let (tar, manifest) = (Builder::new(zip), Vec::new());
    let mut archive = Archive { tar, manifest, made: MadeBackup::default(), spool };
    let failed = || BackupError::io("the backup");
    let version = if secrets { VERSION_WITH_SECRETS } else { VERSION };
    let head = BackupHead { version, skein: env!("CARGO_PKG_VERSION").to_owned(), at: Clock.wall().0 };
    let head = serde_json::to_vec(&head).map_err(io::Error::from).map_err(failed())?;
    archive.add_bytes(FIRST, &head).map_err(failed())?;
    archive.add_home(paths, secrets, progress)?;
    let manifest = std::mem::take(&mut archive.manifest);
    archive.add_bytes(MANIFEST, &manifest).map_err(failed())?;
    let finished = archive.tar.into_inner().and_then(GzEncoder::finish);
    finished.and_then(|mut buffer| buffer.flush()).map_err(failed())?;
    file.sync_all().map_err(failed())?;
    let size = file.metadata().map_err(failed())?.len();
    Ok(MadeBackup { size, ..archive.made })
}

/// The reason for leaving out a thing that should be a file.
const NOT_REGULAR: &str = "it is no regular file";

struct Archive<W: Write> {
    tar: Builder<W>,
    manifest: Vec<u8>,
    made: MadeBackup,
    /// Holds the copy of a long rollout.
    spool: File,
}

impl<W: Write> Archive<W> {
    fn add_home(
        &mut self,
        paths: &HomePaths,
        with_secrets: bool,
        mut progress: impl FnMut(BackupProgress),
    ) -> Result<(), BackupError> {
        self.add_settings(paths)?;
        let threads = threads(paths)?;
        let total = threads.len() as u64;
        progress(BackupProgress { done: 0, total });
        for (done, thread) in (1..).zip(threads) {
            self.add_rollout(paths, thread)?;
            if with_secrets {
                self.add_whole(paths, &secrets(thread))?;
            }
            progress(BackupProgress { done, total });
        }
        // Blobs come after the rollouts that refer to them, so each was there first.
        for name in blobs(paths)? {
            self.add_whole(paths, &name)?;
        }
        Ok(())
    }

    /// Adds a rollout from its current location. Skips one that was deleted since the folders were read.
    fn add_rollout(&mut self, paths: &HomePaths, thread: ThreadId) -> Result<(), BackupError> {
        // The rollout may move between two looks, so the first location gets a second one.
        for location in [LOCATIONS[0], LOCATIONS[1], LOCATIONS[0]] {
            let name = rollout(location, thread);
            let path = paths.root().join(&name);
            match open(&path)? {
                PathKind::Nothing => continue,
                PathKind::Other => self.made.left_out.push(OmittedFile::new(path, NOT_REGULAR)),
                PathKind::File(file) => match copied(&*file, &self.spool).map_err(BackupError::io(&path))? {
                    None => return Err(BackupError::Shrunk(path)),
                    Some((0, _)) => self.made.left_out.push(OmittedFile::new(path, "it has no whole record")),
                    Some((end, copy)) => {
                        self.add(&name, &path, copy, end)?;
                        self.made.threads += 1;
                    }
                },
            }
            return Ok(());
        }
        Ok(())
    }

    /// Adds the settings, which may be behind a link, as the server reads them.
    fn add_settings(&mut self, paths: &HomePaths) -> Result<(), BackupError> {
        let path = paths.config();
        let error = match path.canonicalize() {
            Ok(real) => return self.add_file(CONFIG, &path, &real),
            Err(error) => error,
        };
        if let Some(lost) = home::lost_link(&path) {
            self.made.left_out.push(OmittedFile::new(path, lost.to_string()));
            return Ok(());
        }
        if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(BackupError::io(path)(error)) }
    }

    /// Adds an unchanging file, if it exists.
    fn add_whole(&mut self, paths: &HomePaths, name: &str) -> Result<(), BackupError> {
        let path = paths.root().join(name);
        self.add_file(name, &path, &path)
    }

    /// Adds the file at `real` under its name in the home.
    fn add_file(&mut self, name: &str, path: &Path, real: &Path) -> Result<(), BackupError> {
        match open(real)? {
            PathKind::Nothing => Ok(()),
            PathKind::Other => {
                self.made.left_out.push(OmittedFile::new(path.to_owned(), NOT_REGULAR));
                Ok(())
            }
            PathKind::File(file) => {
                let end = file.len().map_err(BackupError::io(path))?;
                self.add(name, path, FileBytes { file: &*file, at: 0, end }, end)
            }
        }
    }

    fn add(&mut self, name: &str, path: &Path, from: impl Read, end: u64) -> Result<(), BackupError> {
        let written = path.symlink_metadata().and_then(|seen| seen.modified());
        let written = written.unwrap_or(UNIX_EPOCH);
        let mut content = HashingReader::new(from);
        self.tar
            .append(&header(name, end, written).map_err(BackupError::io(path))?, &mut content)
            .map_err(BackupError::io(path))?;
        if content.bytes < end {
            return Err(BackupError::Shrunk(path.to_owned()));
        }
        let kept = ManifestEntry { path: name.to_owned(), bytes: end, sha256: hex(content.digest) };
        serde_json::to_writer(&mut self.manifest, &kept)
            .map_err(|error| BackupError::io(path)(error.into()))?;
        self.manifest.push(b'\n');
        self.made.files += 1;
        self.made.bytes += end;
        Ok(())
    }

    fn add_bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.tar.append(&header(name, bytes.len() as u64, UNIX_EPOCH)?, bytes)
    }
}

fn header(name: &str, bytes: u64, written: SystemTime) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(FILE_MODE);
    header.set_size(bytes);
    header.set_mtime(written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    header.set_cksum();
    Ok(header)
}

/// The bytes of a file up to an end, read once.
struct FileBytes<'a> {
    file: &'a dyn LayerFile,
    at: u64,
    end: u64,
}

impl Read for FileBytes<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(bytes.len());
        let room = bytes.get_mut(..most).unwrap_or_default();
        let came = self.file.read_at(room, self.at)?;
        self.at += came as u64;
        Ok(came)
    }
}

/// Copies a rollout up to the end of its last whole line, and returns the length. The server may cut the rollout
/// meanwhile, after a disk error: then it reads again. `None` if the server keeps cutting.
pub(super) fn copied(file: &dyn LayerFile, spool: &File) -> io::Result<Option<(u64, Box<dyn Read>)>> {
    for _ in 0..policy::BACKUP_TRIES {
        let end = whole_lines(file)?;
        let mut content = FileBytes { file, at: 0, end };
        let copy: Box<dyn Read> = if end <= policy::BACKUP_HELD {
            let mut held = Vec::new();
            content.read_to_end(&mut held)?;
            Box::new(Cursor::new(held))
        } else {
            let mut spool = spool.try_clone()?;
            spool.set_len(0)?;
            spool.rewind()?;
            io::copy(&mut content, &mut spool)?;
            spool.rewind()?;
            Box::new(spool)
        };
        if content.at == end {
            return Ok(Some((end, copy)));
        }
    }
    Ok(None)
}

enum PathKind {
    Nothing,
    File(Box<dyn LayerFile>),
    /// No regular file.
    Other,
}

fn open(path: &Path) -> Result<PathKind, BackupError> {
    match DiskLayer.open(path, OpenMode::Read) {
        Ok(file) => Ok(PathKind::File(file)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(PathKind::Nothing)
        }
        Err(_) if path.symlink_metadata().is_ok_and(|seen| !seen.is_file()) => Ok(PathKind::Other),
        Err(error) => Err(BackupError::io(path)(error)),
    }
}

/// The end of the last whole line.
fn whole_lines(file: &dyn LayerFile) -> io::Result<u64> {
    let mut end = file.len()?;
    let mut bytes = vec![0; policy::BACKUP_LOOK];
    while end > 0 {
        let from = end.saturating_sub(bytes.len() as u64);
        let wanted = usize::try_from(end - from).unwrap_or(bytes.len());
        let came = file.read_at(bytes.get_mut(..wanted).unwrap_or_default(), from)?;
        if let Some(at) = bytes.iter().take(came).rposition(|byte| *byte == b'\n') {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// Every thread with a rollout, once; also a thread that moves meanwhile.
fn threads(paths: &HomePaths) -> Result<Vec<ThreadId>, BackupError> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for location in [LOCATIONS[0], LOCATIONS[1], LOCATIONS[0]] {
        for name in names(paths, &paths.location(location))? {
            if let Some(BackupName::Rollout(thread)) = BackupName::of(&name)
                && seen.insert(thread)
            {
                found.push(thread);
            }
        }
    }
    Ok(found)
}

fn blobs(paths: &HomePaths) -> Result<Vec<String>, BackupError> {
    Ok(names(paths, &paths.blobs())?
        .into_iter()
        .filter(|name| BackupName::of(name) == Some(BackupName::Blob))
        .collect())
}

/// The names of all files in the subfolders of a folder of the home.
fn names(paths: &HomePaths, folder: &Path) -> Result<Vec<String>, BackupError> {
    let mut found = Vec::new();
    for below in DiskLayer.entries(folder).map_err(BackupError::io(folder))? {
        match DiskLayer.entries(&below.path) {
            Ok(files) => found.extend(
                files
                    .iter()
                    .filter_map(|file| Some(file.path.strip_prefix(paths.root()).ok()?.to_str()?.to_owned())),
            ),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
            Err(error) => return Err(BackupError::io(below.path)(error)),
        }
    }
    Ok(found)
}
