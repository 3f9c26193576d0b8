//! Reads a backup from beginning to end and trusts nothing. Every name must be known, every file must match the
//! manifest, and nothing may follow the end.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;
use skein_protocol::ids::ThreadId;
use tar::{Archive, Entry, EntryType};

use super::{
    BackupError, BackupHead, BackupName, Contents, FIRST, HashingReader, ManifestEntry, VERSION,
    VERSION_WITH_SECRETS, hex,
};
use crate::policy;

type Unzipped = GzDecoder<BufReader<File>>;

/// A file of a backup while it is read.
pub(super) struct Passing<'a> {
    pub(crate) path: &'a str,
    /// The thread whose rollout it is.
    pub(crate) thread: Option<ThreadId>,
    /// Its modification time, Unix seconds.
    pub(crate) written: u64,
    pub(crate) content: &'a mut dyn Read,
}

/// A backup that was found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The SHA-256 of its manifest: identifies the backup.
    pub(crate) id: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// Checks that a file is a whole backup. Changes nothing.
///
/// # Errors
/// [`BackupError::Damaged`] if it is not, [`BackupError::Io`] if it cannot be read.
pub fn check(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<Checked, BackupError> {
    walk(path, progress, &mut |_| Ok(()))
}

/// Passes each file of a backup to `each`, in order. Only the end shows whether they are right. `progress` receives
/// the number of files so far.
pub(super) fn walk(
    path: &Path,
    progress: &mut dyn FnMut(u64),
    each: &mut dyn FnMut(Passing<'_>) -> Result<(), BackupError>,
) -> Result<Checked, BackupError> {
    let damaged = |reason: &dyn ToString| BackupError::damaged(path, reason.to_string());
    let file = File::open(path).map_err(BackupError::io(path))?;
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut seen = CheckedFiles::default();
    let mut checked = None;
    for entry in archive.entries().map_err(|error| damaged(&error))?.raw(true) {
        let mut entry = entry.map_err(|error| damaged(&error))?;
        if checked.is_some() {
            return Err(damaged(&"something follows its manifest"));
        }
        let (name, kind) = seen.name(&entry).map_err(|reason| damaged(&reason))?;
        match kind {
            BackupName::First => head(&mut entry).map_err(|reason| damaged(&reason))?,
            BackupName::Manifest => {
                let id = compare(&mut entry, &mut seen.contents).map_err(|reason| damaged(&reason))?;
                checked = Some(Checked { id, files: seen.files, bytes: seen.bytes });
            }
            BackupName::Config | BackupName::Rollout(_) | BackupName::Blob | BackupName::Secrets(_) => {
                seen.pass(path, &name, kind, &mut entry, each)?;
                progress(seen.files);
            }
        }
    }
    let checked = checked.ok_or_else(|| damaged(&"it has no manifest: it was cut off"))?;
    end(archive.into_inner()).map_err(|reason| damaged(&reason))?;
    Ok(checked)
}

#[derive(Default)]
struct CheckedFiles {
    contents: Contents,
    threads: HashSet<ThreadId>,
    begun: bool,
    files: u64,
    bytes: u64,
}

impl CheckedFiles {
    /// The entry, if it may stand here.
    fn name<R: Read>(&mut self, entry: &Entry<'_, R>) -> Result<(String, BackupName), String> {
        let name = String::from_utf8_lossy(&entry.header().path_bytes()).into_owned();
        let shown: String = name.chars().take(policy::BACKUP_NAME_SHOWN).collect();
        if entry.header().entry_type() != EntryType::Regular {
            return Err(format!("{shown:?} is no regular file"));
        }
        let kind = BackupName::of(&name).ok_or_else(|| format!("{shown:?} has no place in a home"))?;
        if (kind == BackupName::First) == self.begun {
            return Err(format!("{shown:?} is where it should not be; the first entry is {FIRST}"));
        }
        self.begun = true;
        let again = self.contents.contains_key(&name)
            || matches!(kind, BackupName::Rollout(thread) if !self.threads.insert(thread));
        if again { Err(format!("{shown:?} is in it twice")) } else { Ok((name, kind)) }
    }

    fn pass<R: Read>(
        &mut self,
        path: &Path,
        name: &str,
        kind: BackupName,
        entry: &mut Entry<'_, R>,
        each: &mut dyn FnMut(Passing<'_>) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let damaged = |error: io::Error| BackupError::damaged(path, format!("{name}: {error}"));
        let written = entry.header().mtime().map_err(damaged)?;
        let size = entry.header().entry_size().map_err(damaged)?;
        let thread = if let BackupName::Rollout(thread) = kind { Some(thread) } else { None };
        let mut content = HashingReader::new(entry);
        let shown = each(Passing { path: name, thread, written, content: &mut content });
        // A backup that ends too early is damaged, whichever code notices first.
        if let Some(error) = content.failed.take() {
            return Err(damaged(error));
        }
        shown?;
        io::copy(&mut content, &mut io::sink()).map_err(damaged)?;
        if content.bytes != size {
            return Err(damaged(io::ErrorKind::UnexpectedEof.into()));
        }
        self.files += 1;
        self.bytes += size;
        self.contents.insert(name.to_owned(), (size, hex(content.digest)));
        Ok(())
    }
}

fn head(entry: &mut dyn Read) -> Result<(), String> {
    let mut text = Vec::new();
    entry.take(policy::BACKUP_LINE).read_to_end(&mut text).map_err(|error| error.to_string())?;
    let head: BackupHead = serde_json::from_slice(&text).map_err(|error| format!("{FIRST}: {error}"))?;
    if (VERSION..=VERSION_WITH_SECRETS).contains(&head.version) {
        return Ok(());
    }
    Err(format!(
        "it is of version {}, and this skein reads version {VERSION_WITH_SECRETS} and earlier: use skein {}",
        head.version, head.skein
    ))
}

/// Compares the files so far with the manifest; returns the manifest's SHA-256.
fn compare(entry: &mut dyn Read, seen: &mut Contents) -> Result<String, String> {
    let mut counted = HashingReader::new(entry);
    let mut lines = BufReader::new(&mut counted);
    loop {
        let mut line = Vec::new();
        let most = (&mut lines).take(policy::BACKUP_LINE).read_until(b'\n', &mut line);
        if most.map_err(|error| format!("its manifest: {error}"))? == 0 {
            break;
        }
        let kept: ManifestEntry =
            serde_json::from_slice(&line).map_err(|error| format!("its manifest: {error}"))?;
        match seen.remove(&kept.path) {
            Some(found) if found == (kept.bytes, kept.sha256) => {}
            Some(_) => return Err(format!("{} is not what was saved", kept.path)),
            None => return Err(format!("{} is missing", kept.path)),
        }
    }
    match seen.keys().next() {
        Some(name) => Err(format!("{name} is not in its manifest")),
        None => Ok(hex(counted.digest)),
    }
}

/// Behind the last entry come zeros, then the end with its checksum, then nothing.
fn end(mut unzipped: Unzipped) -> Result<(), String> {
    let mut bytes = vec![0; policy::BACKUP_LOOK];
    loop {
        let came = unzipped.read(&mut bytes).map_err(|error| error.to_string())?;
        if came == 0 {
            break;
        }
        if bytes.iter().take(came).any(|byte| *byte != 0) {
            return Err("something follows its end".to_owned());
        }
    }
    let rest = unzipped.get_mut().fill_buf().map_err(|error| error.to_string())?;
    if rest.is_empty() { Ok(()) } else { Err("something follows its end".to_owned()) }
}
