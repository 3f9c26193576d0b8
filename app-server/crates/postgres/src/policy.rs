//! Every number of this crate, with its unit, its reason and where it comes from.

use std::time::Duration;

/// Tasks that write appends, each with its own connection. Origin: guess; one batch is on its way while others gather.
pub const APPENDERS: usize = 4;
/// Threads of one append statement. Origin: design; it bounds the rows that one statement locks.
pub(crate) const BATCH_THREADS: usize = 256;
/// Records of one append statement, unless its first thread has more. Origin: design.
pub(crate) const BATCH_RECORDS: usize = 2_000;
/// Bytes of the lines of one append statement, unless its first thread has more. Origin: design.
pub(crate) const BATCH_BYTES: usize = 1 << 20;
/// Appends that wait for a task. Above this an append is refused. Origin: a promise of limits; ten times the threads that
/// usually write at one moment.
pub(crate) const APPENDS_WAITING: usize = 1_000;
/// Time for one write. Its connection is dropped then, and the outcome is unknown. Origin: a promise of limits.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// Milliseconds that a write waits for the row of a thread. A batch is sent again thread by thread then. Origin: design.
pub(crate) const LOCK_WAIT_MS: i64 = 1_000;
/// Tries of a write whose thread had moved on when it was looked at again. Origin: guess; each needs another race.
pub(crate) const WRITE_TRIES: usize = 3;
/// Time for a connection to be made. Origin: design.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);
/// Connections for reads, and for writes that are no appends. Origin: guess; a page takes a millisecond.
pub const READERS: usize = 8;
/// Bytes of an answer above which its connection is not used again, since its buffers keep their size. Origin: measured; 8 such
/// connections kept 15 MB after a burst of large reads.
pub(crate) const LARGE_ANSWER: usize = 256 << 10;
/// Time that a caller waits for a connection. Origin: design.
pub(crate) const POOL_WAIT: Duration = Duration::from_secs(2);
/// Callers that wait for a connection. Origin: design.
pub(crate) const POOL_CALLERS: usize = 1_000;
/// Time for one read. Origin: design, as for writes.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(5);
/// Time for work that touches many rows: the schema, a purge, a copy of a long thread, a look at a whole table. Origin: guess.
pub(crate) const LONG_DEADLINE: Duration = Duration::from_secs(60);
/// The pause that an error suggests before the next try. Origin: guess; a restart of the database takes about that.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Rows that a statement of a page reads at most. Origin: guess; a page of short lines.
pub(crate) const PAGE_ROWS: i64 = 1_000;
/// Rows of a copy that one statement writes. Origin: guess; some megabytes.
pub(crate) const COPY_ROWS: i64 = 5_000;
/// Bytes of texts that one statement reads or writes, unless one text has more. Origin: as a page.
pub(crate) const TEXT_BYTES: u64 = 4 * 1024 * 1024;
/// Rollouts that a purge looks up at once; it removes one after the other. Origin: guess; a look takes a millisecond.
pub(crate) const PURGE_THREADS: i64 = 16;
/// Rows of one statement of a walk through an order. Origin: guess; a filter that accepts half of them fills a page.
pub(crate) const WALK_ROWS: usize = 200;
/// Rows of threads that one statement sets. Origin: guess; about a megabyte.
pub(crate) const ROWS_AT_ONCE: usize = 500;
/// Characters of a directory in an order: a key of an index may have 2,704 bytes. Origin: the database's limit.
pub(crate) const KEY_CHARS: usize = 500;
/// The time between two beats of a server. Origin: design.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// How long a server's row lives from a beat, by the database's clock. Origin: measured; servers that share their doubt need it, whose last
/// beats are up to a second apart, and one more of each may be lost on its way.
pub(crate) const PRESENCE: Duration = Duration::from_secs(5);
/// How long a confirmed beat vouches for the database, from its sending. Origin: design; two beats, half of a row's life.
pub(crate) const DOUBT: Duration = Duration::from_secs(2);
/// How long a confirmed beat protects the threads of a server among others, from its sending. Origin: design; half a second before the
/// end of its row.
pub(crate) const TRUST: Duration = Duration::from_millis(4_500);
/// How much longer than [`SILENCE`] servers that share their doubt are silent. Origin: guess; their statements differ by less on their way.
pub(crate) const SILENCE_MARGIN: Duration = Duration::from_millis(200);
/// Seconds without a beat of any server after which no row dies for a while: the database was away. Origin: design; two beats.
pub(crate) const SILENCE: u64 = 2;
/// Seconds in which no row dies then. Origin: as the life of a row, so that each server can beat first.
pub(crate) const GRACE: u64 = 5;
/// The time between two looks for threads that were left open and nobody has noticed, and how long such a thread has no owner before it
/// counts. Origin: guess; a server removes the marker a moment after it has given a thread up, and a look may load such threads again.
pub(crate) const LEFT_OPEN_PAUSE: Duration = Duration::from_secs(60);
/// The time between two looks while a server drains. Origin: guess; a queue need not wait for its end, and a look reads every open thread.
pub(crate) const DRAIN_PAUSE: Duration = Duration::from_secs(5);
/// Wishes for threads that the row of a server carries; each beat reads them. Origin: guess; the row stays small.
pub(crate) const HANDOVER_WISHES: i32 = 1_000;
/// Threads of one statement of a look; the next beat goes on behind them. Origin: guess.
pub(crate) const LEFT_OPEN_AT_ONCE: i64 = 1_000;
/// Open markers that one statement removes; the changes of their threads wait meanwhile. Origin: as the threads of an append.
pub(crate) const OPEN_MARKERS_AT_ONCE: usize = 256;
/// Threads that wait to be given up. Above this a thread stays with its server until that loads it again, or ends. Origin: guess; an
/// end of all connections at once unloads some thousand threads.
pub(crate) const GIVE_UPS_WAITING: usize = 10_000;
/// Threads that one statement gives up. Origin: as one append statement; it bounds the rows that are locked.
pub(crate) const GIVE_UPS_AT_ONCE: usize = 256;
/// Numbers for questions that a start of a server takes. Origin: a model that asks ten times a second needs four months for them, and a
/// number that JavaScript keeps exactly has room for 90,000,000 starts.
pub(crate) const QUESTION_BLOCK: i64 = 100_000_000;
