//! A namespace with its own mounts. The programs of a row enter it one after the other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use skein_integration_tests::home::PATIENCE;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// Output of the shell when all mounts are done.
const READY: &[u8] = b"ready\n";

/// A namespace. It ends with the process that holds it.
#[derive(Debug)]
pub(super) struct Namespace {
    _holder: Child,
    pid: u32,
}

impl Namespace {
    /// A namespace in which a shell has run `script` with `arguments`, or the reason why there is none.
    pub(super) async fn new(script: &str, arguments: &[&Path]) -> Result<Result<Self, String>> {
        let mut command = Command::new("unshare");
        let script = format!("set -e; {script}; echo ready; exec cat");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut holder = match command.spawn() {
            Ok(holder) => holder,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut greeting = [0; READY.len()];
        let mut output = BufReader::new(holder.stdout.take().context("stdout")?);
        let ready = tokio::time::timeout(PATIENCE, output.read_exact(&mut greeting)).await?;
        if ready.is_err() || greeting != READY {
            let output = tokio::time::timeout(PATIENCE, holder.wait_with_output()).await??;
            return Ok(Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let pid = holder.id().context("a namespace")?;
        // Check that a program can enter.
        let namespace = Self { _holder: holder, pid };
        let [nsenter, options @ ..] = &namespace.way_in()[..] else { return Ok(Err("no words".into())) };
        let entered = Command::new(nsenter).args(options).arg("true").stdin(Stdio::null()).output().await;
        Ok(match entered {
            Ok(output) if output.status.success() => Ok(namespace),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// The command that runs a program inside.
    pub(super) fn way_in(&self) -> Vec<OsString> {
        let pid = self.pid.to_string();
        let words = ["nsenter", "--target", &pid, "--user", "--preserve-credentials", "--mount", "--"];
        words.map(OsString::from).to_vec()
    }

    /// The path of an inside file, from outside.
    pub(super) fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }
}
