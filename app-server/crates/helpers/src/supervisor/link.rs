//! The way to a helper, whichever kind it is: a process of ours, or a server of somebody else's.

use std::path::Path;
use std::sync::Arc;

use skein_base::system::proc::Process;
use tokio_util::sync::CancellationToken;

use crate::error::ProcessError;
use crate::mcp::{Line, Trouble, Web, Wire};
use crate::policy;
use crate::process::host::ProcessHost;
use crate::process::report::ExitReport;
use crate::process::start::HelperProcess;
use crate::process::table::View;
use crate::spec::{HelperSpec, Transport};
use crate::supervisor::life::Fault;
use skein_base::masks::MASK;

/// Stands between a reason and the last lines of the helper's stderr.
const STDERR_TAIL: &str = "; its stderr ends with:\n";

/// A helper that has been started, or can be asked.
#[derive(Debug)]
pub(crate) enum Link {
    /// Ours to end.
    Process(HelperProcess),
    /// There is nothing to end but our session.
    Http(HttpLink),
}

/// What is ours of a helper that somebody else runs.
#[derive(Debug)]
pub(crate) struct HttpLink {
    name: String,
    stop: CancellationToken,
    kill: CancellationToken,
    /// Nothing is asked any more.
    gone: CancellationToken,
    trouble: Trouble,
}

impl Link {
    /// Starts the helper's process, or makes ready to ask it. Waits for nothing.
    ///
    /// # Errors
    /// Why that cannot be, for the user, and whether another try may help.
    pub(crate) fn start(
        host: &Arc<ProcessHost>,
        spec: &HelperSpec,
        cwd: &Path,
        kill: CancellationToken,
        line: &Line,
    ) -> Result<(Self, Wire), (String, Fault)> {
        let lacking = spec.lacking();
        if !lacking.is_empty() {
            return Err((no_secrets(&lacking), Fault::Lasting));
        }
        match &spec.transport {
            Transport::Stdio(_) => {
                let started = HelperProcess::start_killable(host, spec, cwd, kill);
                let (process, pipes) = started.map_err(|error| {
                    let lasting = matches!(error, ProcessError::Limit { .. });
                    (error.to_string(), if lasting { Fault::Lasting } else { Fault::Passing })
                })?;
                Ok((Self::Process(process), Wire::Pipes(pipes)))
            }
            Transport::Http(http) => {
                let (stop, gone) = (CancellationToken::new(), CancellationToken::new());
                // What is wrong here is wrong in the settings or in the server's environment.
                let web =
                    Web::new(http, host.options.tasks.clone(), stop.clone(), gone.clone(), line.clone());
                let web = web.map_err(|why| (why, Fault::Lasting))?;
                let link = HttpLink { name: spec.name.clone(), stop, kill, gone, trouble: web.trouble() };
                Ok((Self::Http(link), Wire::Web(web, http.url.clone())))
            }
        }
    }

    /// What may be looked at of its process, where there is one.
    pub(crate) fn view(&self, wire: &Wire) -> Option<View> {
        match (self, wire) {
            (Self::Process(process), Wire::Pipes(pipes)) => Some(process.view(pipes)),
            (Self::Process(_), Wire::Web(..)) | (Self::Http(_), _) => None,
        }
    }

    /// Until nothing more can come from the helper.
    pub(crate) async fn broken(&self, line: &Line) {
        match self {
            Self::Process(process) => {
                let mut life = process.life();
                tokio::select! {
                    () = line.closed.cancelled() => {}
                    // An error means that the keeper is gone, and with it the process.
                    _ = life.wait_for(|life| life.ended.is_some()) => {}
                }
            }
            Self::Http(_) => line.closed.cancelled().await,
        }
    }

    /// Whether that is so.
    pub(crate) fn is_broken(&self, line: &Line) -> bool {
        let ended = match self {
            Self::Process(process) => process.life().borrow().ended.is_some(),
            Self::Http(_) => false,
        };
        line.closed.is_cancelled() || ended
    }

    /// Why the line or the process ended, with the last lines of its stderr.
    pub(crate) async fn reason(&self, line: &Line) -> String {
        let Self::Process(process) = self else { return line.why() };
        let mut life = process.life();
        let exit = async { life.wait_for(|life| life.ended.is_some()).await.ok()?.ended.clone() };
        let why = last_words(line, exit, process.stderr_read()).await;
        self.with_stderr(why)
    }

    /// The same with the last lines of its stderr, where it has one.
    pub(crate) fn with_stderr(&self, why: String) -> String {
        let said = match self {
            Self::Process(process) => process.stderr_tail(),
            Self::Http(_) => String::new(),
        };
        if said.is_empty() { why } else { format!("{why}{STDERR_TAIL}{said}") }
    }

    /// Whether what went wrong was about who we are.
    pub(crate) fn is_about_credentials(&self) -> bool {
        match self {
            Self::Process(_) => false,
            Self::Http(link) => link.trouble.is_about_credentials(),
        }
    }

    /// Whether another try may help, after it did not become ready.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Process(process) if process.life().borrow().lasting => Fault::Lasting,
            Self::Process(_) => Fault::Passing,
            Self::Http(link) => link.trouble.fault(),
        }
    }

    /// What all its processes are below, where there are any.
    pub(crate) fn guard(&self) -> Option<Process> {
        match self {
            Self::Process(process) => process.guard(),
            Self::Http(_) => None,
        }
    }

    /// Ends the helper and waits until nothing is left of it, or ends our session with it. Has a bound.
    pub(crate) async fn stop(&self) -> ExitReport {
        match self {
            Self::Process(process) => process.stop().await,
            Self::Http(link) => {
                link.stop.cancel();
                let bound = tokio::time::sleep(policy::HELPER_HTTP_GOODBYE);
                tokio::select! {
                    () = link.gone.cancelled() => {}
                    () = link.kill.cancelled() => {}
                    () = bound => tracing::info!(helper = link.name, "it was not told of the end of our session"),
                }
                ExitReport::nothing(&link.name)
            }
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

impl Drop for HttpLink {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What was wrong with the output of a process, or else how the process ended. The exit may be known before the output is read, and
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
