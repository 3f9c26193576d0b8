//! `skein doctor`: tries each means of containment, and checks a home and its settings. Changes nothing; the home may
//! be served.

mod database;
mod home;
mod surroundings;
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use home::HomeServer;
use indicatif::BinaryBytes;
use rustix::process::{Resource, getrlimit};
use schemars::JsonSchema;
use serde::Serialize;
use skein_app_server::bounds::MemoryBound;
use skein_app_server::policy;
use skein_config::{Flags, ServerConfig};
use skein_helpers::{Containment, MISSING, levels};
use skein_protocol::extension::{ContainmentRung, HeldDetails, LackDetails};
use trial::{ContainmentTrial, LEVELS};

use super::out::one_line;
use super::progress::Waiting;
use super::{print_json, print_lines};

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// A setting over those of config.toml, as of `skein serve`.
    #[arg(short = 'c', value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// The PostgreSQL database of `skein serve --store`.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The token file of `skein serve --ws-token-file`.
    #[arg(long, value_name = "FILE")]
    ws_token_file: Option<PathBuf>,
    /// Print the findings as JSON, on one line.
    #[arg(long)]
    json: bool,
}

/// The state of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum FindingState {
    Ok,
    /// Works with a restriction, or not at all but optional.
    Warning,
    /// Configured, but cannot work.
    Error,
}

/// One checked subject.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DoctorFinding {
    name: &'static str,
    state: FindingState,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    way_out: Option<String>,
}

impl DoctorFinding {
    fn ok(name: &'static str, text: String) -> Self {
        Self { name, state: FindingState::Ok, text, way_out: None }
    }

    fn warning(name: &'static str, text: String, way_out: &str) -> Self {
        Self { name, state: FindingState::Warning, text, way_out: Some(way_out.to_owned()) }
    }

    fn error(name: &'static str, text: String, way_out: &str) -> Self {
        Self { state: FindingState::Error, ..Self::warning(name, text, way_out) }
    }
}

/// All findings.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct DoctorReport {
    /// No configured part is known to fail.
    ok: bool,
    /// The containment that a server would use here; with the default if the settings cannot be used.
    #[serde(flatten)]
    held: HeldDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<HomeServer>,
    /// The memory that connections can take; missing if the settings cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_memory: Option<ClientMemory>,
    findings: Vec<DoctorFinding>,
}

/// The memory that the limits allow connections for messages, requests and outboxes, in bytes. Messages that a thread has taken count
/// for the thread.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClientMemory {
    /// The most of one connection.
    connection_bytes: u64,
    /// The connections that there may be at once.
    connections: u64,
    total_bytes: u64,
}

impl ClientMemory {
    fn of(flags: &Flags) -> Option<Self> {
        let config = ServerConfig::load(flags).ok()?;
        let bound = MemoryBound::of(&config, getrlimit(Resource::Nofile).maximum);
        let MemoryBound { connection, connections } = bound;
        Some(Self { connection_bytes: connection, connections, total_bytes: bound.total() })
    }

    fn finding(&self) -> DoctorFinding {
        let Self { connection_bytes, connections, total_bytes } = self;
        let text = format!(
            "the limits allow {} for messages, requests and outboxes: {} for each of {connections} connections; docs/limits.md lists them",
            BinaryBytes(*total_bytes),
            BinaryBytes(*connection_bytes)
        );
        DoctorFinding::ok("memory", text)
    }
}

