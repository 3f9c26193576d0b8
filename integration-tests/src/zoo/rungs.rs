//! Which means of holding helpers this machine has: `skein doctor` tries them, and says so.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

use crate::home::PID_ONE;
use crate::paths;

/// Every means by which helpers can be held, as `helpers.containment` has them.
pub const RUNGS: [&str; 4] = ["auto", "guard", "cgroup", "namespace"];

/// What `skein doctor --json` prints, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Doctor {
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    name: String,
    state: String,
    text: String,
}

/// Those of [`RUNGS`] that can be had here; says which cannot, and why.
///
/// # Panics
/// When `skein doctor` cannot be asked, or finds no namespace where another program has one: that would be a fault of ours, and
/// no reason to test less.
#[must_use]
pub fn available() -> &'static [&'static str] {
    static FOUND: OnceLock<Vec<&'static str>> = OnceLock::new();
    FOUND.get_or_init(|| found(&[]))
}

/// The same for a server that is PID 1, where a program can be that.
///
/// # Panics
/// As [`available`].
#[must_use]
pub fn available_to_pid_one() -> &'static [&'static str] {
    static FOUND: OnceLock<Vec<&'static str>> = OnceLock::new();
    FOUND.get_or_init(|| found(&PID_ONE))
}

/// Those that a server has that is run by the program `by`.
fn found(by: &[&str]) -> Vec<&'static str> {
    let doctor = doctor(by).unwrap_or_else(|error| panic!("skein doctor: {error:#}"));
    let missing = |rung: &str| doctor.findings.iter().find(|one| one.name == rung && one.state != "ok");
    RUNGS.into_iter().filter(|rung| missing(rung).is_none_or(|why| skip(by, rung, why))).collect()
}

/// Whether the rung `namespace` is one of them.
#[must_use]
pub fn has_namespaces() -> bool {
    available().contains(&"namespace")
}

fn skip(by: &[&str], rung: &str, why: &Finding) -> bool {
    assert!(rung != "guard", "no guard, so no helper at all: {}", why.text);
    assert!(
        rung != "namespace" || !others_have_namespaces(by),
        "another program has a namespace here, and ours: {}",
        why.text
    );
    eprintln!("SKIPPED: {}, so the rung {rung:?} was not tested", why.text);
    false
}

/// Whether `unshare` of util-linux can have what this rung needs.
fn others_have_namespaces(by: &[&str]) -> bool {
    let mut unshare = command(by, PID_ONE[0].as_ref());
    unshare.args(&PID_ONE[1..]).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    unshare.status().is_ok_and(|status| status.success())
}

fn doctor(by: &[&str]) -> anyhow::Result<Doctor> {
    let home = tempfile::tempdir()?;
    let asked =
        command(by, &paths::skein()?).args(["doctor", "--json", "--home"]).arg(home.path()).output()?;
    // Its exit code judges the settings too, which are none of ours.
    Ok(serde_json::from_slice(&asked.stdout)?)
}

/// `program`, run by the program `by` where there is one.
fn command(by: &[&str], program: &Path) -> Command {
    let [first, rest @ ..] = by else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}
