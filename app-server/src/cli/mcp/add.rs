//! `skein mcp add`: adds a helper to the settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use skein_config::edit::{EditMode, Present, SettingsFile};
use skein_helpers::{HelperSpec, HttpSpec, Secrets, StdioSpec, Transport};

use super::super::outputs::HelperAddedOutcome;
use super::super::{home, out, print_json, print_line, say};
use super::{SettingsArgs, notify, preset, trial};

/// The exit code for missing arguments.
const USAGE: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Its name: letters, digits, - and _ [default: that of the preset].
    #[arg(required_unless_present = "preset")]
    name: Option<String>,
    /// A known server with a pinned version, tried at once.
    #[arg(long, value_enum, value_name = "NAME", conflicts_with_all = ["url", "env", "env_var", "cwd"])]
    preset: Option<preset::Preset>,
    /// A variable of its environment. The value stands in the file: for secrets there is --env-var.
    #[arg(long, value_name = "K=V", conflicts_with = "url")]
    env: Vec<String>,
    /// A variable that is taken from the server's environment, by name.
    #[arg(long, value_name = "K", conflicts_with = "url")]
    env_var: Vec<String>,
    /// Its working directory [default: the thread's].
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    cwd: Option<String>,
    /// Its address, if another program runs it.
    #[arg(long, conflicts_with = "command")]
    url: Option<String>,
    /// The variable of the server's environment that holds its bearer token.
    #[arg(long, value_name = "K", requires = "url")]
    bearer_token_env_var: Option<String>,
    /// The file that holds its bearer token. It is read again when the helper refuses the token.
    #[arg(long, value_name = "FILE", requires = "url", conflicts_with = "bearer_token_env_var")]
    bearer_token_file: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Its program and arguments. With --preset files the folders that it may use in every thread [default: each
    /// thread's], with git its repository [default: the working directory].
    #[arg(last = true)]
    command: Vec<String>,
}

impl Add {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let name = self.name.clone().or_else(|| self.preset.map(|preset| preset.word().to_owned()));
        let name = name.unwrap_or_default();
        if self.preset.is_none() && self.url.is_none() && self.command.is_empty() {
            say(format_args!(
                "say how {name} starts: skein mcp add {name} -- COMMAND, or its address: --url URL; \
                 skein mcp add --preset files adds a known one"
            ));
            return Ok(ExitCode::from(USAGE));
        }
        let home = std::path::absolute(home(self.settings.home.as_ref())?).context("the home's path")?;
        let spec = HelperSpec::reached(name.as_str(), self.transport(&home)?);
        let mut file = SettingsFile::open(&home, EditMode::Change)?;
        file.add_usable(&spec, Present::Keep)?;
        file.write()?;
        let (path, closed) = (file.path().to_owned(), file.was_closed());
        drop(file);
        let told = notify::reload(&home).await;
        if self.settings.json {
            let (file, server) = (out::path(&path), told.outcome());
            print_json(&HelperAddedOutcome { added: &name, file, closed, server })?;
        } else {
            let closed = if closed { notify::CLOSED } else { "" };
            print_line(&format!("helper {name:?} was added to {}{}{closed}", path.display(), told.words()))?;
        }
        match self.preset {
            None => Ok(ExitCode::SUCCESS),
            Some(_) => tried(&name, self.settings).await,
        }
    }

    fn transport(&self, home: &Path) -> anyhow::Result<Transport> {
        if let Some(url) = &self.url {
            let bearer_token_env_var = self.bearer_token_env_var.clone();
            return Ok(Transport::Http(HttpSpec {
                url: url.clone(),
                bearer_token_env_var,
                bearer_token_file: self.bearer_token_file.as_deref().map(std::path::absolute).transpose()?,
                ..HttpSpec::default()
            }));
        }
        let words = match self.preset {
            Some(preset) => preset.command(&self.command)?,
            None => self.command.clone(),
        };
        let (command, args) = words.split_first().context("no command")?;
        let pair = |said: &String| {
            let (name, value) = said.split_once('=').filter(|(name, _)| !name.is_empty())?;
            Some((name.to_owned(), value.to_owned()))
        };
        let given = self.env.iter().map(pair);
        let own = self.preset.and_then(|preset| preset.variable(home)).map(Some);
        // The value may be a secret, so the error does not repeat it.
        let env: Option<BTreeMap<_, _>> = given.chain(own).collect();
        Ok(Transport::Stdio(StdioSpec {
            command: command.clone(),
            args: args.to_vec(),
            env: Secrets(env.context("--env takes NAME=VALUE")?),
            env_vars: match self.preset {
                Some(_) => preset::network_variables(),
                None => self.env_var.clone(),
            },
            cwd: self.cwd.as_ref().map(Into::into),
            roots: match self.preset {
                Some(preset) => preset.roots(&self.command)?,
                None => Vec::new(),
            },
            ..StdioSpec::default()
        }))
    }
}

/// Tries a helper that was added; after a failure says what can be done.
async fn tried(name: &str, settings: SettingsArgs) -> anyhow::Result<ExitCode> {
    let code = trial::Test::of(name.to_owned(), settings).run().await?;
    if code != ExitCode::SUCCESS {
        say(format_args!(
            "{name} stays in the settings: skein mcp test {name} tries it again, skein mcp remove {name} removes it"
        ));
    }
    Ok(code)
}
