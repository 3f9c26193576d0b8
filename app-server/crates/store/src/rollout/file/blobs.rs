//! Texts that are too large for a line: `blobs/<first two digits>/<SHA-256>`, each written under another name and
//! then whole. Everything here blocks.
//!
//! A text and its name are on disk before the line that refers to it, at any `Keep`. The system may bring a line to
//! disk by itself at any time. A crash between the two leaves a text that no line names.
//!
//! Before a line relies on an existing text, its bytes are compared. A different one is written anew, so that sending
//! the text again repairs the damage. `skein fsck --gc` holds the home alone and removes each text whose name is in
//! no rollout, open marker or unfinished restore. It searches bytes, not records, so a damaged line keeps its texts.
//! If one of those files cannot be read, it removes nothing.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use skein_protocol::ids::ThreadId;

use super::layer::{FileLayer, OpenMode};
use super::places::{RolloutPaths, lock};
use super::scan;
use crate::home::HomePaths;
use crate::policy;
use crate::rollout::blob::{Blob, BlobName, BlobRef, Lost, TextSource};

/// The suffix of texts that are not whole yet: `<SHA-256>.<thread>.part`.
pub(crate) const PART: &str = ".part";

/// The texts of a home.
pub struct Blobs {
    layer: Arc<dyn FileLayer>,
    root: PathBuf,
    /// Some of the texts whose names are durably on disk.
    named: Mutex<HashSet<BlobName>>,
}

impl Blobs {
    /// The texts of the home at `paths`. Changes nothing.
    pub fn of(paths: &HomePaths, layer: Arc<dyn FileLayer>) -> Self {
        Self { layer, root: paths.blobs(), named: Mutex::default() }
    }

    /// The path of a text.
    pub fn path(&self, name: BlobName) -> PathBuf {
        let name = name.to_string();
        self.root.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// The bytes of a text's file if their count is right; else a description of the file.
    fn bytes(&self, name: BlobName, length: u64) -> io::Result<Result<Vec<u8>, String>> {
        let file = match self.layer.open(&self.path(name), OpenMode::Read) {
            Ok(file) => file,
            Err(error) => {
                return match scan::in_its_place(&error) {
                    Some(what) => Ok(Err(what.unwrap_or("it is not there").to_owned())),
                    None => Err(error),
                };
            }
        };
        let found = file.len()?;
        let room = usize::try_from(length).ok().filter(|_| found == length);
        let Some(room) = room else { return Ok(Err(format!("it has {found} bytes and not {length}"))) };
        let mut bytes = vec![0; room];
        let came = file.read_at(&mut bytes, 0)?;
        Ok(if came == room { Ok(bytes) } else { Err(format!("it has {came} bytes and not {length}")) })
    }

    /// Whether the whole text exists. An unreadable one does not count: writing it again may help.
    fn has(&self, blob: &Blob) -> bool {
        let found = self.bytes(blob.name, blob.text.len() as u64);
        matches!(found, Ok(Ok(bytes)) if bytes == blob.text.as_bytes())
    }
}

impl TextSource for Blobs {
    fn text(&self, blob: &BlobRef) -> io::Result<Result<String, Lost>> {
        let lost = |reason: String| Lost { blob: blob.sha256, reason };
        let bytes = match self.bytes(blob.sha256, blob.bytes)? {
            Ok(bytes) => bytes,
            Err(reason) => return Ok(Err(lost(reason))),
        };
        if BlobName::of(&bytes) != blob.sha256 {
            return Ok(Err(lost("its bytes are not those that were written".to_owned())));
        }
        Ok(String::from_utf8(bytes).map_err(|_| lost("it is no UTF-8".to_owned())))
    }
}

/// Brings the texts and their names to disk. A thread writes its texts one after the other, so the thread's id makes
/// their temporary names unique.
pub(super) fn keep(places: &RolloutPaths, thread: ThreadId, blobs: &[Blob]) -> io::Result<()> {
    blobs.iter().try_for_each(|blob| keep_one(places, thread, blob))
}

fn keep_one(places: &RolloutPaths, thread: ThreadId, blob: &Blob) -> io::Result<()> {
    let path = places.blobs.path(blob.name);
    let folder = path.parent().unwrap_or(&places.blobs.root);
    if !places.blobs.has(blob) {
        places.make_folder(&places.blobs.root)?;
        places.make_folder(folder)?;
        make(places, thread, blob, &path)?;
    } else if lock(&places.blobs.named).contains(&blob.name) {
        return Ok(());
    }
    // Also for an existing text: its writer may still have to sync the name, or was killed before that.
    places.layer.sync_folder(folder)?;
    let mut named = lock(&places.blobs.named);
    if named.len() >= policy::BLOBS_REMEMBERED {
        named.clear();
    }
    named.insert(blob.name);
    Ok(())
}

fn make(places: &RolloutPaths, thread: ThreadId, blob: &Blob, path: &Path) -> io::Result<()> {
    let layer = &places.layer;
    let part = path.with_file_name(format!("{}.{thread}{PART}", blob.name));
    layer.remove(&part)?;
    let made = layer.open(&part, OpenMode::New).and_then(|file| {
        file.write_at(blob.text.as_bytes(), 0)?;
        places.sync(&*file)?;
        layer.rename(&part, path)
    });
    if made.is_err() {
        // A full disk needs the room. If the removal fails, `skein fsck --gc` removes the part.
        layer.remove(&part).ok();
    }
    made
}
