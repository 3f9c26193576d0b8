//! Every number, with its unit, its reason and where it comes from. What a user may change is in `config.rs`; its
//! default is here.

use std::time::Duration;

use skein_protocol::settings::{AskForApproval, SandboxMode};

mod helpers;
mod models;

pub(crate) use helpers::*;
pub(crate) use models::*;

/// Threads that run the requests to the disk: what they read, fold and print. Origin: a connection uses one of them at a time, and
/// two leave one to others.
pub(crate) const DEDICATED_THREADS: usize = 2;

/// Bytes of log lines that wait for stderr; as many again are being written. Lines above that are dropped and counted. Origin:
/// guess; some 8,000 lines, far more than a terminal or a pipe is behind.
pub(crate) const LOG_QUEUE_BYTES: usize = 1 << 20;
/// How long the end of a process waits for its log lines to be written. Origin: guess; a reader that takes nothing for so long
/// takes nothing, and an exit must stay quick.
pub(crate) const LOG_FLUSH: Duration = Duration::from_millis(500);

// --- thread ---

/// How often one call is judged, where its tool changes between the decision and the call. Origin: a guess; twice is rare, and
/// a helper that changes its tools all the time must not keep its user answering.
pub(crate) const CALL_JUDGED: usize = 3;

/// Reports of a turn that may wait for its owner. Origin: guess; the turn waits when it is full.
pub(crate) const TURN_REPORTS: usize = 64;
/// Events of a model that may wait for their turn. Origin: guess.
pub(crate) const MODEL_EVENTS: usize = 64;
/// Inputs that may be added to one running turn before it takes them. Origin: guess; more is refused as busy.
pub(crate) const TURN_STEERS: usize = 64;
/// Progress messages of one tool call that may wait. Origin: guess; more is dropped by the helper's side.
pub(crate) const CALL_PROGRESS: usize = 16;
/// Batches that may wait for a thread's writer. When half of it is full the turn waits and input is refused; the
/// other half is for what an owner adds by itself, such as the last reports of a turn.
pub(crate) const WRITER_BATCHES: usize = 256;
/// Before the first retry of a failed write; doubles up to the next constant. Origin: guess.
pub(crate) const WRITE_RETRY_FIRST: Duration = Duration::from_millis(250);
/// Between retries of a failed write, at most. Origin: guess; a person who makes room on the disk waits this long.
pub(crate) const WRITE_RETRY_MOST: Duration = Duration::from_secs(5);
/// What an unload waits for the disk before it gives up the unsaved records. Origin: design section 4.1.
pub(crate) const UNLOAD_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at the server's memory, while it has a limit. Origin: guess; the kernel's file is read in
/// microseconds.
pub(crate) const MEMORY_LOOK: Duration = Duration::from_secs(1);
/// Descriptors that a server may have at least. Origin: counted: 15 are open when it accepts; the reserve for files, a helper that starts, and
/// connections for as many again.
pub(crate) const DESCRIPTORS_NEEDED: u64 = 64;
/// Threads that a server needs beside one for each processor. Origin: measured; with 12 of them the index opened late and ends were cut off.
pub(crate) const THREADS_NEEDED: usize = 16 + DEDICATED_THREADS;
/// Threads that are unloaded at one look at the memory. Origin: guess; a few, so that the next look sees what it helped.
pub(crate) const SQUEEZE_AT_ONCE: usize = 4;
/// Bytes by which memory falls at least when threads that were unloaded for it have helped. Origin: guess; less is noise.
pub(crate) const SQUEEZE_GAIN: u64 = 1 << 20;
/// From the end of a connection or a thread to when free memory is given back. Origin: guess; that takes milliseconds, and others mostly end
/// soon after.
pub(crate) const MEMORY_KEPT: Duration = Duration::from_secs(5);
/// Bytes of a buffer that goes back to the system as soon as it is freed. Origin: glibc's first value, which it raises up to 32 MiB as it goes;
/// measured by `scripts/bench-memory`.
#[cfg(target_os = "linux")]
pub(crate) const LARGE_BUFFER: i32 = 128 << 10;
/// Room is made until memory is below this part of its limit, in percent. Origin: guess; far enough that it is not needed
/// again at once.
pub(crate) const MEMORY_RELIEF_PERCENT: u64 = 90;
/// Told to a client whose request met a full queue. Origin: guess; queues drain in milliseconds.
pub(crate) const BUSY_RETRY: Duration = Duration::from_millis(100);

