//! How many descriptors the server may have open: as many as the system lets it. Helpers get what the user had set, as programs that use
//! select(2) fail above 1,024.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::policy;

/// The soft limit that this process was started with.
static FOUND: OnceLock<Option<u64>> = OnceLock::new();

/// Raises the soft limit of this process to the hard one. A system that refuses keeps its own.
pub fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if FOUND.set(current).is_err() {
        return;
    }
    let wanted = maximum.unwrap_or(policy::DESCRIPTORS).min(policy::DESCRIPTORS);
    if current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::warn!(%error, ?current, wanted, "the limit of open files stays; raise it before the start (ulimit -n)");
    }
}

/// The soft limit that programs of the user are to have, where this process has raised its own.
#[must_use]
pub fn of_programs() -> Option<u64> {
    FOUND.get().copied().flatten()
}

/// Gives this process the soft limit that the server was started with.
///
/// # Errors
/// The system's error.
pub fn lower(soft: u64) -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(soft), ..limit })?)
}
