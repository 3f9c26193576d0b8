//! `skein mcp test`: runs one helper from start to end, and checks what is left.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use skein_config::{Flags, ServerConfig};
use skein_helpers::trial::{LeftProcess, Trial, TrialOffer, Tried};
use skein_helpers::{HelperSpec, Stage, StdioSpec, Transport};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::super::outputs::{LeftProcessLine, ServerInfoLine, TrialOutcome};
use super::super::progress::Waiting;
use super::super::{print_json, print_line, say};
use super::SettingsArgs;

#[derive(Debug, Args)]
pub(super) struct Test {
    /// A helper of the settings.
    #[arg(conflicts_with = "command", required_unless_present = "command")]
    name: Option<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// A program and its arguments.
    #[arg(last = true)]
    command: Vec<String>,
}

impl Test {
    /// The trial of a helper of the settings.
    pub(super) fn of(name: String, settings: SettingsArgs) -> Self {
        Self { name: Some(name), settings, command: Vec::new() }
    }

    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let flags = Flags { home: self.settings.home.clone(), ..Flags::default() };
        let config = ServerConfig::load(&flags)?;
        let spec = self.spec(&config)?;
        let trial = Trial {
            guard: config.guard.open().context("the guard")?,
            containment: config.helper_rules.containment,
            stop_grace: config.helper_rules.stop_grace,
            cwd: std::env::current_dir().context("the working directory")?,
        };
        let name = spec.name.clone();
        let waiting =
            Waiting::of(&format!("starting {name}; the first start may download it"), self.settings.json);
        let tried = until_interrupted(trial, spec).await;
        drop(waiting);
        let tried = tried?;
        if self.settings.json {
            print_json(&outcome(&name, &tried))?;
        } else {
            report(&name, &tried)?;
        }
        let is_well = tried.offered.is_ok() && tried.left.is_empty() && tried.end.survivors == 0;
        Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn spec(&self, config: &ServerConfig) -> anyhow::Result<HelperSpec> {
        if let Some((command, args)) = self.command.split_first() {
            let stdio = StdioSpec { command: command.clone(), args: args.to_vec(), ..StdioSpec::default() };
            let name = command.rsplit('/').next().unwrap_or(command);
            return Ok(HelperSpec::reached(name, Transport::Stdio(stdio)));
        }
        let name = self.name.as_deref().unwrap_or_default();
        let Some(spec) = config.helpers.get(name) else {
            let known: Vec<&str> = config.helpers.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            bail!("there is no helper {name:?} in the settings of {}; it has {known}", config.home.display());
        };
        Ok(spec.clone())
    }
}

/// An interrupted trial stops its helper first.
async fn until_interrupted(trial: Trial, spec: HelperSpec) -> anyhow::Result<Tried> {
    let cancel = CancellationToken::new();
    let mut term = signal(SignalKind::terminate()).context("signals")?;
    let mut int = signal(SignalKind::interrupt()).context("signals")?;
    let interrupted = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        cancel.cancel();
        std::future::pending().await
    };
    tokio::select! {
        tried = trial.run(spec, &cancel) => tried.context("helpers cannot be supervised"),
        never = interrupted => never,
    }
}

/// The steps on stdout; the reason of a failure on stderr.
fn report(name: &str, tried: &Tried) -> anyhow::Result<()> {
    let row = |subject: &str, what: String| print_line(&format!("{subject:<9}{what}"));
    let Tried { offered, start_took, end, left } = tried;
    row("helper", name.to_owned())?;
    match offered {
        Ok(TrialOffer { info, tools, held_by }) => {
            let info = info.as_ref().map(|info| format!("{} {}", info.name, info.version));
            row("says", info.unwrap_or_else(|| "nothing about itself".to_owned()))?;
            row("ready", format!("after {}", ms(*start_took)))?;
            row("held by", held_words(*held_by).to_owned())?;
            let names: Vec<&str> = tools.iter().map(|tool| tool.tool.name.as_str()).collect();
            row("tools", format!("{}: {}", names.len(), names.join(", ")))?;
        }
        Err(_) => row("failed", format!("after {}", ms(*start_took)))?,
    }
    row("ended", format!("after {}, {}", ms(end.took), stage_words(end.stage)))?;
    row("left", left_words(left, end.survivors))?;
    if let Err(why) = offered {
        say(reason(&why.to_string()));
    }
    Ok(())
}

/// The reason of a failure, without advice for servers: a trial is over with its end.
fn reason(why: &str) -> String {
    let head =
        ["; it is not tried again before", "; it failed "].iter().find_map(|advice| why.split_once(advice));
    // The last lines of stderr follow the advice.
    let why = head.map_or(why.to_owned(), |(head, advice)| {
        format!(
            "{head}{}",
            advice.split_once('\n').map(|(_, lines)| format!("\n{lines}")).unwrap_or_default()
        )
    });
    if why.contains("nothing may be asked before initialize") {
        let name = why.split(" is not running").next().unwrap_or("helper");
        return format!("{name} repeated what it was asked: it is not an MCP server; check its command");
    }
    why
}

fn outcome<'a>(name: &'a str, tried: &'a Tried) -> TrialOutcome<'a> {
    let Tried { offered, start_took, end, left } = tried;
    let offer = offered.as_ref().ok();
    let names = |offer: &'a TrialOffer| offer.tools.iter().map(|tool| tool.tool.name.as_str()).collect();
    let info = offer.and_then(|offer| offer.info.as_ref());
    TrialOutcome {
        name,
        ok: offered.is_ok() && left.is_empty() && end.survivors == 0,
        reason: offered.as_ref().err().map(ToString::to_string),
        server_info: info.map(|info| ServerInfoLine { name: &info.name, version: &info.version }),
        tools: offer.map(names),
        containment: offer.and_then(|offer| offer.held_by),
        start_ms: whole_ms(*start_took),
        end_ms: whole_ms(end.took),
        stage: end.stage.map(stage_word),
        left: left.iter().map(|left| LeftProcessLine { pid: left.pid, name: &left.name }).collect(),
    }
}

fn held_words(held_by: Option<&str>) -> &str {
    match held_by {
        None => "nobody: it has no process here",
        Some("guard") => "a guard",
        Some("cgroup") => "a guard and a cgroup",
        Some("namespace") => "a guard and a namespace",
        Some(other) => other,
    }
}

fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::CloseInput => "closeInput",
        Stage::Terminate => "terminate",
        Stage::Kill => "kill",
    }
}

fn stage_words(stage: Option<Stage>) -> &'static str {
    match stage {
        None => "by itself",
        Some(Stage::CloseInput) => "at the end of its input",
        Some(Stage::Terminate) => "at SIGTERM",
        Some(Stage::Kill) => "at SIGKILL",
    }
}

fn left_words(left: &[LeftProcess], survivors: usize) -> String {
    if left.is_empty() && survivors == 0 {
        return "nothing: no process has its mark".to_owned();
    }
    let named: Vec<String> = left.iter().map(|left| format!("{} ({})", left.pid, left.name)).collect();
    format!("{} processes: {}", left.len().max(survivors), named.join(", "))
}

fn ms(duration: Duration) -> String {
    format!("{} ms", whole_ms(duration))
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
