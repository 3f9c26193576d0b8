//! What can be mended without loss. Each says in the finding what became of it.

use std::fs;
use std::io;

use skein_protocol::ids::ThreadId;

use super::finding::{Finding, Kind, Outcome};
use super::rollout::Place;
use crate::home::HomePaths;
use crate::rollout::file::layer::{DiskLayer, FileLayer, Open};

/// Mends what is wrong with a rollout, where that is what a load would do: `cut` says where one would cut it off. Answers
/// whether the rollout is there afterwards.
pub(crate) fn rollout(paths: &HomePaths, place: &Place, cut: Option<u64>, finding: &mut Finding) -> bool {
    let path = paths.root().join(&place.path);
    match (finding.kind, cut) {
        (Kind::TornEnd, Some(keep)) => {
            let cut = || {
                let file = DiskLayer.open(&path, Open::Write)?;
                file.truncate(keep)?;
                file.sync()
            };
            tell(finding, cut());
            true
        }
        // Nothing of it was ever acknowledged.
        (Kind::Begun, _) => !tell(finding, fs::remove_file(&path)),
        (_left, _) => true,
    }
}

/// Marks a rollout open, so that the next server closes it.
pub(crate) fn mark(paths: &HomePaths, thread: ThreadId, finding: &mut Finding) {
    let made = DiskLayer.open(&paths.open_markers().join(thread.to_string()), Open::New);
    tell(finding, made.map(drop));
}

/// Takes a mark off.
pub(crate) fn unmark(paths: &HomePaths, thread: ThreadId, finding: &mut Finding) {
    tell(finding, fs::remove_file(paths.open_markers().join(thread.to_string())));
}

fn tell(finding: &mut Finding, done: io::Result<()>) -> bool {
    match done {
        Ok(()) => finding.outcome = Outcome::Mended,
        Err(error) => {
            finding.outcome = Outcome::Left;
            finding.detail.push_str(&format!("; it cannot be mended: {error}"));
        }
    }
    finding.outcome == Outcome::Mended
}
