//! Rollouts that begin as a copy of another, or are written at once: under another name first, and then whole.
//! Everything here blocks.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use skein_protocol::ids::{EventSeq, ThreadId};

use super::layer::{LayerFile, OpenMode};
use super::places::RolloutPaths;
use super::writer::encode;
use super::{TurnOffsets, blobs, pages, scan, secrets};
use crate::rollout::record::Record;
use crate::rollout::{AppendError, Appended, CopyError, DiskKind, Lease, Location, ReadError, line};

/// Copies the readable part of `from`, up to `readable`, into the rollout of `lease.thread`.
pub(super) fn copy(
    places: &RolloutPaths,
    (from, readable): (ThreadId, u64),
    up_to: EventSeq,
    lease: Lease,
    then: &[Record],
) -> Result<Appended, CopyError> {
    let disk = |source| ReadError::Disk { thread: from, source };
    let (source, _) =
        places.open_rollout(from, OpenMode::Read).map_err(|error| scan::open_error(from, error))?;
    let end = source.len().map_err(disk)?.min(readable);
    let length = pages::end_of(&*source, end, up_to).map_err(disk)?;
    let thread = lease.thread;
    let refused = |source: io::Error| {
        places.counters.errors.fetch_add(1, Relaxed);
        AppendError::Disk { thread, kind: DiskKind::of(&source), head: EventSeq(0), source }
    };
    let (mut bytes, mut texts) = (Vec::new(), Vec::new());
    for record in then {
        line::encode_small(record, &mut bytes, &mut texts).map_err(|error| refused(error.into()))?;
    }
    if places.open_rollout(thread, OpenMode::Read).is_ok() {
        return Err(AppendError::Conflict { thread, head: EventSeq(0) }.into());
    }
    let kept = blobs::keep(places, thread, &texts)
        .and_then(|()| secrets::copy(places, from, thread))
        .and_then(|()| secrets::keep(places, thread, then));
    if let Err(error) = kept.and_then(|()| make(places, &*source, length, thread, &bytes)) {
        // A part is no rollout. If the removal fails, the next start removes it.
        places.layer.remove(&places.part(thread)).ok();
        places.layer.remove(&places.rollout(thread)).ok();
        return Err(refused(error).into());
    }
    places.counters.appends.fetch_add(1, Relaxed);
    Ok(Appended::unlisted(then.last().map_or(up_to, |last| last.seq)))
}

fn make(
    places: &RolloutPaths,
    from: &dyn LayerFile,
    length: u64,
    thread: ThreadId,
    then: &[u8],
) -> io::Result<()> {
    let (layer, part) = (&places.layer, places.part(thread));
    let file = layer.copy(from, &part, length)?;
    file.write_at(then, length)?;
    places.sync(&*file)?;
    let rollout = places.rollout(thread);
    rollout.parent().map_or(Ok(()), |folder| layer.make_folder(folder))?;
    places.set_open_marker(thread)?;
    places.give_name(thread, &part, &rollout)?;
    places.sync_name(&rollout)
}

/// Writes the rollout of a thread at this location, replacing an existing one. The open marker tells the next start
/// to check its row.
pub(super) fn put(
    places: &RolloutPaths,
    thread: ThreadId,
    location: Location,
    mut records: Vec<Record>,
) -> io::Result<()> {
    let (layer, part) = (&places.layer, places.part(thread));
    let lines = encode(&mut records, 0, TurnOffsets::default())?;
    blobs::keep(places, thread, &lines.blobs)?;
    secrets::keep(places, thread, &records)?;
    layer.remove(&part)?;
    let file = layer.open(&part, OpenMode::New)?;
    let made = file.write_at(&lines.bytes, 0).and_then(|()| places.sync(&*file)).and_then(|()| {
        let rollout = places.on(location, thread);
        rollout
            .ancestors()
            .skip(1)
            .take(2)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .try_for_each(|folder| layer.make_folder(folder))?;
        places.set_open_marker(thread)?;
        places.give_name(thread, &part, &rollout)?;
        places.sync_name(&rollout)
    });
    if made.is_err() {
        // A part is no rollout. If the removal fails, the next start removes it.
        layer.remove(&part).ok();
    }
    made
}