/// Events that are replayed to a client that comes back; with more it gets the full state. Origin: limits.md.
pub(crate) const REPLAY: usize = 10_000;
/// Records that a client which catches up is read at once. Origin: guess; what one outbox takes in a moment.
pub(crate) const CATCH_UP_PAGE: usize = 1_000;
/// How long a client that catches up may take nothing of what waits for it. Origin: guess; as long as one without a sign
/// of life.
pub(crate) const CATCH_UP_PATIENCE: Duration = Duration::from_secs(60);
/// Threads that one connection may catch up with at once. Origin: guess; far above what a person's reconnect causes.
pub(crate) const CATCH_UPS: usize = 64;
/// Durable events of a loaded thread that are kept in memory for clients that catch up. Origin: guess; what happens
/// during one read of the disk.
pub(crate) const RECENT_EVENTS: usize = 64;
/// Bytes of them, at most. Origin: guess; a large result of a tool is read from the disk again.
pub(crate) const RECENT_BYTES: usize = 64 * 1024;
/// How long text that streams may be unwritten. Origin: design section 5; what a kill of the server may cost.
pub(crate) const CHECKPOINT: Duration = Duration::from_secs(1);

// --- configuration ---

/// Where the server listens unless told otherwise. Origin: the port that clients of this protocol try first.
pub(crate) const DEFAULT_PORT: u16 = 4500;
/// The provider of a fresh installation: it works offline and costs nothing.
pub(crate) const DEFAULT_MODEL_PROVIDER: &str = "echo";
/// When the user of a thread is asked that says nothing of it. Origin: the peer's default.
pub(crate) const DEFAULT_APPROVAL_POLICY: AskForApproval = AskForApproval::OnRequest;
/// What a thread may touch where nobody says it. Origin: Skein runs no commands and confines no helper.
pub(crate) const DEFAULT_SANDBOX_MODE: SandboxMode = SandboxMode::DangerFullAccess;

/// How long an idle thread that nobody watches stays loaded. Origin: a switch between threads must leave nothing.
pub(crate) const UNLOAD_GRACE: Duration = Duration::ZERO;
/// How long a thread without a first user message is kept when nobody watches it. Origin: guess; longer than a
/// client's reconnect.
pub(crate) const UNMATERIALISED_GRACE: Duration = Duration::from_mins(1);
/// How long a question to the user stays open with nobody there. Origin: guess; a lunch break.
pub(crate) const PENDING_GRACE: Duration = Duration::from_mins(30);

/// The largest message a client may send, in bytes. Origin: a picture in a message fits.
pub(crate) const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// The largest answer, in bytes. Origin: as large as what clients may send.
pub(crate) const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// What may wait for a client behind the message being written, in bytes. Origin: guess; minutes of a fast model.
pub(crate) const OUTBOX_BYTES: usize = 1024 * 1024;
/// Thread and helper requests of one connection under way at once. Origin: guess; far above what a person causes.
pub(crate) const REQUESTS_IN_FLIGHT: usize = 64;
/// Commands that wait for one thread's owner. Origin: guess; the owner never waits, so a full one is overload.
pub(crate) const MAILBOX: usize = 64;

