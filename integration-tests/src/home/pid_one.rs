//! A server as PID 1 of a namespace, as in a container, and foreign processes inside.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::{paths, process};

/// Makes the following program PID 1 of a new namespace, which ends with its creator.
pub const PID_ONE: [&str; 7] =
    ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Shell script that starts a child unrelated to the server, and then becomes the server.
const SCRIPT: &str = "(env -i sleep 1000 >/dev/null 2>&1 &); exec \"$@\"";

/// Whether a program can be PID 1 of a namespace here. If not, prints the reason.
pub fn can_be_pid_one() -> bool {
    let [unshare, options @ ..] = PID_ONE;
    let tried = Command::new(unshare).args(options).arg("true").stdin(Stdio::null()).output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("SKIPPED: no program can be PID 1 of a namespace here: {why}");
    false
}

/// Command that runs the server as PID 1, without the server's arguments. The tag is for all processes
/// inside.
pub(super) fn server(tag: &str) -> anyhow::Result<Vec<OsString>> {
    let tag = format!("{}={tag}", process::TAG);
    let words = PID_ONE.into_iter().chain(["env", &tag, "sh", "-c", SCRIPT, "sh"]).map(OsString::from);
    Ok(words.chain([paths::skein()?.into()]).collect())
}

/// Starts an orphan in the namespace of `server`, which its PID 1 inherits, as after a `docker exec`.
///
/// # Errors
/// Fails if the namespace cannot be entered.
pub fn bring_in_an_orphan(server: u32) -> anyhow::Result<()> {
    let server = server.to_string();
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--target", &server, "--user", "--preserve-credentials", "--pid"]);
    nsenter.args(["sh", "-c", "(setsid sleep 1000 >/dev/null 2>&1 &)"]);
    let output = nsenter.stdin(Stdio::null()).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
