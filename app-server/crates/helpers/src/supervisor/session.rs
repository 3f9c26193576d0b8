//! One session with a helper: its process or the HTTP connection to it, the state of its output, and the MCP session.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use skein_base::masks::MASK;
use skein_base::system::proc::Process;
use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

use crate::error::{FailureKind, ProcessError};
use crate::mcp::{Line, Offers, Session, Trouble, Web, Wire};
use crate::policy;
use crate::process::host::ProcessHost;
use crate::process::liveness::{Sample, Watch};
use crate::process::report::ExitReport;
use crate::process::shutdown::Shutdown;
use crate::process::start::ProcessTree;
use crate::process::table::ProcessView;
use crate::spec::{HelperSpec, Transport};
use crate::supervisor::ControlHandle;
use crate::supervisor::life::LifeEvent;

/// Stands between a reason and the last lines of the helper's stderr.
const STDERR_TAIL: &str = "; its stderr ends with:\n";

/// A background task of a session. Unlike a plain box it is `Sync`.
type Task<T> = ReusableBoxFuture<'static, T>;

/// A session with a helper, from its start until nothing of it is left. Dropping it orders the end without waiting.
#[derive(Debug)]
pub(crate) struct HelperSession {
    name: String,
    remote: Remote,
    pub(crate) line: Line,
    shutdown: Shutdown,
    open: Option<OpenSession>,
}

/// The other end of a session.
#[derive(Debug)]
enum Remote {
    /// A child process, which the session ends.
    Process(ProcessTree),
    /// Another server, with which only the session ends.
    Http(Trouble),
}

/// The part of a session that exists once the helper takes calls.
struct OpenSession {
    session: Arc<Session>,
    outstanding: watch::Receiver<usize>,
    /// The watch for signs of life.
    watch: Option<Seen>,
    /// A ping without an answer so far.
    ping: Option<Task<bool>>,
    /// A listing that is under way.
    listing: Option<Task<Result<Offers, String>>>,
}

#[derive(Debug)]
struct Seen {
    watch: Watch,
    last: Sample,
    activity: u64,
}

#[derive(Debug)]
pub(crate) enum SessionEvent {
    By(LifeEvent),
    /// No more output comes.
    Broken,
    Listed(Result<Offers, String>),
    /// The changes since the last look.
    Looked {
        alive: bool,
        connected: bool,
    },
}

impl HelperSession {
    /// Starts the helper's process, or prepares requests to its server. Waits for nothing.
    ///
    /// # Errors
    /// The reason, for the user, and whether another try may help.
    pub(crate) fn start(
        host: &Arc<ProcessHost>,
        spec: &HelperSpec,
        cwd: &Path,
        shutdown: Shutdown,
    ) -> Result<(Self, Wire), (String, FailureKind)> {
        let lacking = spec.lacking();
        if !lacking.is_empty() {
            return Err((no_secrets(&lacking), FailureKind::Permanent));
        }
        let line = Line::new(cwd.to_owned()).hiding(spec.hidden()).in_roots(spec.roots());
        let (remote, wire) = match &spec.transport {
            Transport::Stdio(_) => {
                let started = ProcessTree::start_with(host, spec, cwd, shutdown.clone());
                let (process, pipes) = started.map_err(|error| {
                    let lasting = matches!(error, ProcessError::Limit { .. });
                    (error.to_string(), if lasting { FailureKind::Permanent } else { FailureKind::Transient })
                })?;
                (Remote::Process(process), Wire::Pipes(pipes))
            }
            Transport::Http(http) => {
                // An error here comes from the settings or from the server's environment.
                let web = Web::new(http, host.options.tasks.clone(), shutdown.clone(), line.clone());
                let web = web.map_err(|why| (why, FailureKind::Permanent))?;
                (Remote::Http(web.trouble()), Wire::Web(web, http.url.clone()))
            }
        };
        Ok((Self { name: spec.name.clone(), remote, line, shutdown, open: None }, wire))
    }

    /// The helper takes calls from now on. Lists its resources in the background: the start does not wait for them.
    pub(crate) fn opened(&mut self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        let listing = session.has_resources().then(|| list(&session));
        let outstanding = session.outstanding();
        let open =
            OpenSession { session: Arc::clone(&session), outstanding, watch: None, ping: None, listing };
        self.open = Some(open);
        session
    }

    pub(crate) fn mcp(&self) -> Option<&Arc<Session>> {
        self.open.as_ref().map(|open| &open.session)
    }

    /// Sends a ping, if the revision of MCP has one.
    pub(crate) fn ping(&mut self) {
        if let Some(open) = self.open.as_mut().filter(|open| open.session.has_ping()) {
            let session = Arc::clone(&open.session);
            // Replaces an unanswered ping, which may be lost.
            open.ping = Some(Task::new(async move { session.ping().await }));
        }
    }

