//! Appends of all threads, in few transactions.
//!
//! Some tasks, each with its own connection, take everything that waits and write it with one statement. A thread that the
//! statement left out gets its own answer; the others go on. Nobody cancels a write: at its deadline the connection is
//! dropped, and the outcome is unknown. The next append of the thread expects the same number, waits for the row, and
//! finds its own records if the earlier statement was committed after all.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use skein_base::clock::Clock;
use skein_base::durations::Durations;
use skein_base::tasks::Tasks;
use skein_protocol::ids::ThreadId;
use skein_store::rollout::{AppendError, Appended};
use tokio_postgres::types::Type;

use crate::connection::Link;
use crate::database::Database;
use crate::failure::{Cause, DbFailure};
use crate::node::NodeId;
use crate::policy;
use crate::rows::ThreadRows;

mod queue;
mod statement;

pub(crate) use queue::{AppendJob, AppendQueue, RecordRow};
pub(crate) use statement::HeadRow;
use statement::{Omission, has_own, left_out, send};

/// The state that the tasks share with the store.
#[derive(Debug)]
pub(crate) struct Appends {
    pub(crate) queue: AppendQueue,
    /// The owner of the threads that begin here.
    pub(crate) node: NodeId,
    /// The rows of lists.
    rows: Arc<ThreadRows>,
    /// The durations of the statements, up to their commit.
    pub(crate) commits: Durations,
    /// Acknowledged appends.
    pub(crate) done: AtomicU64,
    /// Writes that the database refused, or whose outcome is unknown.
    pub(crate) failed: AtomicU64,
    /// Threads whose last write has an unknown outcome.
    doubts: Mutex<HashSet<ThreadId>>,
}

impl Appends {
    /// No appends of this server yet.
    pub(crate) fn new(node: NodeId, rows: Arc<ThreadRows>) -> Self {
        Self {
            queue: AppendQueue::default(),
            node,
            rows,
            commits: Durations::default(),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            doubts: Mutex::default(),
        }
    }

    /// Notes that the outcome of a write is unknown.
    pub(crate) fn doubt(&self, thread: ThreadId) {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner).insert(thread);
    }

    /// Whether the outcome of the thread's last write is unknown.
    pub(crate) fn is_doubted(&self, thread: ThreadId) -> bool {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner).contains(&thread)
    }

    /// Notes that no earlier write of the thread can come any more, or that none matters.
    pub(crate) fn trust(&self, thread: ThreadId) {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner).remove(&thread);
    }

    fn answer(&self, mut job: AppendJob, answer: Result<Appended, AppendError>) {
        match &answer {
            Ok(appended) => {
                let row = job.row.take().filter(|_| appended.listed);
                if let Some(row) = row {
                    self.rows.note(job.lease.thread, Some(Arc::unwrap_or_clone(row)));
                }
                self.done.fetch_add(1, Relaxed);
                self.trust(job.lease.thread);
            }
            Err(AppendError::Unknown { .. } | AppendError::Cut { .. }) => {
                self.failed.fetch_add(1, Relaxed);
                self.doubt(job.lease.thread);
            }
            Err(AppendError::Away { .. } | AppendError::Disk { .. }) => {
                self.failed.fetch_add(1, Relaxed);
            }
            Err(AppendError::Conflict { .. } | AppendError::Fenced { .. }) => {}
        }
        job.answer(answer);
    }
}

/// One of the tasks.
pub(crate) struct Appender {
    database: Arc<Database>,
    appends: Arc<Appends>,
    link: Option<Link>,
}

impl Appender {
    /// A task without a connection yet.
    pub(crate) fn new(database: Arc<Database>, appends: Arc<Appends>) -> Self {
        Self { database, appends, link: None }
    }

    /// Writes until the queue is closed. A panic loses the batch, whose outcome is unknown then, and nothing else.
    pub(crate) async fn run(mut self, tasks: Tasks) {
        while let Some(batch) = Arc::clone(&self.appends).queue.next().await {
            if tasks.contain_async("append", self.write(batch)).await.is_none() {
                self.link = None;
            }
        }
    }

