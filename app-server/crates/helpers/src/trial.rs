//! One helper, tried out: started as a server would start it, asked what it offers, and ended; then it is looked what is left
//! of it. Nobody's home takes part.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Pid;
use skein_base::clock::Clock;
use skein_base::home_tag::HomeTag;
use skein_base::system::{self, GuardExecutable, proc};
use skein_base::tasks::{BlockingPool, Tasks};
use skein_protocol::helper::McpServerInfo;
use skein_protocol::ids::ThreadId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::containment::levels::Containment;
use crate::containment::tag::ProcessTag;
use crate::error::HelperError;
use crate::helpers::Helpers;
use crate::policy;
use crate::process::host::{HostOptions, ProcessHost};
use crate::process::report::ExitReport;
use crate::set::HelperTool;
use crate::spec::HelperSpec;

/// How a helper is tried.
#[derive(Debug)]
pub struct Trial {
    /// The program of the guard.
    pub guard: GuardExecutable,
    /// How it is held.
    pub containment: Containment,
    /// Each wait between two stages of its end.
    pub stop_grace: Duration,
    /// The directory of a thread that it would have.
    pub cwd: PathBuf,
}

/// The result of a trial.
#[derive(Debug)]
pub struct Tried {
    /// Its offer, or the reason for none, with the last lines of its stderr.
    pub offered: Result<TrialOffer, HelperError>,
    /// From the start of its process to its being ready, or to its failure.
    pub start_took: Duration,
    /// How it ended.
    pub end: ExitReport,
    /// Processes that carry its tag, or descend from this one, after its end.
    pub left: Vec<LeftProcess>,
}

/// The offer of a helper.
#[derive(Debug)]
pub struct TrialOffer {
    /// Its description of itself.
    pub info: Option<McpServerInfo>,
    /// Its tools.
    pub tools: Vec<HelperTool>,
    /// The isolation level of its processes; `None` if it has none.
    pub held_by: Option<&'static str>,
}

/// A process that should not be there.
#[derive(Debug)]
pub struct LeftProcess {
    /// Its id.
    pub pid: i32,
    /// The kernel's name of the process.
    pub name: String,
}

impl Trial {
    /// Tries `spec`; cut short when `cancel` is cancelled. This process must not do anything else with processes meanwhile.
    ///
    /// # Errors
    /// Helpers cannot be supervised here at all.
    pub async fn run(self, mut spec: HelperSpec, cancel: &CancellationToken) -> io::Result<Tried> {
        let (clock, tasks) = (Clock, Tasks::new());
        // A tag that no home has: a server that starts meanwhile must not take this for a leftover of its own, nor this
        // trial its helpers.
        let home = HomeTag::of(&[b"trial", clock.new_id().as_bytes()]);
        let helpers = Helpers::start(HostOptions {
            guard: self.guard,
            tasks: tasks.clone(),
            clock,
            stop_grace: self.stop_grace,
            liveness: policy::HELPER_LIVENESS,
            containment: self.containment,
            exclusive: true,
            home,
        })?;
        let host = helpers.host();
        host.cleaned_up().await;
        (spec.enabled, spec.required) = (true, true);
        let (events, _nobody_hears) = mpsc::channel(policy::HELPER_EVENTS);
        let from = clock.now();
        let thread = ThreadId::new(clock.new_id());
        let set = helpers.of_thread(thread, vec![spec.clone()], self.cwd, events);
        let tools = tokio::select! {
            tools = set.tools() => tools,
            () = cancel.cancelled() => Err(HelperError::Cancelled { server: spec.name.clone() }),
        };
        let start_took = clock.now() - from;
        let info = set.statuses().into_iter().find_map(|status| status.server_info);
        let offered = tools.map(|tools| TrialOffer { info, tools, held_by: held_by(host) });
        let end = set.stop().await.pop().unwrap_or_else(|| ExitReport::nothing(&spec.name));
        let look = move || left(home);
        // Its panic was logged, and is none of the helper's.
        let left = tasks.blocking("what a helper has left", BlockingPool::Processes, look).await;
        drop(set);
        host.finish();
        tasks.finish().await;
        Ok(Tried { offered, start_took, end, left: left.map_err(io::Error::other)? })
    }
}

fn held_by(host: &ProcessHost) -> Option<&'static str> {
    let counts = host.counts();
    match (counts.by_namespace, counts.by_cgroup, counts.by_guard) {
        (0, 0, 0) => None,
        (0, 0, _) => Some("guard"),
        (0, _, _) => Some("cgroup"),
        (_, _, _) => Some("namespace"),
    }
}

/// Everything that carries the tag of `home`, and everything below this process, which inherits what a guard has lost.
fn left(home: HomeTag) -> Vec<LeftProcess> {
    let is_tagged = |pid: Pid| ProcessTag::carried_by(pid).any(|tag| tag.start.home == home);
    let mut pids: Vec<Pid> =
        proc::all().filter(|process| !process.zombie && is_tagged(process.pid)).map(|p| p.pid).collect();
    proc::descendants(Pid::this(), |process| pids.push(process.pid));
    pids.sort_unstable();
    pids.dedup();
    let shown = |pid: Pid| String::from_utf8_lossy(&system::name(pid).unwrap_or_default()).into_owned();
    pids.into_iter().map(|pid| LeftProcess { pid: pid.as_raw(), name: shown(pid) }).collect()
}
