//! The last lines of a home's log, without secrets.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use skein_base::files::open_regular;
use skein_base::masks::shown_text;

use super::super::launch::log_path;

/// The title of this part.
pub(super) const TITLE: &str = "The last lines of server.log";

/// The most lines of the report. Origin: guess; a failed start has about ten.
const LINES: usize = 200;
/// The most bytes of the log that are read.
const BYTES: u64 = 256 << 10;
/// The longest line, in characters.
const WIDTH: usize = 600;

/// Levels whose lines quote what clients, models and helpers say.
const DETAILED: [&str; 2] = [" DEBUG ", " TRACE "];

pub(super) fn last_lines(root: &Path) -> String {
    match read(&log_path(root)) {
        Ok(text) if text.trim().is_empty() => "it is empty".to_owned(),
        Ok(text) => shown(&text),
        Err(error) => format!("it cannot be read: {error}"),
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut file = open_regular(path)?;
    let from = file.metadata()?.len().saturating_sub(BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The first line may have lost its beginning, and with it the name of a secret.
    Ok(match text.split_once('\n') {
        Some((_, whole)) if from > 0 => whole.to_owned(),
        Some(_) | None => text,
    })
}

fn shown(text: &str) -> String {
    let is_kept = |line: &&str| !DETAILED.iter().any(|level| line.get(..48).unwrap_or(line).contains(level));
    let kept: Vec<&str> = text.lines().filter(is_kept).collect();
    let from = kept.len().saturating_sub(LINES);
    let line = |line: &&str| shown_text(line).chars().take(WIDTH).collect::<String>();
    kept[from..].iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_stay_and_those_that_quote_conversations_go() {
        let mut text: String =
            (0..500).map(|n| format!("2026-11-26T00:00:00Z  INFO a: line {n}\n")).collect();
        text.push_str("2026-11-26T00:00:00Z DEBUG a: hello\n2026-11-26T00:00:00Z  WARN a: token=abc\n");
        let shown = shown(&text);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[LINES - 1], "2026-11-26T00:00:00Z  WARN a: token=***");
        assert_eq!(lines[LINES - 2], "2026-11-26T00:00:00Z  INFO a: line 499");
    }

    #[test]
    fn a_log_that_is_cut_begins_with_a_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, format!("token={}\nnext\n", "x".repeat(300 << 10))).unwrap();
        assert_eq!(read(&path).unwrap(), "next\n");
    }
}
