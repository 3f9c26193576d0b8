//! Secrets of threads: `secrets/<last two digits of the id>/<id>.json`, each replaced as a whole. Everything here
//! blocks.
//!
//! Secrets are on disk before the record with their settings. They stay as long as the thread, and go when the trash
//! is purged of it. A fork has its own copy.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};
use skein_protocol::ids::ThreadId;

use super::layer::OpenMode;
use super::places::RolloutPaths;
use crate::policy;
use crate::rollout::record::{Record, SecretValues};

/// The secrets of a thread; none if the file is damaged.
///
/// # Errors
/// If the disk refuses.
pub(super) fn read(places: &RolloutPaths, thread: ThreadId) -> io::Result<Map<String, Value>> {
    let path = places.secrets(thread);
    let file = match places.layer.open(&path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        opened => opened?,
    };
    let length = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(policy::SECRETS_BYTES);
    let mut bytes = vec![0; length];
    let came = file.read_at(&mut bytes, 0)?;
    serde_json::from_slice(bytes.get(..came).unwrap_or_default()).or_else(|error| {
        tracing::warn!(%thread, %error, path = %path.display(), "the secrets of a thread cannot be read");
        Ok(Map::new())
    })
}

/// Brings the secrets of these records to disk.
pub(super) fn keep(places: &RolloutPaths, thread: ThreadId, records: &[Record]) -> io::Result<()> {
    let new = SecretValues::of(records).0;
    if new.is_empty() {
        return Ok(());
    }
    let before = read(places, thread)?;
    let mut after = SecretValues(before.clone());
    after.add(new);
    if after.0 == before { Ok(()) } else { write(places, thread, &after.0) }
}

/// Copies the secrets of a thread for its fork.
pub(super) fn copy(places: &RolloutPaths, from: ThreadId, to: ThreadId) -> io::Result<()> {
    let secrets = read(places, from)?;
    if secrets.is_empty() { Ok(()) } else { write(places, to, &secrets) }
}

/// Removes the secrets of a purged thread.
pub(super) fn remove(places: &RolloutPaths, thread: ThreadId) -> io::Result<()> {
    places.layer.remove(&places.secrets(thread)).map(drop)
}

pub(super) fn write(places: &RolloutPaths, thread: ThreadId, secrets: &Map<String, Value>) -> io::Result<()> {
    let path = places.secrets(thread);
    let folders: Vec<&Path> = path.ancestors().skip(1).take(2).collect();
    folders.into_iter().rev().try_for_each(|folder| places.make_folder(folder))?;
    let (layer, part) = (&places.layer, path.with_extension(PART));
    layer.remove(&part)?;
    let bytes = serde_json::to_vec(secrets)?;
    let made = layer.open(&part, OpenMode::New).and_then(|file| {
        file.write_at(&bytes, 0)?;
        places.sync(&*file)?;
        layer.rename(&part, &path)?;
        path.parent().map_or(Ok(()), |folder| layer.sync_folder(folder))
    });
    if made.is_err() {
        // If the removal fails now, the next write or `skein fsck --mend` removes it.
        layer.remove(&part).ok();
    }
    made
}

/// The suffix of files that are not whole yet.
const PART: &str = "part";
