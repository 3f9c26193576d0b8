//! What all helper processes of one server share: the guard program, the cgroup, the list of living guards, counters.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::unistd::Pid;
use skein_base::clock::Clock;
use skein_base::durations::Durations;
use skein_base::home_tag::HomeTag;
use skein_base::system::{self, GuardProgram, proc};
use skein_base::tasks::Tasks;
use skein_protocol::extension::{ContainmentRung, HeldDetails};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::containment::cgroup;
use crate::containment::levels::{Containment, Lacking};
use crate::containment::tag::{Mark, StartMark};
use crate::counters::{Counters, ProcessCounts};
use crate::error::ProcessError;
use crate::policy;
use crate::recovery::startup_cleanup::{Leftovers, Sweep};
use crate::supervisor::liveness::Looks;

/// What a [`ProcessHost`] is made from.
#[derive(Debug)]
pub struct HostOptions {
    /// Who becomes the guard.
    pub guard: GuardProgram,
    /// Where its tasks live.
    pub tasks: Tasks,
    /// Where its time comes from.
    pub clock: Clock,
    /// Each wait between two stages of ending a helper.
    pub stop_grace: Duration,
    /// How long a helper may show no sign of life while somebody waits for it.
    pub liveness: Duration,
    /// How helpers are kept together.
    pub containment: Containment,
    /// This process belongs to the server alone (`skein serve`): nobody else in it waits for a child.
    pub exclusive: bool,
    /// The home that it serves: what a former server of it left is ended before the first helper starts.
    pub home: HomeTag,
}

/// Makes and ends helper processes. One for a server.
#[derive(Debug)]
pub struct ProcessHost {
    pub(crate) options: HostOptions,
    pub(crate) cgroup: Option<cgroup::Parent>,
    /// Whoever is no guard and yet a child of this process was a helper's. Not so of PID 1, to which every orphan of its
    /// container falls, nor of who had children from the beginning, and may get theirs.
    pub(crate) only_helpers: bool,
    pub(crate) lacking: Lacking,
    /// Pids of the guards that live. Held while one is started or reaped, and while orphans are looked for: a child
    /// that is not in here while the lock is held is no guard.
    guards: Mutex<HashSet<i32>>,
    pub(crate) counters: Counters,
    pub(crate) hurry: CancellationToken,
    pub(crate) start: StartMark,
    helpers: AtomicU32,
    leftovers: watch::Receiver<Leftovers>,
    pub(crate) looks: Arc<Looks>,
    pub(crate) room_wanted: Arc<Notify>,
}

impl ProcessHost {
    /// Becomes a subreaper, looks for a cgroup, and has what a former server of the home left ended beside.
    ///
    /// # Errors
    /// A cgroup was demanded and cannot be made, or the system has no subreapers (Linux before 3.4).
    pub fn start(options: HostOptions) -> io::Result<Arc<Self>> {
        system::be_subreaper()?;
        if let Some(missing) = system::MISSING {
            tracing::warn!(missing, "helpers are kept together less well than on Linux");
        }
        let only_helpers = options.exclusive && Pid::this().as_raw() != 1 && !proc::has_children();
        let (_, random) = options.clock.new_id().as_u64_pair();
        let start = StartMark::new(options.home, random);
        let lacking = Lacking::default();
        let cgroup = own_cgroup(options.containment, start, &lacking)?;
        let (told, leftovers) = watch::channel(Leftovers::default());
        let sweep = Sweep {
            mine: start,
            clock: options.clock,
            tasks: options.tasks.clone(),
            guards_need: options.stop_grace + policy::GUARD_OVERDUE,
        };
        options.tasks.spawn("leftovers of helpers", sweep.run(told));
        Ok(Arc::new(Self {
            start,
            helpers: AtomicU32::new(0),
            leftovers,
            looks: Arc::default(),
            room_wanted: Arc::default(),
            options,
            cgroup,
            only_helpers,
            lacking,
            guards: Mutex::default(),
            counters: Counters::default(),
            hurry: CancellationToken::new(),
        }))
    }