/// At a stop, the time for turns to end by themselves.
pub(crate) const SHUTDOWN_DRAIN: Duration = Duration::from_secs(2);
/// At a stop, the time for everything. Origin: service managers kill after 10 s at the least.
pub(crate) const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
/// How long a client that leaves for good waits until its threads have ended. Origin: programs that start one on standard streams
/// kill it 2 s after they asked it to end; it ends within 1.5 s.
pub const LEAVE_LIMIT: Duration = Duration::from_millis(1200);
/// How long of that a bridge that came to another server lets it resume the client's threads, so that what was asked is answered.
/// Origin: guess; a resume takes milliseconds, and most of the time is for the threads' ends.
pub const LEAVE_PATIENCE: Duration = Duration::from_millis(300);
/// What of the time above the way there and back may take. Origin: guess; what is left of the 1.5 s is the exit's.
pub const LEAVE_MARGIN: Duration = Duration::from_millis(100);
/// How long a change of the settings waits for another process that changes them. Origin: guess; a change takes milliseconds.
pub(crate) const SETTINGS_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether it has ended. Origin: guess; nobody sees it.
pub(crate) const SETTINGS_LOOK: Duration = Duration::from_millis(50);
/// How long `skein app-server` tries to reach the server of a home, or to become it. Origin: guess; above any stop.
pub const OWNER_WAIT: Duration = Duration::from_secs(10);
/// Before a bridge whose link was lost looks for a server again; twice as long each time that a link is lost sooner than in
/// [`RELINK_SETTLED`]. Origin: guess; a server that ends frees its home within milliseconds.
pub const RELINK_FIRST: Duration = Duration::from_millis(1);
/// Links that may be lost so soon, one after the other, before a bridge gives up. Origin: guess; some 8 s in all.
pub const RELINKS: u32 = 12;
/// A link that lasted so long begins the count anew. Origin: guess; the introduction and all resumes take less.
pub const RELINK_SETTLED: Duration = Duration::from_secs(2);
/// Bytes that a bridge gathers of what is there at once, before it prints them. Origin: what a pipe of Linux holds.
pub const BRIDGE_BATCH: usize = 64 << 10;
/// At a stop, what of that time is left to the exit of the process itself. Origin: guess; milliseconds, on an idle
/// machine.
pub(crate) const SHUTDOWN_RESERVE: Duration = Duration::from_millis(250);
/// Between two pictures of a spinner on a terminal. Origin: what eyes take for steady.
pub const SPINNER: Duration = Duration::from_millis(100);
/// How long `skein call` and `skein status` wait for the server's handshake. Origin: it is answered from memory; only a
/// dead server needs longer.
pub const CLIENT_HANDSHAKE: Duration = Duration::from_secs(10);

/// Bytes of an answer that turns leave to its envelope and to the numbers that it gets at its place in the line. Origin: ten times
/// what was seen.
pub(crate) const ANSWER_ENVELOPE: usize = 4 * 1024;

// --- rollout, index ---

/// Working directories that a filter by directory compares itself with. Origin: guess; a user has far fewer projects.
pub(crate) const DIRECTORIES: usize = 2_000;
/// How long a filter by directory waits to learn where links lead. Origin: guess; 2,000 take some 10 ms, and a dead disk never answers.
pub(crate) const DIRECTORIES_LOOK: Duration = Duration::from_millis(500);
/// Turns or items of a page of a history, where the client names no number. Origin: what the peer's terminal client asks
/// for.
pub(crate) const HISTORY_PAGE: usize = 100;
/// The most turns or items of such a page. Origin: guess; the bytes of an answer are bounded besides.
pub(crate) const HISTORY_PAGE_MOST: usize = 1_000;
/// Bytes of the turns or items of such a page; one entry is there also when it is larger. Origin: guess; a page that is
/// read on a slow line should come within seconds.
pub(crate) const HISTORY_PAGE_BYTES: usize = 1 << 20;
/// Bytes that a page of a history is read from at most, unless one turn has more. Origin: guess; eight times what the page
/// holds, as its turns may be told in short.
pub(crate) const HISTORY_READ_BYTES: usize = 8 << 20;
// --- connection ---

