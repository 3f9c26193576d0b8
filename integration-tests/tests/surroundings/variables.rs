//! The environment, and other state that a process inherits from its parent.

use anyhow::Result;

use super::place::{Place, Tried};

pub(super) async fn none(place: &mut Place) -> Result<Tried> {
    place.bare = true;
    Ok(Tried::Yes)
}

pub(super) async fn path_without_programs(place: &mut Place) -> Result<Tried> {
    place.variables.insert("PATH", Some(place.folder().join("nothing").into()));
    Ok(Tried::Yes)
}

pub(super) async fn no_temporary_folder(place: &mut Place) -> Result<Tried> {
    place.variables.insert("TMPDIR", Some(place.folder().join("nothing").into()));
    Ok(Tried::Yes)
}

pub(super) async fn odd_language_and_zone(place: &mut Place) -> Result<Tried> {
    place.variables.extend([
        ("LANG", Some("C".into())),
        ("LC_ALL", Some("xx_YY.NOTHING".into())),
        ("TZ", Some("Nowhere/Nothing".into())),
    ]);
    Ok(Tried::Yes)
}

pub(super) async fn no_home(place: &mut Place) -> Result<Tried> {
    place.home = None;
    place.variables.insert("HOME", None);
    Ok(Tried::Yes)
}

pub(super) async fn open_umask(place: &mut Place) -> Result<Tried> {
    place.after("umask 0");
    Ok(Tried::Yes)
}

/// Not even the owner may use new files. Root may.
pub(super) async fn closed_umask(place: &mut Place) -> Result<Tried> {
    place.after("umask 777");
    place.without_privileges().await
}
