//! `skein doctor`: what would hold helpers here, tried and not guessed, and what is wrong with a home and its settings.
//! Changes nothing; the home may be served meanwhile.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use nix::unistd::{AccessFlags, access};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use skein_app_server::clock::Clock;
use skein_app_server::config::{Config, Flags};
use skein_app_server::helpers::{
    Containment, GuardProgram, HelperProcess, HelperSpec, HomeMark, HostOptions, MISSING, ProcessHost,
    StdioSpec, Transport, carriers,
};
use skein_app_server::home::{self, HomePaths, holder};
use skein_app_server::policy;
use skein_app_server::tasks::Tasks;
use tokio::io::AsyncReadExt;

use super::print_line;

#[derive(Debug, Args)]
pub struct Doctor {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// A setting over those of config.toml, as of `skein serve`.
    #[arg(short = 'c', value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Print the findings as JSON, on one line.
    #[arg(long)]
    json: bool,
}

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    Ok,
    /// It works less well than it might, or only without this.
    Warning,
    /// What is configured cannot work.
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    name: &'static str,
    state: State,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    way_out: Option<&'static str>,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Nothing that is configured is known not to work.
    ok: bool,
    /// `helpers.containment`; the default where the settings cannot be used.
    configured: &'static str,
    /// What would hold helpers; nothing where what is demanded cannot be had.
    in_force: Option<&'static str>,
    findings: Vec<Finding>,
}

/// Means of holding helpers, each tried for itself; the best that `auto` would use comes first.
const RUNGS: [(&str, Containment, &str); 3] = [
    (
        "cgroup",
        Containment::Cgroup,
        "run the server in a cgroup v2 that its user may write (systemd: Delegate=yes), on Linux 5.14 or later",
    ),
    ("guard", Containment::Guard, "see the reason; without a guard no helper can be started"),
    (
        "namespace",
        Containment::Namespace,
        "be root, or allow this user user namespaces; in a container also a /proc of which nothing is hidden",
    ),
];

impl Doctor {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let flags = Flags { home: self.home.clone(), settings: self.settings, ..Flags::default() };
        let (configured, mut findings) = settings(&flags);
        let mut works = Vec::new();
        for (name, rung, way_out) in RUNGS {
            let tried = try_rung(rung).await;
            if tried.is_ok() {
                works.push(rung);
            }
            findings.push(judge(name, tried, rung_is_needed(rung, configured), way_out));
        }
        let in_force = in_force(configured, &works);
        findings.extend([proc(), descriptors()]);
        findings.extend(about_home(&super::home(self.home.as_ref())?));
        let ok = findings.iter().all(|finding| finding.state != State::Error);
        let report = Report { ok, configured: word(configured), in_force: in_force.map(word), findings };
        let text = if self.json { serde_json::to_string(&report).context("JSON")? } else { table(&report) };
        print_line(&text)?;
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A line for what is in force, then one for each finding, with its way out below it.
fn table(report: &Report) -> String {
    let in_force = match (report.in_force, report.configured) {
        (Some(rung), "auto") => format!("helpers are held by {rung}, the best that \"auto\" can have here"),
        (Some(rung), _) => format!("helpers are held by {rung}, as helpers.containment says"),
        (None, configured) => format!("helpers.containment = {configured:?} cannot be had: no helper starts"),
    };
    let lines = report.findings.iter().flat_map(|finding| {
        let state = match finding.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Error => "error",
        };
        let way_out = finding.way_out.map(|way_out| format!("{:22}{way_out}", ""));
        [Some(format!("{:<12}{state:<10}{}", finding.name, finding.text)), way_out].into_iter().flatten()
    });
    std::iter::once(in_force).chain(lines).collect::<Vec<_>>().join("\n")
}

fn word(containment: Containment) -> &'static str {
    match containment {
        Containment::Auto => "auto",
        Containment::Guard => "guard",
        Containment::Cgroup => "cgroup",
        Containment::Namespace => "namespace",
    }
}

/// Whether helpers cannot start without it. A guard is beside every other means.
fn rung_is_needed(rung: Containment, configured: Containment) -> bool {
    rung == configured || rung == Containment::Guard
}

/// What would hold helpers.
fn in_force(configured: Containment, works: &[Containment]) -> Option<Containment> {
    let wanted: &[Containment] = match configured {
        Containment::Auto => &[Containment::Cgroup, Containment::Guard],
        Containment::Guard => &[Containment::Guard],
        Containment::Cgroup => &[Containment::Cgroup],
        Containment::Namespace => &[Containment::Namespace],
    };
    wanted.iter().copied().find(|wanted| works.contains(wanted))
}

fn judge(
    name: &'static str,
    tried: Result<Duration, String>,
    needed: bool,
    way_out: &'static str,
) -> Finding {
    match tried {
        Ok(took) => {
            let text = format!("a helper was held by it, and gone {} ms after its start", took.as_millis());
            Finding { name, state: State::Ok, text, way_out: None }
        }
        Err(text) => {
            let state = if needed { State::Error } else { State::Warning };
            Finding { name, state, text, way_out: Some(way_out) }
        }
    }
}

