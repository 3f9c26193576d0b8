//! The end of what a helper wrote to stderr, in bounded memory, whatever it writes.

use std::collections::VecDeque;

use skein_base::masks::Hidden;

/// Keeps the last bytes of a stream. Memory grows with what was written, up to the capacity.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes: VecDeque<u8>,
    capacity: usize,
    hidden: Hidden,
}

impl Ring {
    /// An empty ring for at most `capacity` bytes, which shows nothing of what is `hidden`.
    pub(crate) fn new(capacity: usize, hidden: Hidden) -> Self {
        Self { bytes: VecDeque::new(), capacity, hidden }
    }

    /// Adds a chunk; the oldest bytes give way.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let chunk = &chunk[chunk.len().saturating_sub(self.capacity)..];
        let excess = (self.bytes.len() + chunk.len()).saturating_sub(self.capacity);
        self.bytes.drain(..excess);
        self.bytes.extend(chunk);
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The last `lines` lines, at most `most` bytes, as text; bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn tail(&self, lines: usize, most: usize) -> String {
        let skipped = self.bytes.len().saturating_sub(most);
        let from = skipped.saturating_sub(self.hidden.reach());
        let end: Vec<u8> = self.bytes.iter().skip(from).copied().collect();
        let end = self.hidden.bytes(&end, skipped - from);
        let end = end.trim_ascii_end();
        let from = end.iter().rposition_nth(b'\n', lines).map_or(0, |at| at + 1);
        String::from_utf8_lossy(&end[from..]).into_owned()
    }
}

/// Finding the n-th separator from the end.
trait FromEnd {
    fn rposition_nth(self, wanted: u8, nth: usize) -> Option<usize>;
}

impl FromEnd for std::slice::Iter<'_, u8> {
    fn rposition_nth(self, wanted: u8, nth: usize) -> Option<usize> {
        self.enumerate().rev().filter(|(_, byte)| **byte == wanted).map(|(at, _)| at).nth(nth.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut ring = Ring::new(8, Hidden::default());
        ring.push(b"abcdef");
        ring.push(b"ghij");
        assert_eq!((ring.len(), ring.tail(1, 100).as_str()), (8, "cdefghij"));
        ring.push(&[b'x'; 100]);
        assert_eq!((ring.len(), ring.tail(1, 100).as_str()), (8, "xxxxxxxx"));
    }

    #[test]
    fn the_tail_is_whole_lines_and_text_whatever_was_written() {
        let mut ring = Ring::new(64, Hidden::default());
        assert_eq!(ring.tail(3, 100), "");
        ring.push(b"one\ntwo\nthr\xffee\n");
        assert_eq!(ring.tail(2, 100), "two\nthr\u{fffd}ee");
        assert_eq!(ring.tail(9, 100), "one\ntwo\nthr\u{fffd}ee");
        assert_eq!(ring.tail(1, 3), "ee");
    }

    #[test]
    fn a_secret_is_not_shown_also_where_the_tail_begins_in_it() {
        let mut ring = Ring::new(64, Hidden::new(["s3cret-s3cret".to_owned()]));
        ring.push(b"key s3cret-");
        ring.push(b"s3cret is wrong\n");
        assert_eq!(ring.tail(1, 100), "key *** is wrong");
        assert_eq!(ring.tail(1, 15), "*** is wrong");
    }
}