    /// Watches for signs of life from now on.
    pub(crate) fn watch_for_life(&mut self, host: &ProcessHost) {
        let guard = self.guard();
        if let Some(open) = self.open.as_mut().filter(|open| open.watch.is_none()) {
            let options = &host.options;
            let watch = host.sampler.watch(&options.tasks, guard, options.liveness);
            open.watch = Some(Seen { watch, last: Sample::default(), activity: self.line.activity() });
        }
    }

    pub(crate) fn unwatch(&mut self) {
        if let Some(open) = &mut self.open {
            (open.watch, open.ping) = (None, None);
        }
    }

    pub(crate) fn view(&self, wire: &Wire) -> Option<ProcessView> {
        match (&self.remote, wire) {
            (Remote::Process(process), Wire::Pipes(pipes)) => Some(process.view(pipes)),
            (Remote::Process(_), Wire::Web(..)) | (Remote::Http(_), _) => None,
        }
    }

    /// The guard above all its processes, if it has any.
    fn guard(&self) -> Option<Process> {
        match &self.remote {
            Remote::Process(process) => process.guard(),
            Remote::Http(_) => None,
        }
    }

    /// Waits for the next event. Handles a change of the offered tools and resources by itself.
    pub(crate) async fn next_event(&mut self, control: &ControlHandle) -> SessionEvent {
        let (remote, line) = (&self.remote, &self.line);
        let Some(open) = &mut self.open else { return SessionEvent::Broken };
        loop {
            tokio::select! {
                biased;
                () = control.shutdown.stopping() => return SessionEvent::By(LifeEvent::Stop),
                () = remote.broken(line) => return SessionEvent::Broken,
                // The helper runs: there is nothing to retry.
                () = control.reopen.next() => control.reopen.done(),
                // The session holds the sender.
                Ok(()) = open.outstanding.changed() => {
                    return SessionEvent::By(LifeEvent::Calls(*open.outstanding.borrow_and_update()));
                }
                looked = looked(&mut open.watch, line) => return looked,
                answered = pending(&mut open.ping) => {
                    open.ping = None;
                    if answered {
                        return SessionEvent::By(LifeEvent::Sign);
                    }
                }
                listed = pending(&mut open.listing) => {
                    open.listing = None;
                    return SessionEvent::Listed(listed);
                }
                () = open.session.changed(), if open.listing.is_none() => {
                    open.listing = Some(list(&open.session));
                }
            }
        }
    }

    /// Waits until no more output can come from the helper.
    pub(crate) async fn broken(&self) {
        self.remote.broken(&self.line).await;
    }

    /// Whether no more output can come from the helper.
    pub(crate) fn is_broken(&self) -> bool {
        let ended = match &self.remote {
            Remote::Process(process) => process.life().borrow().ended.is_some(),
            Remote::Http(_) => false,
        };
        self.line.closed.is_cancelled() || ended
    }

    /// The reason for the end of the output or the process, with the last lines of stderr.
    pub(crate) async fn reason(&self) -> String {
        let Remote::Process(process) = &self.remote else { return self.line.why() };
        let mut life = process.life();
        let exit = async { life.wait_for(|life| life.ended.is_some()).await.ok()?.ended.clone() };
        let why = last_words(&self.line, exit, process.stderr_read()).await;
        self.with_stderr(why)
    }

    /// Adds the last lines of stderr to a reason, if there are any.
    pub(crate) fn with_stderr(&self, why: String) -> String {
        let tail = match &self.remote {
            Remote::Process(process) => process.stderr_tail(),
            Remote::Http(_) => String::new(),
        };
        if tail.is_empty() { why } else { format!("{why}{STDERR_TAIL}{tail}") }
    }

    /// Whether the server refused our credentials.
    pub(crate) fn is_unauthorized(&self) -> bool {
        match &self.remote {
            Remote::Process(_) => false,
            Remote::Http(trouble) => trouble.is_about_credentials(),
        }
    }

    /// Whether another try may help, after a failed start.
    pub(crate) fn fault(&self) -> FailureKind {
        match &self.remote {
            Remote::Process(process) if process.life().borrow().lasting => FailureKind::Permanent,
            Remote::Process(_) => FailureKind::Transient,
            Remote::Http(trouble) => trouble.fault(),
        }
    }

    /// Ends the helper and waits until no process is left, or ends the session with its server. Takes a bounded time.
    pub(crate) async fn stop(&self) -> ExitReport {
        match &self.remote {
            Remote::Process(process) => process.stop().await,
            Remote::Http(_) => {
                self.shutdown.stop();
                let bound = tokio::time::sleep(policy::HELPER_HTTP_GOODBYE);
                tokio::select! {
                    () = self.shutdown.finished() => {}
                    () = self.shutdown.killed() => {}
                    () = bound => tracing::info!(helper = self.name, "the end of the HTTP session was not delivered in time"),
                }
                ExitReport::nothing(&self.name)
            }
        }
    }
}

