//! A server that is PID 1 of a namespace, as in a container, and processes in there that are none of its own.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::{paths, process};

/// How a program becomes PID 1 of a namespace that ends with whoever asked for it. The program follows.
pub const PID_ONE: [&str; 7] =
    ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// What a shell runs that has a child which knows nothing of servers, and then becomes one. The child is no child of another.
const SCRIPT: &str = "(env -i sleep 1000 >/dev/null 2>&1 &); exec \"$@\"";

/// Whether a program can be PID 1 of a namespace here; says so where not.
#[must_use]
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

/// What runs the server as PID 1, its arguments excepted. The mark is for whoever is inside.
pub(super) fn server(mark: &str) -> anyhow::Result<Vec<OsString>> {
    let mark = format!("{}={mark}", process::MARK);
    let words = PID_ONE.into_iter().chain(["env", &mark, "sh", "-c", SCRIPT, "sh"]).map(OsString::from);
    Ok(words.chain([paths::skein()?.into()]).collect())
}

/// Has a process in the namespace of `server` that falls to its PID 1, as one may that `docker exec` brought in.
///
/// # Errors
/// When nobody can get in.
pub fn bring_in_an_orphan(server: u32) -> anyhow::Result<()> {
    let server = server.to_string();
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--target", &server, "--user", "--preserve-credentials", "--pid"]);
    nsenter.args(["sh", "-c", "(setsid sleep 1000 >/dev/null 2>&1 &)"]);
    let output = nsenter.stdin(Stdio::null()).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
