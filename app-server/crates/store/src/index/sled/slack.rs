//! Reduces the wake-ups of sled 0.34. Seven threads of its pool look for work once a second as long as the process
//! lives, even without a user. Work wakes them at once, so their timers can be late.

use ::sled::{Config, Db};
use futures_util::FutureExt;

/// Opens an index so that the pool, which the first index of a process starts, wakes up together and once a minute.
pub(super) fn open(config: &Config) -> ::sled::Result<Db> {
    let _late = LateTimers::set();
    let db = config.open()?;
    // Only work starts the pool. The next flush reports an error of this one.
    drop(db.flush_async().now_or_never());
    Ok(db)
}

/// Lets timers of this thread be a minute late while it lives, and timers of threads that it starts for ever:
/// PR_SET_TIMERSLACK of prctl(2). The thread must not wait for a time meanwhile.
#[cfg(target_os = "linux")]
struct LateTimers {
    /// The value before; none if the system refuses. The pool then wakes up as usual.
    usual: Option<nix::libc::c_ulong>,
}

#[cfg(target_os = "linux")]
impl LateTimers {
    fn set() -> Self {
        const MINUTE_NS: nix::libc::c_ulong = 60_000_000_000;
        let usual = nix::sys::prctl::get_timerslack().ok().and_then(|usual| usual.try_into().ok());
        Self { usual: usual.filter(|_| nix::sys::prctl::set_timerslack(MINUTE_NS).is_ok()) }
    }
}

#[cfg(target_os = "linux")]
impl Drop for LateTimers {
    fn drop(&mut self) {
        if let Some(usual) = self.usual {
            // The system took the other value a moment ago.
            nix::sys::prctl::set_timerslack(usual).ok();
        }
    }
}

/// This system has no such setting.
#[cfg(not(target_os = "linux"))]
struct LateTimers;

#[cfg(not(target_os = "linux"))]
impl LateTimers {
    fn set() -> Self {
        Self
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use nix::sys::prctl::get_timerslack;

    use super::*;

    /// A thread with late timers would sleep for a minute instead of a moment.
    #[test]
    fn opening_an_index_keeps_the_usual_timers_even_after_a_failure_or_panic() {
        let dir = tempfile::tempdir().unwrap();
        let usual = get_timerslack().unwrap();
        let config = Config::new().path(dir.path().join("index"));
        let db = open(&config).unwrap();
        assert_eq!(get_timerslack().unwrap(), usual);
        open(&config).unwrap_err();
        assert_eq!(get_timerslack().unwrap(), usual, "somebody else has it open");
        drop(db);
        std::panic::catch_unwind(|| {
            let _late = LateTimers::set();
            panic!("the files are damaged");
        })
        .unwrap_err();
        assert_eq!(get_timerslack().unwrap(), usual);
    }
}
