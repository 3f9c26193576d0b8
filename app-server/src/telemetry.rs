//! Logs: what a line looks like and which lines are written. They go to stderr; stdout belongs to the answer.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::SubscriberBuilder;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Full, Writer};
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
    let lines = lines().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    // An error says that somebody else has set up logs in this process: theirs stay.
    let _ = lines.try_init();
}

/// The same for whoever is started by a program that shows its user each error and each line of another form: everything is one
/// line, also the words of a panic, and nothing is above warn.
pub fn start_in_lines() {
    let _ = lines().with_ansi(false).with_writer(|| InLines).try_init();
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}

fn lines() -> SubscriberBuilder<DefaultFields, Format<Full, Wall>, EnvFilter> {
    let filter = match std::env::var(FILTER) {
        Ok(filter) => {
            EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(filter)
        }
        Err(_) => EnvFilter::new(DEFAULT_FILTER),
    };
    // It would tell stderr, of all things, that a line could not be written there, and panic: a program that started us may
    // have closed it.
    tracing_subscriber::fmt().with_env_filter(filter).with_timer(Wall).log_internal_errors(false)
}

/// Takes one record at a time, as the formatter hands it over.
struct InLines;

impl Write for InLines {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        std::io::stderr().write_all(in_line(&String::from_utf8_lossy(record)).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        std::io::stderr().flush()
    }
}

/// A record as one line of level warn at most.
fn in_line(record: &str) -> String {
    let (time, rest) = record.trim_end().split_once(' ').unwrap_or_default();
    let (level, text) = rest.strip_prefix("ERROR ").map_or(("", rest), |text| (" WARN ", text));
    let text = text.replace('\r', "\\r").replace('\n', "\\n");
    format!("{time} {level}{text}\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_level_warn_at_most() {
        let error = "2026-01-01T00:00:00.000Z ERROR skein: these are wrong:\na\r\nb\n";
        assert_eq!(in_line(error), "2026-01-01T00:00:00.000Z  WARN skein: these are wrong:\\na\\r\\nb\n");
        let info = "2026-01-01T00:00:00.000Z  INFO skein: an ERROR of others\n";
        assert_eq!(in_line(info), info);
    }
}
