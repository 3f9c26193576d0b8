//! The isolation levels of helpers: the effective one, the unavailable ones with their reasons, and what a user can do. The one source
//! of these texts for `skein doctor`, `skein/status` and the metrics.
//!
//! The report shows the findings of the server's start, or of the newest helper since. Under `"auto"` one helper may have a cgroup and
//! the next none: `helpers.containment` counts the levels of live helpers, `helpers.held` shows the level of the next. The values
//! `"cgroup"` and `"namespace"` are demands: a helper without its level does not run. A doctor tries each level itself, from its own
//! cgroup and as its own user; about a running server it repeats that server's report.

use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skein_protocol::extension::{ContainmentRung, ContainmentSetting, HeldDetails, LackDetails};

/// The containment of helpers' processes (`helpers.containment`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Containment {
    /// A guard, and a cgroup if the system permits one.
    #[default]
    Auto,
    /// A guard alone.
    Guard,
    /// A guard and a cgroup. Without a cgroup the server does not start, nor a helper that cannot enter its own.
    Cgroup,
    /// A guard and a PID namespace. A helper without a namespace does not start.
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

/// The isolation levels that `configured` permits, the best first.
fn wanted(configured: ContainmentSetting) -> &'static [ContainmentRung] {
    match configured {
        ContainmentSetting::Auto => &[ContainmentRung::Cgroup, ContainmentRung::Guard],
        ContainmentSetting::Guard => &[ContainmentRung::Guard],
        ContainmentSetting::Cgroup => &[ContainmentRung::Cgroup],
        ContainmentSetting::Namespace => &[ContainmentRung::Namespace],
    }
}

/// The effective isolation level when `lacking` are unavailable. Every level needs a guard: without one no helper starts.
pub fn effective(configured: ContainmentSetting, lacking: &[LackDetails]) -> HeldDetails {
    let lack = |level: &ContainmentRung| lacking.iter().find(|lack| lack.rung == *level);
    let wanted = wanted(configured);
    let guard = lack(&ContainmentRung::Guard);
    let in_force = wanted.iter().copied().find(|level| lack(level).is_none());
    let better = wanted.iter().filter(|level| **level != ContainmentRung::Guard).map_while(lack);
    HeldDetails {
        configured,
        in_force: in_force.filter(|_| guard.is_none()),
        lacking: better.chain(guard).cloned().collect(),
        ..HeldDetails::default()
    }
}

/// Reports that a level is unavailable, with the reason and what its user can do.
pub fn unavailable(level: ContainmentRung, reason: String) -> LackDetails {
    let way_out = match level {
        ContainmentRung::Cgroup => {
            "run the server in a cgroup v2 that its user may write (systemd: Delegate=yes), on Linux 5.14 or later"
        }
        ContainmentRung::Guard => "see the reason; without a guard no helper can be started",
        ContainmentRung::Namespace => {
            "be root, or allow this user user namespaces; in a container also a /proc of which nothing is hidden"
        }
    };
    LackDetails { rung: level, reason, way_out: way_out.to_owned() }
}

/// The effective isolation level in a sentence, with the reasons for the unavailable ones.
pub fn summary(held: &HeldDetails) -> String {
    let lacking = held.lacking.iter().map(|lack| format!("; no {}: {}", lack.rung, lack.reason));
    std::iter::once(headline(held)).chain(lacking).collect()
}

/// The effective isolation level in a sentence.
pub fn headline(held: &HeldDetails) -> String {
    match (held.in_force, held.configured) {
        (Some(level), ContainmentSetting::Auto) => {
            format!("helpers are held by {level}, the best that \"auto\" can have here")
        }
        (Some(level), _) => format!("helpers are held by {level}, as helpers.containment says"),
        (None, configured) => {
            format!("helpers.containment = \"{configured}\" cannot be had: no helper starts")
        }
    }
}

/// The unavailable levels, by the server's start and the newest helper.
#[derive(Debug, Default)]
pub(crate) struct Unavailable(Mutex<Vec<LackDetails>>);

impl Unavailable {
    /// Notes that a level is unavailable.
    pub(crate) fn note(&self, level: ContainmentRung, reason: String) {
        let mut all = self.all();
        all.retain(|lack| lack.rung != level);
        all.push(unavailable(level, reason));
    }

    /// Notes that a helper runs at this level, with a guard.
    pub(crate) fn note_holds(&self, level: ContainmentRung) {
        self.all().retain(|lack| lack.rung != level && lack.rung != ContainmentRung::Guard);
    }

    /// The effective level of the next helper.
    pub(crate) fn held(&self, configured: ContainmentSetting) -> HeldDetails {
        effective(configured, &self.all())
    }

    fn all(&self) -> MutexGuard<'_, Vec<LackDetails>> {
        // The list is consistent whenever the lock is free, also after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ContainmentRung::{Cgroup, Guard, Namespace};

    fn lacks(levels: &[ContainmentRung]) -> Vec<LackDetails> {
        levels.iter().map(|level| unavailable(*level, format!("{level} fails"))).collect()
    }

    fn summary_of(configured: ContainmentSetting, lacking: &[ContainmentRung]) -> String {
        summary(&effective(configured, &lacks(lacking)))
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
            let found = effective(configured, &lacks(lacking));
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
        assert_eq!(summary_of(ContainmentSetting::Auto, &[]), format!("helpers are held by cgroup, {best}"));
        let without = format!("helpers are held by guard, {best}; no cgroup: cgroup fails");
        assert_eq!(summary_of(ContainmentSetting::Auto, &[Cgroup]), without);
        let demanded = "helpers are held by guard, as helpers.containment says";
        assert_eq!(summary_of(ContainmentSetting::Guard, &[Cgroup]), demanded);
        let none = "helpers.containment = \"namespace\" cannot be had: no helper starts; no namespace: namespace fails";
        assert_eq!(summary_of(ContainmentSetting::Namespace, &[Namespace]), none);
    }

    #[test]
    fn the_newest_helper_says_what_can_be_had() {
        let lacking = Unavailable::default();
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
        assert_eq!(now(), effective(ContainmentSetting::Auto, &[]));
    }
}
