//! The shared state of all helper processes of one server: the guard program, the cgroup, the children, counters.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::unistd::Pid;
use skein_base::clock::Clock;
use skein_base::durations::Durations;
use skein_base::home_tag::HomeTag;
use skein_base::system::{self, GuardExecutable, proc};
use skein_base::tasks::Tasks;
use skein_protocol::extension::{ContainmentRung, HeldDetails};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::containment::cgroup;
use crate::containment::levels::{Containment, Unavailable};
use crate::containment::tag::{ProcessTag, StartTag};
use crate::counters::{Counters, ProcessCounts};
use crate::error::ProcessError;
use crate::policy;
use crate::process::liveness::Sampler;
use crate::process::living::Living;
use crate::recovery::children::Children;
use crate::recovery::reaper;
use crate::recovery::startup_cleanup::{Leftovers, StartupCleanup};

/// The options of a [`ProcessHost`].
#[derive(Debug)]
pub struct HostOptions {
    /// The program of the guard.
    pub guard: GuardExecutable,
    /// The tracker of its tasks.
    pub tasks: Tasks,
    /// Its clock.
    pub clock: Clock,
    /// Each wait between two stages of ending a helper.
    pub stop_grace: Duration,
    /// The longest silence of a helper with outstanding calls.
    pub liveness: Duration,
    /// The containment of helpers.
    pub containment: Containment,
    /// This process belongs to the server alone (`skein serve`): no other code in it waits for children.
    pub exclusive: bool,
    /// The home of the server. The start-up clean-up ends processes of its former server before the first helper starts.
    pub home: HomeTag,
}

/// Starts and ends helper processes. One for each server.
#[derive(Debug)]
pub struct ProcessHost {
    pub(crate) options: HostOptions,
    pub(crate) cgroup: Option<cgroup::Parent>,
    /// Guards, and processes that fell to this one.
    pub(crate) children: Arc<Children>,
    pub(crate) unavailable: Unavailable,
    pub(crate) counters: Counters,
    pub(crate) kill_all: CancellationToken,
    closing: CancellationToken,
    helpers: AtomicU32,
    leftovers: watch::Receiver<Leftovers>,
    pub(crate) sampler: Arc<Sampler>,
    pub(crate) room_wanted: Arc<Notify>,
    /// Helpers of which a process is, or may be, left.
    pub(crate) living: Living,
}

impl ProcessHost {
    /// Becomes a subreaper, makes a cgroup if possible, and starts the clean-up after a former server of the home.
    ///
    /// # Errors
    /// A cgroup is demanded and cannot be made, or the system has no subreapers (Linux before 3.4).
    pub fn start(options: HostOptions) -> io::Result<Arc<Self>> {
        system::be_subreaper()?;
        if let Some(missing) = system::MISSING {
            tracing::warn!(missing, "this system contains helpers less well than Linux");
        }
        let only_helpers = options.exclusive && Pid::this().as_raw() != 1 && !proc::has_children();
        let (_, random) = options.clock.new_id().as_u64_pair();
        let start = StartTag::new(options.home, random);
        let unavailable = Unavailable::default();
        let cgroup = own_cgroup(options.containment, start, &unavailable)?;
        let closing = CancellationToken::new();
        let (result, leftovers) = watch::channel(Leftovers::default());
        let cleanup = StartupCleanup {
            start,
            clock: options.clock,
            tasks: options.tasks.clone(),
            guard_time: options.stop_grace + policy::GUARD_OVERDUE,
            closing: closing.clone(),
        };
        options.tasks.spawn("leftovers of helpers", cleanup.run(result));
        Ok(Arc::new(Self {
            children: Arc::new(Children::new(start, only_helpers)),
            helpers: AtomicU32::new(0),
            leftovers,
            sampler: Arc::default(),
            room_wanted: Arc::default(),
            living: Living::default(),
            options,
            cgroup,
            unavailable,
            counters: Counters::default(),
            kill_all: CancellationToken::new(),
            closing,
        }))
    }

    /// Waits for the end of the start-up clean-up. Helpers start after it.
    pub async fn cleaned_up(&self) -> Leftovers {
        let mut leftovers = self.leftovers.clone();
        // The clean-up always publishes a result, unless the runtime shuts down.
        leftovers.wait_for(|leftovers| leftovers.done).await.map(|done| *done).unwrap_or_default()
    }

