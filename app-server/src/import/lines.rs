//! The lines of a foreign file, one by one and none too large. Knows newlines, not what they say.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use skein_base::files::only_regular;

use crate::policy;

/// One line, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// Its bytes.
    Whole(Vec<u8>),
    /// The last line, without a newline: its writer was cut off, or is at work.
    Unended(Vec<u8>),
    /// Longer than any line that we read.
    TooLong,
}

/// Opens a file of somebody else, for reading only. Links are followed, as whoever made them wanted; a FIFO or a device is
/// refused.
///
/// # Errors
/// As the system says.
pub(crate) fn open(path: &Path) -> io::Result<BufReader<std::fs::File>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    Ok(BufReader::with_capacity(skein_store::policy::READ_BLOCK, options.open(path).and_then(only_regular)?))
}

/// The next line; `None` at the end. What is longer than `policy::IMPORT_LINE` is passed over without being held.
///
/// # Errors
/// As the reader says.
pub(crate) fn next(from: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let most = policy::IMPORT_LINE as u64 + 1;
    from.by_ref().take(most).read_until(b'\n', &mut line)?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Some(Line::Whole(line)));
    }
    if line.is_empty() {
        return Ok(None);
    }
    if (line.len() as u64) < most {
        return Ok(Some(Line::Unended(line)));
    }
    drop(line);
    skip(from)?;
    Ok(Some(Line::TooLong))
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
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(
            found,
            [whole("one"), whole(""), whole("two"), Line::TooLong, Line::Unended(b"three".to_vec())]
        );
    }
}
