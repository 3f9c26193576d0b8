//! A program that ends with the process that started it, also if that one is killed.
//!
//! A shell holds the program's life: it starts the program, says `ready`, and reads its input, which is a pipe from this
//! process. At the end of the pipe it stops the program and removes its folder. PostgreSQL and its pooler refuse root, so
//! root's tests run them as `nobody`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::unistd::{Uid, User, chown};

/// The beginning of each script. `$0` is the program's folder.
const BEGIN: &str = r#"
trap '' INT HUP
cd "$0" || exit 1
until_the_end() { echo ready; cat >/dev/null; }
"#;

/// The end of each script.
const END: &str = r#"
cd /
rm -rf "$0"
"#;

/// The program.
pub(super) struct GuardedProgram {
    folder: PathBuf,
    _input: ChildStdin,
    _shell: Child,
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
        command.arg("-c").arg(format!("{BEGIN}{script}{END}")).arg(&folder).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        if let Some(user) = user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let mut shell = command.spawn().map_err(|error| format!("/bin/sh does not start: {error}"))?;
        let (input, output) = (shell.stdin.take(), shell.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err("it has no pipes".to_owned()) };
        let (mut output, mut first) = (BufReader::new(output), String::new());
        output.read_line(&mut first).map_err(|error| error.to_string())?;
        if first.trim() != "ready" {
            output.read_to_string(&mut first).map_err(|error| error.to_string())?;
            return Err(first);
        }
        Ok(Self { folder, _input: input, _shell: shell })
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
