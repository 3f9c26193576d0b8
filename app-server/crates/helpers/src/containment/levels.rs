//! The means of holding helpers: their words, which of them is in force, why a better one is not, and the way out. Said here
//! once, for `skein doctor`, `skein/status` and the metrics.
//!
//! The report has what the server's start has found, or the newest helper since. Under `"auto"` one helper may be without a cgroup and
//! the next have one: the counts in `helpers.containment` say what holds those that live, `helpers.held` what holds the next. The
//! values `"cgroup"` and `"namespace"` are demands: a helper that cannot have its means does not run. A doctor tries each means itself,
//! from its own cgroup and as its own user; its words about a running server are that server's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use skein_protocol::extension::{ContainmentRung, ContainmentSetting, HeldDetails, LackDetails};

/// How a helper's processes are kept together (`helpers.containment`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Containment {
    /// A cgroup beside the guard where one can be made.
    #[default]
    Auto,
    /// The guard alone.
    Guard,
    /// A cgroup beside the guard, or the server does not start; a helper that cannot enter its own does not either.
    Cgroup,
    /// A PID namespace for each helper beside the guard; a helper that gets none does not start.
    Namespace,
}

impl From<Containment> for ContainmentSetting {
    fn from(containment: Containment) -> Self {
        match containment {
            Containment::Auto => Self::Auto,
            Containment::Guard => Self::Guard,
            Containment::Cgroup => Self::Cgroup,
            Containment::Namespace => Self::Namespace,
        }
    }
}

/// The means that `configured` uses, the best first.
fn wanted(configured: ContainmentSetting) -> &'static [ContainmentRung] {
    match configured {
        ContainmentSetting::Auto => &[ContainmentRung::Cgroup, ContainmentRung::Guard],
        ContainmentSetting::Guard => &[ContainmentRung::Guard],
        ContainmentSetting::Cgroup => &[ContainmentRung::Cgroup],
        ContainmentSetting::Namespace => &[ContainmentRung::Namespace],
    }
}

/// What holds helpers where `lacking` cannot be had. A guard is beside every other means: without one no helper starts.
#[must_use]
pub fn held(configured: ContainmentSetting, lacking: &[LackDetails]) -> HeldDetails {
    let lack = |rung: &ContainmentRung| lacking.iter().find(|lack| lack.rung == *rung);
    let wanted = wanted(configured);
    let guard = lack(&ContainmentRung::Guard);
    let in_force = wanted.iter().copied().find(|rung| lack(rung).is_none());
    let better = wanted.iter().filter(|rung| **rung != ContainmentRung::Guard).map_while(lack);
    HeldDetails {
        configured,
        in_force: in_force.filter(|_| guard.is_none()),
        lacking: better.chain(guard).cloned().collect(),
        ..HeldDetails::default()
    }
}

/// That `rung` cannot be had, why, and what its user can do.
#[must_use]
pub fn lack(rung: ContainmentRung, reason: String) -> LackDetails {
    let way_out = match rung {
        ContainmentRung::Cgroup => {
            "run the server in a cgroup v2 that its user may write (systemd: Delegate=yes), on Linux 5.14 or later"
        }
        ContainmentRung::Guard => "see the reason; without a guard no helper can be started",
        ContainmentRung::Namespace => {
            "be root, or allow this user user namespaces; in a container also a /proc of which nothing is hidden"
        }
    };
    LackDetails { rung, reason, way_out: way_out.to_owned() }
}

/// What holds helpers, in a sentence, and why nothing better.
#[must_use]
pub fn story(held: &HeldDetails) -> String {
    let lacking = held.lacking.iter().map(|lack| format!("; no {}: {}", lack.rung, lack.reason));
    std::iter::once(sentence(held)).chain(lacking).collect()
}

/// What holds helpers, in a sentence.
#[must_use]
pub fn sentence(held: &HeldDetails) -> String {
    match (held.in_force, held.configured) {
        (Some(rung), ContainmentSetting::Auto) => {
            format!("helpers are held by {rung}, the best that \"auto\" can have here")
        }
        (Some(rung), _) => format!("helpers are held by {rung}, as helpers.containment says"),
        (None, configured) => {
            format!("helpers.containment = \"{configured}\" cannot be had: no helper starts")
        }
    }
}

/// Which means could not be had, at the server's start and by the newest helper.
#[derive(Debug, Default)]
pub(crate) struct Lacking(Mutex<Vec<LackDetails>>);

