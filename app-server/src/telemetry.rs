//! Logs on stderr: their form and filter. stdout belongs to answers. A server's lines go through a queue, as its
//! stderr may be unread.

mod bounded;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use bounded::BoundedFile;
use jiff::Timestamp;
use queue::LogQueue;
use skein_base::clock::{Clock, WallMs};
use skein_base::tasks;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Builder as FilterBuilder, LevelFilter, ParseError};
use tracing_subscriber::fmt::SubscriberBuilder;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Full, Writer};
use tracing_subscriber::fmt::time::FormatTime;

use crate::policy;

/// The variable with the filter, such as `debug` or `skein_app_server::thread=trace,warn`.
pub(crate) const FILTER: &str = "SKEIN_LOG";

/// The default filter. The MCP library logs each step at info and each refused request at warn; the HTTP client logs
/// an absent server as an error beside Skein's own line.
const DEFAULT_FILTER: &str = "info,rmcp=warn,rmcp::service=off,rmcp::transport::worker=off";

/// The queue before stderr; `None` inside if its thread could not be started.
static QUEUE: OnceLock<Option<LogQueue>> = OnceLock::new();

/// The largest size of stderr if it is a file, in bytes.
static BOUND: OnceLock<u64> = OnceLock::new();

/// The way of lines to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stderr {
    /// Each line is written at once: for commands.
    Direct,
    /// Lines are queued, and logging does not wait: for servers.
    Queued,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `TIMESTAMP LEVEL target: text`.
    #[default]
    Text,
    /// One JSON object a line, with `timestamp`, `level`, `target` and `fields`.
    Json,
}

/// Starts to log lines of text to stderr, at info and above unless `FILTER` differs. A second call has no effect.
pub fn start(stderr: Stderr) {
    let lines = lines(filter_of_environment());
    match stderr {
        // An error means that logs are already set up in this process; they stay.
        Stderr::Direct => drop(lines.with_ansi(has_colours()).with_writer(std::io::stderr).try_init()),
        Stderr::Queued => start_text(lines),
    }
}

fn start_text(lines: LogLines) {
    start_queue();
    if lines.with_ansi(has_colours()).with_writer(|| Out).try_init().is_ok() {
        std::panic::set_hook(Box::new(|panic| write(&panicked(panic))));
    }
}

/// Bounds stderr, in bytes, where it is a file: the oldest lines go. Call it before the log starts.
pub fn bound(bytes: u64) {
    BOUND.get_or_init(|| bytes);
}

/// The convention of no-color.org.
fn has_colours() -> bool {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !is_plain
}

/// Starts the log of a server through the queue, with this filter over that of the environment.
///
/// # Errors
/// The filter is none.
pub fn start_server(filter: Option<&str>, format: LogFormat) -> Result<(), ParseError> {
    let filter = match filter {
        Some(filter) => builder().parse(filter)?,
        None => filter_of_environment(),
    };
    let lines = lines(filter);
    match format {
        LogFormat::Text => start_text(lines),
        LogFormat::Json => {
            start_queue();
            if lines.json().with_writer(|| Out).try_init().is_ok() {
                std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
            }
        }
    }
    Ok(())
}

/// The same through the queue, for a parent program that shows its user each error and each line of another form.
/// Each record is one line, even a panic, and none is above warn.
pub fn start_in_lines() {
    start_queue();
    // As in `start`.
    if lines(filter_of_environment()).with_ansi(false).with_writer(|| InLines).try_init().is_ok() {
        std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    }
}

/// Writes whole lines to stderr, after the waiting log lines. Failures are ignored.
pub fn write(lines: &str) {
    match queue() {
        Some(queue) => queue.add(lines.as_bytes()),
        // There is no other place for the error.
        None => drop(io::stderr().lock().write_all(lines.as_bytes())),
    }
}

/// Waits a short time for waiting lines, before the process ends.
pub fn flush() {
    if let Some(queue) = queue() {
        queue.flush(policy::LOG_FLUSH);
    }
}

/// Calls [`flush`] when dropped, even by a panic.
#[derive(Debug)]
pub struct FlushAtEnd;

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        flush();
    }
}

fn queue() -> Option<&'static LogQueue> {
    QUEUE.get()?.as_ref()
}

fn start_queue() {
    QUEUE.get_or_init(|| {
        let queue = LogQueue::new(policy::LOG_QUEUE_BYTES);
        let writes = queue.clone();
        let started = tasks::thread("skein-log", move || {
            writes.write_to(BoundedFile::new(io::stderr(), BOUND.get().copied()), dropped)
        });
        started.is_ok().then_some(queue)
    });
}

/// The line for dropped lines.
fn dropped(number: u64) -> String {
    let mut time = String::new();
    // Writing to a text cannot fail.
    Wall.format_time(&mut Writer::new(&mut time)).ok();
    format!("{time}  WARN {}: stderr took nothing for a while; dropped log lines: {number}\n", module_path!())
}

/// The standard library's text for a panic.
fn panicked(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let mut said = format!("\nthread '{}' {panic}\n", thread.name().unwrap_or("<unnamed>"));
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        said.push_str(&format!("stack backtrace:\n{backtrace}\n"));
    }
    said
}

type LogLines = SubscriberBuilder<DefaultFields, Format<Full, Wall>, EnvFilter>;

fn builder() -> FilterBuilder {
    EnvFilter::builder().with_default_directive(LevelFilter::INFO.into())
}

fn filter_of_environment() -> EnvFilter {
    match std::env::var(FILTER) {
        Ok(filter) => builder().parse_lossy(filter),
        Err(_) => EnvFilter::new(DEFAULT_FILTER),
    }
}

fn lines(filter: EnvFilter) -> LogLines {
    // Otherwise it would report a failed write to stderr on stderr, and panic: the parent program may have closed it.
    tracing_subscriber::fmt().with_env_filter(filter).with_timer(Wall).log_internal_errors(false)
}

/// Takes one record at a time from the formatter.
struct Out;

impl Write for Out {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        write(&String::from_utf8_lossy(record));
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same, for records that must be one line.
struct InLines;

impl Write for InLines {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        write(&as_one_line(&String::from_utf8_lossy(record)));
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A record as one line of level warn at most.
fn as_one_line(record: &str) -> String {
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
    fn dropped_lines_are_reported_as_a_record_of_level_warn() {
        let line = dropped(7);
        assert!(line.contains("Z  WARN skein_app_server::telemetry: stderr took nothing"), "{line}");
        assert_eq!(as_one_line(&line), line, "a client of Codex takes it as it is");
    }

    #[test]
    fn a_record_is_one_line_of_level_warn_at_most() {
        let error = "2026-01-01T00:00:00.000Z ERROR skein: these are wrong:\na\r\nb\n";
        assert_eq!(as_one_line(error), "2026-01-01T00:00:00.000Z  WARN skein: these are wrong:\\na\\r\\nb\n");
        let info = "2026-01-01T00:00:00.000Z  INFO skein: an ERROR of others\n";
        assert_eq!(as_one_line(info), info);
    }
}
