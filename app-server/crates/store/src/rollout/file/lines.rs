//! Lines of a rollout's file, forwards and backwards, in blocks. Knows newlines, not records.

use std::io;

use super::layer::LayerFile;
use crate::policy;

/// A line as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileLine<'a> {
    /// Its offset in the file.
    pub(crate) offset: u64,
    /// Its bytes without the newline; empty if it is longer than the longest valid line.
    pub(crate) bytes: &'a [u8],
    /// Its length with the newline, if it has one.
    pub(crate) length: u64,
    /// Whether a newline ends it.
    pub(crate) ended: bool,
}

/// Lines from an offset to the end.
pub(super) struct Forward<'a> {
    file: &'a dyn LayerFile,
    /// The offset of `held` in the file.
    at: u64,
    /// The end of the file for this reader.
    end: u64,
    held: Vec<u8>,
    /// The last returned line in `held`: offset and length.
    given: (usize, usize),
}

impl<'a> Forward<'a> {
    /// Lines from `at`, the beginning of a line, up to `end`.
    pub(crate) fn new(file: &'a dyn LayerFile, at: u64, end: u64) -> Self {
        Self { file, at, end, held: Vec::new(), given: (0, 0) }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<FileLine<'_>>> {
        let mut begin = self.given.0 + self.given.1;
        let offset = self.at + begin as u64;
        let mut looked = begin;
        let mut skipped = 0;
        let (behind, ended) = loop {
            if let Some(found) = newline(&self.held, looked) {
                break (found + 1, true);
            }
            let unended = self.held.len() - begin;
            // Drops the returned line, and a line above the longest valid one.
            let gone = if unended > policy::ROLLOUT_LINE { self.held.len() } else { begin };
            skipped += (gone - begin) as u64;
            self.held.drain(..gone);
            self.at += gone as u64;
            begin = 0;
            looked = self.held.len();
            if !self.fill()? {
                break (self.held.len(), false);
            }
        };
        self.given = (begin, behind - begin);
        let length = skipped + self.given.1 as u64;
        if length == 0 {
            return Ok(None);
        }
        let text = if skipped > 0 { begin..begin } else { begin..behind - usize::from(ended) };
        Ok(Some(FileLine { offset, bytes: self.held.get(text).unwrap_or_default(), length, ended }))
    }

    /// Reads one more block; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let from = self.at + self.held.len() as u64;
        let left = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX);
        let had = self.held.len();
        self.held.resize(had + left.min(policy::READ_BLOCK), 0);
        let came = self.file.read_at(self.held.get_mut(had..).unwrap_or_default(), from)?;
        self.held.truncate(had + came);
        Ok(came > 0)
    }
}

fn newline(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr(b'\n', bytes.get(from..)?).map(|found| from + found)
}

/// Lines from an offset back to the beginning.
pub(super) struct Backward<'a> {
    file: &'a dyn LayerFile,
    /// The offset of `held` in the file.
    at: u64,
    /// Unreturned bytes: everything from `at` to the end of the next line.
    held: Vec<u8>,
    /// Returned bytes at the end of `held`.
    given: usize,
}

impl<'a> Backward<'a> {
    /// Lines that end at `end` or before.
    pub(crate) fn new(file: &'a dyn LayerFile, end: u64) -> Self {
        Self { file, at: end, held: Vec::new(), given: 0 }
    }

    /// The line before; `None` at the beginning. The first returned line may lack its newline.
    pub(crate) fn next(&mut self) -> io::Result<Option<FileLine<'_>>> {
        self.held.truncate(self.held.len() - self.given);
        self.given = 0;
        let mut block = policy::READ_BLOCK;
        let begin = loop {
            // The newline at the end of the line does not begin it.
            let inside = self.held.len().saturating_sub(1);
            if let Some(before) = memchr::memrchr(b'\n', self.held.get(..inside).unwrap_or_default()) {
                break before + 1;
            }
            if !self.fill(block)? {
                break 0;
            }
            block = block.saturating_mul(2);
        };
        let line = self.held.get(begin..).unwrap_or_default();
        self.given = line.len();
        if line.is_empty() {
            return Ok(None);
        }
        let (bytes, ended) = line.strip_suffix(b"\n").map_or((line, false), |bytes| (bytes, true));
        Ok(Some(FileLine { offset: self.at + begin as u64, bytes, length: line.len() as u64, ended }))
    }

    /// Reads the block before `held`; false at the beginning.
    fn fill(&mut self, block: usize) -> io::Result<bool> {
        let size = usize::try_from(self.at).unwrap_or(usize::MAX).min(block);
        let mut more = vec![0; size];
        let from = self.at - size as u64;
        if self.file.read_at(&mut more, from)? < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        more.append(&mut self.held);
        (self.held, self.at) = (more, from);
        Ok(size > 0)
    }
}