    /// The progress of the start-up clean-up.
    pub fn leftovers(&self) -> Leftovers {
        *self.leftovers.borrow()
    }

    /// Notified when too few descriptors are left for a helper.
    pub fn room_wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.room_wanted)
    }

    /// The tag of the next helper.
    pub(crate) fn next_tag(&self) -> ProcessTag {
        ProcessTag::new(self.children.start, self.helpers.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether a helper must not run without a cgroup.
    pub(crate) fn is_forced(&self) -> bool {
        self.options.containment == Containment::Cgroup
    }

    /// The cgroup of one helper, if the server has one.
    pub(crate) fn group(&self, helper: &str, tag: ProcessTag) -> Result<Option<cgroup::Group>, ProcessError> {
        match self.cgroup.as_ref().map(|parent| parent.child(&tag.cgroup())) {
            Some(Err(error)) if self.is_forced() => {
                self.unavailable.note(ContainmentRung::Cgroup, error.to_string());
                Err(Self::no_cgroup(error.to_string()))
            }
            Some(Err(error)) => {
                self.unavailable.note(ContainmentRung::Cgroup, error.to_string());
                tracing::warn!(helper, %error, "no cgroup for this helper; its guard contains it");
                Ok(None)
            }
            Some(Ok(group)) => Ok(Some(group)),
            None => Ok(None),
        }
    }

    pub(crate) fn no_cgroup(reason: String) -> ProcessError {
        let needs = "a cgroup v2 that this user may write, and Linux 5.14";
        ProcessError::Containment { level: "cgroup", needs, reason }
    }

    pub(crate) fn no_namespace(reason: String) -> ProcessError {
        let needs = "root, or user namespaces for this user, and a /proc of which nothing is hidden";
        ProcessError::Containment { level: "namespace", needs, reason }
    }

    /// The current numbers. Waits for nothing.
    pub fn counts(&self) -> ProcessCounts {
        self.counters.now()
    }

    /// The isolation level of the next helper, and the reasons for unavailable ones. Waits for nothing.
    pub fn isolation(&self) -> HeldDetails {
        let held = self.unavailable.held(self.options.containment.into());
        let place = self.cgroup.as_ref().and_then(cgroup::Parent::place);
        let place = place.filter(|_| held.in_force == Some(ContainmentRung::Cgroup));
        HeldDetails {
            cgroup: place.map(|place| place.display().to_string()),
            subreaper: system::is_subreaper(),
            ..held
        }
    }

    /// The times from an order to stop to the end of the last process. Waits for nothing.
    pub fn stop_times(&self) -> &Durations {
        &self.counters.stop_times
    }

    /// The times of calls of tools that have ended. Waits for nothing.
    pub fn call_times(&self) -> &Durations {
        &self.counters.call_times
    }

    /// Starts no further look at processes, and ends the start-up clean-up.
    pub(crate) fn close(&self) {
        self.sampler.close();
        self.closing.cancel();
    }

    /// Sends SIGKILL to every helper at once, also to those in a stage of their end: for a server that gets a second order to stop.
    pub fn kill_all(&self) {
        self.kill_all.cancel();
    }

    /// Reaps children that no other task waits for, until `stop`; only where this process belongs to the server alone.
    pub async fn reap_unowned_children(self: Arc<Self>, stop: CancellationToken) {
        if self.options.exclusive {
            reaper::run(Arc::clone(&self.children), self.options.tasks.clone(), stop).await;
        }
    }

    /// Removes the cgroup. Every helper is to be stopped before.
    pub fn finish(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
    }
}

/// The cgroup above those of helpers, if `containment` permits one.
fn own_cgroup(
    containment: Containment,
    start: StartTag,
    unavailable: &Unavailable,
) -> io::Result<Option<cgroup::Parent>> {
    match containment {
        Containment::Guard | Containment::Namespace => Ok(None),
        Containment::Cgroup => cgroup::Parent::make(&start.cgroup()).map(Some),
        Containment::Auto => Ok(cgroup::Parent::make(&start.cgroup())
            .inspect_err(|error| {
                tracing::info!(%error, "helpers get no cgroup; their guards contain them");
                unavailable.note(ContainmentRung::Cgroup, error.to_string());
            })
            .ok()),
    }
}
