//! Every number of this crate, with its unit, its reason and where it comes from.

use std::time::Duration;

/// Reads of one thread's rollout that may run at once. Origin: a file that hangs holds so many threads, and those of its load,
/// of [`READ_THREADS`](skein_base::policy::READ_THREADS); a client shows one page at a time.
pub(crate) const READS_OF_ONE: usize = 2;
/// How long a write waits for the index before events are published anyway. Origin: guess; the index answers in
/// microseconds once it is open.
pub(crate) const INDEX_PATIENCE: Duration = Duration::from_millis(250);
/// Bytes written to a rollout since its last sync that are kept in memory, so that they can be written again after a
/// failed sync. Above it the writer syncs by itself. Origin: guess; a turn is rarely larger.
pub(crate) const ROLLOUT_UNSYNCED: usize = 4 * 1024 * 1024;
/// Bytes of lines in one page of a read, at least one line. Origin: guess; what one outbox may hold, four times over.
pub const READ_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that are read from a rollout at once. Origin: guess; above the disk's unit, below what a reader's memory costs.
pub const READ_BLOCK: usize = 64 * 1024;
/// How often all rollouts are listed while some of them get other names, until no look has missed one that came back.
/// Origin: guess; one more look is rare, as a move takes syncs and the looks do not.
pub(crate) const LISTING_LOOKS: usize = 8;
/// Characters of the first user message that a list shows. Origin: guess; more than any list shows.
pub(crate) const PREVIEW_CHARS: usize = 1_000;
/// User messages of a thread whose client ids are remembered. Origin: design section 5.
pub(crate) const REMEMBERED_MESSAGES: usize = 64;
/// Rows of a page of threads when the client does not say. Origin: the peer's default.
pub(crate) const LIST_DEFAULT: usize = 25;
/// Rows of a page of threads at most. Origin: the peer's maximum.
pub(crate) const LIST_MOST: usize = 100;
/// Bytes of threads as JSON with which a page of a list ends, whatever the client asked for. Origin: guess; 100 usual ones have 100 KB, and
/// an answer may have 16 times as much.
pub const LIST_BYTES: usize = 1 << 20;
/// How long a page of a list looks for threads that its filter lets through. Origin: guess; a person does not notice.
pub(crate) const LIST_TIME: Duration = Duration::from_millis(100);
/// Threads that a page of a list looks at before it looks at the time. Origin: some 15 µs for each measured in an index of a million, so
/// that they take some 30 ms.
pub(crate) const LIST_PLACES: usize = 2_000;
/// The index's cache, bytes. Origin: its default of 1 GiB is more than the server may cost; rows are small.
pub(crate) const INDEX_CACHE: u64 = 8 * 1024 * 1024;
/// Time that opening the index may take before it is set aside. Origin: 0.2 to 1.1 s measured at a million keys.
pub(crate) const INDEX_OPEN_BUDGET: Duration = Duration::from_secs(15);
/// Tries to open an index whose lock is still held, and the pause between two. Origin: guess; sled's threads end within
/// milliseconds.
pub(crate) const INDEX_LOCK_TRIES: usize = 40;
/// See [`INDEX_LOCK_TRIES`].
pub(crate) const INDEX_LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Time that a list waits for an index that is not complete. Origin: design section 6.
pub(crate) const INDEX_LIST_WAIT: Duration = Duration::from_secs(2);
/// Rows that wait in memory for the index to open. Above it their threads keep their open markers. Origin: guess.
pub(crate) const INDEX_WAITING: usize = 10_000;
/// Bytes that have to be free before an index that the disk let nobody write is opened again. Origin: sled grows by 0.5 MiB.
pub(crate) const INDEX_ROOM: u64 = 4 * 1024 * 1024;
/// Bytes that have to be free beside these, for rollouts. Origin: guess; a few large records.
pub(crate) const INDEX_ROOM_LEFT: u64 = 1024 * 1024;
/// Bytes that are written to see whether the disk takes them. Origin: guess; a quota that is used up refuses the first block.
pub(crate) const INDEX_ROOM_TRY: usize = 64 * 1024;
/// Time between two looks whether it takes them. Origin: guess; lists are answered meanwhile.
pub const INDEX_ROOM_LOOK: Duration = Duration::from_secs(5);
/// Bytes of the newest turns that a loaded thread holds in memory, and that a resume tells. Origin: design section 6.
pub const HISTORY_WINDOW: usize = 1 << 20;
/// Bytes of a rollout that are read at most to find those turns, unless one turn has more. Origin: guess; a rollout of an earlier
/// version repeats long settings with each turn, and a second of reading is enough for it.
pub const HISTORY_LINES: usize = 256 << 20;
/// Records of a page when a whole rollout is read. Origin: guess.
pub(crate) const FOLD_PAGE: usize = 1_000;
/// Records of a page when turns are read. Origin: guess; a few turns.
pub const WINDOW_PAGE: usize = 128;
/// Records of a page when only the last header is wanted. Origin: guess; a short turn has less.
pub(crate) const HEADER_PAGE: usize = 16;
/// Records of a page when the beginning is wanted. Origin: what stands before the first message in most threads.
pub(crate) const BEGINNING_PAGE: usize = 4;
/// Between two looks at a home that somebody has who has not said yet where it listens. Origin: guess; a start takes
/// some milliseconds.
pub const HOME_LOOK: Duration = Duration::from_millis(10);
/// How many such looks are taken before the home is refused. Origin: guess; a second in all, far above a start.
pub const HOME_LOOKS: u32 = 100;
/// Sockets that may stand before their handshake; others wait to be accepted. Origin: limits.md.
pub const SOCKETS_BEFORE_HANDSHAKE: usize = 256;
/// The longest line of a rollout, bytes. A longer line is damage, and is not held in memory. Origin: four times the
/// largest message that is taken from a client or a helper.
pub const ROLLOUT_LINE: usize = 64 * 1024 * 1024;
/// Bytes of a line, its texts counted as they are, above which the large ones stand beside the rollout. Origin: four of [`READ_BLOCK`], which a reader that
/// passes over the line hardly notices.
pub(crate) const BLOB_LINE: usize = 4 * READ_BLOCK;
/// Bytes above which a text is a large one. Origin: a file of its own costs three more syncs than a line; what is smaller
/// is read in one [`READ_BLOCK`].
pub(crate) const BLOB_TEXT: usize = READ_BLOCK;
/// Texts of which is remembered that their names are on disk. Origin: guess; a turn says the same text three times, and 32
/// bytes are remembered of each.
pub(crate) const BLOBS_REMEMBERED: usize = 4_096;
/// The most that is read of a thread's secrets, bytes. Origin: guess; a `config` has a few hundred bytes of them, and its message is
/// bounded.
pub(crate) const SECRETS_BYTES: usize = 16 * 1024 * 1024;
/// Rollouts that are read at once to make the index. Origin: half of the threads that read; the other half is for clients.
pub(crate) const REBUILD_READS: usize = skein_base::policy::READ_THREADS / 2;
/// Rows that are set in one go at most. Origin: a row takes some 0.1 ms, so a go takes a hundredth of the time that a list
/// waits.
pub(crate) const REBUILD_STEP: usize = 64;
/// Such goes that are under way at once: one is read while another is set.
pub(crate) const REBUILD_STEPS: usize = 2;
/// Time between two tries to make an index that cannot be made. Origin: guess; a full disk is not emptied faster.
pub const INDEX_RETRY: Duration = Duration::from_secs(30);
/// Bytes of the time and of the type in the head of a line, at most, that is read without the rest. Origin: guess; ours
/// have 24 at the most.
pub(crate) const PEEK_HEADER: usize = 64;
/// How hard a backup is compressed, 0 to 9. Origin: guess; JSON shrinks to a fraction at any level, and the lower ones cost
/// the least time.
pub(crate) const BACKUP_LEVEL: u32 = 3;
/// How often a rollout is read that its server cuts meanwhile. Origin: guess; a server cuts after an error of its disk, and tries
/// that again after a pause.
pub(crate) const BACKUP_TRIES: usize = 5;
/// Bytes of a rollout that wait in memory for the backup; a longer one waits in a file. Origin: guess; nearly all are shorter.
pub(crate) const BACKUP_HELD: u64 = 8 << 20;
/// Bytes that are looked at in one go for the end of a rollout's last whole line. Origin: guess.
pub(crate) const BACKUP_LOOK: usize = 64 << 10;
/// The longest line of a backup's manifest, bytes. Origin: names and hashes have less than 300.
pub(crate) const BACKUP_LINE: u64 = 4096;
/// Characters of a strange name in a backup that are shown. Origin: as long as a name in a tar header may be.
pub(crate) const BACKUP_NAME_SHOWN: usize = 100;
