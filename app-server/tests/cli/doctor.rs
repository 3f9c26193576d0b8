//! `skein doctor`: what it finds, and that a server says the same of itself.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{Serving, run, skein};

#[test]
fn the_doctor_says_what_holds_helpers_and_that_a_broken_setting_cannot_work() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let doctor = |more: &[&str]| {
        let (code, out, err) = run(&[&["doctor", "--home", home.to_str().unwrap()], more].concat());
        assert_eq!(err, "");
        (code, out)
    };
    let (code, out) = doctor(&["--json", "-c", "helpers.containment=guard"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{out}");
    assert_eq!((&report["configured"], &report["inForce"]), (&"guard".into(), &"guard".into()));
    assert_eq!(
        (&report["lacking"], &report["subreaper"], report.get("cgroup"), report.get("server")),
        (&json!([]), &json!(true), None, None)
    );
    let names: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    // Another program may have the usual port.
    let names: Vec<&str> = names.into_iter().filter(|name| *name != "port").collect();
    let all = [
        "settings",
        "cgroup",
        "guard",
        "namespace",
        "subreaper",
        "/proc",
        "descriptors",
        "memory",
        "home",
        "server",
    ];
    assert_eq!(names, all);
    assert!(!home.exists(), "looking makes nothing");

    let (code, out) = doctor(&["-c", "helpers.containment=jail"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("\"jail\" cannot be used"), "{out}");
    assert!(out.contains("server      ok        nobody has the home now"), "{out}");
}

#[test]
fn the_doctor_the_status_and_a_person_are_told_the_same_of_what_holds_helpers() {
    for containment in ["auto", "guard"] {
        let home = tempfile::tempdir().unwrap();
        let at = home.path().to_str().unwrap();
        let settings = format!("[helpers]\ncontainment = \"{containment}\"\n");
        fs::write(home.path().join("config.toml"), settings).unwrap();
        let serving = Serving::start(home.path());
        let json = |command: &str| {
            let (code, out, err) = run(&[command, "--json", "--home", at]);
            assert_eq!((code, err.as_str()), (Some(0), ""), "{command}: {out}");
            serde_json::from_str::<Value>(&out).unwrap()
        };
        let (report, status) = (json("doctor"), json("status"));
        let held = &status["helpers"]["held"];
        assert_eq!((&held["configured"], &held["subreaper"]), (&containment.into(), &true.into()));
        // Both run in the same cgroup, as the same user: what was tried is what is in force.
        for member in ["configured", "inForce", "cgroup", "lacking", "subreaper"] {
            assert_eq!(report.get(member), held.get(member), "{member}: {report} {held}");
        }
        let server = &report["server"];
        assert_eq!((&server["pid"], &server["address"]), (&status["pid"], &serving.ready["address"]));
        assert_eq!(&server["held"], held);
        let in_force = held["inForce"].as_str().unwrap();
        let words = if containment == "auto" {
            format!("helpers are held by {in_force}, the best that \"auto\" can have here")
        } else {
            "helpers are held by guard, as helpers.containment says".to_owned()
        };
        let (_, shown, _) = run(&["status", "--all", "--home", at]);
        assert!(shown.contains(&format!("containment   {words}")), "{shown}");
        let (_, said, _) = run(&["doctor", "--home", at]);
        let by = format!(
            "process {} (skein serve) has the home at {}; its {words}",
            status["pid"],
            server["address"].as_str().unwrap()
        );
        assert!(said.starts_with(&words) && said.contains(&by), "{said}");
        assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
    }
}

/// The program where cgroup v2 is mounted and of no use: below a file system that has no such files. `None` where this user may not
/// mount one in a namespace of his own, said loudly.
fn without_cgroups(arguments: &[&str]) -> Option<Command> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let place =
        mounts.lines().find(|line| line.contains(" - cgroup2 ")).map(|line| line.split(' ').nth(4).unwrap());
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    // Where none is mounted at all this finds an empty place, and changes nothing.
    let script = r#"[ -z "$1" ] || mount -t tmpfs none "$1" || exit 99; shift; exec "$@""#;
    command.args([script, "sh", place.unwrap_or_default()]);
    let mut tried = Command::new(command.get_program());
    if !tried.args(command.get_args()).arg("true").output().is_ok_and(|done| done.status.success()) {
        eprintln!("SKIPPED: no mount namespace can be had, so a server without cgroups was not tested");
        return None;
    }
    let wanted = skein(arguments);
    command.arg(wanted.get_program()).args(wanted.get_args());
    command.env_remove("SKEIN_HOME").env_remove("SKEIN_LOG").env_remove("XDG_DATA_HOME");
    Some(command)
}

#[test]
fn where_no_cgroup_can_be_had_doctor_and_status_say_why_and_a_demand_fails() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().to_str().unwrap();
    let Some(mut doctor) = without_cgroups(&["doctor", "--json", "--home", at]) else { return };
    let json = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap();
    let report = json(&doctor.output().unwrap().stdout);
    assert_eq!((&report["ok"], &report["inForce"]), (&true.into(), &"guard".into()), "{report}");
    let [lack] = &report["lacking"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!(lack["rung"], "cgroup");
    assert!(lack["reason"].as_str().unwrap().contains("cgroup"), "where and why: {lack}");
    assert!(lack["wayOut"].as_str().unwrap().contains("Delegate=yes"), "{lack}");
    let finding = report["findings"].as_array().unwrap().iter().find(|one| one["name"] == "cgroup").unwrap();
    assert_eq!((&finding["state"], &finding["text"]), (&"warning".into(), &lack["reason"]));

    let arguments = ["serve", "--listen", "ws://127.0.0.1:0", "--home", at];
    let serving = Serving::run(without_cgroups(&arguments).unwrap());
    // Asked from outside, where there are cgroups: the server's own word counts for the server.
    let (_, out, _) = run(&["status", "--json", "--home", at]);
    let held = &json(out.as_bytes())["helpers"]["held"];
    assert_eq!((&held["inForce"], &held["lacking"]), (&"guard".into(), &report["lacking"]));
    let (_, out, _) = run(&["doctor", "--json", "--home", at]);
    assert_eq!(&json(out.as_bytes())["server"]["held"], held, "{out}");
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));

    let demand = [&arguments[..], &["-c", "helpers.containment=cgroup"]].concat();
    let refused = without_cgroups(&demand).unwrap().output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(lack["reason"].as_str().unwrap()), "{said}");
}

#[test]
fn the_doctor_names_a_server_that_does_not_answer() {
    let home = tempfile::tempdir().unwrap();
    let serving = Serving::start(home.path());
    let pid = Pid::from_raw(i32::try_from(serving.child.id()).unwrap());
    // Out of its reach, as of another user or after a fault: nobody listens where the home says.
    fs::remove_file(home.path().join("control.sock")).unwrap();
    let (code, out, _) = run(&["doctor", "--json", "--home", home.path().to_str().unwrap()]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0), "a warning is no error: {out}");
    assert_eq!((&report["server"]["pid"], report["server"].get("held")), (&pid.as_raw().into(), None));
    let said = report["findings"].as_array().unwrap().last().unwrap();
    assert_eq!((&said["name"], &said["state"]), (&"server".into(), &"warning".into()));
    assert!(said["text"].as_str().unwrap().contains("does not answer"), "{said}");
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}
