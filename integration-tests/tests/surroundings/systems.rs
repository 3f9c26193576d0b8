//! Facilities of the system.

use anyhow::Result;
use skein_integration_tests::paths;

use super::place::{Place, Tried};

/// An empty folder replaces `/proc`.
pub(super) async fn no_proc(place: &mut Place) -> Result<Tried> {
    place.mounted("mount -t tmpfs none /proc", &[]).await
}

pub(super) async fn no_proc_with_a_guard(place: &mut Place) -> Result<Tried> {
    place.flags = vec!["--guard".into(), paths::skein()?.into()];
    no_proc(place).await
}
