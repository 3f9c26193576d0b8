//! Signals to a server.

use anyhow::Result;
use nix::sys::signal::Signal::{SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTSTP};

use super::place::{Place, Tried};

pub(super) async fn stopped_and_continued(place: &mut Place) -> Result<Tried> {
    place.signals = &[SIGSTOP, SIGCONT];
    Ok(Tried::Yes)
}

/// The server stops only if another process can continue it; it works in either case.
pub(super) async fn ctrl_z(place: &mut Place) -> Result<Tried> {
    place.signals = &[SIGTSTP, SIGCONT];
    Ok(Tried::Yes)
}

pub(super) async fn hang_up(place: &mut Place) -> Result<Tried> {
    place.signals = &[SIGHUP];
    Ok(Tried::Yes)
}

pub(super) async fn killed(place: &mut Place) -> Result<Tried> {
    place.end = SIGKILL;
    Ok(Tried::Yes)
}