impl Lacking {
    /// `rung` could not be had.
    pub(crate) fn note(&self, rung: ContainmentRung, reason: String) {
        let mut all = self.all();
        all.retain(|lack| lack.rung != rung);
        all.push(lack(rung, reason));
    }

    /// `rung` holds a helper now, and a guard with it.
    pub(crate) fn note_holds(&self, rung: ContainmentRung) {
        self.all().retain(|lack| lack.rung != rung && lack.rung != ContainmentRung::Guard);
    }

    /// What holds the next helper.
    pub(crate) fn held(&self, configured: ContainmentSetting) -> HeldDetails {
        held(configured, &self.all())
    }

    fn all(&self) -> MutexGuard<'_, Vec<LackDetails>> {
        // The list is whole whenever the lock is free, also after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ContainmentRung::{Cgroup, Guard, Namespace};

    fn lacks(rungs: &[ContainmentRung]) -> Vec<LackDetails> {
        rungs.iter().map(|rung| lack(*rung, format!("{rung} fails"))).collect()
    }

    fn told(configured: ContainmentSetting, lacking: &[ContainmentRung]) -> String {
        story(&held(configured, &lacks(lacking)))
    }

    #[test]
    fn auto_takes_the_best_that_can_be_had_and_a_demand_nothing_else() {
        use ContainmentSetting as Set;
        let table: [(_, &[ContainmentRung], _, &[ContainmentRung]); 9] = [
            (Set::Auto, &[], Some(Cgroup), &[]),
            (Set::Auto, &[Namespace], Some(Cgroup), &[]),
            (Set::Auto, &[Cgroup], Some(Guard), &[Cgroup]),
            (Set::Auto, &[Guard, Cgroup], None, &[Cgroup, Guard]),
            (Set::Guard, &[Cgroup, Namespace], Some(Guard), &[]),
            (Set::Cgroup, &[Cgroup], None, &[Cgroup]),
            (Set::Cgroup, &[Guard], None, &[Guard]),
            (Set::Namespace, &[Cgroup], Some(Namespace), &[]),
            (Set::Namespace, &[Namespace], None, &[Namespace]),
        ];
        for (configured, lacking, in_force, named) in table {
            let found = held(configured, &lacks(lacking));
            assert_eq!(
                (found.configured, found.in_force),
                (configured, in_force),
                "{configured} {lacking:?}"
            );
            let found: Vec<ContainmentRung> = found.lacking.iter().map(|lack| lack.rung).collect();
            assert_eq!(found, named, "{configured} without {lacking:?}");
        }
    }

    #[test]
    fn a_person_reads_what_holds_and_why_nothing_better() {
        let best = "the best that \"auto\" can have here";
        assert_eq!(told(ContainmentSetting::Auto, &[]), format!("helpers are held by cgroup, {best}"));
        let without = format!("helpers are held by guard, {best}; no cgroup: cgroup fails");
        assert_eq!(told(ContainmentSetting::Auto, &[Cgroup]), without);
        let demanded = "helpers are held by guard, as helpers.containment says";
        assert_eq!(told(ContainmentSetting::Guard, &[Cgroup]), demanded);
        let none = "helpers.containment = \"namespace\" cannot be had: no helper starts; no namespace: namespace fails";
        assert_eq!(told(ContainmentSetting::Namespace, &[Namespace]), none);
    }

    #[test]
    fn the_newest_helper_says_what_can_be_had() {
        let lacking = Lacking::default();
        let now = || lacking.held(ContainmentSetting::Auto);
        assert_eq!(now().in_force, Some(Cgroup));
        lacking.note(Cgroup, "first".to_owned());
        lacking.note(Cgroup, "then".to_owned());
        assert_eq!((now().in_force, now().lacking[0].reason.as_str()), (Some(Guard), "then"));
        // A helper that its guard alone holds says nothing of groups.
        lacking.note(Guard, "no more descriptors".to_owned());
        assert_eq!((now().in_force, now().lacking.len()), (None, 2));
        lacking.note_holds(Guard);
        assert_eq!((now().in_force, now().lacking.len()), (Some(Guard), 1));
        lacking.note(Guard, "no more descriptors".to_owned());
        lacking.note_holds(Cgroup);
        assert_eq!(now(), held(ContainmentSetting::Auto, &[]));
    }
}
