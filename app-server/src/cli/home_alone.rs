//! Sub-commands that need a home for themselves: they take it, or say who has it, all with the same words and the same
//! exit code.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use skein_store::home::{Home, HomeError};

use super::{print_line, say};

/// The exit code when somebody else has the home.
pub(super) const IN_USE: u8 = 3;

/// Takes the home at `root` for the sub-command `doing`, and makes it where it is missing; or says who has it and answers
/// with the exit code: on stderr, and with `json` also on stdout, as
/// `{"complete": false, "servedBy": {"pid", "doing", "address", "controlSocket"}}`.
///
/// # Errors
/// When the home cannot be had for another reason.
pub(super) fn take(root: &Path, doing: &str, json: bool) -> anyhow::Result<Result<Home, ExitCode>> {
    match Home::take(root, doing) {
        Ok(home) => Ok(Ok(home)),
        Err(error) => refused(error, json).map(Err),
    }
}

/// The same for who has tried to take the home already.
///
/// # Errors
/// The error itself, when it is another than that somebody has the home.
pub(super) fn refused(error: HomeError, json: bool) -> anyhow::Result<ExitCode> {
    let HomeError::Served { holder, home: _ } = &error else { return Err(error.into()) };
    if json {
        let by = json!({
            "pid": holder.pid,
            "doing": holder.doing,
            "address": holder.address,
            "controlSocket": holder.control_socket,
        });
        print_line(&json!({ "complete": false, "servedBy": by }).to_string())?;
    }
    say(&error);
    Ok(ExitCode::from(IN_USE))
}
