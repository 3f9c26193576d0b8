//! The isolation levels that this machine supports, according to `skein doctor`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

use crate::home::PID_ONE;
use crate::paths;

/// Every isolation level, as in `helpers.containment`.
pub const LEVELS: [&str; 4] = ["auto", "guard", "cgroup", "namespace"];

/// The part of `skein doctor --json` that matters here.
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

/// The available levels of [`LEVELS`]. Prints the unavailable ones, with the reason.
///
/// # Panics
/// Panics if `skein doctor` fails, or finds no namespace although another program gets one. That would be a
/// fault of Skein, and no reason to test less.
pub fn available() -> &'static [&'static str] {
    static FOUND: OnceLock<Vec<&'static str>> = OnceLock::new();
    FOUND.get_or_init(|| found(&[]))
}

/// The available levels for a server that is PID 1, if a program can be PID 1.
///
/// # Panics
/// Panics like [`available`].
pub fn available_to_pid_one() -> &'static [&'static str] {
    static FOUND: OnceLock<Vec<&'static str>> = OnceLock::new();
    FOUND.get_or_init(|| found(&PID_ONE))
}

/// The available levels for a server that the program `by` starts.
fn found(by: &[&str]) -> Vec<&'static str> {
    let doctor = doctor(by).unwrap_or_else(|error| panic!("skein doctor: {error:#}"));
    let missing = |level: &str| doctor.findings.iter().find(|one| one.name == level && one.state != "ok");
    LEVELS.into_iter().filter(|level| missing(level).is_none_or(|why| skip(by, level, why))).collect()
}

/// Whether the level `namespace` is available.
pub fn has_namespaces() -> bool {
    available().contains(&"namespace")
}

fn skip(by: &[&str], level: &str, why: &Finding) -> bool {
    assert!(level != "guard", "no guard, so no helper at all: {}", why.text);
    assert!(
        level != "namespace" || !others_have_namespaces(by),
        "another program gets a namespace here, but Skein does not: {}",
        why.text
    );
    eprintln!("SKIPPED: {}, so the level {level:?} was not tested", why.text);
    false
}

/// Whether `unshare` of util-linux gets the resources of this level.
fn others_have_namespaces(by: &[&str]) -> bool {
    let mut unshare = command(by, PID_ONE[0].as_ref());
    unshare.args(&PID_ONE[1..]).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    unshare.status().is_ok_and(|status| status.success())
}

fn doctor(by: &[&str]) -> anyhow::Result<Doctor> {
    let home = tempfile::tempdir()?;
    let asked =
        command(by, &paths::skein()?).args(["doctor", "--json", "--home"]).arg(home.path()).output()?;
    // The exit code also judges the settings, which do not matter here.
    Ok(serde_json::from_slice(&asked.stdout)?)
}

/// The command for `program`, started by the program `by` if there is one.
fn command(by: &[&str], program: &Path) -> Command {
    let [first, rest @ ..] = by else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}
