//! The other ends of a server's standard streams.

use anyhow::Result;

use super::place::{Place, Reader, Tried, shell};

pub(super) async fn closed(place: &mut Place) -> Result<Tried> {
    place.serve_through = shell("exec <&- >&- 2>&-");
    Ok(Tried::Yes)
}

pub(super) async fn stdout_gone(place: &mut Place) -> Result<Tried> {
    place.stdout = Reader::Gone;
    Ok(Tried::Yes)
}

pub(super) async fn stderr_gone(place: &mut Place) -> Result<Tried> {
    place.stderr = Reader::Gone;
    Ok(Tried::Yes)
}

pub(super) async fn stderr_full(place: &mut Place) -> Result<Tried> {
    place.stderr = Reader::Idle;
    Ok(Tried::Yes)
}

pub(super) async fn stdout_full(place: &mut Place) -> Result<Tried> {
    place.stdout = Reader::Idle;
    Ok(Tried::Yes)
}

pub(super) async fn stdout_on_a_full_disk(place: &mut Place) -> Result<Tried> {
    place.serve_through = shell("exec >/dev/full");
    Ok(Tried::Yes)
}
