//! The numbers, each with its unit, its reason and its origin.

use std::time::Duration;

mod models;

pub(crate) use models::*;

/// Threads for disk requests: reading, folding and printing. Origin: a connection uses one at a time; a second one
/// serves the others.
pub(crate) const DEDICATED_THREADS: usize = 2;

/// Bytes of log lines waiting for stderr; as many again are being written. Lines above that are dropped and counted.
/// Origin: guess; some 8,000 lines, far beyond the lag of a terminal or a pipe.
pub(crate) const LOG_QUEUE_BYTES: usize = 1 << 20;
/// How long the end of a process waits for its log lines. Origin: guess; a reader this slow does not read, and an
/// exit must stay quick.
pub(crate) const LOG_FLUSH: Duration = Duration::from_millis(500);

// --- thread ---

/// Reports of a turn waiting for its owner. Origin: guess; the turn waits when it is full.
pub(crate) const TURN_REPORTS: usize = 64;
/// Questions of helpers waiting for their thread's owner. Origin: guess; a session without room waits.
pub(crate) const HELPER_QUESTIONS_WAITING: usize = 16;
/// Inputs that may be added to one running turn before it takes them. Origin: guess; more is refused as busy.
pub(crate) const TURN_STEERS: usize = 64;
/// Batches waiting for a thread's writer. At half of it the turn waits and input is refused; the other half is for
/// the owner's own records, such as the last reports of a turn.
pub(crate) const WRITER_BATCHES: usize = 256;
/// The wait before the first retry of a failed write; doubles up to the next constant. Origin: guess.
pub(crate) const WRITE_RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest wait between retries of a failed write. Origin: guess; a person who makes room on the disk waits this
/// long.
pub(crate) const WRITE_RETRY_MOST: Duration = Duration::from_secs(5);
/// How long an unload waits for the disk before it drops the unsaved records. Origin: design.
pub(crate) const UNLOAD_LIMIT: Duration = Duration::from_secs(5);
/// The interval of checks of the server's memory under a limit. Origin: guess; the kernel's file is read in
/// microseconds.
pub(crate) const MEMORY_LOOK: Duration = Duration::from_secs(1);
/// The least descriptors for a server. Origin: counted: 15 are open when it accepts; the rest is a reserve for files,
/// a starting helper and some connections.
pub(crate) const DESCRIPTORS_NEEDED: u64 = 64;
/// Threads that a server needs beside one for each processor. Origin: measured; with 12 the index opened late and
/// ends were cut off.
pub(crate) const THREADS_NEEDED: usize = 16 + DEDICATED_THREADS;
/// Threads evicted in one check of the memory. Origin: guess; a few, so that the next check sees the effect.
pub(crate) const EVICT_AT_ONCE: usize = 4;
/// Bytes by which an effective eviction lowers the memory at least. Origin: guess; less is noise.
pub(crate) const EVICT_GAIN: u64 = 1 << 20;
/// The delay from the end of a connection or a thread to the return of free memory. Origin: guess; the return takes
/// milliseconds, and other ends often follow.
pub(crate) const MEMORY_KEPT: Duration = Duration::from_secs(5);
/// Bytes of a buffer that returns to the system as soon as it is freed. Origin: glibc's initial value, which it
/// raises up to 32 MiB; measured by `scripts/bench-memory`.
#[cfg(target_os = "linux")]
pub(crate) const LARGE_BUFFER: i32 = 128 << 10;
/// Threads are evicted until memory is below this part of its limit, in percent. Origin: guess; far enough not to
/// repeat at once.
pub(crate) const MEMORY_RELIEF_PERCENT: u64 = 90;
/// The retry time for a client whose request met a full queue. Origin: guess; queues drain in milliseconds.
pub(crate) const BUSY_RETRY: Duration = Duration::from_millis(100);

/// Records read at once for a client that catches up. Origin: guess; fits into one outbox.
pub(crate) const CATCH_UP_PAGE: usize = 1_000;
/// How long a client that catches up may take none of its messages. Origin: guess; as long as one without a sign of
/// life.
pub(crate) const CATCH_UP_PATIENCE: Duration = Duration::from_secs(60);
/// Threads with which one connection may catch up at once. Origin: guess; far above a person's reconnect.
pub(crate) const CATCH_UPS: usize = 64;
/// Durable events of a loaded thread kept in memory for catch-ups. Origin: guess; the events during one read of the
/// disk.
pub(crate) const RECENT_EVENTS: usize = 64;
/// Their most bytes. Origin: guess; a large tool result is read from the disk again.
pub(crate) const RECENT_BYTES: usize = 64 * 1024;
/// How long streamed text may be unsaved. Origin: design; the loss in a kill of the server.
pub(crate) const CHECKPOINT: Duration = Duration::from_secs(1);

