//! Output of commands. Texts of helpers, threads and files may contain characters that control a terminal. The output
//! escapes them as `\u001b`, as JSON does.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use schemars::JsonSchema;
use serde::Serialize;
use skein_app_server::telemetry;
use skein_config::access::origin_command;

/// Prints a line to stdout, with line feeds escaped. A closed reader, such as `head`, is no error.
pub(super) fn print_line(text: &str) -> anyhow::Result<()> {
    print(&one_line(text))
}

/// The same for several lines.
///
/// # Errors
/// As [`print_line`].
pub(super) fn print_lines(text: &str) -> anyhow::Result<()> {
    print(&lines(text))
}

/// Prints an outcome as JSON, on one line, with its members in the order of their names.
///
/// # Errors
/// As [`print_line`].
pub(super) fn print_json<T: Serialize + JsonSchema>(outcome: &T) -> anyhow::Result<()> {
    print_line(&serde_json::to_value(outcome).context("JSON")?.to_string())
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("stdout"),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints to stderr. Further lines are indented, so that none looks like a line of this program. A failed write is
/// ignored.
pub(super) fn say(what: impl Display) {
    let text = lines(&format!("skein: {what}")).trim_end().replace('\n', "\n  ");
    telemetry::write(&format!("{text}\n"));
}

/// Prints lines to stderr. Like [`say`], ignores a failed write.
pub(super) fn print_error(text: &str) {
    telemetry::write(&lines(text));
}

/// An error with its causes. A cause that the earlier text already names is left out.
pub(super) fn causes(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// An error with its causes. If it ends with the system's words, a remedy follows them.
pub(super) fn with_way_out(error: &anyhow::Error) -> String {
    let said = causes(error);
    let is = |number: u8| said.ends_with(&format!("(os error {number})"));
    let way_out = if is(2) {
        "; check the path"
    } else if is(13) || is(1) {
        "; let this user use it, or name another path"
    } else if is(17) {
        "; move it away, or name another path"
    } else if is(20) || is(21) {
        "; name another path"
    } else if is(24) {
        "; raise the limit of open files (ulimit -n)"
    } else if is(27) {
        "; raise the limit for the size of files (ulimit -f)"
    } else if is(28) || is(122) {
        "; make room on that disk, or name another path"
    } else if is(30) {
        "; name a path that can be written"
    } else if is(111) {
        "; nobody listens there: skein open starts a server"
    } else {
        ""
    };
    said + way_out
}

/// A word, quoted for a shell if it needs to be.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// An origin that a server has refused, and the command that allows it if one does.
pub(super) fn refused(origin: &str) -> String {
    match origin_command(origin) {
        Some(command) => format!("{origin}; if it is yours: {command}"),
        None => format!("{origin}, which many pages may share"),
    }
}

/// A path as in JSON, even if it is no text.
pub(super) fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A text as one line without terminal control.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    shown(text, |c| c == '\t')
}

/// Lines without terminal control.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    shown(text, |c| matches!(c, '\t' | '\n'))
}

fn shown(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_hidden = |c: char| controls(c) && !stays(c);
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_hidden(c) {
            // Writing to a text cannot fail.
            true => drop(write!(shown, "\\u{:04x}", u32::from(c))),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Whether it controls a terminal, or reorders text (the bidi controls of Unicode).
fn controls(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Stdout for texts of others. A terminal gets no control characters; a file or a pipe gets the text unchanged. A
/// closed reader, such as `head`, is no error.
#[derive(Debug)]
pub(super) struct Foreign<W> {
    out: W,
    is_terminal: bool,
    /// The beginning of a character that is incomplete so far.
    cut: Vec<u8>,
}

impl Foreign<io::BufWriter<io::Stdout>> {
    pub(super) fn stdout() -> Self {
        let stdout = io::stdout();
        Self { is_terminal: stdout.is_terminal(), out: io::BufWriter::new(stdout), cut: Vec::new() }
    }
}

impl<W: Write> Foreign<W> {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.is_terminal {
            return self.out.write_all(bytes);
        }
        self.cut.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.cut) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Ok(_) | Err(_) => self.cut.len(),
        };
        let rest = self.cut.split_off(whole);
        let text = std::mem::replace(&mut self.cut, rest);
        self.out.write_all(lines(&String::from_utf8_lossy(&text)).as_bytes())
    }
}

impl<W: Write> Write for Foreign<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.take(bytes);
        gone(taken).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        gone(flushed)
    }
}

fn gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Titles, the clipboard, links, colours, the cursor, an erased screen, C1 and bidi controls, a carriage return.
    const EVIL: &str = "a\u{1b}]0;x\u{7}b\u{1b}]52;c;eA==\u{7}c\u{1b}]8;;http://x\u{1b}\\d\u{1b}[2Je\rf\ng\u{7f}h\u{9b}2Ji\u{202e}j\u{2066}\tk";

    #[test]
    fn nothing_that_controls_a_terminal_is_printed() {
        let line = one_line(EVIL);
        assert!(!line.chars().any(|c| controls(c) && c != '\t'), "{line:?}");
        assert!(
            line.starts_with("a\\u001b]0;x\\u0007b")
                && line.contains("f\\u000ag\\u007fh\\u009b2Ji\\u202ej\\u2066\tk")
        );
        assert_eq!(lines("one\ntwo\tthree"), "one\ntwo\tthree");
        assert!(matches!(one_line("wörter 你好 🙂"), Cow::Borrowed(_)));
        let json = serde_json::json!({ "a": EVIL }).to_string();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&one_line(&json)).unwrap()["a"],
            EVIL,
            "it says the same"
        );
    }

    #[test]
    fn an_error_says_each_of_its_causes_once() {
        let told = anyhow::anyhow!("no space").context("a/lock: no space; make room").context("it failed");
        assert_eq!(causes(&told), "it failed: a/lock: no space; make room");
        assert_eq!(causes(&anyhow::anyhow!("no space").context("a/lock")), "a/lock: no space");
    }

    #[test]
    fn a_text_of_others_goes_to_a_file_as_it_is_and_to_a_terminal_without_controls() {
        for is_terminal in [true, false] {
            let mut foreign = Foreign { out: Vec::new(), is_terminal, cut: Vec::new() };
            for byte in EVIL.as_bytes() {
                foreign.write_all(&[*byte]).unwrap();
            }
            foreign.write_all(b"\xff end\n").unwrap();
            let said = String::from_utf8_lossy(&foreign.out).into_owned();
            if is_terminal {
                assert_eq!(said, format!("{}\u{fffd} end\n", lines(EVIL)));
            } else {
                assert_eq!(said, format!("{EVIL}\u{fffd} end\n"));
            }
        }
    }
}
