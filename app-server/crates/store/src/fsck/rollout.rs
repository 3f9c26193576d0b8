//! Reads one rollout and names its defects. Changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skein_protocol::ids::ThreadId;

use super::finding::{Defect, FsckFinding};
use super::records::{CheckedRecords, RecordCheck, RecordDefect};
use crate::home::HomePaths;
use crate::rollout::file::blobs::Blobs;
use crate::rollout::file::layer::{DiskLayer, FileLayer, OpenMode};
use crate::rollout::file::{LostText, Survey, survey};
use crate::rollout::{Damage, ReadError};

/// The part of a home with a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// Among the active or archived threads.
    Kept,
    /// In the trash: nobody opens it any more.
    Trash,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RolloutFile {
    pub(crate) path: PathBuf,
    /// The thread that it is named after.
    pub(crate) thread: ThreadId,
    pub(crate) side: Side,
    /// Its size when the folder was read.
    pub(crate) bytes: u64,
}

/// The result of reading a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reading {
    /// Its defects, in the order of the file.
    pub(crate) findings: Vec<FsckFinding>,
    pub(crate) records: u64,
    /// Whether its last turn has no end.
    pub(crate) open: bool,
    /// The length that a load would cut it to.
    pub(crate) cut: Option<u64>,
}

/// Reads the rollout at `place` in the home `root`; `None` if it is gone.
pub(super) fn read(root: &Path, place: &RolloutFile) -> Option<Reading> {
    match DiskLayer.open(&root.join(&place.path), OpenMode::Read) {
        Ok(file) => {
            let mut story = RecordCheck::of(place.thread);
            let texts = Blobs::of(&HomePaths::new(root), Arc::new(DiskLayer));
            let seen = survey(&*file, &texts, place.thread, |record, at| story.take(&record, Some(at)));
            Some(judged(place, seen, story.end()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let finding =
                FsckFinding::new(Defect::Unreachable, &place.path, error.to_string()).of(place.thread);
            Some(Reading { findings: vec![finding], ..Reading::default() })
        }
    }
}

/// The result of a reading. Pure.
fn judged(place: &RolloutFile, seen: Result<Survey, ReadError>, checked: CheckedRecords) -> Reading {
    let new = |kind, detail: String| FsckFinding::new(kind, &place.path, detail).of(place.thread);
    let survey = match seen {
        Ok(survey) => survey,
        Err(error) => {
            let kind = match &error {
                ReadError::Missing(_) => Defect::Begun,
                ReadError::Unreadable { .. } => Defect::Unreadable,
                ReadError::Disk { .. } | ReadError::Away { .. } => Defect::Unreachable,
            };
            let detail = if kind == Defect::Begun {
                "it has not one whole line".to_owned()
            } else {
                error.to_string()
            };
            return Reading { findings: vec![new(kind, detail)], ..Reading::default() };
        }
    };
    let is_lost = |damage: &&Damage| survey.lost.iter().any(|lost| lost.offset == damage.offset);
    let damage = survey.damage.iter().filter(|damage| !is_lost(damage));
    let mut findings: Vec<FsckFinding> = damage.map(|damage| damaged(place, damage)).collect();
    findings.extend(
        survey
            .lost
            .iter()
            .map(|LostText { seq, offset, lost }| new(Defect::LostText, lost.to_string()).at(*seq, *offset)),
    );
    findings.extend(in_records(&place.path, place.thread, &checked.wrong));
    findings.sort_by_key(|finding| finding.offset);
    let torn = survey.length - survey.keep;
    if torn > 0 {
        let detail = "it ends within a line".to_owned();
        findings.push(new(Defect::TornEnd, detail).at(survey.head, survey.keep).long(torn));
    }
    let cut = (torn > 0).then_some(survey.keep);
    Reading { findings, records: checked.records, open: checked.open, cut }
}

/// The first defect of each kind that the records of a thread have, with the number of others: one mistake may repeat with every
/// turn.
pub(super) fn in_records(path: &Path, thread: ThreadId, wrong: &[RecordDefect]) -> Vec<FsckFinding> {
    let mut each: Vec<(&RecordDefect, usize)> = Vec::new();
    for wrong in wrong {
        match each.iter_mut().find(|(first, _)| first.kind == wrong.kind) {
            Some((_, more)) => *more += 1,
            None => each.push((wrong, 0)),
        }
    }
    let finding = |(wrong, more): (&RecordDefect, usize)| {
        let more = if more > 0 { format!("; and again behind it, {more} times") } else { String::new() };
        let detail = format!("{}{more}", wrong.detail);
        FsckFinding {
            offset: wrong.offset,
            ..FsckFinding::new(wrong.kind, path, detail).of(thread).of_record(wrong.seq)
        }
    };
    each.into_iter().map(finding).collect()
}

fn damaged(place: &RolloutFile, damage: &Damage) -> FsckFinding {
    let detail = match (damage.length, damage.lines) {
        (0, missing) => format!("records are missing: {missing}"),
        (_, lines) => format!("lines that cannot be read: {lines}"),
    };
    FsckFinding::new(Defect::Damage, &place.path, detail)
        .of(place.thread)
        .at(damage.after, damage.offset)
        .long(damage.length)
}
