//! The appends that wait for a task.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_protocol::ids::EventSeq;
use skein_store::history::ThreadRow;
use skein_store::home::Term;
use skein_store::rollout::{AppendError, Appended, Lease};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use crate::policy;
use crate::turns::WriteTurn;

/// One append, as it is written.
#[derive(Debug)]
pub(crate) struct AppendJob {
    pub(crate) lease: Lease,
    /// The row of the server, as the owner of a thread that begins. The server may have another one when the job is sent.
    pub(crate) node: Uuid,
    pub(crate) expected: EventSeq,
    pub(crate) lines: Vec<RecordRow>,
    /// The number of the last record that tells of all; none if no record does.
    pub(crate) header: Option<EventSeq>,
    /// The term of a `thread.opened` among the records; 0 if there is none.
    pub(crate) opens: Term,
    /// The thread's row as of the last of them, where lists have an earlier one.
    pub(crate) row: Option<Arc<ThreadRow>>,
    /// Keeps other writes of the thread away.
    pub(crate) turn: Option<WriteTurn>,
    pub(crate) reply: Option<oneshot::Sender<Result<Appended, AppendError>>>,
}

/// The row of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordRow {
    pub(crate) seq: EventSeq,
    /// The line without its newline.
    pub(crate) line: Vec<u8>,
}

impl AppendJob {
    /// The number of the thread's last record behind this append.
    pub(crate) fn head(&self) -> EventSeq {
        self.lines.last().map_or(self.expected, |last| last.seq)
    }

    fn bytes(&self) -> usize {
        self.lines.iter().map(|row| row.line.len()).sum()
    }

    /// Answers, and lets the next write of the thread begin.
    pub(crate) fn answer(mut self, answer: Result<Appended, AppendError>) {
        drop(self.turn.take());
        if let Some(reply) = self.reply.take() {
            // A caller that is gone does not want the answer.
            reply.send(answer).ok();
        }
    }
}

/// Takes the jobs of the next statement: everything that waits, up to the bounds, and at least one.
fn next_batch(waiting: &mut VecDeque<AppendJob>) -> Vec<AppendJob> {
    let (mut batch, mut records, mut bytes) = (Vec::new(), 0, 0);
    while let Some(job) = waiting.front() {
        records += job.lines.len();
        bytes += job.bytes();
        let fits = batch.len() < policy::BATCH_THREADS
            && records <= policy::BATCH_RECORDS
            && bytes <= policy::BATCH_BYTES;
        if !fits && !batch.is_empty() {
            break;
        }
        batch.extend(waiting.pop_front());
    }
    batch
}

/// The waiting appends of all threads. A thread is in it once, as each job holds its thread's turn.
#[derive(Debug, Default)]
pub(crate) struct AppendQueue {
    waiting: Mutex<WaitingAppends>,
    more: Notify,
}

#[derive(Debug, Default)]
struct WaitingAppends {
    jobs: VecDeque<AppendJob>,
    closed: bool,
}

impl AppendQueue {
    fn waiting(&self) -> MutexGuard<'_, WaitingAppends> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an append. Returns whether there was room.
    #[must_use]
    pub(crate) fn push(&self, job: AppendJob) -> bool {
        let mut waiting = self.waiting();
        if waiting.closed || waiting.jobs.len() >= policy::APPENDS_WAITING {
            return false;
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.more.notify_one();
        true
    }

    /// The next batch; `None` once the queue is closed and empty.
    pub(crate) async fn next(&self) -> Option<Vec<AppendJob>> {
        loop {
            let mut more = pin!(self.more.notified());
            // From here on no push goes unseen.
            more.as_mut().enable();
            let (batch, rest, closed) = self.take();
            if rest {
                self.more.notify_one();
            }
            if !batch.is_empty() {
                return Some(batch);
            }
            if closed {
                return None;
            }
            more.await;
        }
    }

    fn take(&self) -> (Vec<AppendJob>, bool, bool) {
        let mut waiting = self.waiting();
        (next_batch(&mut waiting.jobs), !waiting.jobs.is_empty(), waiting.closed)
    }

    /// Ends the tasks once nothing waits.
    pub(crate) fn close(&self) {
        self.waiting().closed = true;
        self.more.notify_waiters();
        // A task that is on its way to its wait finds this.
        self.more.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use skein_store::testing::{lease, thread};

    use super::*;

    fn job(n: u128, records: u64, bytes: usize) -> AppendJob {
        let line = |seq| RecordRow { seq: EventSeq(seq), line: vec![b'x'; bytes] };
        AppendJob {
            lease: lease(thread(n)),
            node: Uuid::from_u128(1),
            expected: EventSeq(0),
            lines: (1..=records).map(line).collect(),
            header: None,
            opens: Term(0),
            row: None,
            turn: None,
            reply: None,
        }
    }

    fn batches(jobs: impl IntoIterator<Item = AppendJob>) -> Vec<usize> {
        let mut waiting: VecDeque<AppendJob> = jobs.into_iter().collect();
        let mut sizes = Vec::new();
        while !waiting.is_empty() {
            sizes.push(next_batch(&mut waiting).len());
        }
        sizes
    }

    #[test]
    fn a_statement_takes_what_waits_up_to_its_bounds() {
        assert_eq!(batches((0..10).map(|n| job(n, 1, 10))), [10]);
        assert_eq!(batches((0..300).map(|n| job(n, 1, 10))), [256, 44]);
        assert_eq!(batches((0..3).map(|n| job(n, 900, 10))), [2, 1]);
        assert_eq!(batches((0..3).map(|n| job(n, 1, 600 << 10))), [1, 1, 1]);
        assert_eq!(
            batches([job(1, 5_000, 10), job(2, 1, 10)]),
            [1, 1],
            "one that is above all bounds goes alone"
        );
        assert_eq!(batches([job(1, 1, 10), job(2, 5_000, 10), job(3, 1, 10)]), [1, 1, 1]);
    }

    #[test]
    fn a_full_queue_refuses() {
        let queue = AppendQueue::default();
        for n in 0..policy::APPENDS_WAITING {
            assert!(queue.push(job(n as u128, 0, 0)));
        }
        assert!(!queue.push(job(9_999, 0, 0)));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_what_waits_and_then_ends() {
        let queue = AppendQueue::default();
        assert!(queue.push(job(1, 1, 1)));
        queue.close();
        assert!(!queue.push(job(2, 1, 1)));
        assert_eq!(queue.next().await.unwrap().len(), 1);
        for _two_tasks in 0..2 {
            assert!(queue.next().await.is_none());
        }
    }
}
