//! What can be mended without loss. Each says in the finding what became of it.

use std::fs;
use std::io;

use skein_protocol::ids::ThreadId;

use super::finding::{Defect, FindingOutcome, FsckFinding};
use super::rollout::RolloutFile;
use crate::home::HomePaths;
use crate::rollout::file::layer::{DiskLayer, FileLayer, OpenMode};

/// Mends what is wrong with a rollout, where that is what a load would do: `cut` says where one would cut it off. Answers
/// whether the rollout is there afterwards.
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
            tell(finding, cut());
            true
        }
        // Nothing of it was ever acknowledged.
        (Defect::Begun, _) => !tell(finding, fs::remove_file(&path)),
        (_left, _) => true,
    }
}

/// Marks a rollout open, so that the next server closes it.
pub(crate) fn create_open_marker(paths: &HomePaths, thread: ThreadId, finding: &mut FsckFinding) {
    let made = DiskLayer.open(&paths.open_markers().join(thread.to_string()), OpenMode::New);
    tell(finding, made.map(drop));
}

/// Takes a mark off.
pub(crate) fn remove_open_marker(paths: &HomePaths, thread: ThreadId, finding: &mut FsckFinding) {
    tell(finding, fs::remove_file(paths.open_markers().join(thread.to_string())));
}

fn tell(finding: &mut FsckFinding, done: io::Result<()>) -> bool {
    match done {
        Ok(()) => finding.outcome = FindingOutcome::Mended,
        Err(error) => {
            finding.outcome = FindingOutcome::Left;
            finding.detail.push_str(&format!("; it cannot be mended: {error}"));
        }
    }
    finding.outcome == FindingOutcome::Mended
}
