//! Resource limits of a process.

use std::ffi::OsString;

use anyhow::Result;

use super::place::{Place, Tried};

/// `ulimit -f` counts blocks of 512 bytes.
fn file_blocks(place: &mut Place, blocks: u64) -> Tried {
    place.after(&format!("ulimit -f {blocks}"));
    Tried::Yes
}

pub(super) async fn files_of_2_mb(place: &mut Place) -> Result<Tried> {
    Ok(file_blocks(place, 4096))
}

pub(super) async fn files_of_512_bytes(place: &mut Place) -> Result<Tried> {
    Ok(file_blocks(place, 1))
}

pub(super) async fn files_of_nothing(place: &mut Place) -> Result<Tried> {
    Ok(file_blocks(place, 0))
}

pub(super) fn descriptors(most: u64) -> impl AsyncFnOnce(&mut Place) -> Result<Tried> {
    async move |place: &mut Place| {
        place.after(&format!("ulimit -n {most}"));
        Ok(Tried::Yes)
    }
}

/// Root has no limit of threads.
pub(super) fn threads(most: u64) -> impl AsyncFnOnce(&mut Place) -> Result<Tried> {
    async move |place: &mut Place| {
        place.through = ["prlimit", &format!("--nproc={most}"), "--"].map(OsString::from).to_vec();
        place.without_privileges().await
    }
}
