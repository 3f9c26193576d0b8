//! Reaps children that no other task waits for. PID 1 of a container inherits every orphan in it, helper or not, and a script
//! that becomes the server leaves its children behind. The server does not end such children, but each dead one stays a zombie
//! until somebody reaps it. Must never take a guard's end from its monitor, nor a zombie from a clean-up of orphans.
//!
//! `skein serve` may be PID 1 of a container: it handles SIGTERM and SIGINT, which do nothing to PID 1 by themselves, and inherits
//! every orphan of the container. A child without a guard belongs to a dead guard if the server is not PID 1 and had no child at its
//! start. Otherwise it does if it carries the tag of this start, or is in the session of the guard or the helper. Only a child of a
//! dead guard is killed. A process that has shed all of these, which takes root, is not found there.
//!
//! Monitors wait for guards: guards start, are listed and are reaped under one lock, and the reaper does not touch a listed one. While
//! the orphans of a dead guard are being ended their zombies are evidence, and the reaper waits.

use std::sync::Arc;

use nix::unistd::Pid;
use skein_base::system::proc;
use skein_base::tasks::{BlockingPool, Tasks};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::policy;
use crate::recovery::children::Children;

/// Reaps unowned children until `stop`.
pub(crate) async fn run(children: Arc<Children>, tasks: Tasks, stop: CancellationToken) {
    let mut ended = match signal(SignalKind::child()) {
        Ok(ended) => ended,
        Err(error) => {
            tracing::warn!(%error, "unowned children stay zombies until the server ends");
            return;
        }
    };
    loop {
        if pass(&children, &tasks).await == ReaperPass::Done {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ended.recv() => {}
            }
        }
        // Monitors reap their guards meanwhile.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(policy::REAPER_PAUSE) => {}
        }
    }
}

/// The result of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaperPass {
    Done,
    /// A clean-up of orphans is under way and has to see their zombies.
    Later,
}

async fn pass(children: &Arc<Children>, tasks: &Tasks) -> ReaperPass {
    if !matches!(proc::peek(), Ok(Some(_))) {
        return ReaperPass::Done;
    }
    let children = Arc::clone(children);
    let reap = move || reap(&zombies(), &children);
    // Its panic was logged; the next end of a child is another try.
    tasks
        .blocking("children that have ended", BlockingPool::Processes, reap)
        .await
        .unwrap_or(ReaperPass::Done)
}

fn zombies() -> Vec<Pid> {
    let own = Pid::this();
    proc::all().filter(|one| one.zombie && one.parent == own).map(|one| one.pid).collect()
}

/// Reaps those of `zombies` that no task waits for.
fn reap(zombies: &[Pid], children: &Children) -> ReaperPass {
    for pid in zombies {
        if !children.cleanups.now().is_empty() {
            return ReaperPass::Later;
        }
        let reaped = children.reap(*pid);
        tracing::debug!(pid = pid.as_raw(), reaped, "a child has ended");
    }
    ReaperPass::Done
}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use skein_base::home_tag::HomeTag;

    use super::*;
    use crate::containment::tag::{ProcessTag, StartTag};
    use crate::process::start::sleeper;

    #[test]
    fn guards_and_zombies_of_a_clean_up_are_left_to_their_tasks() {
        let children = Children::new(StartTag::new(HomeTag::of(&[b"a home"]), 1), false);
        let mut child = sleeper().unwrap();
        child.kill().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let ended = || {
            waitid(
                WaitId::Pid(rustix::process::Pid::from_child(&child)),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            )
        };
        assert!(ended().is_ok() && proc::has_children());

        children.guards().insert(pid.as_raw());
        assert_eq!(reap(&[pid], &children), ReaperPass::Done);
        assert!(ended().is_ok(), "its monitor waits for it");
        children.guards().clear();
        let cleanup = children.cleanups.begin(ProcessTag::new(children.start, 1), Vec::new());
        assert_eq!(reap(&[pid], &children), ReaperPass::Later);
        assert!(ended().is_ok(), "a clean-up needs the zombie");
        drop(cleanup);
        assert!(zombies().contains(&pid));
        assert_eq!(reap(&[pid], &children), ReaperPass::Done);
        assert!(ended().is_err() && child.wait().is_err(), "it is reaped");
    }
}