// --- configuration ---

/// How long a leaving client waits for the end of its threads. Origin: programs with a server on standard streams
/// kill it 2 s after the request to end; it ends within 1.5 s.
pub const LEAVE_LIMIT: Duration = Duration::from_millis(1200);
/// The part of that for resuming the client's threads on another server, so that requests get answers. Origin: guess;
/// a resume takes milliseconds, and most of the time is for the threads' ends.
pub const LEAVE_PATIENCE: Duration = Duration::from_millis(300);
/// The part of that for the way there and back. Origin: guess; the rest of the 1.5 s is for the exit.
pub const LEAVE_MARGIN: Duration = Duration::from_millis(100);
/// How long `skein app-server` tries to reach the server of a home, or to become it. Origin: guess; above any stop.
pub const OWNER_WAIT: Duration = Duration::from_secs(10);
/// The wait of a bridge after a lost link; doubles for each link lost sooner than [`RELINK_SETTLED`]. Origin: guess;
/// a server that ends frees its home within milliseconds.
pub const RELINK_FIRST: Duration = Duration::from_millis(1);
/// Consecutive short links before a bridge gives up. Origin: guess; some 8 s in all.
pub const RELINKS: u32 = 12;
/// A link that lasts this long resets the count. Origin: guess; the introduction and all resumes take less.
pub const RELINK_SETTLED: Duration = Duration::from_secs(2);
/// Bytes of available messages that a bridge prints together. Origin: the capacity of a Linux pipe.
pub const BRIDGE_BATCH: usize = 64 << 10;
/// How long `skein open` waits for the server that it has started. Origin: guess; a start takes some 100 ms, on a busy disk
/// seconds.
pub const SERVER_START: Duration = Duration::from_secs(60);
/// How long a browser may take to refuse an address; one that still runs shows it. Origin: guess; a missing display is noticed
/// at once.
pub const BROWSER_START: Duration = Duration::from_secs(3);
/// The largest log of a background server, in bytes. Origin: some 70,000 lines; small beside any home.
pub const SERVER_LOG_BYTES: u64 = 10 * 1000 * 1000;
/// How long a server may take to read the wish that it drains, and to come back when it has lost the database meanwhile. Origin: some beats;
/// one of an earlier version never reads it.
pub const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two looks at how far it is. Origin: guess; a person waits for a minute.
pub const DRAIN_LOOK: Duration = Duration::from_millis(250);
/// The part of a stop for the exit of the process itself. Origin: guess; milliseconds, on an idle machine.
pub(crate) const SHUTDOWN_RESERVE: Duration = Duration::from_millis(250);
/// How long a command works before its terminal shows progress. Origin: design; a shorter wait needs no explanation.
pub const PROGRESS_AFTER: Duration = Duration::from_secs(1);
/// The interval of a spinner's images. Origin: looks steady.
pub const SPINNER: Duration = Duration::from_millis(100);
/// How long `skein call` and `skein status` wait for the server's handshake. Origin: it is answered from memory; only
/// a dead server needs longer.
pub const CLIENT_HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes of an answer to `POST /auth/ticket` that `skein url` reads. Origin: eight times the largest body.
pub const TICKET_ANSWER_BYTES: usize = 4 << 10;

/// Bytes of an answer reserved for its envelope and its numbers. Origin: ten times the observed size.
pub(crate) const ANSWER_ENVELOPE: usize = 4 * 1024;

// --- rollout, index ---

/// Working directories with which a filter by directory is compared. Origin: guess; a user has far fewer projects.
pub(crate) const DIRECTORIES: usize = 2_000;
/// How long a filter by directory resolves links. Origin: guess; 2,000 take some 10 ms, and a dead disk never
/// answers.
pub(crate) const DIRECTORIES_LOOK: Duration = Duration::from_millis(500);
/// The default number of turns or items in a page of a history. Origin: the number that the peer's terminal client
/// requests.
pub(crate) const HISTORY_PAGE: usize = 100;
/// The most turns or items of such a page. Origin: guess; the bytes of an answer are bounded, too.
pub(crate) const HISTORY_PAGE_MOST: usize = 1_000;
/// Bytes of the turns or items of such a page; a single entry may be larger. Origin: guess; a page arrives within
/// seconds on a slow line.
pub(crate) const HISTORY_PAGE_BYTES: usize = 1 << 20;
/// Bytes read for a page of a history, unless one turn has more. Origin: guess; eight times the page, whose turns may
/// be shortened.
pub(crate) const HISTORY_READ_BYTES: usize = 8 << 20;
// --- connection ---

