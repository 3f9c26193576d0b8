//! Appends, and the end of a thread whose last write is in doubt.

use skein_base::tasks::apart;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::home::Term;
use skein_store::rollout::record::Record;
use skein_store::rollout::{AppendError, Appended, Lease, LogEntry, ReadError, order};
use tokio::sync::oneshot;
use tokio_postgres::types::Type;

use super::encoded::EncodedRows;
use super::{PgStore, seq};
use crate::append::{AppendJob, HeadRow};
use crate::failure::{Cause, DbFailure};

/// A write of our own behind one whose outcome is unknown. It waits for the row, so it comes behind that write; and where a
/// standby confirms commits, it is confirmed only after that write is.
const END_BEHIND_DOUBT: &str =
    "update heads set open = true where thread = $1 returning seq, trashed_at is not null";

impl PgStore {
    pub(super) async fn write_records(
        &self,
        lease: Lease,
        expected: EventSeq,
        LogEntry { records, row, .. }: LogEntry,
    ) -> Result<Appended, AppendError> {
        let thread = lease.thread;
        let node = self
            .appends
            .node
            .of_claims()
            .map_err(|lost| self.failed(lost).before_append(thread, expected))?;
        let turn = self.rows.turn_of(thread).await;
        // The head is not known here, so this finds only records that do not continue the expected one.
        if order::check(lease, expected, &records, expected, Term(0)).is_err() {
            return Err(self.refusal(lease, expected, &records).await);
        }
        let encoded = self.encode(thread, expected, &records)?;
        self.keep_beside((lease, expected), &encoded.texts, &records).await?;
        self.lock_open().note(thread, lease.term);
        let (reply, answer) = oneshot::channel();
        let job = AppendJob {
            lease,
            node,
            expected,
            lines: encoded.rows,
            header: Some(EventSeq(encoded.header)).filter(|header| header.0 > 0),
            opens: encoded.opens,
            row,
            turn: Some(turn),
            reply: Some(reply),
        };
        if !self.appends.queue.push(job) {
            let full = "too many appends wait for the database; try again in a moment";
            return Err(self.failed(DbFailure::refused(full)).of_append(thread, expected));
        }
        answer.await.unwrap_or_else(|_| {
            self.appends.doubt(thread);
            Err(AppendError::Unknown { thread, reason: "the task that appends has ended".to_owned() })
        })
    }

    /// The records behind record `head` as rows.
    pub(super) fn encode(
        &self,
        thread: ThreadId,
        head: EventSeq,
        records: &[Record],
    ) -> Result<EncodedRows, AppendError> {
        apart(|| EncodedRows::of(records)).map_err(|error| {
            let failure =
                DbFailure::Refused { reason: format!("a record is no JSON: {error}"), cause: Cause::Values };
            self.failed(failure).of_append(thread, head)
        })
    }

    /// Why records that do not continue the expected one are refused.
    async fn refusal(&self, lease: Lease, expected: EventSeq, records: &[Record]) -> AppendError {
        let thread = lease.thread;
        let there = match self.find_head(thread).await {
            Ok(there) => there,
            Err(failure) => return self.failed(failure).before_append(thread, expected),
        };
        let head = there.visible();
        match order::check(lease, expected, records, head, there.term) {
            Err(refused) => refused,
            Ok(_) => AppendError::Conflict { thread, head },
        }
    }

    pub(super) async fn find_head(&self, thread: ThreadId) -> Result<HeadRow, DbFailure> {
        Ok(HeadRow::of(&self.pool.read(HeadRow::SQL, &[(&thread.uuid(), Type::UUID)]).await?))
    }

    /// The number of the thread's last record, behind every earlier write.
    pub(super) async fn end_of(&self, thread: ThreadId) -> Result<EventSeq, ReadError> {
        let there = if self.appends.is_doubted(thread) {
            let rows = self.pool.write(END_BEHIND_DOUBT, &[(&thread.uuid(), Type::UUID)]).await;
            rows.map(|rows| rows.first().map(|row| (seq(row, 0), row.get(1))))
        } else {
            self.find_head(thread).await.map(|there| Some((there.seq, there.trashed)))
        };
        match there.map_err(self.unread(thread))? {
            Some((head, false)) if head > EventSeq(0) => Ok(head),
            Some(_) | None => Err(ReadError::Missing(thread)),
        }
    }

    /// Brings everything to the database that records behind record `head` need beside their lines.
    pub(super) async fn keep_beside(
        &self,
        (lease, head): (Lease, EventSeq),
        texts: &[skein_store::rollout::blob::Blob],
        records: &[Record],
    ) -> Result<(), AppendError> {
        let thread = lease.thread;
        let texts = self.keep_texts(thread, texts).await;
        let kept = match texts {
            Ok(()) => self.keep_secrets(lease, records).await,
            refused => refused,
        };
        kept.map_err(|failure| self.failed(failure).before_append(thread, head))
    }
}