/// How long more may wait for a client than its outbox is for, and the client take nothing, before it is taken for one that does
/// not read. Origin: guess; a client that reads makes room within milliseconds, and the memory is bounded besides.
pub(crate) const OUTBOX_PATIENCE: Duration = Duration::from_secs(1);
/// Text is merged for a client for whom more than this part of its outbox waits: one half. Origin: guess; a client that
/// keeps up never gets there, and the other half is room for what cannot be merged.
pub(crate) const OUTBOX_MERGE_PART: usize = 2;
/// Bytes of messages of one connection that are taken before others have their turn. Origin: guess; a millisecond's work.
pub(crate) const READER_TURN: usize = 64 << 10;
/// Bytes that a message counts for beside its own. Origin: guess; 16 short requests take less than a millisecond.
pub(crate) const READER_LEAST: usize = 4 << 10;
/// Requests of one connection that may wait for the disk. Others are refused. Origin: guess.
pub(crate) const STORE_JOBS: usize = 64;
/// What a client that has said goodbye may take to read what it is owed. Origin: the TCP close within 2 s that
/// limits.md promises.
pub(crate) const CLOSE_WRITE: Duration = Duration::from_millis(1500);
/// Changes of the list of threads that are kept for clients that were away. Origin: guess; two for each turn, so some
/// minutes of hundreds of busy threads.
pub(crate) const CATALOG_CHANGES: usize = 4_096;
/// Bytes of those changes, at most. Origin: guess; what one outbox holds.
pub(crate) const CATALOG_BYTES: usize = 1024 * 1024;
/// How long a client may be silent before it is asked by ping. Origin: limits.md; well below the minute after which
/// middle boxes forget an idle connection.
pub(crate) const PING: Duration = Duration::from_secs(20);
/// A client that has been silent for so many times as long is given up, unless told otherwise. Origin: limits.md, 60 s;
/// two pings had time to be answered.
pub(crate) const DEAD_AFTER_PINGS: u32 = 3;
/// Between two heartbeats of the server. Origin: as often as pings, for the same reason.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(20);
/// All connections ping and beat in common rounds, of which an interval has so many. Origin: measured; an idle server with 20 clients
/// wakes up less than twice a second, and a client is asked at most a quarter of the interval early.
pub(crate) const ROUNDS_IN_PING: u32 = 4;
/// Heartbeats of a server that do not come, after which a bridge tells its client. Origin: as many as pings that a client does not
/// answer.
pub const SILENT_AFTER_HEARTBEATS: u32 = 3;
/// The time for a socket to become a websocket, or to be answered. Origin: limits.md.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bytes that a socket may send before it is a websocket. Origin: limits.md.
pub(crate) const HEAD_BYTES: usize = 16 << 10;
/// After a socket could not be accepted, before the next try. Origin: limits.md; descriptors become free by themselves.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A connection's read buffer, bytes. Origin: the default of 128 KiB is most of what a connection costs.
pub(crate) const READ_BUFFER: usize = 8 << 10;

// --- markers, trash, lines ---

/// Open marks of rollouts that may wait to be taken off. Above it the marker stays for the next start. Origin: guess.
pub(crate) const MARKERS_WAITING: usize = 10_000;
/// How long deleted threads are kept in the trash. Origin: guess; a person notices a slip within days, and who deletes
/// wants the text gone within weeks.
pub(crate) const TRASH_KEEP: Duration = Duration::from_hours(30 * 24);
/// How far ahead of what is known of the time the clock is believed when the trash is emptied, if what is in it is kept shorter.
/// Origin: guess; no time zone is further away.
pub(crate) const TRASH_CLOCK_SLACK: Duration = Duration::from_hours(24);
/// Between two looks into the trash, unless what is in it is kept shorter. Origin: guess; a look lists one folder.
pub(crate) const TRASH_LOOK: Duration = Duration::from_hours(1);
/// The least time between two looks into the trash. Origin: guess; also where nothing is to be kept, no disk need spin.
pub(crate) const TRASH_LOOK_LEAST: Duration = Duration::from_secs(1);
/// How long closed rollouts are gathered before the index is flushed for all of them. Origin: guess.
pub(crate) const MARKERS_PAUSE: Duration = Duration::from_millis(200);
/// How often clients hear how far the repair is, at most, besides its beginning and end. Origin: guess; a person sees it move.
pub(crate) const REPAIR_TELL: Duration = Duration::from_secs(1);