/// The time between two looks for what other servers of the database have changed. Origin: guess; less than a person notices, and a
/// look that finds nothing reads a page of an index.
pub(crate) const NEWS_PAUSE: Duration = Duration::from_millis(250);
/// How long more than its bound may wait in the outbox of a client that takes nothing, before the connection is
/// closed. Origin: a client that reads makes room within milliseconds, but on a machine with three times more to do than
/// processors it did not run for more than a second; the memory is bounded, too.
pub(crate) const OUTBOX_PATIENCE: Duration = Duration::from_secs(5);
/// Text is merged above this part of the outbox: one half. Origin: guess; a client that keeps up stays below, and the
/// other half is for messages that cannot be merged.
pub(crate) const OUTBOX_MERGE_PART: usize = 2;
/// Bytes of one connection's messages before others have their turn. Origin: guess; a millisecond's work.
pub(crate) const READER_TURN: usize = 64 << 10;
/// Bytes that each message counts in addition. Origin: guess; 16 short requests take less than a millisecond.
pub(crate) const READER_LEAST: usize = 4 << 10;
/// Disk requests of one connection that may wait; more are refused. Origin: guess.
pub(crate) const STORE_JOBS: usize = 64;
/// How long a closing client may read its remaining messages. Origin: the TCP close within 2 s that is
/// promised.
pub(crate) const CLOSE_WRITE: Duration = Duration::from_millis(1500);
/// How long a refused client may go on sending behind the end of the server's own side, so that it gets the close frame. Origin:
/// guess; enough for the largest message on a fast line.
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(1);
/// The bytes that are read at once meanwhile. Origin: guess; few calls of the system for a large message.
pub(crate) const LINGER_BUFFER: usize = 16 << 10;
/// Catalog changes kept for clients that were away. Origin: guess; two for each turn, so some minutes of hundreds of
/// busy threads.
pub(crate) const CATALOG_CHANGES: usize = 4_096;
/// Their most bytes. Origin: guess; the capacity of one outbox.
pub(crate) const CATALOG_BYTES: usize = 1024 * 1024;
/// Rounds of checks in a ping interval. Origin: measured; an idle server with 20 clients wakes less than twice a second,
/// and a ping is at most a quarter of the interval early.
pub(crate) const ROUNDS_IN_PING: u32 = 4;
/// Connections in a row whose rounds are at the same times. Origin: guess; the pings of a few take about a millisecond.
pub(crate) const CONNECTIONS_IN_ROUND: u64 = 32;
/// The different times of rounds. Origin: guess; of 10,000 connections, at most 64 are checked at one moment.
pub(crate) const ROUND_TIMES: u64 = 256;
/// Missing heartbeats after which a bridge notifies its client. Origin: as many as unanswered pings.
pub const SILENT_AFTER_HEARTBEATS: u32 = 3;
/// Sockets of one address of another machine before their handshake. Origin: guess; a quarter of all places, and far more than
/// a proxy needs at one moment.
pub(crate) const SOCKETS_OF_ADDRESS: usize = 64;
/// Connections that the system keeps for a port until they are accepted. Origin: the default of tokio.
pub(crate) const BACKLOG: i32 = 1024;
/// The wait that a client is told when the server has no place for its connection. Origin: guess; a person closes a tab.
pub(crate) const FULL_WAIT: Duration = Duration::from_secs(5);
/// Addresses whose new connections are counted at once. Origin: guess; far above the machines of a team.
pub(crate) const CONNECT_ADDRESSES: usize = 10_000;
/// How long a client has to send a request, and to take its answer; does not run while the server works. Origin: a promise.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bytes that a socket may send before its handshake is done. Origin: a promise.
pub(crate) const HEAD_BYTES: usize = 16 << 10;
/// Bytes of the body of a refused request, at most. Origin: a promise.
pub(crate) const REFUSAL_BYTES: usize = 512;
/// Bytes of the body of a request to `/auth/`. Origin: a promise.
pub(crate) const AUTH_BODY_BYTES: usize = 4 << 10;
/// The wait before another try, which is told to a client while nobody can say whether it may come in: processes begin too fast to see
/// whether it is a helper, or its credential is unknown and the database away. Origin: the least that the header has.
pub(crate) const UNDECIDED_WAIT: Duration = Duration::from_secs(1);
/// Wrong credentials of one peer a minute that are answered with 401; further ones get 429. Origin: a promise.
pub(crate) const WRONG_CREDENTIALS: u32 = 10;
/// The time over which wrong credentials are counted. Origin: a promise.
pub(crate) const WRONG_CREDENTIALS_TIME: Duration = Duration::from_mins(1);
/// Peers whose wrong credentials are counted. Origin: guess; more peers in a minute share one limit.
pub(crate) const WRONG_CREDENTIALS_PEERS: usize = 1_024;
/// The time in which the log has one line for the same refusal of one peer. Origin: a promise.
pub(crate) const REFUSAL_LINES_TIME: Duration = Duration::from_mins(1);
/// Different refusals of one peer that get a line in that time. Origin: as many as the status shows.
pub(crate) const REFUSAL_LINES: usize = skein_config::policy::REFUSED_ORIGINS;
/// Refusals of all peers that get a line in that time. Origin: guess; nobody reads more.
pub(crate) const REFUSAL_LINES_OF_ALL: usize = 1_000;
/// The pause after a failed accept. Origin: a promise; descriptors become free on their own.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A connection's read buffer, bytes. Origin: measured; an idle connection has as much beside it, and nearly every message of
/// a client fits.
pub(crate) const READ_BUFFER: usize = 2 << 10;

