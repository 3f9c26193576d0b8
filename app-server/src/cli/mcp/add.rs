//! `skein mcp add`: adds a helper to the settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use skein_app_server::config::edit::{EditMode, Present, SettingsFile};
use skein_helpers::{HelperSpec, HttpSpec, Secrets, StdioSpec, Transport};

use super::super::{home, out, print_line};
use super::{SettingsArgs, notify};

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Its name: letters, digits, - and _.
    name: String,
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
    #[arg(long, conflicts_with = "command", required_unless_present = "command")]
    url: Option<String>,
    /// The variable of the server's environment that holds its bearer token.
    #[arg(long, value_name = "K", requires = "url")]
    bearer_token_env_var: Option<String>,
    /// The file that holds its bearer token. It is read again when the helper refuses the token.
    #[arg(long, value_name = "FILE", requires = "url", conflicts_with = "bearer_token_env_var")]
    bearer_token_file: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Its program and arguments.
    #[arg(last = true)]
    command: Vec<String>,
}

impl Add {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let spec = HelperSpec::reached(self.name.as_str(), self.transport()?);
        let home = home(self.settings.home.as_ref())?;
        let mut file = SettingsFile::open(&home, EditMode::Change)?;
        file.add_usable(&spec, Present::Keep)?;
        file.write()?;
        let (path, closed) = (file.path().to_owned(), file.was_closed());
        drop(file);
        let told = notify::reload(&home).await;
        if self.settings.json {
            let outcome = json!({ "added": self.name, "file": out::path(&path), "closed": closed, "server": told.json() });
            return print_line(&outcome.to_string());
        }
        let closed = if closed { notify::CLOSED } else { "" };
        print_line(&format!("helper {:?} was added to {}{}{closed}", self.name, path.display(), told.words()))
    }

    fn transport(&self) -> anyhow::Result<Transport> {
        if let Some(url) = &self.url {
            let bearer_token_env_var = self.bearer_token_env_var.clone();
            return Ok(Transport::Http(HttpSpec {
                url: url.clone(),
                bearer_token_env_var,
                bearer_token_file: self.bearer_token_file.as_deref().map(std::path::absolute).transpose()?,
                ..HttpSpec::default()
            }));
        }
        let (command, args) = self.command.split_first().context("no command")?;
        let pair = |said: &String| {
            let (name, value) = said.split_once('=').filter(|(name, _)| !name.is_empty())?;
            Some((name.to_owned(), value.to_owned()))
        };
        // The value may be a secret, so the error does not repeat it.
        let env: Option<BTreeMap<_, _>> = self.env.iter().map(pair).collect();
        Ok(Transport::Stdio(StdioSpec {
            command: command.clone(),
            args: args.to_vec(),
            env: Secrets(env.context("--env takes NAME=VALUE")?),
            env_vars: self.env_var.clone(),
            cwd: self.cwd.as_ref().map(Into::into),
            ..StdioSpec::default()
        }))
    }
}
