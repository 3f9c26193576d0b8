//! Rollouts that begin as a copy of another.
//!
//! The lines are copied on the server, in pieces. The new thread is missing until its row in `heads` comes last, so a cut
//! leaves only lines that nobody sees; the next try removes them.

use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::home::Term;
use skein_store::rollout::blob::FoundTexts;
use skein_store::rollout::record::{Record, TurnCompleted};
use skein_store::rollout::{AppendError, Appended, CopyError, Lease, ReadError};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::PgStore;
use super::encoded::EncodedRows;
use super::pages::whole;
use crate::failure::DbFailure;
use crate::numbers::{int, number};
use crate::policy;

/// Removes what an interrupted copy has left. The thread has no row in `heads`, or one that is no rollout.
const CLEAR: &str = "delete from records where thread = $1
  and not exists (select from heads where thread = $1 and seq > 0)";

/// One piece: a range of the primary key of one partition.
const PIECE: &str = "insert into records (thread, seq, line)
  select $2, seq, line from records where thread = $1 and seq > $3 and seq <= $4";

/// Texts and secrets of the source.
const BESIDE: &str = "with texts as (
  insert into blob_uses (thread, sha256) select $2, sha256 from blob_uses where thread = $1 on conflict do nothing
)
insert into secrets (thread, \"values\") select $2, \"values\" from secrets where thread = $1
  on conflict (thread) do update set \"values\" = excluded.\"values\"";

/// The last lines and the row that makes all of them a rollout. Nothing is returned if there is one already.
const FINISH: &str = "with made as (
  insert into heads (thread, owner, term, seq, header, open) values ($1, $7, $2, $3, $4, true)
  on conflict (thread) do update set owner = excluded.owner, term = greatest(heads.term, excluded.term), seq = excluded.seq,
    header = excluded.header, open = true, written = now() where heads.seq = 0
  returning thread
), wrote as (
  insert into records (thread, seq, line)
  select m.thread, l.seq, l.line from made m, unnest($5::int8[], $6::bytea[]) as l (seq, line)
)
select thread from made";

impl PgStore {
    pub(super) async fn copy_records(
        &self,
        from: ThreadId,
        up_to: EventSeq,
        lease: Lease,
        then: Vec<Record>,
    ) -> Result<Appended, CopyError> {
        let thread = lease.thread;
        let node = self
            .appends
            .node
            .of_claims()
            .map_err(|lost| self.failed(lost).before_append(thread, EventSeq(0)))?;
        let _turn = self.rows.turn_of(thread).await;
        let source = self.find_head(from).await.map_err(self.unread(from))?;
        if source.seq == EventSeq(0) || source.trashed {
            return Err(ReadError::Missing(from).into());
        }
        let before = |failure| self.failed(failure).before_append(thread, EventSeq(0));
        let there = self.find_head(thread).await.map_err(before)?;
        if there.seq > EventSeq(0) {
            return Err(AppendError::Conflict { thread, head: there.visible() }.into());
        }
        let encoded = self.encode(thread, EventSeq(0), &then)?;
        let up_to = up_to.min(source.seq);
        let header = match encoded.header {
            0 => self.header_of(from, up_to).await?,
            header => EventSeq(header),
        };
        self.copy_pieces(from, thread, up_to).await.map_err(before)?;
        self.keep_beside((lease, EventSeq(0)), &encoded.texts, &then).await?;
        self.lock_open().note(thread, encoded.opens.max(source.term));
        let head = then.last().map_or(up_to, |last| last.seq);
        let made = self.finish((thread, node), head, header, source.term, &encoded).await;
        match made.map_err(|failure| self.failed(failure).of_append(thread, EventSeq(0))) {
            Ok(true) => Ok(Appended::unlisted(head)),
            Ok(false) => Err(AppendError::Conflict { thread, head: EventSeq(0) }.into()),
            Err(error) => {
                self.appends.doubt(thread);
                Err(error.into())
            }
        }
    }

    async fn copy_pieces(&self, from: ThreadId, to: ThreadId, up_to: EventSeq) -> Result<(), DbFailure> {
        let (from, to) = (from.uuid(), to.uuid());
        self.pool.write_much(CLEAR, &[(&to, Type::UUID)]).await?;
        let (mut at, end) = (0, int(up_to.0));
        while at < end {
            let next = end.min(at + policy::COPY_ROWS);
            self.pool
                .write_much(
                    PIECE,
                    &[(&from, Type::UUID), (&to, Type::UUID), (&at, Type::INT8), (&next, Type::INT8)],
                )
                .await?;
            at = next;
        }
        self.pool.write_much(BESIDE, &[(&from, Type::UUID), (&to, Type::UUID)]).await.map(drop)
    }

    /// Returns whether the rollout is new. Its next owner has a higher term than those of the source. Its row is a claim as well.
    async fn finish(
        &self,
        (thread, node): (ThreadId, Uuid),
        head: EventSeq,
        header: EventSeq,
        source: Term,
        then: &EncodedRows,
    ) -> Result<bool, DbFailure> {
        let seqs: Vec<i64> = then.rows.iter().map(|row| int(row.seq.0)).collect();
        let lines: Vec<&[u8]> = then.rows.iter().map(|row| row.line.as_slice()).collect();
        let (id, term): (Uuid, i64) = (thread.uuid(), int(then.opens.max(source).0));
        let (head, header) = (int(head.0), int(header.0));
        let attempt = self.claims.begin(thread);
        let made = self
            .pool
            .write(
                FINISH,
                &[
                    (&id, Type::UUID),
                    (&term, Type::INT8),
                    (&head, Type::INT8),
                    (&header, Type::INT8),
                    (&seqs, Type::INT8_ARRAY),
                    (&lines, Type::BYTEA_ARRAY),
                    (&node, Type::UUID),
                ],
            )
            .await;
        attempt.answered(&made);
        let made = made?;
        if !made.is_empty() {
            self.appends.done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(!made.is_empty())
    }

    /// The number of the last record up to `up_to` that tells of all; 0 if none does.
    async fn header_of(&self, thread: ThreadId, up_to: EventSeq) -> Result<EventSeq, ReadError> {
        let sql = "select header from heads where thread = $1";
        let rows = self.pool.read(sql, &[(&thread.uuid(), Type::UUID)]).await.map_err(self.unread(thread))?;
        let newest = rows.first().map_or(EventSeq(0), |row| EventSeq(number(row.get(0))));
        if newest <= up_to {
            return Ok(newest);
        }
        let mut before = up_to.next();
        loop {
            let found = self.lines_before(thread, before, policy::PAGE_ROWS).await?;
            let mut last = EventSeq(0);
            for (seq, line) in found.lines() {
                if tells_of_all(seq, line) {
                    return Ok(seq);
                }
                last = seq;
            }
            if last <= EventSeq(1) {
                return Ok(EventSeq(0));
            }
            before = last;
        }
    }
}

/// Whether this line is the end of a turn with a full header. Reads no text.
fn tells_of_all(seq: EventSeq, line: &[u8]) -> bool {
    let ends_turn = whole(seq, line).filter(|line| line.kind() == TurnCompleted::KIND);
    let read = ends_turn.and_then(|line| line.record(&FoundTexts::default()).ok()?.ok());
    read.is_some_and(|read| read.record.tells_of_all())
}