/// The time over which clients come back behind a stop. Origin: a promise; a thousand clients are 500 handshakes a second.
pub(crate) const STOPPING_SPREAD: Duration = Duration::from_secs(2);

/// The batches in which threads and clients leave a server that drains. Origin: guess; each is a small part of what another server serves.
pub(crate) const STOPPING_BATCHES: usize = 20;
/// The pause between two of them. Origin: all of them leave within [`STOPPING_SPREAD`].
pub(crate) const STOPPING_PAUSE: Duration = Duration::from_millis(100);

/// Writers that a message for all connections wakes at once. Origin: guess; a few hundred microseconds of writing, after which
/// answers have their turn.
pub(crate) const WAKES_AT_ONCE: usize = 64;
/// The pause behind such a group. Origin: measured; 10,000 clients have an announcement after half a second, and a page of threads
/// that is asked for meanwhile waits for one group at most.
pub(crate) const WAKES_PAUSE: Duration = Duration::from_millis(2);

// --- markers, trash, lines ---

/// Open markers waiting for their removal. Above it the marker stays for the next start. Origin: guess.
pub(crate) const OPEN_MARKERS_WAITING: usize = 10_000;
/// How far ahead of the known time the clock is trusted for a purge, if the trash is kept shorter. Origin: guess;
/// more than any time zone.
pub(crate) const TRASH_CLOCK_SLACK: Duration = Duration::from_hours(24);
/// The interval of purges, if the trash is not kept shorter. Origin: guess; one lists one folder.
pub(crate) const TRASH_LOOK: Duration = Duration::from_hours(1);
/// The least interval of purges. Origin: guess; the disk need not spin even if nothing is kept.
pub(crate) const TRASH_LOOK_LEAST: Duration = Duration::from_secs(1);
/// How long closed rollouts are gathered for one flush of the index. Origin: guess.
pub(crate) const OPEN_MARKERS_PAUSE: Duration = Duration::from_millis(200);
/// The least interval of progress notifications of the repair, besides its beginning and end. Origin: guess; a person
/// sees it move.
pub(crate) const REPAIR_NOTIFY: Duration = Duration::from_secs(1);
/// Threads of a database that are repaired side by side; those of a home come one after the other. Origin: design; half a batch of commits.
pub(crate) const REPAIRS_AT_ONCE: usize = 32;

// --- search ---

