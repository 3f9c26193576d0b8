//! `skein service`: a systemd user unit that serves a home. Where systemd cannot be asked, it says what to write and where.

mod systemctl;
mod unit;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use skein_app_server::policy::SERVER_START;
use skein_base::clock::Clock;
use skein_store::home::{HomePaths, holder};
use systemctl::SystemctlError;
pub(in crate::cli) use systemctl::UnitState;
use unit::{Unit, UnitOnDisk};

use super::mcp::SettingsArgs;
use super::out::path;
use super::outputs::{HomeServerOutcome, ServiceOutcome};
use super::progress::Waiting;
use super::{home, print_json, print_line, print_lines, say, state};

/// The file with variables for the server, in the home.
pub(super) const ENVIRONMENT: &str = "service.env";

#[derive(Debug, Args)]
pub(super) struct ServiceArgs {
    #[command(subcommand)]
    command: ServiceCommand,
}

#[derive(Debug, Subcommand)]
enum ServiceCommand {
    /// Write the unit of a home, start it, and let it start with your session. Exit code 1: it does not serve.
    Install(Install),
    /// Stop the unit of a home and remove it. The home stays.
    Remove(SettingsArgs),
    /// Show what systemd says, and whether the server answers. Exit code 1: it does not serve.
    Status(SettingsArgs),
}

#[derive(Debug, Args)]
struct Install {
    #[command(flatten)]
    on: SettingsArgs,
    /// Where the server listens, as of skein serve [default: ws://127.0.0.1:4500].
    #[arg(long, value_name = "URL")]
    listen: Option<String>,
    /// Print the unit, and change nothing.
    #[arg(long, conflicts_with = "json")]
    print: bool,
}

/// The unit of a home.
struct Service {
    root: PathBuf,
    unit: Unit,
    json: bool,
}

impl ServiceArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            ServiceCommand::Install(install) => {
                let service = Service::of(&install.on, install.listen.as_deref())?;
                if install.print {
                    print_lines(service.unit.text.trim_end())?;
                    return Ok(ExitCode::SUCCESS);
                }
                service.install().await
            }
            ServiceCommand::Remove(on) => Service::of(&on, None)?.remove(),
            ServiceCommand::Status(on) => Service::of(&on, None)?.status().await,
        }
    }
}

impl Service {
    fn of(on: &SettingsArgs, listen: Option<&str>) -> anyhow::Result<Self> {
        let root = std::path::absolute(home(on.home.as_ref())?).context("the home's path")?;
        let unit = Unit::of(&root, listen, |name| std::env::var_os(name))?;
        Ok(Self { root, unit, json: on.json })
    }

