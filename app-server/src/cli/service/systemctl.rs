//! The user manager of systemd, asked by `systemctl --user`.

use std::io::ErrorKind;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::launch;

/// The state of a unit, in systemd's words.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct UnitState {
    /// Whether systemd knows it, such as `loaded` or `not-found`.
    pub(super) load: String,
    /// Whether it runs, such as `active`, `inactive` or `failed`.
    pub(super) active: String,
    /// More of that, such as `running` or `auto-restart`.
    pub(super) sub: String,
    /// Whether it starts with the session, such as `enabled`.
    pub(super) file: String,
    /// The process of the server.
    pub(super) pid: Option<u32>,
}

/// The reason why systemd did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SystemctlError {
    #[error("there is no systemctl: this machine does not run systemd")]
    Missing,
    #[error("systemctl cannot be started: {0}")]
    Start(std::io::Error),
    #[error("systemctl --user {command}: {message}")]
    Failed { command: String, message: String },
}

/// Asks or orders, and returns the output.
pub(super) fn call(words: &[&str]) -> Result<String, SystemctlError> {
    let all: Vec<&str> = ["--user"].into_iter().chain(words.iter().copied()).collect();
    let done = launch::output("systemctl", &all).map_err(|error| {
        let is_missing = error.kind() == ErrorKind::NotFound;
        if is_missing { SystemctlError::Missing } else { SystemctlError::Start(error) }
    })?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&done.stderr).trim().replace('\n', "; ");
    let message = if message.is_empty() { done.status.to_string() } else { message };
    Err(SystemctlError::Failed { command: words.join(" "), message })
}

/// Whether there is a user manager.
pub(super) fn answers() -> Result<(), SystemctlError> {
    call(&["show", "--property=Version"]).map(drop)
}

/// The state of a unit, known to systemd or not.
pub(super) fn state(unit: &str) -> Result<UnitState, SystemctlError> {
    let properties = "--property=LoadState,ActiveState,SubState,UnitFileState,MainPID";
    let said = call(&["show", properties, unit])?;
    let mut state = UnitState::default();
    for (name, value) in said.lines().filter_map(|line| line.split_once('=')) {
        let value = value.to_owned();
        match name {
            "LoadState" => state.load = value,
            "ActiveState" => state.active = value,
            "SubState" => state.sub = value,
            "UnitFileState" => state.file = value,
            "MainPID" => state.pid = value.parse().ok().filter(|pid| *pid != 0),
            _ => {}
        }
    }
    Ok(state)
}