/// Concurrent searches; others wait. Origin: the threads of the search pool.
pub(crate) const SEARCHES: usize = skein_base::policy::SEARCH_THREADS;
/// Characters of a cursor that an error repeats. Origin: guess; above the length of any cursor that Skein makes.
pub(crate) const SHOWN_CURSOR: usize = 300;
/// Threads in the first step of a page of a search, and at most in a later one; each step doubles. Origin: guess; few
/// for a common text, many for a rare one.
pub(crate) const SEARCH_STEP: usize = 32;
/// See [`SEARCH_STEP`].
pub(crate) const SEARCH_STEP_MOST: usize = 1024;
/// Places of a list skipped in one go by a search. Origin: guess; some milliseconds.
pub(crate) const SEARCH_PLACES: usize = 4096;
/// Turns read at once that may hold a text. Origin: guess.
pub(crate) const SEARCH_TURNS: usize = 16;
/// The default number of hits in a page of one thread. Origin: guess; more than a screen shows.
pub(crate) const OCCURRENCES_DEFAULT: usize = 100;
/// The most hits of such a page. Origin: guess; each is some hundred bytes.
pub(crate) const OCCURRENCES_MOST: usize = 1000;
/// Characters of a text shown before a hit. Origin: guess; with those after it, two lines.
pub(crate) const SNIPPET_BEFORE: usize = 60;
/// Characters of a text shown from the start of a hit; a longer hit is whole. Origin: as above.
pub(crate) const SNIPPET_BEHIND: usize = 140;

// --- owner ---

/// Bytes of a thread's publications that wait for their records to be saved; above it the turn waits. Origin: guess; a
/// long answer of a model, or some results of tools.
pub(crate) const PUBLICATIONS_WAITING: usize = 4 << 20;
/// Bytes of the publications of all threads that wait for a storage that is away; above it their turns wait. Origin:
/// guess; 64 threads with the most that one may have.
pub(crate) const PUBLICATIONS_AWAY: usize = 256 << 20;
/// How long a write or a sync may take before the log warns of the disk. Origin: guess; a person notices.
pub(crate) const WRITE_WARNING: Duration = Duration::from_secs(5);
/// How long a write or a sync may take before its thread counts as unsaved. An unload and a stop do not wait for it.
/// Origin: guess; a loaded disk needs some seconds for a sync, and a client waits meanwhile.
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Records of a page of an export. Origin: as [`FOLD_PAGE`](skein_store::policy::FOLD_PAGE).
pub(crate) const EXPORT_PAGE: usize = 1_000;

// --- texts of clients that everybody is told ---

/// Bytes of a goal: each change is a record and a notification with all of it. Origin: guess; some pages.
pub(crate) const GOAL_BYTES: usize = 16 << 10;

// --- the queue of a thread ---

/// Answers to questions that a server remembers, so that a late answer learns who was first. Origin: guess; an answer has about a
/// hundred bytes.
pub(crate) const REMEMBERED_ANSWERS: usize = 1_000;
/// The most time between two looks for expired questions. Origin: guess; the clock may jump meanwhile.
pub(crate) const EXPIRY_LOOK: Duration = Duration::from_mins(10);
/// The interval of looks at a list of threads that is being made, for the use of models today. Origin: guess; a turn waits.
pub(crate) const DAY_LOOK: Duration = Duration::from_millis(200);
/// The part of a budget, in percent, at which the user is warned. Origin: guess; there is time to raise it.
pub(crate) const BUDGET_WARNING: i64 = 80;
/// Messages of a queue. Origin: guess; more than a person plans ahead, and little to list.
pub(crate) const QUEUE_MESSAGES: usize = 100;
/// Bytes of the inputs of a queue, as JSON. A loaded thread has them in memory. Origin: guess; some images.
pub(crate) const QUEUE_BYTES: usize = 4 << 20;

// --- feedback ---

/// Bytes of one user's report. Origin: guess; more than a person writes.
pub(crate) const FEEDBACK_BYTES: usize = 256 << 10;
/// Reports in a home. Origin: guess; with the size of each, no disk is filled.
pub(crate) const FEEDBACK_REPORTS: usize = 1_000;

// --- doctor ---

/// How long the doctor waits for a helper that only prints its version. Origin: guess; it takes milliseconds.
pub const DOCTOR_PATIENCE: Duration = Duration::from_secs(10);
/// Descriptors below which the doctor warns. Origin: the usual limit of a program, enough for some 100 helpers beside
/// some 100 connections.
pub const DOCTOR_DESCRIPTORS: u64 = 1024;

// --- links to other servers of a cluster ---

