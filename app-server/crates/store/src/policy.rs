//! Every number of this crate, with its unit, its reason and where it comes from.

use std::time::Duration;

/// Concurrent reads of one thread's rollout. Origin: a hanging file takes this many threads, and those of its load,
/// from [`READ_THREADS`](skein_base::policy::READ_THREADS); a client shows one page at a time.
pub(crate) const READS_OF_ONE: usize = 2;
/// Time that a write waits for the index before its events are published. Origin: guess; an open index answers in
/// microseconds.
pub(crate) const INDEX_PATIENCE: Duration = Duration::from_millis(250);
/// Unsynced bytes of a rollout in memory, to write them again after a failed sync. Above this the writer syncs by
/// itself. Origin: guess; a turn is rarely larger.
pub(crate) const ROLLOUT_UNSYNCED: usize = 4 * 1024 * 1024;
/// Threads that a migration or a check looks up at once. Origin: guess; a look takes a millisecond.
pub(crate) const STORED_THREADS: usize = 100;
/// Bytes of lines in one page of a read, at least one line. Origin: guess; four times the content of an outbox.
pub const READ_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a single read from a rollout. Origin: guess; above the disk's unit, and cheap in memory.
pub const READ_BLOCK: usize = 64 * 1024;
/// Repetitions of a listing while rollouts get new names, until no look misses a rollout that came back. Origin:
/// guess; a second look is rare, as a move takes syncs and looks do not.
pub(crate) const LISTING_LOOKS: usize = 8;
/// Characters of the first user message that a list shows. Origin: guess; more than any list shows.
pub(crate) const PREVIEW_CHARS: usize = 1_000;
/// User messages of a thread whose client ids are remembered, as far as their turns fit into the memory of a load. Origin: a dozen
/// programs send a thread 13 messages a second, and a client repeats its own after a minute at most.
pub(crate) const REMEMBERED_MESSAGES: usize = 1_024;
/// The ids of questions that a server may give out. Origin: a model that asks ten times a second needs a day for them; the
/// clock passes them in 17 minutes.
pub(crate) const QUESTION_IDS: i64 = 1_000_000;
/// How often loads go on with a turn that does nothing between them, before the turn fails. Origin: guess; a turn that
/// ends the server does so each time.
pub(crate) const RESUMED_IN_VAIN: u32 = 3;
/// Deleted messages of a queue that are remembered, so that a client that names one learns who deleted it. Origin:
/// guess; only the last ones are still on a screen.
pub(crate) const REMEMBERED_DELETIONS: usize = 16;
/// Default number of rows of a page of threads. Origin: the peer's default.
pub(crate) const LIST_DEFAULT: usize = 25;
/// Maximal number of rows of a page of threads. Origin: the peer's maximum.
pub(crate) const LIST_MOST: usize = 100;
/// Bytes of threads as JSON that end a page of a list, at any requested limit. Origin: guess; 100 usual threads have
/// 100 KB, and an answer may have 16 times this bound.
pub const LIST_BYTES: usize = 1 << 20;
/// Time for finding the threads of a page that its filter accepts. Origin: guess; a person does not notice.
pub(crate) const LIST_TIME: Duration = Duration::from_millis(100);
/// Threads that a page visits before it looks at the time. Origin: measured, about 15 µs each in an index of a
/// million, together about 30 ms.
pub(crate) const LIST_PLACES: usize = 2_000;
/// The index's cache, bytes. Origin: its default of 1 GiB is too much for the server; rows are small.
pub(crate) const INDEX_CACHE: u64 = 8 * 1024 * 1024;
/// Time for opening the index before it is set aside. Origin: 0.2 to 1.1 s measured at a million keys.
pub(crate) const INDEX_OPEN_BUDGET: Duration = Duration::from_secs(15);
/// Looks at the kernel's list of locks before a home counts as free. Origin: measured; where locks come and go one look in 40
/// misses a lock that is held.
#[cfg(target_os = "linux")]
pub(crate) const LOCK_LOOKS: usize = 8;
/// Tries to open an index with a held lock, and the pause between two. Origin: guess; sled's threads end within
/// milliseconds.
pub(crate) const INDEX_LOCK_TRIES: usize = 40;
/// See [`INDEX_LOCK_TRIES`].
pub(crate) const INDEX_LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Time that a list waits for an incomplete index. Origin: design.
pub(crate) const INDEX_LIST_WAIT: Duration = Duration::from_secs(2);
/// Rows that wait in memory for the index to open. Above this, threads keep their open markers. Origin: guess.
pub(crate) const INDEX_WAITING: usize = 10_000;
/// Free bytes for reopening an index after its disk refused writes. Origin: sled grows by 0.5 MiB.
pub(crate) const INDEX_ROOM: u64 = 4 * 1024 * 1024;
/// Further free bytes for rollouts. Origin: guess; a few large records.
pub(crate) const INDEX_ROOM_LEFT: u64 = 1024 * 1024;
/// Bytes of a trial write to the disk. Origin: guess; an exhausted quota refuses the first block.
pub(crate) const INDEX_ROOM_TRY: usize = 64 * 1024;
/// Time between two trial writes. Origin: guess; lists are answered meanwhile.
pub const INDEX_ROOM_LOOK: Duration = Duration::from_secs(5);
/// Bytes of the newest turns that a loaded thread holds in memory, and that a resume sends. Origin: design.
pub const HISTORY_WINDOW: usize = 1 << 20;
/// Bytes of a rollout that a search for those turns reads at most, unless one turn has more. Origin: guess; rollouts
/// of earlier versions repeat long settings with each turn, and this is a second of reading.
pub const HISTORY_LINES: usize = 256 << 20;
/// Records of a page in a read of a whole rollout. Origin: guess.
pub(crate) const FOLD_PAGE: usize = 1_000;
/// Records of a page in a read of turns. Origin: guess; a few turns.
pub const WINDOW_PAGE: usize = 128;
/// Records of a page in a search for the last header. Origin: guess; a short turn has fewer.
pub(crate) const HEADER_PAGE: usize = 16;
/// Records of a page in a read of the beginning. Origin: the records before the first message in most threads.
pub(crate) const BEGINNING_PAGE: usize = 4;
/// Pause between two looks at a home whose holder has published no address. Origin: guess; a start takes some
/// milliseconds.
pub const HOME_LOOK: Duration = Duration::from_millis(10);
/// Number of such looks before the home is refused. Origin: guess; a second in all, far above a start.
pub const HOME_LOOKS: u32 = 100;
/// Sockets before their handshake; others wait to be accepted. Origin: a promise.
pub const SOCKETS_BEFORE_HANDSHAKE: usize = 256;
/// The longest line of a rollout, bytes. A longer line is damage, and is not held in memory. Origin: four times the
/// largest message of a client or a helper.
pub const ROLLOUT_LINE: usize = 64 * 1024 * 1024;
/// Bytes of a line, with its unescaped texts, above which large texts are externalised. Origin: four times
/// [`READ_BLOCK`], which a reader that skips the line hardly notices.
pub(crate) const BLOB_LINE: usize = 4 * READ_BLOCK;
/// Bytes above which a text is large. Origin: a file of its own costs three more syncs than a line; a smaller text is
/// read in one [`READ_BLOCK`].
pub(crate) const BLOB_TEXT: usize = READ_BLOCK;
/// Texts whose names are remembered as being on disk. Origin: guess; a turn repeats the same text three times, and
/// each costs 32 bytes.
pub(crate) const BLOBS_REMEMBERED: usize = 4_096;
/// Bytes of a thread's secrets, at most. Origin: guess; a `config` has a few hundred bytes of them, and its message
/// is bounded.
pub(crate) const SECRETS_BYTES: usize = 16 * 1024 * 1024;
/// Concurrent reads of rollouts during a rebuild of the index. Origin: half of the read threads; the other half is
/// for clients.
pub(crate) const REBUILD_READS: usize = skein_base::policy::READ_THREADS / 2;
/// Rows of one step of a rebuild. Origin: a row takes some 0.1 ms, so a step takes a hundredth of a list's waiting
/// time.
pub(crate) const REBUILD_STEP: usize = 64;
/// Steps under way at once: one is read while another is set.
pub(crate) const REBUILD_STEPS: usize = 2;
/// Pause between two tries of a failing rebuild. Origin: guess; nobody empties a full disk faster.
pub const INDEX_RETRY: Duration = Duration::from_secs(30);
/// Bytes of time and type in the head of a line that a peek reads at most. Origin: guess; ours have 24 at most.
pub(crate) const PEEK_HEADER: usize = 64;
/// Compression level of a backup, 0 to 9. Origin: guess; JSON shrinks to a fraction at any level, and low ones are
/// fastest.
pub(crate) const BACKUP_LEVEL: u32 = 3;
/// Reads of a rollout that its server keeps cutting. Origin: guess; a server cuts after a disk error, and pauses
/// before it retries.
pub(crate) const BACKUP_TRIES: usize = 5;
/// Bytes of a rollout that wait in memory for the backup; a longer one waits in a file. Origin: guess; nearly all are
/// shorter.
pub(crate) const BACKUP_HELD: u64 = 8 << 20;
/// Bytes of one step of the search for a rollout's last whole line. Origin: guess.
pub(crate) const BACKUP_LOOK: usize = 64 << 10;
/// The longest line of a backup's manifest, bytes. Origin: names and hashes have fewer than 300.
pub(crate) const BACKUP_LINE: u64 = 4096;
/// Characters of a foreign name in a backup that an error shows. Origin: the length of a name in a tar header.
pub(crate) const BACKUP_NAME_SHOWN: usize = 100;
/// The longest line of a foreign rollout, in bytes. Origin: two lines can make one item (a call and its result),
/// whose record has to fit into [`ROLLOUT_LINE`] with its other members.
pub(crate) const IMPORT_LINE: usize = 24 * 1024 * 1024;
/// Kinds of foreign lines that are counted by name, and letters of such a name. Origin: guess; the peer has about 100.
pub(crate) const IMPORT_KINDS: usize = 200;
/// See [`IMPORT_KINDS`].
pub(crate) const IMPORT_KIND: usize = 80;
/// Problems of one file listed one by one; the others are counted. Origin: guess; one screen.
pub(crate) const IMPORT_PROBLEMS: usize = 20;
/// The depth of folders searched for rollouts. Origin: the peer's has four; a guess at a copy's.
pub(crate) const IMPORT_DEPTH: usize = 12;
/// The longest search term, in bytes. Origin: guess; far above what a person types.
pub(crate) const SEARCH_TERM: usize = 4096;
/// Candidates of the text index, with threads that are behind, above which a search walks the list: frequent hits are
/// found on the way. Origin: guess; their rows are read and sorted in well under a second.
pub(crate) const TEXTS_CANDIDATES: usize = 10_000;
/// The most trigrams of a term in a query of the text index. Origin: guess; a text with so many in common is nearly
/// always a hit.
pub(crate) const TEXTS_TRIGRAMS: usize = 64;
/// Bytes of folded text in one piece of the text index; a longer message is one piece, too. Origin: guess; a piece is
/// a candidate with all trigrams anywhere in it, so small ones give fewer false candidates.
pub(crate) const TEXTS_PIECE: usize = 4096;
/// Rows compared with the text index in one go. Origin: guess; some milliseconds.
pub(crate) const TEXTS_ROWS: usize = 1024;
/// Threads added to the text index in one step, at most. Origin: guess; some hundred milliseconds.
pub(crate) const TEXTS_STEP: usize = 256;
/// Bytes of folded text added to the text index in one step, about; a larger thread takes several. Origin: guess;
/// little memory, and writing them, which a stop waits for, takes some hundred milliseconds.
pub(crate) const TEXTS_STEP_BYTES: usize = 4 << 20;
/// The pause of the text index after a step, as a part of the step's time: one half. Origin: guess; clients come
/// first.
pub(crate) const TEXTS_REST_PART: u32 = 2;
/// How long changed threads are gathered before the text index adds them. Origin: guess, as for open markers.
pub(crate) const TEXTS_PAUSE: Duration = Duration::from_millis(200);
/// The interval of checks whether the followed rows are complete. Origin: guess.
pub(crate) const TEXTS_LOOK: Duration = Duration::from_millis(500);
/// How long readers and writers of the text index wait for each other. Origin: guess; in SQLite's WAL mode they block
/// each other only for moments.
pub(crate) const TEXTS_BUSY: Duration = Duration::from_secs(5);
/// The cache of one connection to the text index, KiB. Origin: guess; as the index of threads.
pub(crate) const TEXTS_CACHE_KIB: i64 = 8 * 1024;
/// Bytes of a name, a folder, a model or another short text of a thread: lists show it, and rollouts repeat it.
/// Origin: the longest path of Linux.
pub const WORD_BYTES: usize = 4_096;
/// Bytes of a rollout read at once for the turns that may hold a text. Origin: guess.
pub const SEARCH_TURN_BYTES: usize = 1 << 20;
