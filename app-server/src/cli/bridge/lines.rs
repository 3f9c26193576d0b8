//! Splits input into lines, one message each. A line that cannot be a message is reported, and reading continues.

use bytes::{Buf, BytesMut};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::codec::Decoder;

/// A line of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InputLine {
    /// A text that is not blank.
    Text(Utf8Bytes),
    /// The reason why the line cannot be a message.
    Bad(String),
}

/// Splits bytes into lines.
#[derive(Debug)]
pub(super) struct LineSplitter {
    longest: usize,
    /// Bytes of the buffer known to have no line end.
    seen: usize,
    /// Skips the rest of a line that was too long.
    skips: bool,
}

impl LineSplitter {
    /// Lines of at most `longest` bytes.
    pub(super) fn new(longest: usize) -> Self {
        Self { longest, seen: 0, skips: false }
    }

    /// The most bytes of a line.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    fn line(&self, bytes: &[u8]) -> Option<InputLine> {
        let text = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if text.len() > self.longest {
            return Some(self.too_long());
        }
        match std::str::from_utf8(text) {
            Ok(text) if text.trim().is_empty() => None,
            Ok(text) => Some(InputLine::Text(text.into())),
            Err(_) => Some(InputLine::Bad("a message is not UTF-8".to_owned())),
        }
    }

    fn too_long(&self) -> InputLine {
        InputLine::Bad(format!("a message has more than limits.message_bytes ({} bytes)", self.longest))
    }
}

impl Decoder for LineSplitter {
    type Item = InputLine;
    type Error = std::io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<InputLine>, Self::Error> {
        while let Some(at) = memchr::memchr(b'\n', buffer.get(self.seen..).unwrap_or_default()) {
            let line = buffer.split_to(self.seen + at);
            buffer.advance(1);
            self.seen = 0;
            if std::mem::take(&mut self.skips) {
                continue;
            }
            if let Some(line) = self.line(&line) {
                return Ok(Some(line));
            }
        }
        self.seen = buffer.len();
        // A carriage return may come before the end.
        if self.seen > self.longest + 1 || self.skips {
            buffer.clear();
            self.seen = 0;
            if !std::mem::replace(&mut self.skips, true) {
                return Ok(Some(self.too_long()));
            }
        }
        Ok(None)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<InputLine>, Self::Error> {
        if let Some(line) = self.decode(buffer)? {
            return Ok(Some(line));
        }
        // The last line may lack its end.
        let rest = buffer.split();
        self.seen = 0;
        Ok(self.line(&rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<InputLine> {
        let (mut lines, mut buffer, mut read) = (LineSplitter::new(5), BytesMut::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some(line) = lines.decode(&mut buffer).unwrap() {
                read.push(line);
            }
        }
        while let Some(line) = lines.decode_eof(&mut buffer).unwrap() {
            read.push(line);
        }
        read
    }

    #[test]
    fn a_line_that_is_no_message_does_not_hide_the_next_one() {
        let text = |text: &str| InputLine::Text(text.into());
        let long = || InputLine::Bad("a message has more than limits.message_bytes (5 bytes)".to_owned());
        let odd = || InputLine::Bad("a message is not UTF-8".to_owned());
        assert_eq!(read(&[b"one\r\n\n  \ntwo", b"12\nthree"]), [text("one"), text("two12"), text("three")]);
        assert_eq!(read(&[b"\xff\xfe\nnext\n"]), [odd(), text("next")]);
        assert_eq!(read(&[b"123456\n", b"next\n"]), [long(), text("next")]);
        assert_eq!(read(&[b"1234567", b"890\n12345\r\nend"]), [long(), text("12345"), text("end")]);
        assert_eq!(read(&[b"123456789", b"0123456789", b"0"]), [long()]);
    }
}