/// Has a helper of our own, which ends by itself, held by `rung` and nothing else. How long that took, or why it cannot be.
async fn try_rung(rung: Containment) -> Result<Duration, String> {
    let start = Clock.now();
    let tasks = Tasks::new();
    // A home that nobody else has: what a server's helpers carry is none of ours.
    let home = HomeMark::of(&[b"doctor", Clock.new_id().as_bytes()]);
    let options = HostOptions {
        guard: GuardProgram::current().map_err(|error| error.to_string())?,
        tasks: tasks.clone(),
        clock: Clock,
        stop_grace: policy::HELPER_STOP_GRACE,
        liveness: policy::HELPER_LIVENESS,
        containment: rung,
        exclusive: false,
        home,
    };
    let host = ProcessHost::start(options).map_err(|error| error.to_string())?;
    host.swept().await;
    let ran = run_helper(&host).await;
    tasks.finish().await;
    host.finish();
    ran.map(|()| Clock.now() - start)
}

/// Has this program say its version below a guard.
async fn run_helper(host: &std::sync::Arc<ProcessHost>) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let stdio = StdioSpec {
        command: program.to_string_lossy().into_owned(),
        args: vec!["--version".to_owned()],
        ..StdioSpec::default()
    };
    let spec = HelperSpec::reached("doctor", Transport::Stdio(stdio));
    let (process, mut pipes) =
        HelperProcess::start(host, &spec, Path::new("/")).map_err(|error| error.to_string())?;
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

/// How helpers are to be held, and what is wrong with the settings.
fn settings(flags: &Flags) -> (Containment, Vec<Finding>) {
    let name = "settings";
    match Config::load(flags) {
        Err(errors) => {
            let finding = |error: &dyn std::fmt::Display| Finding {
                name,
                state: State::Error,
                text: error.to_string(),
                way_out: None,
            };
            (Containment::Auto, errors.0.iter().map(|error| finding(error)).collect())
        }
        Ok(config) if config.warnings.is_empty() => {
            let text = "they can be used".to_owned();
            (config.containment, vec![Finding { name, state: State::Ok, text, way_out: None }])
        }
        Ok(config) => {
            let finding = |text: String| Finding { name, state: State::Warning, text, way_out: None };
            (config.containment, config.warnings.iter().map(|warning| finding(warning.to_string())).collect())
        }
    }
}

/// Leftovers are looked for, and processes signalled, with its help.
fn proc() -> Finding {
    if let Some(missing) = MISSING {
        let way_out = Some("run Skein on Linux, or in a container there, where nothing must stay");
        return Finding { name: "system", state: State::Warning, text: missing.to_owned(), way_out };
    }
    let name = "/proc";
    // Both are what the clean-up after a kill reads.
    let unreadable = ["/proc/self/limits", "/proc/loadavg"]
        .into_iter()
        .find_map(|file| std::fs::read(file).err().map(|error| format!("{file} cannot be read: {error}")));
    match unreadable {
        None => Finding { name, state: State::Ok, text: "it is mounted".to_owned(), way_out: None },
        Some(text) => Finding {
            name,
            state: State::Error,
            text,
            way_out: Some("mount a /proc: without it nobody can tell which processes are a helper's"),
        },
    }
}

fn descriptors() -> Finding {
    let most = getrlimit(Resource::Nofile).current;
    let few = most.is_some_and(|most| most < policy::DOCTOR_DESCRIPTORS);
    let text = match most {
        Some(most) => format!("this shell lets a program open {most}"),
        None => "without limit".to_owned(),
    };
    let way_out = few.then_some(
        "raise it before the start (ulimit -n, systemd: LimitNOFILE=): a connection takes one, a helper five",
    );
    Finding { name: "descriptors", state: if few { State::Warning } else { State::Ok }, text, way_out }
}

fn about_home(root: &Path) -> Vec<Finding> {
    let finding = |state, text, way_out| Finding { name: "home", state, text, way_out };
    let shown = root.display();
    if !root.exists() {
        return vec![finding(State::Ok, format!("{shown} is not there; the first start makes it"), None)];
    }
    let mut found = match access(root, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => vec![finding(State::Ok, format!("{shown} can be written"), None)],
        Err(error) => {
            let way_out = "give the folder to this user, or name another with --home or $SKEIN_HOME";
            vec![finding(State::Error, format!("{shown} cannot be used: {error}"), Some(way_out))]
        }
    };
    let by = holder(&HomePaths::new(root)).map(|by| {
        let pid = by.pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
        let doing = by.doing.map(|doing| format!(" (skein {doing})")).unwrap_or_default();
        let address = by.address.map(|address| format!(" at {address}")).unwrap_or_default();
        format!("{pid}{doing} has it{address}")
    });
    let marked = home::mark(root).map_or(0, carriers);
    let left = (marked > 0 && by.is_none()).then(|| {
        let text = format!("{marked} processes of a former server's helpers are left");
        finding(State::Warning, text, Some("the next start ends them, before its first helper"))
    });
    found.push(finding(State::Ok, by.unwrap_or_else(|| "nobody has it now".to_owned()), None));
    found.extend(left);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_the_best_that_works_and_a_demand_nothing_else() {
        use Containment::{Auto, Cgroup, Guard, Namespace};
        let all = [Cgroup, Guard, Namespace];
        assert_eq!(in_force(Auto, &all), Some(Cgroup));
        assert_eq!(in_force(Auto, &[Guard, Namespace]), Some(Guard), "helpers would see other pids");
        assert_eq!(in_force(Cgroup, &[Guard, Namespace]), None);
        assert_eq!(in_force(Namespace, &all), Some(Namespace));
        let judged = |rung, configured| {
            judge("it", Err("no".to_owned()), rung_is_needed(rung, configured), "do this").state
        };
        assert_eq!(judged(Cgroup, Auto), State::Warning);
        assert_eq!(judged(Cgroup, Cgroup), State::Error);
        assert_eq!(judged(Guard, Namespace), State::Error);
    }
}