    async fn install(&self) -> anyhow::Result<ExitCode> {
        let found = self.unit.own()?;
        if let Err(error) = systemctl::answers() {
            return self.by_hand(&error);
        }
        let name = self.unit.name.as_str();
        let before = systemctl::state(name)?;
        let serves = holder(&HomePaths::new(&self.root)).and_then(|holder| holder.pid);
        if let Some(pid) = serves.filter(|pid| before.pid != Some(*pid)) {
            let home = self.root.display();
            bail!("process {pid} has {home} already; end it first: skein stop --home {home}");
        }
        if found != UnitOnDisk::Same {
            self.unit.write()?;
        }
        systemctl::call(&["daemon-reload"])?;
        systemctl::call(&["enable", "--now", name])?;
        // A running server has the old unit until it starts again.
        if found == UnitOnDisk::Older && before.active == "active" {
            systemctl::call(&["restart", name])?;
        }
        let server = self.started().await?;
        if self.json {
            print_json(&self.outcome(true, Some(systemctl::state(name)?), None, server))?;
        } else if let Some(HomeServerOutcome { pid: Some(pid), address: Some(address), .. }) = server {
            print_line(&format!("{name}: process {pid} serves {} at {address}", self.root.display()))?;
            print_line("it starts when you log in; to start it with the machine: loginctl enable-linger")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Waits until the server answers, or systemd has given it up.
    async fn started(&self) -> anyhow::Result<Option<HomeServerOutcome>> {
        let name = &self.unit.name;
        let _waiting = Waiting::of(&format!("waiting for {name}"), self.json);
        let began = Clock.now();
        loop {
            if let Some(server) = self.server().await {
                return Ok(Some(server));
            }
            let now = systemctl::state(name)?;
            let is_over = now.active == "failed" || Clock.now() - began > SERVER_START;
            if is_over {
                bail!(
                    "{name} is {} ({}) and does not serve; its log: journalctl --user --unit {name}",
                    now.active,
                    now.sub
                );
            }
            tokio::time::sleep(skein_store::policy::HOME_LOOK * 10).await;
        }
    }

    async fn server(&self) -> Option<HomeServerOutcome> {
        holder(&HomePaths::new(&self.root))?;
        let status = state::ask(&self.root).await.ok()?;
        Some(HomeServerOutcome {
            pid: Some(status.pid),
            address: Some(status.address.clone()),
            answers: true,
        })
    }

    /// Says what to write where systemd cannot be asked.
    fn by_hand(&self, error: &SystemctlError) -> anyhow::Result<ExitCode> {
        let reason = error.to_string();
        if self.json {
            print_json(&ServiceOutcome {
                text: Some(self.unit.text.clone()),
                ..self.outcome(self.unit.found()? != UnitOnDisk::Nothing, None, Some(reason.clone()), None)
            })?;
        } else {
            print_lines(self.unit.text.trim_end())?;
        }
        say(format_args!(
            "nothing was changed: {reason}\nfor a machine with systemd, write the unit to {}, then: systemctl --user daemon-reload; \
             systemctl --user enable --now {}\nwith another service manager, let it run the command of ExecStart",
            self.unit.file.display(),
            self.unit.name
        ));
        Ok(ExitCode::FAILURE)
    }

    fn remove(&self) -> anyhow::Result<ExitCode> {
        let (name, file) = (self.unit.name.as_str(), self.unit.file.display());
        let found = self.unit.own()?;
        if found != UnitOnDisk::Nothing {
            let stopped = systemctl::answers().and_then(|()| systemctl::call(&["disable", "--now", name]));
            if let Err(error) = stopped {
                bail!("{error}; end the server by skein stop, then remove {file}");
            }
            fs::remove_file(&self.unit.file).with_context(|| path(&self.unit.file))?;
            systemctl::call(&["daemon-reload"])?;
            // It is no error if it has not failed.
            systemctl::call(&["reset-failed", name]).ok();
        }
        match (self.json, found) {
            (true, _) => print_json(&self.outcome(false, None, None, None))?,
            (false, UnitOnDisk::Nothing) => {
                print_line(&format!("{file} is not there: there is nothing to remove"))?
            }
            (false, UnitOnDisk::Same | UnitOnDisk::Older | UnitOnDisk::Foreign) => {
                print_line(&format!("{name} is stopped, and {file} removed; {} stays", self.root.display()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn status(&self) -> anyhow::Result<ExitCode> {
        let found = self.unit.found()?;
        let (systemd, reason) = match systemctl::state(&self.unit.name) {
            Ok(state) => (Some(state), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let server = self.server().await;
        let is_unit = systemd.as_ref().is_some_and(|state| state.active == "active");
        let serves = is_unit && server.is_some();
        let file = self.unit.file.display();
        let lines = [
            match found {
                UnitOnDisk::Nothing => format!("unit        {file} is not there: skein service install"),
                UnitOnDisk::Foreign => format!("unit        {file}, not written by skein service install"),
                UnitOnDisk::Same | UnitOnDisk::Older => format!("unit        {file}"),
            },
            match (&systemd, &reason) {
                (Some(state), _) => format!("systemd     {}", in_words(state)),
                (None, reason) => format!("systemd     {}", reason.as_deref().unwrap_or("unknown")),
            },
            match &server {
                Some(server) => format!("server      {}", answering(server)),
                None => format!("server      none answers on {}", self.root.display()),
            },
        ];
        let outcome = self.outcome(found != UnitOnDisk::Nothing, systemd, reason, server);
        if self.json {
            print_json(&outcome)?
        } else {
            print_lines(&lines.join("\n"))?
        }
        Ok(if serves { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn outcome(
        &self,
        installed: bool,
        systemd: Option<UnitState>,
        reason: Option<String>,
        server: Option<HomeServerOutcome>,
    ) -> ServiceOutcome {
        let (unit, file) = (self.unit.name.clone(), path(&self.unit.file));
        ServiceOutcome { unit, file, home: path(&self.root), installed, systemd, server, reason, text: None }
    }
}

fn in_words(UnitState { load, active, sub, file, pid }: &UnitState) -> String {
    let enabled = if file.is_empty() { "not enabled" } else { file };
    let process = pid.map_or_else(String::new, |pid| format!(", process {pid}"));
    format!("{load}, {active} ({sub}), {enabled}{process}")
}

fn answering(server: &HomeServerOutcome) -> String {
    let pid = server.pid.map_or_else(|| "it".to_owned(), |pid| format!("process {pid}"));
    let place = server.address.as_ref().map_or_else(String::new, |address| format!(" at {address}"));
    format!("{pid} answers{place}")
}
