//! sled 0.34 has a pool of threads. Seven of them look for work once a second for as long as the process lives, also when nobody
//! needs the index. Work wakes them at once, and their own timers can wait.

use ::sled::Db;
use futures_util::FutureExt;

/// Opens an index in such a way that the pool, which the first index of a process starts, wakes up together and once a minute.
pub(super) fn open<E>(open: impl FnOnce() -> Result<Db, E>) -> Result<Db, E> {
    with_late_timers(|| {
        let db = open()?;
        // Only work starts the pool. The next flush reports an error of this one.
        drop(db.flush_async().now_or_never());
        Ok(db)
    })
}

/// Runs `start`. Threads that it starts may wake up by themselves up to a minute late: PR_SET_TIMERSLACK of prctl(2).
#[cfg(target_os = "linux")]
fn with_late_timers<T>(start: impl FnOnce() -> T) -> T {
    use nix::libc::c_ulong;
    use nix::sys::prctl::{get_timerslack, set_timerslack};

    const MINUTE_NS: c_ulong = 60_000_000_000;
    // Where the system refuses this the pool wakes up as often as it was made to.
    let usual = get_timerslack().ok().and_then(|usual| c_ulong::try_from(usual).ok());
    let usual = usual.filter(|_| set_timerslack(MINUTE_NS).is_ok());
    let started = start();
    if let Some(usual) = usual {
        // The system took the other value a moment ago.
        set_timerslack(usual).ok();
    }
    started
}

/// Runs `start`. This system has no such setting.
#[cfg(not(target_os = "linux"))]
fn with_late_timers<T>(start: impl FnOnce() -> T) -> T {
    start()
}