/// How long a link may take to open, its handshakes and the first message included. Origin: guess; the other server is near.
pub(crate) const LINK_OPEN: Duration = Duration::from_secs(2);
/// Silence after which the link of a client is asked by ping. Origin: guess; thousands of links cost little.
pub(crate) const LINK_PING: Duration = Duration::from_secs(10);
/// Silence after which the link of a client counts as broken at the end of the client. Origin: guess; a network that loses everything is
/// rare, and a server that ends is noticed at once.
pub(crate) const LINK_SILENCE: Duration = Duration::from_secs(30);
/// Silence after which the link of an observer is asked by ping. Origin: guess; lists show what others run, and so for the time of a
/// failover at most.
pub(crate) const OBSERVER_PING: Duration = Duration::from_secs(3);
/// Silence after which the link of an observer counts as broken. Origin: guess; three pings may be lost.
pub(crate) const OBSERVER_SILENCE: Duration = Duration::from_secs(10);
/// How long a server may take to say how long it has not reached the database. Origin: guess; the other server is near, and some questions
/// fit into the time between doubt and loss.
pub(crate) const SILENCE_ANSWER: Duration = Duration::from_millis(400);
/// The pause before it is asked again. Origin: as above.
pub(crate) const SILENCE_PAUSE: Duration = Duration::from_millis(250);
/// The pause before another server is dialed again. Origin: as the beat of a server.
pub(crate) const LINK_RETRY: Duration = Duration::from_secs(1);
/// How long a server that lives is not reached before the log says so. Origin: above the time in which the row of one that has ended dies.
pub(crate) const LINK_REPORT: Duration = Duration::from_secs(10);
/// Frames of a client that wait for its link. Above it the client's requests wait unsent. Origin: guess.
pub(crate) const LINK_FRAMES: usize = 64;
/// How long a server looks whether it has a folder. Origin: guess; a disk that answers at all does so in milliseconds.
pub(crate) const FOLDER_LOOK: Duration = Duration::from_secs(2);
/// How long another server may take to say so, or whether it has a thread or the answer to a question. Origin: [`FOLDER_LOOK`], and the way there and back.
pub(crate) const FOLDER_ANSWER: Duration = Duration::from_secs(3);
/// How long the folders of open threads are looked for, side by side. Origin: [`FOLDER_LOOK`] and [`FOLDER_ANSWER`].
pub(crate) const FOLDERS_LOOK: Duration = Duration::from_secs(6);
/// How long an open thread is left to the servers that have its folder. At the next look after that, one without the folder closes its turn.
/// Origin: design; by then another server has taken it.
pub(crate) const LEFT_TO_OTHERS: Duration = Duration::from_secs(10);
/// How long a request waits for a server that takes no link: it has ended, and the others do not know yet. Origin: a row lives for 5 s,
/// and is looked at each second.
pub(crate) const ROUTE_PATIENCE: Duration = Duration::from_secs(8);
/// How long of that a request waits that can be answered without that server: a read. Origin: as `LINK_OPEN`, of [`ROUTE_PATIENCE`].
pub(crate) const ROUTE_PATIENCE_OF_READS: Duration = LINK_OPEN;
/// How long a subscribed thread is looked for after its server has ended. Then its client is closed, and connects again. Origin: three
/// times the time in which another server takes it over.
pub(crate) const CONTINUATION_PATIENCE: Duration = Duration::from_secs(30);
/// The pause before the next look for the server of a thread. Origin: guess.
pub(crate) const ROUTE_RETRY: Duration = Duration::from_millis(250);
/// How long a server that lives is not reached until it is asked to hand over the threads that are wanted. Origin: design.
pub(crate) const HANDOVER_AFTER: Duration = Duration::from_secs(10);
/// The pause between two wishes for a thread. Origin: guess; a wish is read within a second.
pub(crate) const HANDOVER_WISH: Duration = Duration::from_secs(2);
/// How long a wish counts. Origin: guess; above the pause between two.
pub(crate) const HANDOVER_PATIENCE: Duration = Duration::from_secs(4);
/// A thread with clients here is handed over when they have not used it for this long. Origin: guess; people at two servers that do not reach
/// each other take it from one another three times a minute at most.
pub(crate) const HANDOVER_REST: Duration = Duration::from_secs(20);
/// How often a request is sent on because its thread has moved: the second time after [`ROUTE_RETRY`], and after twice as long each further
/// time. Origin: these pauses are [`ROUTE_PATIENCE`] in all.
pub(crate) const ROUTE_TRIES: u32 = 6;
