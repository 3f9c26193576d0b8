//! What there is of a helper while it runs, and what can happen to it.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::ReusableBoxFuture;

use crate::mcp::{Line, Offers, Session};
use crate::process::host::ProcessHost;
use crate::process::report::ExitReport;
use crate::supervisor::Reins;
use crate::supervisor::life::Event;
use crate::supervisor::link::Link;
use crate::supervisor::liveness::{Look, Watch};

/// What goes on beside. Other than a plain box it may be in what several tasks see.
type Task<T> = ReusableBoxFuture<'static, T>;

/// A helper that was started, and what comes from it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) link: Link,
    pub(crate) line: Line,
    open: Option<Open>,
}

/// What there is once it takes calls.
struct Open {
    session: Arc<Session>,
    outstanding: watch::Receiver<usize>,
    /// Signs of life are looked for.
    watch: Option<Seen>,
    /// A ping that nothing has answered yet.
    ping: Option<Task<bool>>,
    /// A listing that is under way.
    listing: Option<Task<Result<Offers, String>>>,
}

#[derive(Debug)]
struct Seen {
    watch: Watch,
    /// As it was at the last look.
    last: Look,
    heard: u64,
}

/// What has happened.
#[derive(Debug)]
pub(crate) enum Woken {
    By(Event),
    /// Nothing more comes from it.
    Broken,
    Listed(Result<Offers, String>),
    /// What has changed since the look before.
    Looked {
        alive: bool,
        connected: bool,
    },
}

impl Running {
    pub(crate) fn new(link: Link, line: Line) -> Self {
        Self { link, line, open: None }
    }

    /// It takes calls from now on. Resources are listed behind the start: nobody waits for them.
    pub(crate) fn opened(&mut self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        let listing = session.has_resources().then(|| list(&session));
        let outstanding = session.outstanding();
        let open = Open { session: Arc::clone(&session), outstanding, watch: None, ping: None, listing };
        self.open = Some(open);
        session
    }

    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        self.open.as_ref().map(|open| &open.session)
    }

    /// Asks it whether it is there, where that can be asked.
    pub(crate) fn ping(&mut self) {
        if let Some(open) = self.open.as_mut().filter(|open| open.session.has_ping()) {
            let session = Arc::clone(&open.session);
            // One that has no answer yet is taken back: it may have been lost.
            open.ping = Some(Task::new(async move { session.ping().await }));
        }
    }

    /// Looks for signs of life from now on.
    pub(crate) fn look(&mut self, host: &ProcessHost) {
        if let Some(open) = self.open.as_mut().filter(|open| open.watch.is_none()) {
            let options = &host.options;
            let watch = host.looks.watch(&options.tasks, self.link.guard(), options.liveness);
            open.watch = Some(Seen { watch, last: Look::default(), heard: self.line.heard() });
        }
    }

    pub(crate) fn look_away(&mut self) {
        if let Some(open) = &mut self.open {
            (open.watch, open.ping) = (None, None);
        }
    }

    /// Until something happens. What is told to nobody else, a change of what it offers, is seen to here.
    pub(crate) async fn woken(&mut self, reins: &Reins, deadline: Option<Instant>) -> Woken {
        let (link, line) = (&self.link, &self.line);
        let Some(open) = &mut self.open else { return Woken::Broken };
        loop {
            tokio::select! {
                biased;
                () = reins.stop.cancelled() => return Woken::By(Event::Stop),
                () = link.broken(line) => return Woken::Broken,
                // It runs: there is nothing to try again.
                () = reins.reopen.notified() => {}
                // The sender is in the session.
                Ok(()) = open.outstanding.changed() => {
                    return Woken::By(Event::Calls(*open.outstanding.borrow_and_update()));
                }
                looked = looked(&mut open.watch, line) => return looked,
                answered = pending(&mut open.ping) => {
                    open.ping = None;
                    if answered {
                        return Woken::By(Event::Sign);
                    }
                }
                listed = pending(&mut open.listing) => {
                    open.listing = None;
                    return Woken::Listed(listed);
                }
                () = open.session.changed(), if open.listing.is_none() => {
                    open.listing = Some(list(&open.session));
                }
                () = until(deadline) => return Woken::By(Event::Deadline),
            }
        }
    }

    /// Why nothing more comes from it.
    pub(crate) async fn reason(&self) -> String {
        self.link.reason(&self.line).await
    }

    /// Ends it, and waits until no process is left.
    pub(crate) async fn stop(&self) -> ExitReport {
        self.link.stop().await
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("session", &self.session)
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}

/// Until then; without a deadline for ever.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
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
async fn looked(watch: &mut Option<Seen>, line: &Line) -> Woken {
    let Some(seen) = watch else { return std::future::pending().await };
    if seen.watch.seen.changed().await.is_err() {
        return std::future::pending().await;
    }
    let look = seen.watch.seen.borrow_and_update().clone();
    let heard = line.heard();
    let alive = line.waits_for_a_user()
        || seen.heard != heard
        || (seen.last.number > 0 && seen.last.used != look.used);
    let connected = look.connected;
    (seen.heard, seen.last) = (heard, look);
    Woken::Looked { alive, connected }
}
