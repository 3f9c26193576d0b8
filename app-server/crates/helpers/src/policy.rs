//! Every number of this crate, with its unit, its reason and where it comes from.

use std::time::Duration;

/// Each wait between the stages of ending a helper: close of stdin, SIGTERM, SIGKILL. Origin: of eleven real
/// servers SIGTERM ended all within 0.5 s.
pub const HELPER_STOP_GRACE: Duration = Duration::from_millis(500);
/// Bytes of a helper's stderr that are kept. Origin: a promise; memory is only taken for what was written.
pub(crate) const HELPER_STDERR_BYTES: usize = 256 << 10;
/// Bytes of stderr read at once. Origin: a page; most helpers write little.
pub(crate) const HELPER_STDERR_CHUNK: usize = 4 << 10;
/// Lines of stderr that are shown with an error. Origin: guess; a stack trace's end.
pub(crate) const HELPER_STDERR_TAIL_LINES: usize = 20;
/// Bytes of stderr that are shown with an error. Origin: guess; an error reply has at most 4 KiB.
pub const HELPER_STDERR_TAIL_BYTES: usize = 2 << 10;
/// Bytes that wait for a helper to read, unless one message has more, which then waits alone; above it calls wait. Origin:
/// guess; what a pipe holds sixteen times over, which a helper that reads takes in milliseconds.
pub(crate) const HELPER_INPUT_BYTES: usize = 1 << 20;
/// Messages that wait for a helper to read, of each kind. Each has its share of the bytes, so the bytes bound both. Origin: guess;
/// far above the calls that are made at once.
pub(crate) const HELPER_INPUT_QUEUE: usize = 8192;
/// Bytes that wait for a helper to read and that nobody waits for (refusals, answers to pings, calls that were given up); above it
/// they are left out. Origin: a helper that asks thousands of things at once, and is held up by its machine meanwhile, misses no
/// refusal.
pub(crate) const HELPER_NOTICE_BYTES: usize = 1 << 20;
/// How long a helper that asks and does not read is waited for, until it is not answered any more. Origin: a busy machine holds a
/// process up for more than a second, and a helper that misses a refusal waits for ever.
pub(crate) const HELPER_NOTICE_PATIENCE: Duration = Duration::from_secs(5);
/// Requests of a helper that may wait for our answer; others are refused. Origin: guess; all but questions to users are
/// answered at once.
pub(crate) const HELPER_REQUESTS: usize = 32;
/// Questions of a helper to users that may be open, of one of 2026-07-28 for each call; others are refused. Origin: guess; more than a person can look at.
pub(crate) const HELPER_QUESTIONS: usize = 8;
/// How long a cancelled call that has no answer makes it doubtful what a helper asks about. Origin: guess; MCP lets a helper
/// leave such a call without an answer, and few work on for longer.
pub(crate) const HELPER_CANCELLED_KEEP: Duration = Duration::from_mins(10);
/// Cancelled calls without an answer that are told apart; with more of them every question is in doubt. Origin: guess; many
/// times what one turn has under way.
pub(crate) const HELPER_CANCELLED_CALLS: usize = 64;
/// How often a call is made again because its helper (MCP 2026-07-28) wants to know something first. Origin: what rmcp does; a
/// form that leads to ten more is no form.
pub const HELPER_ROUNDS: usize = 10;
/// Before a call is made again of which the helper wants to know nothing but that it is made again; twice as long each time.
/// Origin: guess; one that is busy gets some 20 s in all.
pub(crate) const HELPER_ROUND_PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest of these pauses. Origin: guess.
pub(crate) const HELPER_ROUND_PAUSE_MOST: Duration = Duration::from_secs(5);
/// How long a call waits for the end of a page that the user has agreed to open. Origin: guess; a sign-in with a second factor
/// takes a few minutes, and the user can interrupt.
pub(crate) const HELPER_SIGN_IN: Duration = Duration::from_mins(10);
/// Bytes of a request of a helper. Origin: guess; a form that a person can fill in has less.
pub(crate) const HELPER_LONGEST_REQUEST: usize = 256 << 10;
/// Bytes of a progress message that are passed on. Origin: guess; clients show a line.
pub(crate) const HELPER_PROGRESS_BYTES: usize = 4 << 10;
/// Messages of a helper that are read before others get a turn. Origin: guess; well under a millisecond.
pub(crate) const HELPER_BREATH: usize = 64;
/// Messages of a helper that nobody waits for, of which so many are read in [`HELPER_STRAYS_TIME`]; above it the helper
/// waits. Origin: guess; a tenth of a processor where one takes a microsecond.
pub(crate) const HELPER_STRAYS: usize = 2_000;
/// See [`HELPER_STRAYS`].
pub(crate) const HELPER_STRAYS_TIME: Duration = Duration::from_millis(20);
/// Between two passes of a guard's killing, unless a child ends before. Origin: guess; a pass over `/proc` costs
/// about 10 us for each process of the machine.
pub(crate) const GUARD_KILL_PAUSE: Duration = Duration::from_millis(2);
/// Extra time of a guard beyond its graces; then the server ends the guard and its helper. Origin: a full stop is
/// promised within 1.5 s, of which two graces are 1 s.
pub(crate) const GUARD_OVERDUE: Duration = Duration::from_millis(350);
/// For what a guard said last, after its end. Origin: a bound on what normally takes no time at all.
pub(crate) const GUARD_LAST_WORDS: Duration = Duration::from_millis(100);
/// Between two passes of killing orphans. Origin: guess, as for the guard.
pub(crate) const ORPHANS_PAUSE: Duration = Duration::from_millis(5);
/// New pids that a round of a kill loop asks for; after more of them the loop begins anew. Origin: guess; a round takes
/// microseconds, in which some may be given out.
pub(crate) const KILL_LOOP_ROUND: usize = 10_000;
/// New pids up to which a round asks for each one; of more it takes those of a list of all processes, where it may leave out the
/// others. Origin: guess; a list costs about as much as asking for so many.
pub(crate) const KILL_LOOP_ASKED: usize = 64;
/// Newest pids that a kill loop looks at before anything else. Origin: guess; the live link of a chain of forks is among the
/// newest few.
pub(crate) const KILL_LOOP_RECENT: i32 = 64;
/// For rounds that do not end, because a process that the kill loop must not end forks without pause. Origin: guess; a round takes
/// microseconds, and other clean-ups wait meanwhile.
pub(crate) const KILL_LOOP_LIMIT: Duration = Duration::from_secs(1);
/// From the last orphan that a clean-up met for the first time until the orphans that are left are given up and reported. Origin:
/// guess; only the kernel can hold them.
pub(crate) const ORPHANS_LIMIT: Duration = Duration::from_secs(5);
/// Until a clean-up of orphans gives up that still meets new ones. Origin: guess; on a starved machine a chain of forks was
/// caught after 7 seconds.
pub(crate) const ORPHANS_MOST: Duration = Duration::from_mins(1);
/// Passes that meet no new orphan before a clean-up gives up. Origin: the first two show that none is left where none is; one more
/// for a killed process that still exits. Each may have waited for its turn for long.
pub(crate) const ORPHANS_PASSES: u32 = 3;
/// Before the first restart of a helper; doubles up to the next constant. Origin: a promise.
pub(crate) const HELPER_BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Between restarts of a helper, at most. Origin: a promise.
pub(crate) const HELPER_BACKOFF_MOST: Duration = Duration::from_secs(30);
/// A helper that was ready for so long starts again as if it had never failed. Origin: guess; five that live shorter open the
/// breaker.
pub(crate) const HELPER_HEALTHY: Duration = Duration::from_secs(10);
/// So many failures within the next constant, and a helper is given up. Origin: a promise.
pub(crate) const HELPER_BREAKER_FAILURES: usize = 5;
/// See above. Origin: a promise.
pub(crate) const HELPER_BREAKER_WINDOW: Duration = Duration::from_mins(1);
/// Between the end of a child that nobody knows and its being reaped. Origin: guess; a zombie costs nothing but its pid, and many
/// ends are one look.
pub(crate) const REAPER_PAUSE: Duration = Duration::from_millis(100);
/// The longest silence of a helper with outstanding calls. Origin: design; a report, not a sentence.
pub const HELPER_LIVENESS: Duration = Duration::from_secs(30);
/// Samples of the processes within that time. Origin: guess; the first is only the base of the comparison.
pub(crate) const HELPER_LOOKS: u32 = 10;
/// Between two looks, at least and at most. Origin: guess; a look costs about 10 us for each process of the machine, and
/// for each thread of the helper.
pub const HELPER_LOOK_LEAST: Duration = Duration::from_millis(20);
/// See above.
pub(crate) const HELPER_LOOK_MOST: Duration = Duration::from_secs(2);
/// Helper events that may wait for the owner. Origin: guess; a helper has a handful in its life.
pub const HELPER_EVENTS: usize = 64;
/// How long a helper may take to start. Origin: guess; package runners download on their first start.
pub(crate) const HELPER_STARTUP_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for which a helper is kept that no thread uses any more, unless its `linger` says otherwise. Origin: nothing is to
/// be left of a thread that was unloaded; who has an expensive helper says so.
pub(crate) const HELPER_LINGER: Duration = Duration::ZERO;
/// Bytes of a line of a helper's output; a longer line fails the helper. Origin: a promise.
pub(crate) const HELPER_LONGEST_LINE: usize = 16 << 20;
/// Bytes of garbage that are shown to the user. Origin: guess; enough to recognise a banner.
pub(crate) const HELPER_GARBAGE_SHOWN: usize = 200;
/// Tools, and resources, that one helper may list. Origin: guess; the largest real servers have hundreds.
pub(crate) const HELPER_MOST_TOOLS: usize = 10_000;
/// Pages of one list of a helper. Origin: guess; one in which each page has a single tool is long already.
pub(crate) const HELPER_MOST_PAGES: usize = 1_000;
/// Bytes of one list of a helper, all pages together. Origin: guess; twice the longest line, which one page may have.
pub(crate) const HELPER_LIST_BYTES: usize = 32 << 20;
/// From one listing that a helper has asked for, by telling of a change, to the next. Origin: guess; there are helpers that
/// tell of a change whenever they are listed, and a person sees no difference.
pub(crate) const HELPER_LIST_PAUSE: Duration = Duration::from_secs(1);
/// How long an error about a helper that ended, and its restart, wait for its exit code and its last output; a stop does not.
/// Origin: guess; both come at once, but on a loaded machine 100 ms were too short.
pub(crate) const HELPER_LAST_WORDS: Duration = Duration::from_millis(500);
/// How long a helper may leave `initialize` without any answer before it is asked `server/discover` too. With the answer
/// to that the revision is known within a second. Origin: guess, below the second that the design asks for; who is slower is
/// not misjudged, only asked once more.
pub(crate) const HELPER_ERA_PATIENCE: Duration = Duration::from_millis(700);
/// How long a connection to a helper over HTTP, with TLS, may take. Origin: guess; a host that drops packets is no host.
pub(crate) const HELPER_HTTP_CONNECT: Duration = Duration::from_secs(10);
/// Calls of one helper over HTTP that wait for the head of an answer; more wait for their turn. Origin: what one client may
/// have under way.
pub(crate) const HELPER_HTTP_REQUESTS: usize = 64;
/// Redirects on the same server that are followed for one request. Origin: guess; `/mcp` to `/mcp/` is one.
pub(crate) const HELPER_HTTP_REDIRECTS: usize = 3;
/// Bytes of an answer that is an error. Origin: guess; an error of JSON-RPC is in it, 200 bytes of it are shown.
pub(crate) const HELPER_HTTP_ERROR_BYTES: usize = 64 << 10;
/// Events of a helper over HTTP in a row that are no messages, after which their stream is ended. Origin: guess; a word that keeps
/// a stream alive comes once or twice between two messages.
pub(crate) const HELPER_HTTP_GARBAGE: u32 = 4;
/// Bytes of a file with a bearer token. Origin: what servers take as headers.
pub(crate) const HELPER_TOKEN_BYTES: u64 = 16 << 10;
/// Times that a stream of events which broke is asked for again, before the call in it fails. Origin: guess; with the two
/// numbers below some 13 s, in which a server is started again.
pub(crate) const HELPER_HTTP_RETRIES: usize = 6;
/// Before the first of these; doubles up to the next constant, and is the least that a server can ask for. Origin: guess.
pub(crate) const HELPER_HTTP_RETRY_FIRST: Duration = Duration::from_millis(250);
/// Between two of these, at most. Origin: guess.
pub(crate) const HELPER_HTTP_RETRY_MOST: Duration = Duration::from_secs(5);
/// Between two requests for the stream on which a helper over HTTP tells what changes, at most. Origin: guess; a helper that was
/// away for long costs one request a minute, and is heard again within one.
pub(crate) const HELPER_HTTP_LISTEN_MOST: Duration = Duration::from_secs(60);
/// How long the end of a session waits for a helper over HTTP to hear of it. Origin: below the 1.5 s in which an unload
/// of processes is over.
pub(crate) const HELPER_HTTP_GOODBYE: Duration = Duration::from_secs(1);
/// Rounds over the new processes of the machine in a look for the socket of a helper; after them the request gets 503. Origin: measured;
/// a round takes microseconds, and beside three loops of forks on two processors the longest of 700 looks had 24.
pub(crate) const SOCKET_ROUNDS: usize = 256;
