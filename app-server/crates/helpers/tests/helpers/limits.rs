//! The limits of a helper hold for all its descendants, and a limit that cannot be enforced stops its start.

use skein_helpers::{Containment, HelperLimits, HelperSpec, Transport};

use crate::house::{BOUND, House};
use crate::processes::has_namespaces;

const MIB: u64 = 1 << 20;

fn limited(house: &House, script: &str, limits: HelperLimits) -> HelperSpec {
    let mut stdio = house.sh(script);
    stdio.limits = limits;
    HelperSpec { startup_timeout: BOUND, ..HelperSpec::reached("script", Transport::Stdio(stdio)) }
}

/// Soft and hard limit in a line of `/proc/PID/limits`.
fn both(line: &str, name: &str) -> [String; 2] {
    let mut words = line.strip_prefix(name).unwrap_or_else(|| panic!("{line:?}")).split_ascii_whitespace();
    [(); 2].map(|()| words.next().expect("two limits").to_owned())
}

#[tokio::test]
async fn limits_hold_for_a_helper_and_for_what_it_starts_and_not_for_others() {
    // The child has a session of its own, and the third reader is a helper without limits.
    let look = "grep -h -e 'open files' -e 'data size' -e 'resident' /proc/self/limits; nice";
    let script = format!("{look}; setsid sh -c \"{look}\"; exec cat");
    for containment in [Containment::Guard, Containment::Namespace] {
        if containment == Containment::Namespace && !has_namespaces() {
            continue;
        }
        let house = House::new(containment);
        let limits = HelperLimits { memory: Some(96 * MIB), files: Some(77), nice: Some(7), processes: None };
        let mut helper = house.start(&limited(&house, &script, limits));
        let mut plain = house.start(&house.script(&script));
        for _ in 0..2 {
            assert_eq!(both(&helper.line().await, "Max data size"), ["100663296", "100663296"]);
            assert_ne!(both(&helper.line().await, "Max resident set")[1], "unlimited", "the mark is kept");
            assert_eq!(both(&helper.line().await, "Max open files"), ["77", "77"]);
            assert_eq!(helper.line().await, "7");
            let own = std::fs::read_to_string("/proc/self/limits").expect("/proc is mounted");
            let own = |name| own.lines().find(|line| line.starts_with(name)).expect("every limit has a line");
            assert_eq!(
                both(&plain.line().await, "Max data size"),
                both(own("Max data size"), "Max data size")
            );
            let _resident = plain.line().await;
            assert_eq!(
                both(&plain.line().await, "Max open files"),
                both(own("Max open files"), "Max open files")
            );
            assert_ne!(plain.line().await, "7");
        }
        assert_eq!((helper.stop().await.survivors, plain.stop().await.survivors), (0, 0));
        house.finish().await;
    }
}

#[tokio::test]
async fn a_helper_that_takes_more_than_its_limits_is_refused_it() {
    let house = House::new(Containment::Guard);
    let files = "paste $(yes /dev/null | head -n MANY) 2>&1 >/dev/null | grep -o -m1 'Too many open files'";
    let memory = "dd if=/dev/zero of=/dev/null bs=MANYM count=1 2>&1 | grep -o -m1 -e exhausted -e copied";
    let script = [("20", "8"), ("100", "200")]
        .map(|(few, some)| {
            format!("{} || echo opened; {}", files.replace("MANY", few), memory.replace("MANY", some))
        })
        .join("; ");
    let limits = HelperLimits { memory: Some(64 * MIB), files: Some(64), ..HelperLimits::default() };
    let mut helper = house.start(&limited(&house, &format!("{script}; exec cat"), limits));
    for wanted in ["opened", "copied", "Too many open files", "exhausted"] {
        assert_eq!(helper.line().await, wanted);
    }
    helper.stop().await;
    // Without limits all of it works.
    let mut helper = house.start(&house.script(&format!("{script}; exec cat")));
    for wanted in ["opened", "copied", "opened", "copied"] {
        assert_eq!(helper.line().await, wanted);
    }
    helper.stop().await;
    house.finish().await;
}

#[tokio::test]
async fn a_limit_that_nobody_can_keep_is_an_error_with_key_value_and_reason() {
    let house = House::new(Containment::Guard);
    let most = std::fs::read_to_string("/proc/sys/fs/nr_open").expect("Linux has it");
    let too_many = most.trim().parse::<u64>().expect("a number") + 1;
    let limits = HelperLimits { files: Some(too_many), ..HelperLimits::default() };
    let helper = house.start(&limited(&house, "echo it runs", limits));
    let life = helper.life("it is over", |life| life.over.is_some()).await;
    let wanted = format!(
        "mcp_servers.script.limits.files = {too_many} cannot be kept: Operation not permitted (os error 1)"
    );
    assert_eq!((life.ended, life.lasting, life.pid), (Some(wanted), true, None));

    let limits = HelperLimits { processes: Some(9), ..HelperLimits::default() };
    let error =
        house.try_start(&limited(&house, "echo it runs", limits)).err().expect("an error").to_string();
    let wanted =
        "mcp_servers.script.limits.processes = 9 cannot be kept: it needs a cgroup of the helper's own";
    assert!(error.starts_with(wanted) && error.ends_with("; there is no cgroup"), "{error}");
    house.finish().await;
}

#[tokio::test]
async fn a_cgroup_keeps_the_number_of_processes_and_the_memory_of_all_together() {
    let house = House::new(Containment::Auto);
    let hundred = HelperLimits { processes: Some(100), ..HelperLimits::default() };
    // The refusal of a limit that needs a cgroup says why.
    if let Err(why) = house.try_start(&limited(&house, "exec cat", hundred)) {
        eprintln!("SKIPPED: limits by cgroup were not tested: {why}");
        return house.finish().await;
    }
    let limits = HelperLimits { processes: Some(5), ..HelperLimits::default() };
    let many = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait";
    let helper = house.start(&limited(&house, many, limits));
    let ended = helper.life("it ended", |life| life.ended.is_some()).await.ended.expect("just looked");
    assert!(ended.ends_with("more processes than its limits.processes = 5"), "{ended}");
    assert_eq!(helper.stop().await.survivors, 0);

    let controllers =
        house.cgroups().first().map(|group| std::fs::read_to_string(group.join("cgroup.controllers")));
    if !controllers.is_some_and(|all| all.is_ok_and(|all| all.contains("memory"))) {
        eprintln!("SKIPPED: cgroups have no memory controller here, so it was not tested");
        return house.finish().await;
    }
    let limits = HelperLimits { memory: Some(64 * MIB), ..HelperLimits::default() };
    let one = "head -c 50M /dev/zero | tail -c 50M | sleep 1000 &";
    let both = format!("{one} {one} wait");
    let helper = house.start(&limited(&house, &both, limits));
    let ended = helper.life("it ended", |life| life.ended.is_some()).await.ended.expect("just looked");
    let wanted = "killed by the kernel because it needed more than its limits.memory = \"64MiB\"";
    assert!(ended.contains(wanted), "{ended}");
    assert_eq!(helper.stop().await.survivors, 0);
    house.finish().await;
}
