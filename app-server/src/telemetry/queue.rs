//! The log queue: lines waiting for stderr. One thread writes them, so that an unread stderr blocks nothing else.
//!
//! `tracing-appender` is not used: its guard prints to stdout, which belongs to the protocol, if its queue is full at
//! the end, and its bound counts lines, not bytes.

use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

/// Lines for a writer that may block. Clones share one queue. Adding never waits.
#[derive(Debug, Clone)]
pub(crate) struct LogQueue(Arc<QueueShared>);

#[derive(Debug, Default)]
struct QueueShared {
    waiting: Mutex<WaitingLines>,
    added: Condvar,
    written: Condvar,
    /// The bound of waiting bytes.
    bound: usize,
}

#[derive(Debug, Default)]
struct WaitingLines {
    /// Whole lines.
    lines: Vec<u8>,
    /// Lines without room, after the waiting ones.
    dropped: u64,
    /// Lines are being written.
    writes: bool,
}

impl LogQueue {
    /// A queue of `bound` bytes; an empty one takes one longer line. A thread must run [`LogQueue::write_to`].
    pub(crate) fn new(bound: usize) -> Self {
        Self(Arc::new(QueueShared { bound, ..QueueShared::default() }))
    }

    /// Adds whole lines, or counts them as dropped.
    pub(crate) fn add(&self, lines: &[u8]) {
        let mut waiting = self.0.lock();
        let is_full = waiting.lines.len().saturating_add(lines.len()) > self.0.bound;
        // A line after a gap waits until the gap is written, so that lines stay in order.
        if waiting.dropped > 0 || (is_full && !waiting.lines.is_empty()) {
            waiting.dropped += 1;
            return;
        }
        waiting.lines.extend_from_slice(lines);
        self.0.added.notify_one();
    }

    /// Waits at most `bound` until everything is written.
    pub(super) fn flush(&self, bound: Duration) {
        let waiting = self.0.lock();
        let is_left =
            |waiting: &mut WaitingLines| waiting.writes || !waiting.lines.is_empty() || waiting.dropped > 0;
        // Lines not written in time are lost with the process.
        drop(self.0.written.wait_timeout_while(waiting, bound, is_left));
    }

    /// Writes lines for ever, and `gap` of their number where lines were dropped. A line that the writer refuses is
    /// dropped, too: its error cannot be reported anywhere.
    pub(crate) fn write_to(&self, mut out: impl Write + AsFd, gap: impl Fn(u64) -> String) -> ! {
        let mut lost = 0;
        loop {
            let (lines, dropped) = self.next();
            for (lines, dropped) in [(&[][..], 0), (&lines[..], dropped)] {
                lost += refused(&mut out, lines) + dropped;
                if lost > 0 && refused(&mut out, gap(lost).as_bytes()) == 0 {
                    lost = 0;
                }
            }
            self.0.lock().writes = false;
            self.0.written.notify_all();
        }
    }

    /// Waits for lines and takes them.
    fn next(&self) -> (Vec<u8>, u64) {
        let nothing = |waiting: &mut WaitingLines| waiting.lines.is_empty();
        let waiting = self.0.added.wait_while(self.0.lock(), nothing);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        waiting.writes = true;
        (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.dropped))
    }
}

/// Writes whole lines, and waits where that would block. Returns the number of incomplete lines.
fn refused(out: &mut (impl Write + AsFd), lines: &[u8]) -> u64 {
    let mut rest = lines;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(written) if written > 0 => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another process that shares stderr may have set O_NONBLOCK.
            Err(error) if error.kind() == ErrorKind::WouldBlock => writable(out),
            Ok(_) | Err(_) => break,
        }
    }
    let done = &lines[..lines.len() - rest.len()];
    if !rest.is_empty() && done.last().is_some_and(|byte| *byte != b'\n') {
        // The next line begins on a line of its own.
        drop(out.write(b"\n"));
    }
    rest.split_inclusive(|byte| *byte == b'\n').count() as u64
}

