//! Sub-commands that need a home for themselves. They take it or name its holder, with the same words and exit code.

use std::path::Path;
use std::process::ExitCode;

use skein_store::home::{Home, HomeError};

use super::outputs::{HolderOutcome, InUseOutcome};
use super::{print_json, say};

/// The exit code if the home is in use.
pub(super) const IN_USE: u8 = 3;

/// Takes the home at `root` for the sub-command `doing`, and creates it if missing. If it is in use, names the holder
/// on stderr and returns the exit code. With `json` stdout gets `{"complete": false, "servedBy": {"pid", "doing",
/// "address", "controlSocket"}}`, too.
///
/// # Errors
/// The home is not available for another reason.
pub(super) fn take(root: &Path, doing: &str, json: bool) -> anyhow::Result<Result<Home, ExitCode>> {
    match Home::take(root, doing) {
        Ok(home) => Ok(Ok(home)),
        Err(error) => refused(error, json).map(Err),
    }
}

/// The same, after a failed attempt to take the home.
///
/// # Errors
/// Any error other than a home in use.
pub(super) fn refused(error: HomeError, json: bool) -> anyhow::Result<ExitCode> {
    let HomeError::Served { holder, home: _ } = &error else { return Err(error.into()) };
    if json {
        let served_by = HolderOutcome {
            pid: holder.pid,
            doing: holder.doing.as_deref(),
            address: holder.address.as_deref(),
            control_socket: holder.control_socket.as_deref(),
        };
        print_json(&InUseOutcome { complete: false, served_by })?;
    }
    say(&error);
    Ok(ExitCode::from(IN_USE))
}
