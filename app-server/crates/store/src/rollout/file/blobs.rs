//! Texts that are too large for a line: `blobs/<first two digits>/<SHA-256>`, each made under another name and there whole
//! or not at all. Everything here blocks.
//!
//! A text is on disk, with its name, before the line that refers to it is written, whatever the line's `Keep`: the system
//! may bring a line to disk by itself at any time. What a crash leaves between the two is a text that nobody names.
//!
//! A text that exists is compared before a line relies on it, and written anew where it differs: saying it again mends the damage.
//! `skein fsck --gc` has the home alone and removes each text whose name is in no rollout, open marker or unfinished restore. It looks at
//! bytes, not at records, so a damaged line keeps its texts. If one of those files cannot be read, it removes nothing.

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

/// What the names of texts end with that are not whole yet: `<SHA-256>.<thread>.part`.
pub(crate) const PART: &str = ".part";

/// The texts of a home.
pub struct Blobs {
    layer: Arc<dyn FileLayer>,
    root: PathBuf,
    /// Texts whose names are on disk for certain, some of them.
    named: Mutex<HashSet<BlobName>>,
}

impl Blobs {
    /// The texts of the home at `paths`. Changes nothing.
    #[must_use]
    pub fn of(paths: &HomePaths, layer: Arc<dyn FileLayer>) -> Self {
        Self { layer, root: paths.blobs(), named: Mutex::default() }
    }

    /// Where a text stands.
    #[must_use]
    pub fn path(&self, name: BlobName) -> PathBuf {
        let name = name.to_string();
        self.root.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// The bytes in the place of a text, if they are as many; else what is there.
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

    /// Whether the text is there, whole. One that cannot be read is none: writing it again may help.
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

/// Sees to it that the texts are there, and on disk with their names. A thread's texts are kept one after the other, so its id
/// makes the names under which they are written different from those of others.
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
    // Also where it was there: whoever made it may be about to sync its name, or was killed before that.
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
        // A full disk needs the room. What cannot be removed now is no text, and goes with `skein fsck --gc`.
        layer.remove(&part).ok();
    }
    made
}
