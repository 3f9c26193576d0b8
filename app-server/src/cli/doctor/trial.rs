//! Tries each level of containment with a helper of this program.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use skein_app_server::policy;
use skein_base::clock::Clock;
use skein_base::home_tag::HomeTag;
use skein_base::tasks::Tasks;
use skein_helpers::{
    Containment, GuardExecutable, HelperSpec, HostOptions, ProcessHost, ProcessTree, StdioSpec, Transport,
    levels,
};
use skein_protocol::extension::{ContainmentRung, LackDetails};
use tokio::io::AsyncReadExt;

/// The levels, each tried alone; the best for `auto` comes first.
pub(super) const LEVELS: [(ContainmentRung, Containment); 3] = [
    (ContainmentRung::Cgroup, Containment::Cgroup),
    (ContainmentRung::Guard, Containment::Guard),
    (ContainmentRung::Namespace, Containment::Namespace),
];

/// The outcome of a trial.
#[derive(Debug)]
pub(super) struct ContainmentTrial {
    pub level: ContainmentRung,
    /// The time from start to end of the helper, or the reason why it was not contained.
    pub result: Result<Duration, LackDetails>,
    /// The parent of its cgroups.
    pub cgroup: Option<String>,
    /// This process was a subreaper.
    pub subreaper: bool,
}

impl ContainmentTrial {
    /// Runs a helper, which ends on its own, under `level` alone.
    pub(super) async fn of(level: ContainmentRung, containment: Containment) -> Self {
        let start = Clock.now();
        let tasks = Tasks::new();
        let host = match host(containment, &tasks) {
            Ok(host) => host,
            Err(reason) => {
                let result = Err(levels::unavailable(level, reason));
                return Self { level, result, cgroup: None, subreaper: false };
            }
        };
        host.cleaned_up().await;
        let ran = run_helper(&host).await;
        tasks.finish().await;
        let held = host.isolation();
        host.finish();
        let result = match ran {
            Ok(()) => Ok(Clock.now() - start),
            // In the server's words, if the level failed and not the helper.
            Err(reason) => {
                let known = held.lacking.into_iter().find(|lack| lack.rung == level);
                Err(known.unwrap_or_else(|| levels::unavailable(level, reason)))
            }
        };
        Self { level, result, cgroup: held.cgroup, subreaper: held.subreaper }
    }
}

fn host(containment: Containment, tasks: &Tasks) -> Result<Arc<ProcessHost>, String> {
    let options = HostOptions {
        guard: GuardExecutable::current().map_err(|error| error.to_string())?,
        tasks: tasks.clone(),
        clock: Clock,
        stop_grace: skein_helpers::policy::HELPER_STOP_GRACE,
        liveness: skein_helpers::policy::HELPER_LIVENESS,
        containment,
        exclusive: false,
        // A home of its own: processes with other tags are not touched.
        home: HomeTag::of(&[b"doctor", Clock.new_id().as_bytes()]),
    };
    ProcessHost::start(options).map_err(|error| error.to_string())
}

/// Runs this program's version under a guard.
async fn run_helper(host: &Arc<ProcessHost>) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let stdio = StdioSpec {
        command: program.to_string_lossy().into_owned(),
        args: vec!["--version".to_owned()],
        ..StdioSpec::default()
    };
    let spec = HelperSpec::reached("doctor", Transport::Stdio(stdio));
    let (process, mut pipes) =
        ProcessTree::start(host, &spec, Path::new("/")).map_err(|error| error.to_string())?;
    let mut said = String::new();
    let read = tokio::time::timeout(policy::DOCTOR_PATIENCE, pipes.stdout.read_to_string(&mut said)).await;
    let report = process.stop().await;
    let ended = process.life().borrow().ended.clone().unwrap_or_default();
    match read {
        _ if report.survivors > 0 => Err(format!("{} of its processes cannot be ended", report.survivors)),
        Ok(Ok(_)) if said.starts_with("skein") => Ok(()),
        Ok(Ok(_)) => Err(ended),
        Ok(Err(error)) => Err(format!("{ended}; {error}")),
        Err(_) => Err(format!("it said nothing within {} s", policy::DOCTOR_PATIENCE.as_secs())),
    }
}
