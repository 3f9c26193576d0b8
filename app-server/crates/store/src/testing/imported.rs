use std::io;
use std::path::Path;

use skein_protocol::ids::{Epoch, ThreadId};
use uuid::Uuid;

use crate::home::Term;
use crate::import::records::Importer;
use crate::import::{convert, find};
use crate::rollout::record::Record;

/// The records that an import makes of each rollout at `from`, a file or a folder of the peer. Rollouts without a
/// message, and those that cannot be converted, are left out.
///
/// # Errors
/// If `from` cannot be read.
pub fn imported(from: &Path) -> io::Result<Vec<(ThreadId, Vec<Record>)>> {
    let importer = Importer { boot_id: Uuid::nil(), term: Term(1), epoch: Epoch(1) };
    let rollouts = find::find(from)?.rollouts.into_iter();
    let converted = rollouts.filter_map(|rollout| {
        let records = convert(&rollout, importer).ok()?.records;
        Some((rollout.meta.created.id, records))
    });
    Ok(converted.filter(|(_, records)| !records.is_empty()).collect())
}
