//! The number of descriptors that the server may open: as many as the system allows. Helpers get the user's limit, as
//! programs with select(2) fail above 1,024. The last ones are reserved for files: without them nothing can be read
//! or saved.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::policy;

/// The soft limit at the start of this process.
static FOUND: OnceLock<Option<u64>> = OnceLock::new();

/// Raises this process's soft limit to the hard one. If the system refuses, the limit stays.
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

/// The soft limit for the user's programs, if this process has raised its own.
pub fn of_programs() -> Option<u64> {
    FOUND.get().copied().flatten()
}

/// Restores this process's soft limit to that of the server's start.
pub fn lower(soft: u64) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(soft), ..limit })?)
}

/// The number of free descriptors, at most. A new one gets the lowest free number, so all below that are in use.
fn left() -> (u64, u64) {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let lowest = File::open("/dev/null").ok().and_then(|file| u64::try_from(file.as_raw_fd()).ok());
    (most.saturating_sub(lowest.unwrap_or(most)), most)
}

/// Whether this many can be taken without touching the reserve for files.
pub fn have_room_for(count: u64) -> bool {
    is_room_in(left().0, count)
}

/// Does the same for a process with free low numbers: counts all open ones.
pub fn have_counted_room_for(count: u64) -> bool {
    let (left, most) = left();
    is_room_in(most.saturating_sub(in_use((left, most))), count)
}

/// The number in use, if only few are left.
pub fn in_use_when_scarce() -> Option<u64> {
    let (left, most) = left();
    if !are_scarce(left, most) {
        return None;
    }
    let used = in_use((left, most));
    are_scarce(most.saturating_sub(used), most).then_some(used)
}

/// The number of open descriptors. If none is left to count them, or the system has no such folder, it is the number
/// below the lowest free one.
fn in_use((left, most): (u64, u64)) -> u64 {
    match std::fs::read_dir("/dev/fd") {
        // One of them is the folder's.
        Ok(open) => open.count().saturating_sub(1) as u64,
        Err(error) if error.kind() == io::ErrorKind::NotFound => most.saturating_sub(left),
        Err(_) => most,
    }
}

fn is_room_in(left: u64, count: u64) -> bool {
    left >= policy::DESCRIPTORS_RESERVE.saturating_add(count)
}

/// Whether room is needed: true wherever a helper or a connection is refused.
fn are_scarce(left: u64, most: u64) -> bool {
    left < policy::DESCRIPTORS_LOW.min(most / 4) || !is_room_in(left, policy::HELPER_DESCRIPTORS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_a_quarter_of_a_small_limit_and_a_number_of_a_large_one() {
        let low = policy::DESCRIPTORS_LOW;
        for (left, most, scarce) in
            [(31, 128, true), (32, 128, false), (low - 1, 1 << 20, true), (low, 1 << 20, false)]
        {
            assert_eq!(are_scarce(left, most), scarce, "{left} of {most}");
        }
    }

    #[test]
    fn room_is_made_where_a_connection_or_a_helper_is_refused_however_small_the_limit() {
        for most in [48, 64, 68, 84, 128, 1 << 20] {
            for count in [1, policy::HELPER_DESCRIPTORS] {
                let refused = policy::DESCRIPTORS_RESERVE + count - 1;
                assert!(!is_room_in(refused, count) && are_scarce(refused, most), "{refused} of {most}");
            }
        }
    }

    #[test]
    fn a_low_descriptor_that_is_free_is_not_taken_for_many() {
        let file = File::open("/dev/null").unwrap();
        let high = |_| rustix::io::fcntl_dupfd_cloexec(&file, 600).unwrap();
        let taken: Vec<_> = (0..200).map(high).collect();
        let most = u64::try_from(file.as_raw_fd()).unwrap() + 150;
        assert!(most < 600, "the free ones are below those that are taken");
        assert!(!is_room_in(most.saturating_sub(in_use((150, most))), policy::HELPER_DESCRIPTORS));
        drop(taken);
        assert!(have_counted_room_for(policy::HELPER_DESCRIPTORS));
    }

    #[test]
    fn a_process_with_few_descriptors_has_room_for_more_but_not_for_any_number() {
        assert!(have_room_for(1));
        assert!(!have_room_for(u64::MAX));
    }
}
