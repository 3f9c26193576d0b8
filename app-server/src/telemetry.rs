//! Logs: what a line looks like and which lines are written. They go to stderr; stdout belongs to the answer.

use std::fmt;
use std::io::IsTerminal;

use jiff::Timestamp;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::clock::{Clock, WallMs};

/// The variable with the filter, such as `debug` or `skein_app_server::thread=trace,warn`.
pub const FILTER: &str = "SKEIN_LOG";

/// What is written where the variable is not set: the helpers' protocol library tells each of its steps at info, what a helper
/// asks and is refused at warn, however often that is, and each server over HTTP that is not there as an error of its own,
/// beside our line.
const DEFAULT_FILTER: &str = "info,rmcp=warn,rmcp::service=off,rmcp::transport::worker=off";

/// Writes lines `TIMESTAMP LEVEL target: text` to stderr from now on, those of level info and above unless
/// [`FILTER`] says otherwise. A second call in one process changes nothing.
pub fn start() {
    let filter = match std::env::var(FILTER) {
        Ok(filter) => {
            EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(filter)
        }
        Err(_) => EnvFilter::new(DEFAULT_FILTER),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(Wall)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // It would tell stderr, of all things, that a line could not be written there, and panic: a program that started us may
        // have closed it.
        .log_internal_errors(false);
    // An error says that somebody else has set up logs in this process: theirs stay.
    let _ = lines.try_init();
}

/// RFC 3339 with milliseconds, in UTC.
struct Wall;

impl FormatTime for Wall {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        let WallMs(now) = Clock.wall();
        match Timestamp::from_millisecond(now) {
            Ok(now) => write!(out, "{now:.3}"),
            Err(_) => write!(out, "{now}ms"),
        }
    }
}