    async fn write(&mut self, batch: Vec<AppendJob>) {
        match self.send(&batch).await {
            Ok(done) => {
                for job in batch {
                    match done.get(&job.lease.thread) {
                        Some(&listed) => {
                            let appended = Appended { head: job.head(), listed };
                            self.appends.answer(job, Ok(appended));
                        }
                        None => self.write_left_out(job).await,
                    }
                }
            }
            Err(failure) if failure.is_of_rows() && batch.len() > 1 => {
                // The others are not sent any more, and wait for no connection.
                let mut lost: Option<DbFailure> = None;
                for job in batch {
                    let answer = match &lost {
                        Some(lost) => Err(DbFailure::refused(lost.reason())),
                        None => self.write_alone(&job).await,
                    };
                    lost = lost
                        .or_else(|| answer.as_ref().err().filter(|failure| !failure.is_of_rows()).cloned());
                    self.answer(job, answer);
                }
            }
            Err(failure) => {
                for job in batch {
                    self.answer(job, Err(failure.clone()));
                }
            }
        }
    }

    fn answer(&self, job: AppendJob, answer: Result<Result<Appended, AppendError>, DbFailure>) {
        let (thread, head) = (job.lease.thread, job.expected);
        self.appends.answer(job, answer.unwrap_or_else(|failure| Err(failure.of_append(thread, head))));
    }

    /// Answers an append that the statement left out, or writes it all the same.
    async fn write_left_out(&mut self, job: AppendJob) {
        let answer = match self.reason(&job).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => self.write_alone(&job).await,
            Err(failure) => Err(failure),
        };
        self.answer(job, answer);
    }

    /// Writes one thread's append, or finds out why that is not possible.
    async fn write_alone(&mut self, job: &AppendJob) -> Result<Result<Appended, AppendError>, DbFailure> {
        for _ in 0..policy::WRITE_TRIES {
            if let Some(&listed) = self.send(std::slice::from_ref(job)).await?.get(&job.lease.thread) {
                return Ok(Ok(Appended { head: job.head(), listed }));
            }
            if let Some(answer) = self.reason(job).await? {
                return Ok(answer);
            }
        }
        let reason = "the thread's row changes all the time; try again in a moment".to_owned();
        Err(DbFailure::Refused { reason, cause: Cause::HeldRow })
    }

    /// Why the statement left the append out; `None` if it may be written now.
    async fn reason(&mut self, job: &AppendJob) -> Result<Option<Result<Appended, AppendError>>, DbFailure> {
        let thread = job.lease.thread;
        let is_doubted = self.appends.is_doubted(thread);
        let link = self.link().await?;
        let there = HeadRow::of(&link.read(HeadRow::SQL, &[(&thread.uuid(), Type::UUID)]).await?);
        match left_out(job, there) {
            Omission::Known(answer) => Ok(Some(answer)),
            Omission::PerhapsOwn if is_doubted && has_own(link, job).await? => {
                Ok(Some(Ok(Appended::unlisted(job.head()))))
            }
            Omission::PerhapsOwn => Ok(Some(Err(AppendError::Conflict { thread, head: there.seq }))),
            Omission::InTrash => remove_from_trash(link, thread).await.map(|()| None),
            Omission::Again => Ok(None),
        }
    }

    async fn send(&mut self, batch: &[AppendJob]) -> Result<HashMap<ThreadId, bool>, DbFailure> {
        let (link, began) = (self.link().await?, Clock.now());
        let sent = send(link, batch).await?;
        self.appends.commits.add(Clock.now() - began);
        Ok(sent)
    }

    async fn link(&mut self) -> Result<&mut Link, DbFailure> {
        let link = match self.link.take().and_then(Link::usable) {
            Some(link) => link,
            None => self.database.connect().await?,
        };
        Ok(self.link.insert(link))
    }
}

#[cfg(test)]
mod tests;

/// Removes a deleted rollout for good, since a new one has its id.
async fn remove_from_trash(link: &mut Link, thread: ThreadId) -> Result<(), DbFailure> {
    let sql = "with gone as (
  delete from heads where thread = $1 and trashed_at is not null returning thread
)
delete from records where thread = $1 and exists (select from gone)";
    link.write(sql, &[(&thread.uuid(), Type::UUID)], policy::LONG_DEADLINE).await.map(drop)
}
