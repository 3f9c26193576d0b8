//! Isolation levels: the demanded, the available, and the reports about them.

use skein_helpers::{Containment, Stage};
use skein_protocol::extension::ContainmentRung;

use crate::house::House;
use crate::processes::STUBBORN;

/// The folder in which this house makes the groups of its helpers. `None` where cgroup v2 cannot be written, with a note on stderr.
fn cgroups_folder(house: &House) -> Option<std::path::PathBuf> {
    let found = house.cgroups().pop();
    if found.is_none() {
        eprintln!(
            "SKIPPED: cgroup v2 cannot be written here, so the isolation level \"cgroup\" was not tested"
        );
    }
    found
}

/// The level in force, and the unavailable ones.
fn lacking(house: &House) -> (Option<ContainmentRung>, Vec<ContainmentRung>) {
    let held = house.host.isolation();
    (held.in_force, held.lacking.iter().map(|lack| lack.rung).collect())
}

#[tokio::test]
async fn a_demanded_cgroup_that_cannot_be_made_fails_the_helper_and_auto_does_without() {
    for (containment, forced) in [(Containment::Auto, false), (Containment::Cgroup, true)] {
        if forced && cgroups_folder(&House::new(Containment::Auto)).is_none() {
            return;
        }
        let house = House::new(containment);
        let Some(folder) = cgroups_folder(&house) else { return };
        std::fs::write(folder.join("cgroup.max.descendants"), "0").expect("it is ours");
        match house.try_start(&house.script("echo up; exec cat")) {
            Err(error) => {
                assert!(forced, "{error}");
                let output = error.to_string();
                let wanted =
                    "helpers.containment = \"cgroup\" is demanded, and cannot be had for this helper: ";
                assert!(output.starts_with(wanted), "{output}");
                assert_eq!(lacking(&house), (None, vec![ContainmentRung::Cgroup]));
            }
            Ok(mut helper) => {
                assert!(!forced, "it runs without the group that was demanded");
                assert_eq!(helper.line().await, "up");
                assert_eq!((house.host.counts().by_guard, house.host.counts().by_cgroup), (1, 0));
                helper.life("it runs", |life| life.pid.is_some()).await;
                assert_eq!(lacking(&house), (Some(ContainmentRung::Guard), vec![ContainmentRung::Cgroup]));
                helper.stop().await;
                // The finding of the newest helper counts, not that of the start.
                std::fs::write(folder.join("cgroup.max.descendants"), "max").expect("it is ours");
                let next = house.start(&house.script("exec cat"));
                next.life("it runs", |life| life.pid.is_some()).await;
                assert_eq!(lacking(&house), (Some(ContainmentRung::Cgroup), vec![]));
                next.stop().await;
            }
        }
        house.finish().await;
    }
}

#[tokio::test]
async fn a_demanded_cgroup_that_cannot_be_entered_fails_the_helper_and_auto_does_without() {
    for containment in [Containment::Auto, Containment::Cgroup] {
        if cgroups_folder(&House::new(Containment::Auto)).is_none() {
            return;
        }
        let house = House::new(containment);
        let Some(folder) = cgroups_folder(&house) else { return };
        // Groups that are made below a threaded one cannot be entered until they are told what they are.
        std::fs::write(folder.join("cgroup.type"), "threaded").expect("it is ours");
        let mut helper = house.start(&house.script("echo up; exec cat"));
        if containment == Containment::Cgroup {
            let ended = helper.life("it is over", |life| life.over.is_some()).await.ended;
            let ended = ended.expect("it is over");
            let wanted = "helpers.containment = \"cgroup\" is demanded, and cannot be had for this helper: ";
            assert!(ended.starts_with(wanted), "{ended}");
            assert!(helper.stdout.next_line().await.expect("text").is_none(), "its program ran");
            assert_eq!(lacking(&house), (None, vec![ContainmentRung::Cgroup]));
        } else {
            assert_eq!(helper.line().await, "up");
            // Told behind the group that it could not enter.
            helper.life("it runs", |life| life.pid.is_some()).await;
            assert_eq!((house.host.counts().by_guard, house.host.counts().by_cgroup), (1, 0));
            let held = house.host.isolation();
            assert_eq!(lacking(&house), (Some(ContainmentRung::Guard), vec![ContainmentRung::Cgroup]));
            assert_eq!(held.cgroup, None);
            let reason = &held.lacking[0].reason;
            assert!(reason.starts_with("a helper could not enter its group: "), "{reason}");
            helper.stop().await;
        }
        house.finish().await;
    }
}

#[tokio::test]
async fn each_demanded_isolation_level_is_in_force() {
    let has_groups = cgroups_folder(&House::new(Containment::Auto)).is_some();
    let levels = [(Containment::Guard, (1, 0)), (Containment::Cgroup, (0, 1))];
    for (containment, held) in levels.into_iter().filter(|(_, held)| *held == (1, 0) || has_groups) {
        let house = House::new(containment);
        let mut helper = house.start(&house.script(STUBBORN));
        let pids = [helper.pid().await, helper.pid().await];
        let counts = house.host.counts();
        assert_eq!((counts.by_guard, counts.by_cgroup), held);
        let says = house.host.isolation();
        let level = if held == (0, 1) { ContainmentRung::Cgroup } else { ContainmentRung::Guard };
        assert_eq!((says.in_force, says.lacking, says.subreaper), (Some(level), vec![], true));
        let place = house.cgroups().pop().map(|folder| folder.with_file_name("").display().to_string());
        assert_eq!(says.cgroup.map(|folder| folder + "/"), place);
        for pid in pids {
            let group = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives");
            assert_eq!(group.contains("/skein-"), held == (0, 1), "{containment:?}: {group}");
        }
        assert_eq!(house.host.stop_times().taken().count, 0);
        let report = helper.stop().await;
        assert_eq!((report.survivors, report.stage), (0, Some(Stage::Kill)));
        let zeros = house.host.stop_times().taken();
        assert_eq!((zeros.count, zeros.last_ms), (1, u64::try_from(report.took.as_millis()).ok()));
        house.finish().await;
    }
}
