//! Reaps whom nobody else waits for. PID 1 of a container inherits every orphan in it, helper or not, and a script that
//! becomes the server leaves it its children. They are not ours to end; but each that ends is a zombie until it is waited
//! for. Must never take a guard's end from its keeper, nor a zombie from who looks for orphans.
//!
//! `skein serve` may be PID 1 of a container: it handles SIGTERM and SIGINT, which do nothing to PID 1 by themselves, and every orphan of
//! the container falls to it. A child that no guard has belongs to a dead guard where the server is not PID 1 and had no child when it
//! began. Otherwise it does where it carries the mark of this start, or is of the guard's or the helper's session; only then is it
//! ended. A process that has shed all of these, which takes root, is not found there.
//!
//! Children without a waiter are reaped by their pids. Keepers wait for guards: guards are started, listed and reaped under one lock,
//! and a listed one is not touched. While a dead guard's orphans are being ended their zombies are evidence, and the reaper waits.

use std::sync::Arc;

use nix::unistd::Pid;
use skein_base::system::proc;
use skein_base::tasks::Pool;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::policy;
use crate::process::host::ProcessHost;
use crate::recovery::orphans;

/// Reaps strangers until `stop`, where this process belongs to the server alone.
pub async fn reap_strangers(host: Arc<ProcessHost>, stop: CancellationToken) {
    if !host.options.exclusive {
        return;
    }
    let mut ended = match signal(SignalKind::child()) {
        Ok(ended) => ended,
        Err(error) => {
            tracing::warn!(%error, "children that nobody waits for stay zombies until the server ends");
            return;
        }
    };
    loop {
        if look(&host).await == Look::Done {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ended.recv() => {}
            }
        }
        // Keepers reap their guards meanwhile.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(policy::REAPER_PAUSE) => {}
        }
    }
}

/// What a look was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Done,
    /// Orphans of a guard are being ended: who does so has to see their zombies.
    Later,
}

async fn look(host: &Arc<ProcessHost>) -> Look {
    if !matches!(proc::peek(), Ok(Some(_))) {
        return Look::Done;
    }
    let of_host = Arc::clone(host);
    let reap = move || reap(&zombies(), &of_host);
    // Its panic was logged; the next end of a child is another try.
    host.options.tasks.blocking("children that have ended", Pool::Processes, reap).await.unwrap_or(Look::Done)
}

fn zombies() -> Vec<Pid> {
    let own = Pid::this();
    proc::all().filter(|one| one.zombie && one.parent == own).map(|one| one.pid).collect()
}

/// Reaps those of `zombies` that are nobody's.
fn reap(zombies: &[Pid], host: &ProcessHost) -> Look {
    // Taken behind the look, which takes a while: who has one of these pids by now and is a guard is in here.
    let guards = host.guards();
    if host.counters.hunts.now() > 0 {
        return Look::Later;
    }
    for pid in zombies.iter().filter(|pid| !guards.contains(&pid.as_raw())) {
        let reaped = orphans::reap(*pid);
        tracing::debug!(pid = pid.as_raw(), reaped, "a child that nobody waits for has ended");
    }
    Look::Done
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use skein_base::clock::Clock;
    use skein_base::home_tag::HomeTag;
    use skein_base::tasks::Tasks;

    use super::*;
    use crate::containment::levels::Containment;
    use crate::process::host::HostOptions;
    use crate::process::start::sleeper;
    use skein_base::system::GuardProgram;

    #[tokio::test]
    async fn guards_and_what_is_looked_for_are_left_to_who_waits_for_them() {
        let host = ProcessHost::start(HostOptions {
            guard: GuardProgram::Path("/bin/true".into()),
            tasks: Tasks::new(),
            clock: Clock,
            stop_grace: Duration::ZERO,
            liveness: Duration::ZERO,
            containment: Containment::Guard,
            exclusive: false,
            home: HomeTag::of(&[b"a home"]),
        })
        .unwrap();
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

        host.guards().insert(pid.as_raw());
        assert_eq!(reap(&[pid], &host), Look::Done);
        assert!(ended().is_ok(), "its keeper waits for it");
        host.guards().clear();
        let hunt = host.counters.hunts.one_more();
        assert_eq!(reap(&[pid], &host), Look::Later);
        assert!(ended().is_ok(), "it is looked for");
        drop(hunt);
        assert!(zombies().contains(&pid));
        assert_eq!(reap(&[pid], &host), Look::Done);
        assert!(ended().is_err() && child.wait().is_err(), "it is reaped");
    }
}