    /// Until nothing is left of a former server of this home, or it is known that it cannot be ended. Helpers start after
    /// this.
    pub async fn swept(&self) -> Leftovers {
        let mut leftovers = self.leftovers.clone();
        // The clean-up always tells; it is gone without only when the runtime shuts down.
        leftovers.wait_for(|leftovers| leftovers.done).await.map(|done| *done).unwrap_or_default()
    }

    /// The same, as far as it is now.
    #[must_use]
    pub fn leftovers(&self) -> Leftovers {
        *self.leftovers.borrow()
    }

    /// Notified when a helper does not start as too few descriptors are left.
    #[must_use]
    pub fn room_wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.room_wanted)
    }

    /// The mark of one more helper.
    pub(crate) fn next_mark(&self) -> Mark {
        Mark::new(self.start, self.helpers.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether a helper must not run without a cgroup.
    pub(crate) fn is_forced(&self) -> bool {
        self.options.containment == Containment::Cgroup
    }

    /// The cgroup for one helper, where there are any.
    pub(crate) fn group(&self, helper: &str, mark: Mark) -> Result<Option<cgroup::Group>, ProcessError> {
        match self.cgroup.as_ref().map(|parent| parent.child(&mark.cgroup())) {
            Some(Err(error)) if self.is_forced() => {
                self.lacking.note(ContainmentRung::Cgroup, error.to_string());
                Err(Self::no_cgroup(error.to_string()))
            }
            Some(Err(error)) => {
                self.lacking.note(ContainmentRung::Cgroup, error.to_string());
                tracing::warn!(helper, %error, "no cgroup for this helper; its guard contains it");
                Ok(None)
            }
            Some(Ok(group)) => Ok(Some(group)),
            None => Ok(None),
        }
    }

    pub(crate) fn no_cgroup(reason: String) -> ProcessError {
        let needs = "a cgroup v2 that this user may write, and Linux 5.14";
        ProcessError::Containment { rung: "cgroup", needs, reason }
    }

    pub(crate) fn no_namespace(reason: String) -> ProcessError {
        let needs = "root, or user namespaces for this user, and a /proc of which nothing is hidden";
        ProcessError::Containment { rung: "namespace", needs, reason }
    }

    /// The numbers of now. Waits for nothing.
    #[must_use]
    pub fn counts(&self) -> ProcessCounts {
        self.counters.now()
    }

    /// What holds the next helper, and why nothing better. Waits for nothing.
    #[must_use]
    pub fn held(&self) -> HeldDetails {
        let held = self.lacking.held(self.options.containment.into());
        let place = self.cgroup.as_ref().and_then(cgroup::Parent::place);
        let place = place.filter(|_| held.in_force == Some(ContainmentRung::Cgroup));
        HeldDetails {
            cgroup: place.map(|place| place.display().to_string()),
            subreaper: system::is_subreaper(),
            ..held
        }
    }

    /// How long helpers took to end that were told to. Waits for nothing.
    #[must_use]
    pub fn zeros(&self) -> &Durations {
        &self.counters.zeros
    }

    /// Goes to SIGKILL at once with every helper, those included that are being ended in stages: for a server that is
    /// asked a second time to stop.
    pub fn hurry(&self) {
        self.hurry.cancel();
    }

    /// Removes the cgroup. Every helper is to be stopped before.
    pub fn finish(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
    }

    pub(crate) fn guards(&self) -> MutexGuard<'_, HashSet<i32>> {
        // The set is whole whenever the lock is free, also after a panic.
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cgroup in which helpers get theirs, as far as `containment` wants one.
fn own_cgroup(
    containment: Containment,
    start: StartMark,
    lacking: &Lacking,
) -> io::Result<Option<cgroup::Parent>> {
    match containment {
        Containment::Guard | Containment::Namespace => Ok(None),
        Containment::Cgroup => cgroup::Parent::make(&start.cgroup()).map(Some),
        Containment::Auto => Ok(cgroup::Parent::make(&start.cgroup())
            .inspect_err(|error| {
                tracing::info!(%error, "helpers get no cgroup; their guards contain them");
                lacking.note(ContainmentRung::Cgroup, error.to_string());
            })
            .ok()),
    }
}
