//! A log file of bounded size. A background server has nobody who rotates its log.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

/// A writer to a file that drops its oldest lines when the file becomes larger than a bound. The file must be open for
/// reading and appending; any other writer passes everything.
#[derive(Debug)]
pub(crate) struct BoundedFile<W> {
    out: W,
    /// The same open file, and its bound.
    file: Option<(File, u64)>,
}

impl<W: Write + AsFd> BoundedFile<W> {
    /// Bounds the writer's file, if it is one.
    pub(crate) fn new(out: W, bound: Option<u64>) -> Self {
        let file = bound.and_then(|bound| {
            let file = File::from(out.as_fd().try_clone_to_owned().ok()?);
            file.metadata().is_ok_and(|seen| seen.is_file()).then_some((file, bound))
        });
        Self { out, file }
    }

    /// Keeps the newest half of a file that has reached its bound.
    fn keep_newest(&self) -> io::Result<()> {
        let Some((file, bound)) = &self.file else { return Ok(()) };
        let length = file.metadata()?.len();
        if length <= *bound {
            return Ok(());
        }
        let kept = usize::try_from(bound / 2).unwrap_or(usize::MAX);
        let mut newest = vec![0; kept];
        file.read_exact_at(&mut newest, length - bound / 2)?;
        let line = newest.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(0)?;
        let mut file = file;
        file.write_all(newest.get(line..).unwrap_or_default())
    }
}

impl<W: Write + AsFd> Write for BoundedFile<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        // A log that cannot be cut grows; there is no other place for the error.
        self.keep_newest().ok();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: AsFd> AsFd for BoundedFile<W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.out.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn a_file_never_holds_more_than_its_bound_and_keeps_the_newest_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).unwrap();
        let mut log = BoundedFile::new(file, Some(1000));
        for number in 0..500 {
            log.write_all(format!("line {number}\n").as_bytes()).unwrap();
            assert!(std::fs::metadata(&path).unwrap().len() <= 1000);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("line 499\n") && text.starts_with("line "), "{text}");
        assert!(text.len() > 400, "{text}");
    }

    #[test]
    fn a_pipe_takes_everything() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut log = BoundedFile::new(writer, Some(4));
        log.write_all(b"0123456789").unwrap();
        drop(log);
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(text, "0123456789");
    }
}