/// Waits until the writer takes bytes, or fails. The next write reports an error.
fn writable(out: &impl AsFd) {
    let mut ready = [PollFd::new(out, PollFlags::OUT)];
    poll(&mut ready, None).ok();
}

impl QueueShared {
    fn lock(&self) -> MutexGuard<'_, WaitingLines> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, pipe};
    use std::os::fd::BorrowedFd;

    use rustix::fs::{OFlags, fcntl_setfl};
    use skein_base::tasks;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A queue that writes to a pipe.
    fn queue(bound: usize) -> (LogQueue, BufReader<PipeReader>) {
        let queue = LogQueue::new(bound);
        let (reader, writer) = pipe().unwrap();
        start(&queue, writer);
        (queue, BufReader::new(reader))
    }

    fn start(queue: &LogQueue, writer: impl Write + AsFd + Send + 'static) {
        let writes = queue.clone();
        let work = move || writes.write_to(writer, |dropped| format!("{dropped} dropped\n"));
        tasks::thread("log", work).unwrap();
    }

    fn next(reader: &mut impl BufRead) -> String {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn lines_are_written_in_order_before_a_flush_returns() {
        let (queue, reader) = queue(1 << 20);
        for number in 0..100 {
            queue.add(format!("line {number}\n").as_bytes());
        }
        queue.flush(PATIENCE);
        let lines: Vec<String> = reader.lines().take(100).map(Result::unwrap).collect();
        assert_eq!(lines, (0..100).map(|number| format!("line {number}")).collect::<Vec<_>>());
    }

    #[test]
    fn lines_that_nobody_takes_are_dropped_and_their_number_is_written_where_they_are_missing() {
        let queue = LogQueue::new(64 << 10);
        let line = format!("{}\n", "x".repeat(1023));
        for _ in 0..1000 {
            queue.add(line.as_bytes());
        }
        queue.flush(Duration::from_millis(1));
        let (reader, writer) = pipe().unwrap();
        start(&queue, writer);
        let mut reader = BufReader::new(reader);
        for _ in 0..64 {
            assert_eq!(next(&mut reader), line);
        }
        assert_eq!(next(&mut reader), "936 dropped\n");
        queue.flush(PATIENCE);
        queue.add(b"and on\n");
        assert_eq!(next(&mut reader), "and on\n");
    }

    #[test]
    fn lines_wait_for_a_reader_also_where_a_write_does_not() {
        let queue = LogQueue::new(1 << 20);
        let (reader, writer) = pipe().unwrap();
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let line = |number: u64| format!("{number} {}\n", "x".repeat(1000));
        for number in 0..1000 {
            queue.add(line(number).as_bytes());
        }
        start(&queue, writer);
        queue.flush(Duration::from_millis(1));
        let mut reader = BufReader::new(reader);
        for number in 0..1000 {
            assert_eq!(next(&mut reader), line(number));
        }
    }

    /// A pipe that first refuses this many writes.
    struct Refuses(usize, PipeWriter);

    impl Write for Refuses {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 > 0 {
                self.0 -= 1;
                return Err(ErrorKind::StorageFull.into());
            }
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl AsFd for Refuses {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.1.as_fd()
        }
    }

    #[test]
    fn the_number_of_lines_that_were_refused_is_written_when_there_is_room_again() {
        let queue = LogQueue::new(1 << 20);
        queue.add(b"one\n");
        queue.add(b"two\n");
        let (reader, writer) = pipe().unwrap();
        // These two lines, and the line with their number.
        start(&queue, Refuses(2, writer));
        queue.flush(PATIENCE);
        queue.add(b"and on\n");
        let mut reader = BufReader::new(reader);
        assert_eq!(next(&mut reader), "2 dropped\n");
        assert_eq!(next(&mut reader), "and on\n");
    }

    #[test]
    fn a_line_longer_than_the_bound_is_written_if_nothing_waits() {
        let (queue, mut reader) = queue(4);
        queue.add(b"longer\n");
        assert_eq!(next(&mut reader), "longer\n");
    }
}