impl Drop for HelperSession {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

impl Remote {
    async fn broken(&self, line: &Line) {
        match self {
            Self::Process(process) => {
                let mut life = process.life();
                tokio::select! {
                    () = line.closed.cancelled() => {}
                    // An error means that the guard's monitor is gone, and with it the process.
                    _ = life.wait_for(|life| life.ended.is_some()) => {}
                }
            }
            Self::Http(_) => line.closed.cancelled().await,
        }
    }
}

/// A reason without the last lines of the helper's stderr.
pub(crate) fn without_stderr(why: &str) -> &str {
    why.split_once(STDERR_TAIL).map_or(why, |(why, _)| why)
}

/// Why a helper is not started whose settings have masks.
fn no_secrets(lacking: &[String]) -> String {
    format!(
        "the secrets of {} are not in this home: a mask ({MASK}) stands in their place. A backup has the secrets of threads only with \
         --with-secrets; resume the thread with a `config` that has them, or write them into the settings",
        lacking.join(", ")
    )
}

/// The mistake in the output of a process, or else the reason for its end. The exit may be known before the output is read, and
/// a process that closes its output mostly ends right after, so this waits for the exit, the output and stderr. A bound: a helper may
/// live on without its output, and a descendant may hold a pipe open.
async fn last_words(
    line: &Line,
    exit: impl Future<Output = Option<String>>,
    stderr: impl Future<Output = ()>,
) -> String {
    let mut ended = None;
    let everything = async {
        let exit = async { ended = exit.await };
        tokio::join!(line.closed.cancelled(), exit, stderr);
    };
    let fault = async {
        line.closed.cancelled().await;
        if line.ended_quietly() {
            std::future::pending::<()>().await;
        }
    };
    let known = async {
        tokio::select! {
            () = fault => {}
            () = everything => {}
        }
    };
    tokio::time::timeout(policy::HELPER_LAST_WORDS, known).await.ok();
    if line.ended_quietly() { ended.unwrap_or_else(|| line.why()) } else { line.why() }
}

impl fmt::Debug for OpenSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("session", &self.session)
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}

fn list(session: &Arc<Session>) -> Task<Result<Offers, String>> {
    let session = Arc::clone(session);
    Task::new(async move { session.offers().await })
}

async fn pending<T>(future: &mut Option<Task<T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// The next look, against the one before. The first only sets the mark.
async fn looked(watch: &mut Option<Seen>, line: &Line) -> SessionEvent {
    let Some(seen) = watch else { return std::future::pending().await };
    if seen.watch.seen.changed().await.is_err() {
        return std::future::pending().await;
    }
    let look = seen.watch.seen.borrow_and_update().clone();
    let activity = line.activity();
    let alive = line.waits_for_a_user()
        || look.runs
        || seen.activity != activity
        || (seen.last.number > 0 && seen.last.used != look.used);
    let connected = look.connected;
    (seen.activity, seen.last) = (activity, look);
    SessionEvent::Looked { alive, connected }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const EXIT: &str = "it ended with exit code 3";

    fn line() -> Line {
        Line::new("/".into())
    }

    fn exit() -> impl Future<Output = Option<String>> {
        ready(Some(EXIT.to_owned()))
    }

    /// Some time within the bound.
    async fn a_while() {
        tokio::time::advance(policy::HELPER_LAST_WORDS / 2).await;
    }

    #[tokio::test]
    async fn a_helper_that_gets_no_processor_is_alive_and_one_that_waits_is_not() {
        let line = line();
        let (samples, seen) = tokio::sync::watch::channel(Sample::default());
        let mut watch =
            Some(Seen { watch: Watch::of(seen), last: Sample::default(), activity: line.activity() });
        // Nothing is used between two looks.
        for (number, runs) in [(1, false), (2, false), (3, true), (4, false)] {
            samples.send_replace(Sample { number, runs, ..Sample::default() });
            let SessionEvent::Looked { alive, .. } = looked(&mut watch, &line).await else {
                panic!("a look");
            };
            assert_eq!(alive, runs, "look {number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn output_that_is_read_after_the_exit_says_why() {
        let line = line();
        let late = async {
            a_while().await;
            line.close(Some("it has printed no JSON".to_owned()));
        };
        let (why, ()) = tokio::join!(last_words(&line, exit(), ready(())), late);
        assert_eq!(why, "it has printed no JSON");
    }

    #[tokio::test(start_paused = true)]
    async fn stderr_that_is_read_after_the_exit_is_waited_for() {
        let line = line();
        line.close(None);
        let mut was_read = false;
        let stderr = async {
            a_while().await;
            was_read = true;
        };
        assert_eq!(last_words(&line, exit(), stderr).await, EXIT);
        assert!(was_read);
    }

    #[tokio::test(start_paused = true)]
    async fn pipes_that_stay_open_and_a_process_that_lives_on_are_not_waited_for_long() {
        let open = line();
        assert_eq!(last_words(&open, exit(), pending()).await, EXIT);
        let closed = line();
        closed.close(None);
        assert_eq!(last_words(&closed, pending(), pending()).await, "it closed its output");
    }
}
