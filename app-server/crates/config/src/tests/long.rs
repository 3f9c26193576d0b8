//! Settings with very many helpers.

use std::time::Duration;

use nix::libc;

use super::load;

/// The processor time of this thread so far.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it only writes the time into the place that it is given.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// The processor time for settings with so many helpers, each with this line.
fn time_to_load(helpers: usize, line: &str) -> Duration {
    let toml: String = (0..helpers).map(|number| format!("[mcp_servers.h{number}]\n{line}\n\n")).collect();
    let once = || {
        let begun = processor_time();
        let read = load(&toml, &[]).1;
        assert_eq!(read.map_or_else(|errors| errors.0.len(), |read| read.helpers.len()), helpers);
        processor_time() - begun
    };
    once().min(once())
}

#[test]
fn the_time_to_read_settings_grows_no_faster_than_their_length() {
    // Eight times the length. With a look at all lines for each key it is more than thirty times the time.
    for line in ["command = \"x\"", "command = 1"] {
        let (short, long) = (time_to_load(500, line), time_to_load(4_000, line));
        assert!(long < short * 16, "{line}: {short:?} {long:?}");
    }
}
