//! Reads a foreign file line by line, with a bound on the length. Does not interpret lines.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use skein_base::files::only_regular;

use crate::policy;

/// One line, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ForeignLine {
    /// Its bytes.
    Whole(Vec<u8>),
    /// The last line without a newline: its writer was interrupted, or is still writing.
    Unended(Vec<u8>),
    /// Longer than the limit.
    TooLong,
}

/// Opens a foreign file for reading. Follows links; refuses FIFOs and devices.
pub(crate) fn open(path: &Path) -> io::Result<BufReader<std::fs::File>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    Ok(BufReader::with_capacity(crate::policy::READ_BLOCK, options.open(path).and_then(only_regular)?))
}

/// The next line; `None` at the end. A line above `policy::IMPORT_LINE` is skipped without being held in memory.
///
/// # Errors
/// As the reader reports.
pub(crate) fn next(from: &mut impl BufRead) -> io::Result<Option<ForeignLine>> {
    let mut line = Vec::new();
    let most = policy::IMPORT_LINE as u64 + 1;
    from.by_ref().take(most).read_until(b'\n', &mut line)?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Some(ForeignLine::Whole(line)));
    }
    if line.is_empty() {
        return Ok(None);
    }
    if (line.len() as u64) < most {
        return Ok(Some(ForeignLine::Unended(line)));
    }
    drop(line);
    skip(from)?;
    Ok(Some(ForeignLine::TooLong))
}

fn skip(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let held = from.fill_buf()?;
        let (taken, ended) = match held.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (held.len(), held.is_empty()),
        };
        from.consume(taken);
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_the_last_one_may_not_end_and_none_is_too_long() {
        let mut bytes = b"one\n\ntwo\n".to_vec();
        bytes.resize(bytes.len() + policy::IMPORT_LINE + 70_000, b'x');
        bytes.extend_from_slice(b"\nthree");
        let mut from = BufReader::new(&*bytes);
        let mut found = Vec::new();
        while let Some(line) = next(&mut from).expect("memory") {
            found.push(line);
        }
        let whole = |text: &str| ForeignLine::Whole(text.as_bytes().to_vec());
        assert_eq!(
            found,
            [
                whole("one"),
                whole(""),
                whole("two"),
                ForeignLine::TooLong,
                ForeignLine::Unended(b"three".to_vec())
            ]
        );
    }
}