// --- search ---

/// Searches that are under way at once; others wait. Origin: as many as have a thread to look with.
pub(crate) const SEARCHES: usize = skein_base::policy::SEARCH_THREADS;
/// How long a page of a search takes before it is answered with what was found. One thread is looked at in any case,
/// however large it is. Origin: guess; a person who types sees the first hits within that time.
pub(crate) const SEARCH_PAGE_TIME: Duration = Duration::from_millis(500);
/// Characters of a cursor that an error repeats. Origin: guess; above the length of any cursor that Skein makes.
pub(crate) const SHOWN_CURSOR: usize = 300;
/// Bytes of a text that is searched for, at most. Origin: guess; far above what a person types.
pub(crate) const SEARCH_TERM: usize = 4096;
/// Threads that are looked at in the first step of a page of a search, and at most in a later one; each step is twice the
/// one before. Origin: guess; few for a text that is everywhere, many for one that is nowhere.
pub(crate) const SEARCH_STEP: usize = 32;
/// See [`SEARCH_STEP`].
pub(crate) const SEARCH_STEP_MOST: usize = 1024;
/// Places of a list that are passed over in one go for a search. Origin: guess; some milliseconds.
pub(crate) const SEARCH_PLACES: usize = 4096;
/// Turns that are read at once where a text may be in them, and bytes of the rollout. Origin: guess.
pub(crate) const SEARCH_TURNS: usize = 16;
/// See [`SEARCH_TURNS`].
pub(crate) const SEARCH_TURN_BYTES: usize = 1 << 20;
/// Hits in a thread of a page when the client does not say. Origin: guess; more than a screen shows.
pub(crate) const OCCURRENCES_DEFAULT: usize = 100;
/// Hits of such a page at most. Origin: guess; each is some hundred bytes.
pub(crate) const OCCURRENCES_MOST: usize = 1000;
/// Threads of a list that the text index may name, and that may be behind, before a search walks the list instead: what is
/// found so often is found on the way. Origin: guess; their rows are read and sorted in well under a second.
pub(crate) const TEXTS_CANDIDATES: usize = 10_000;
/// Groups of three characters of a term that the text index is asked for, at most. Origin: guess; what has so many in common
/// is nearly always what is looked for.
pub(crate) const TEXTS_TRIGRAMS: usize = 64;
/// Bytes of folded text that are one piece of a thread in the text index; a longer message is one all the same. Origin: guess;
/// a piece is named when it has all groups of the term, wherever they stand, so small ones name fewer threads.
pub(crate) const TEXTS_PIECE: usize = 4096;
/// Rows that the text index compares itself with in one go. Origin: guess; some milliseconds.
pub(crate) const TEXTS_ROWS: usize = 1024;
/// Threads that the text index takes in in one step, at most, after which it rests. Origin: guess; some hundred milliseconds.
pub(crate) const TEXTS_STEP: usize = 256;
/// Bytes of folded text that the text index takes in in one step, about; a thread that has more is taken in in several. Origin:
/// guess; little memory, and writing them, which a stop of the server waits for, takes some hundred milliseconds.
pub(crate) const TEXTS_STEP_BYTES: usize = 4 << 20;
/// The text index rests after a step for this part of the time that it took: one half. Origin: guess; clients come first.
pub(crate) const TEXTS_REST_PART: u32 = 2;
/// How long changed threads are gathered before the text index takes them in. Origin: guess, as for open markers.
pub(crate) const TEXTS_PAUSE: Duration = Duration::from_millis(200);
/// Between two looks of the text index whether the rows that it follows are complete. Origin: guess.
pub(crate) const TEXTS_LOOK: Duration = Duration::from_millis(500);
/// How long who reads the text index waits for who writes it, and the other way round. Origin: guess; neither holds the other
/// up in SQLite's mode WAL, but for moments.
pub(crate) const TEXTS_BUSY: Duration = Duration::from_secs(5);
/// The cache of one connection to the text index, KiB. Origin: guess; as the index of threads.
pub(crate) const TEXTS_CACHE_KIB: i64 = 8 * 1024;
/// Characters of a text that are shown before a hit. Origin: guess; with those behind it, two lines.
pub(crate) const SNIPPET_BEFORE: usize = 60;
/// Characters of a text that are shown behind the beginning of a hit; of a longer hit all of it. Origin: as above.
pub(crate) const SNIPPET_BEHIND: usize = 140;

