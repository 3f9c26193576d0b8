//! Kinds and locations of homes.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use anyhow::Result;

use super::place::{Place, Tried};

pub(super) async fn ordinary(_place: &mut Place) -> Result<Tried> {
    Ok(Tried::Yes)
}

pub(super) async fn missing(place: &mut Place) -> Result<Tried> {
    fs::remove_dir_all(place.home())?;
    place.home = Some(place.folder().join("not/there/yet"));
    place.has_helper = false;
    Ok(Tried::Yes)
}

/// The folder of the row is the working directory of its programs.
pub(super) async fn relative(place: &mut Place) -> Result<Tried> {
    place.home = Some("./home".into());
    Ok(Tried::Yes)
}

pub(super) async fn behind_a_link(place: &mut Place) -> Result<Tried> {
    place.move_home("moved")?;
    symlink("moved", place.home())?;
    place.other_name = place.home.replace(place.home());
    Ok(Tried::Yes)
}

pub(super) async fn behind_a_link_to_nothing(place: &mut Place) -> Result<Tried> {
    fs::remove_dir_all(place.home())?;
    symlink("nowhere", place.home())?;
    Ok(Tried::Yes)
}

pub(super) async fn a_file(place: &mut Place) -> Result<Tried> {
    fs::remove_dir_all(place.home())?;
    fs::write(place.home(), "words")?;
    Ok(Tried::Yes)
}

pub(super) async fn not_utf8(place: &mut Place) -> Result<Tried> {
    place.move_home(OsStr::from_bytes(b"\xff\xfe/home\xff"))?;
    Ok(Tried::Yes)
}

pub(super) async fn with_a_line_feed(place: &mut Place) -> Result<Tried> {
    place.move_home("a b\nc/home")?;
    Ok(Tried::Yes)
}

/// The address of a Unix socket holds 108 bytes.
pub(super) async fn too_long_for_a_socket(place: &mut Place) -> Result<Tried> {
    place.move_home(format!("{0}/{0}", "x".repeat(120)))?;
    Ok(Tried::Yes)
}

pub(super) async fn open_to_all(place: &mut Place) -> Result<Tried> {
    fs::set_permissions(place.home(), Permissions::from_mode(0o777))?;
    Ok(Tried::Yes)
}

pub(super) async fn on_another_file_system(place: &mut Place) -> Result<Tried> {
    let other = match place.on_another_file_system()? {
        Ok(other) => other,
        Err(not) => return Ok(not),
    };
    fs::copy(place.home().join("config.toml"), other.join("config.toml"))?;
    place.home = Some(other);
    Ok(Tried::Yes)
}

/// Not even root can write there.
pub(super) async fn read_only(place: &mut Place) -> Result<Tried> {
    let home = place.home();
    place.mounted("mount --bind \"$1\" \"$1\"; mount -o remount,ro,bind \"$1\"", &[&home]).await
}

pub(super) async fn of_another_user(place: &mut Place) -> Result<Tried> {
    fs::set_permissions(place.folder(), Permissions::from_mode(0o755))?;
    let others = place.folder().join("others");
    fs::create_dir(&others)?;
    place.move_home("others/home")?;
    fs::set_permissions(&others, Permissions::from_mode(0o000))?;
    place.without_privileges().await
}