impl Doctor {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let flags = Flags { home: self.home, settings: self.settings, store: self.store, ..Flags::default() };
        let report = DoctorReport::of(&flags, self.ws_token_file.as_deref(), self.json).await?;
        match self.json {
            true => print_json(&report)?,
            false => print_lines(&table(&report))?,
        }
        Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl DoctorReport {
    /// Checks a home as it is. With `quiet` nothing shows that this takes a while.
    ///
    /// # Errors
    /// Nobody says which home.
    pub(super) async fn of_home(root: &Path, quiet: bool) -> anyhow::Result<Self> {
        Self::of(&Flags { home: Some(root.to_owned()), ..Flags::default() }, None, quiet).await
    }

    async fn of(flags: &Flags, ws_token_file: Option<&Path>, quiet: bool) -> anyhow::Result<Self> {
        let (configured, mut findings) = settings(flags);
        findings.extend(readers(flags));
        let mut trials = Vec::new();
        let waiting = Waiting::of("", quiet);
        for (level, containment) in LEVELS {
            waiting.now(&format!("trying to hold a helper by {}", level.word()));
            trials.push(ContainmentTrial::of(level, containment).await);
        }
        findings.extend(trials.iter().map(|trial| judge(trial, configured)));
        let held = held(configured, &trials);
        findings.extend([subreaper(held.subreaper), proc(), descriptors()]);
        let client_memory = ClientMemory::of(flags);
        findings.extend(client_memory.as_ref().map(ClientMemory::finding));
        let root = super::home(flags.home.as_ref())?;
        findings.extend(surroundings::findings(flags, &root));
        findings.extend(home::findings(&root));
        findings.extend(home::credentials(&root).await);
        findings.extend(ws_token_file.map(home::token_file));
        waiting.now("waiting for the database");
        findings.extend(database::finding(flags).await);
        waiting.now("waiting for the server of the home");
        let (server, said) = home::server(&root).await;
        drop(waiting);
        findings.push(said);
        let ok = findings.iter().all(|finding| finding.state != FindingState::Error);
        Ok(Self { ok, held, server, client_memory, findings })
    }
}

/// A line for the effective containment, then one for each finding with its remedy.
pub(super) fn table(report: &DoctorReport) -> String {
    let lines = report.findings.iter().flat_map(|finding| {
        let state = match finding.state {
            FindingState::Ok => "ok",
            FindingState::Warning => "warning",
            FindingState::Error => "error",
        };
        let way_out = finding.way_out.as_ref().map(|way_out| format!("{:22}{way_out}", ""));
        [Some(format!("{:<12}{state:<10}{}", finding.name, finding.text)), way_out].into_iter().flatten()
    });
    let lines = std::iter::once(levels::headline(&report.held)).chain(lines);
    lines.map(|line| one_line(&line).into_owned()).collect::<Vec<_>>().join("\n")
}

/// The containment, by the trials.
fn held(configured: Containment, trials: &[ContainmentTrial]) -> HeldDetails {
    let lacking: Vec<LackDetails> = trials.iter().filter_map(|trial| trial.result.clone().err()).collect();
    let held = levels::effective(configured.into(), &lacking);
    let in_force = trials.iter().find(|trial| Some(trial.level) == held.in_force);
    HeldDetails {
        cgroup: in_force.and_then(|trial| trial.cgroup.clone()),
        subreaper: trials.iter().any(|trial| trial.subreaper),
        ..held
    }
}

/// Whether helpers cannot start without it. A guard stands beside every other means.
fn is_needed(level: ContainmentRung, configured: Containment) -> bool {
    match level {
        ContainmentRung::Guard => true,
        ContainmentRung::Cgroup => configured == Containment::Cgroup,
        ContainmentRung::Namespace => configured == Containment::Namespace,
    }
}

fn judge(trial: &ContainmentTrial, configured: Containment) -> DoctorFinding {
    let name = trial.level.word();
    match &trial.result {
        Ok(took) => {
            let place = trial.cgroup.as_ref().map(|folder| format!("; groups are made in {folder}"));
            let took = format!("a helper was held by it, and gone {} ms after its start", took.as_millis());
            DoctorFinding::ok(name, took + &place.unwrap_or_default())
        }
        Err(lack) if is_needed(trial.level, configured) => {
            DoctorFinding::error(name, lack.reason.clone(), &lack.way_out)
        }
        Err(lack) => DoctorFinding::warning(name, lack.reason.clone(), &lack.way_out),
    }
}

fn subreaper(is_one: bool) -> DoctorFinding {
    let name = "subreaper";
    if is_one {
        let text = "what a guard leaves that dies before its helper comes to the server, which ends it";
        return DoctorFinding::ok(name, text.to_owned());
    }
    let text = "this process cannot become one: what a guard leaves that dies would stay".to_owned();
    let way_out = "run it on Linux 3.4 or later";
    // The finding is about the system if it supports none.
    if MISSING.is_some() {
        DoctorFinding::warning(name, text, way_out)
    } else {
        DoctorFinding::error(name, text, way_out)
    }
}

/// The configured containment, and problems of the settings.
fn settings(flags: &Flags) -> (Containment, Vec<DoctorFinding>) {
    let name = "settings";
    let finding = |state, text| DoctorFinding { name, state, text, way_out: None };
    match ServerConfig::load(flags) {
        Err(errors) => {
            let errors = errors.0.iter().map(|error| finding(FindingState::Error, error.to_string()));
            (Containment::Auto, errors.collect())
        }
        Ok(config) if config.warnings.is_empty() => {
            let unused = match config.unused.as_slice() {
                [] => String::new(),
                unused => format!("; these keys of Codex have no effect here: {}", unused.join(", ")),
            };
            (
                config.helper_rules.containment,
                vec![finding(FindingState::Ok, format!("they can be used{unused}"))],
            )
        }
        Ok(config) => {
            let warnings =
                config.warnings.iter().map(|warning| finding(FindingState::Warning, warning.to_string()));
            (config.helper_rules.containment, warnings.collect())
        }
    }
}

/// Whether other users can read secrets in the settings.
fn readers(flags: &Flags) -> Option<DoctorFinding> {
    let text = "others can read config.toml, and it has secrets".to_owned();
    let warning =
        || DoctorFinding::warning("settings", text, "chmod 600 it, and renew what they may have read");
    ServerConfig::load(flags).is_ok_and(|config| config.is_open_to_others()).then(warning)
}

/// The search for leftovers and their signals need it.
fn proc() -> DoctorFinding {
    if let Some(missing) = MISSING {
        let way_out = "run Skein on Linux, or in a container there, where nothing must stay";
        return DoctorFinding::warning("system", missing.to_owned(), way_out);
    }
    let name = "/proc";
    // The clean-up after a kill reads both.
    let unreadable = ["/proc/self/limits", "/proc/loadavg"]
        .into_iter()
        .find_map(|file| std::fs::read(file).err().map(|error| format!("{file} cannot be read: {error}")));
    let way_out = "mount a /proc: without it nobody can tell which processes are a helper's";
    match unreadable {
        None => DoctorFinding::ok(name, "it is mounted".to_owned()),
        Some(text) => DoctorFinding::error(name, text, way_out),
    }
}

fn descriptors() -> DoctorFinding {
    let name = "descriptors";
    // The server raises its own limit to the hard one.
    let most = getrlimit(Resource::Nofile).maximum;
    let text = match most {
        Some(most) => format!("this shell lets a program open {most}"),
        None => "without limit".to_owned(),
    };
    if most.is_none_or(|most| most >= policy::DOCTOR_DESCRIPTORS) {
        return DoctorFinding::ok(name, text);
    }
    let way_out = "raise the hard limit before the start (ulimit -Hn, systemd: LimitNOFILE=): a connection takes one, a helper five";
    DoctorFinding::warning(name, text, way_out)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    use ContainmentRung::{Cgroup, Guard, Namespace};

    fn trial(level: ContainmentRung, works: bool) -> ContainmentTrial {
        let result =
            if works { Ok(Duration::ZERO) } else { Err(levels::unavailable(level, format!("no {level}"))) };
        let cgroup = (works && level == Cgroup).then(|| "/cgroup".to_owned());
        ContainmentTrial { level, result, cgroup, subreaper: works }
    }

    #[test]
    fn what_was_tried_says_what_would_hold_helpers() {
        let trials =
            |lacking: &[ContainmentRung]| LEVELS.map(|(level, _)| trial(level, !lacking.contains(&level)));
        let all = held(Containment::Auto, &trials(&[]));
        assert_eq!(
            (all.in_force, all.cgroup.as_deref(), all.subreaper),
            (Some(Cgroup), Some("/cgroup"), true)
        );
        let without = held(Containment::Auto, &trials(&[Cgroup]));
        assert_eq!((without.in_force, without.cgroup), (Some(Guard), None), "helpers would see other pids");
        assert_eq!(without.lacking, [levels::unavailable(Cgroup, "no cgroup".to_owned())]);
        assert_eq!(held(Containment::Guard, &trials(&[])).cgroup, None, "it is not used");
        assert!(!held(Containment::Auto, &trials(&[Cgroup, Guard, Namespace])).subreaper);
    }

    #[test]
    fn what_helpers_can_do_without_is_a_warning() {
        let judged = |level, configured| judge(&trial(level, false), configured);
        assert_eq!(judged(Cgroup, Containment::Auto).state, FindingState::Warning);
        assert_eq!(judged(Cgroup, Containment::Cgroup).state, FindingState::Error);
        assert_eq!(judged(Namespace, Containment::Namespace).state, FindingState::Error);
        assert_eq!(judged(Guard, Containment::Namespace).state, FindingState::Error);
        let finding = judged(Namespace, Containment::Auto);
        assert_eq!(
            (finding.name, finding.text.as_str(), finding.way_out.is_some()),
            ("namespace", "no namespace", true)
        );
        let works = judge(&trial(Cgroup, true), Containment::Auto);
        assert_eq!((works.state, works.way_out), (FindingState::Ok, None));
        assert!(works.text.ends_with("groups are made in /cgroup"), "{}", works.text);
        assert_eq!((subreaper(true).state, subreaper(false).state), (FindingState::Ok, FindingState::Error));
    }
}