// --- owner ---

/// What may wait to be told until the records before it are on disk; above it the turn waits. Origin: guess; deltas of
/// some seconds of a fast model.
pub(crate) const PUBLICATIONS_WAITING: usize = 4_096;
/// How long a write or a sync may take before the log warns of the disk. Origin: guess; a person notices.
pub(crate) const WRITE_WARNING: Duration = Duration::from_secs(5);
/// How long a write or a sync may take before its thread is told to be unsaved. An unload and a stop do not wait for it.
/// Origin: guess; a loaded disk needs some seconds for a sync, and a client waits for its answer meanwhile.
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// The longest line of a foreign rollout that is read, bytes. Origin: two lines can make one item (a call and what it brought),
/// and its record has to fit into [`ROLLOUT_LINE`](skein_store::policy::ROLLOUT_LINE) with room for what it is written with.
pub(crate) const IMPORT_LINE: usize = 24 * 1024 * 1024;
/// Kinds of foreign lines that are counted by name, and letters of such a name. Origin: guess; the peer has about 100.
pub(crate) const IMPORT_KINDS: usize = 200;
/// See [`IMPORT_KINDS`].
pub(crate) const IMPORT_KIND: usize = 80;
/// Problems of one file that are told one by one; the others are counted. Origin: guess; one screen.
pub(crate) const IMPORT_PROBLEMS: usize = 20;
/// Folders below each other in which rollouts are looked for. Origin: the peer's has four; a guess at a copy's.
pub(crate) const IMPORT_DEPTH: usize = 12;
/// Records of a page of an export. Origin: as [`FOLD_PAGE`](skein_store::policy::FOLD_PAGE).
pub(crate) const EXPORT_PAGE: usize = 1_000;

// --- texts of clients that everybody is told ---

/// Bytes of a name, a folder, a model or another short text of a thread: lists show it, and rollouts repeat it. Origin: the longest path
/// of Linux.
pub(crate) const WORD_BYTES: usize = 4_096;

/// Bytes of what a thread is to reach: each change of it is a record, and everybody is told all of it. Origin: guess; some pages.
pub(crate) const GOAL_BYTES: usize = 16 << 10;

// --- feedback ---

/// Bytes of one user's report. Origin: guess; more than anybody writes.
pub(crate) const FEEDBACK_BYTES: usize = 256 << 10;
/// Reports that a home keeps. Origin: guess; with the size of each, no disk is filled.
pub(crate) const FEEDBACK_REPORTS: usize = 1_000;

// --- doctor ---

/// How long the doctor waits for a helper that only says its version. Origin: guess; it takes milliseconds.
pub const DOCTOR_PATIENCE: Duration = Duration::from_secs(10);
/// Descriptors below which the doctor warns. Origin: what most systems give a program, enough for some 100 helpers beside
/// some 100 connections.
pub const DOCTOR_DESCRIPTORS: u64 = 1024;
