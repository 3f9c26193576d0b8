//! Homes of a benchmark: cached fixtures and an empty home.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressBar};
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::fixture::{self, Force, Order, SEED, Size, Summary};

/// A home, and the summary of its fixture.
#[derive(Debug)]
pub(super) struct Place {
    pub name: &'static str,
    pub home: PathBuf,
    /// `None` for the empty home.
    pub summary: Option<Summary>,
}

/// Disk usage of a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Number of files.
    pub files: u64,
    /// Length of the files, bytes.
    pub bytes: u64,
    /// Space that the file system uses for them, bytes.
    pub allocated: u64,
}

impl Disk {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.allocated += other.allocated;
    }
}

/// An empty home, made again for each run.
pub(super) fn empty(plan: &Plan) -> Result<Place> {
    let home = plan.cache.join("empty");
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("{} cannot be removed", home.display()))?;
    }
    fs::create_dir_all(&home).with_context(|| format!("{} cannot be made", home.display()))?;
    Ok(Place { name: "empty", home, summary: None })
}

/// The fixture of a size: from an earlier run, or new. The summary beside it proves that it is complete.
pub(super) fn fixture(plan: &Plan, size: Size, bars: &MultiProgress) -> Result<Place> {
    let home = plan.cache.join(size.name());
    let summary_file = plan.cache.join(format!("{}.json", size.name()));
    let known =
        fs::read_to_string(&summary_file).ok().and_then(|text| serde_json::from_str::<Summary>(&text).ok());
    if let Some(summary) = known.filter(|_| home.join("threads").is_dir()) {
        return Ok(Place { name: size.name(), home, summary: Some(summary) });
    }
    fs::create_dir_all(&plan.cache).with_context(|| format!("{} cannot be made", plan.cache.display()))?;
    let order = Order { home: home.clone(), size, seed: SEED, force: Force::Yes };
    let progress = bars.add(ProgressBar::no_length());
    let summary = fixture::build(&order, &progress)?;
    fs::write(&summary_file, serde_json::to_vec_pretty(&summary)?)?;
    Ok(Place { name: size.name(), home, summary: Some(summary) })
}

/// Disk usage of a folder with everything below it.
pub(super) fn disk(folder: &Path) -> Result<Disk> {
    let mut sum = Disk::default();
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let entry = entry?;
        let seen = entry.metadata()?;
        if seen.is_dir() {
            sum.add(disk(&entry.path())?);
        } else {
            sum.add(Disk { files: 1, bytes: seen.len(), allocated: seen.blocks() * 512 });
        }
    }
    Ok(sum)
}

/// Disk usage of a home's indexes.
pub(super) fn indexes(home: &Path) -> Result<Disk> {
    let mut sum = Disk::default();
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("index-") {
            sum.add(disk(&entry.path())?);
        }
    }
    Ok(sum)
}

/// The largest rollout of a home, and its length in bytes.
pub(super) fn longest(home: &Path) -> Result<Option<(PathBuf, u64)>> {
    let mut longest = None;
    for folder in fs::read_dir(home.join("threads"))? {
        for file in fs::read_dir(folder?.path())? {
            let file = file?;
            let bytes = file.metadata()?.len();
            if longest.as_ref().is_none_or(|(_, most)| bytes > *most) {
                longest = Some((file.path(), bytes));
            }
        }
    }
    Ok(longest)
}
