//! Folders and files of a home.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use anyhow::Result;

use super::place::{Place, Tried};

/// Replaces a folder of the home by a link to a new folder on another file system.
fn linked_to_another_disk(place: &mut Place, folder: &str) -> Result<Tried> {
    let other = match place.on_another_file_system()? {
        Ok(other) => other,
        Err(not) => return Ok(not),
    };
    symlink(other, place.home().join(folder))?;
    Ok(Tried::Yes)
}

/// Makes a folder of the home the root of a file system.
async fn mounted(place: &mut Place, folder: &str) -> Result<Tried> {
    let folder = place.home().join(folder);
    fs::create_dir(&folder)?;
    place.mounted("mount -t tmpfs -o mode=0700 none \"$1\"", &[&folder]).await
}

pub(super) async fn threads_behind_a_link(place: &mut Place) -> Result<Tried> {
    let threads = place.folder().join("moved");
    fs::create_dir(&threads)?;
    symlink(threads, place.home().join("threads"))?;
    Ok(Tried::Yes)
}

pub(super) async fn threads_on_another_disk(place: &mut Place) -> Result<Tried> {
    linked_to_another_disk(place, "threads")
}

pub(super) async fn archive_on_another_disk(place: &mut Place) -> Result<Tried> {
    linked_to_another_disk(place, "archived")
}

pub(super) async fn threads_mounted(place: &mut Place) -> Result<Tried> {
    mounted(place, "threads").await
}

pub(super) async fn archive_mounted(place: &mut Place) -> Result<Tried> {
    mounted(place, "archived").await
}

pub(super) async fn threads_behind_a_lost_link(place: &mut Place) -> Result<Tried> {
    symlink("nowhere", place.home().join("threads"))?;
    Ok(Tried::Yes)
}

pub(super) async fn archive_behind_a_lost_link(place: &mut Place) -> Result<Tried> {
    symlink("nowhere", place.home().join("archived"))?;
    Ok(Tried::Yes)
}

pub(super) async fn threads_a_file(place: &mut Place) -> Result<Tried> {
    fs::write(place.home().join("threads"), "words")?;
    Ok(Tried::Yes)
}

pub(super) async fn threads_read_only(place: &mut Place) -> Result<Tried> {
    let folder = place.home().join("threads");
    fs::create_dir(&folder)?;
    place.mounted("mount -t tmpfs -o ro,mode=0700 none \"$1\"", &[&folder]).await
}

pub(super) async fn lock_behind_a_link(place: &mut Place) -> Result<Tried> {
    symlink("moved", place.home().join("lock"))?;
    Ok(Tried::Yes)
}

pub(super) async fn settings_behind_a_lost_link(place: &mut Place) -> Result<Tried> {
    let settings = place.home().join("config.toml");
    fs::remove_file(&settings)?;
    symlink("nowhere", settings)?;
    Ok(Tried::Yes)
}

/// The settings have a helper's variable, which may be a secret.
pub(super) async fn settings_open_to_all(place: &mut Place) -> Result<Tried> {
    fs::set_permissions(place.home().join("config.toml"), Permissions::from_mode(0o644))?;
    Ok(Tried::Yes)
}
