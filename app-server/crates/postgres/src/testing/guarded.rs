//! A program that ends with the process that started it, also if that one is killed.
//!
//! A shell holds the program's life: it starts the program, says `ready`, and reads its input, which is a pipe from this
//! process with the names of functions to call. At the end of the pipe it stops the program and removes its folder. PostgreSQL
//! and its pooler refuse root, so root's tests run them as `nobody`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::unistd::{Uid, User, chown};

/// The beginning of each script. `$0` is the folder of the program. A reader that is gone does not end the script.
const BEGIN: &str = r#"
trap '' INT HUP PIPE
trap 'cd / && rm -rf "$0"' EXIT
cd "$0" || exit 1
until_the_end() {
  echo ready
  while read -r function; do "$function"; echo ready; done
}
"#;

/// The program.
pub(super) struct GuardedProgram {
    folder: PathBuf,
    pipes: Mutex<ShellPipes>,
    _shell: Child,
}

struct ShellPipes {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl ShellPipes {
    /// Waits until the script says that it is ready.
    fn until_ready(&mut self) -> Result<(), String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| error.to_string())?;
        if line.trim() != "ready" {
            self.output.read_to_string(&mut line).map_err(|error| error.to_string())?;
            return Err(line);
        }
        Ok(())
    }

    fn call(&mut self, function: &str) -> Result<(), String> {
        writeln!(self.input, "{function}").map_err(|error| error.to_string())?;
        self.until_ready()
    }
}

impl GuardedProgram {
    /// Runs a script in a new folder up to its `until_the_end`. The rest of the script stops the program.
    ///
    /// # Panics
    /// If the program does not start.
    pub(super) fn start(script: &str, args: &[&OsStr]) -> Self {
        match Self::try_start(script, args) {
            Ok(program) => program,
            Err(error) => panic!("the program of a test does not start: {error}"),
        }
    }

    /// Runs a function of the script, and waits for its end.
    ///
    /// # Panics
    /// If it fails.
    pub(super) fn call(&self, function: &str) {
        let called = self.pipes.lock().unwrap_or_else(PoisonError::into_inner).call(function);
        called.unwrap_or_else(|error| panic!("{function}: {error}"));
    }

    /// Its folder, which it may write to.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    #[expect(clippy::disallowed_methods, reason = "a program of tests, which ends with this process")]
    fn try_start(script: &str, args: &[&OsStr]) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("skein-pg-").tempdir();
        let folder = folder.map_err(|error| error.to_string())?;
        let user = unprivileged(folder.path())?;
        // From here on the shell removes it.
        let folder = folder.keep();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{BEGIN}{script}")).arg(&folder).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        if let Some(user) = user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let mut shell = command.spawn().map_err(|error| format!("/bin/sh does not start: {error}"))?;
        let (input, output) = (shell.stdin.take(), shell.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err("it has no pipes".to_owned()) };
        let mut pipes = ShellPipes { input, output: BufReader::new(output) };
        pipes.until_ready()?;
        Ok(Self { folder, pipes: Mutex::new(pipes), _shell: shell })
    }
}

/// The user that runs the program, if this process may not, and the folder for it.
fn unprivileged(folder: &Path) -> Result<Option<User>, String> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = User::from_name("nobody").ok().flatten();
    let user = user.ok_or("it refuses root, and there is no user nobody to run it as")?;
    chown(folder, Some(user.uid), Some(user.gid)).map_err(|error| error.to_string())?;
    Ok(Some(user))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use skein_base::clock::Clock;

    use super::*;

    /// The environment of the process that is killed.
    const HOLDER: &str = "SKEIN_TEST_HOLDER";

    /// In a process of its own: starts a program, prints its folder, and stays.
    #[test]
    fn a_holder_of_a_program_stays() {
        if std::env::var_os(HOLDER).is_none() {
            return;
        }
        let program = GuardedProgram::start("until_the_end", &[]);
        let mut out = std::io::stderr();
        writeln!(out, "{}", program.folder().display()).unwrap();
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        panic!("it is killed before that");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the process that is killed")]
    fn a_program_ends_with_its_process_also_when_that_is_killed() {
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "testing::guarded::tests::a_holder_of_a_program_stays", "--nocapture"])
            .env(HOLDER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut folder = String::new();
        BufReader::new(holder.stderr.take().unwrap()).read_line(&mut folder).unwrap();
        let folder = Path::new(folder.trim());
        assert!(folder.is_dir(), "{}", folder.display());
        holder.kill().unwrap();
        holder.wait().unwrap();
        let late = Clock.now() + Duration::from_secs(20);
        while folder.exists() {
            assert!(Clock.now() < late, "{} is still there", folder.display());
            std::thread::yield_now();
        }
    }
}
