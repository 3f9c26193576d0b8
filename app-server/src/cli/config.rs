//! `skein config`: the settings file of a home, its form, and the settings in force.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use skein_config::shown::{self, LayerSource, ShownSetting};
use skein_config::{ConfigError, ConfigWarning, FILE, Flags, ServerConfig, schema};
use skein_store::home::make_root;

use super::mcp::SettingsArgs;
use super::outputs::{ConfigCheckOutcome, ConfigFileOutcome, ConfigProblem, Listing, SettingLine};
use super::{home, out, print_json, print_line, print_lines};

/// The schema of the file, beside it.
const SCHEMA: &str = "config.schema.json";

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Write config.toml with every setting as a comment, and its JSON Schema beside it, for editors.
    Init(SettingsArgs),
    /// Find mistakes in the settings. Exit code 1: a server would not start with them.
    Check(SettingsOf),
    /// Print the settings in force, without secrets.
    Show(ShowSettings),
    /// Print the JSON Schema of config.toml.
    Schema,
}

/// The settings of a start.
#[derive(Debug, Args)]
struct SettingsOf {
    /// A setting over those of config.toml, as of skein serve.
    #[arg(short = 'c', value_name = "KEY=VALUE")]
    flags: Vec<String>,
    #[command(flatten)]
    args: SettingsArgs,
}

#[derive(Debug, Args)]
struct ShowSettings {
    /// Only this setting, or the settings of this table, such as limits.
    key: Option<String>,
    /// Say where each value was written.
    #[arg(long)]
    origin: bool,
    #[command(flatten)]
    settings: SettingsOf,
}

impl ConfigArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let well = |()| ExitCode::SUCCESS;
        match self.command {
            ConfigCommand::Init(args) => init(&args).map(well),
            ConfigCommand::Check(settings) => settings.check(),
            ConfigCommand::Show(show) => show.run().map(well),
            ConfigCommand::Schema => print_lines(&form()).map(well),
        }
    }
}

fn form() -> String {
    format!("{:#}", schema::schema())
}

fn init(args: &SettingsArgs) -> anyhow::Result<()> {
    let root = home(args.home.as_ref())?;
    let (file, beside) = (root.join(FILE), root.join(SCHEMA));
    make_root(&root)?;
    create(&file, &schema::commented(&format!("./{SCHEMA}")))?;
    std::fs::write(&beside, form() + "\n").with_context(|| beside.display().to_string())?;
    if args.json {
        return print_json(&ConfigFileOutcome { file: out::path(&file), schema: out::path(&beside) });
    }
    print_line(&format!("{}: each setting is a comment with its default", file.display()))
}

/// Creates the file, which may get secrets later.
fn create(file: &Path, text: &str) -> anyhow::Result<()> {
    let named = || file.display().to_string();
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut created) => created.write_all(text.as_bytes()).with_context(named),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already, and stays as it is; skein config check finds mistakes in it", named())
        }
        Err(error) => Err(error).with_context(named),
    }
}

impl SettingsOf {
    fn flags(&self) -> Flags {
        Flags { home: self.args.home.clone(), settings: self.flags.clone(), ..Flags::default() }
    }

    fn file(&self) -> anyhow::Result<PathBuf> {
        Ok(home(self.args.home.as_ref())?.join(FILE))
    }

    fn check(&self) -> anyhow::Result<ExitCode> {
        let file = self.file()?;
        let (errors, warnings) = match ServerConfig::load(&self.flags()) {
            Ok(config) => (Vec::new(), config.warnings),
            Err(errors) => (errors.0, Vec::new()),
        };
        let ok = errors.is_empty();
        let code = if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        if self.args.json {
            let errors = errors.iter().map(mistake).collect();
            let warnings = warnings.iter().map(warning).collect();
            let outcome = ConfigCheckOutcome { ok, file: out::path(&file), errors, warnings };
            return print_json(&outcome).map(|()| code);
        }
        let mut lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
        let shown = file.display();
        lines.push(match (ok, file.exists()) {
            (true, true) => format!("{shown}: a server can start with these settings"),
            (true, false) => {
                format!("{shown} is missing: the defaults are in force; skein config init writes it")
            }
            (false, _) => format!("{shown}: a server does not start with these settings"),
        });
        print_lines(&lines.join("\n")).map(|()| code)
    }
}

fn mistake(error: &ConfigError) -> ConfigProblem {
    let ConfigError { place, key, what, expected } = error;
    ConfigProblem {
        place: place.to_string(),
        key: key.clone(),
        what: what.clone(),
        remedy: Some(expected.clone()),
    }
}

fn warning(warning: &ConfigWarning) -> ConfigProblem {
    ConfigProblem {
        place: warning.place.to_string(),
        key: warning.key.clone(),
        what: warning.what(),
        remedy: None,
    }
}

impl ShowSettings {
    fn run(self) -> anyhow::Result<()> {
        let config = ServerConfig::load(&self.settings.flags())?;
        let mut settings = shown::settings(&config);
        if let Some(key) = &self.key {
            let inner = format!("{key}.");
            settings.retain(|setting| setting.key == *key || setting.key.starts_with(&inner));
            if settings.is_empty() {
                bail!(
                    "no setting {key:?} has a value; skein config show prints those in force, skein config schema all keys"
                );
            }
        }
        if self.settings.args.json {
            return print_json(&Listing { data: settings.iter().map(line).collect() });
        }
        let lines = settings.iter().map(|setting| {
            let ShownSetting { key, value, source } = setting;
            let origin = if self.origin { format!("  # {}", origin(*source)) } else { String::new() };
            out::one_line(&format!("{key} = {value}{origin}")).into_owned()
        });
        print_lines(&lines.collect::<Vec<_>>().join("\n"))
    }
}

fn line(setting: &ShownSetting<'_>) -> SettingLine {
    let ShownSetting { key, value, source } = setting;
    SettingLine { key: key.clone(), value: value.clone(), origin: origin(*source) }
}

/// The place of a setting: a file, `-c`, or `default`.
fn origin(source: Option<&LayerSource>) -> String {
    match source {
        None => "default".to_owned(),
        Some(LayerSource::Flags) => "-c".to_owned(),
        Some(LayerSource::File(file)) => out::path(file),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn at(home: &Path) -> SettingsOf {
        SettingsOf { flags: Vec::new(), args: SettingsArgs { home: Some(home.to_owned()), json: false } }
    }

    #[test]
    fn a_file_is_written_once_and_has_no_mistakes() {
        let folder = tempfile::tempdir().unwrap();
        let (root, file) = (folder.path().join("home"), folder.path().join("home/config.toml"));
        init(&at(&root).args).unwrap();
        assert_eq!(at(&root).check().unwrap(), ExitCode::SUCCESS);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        let schema = text.lines().next().unwrap().strip_prefix("#:schema ./").unwrap();
        let schema = std::fs::read_to_string(root.join(schema)).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&schema).unwrap(),
            skein_config::schema::schema()
        );
        // The user's own text stays.
        std::fs::write(&file, "model = 3").unwrap();
        assert!(format!("{:#}", init(&at(&root).args).unwrap_err()).contains("is there already"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "model = 3");
        assert_eq!(at(&root).check().unwrap(), ExitCode::FAILURE);
    }

    #[test]
    fn a_key_without_a_value_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let show = |key: &str| {
            ShowSettings { key: Some(key.to_owned()), origin: true, settings: at(folder.path()) }.run()
        };
        show("limits").unwrap();
        show("limits.mailbox").unwrap();
        // A part of a word is no key.
        assert!(show("limit").unwrap_err().to_string().contains("no setting \"limit\" has a value"));
    }
}
