//! Repairs without loss. Each one notes its outcome in the finding.

use std::{fs, io};

use skein_protocol::ids::ThreadId;

use super::finding::{Defect, FindingOutcome, FsckFinding};
use super::rollout::RolloutFile;
use crate::home::HomePaths;
use crate::rollout::file::layer::{DiskLayer, FileLayer, OpenMode};

/// Repairs a rollout like a load; `cut` is the length that a load would cut it to. Returns whether the rollout still
/// exists.
pub(crate) fn rollout(
    paths: &HomePaths,
    place: &RolloutFile,
    cut: Option<u64>,
    finding: &mut FsckFinding,
) -> bool {
    let path = paths.root().join(&place.path);
    match (finding.kind, cut) {
        (Defect::TornEnd, Some(keep)) => {
            let cut = || {
                let file = DiskLayer.open(&path, OpenMode::Write)?;
                file.truncate(keep)?;
                file.sync()
            };
            note_outcome(finding, cut());
            true
        }
        // Nothing of it was ever acknowledged.
        (Defect::Begun, _) => !note_outcome(finding, fs::remove_file(&path)),
        (_left, _) => true,
    }
}

/// Creates a rollout's open marker, so that the next server closes it.
pub(crate) fn create_open_marker(paths: &HomePaths, thread: ThreadId, finding: &mut FsckFinding) {
    let made = DiskLayer.open(&paths.open_markers().join(thread.to_string()), OpenMode::New);
    note_outcome(finding, made.map(drop));
}

pub(crate) fn remove_open_marker(paths: &HomePaths, thread: ThreadId, finding: &mut FsckFinding) {
    note_outcome(finding, fs::remove_file(paths.open_markers().join(thread.to_string())));
}

fn note_outcome(finding: &mut FsckFinding, done: io::Result<()>) -> bool {
    match done {
        Ok(()) => finding.outcome = FindingOutcome::Mended,
        Err(error) => {
            finding.outcome = FindingOutcome::Left;
            finding.detail.push_str(&format!("; it cannot be mended: {error}"));
        }
    }
    finding.outcome == FindingOutcome::Mended
}
