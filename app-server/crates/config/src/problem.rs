//! Errors and warnings about settings, with their places.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use skein_protocol::error::WireError;

use super::peer;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, counted from 1; 0 stands for the file as a whole.
    File(Arc<PathBuf>, usize),
    /// A flag of the command line.
    Flag(String),
    /// The `config` member of a request.
    Request,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// Where it was written.
    pub place: Place,
    /// The dotted key; empty when the error is not about one.
    pub key: String,
    /// The mistake.
    pub what: String,
    /// The remedy.
    pub expected: String,
}

/// A setting that has no effect, or lets more in than its user may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// Where it was written.
    pub place: Place,
    /// The dotted key.
    pub key: String,
    pub(crate) cause: WarningCause,
}

/// Why a setting is a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WarningCause {
    /// Nobody reads it.
    Unknown {
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// It has this risk.
    Risk(&'static str),
}

impl ConfigWarning {
    /// The mistake or the risk, without its place and key.
    pub fn what(&self) -> String {
        match &self.cause {
            WarningCause::Unknown { nearest: None } => "unknown key, it has no effect".to_owned(),
            WarningCause::Unknown { nearest: Some(nearest) } => {
                format!("unknown key, it has no effect; did you mean {nearest}?")
            }
            WarningCause::Risk(risk) => (*risk).to_owned(),
        }
    }
}

impl WarningCause {
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

/// Everything that is wrong, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigError {
    pub(super) fn new(
        place: Place,
        key: impl Into<String>,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { place, key: key.into(), what: what.into(), expected: expected.into() }
    }
}

impl ConfigErrors {
    /// The errors of the `config` member of a request, as the wire says them.
    pub fn to_wire(&self) -> WireError {
        WireError::invalid_params("badConfig", self.to_string()).path("config")
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, 0) => write!(f, "{}", path.display()),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Request => write!(f, "config"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, what, expected } = self;
        match key.as_str() {
            "" => write!(f, "{place}: {what}; {expected}"),
            key => write!(f, "{place}: {key}: {what}; {expected}"),
        }
    }
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.key, self.what())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ConfigError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Collects what is found on the way, so that a user mends a file once and not once for each line.
#[derive(Debug, Default)]
pub(super) struct Problems {
    errors: Vec<ConfigError>,
    keys: BTreeSet<String>,
    warnings: Vec<ConfigWarning>,
    unused: Vec<String>,
}

impl Problems {
    pub(super) fn push(&mut self, error: ConfigError) {
        self.keys.insert(error.key.clone());
        self.errors.push(error);
    }

    /// Takes note of a key that nobody reads.
    pub(super) fn warn(&mut self, warning: ConfigWarning) {
        if peer::has(&warning.key) {
            self.unused.push(warning.key);
        } else {
            self.warnings.push(warning);
        }
    }

    /// Takes note of a risk.
    pub(super) fn risk(&mut self, place: Place, key: String, risk: &'static str) {
        self.warnings.push(ConfigWarning { place, key, cause: WarningCause::Risk(risk) });
    }

    /// Keys of Codex's that nobody reads, in the order of their names.
    pub(super) fn unused(&mut self) -> Vec<String> {
        let mut unused = std::mem::take(&mut self.unused);
        unused.sort();
        unused.dedup();
        unused
    }

    /// Whether an error about `key` is among them.
    pub(super) fn name(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    /// The warnings, when nothing was wrong.
    pub(super) fn finish(mut self) -> Result<Vec<ConfigWarning>, ConfigErrors> {
        self.errors.sort_by_key(|error| line(&error.place));
        self.warnings.sort_by_key(|warning| line(&warning.place));
        if self.errors.is_empty() { Ok(self.warnings) } else { Err(ConfigErrors(self.errors)) }
    }
}

/// Flags and requests sort before the file; a stable sort keeps their own order.
fn line(place: &Place) -> usize {
    match place {
        Place::File(_, line) => *line,
        Place::Flag(_) | Place::Request => 0,
    }
}
