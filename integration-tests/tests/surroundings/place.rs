//! Location and environment of a row's programs. The functions of the table change it before the programs
//! start.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{PipeReader, pipe};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use skein_integration_tests::users::OTHERS;
use skein_integration_tests::{paths, process};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, Command};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::namespace::Namespace;

/// Whether this machine can provide the surroundings.
#[derive(Debug)]
pub(super) enum Tried {
    Yes,
    /// Not on this machine, for this reason.
    No(String),
}

/// Reader of a server's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Reads everything.
    Attentive,
    /// The other end of the pipe is closed.
    Gone,
    /// The pipe is full, and nothing reads it.
    Idle,
}

/// The surroundings of one row.
#[derive(Debug)]
pub(super) struct Place {
    /// The home on the command line; without it the environment names the home.
    pub home: Option<PathBuf>,
    /// Another path of the home.
    pub other_name: Option<PathBuf>,
    /// Whether the settings have a helper.
    pub has_helper: bool,
    /// Command in front of every program of this row.
    pub through: Vec<OsString>,
    /// Command in front of `skein serve`.
    pub serve_through: Vec<OsString>,
    /// More arguments of a server.
    pub flags: Vec<OsString>,
    /// Variables to set, or to remove.
    pub variables: BTreeMap<&'static str, Option<OsString>>,
    /// Whether programs have no other variables.
    pub bare: bool,
    pub stdout: Reader,
    pub stderr: Reader,
    /// Signals to the server during a turn, in order.
    pub signals: &'static [Signal],
    /// Signal that ends the first server.
    pub end: Signal,
    /// Tag of every process of this row.
    pub tag: String,
    pub namespace: Option<Namespace>,
    log: Arc<Mutex<Vec<u8>>>,
    /// Folders outside [`Place::folder`].
    other_folders: Vec<TempDir>,
    folder: TempDir,
}

impl Place {
    /// An ordinary home in a new folder, with one helper in its settings.
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("skein-test-").tempdir()?;
        let home = folder.path().join("home");
        DirBuilder::new().mode(0o700).create(&home)?;
        let tag = Uuid::now_v7().simple().to_string();
        let settings = format!(
            "[mcp_servers.helper]\ncommand = {:?}\nenv.{} = {tag:?}\n",
            paths::mcp_helper()?,
            process::TAG
        );
        let file = home.join("config.toml");
        fs::write(&file, settings)?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        Ok(Self {
            home: Some(home),
            other_name: None,
            has_helper: true,
            through: Vec::new(),
            serve_through: Vec::new(),
            flags: Vec::new(),
            variables: BTreeMap::new(),
            bare: false,
            stdout: Reader::Attentive,
            stderr: Reader::Attentive,
            signals: &[],
            end: Signal::SIGTERM,
            tag,
            namespace: None,
            log: Arc::default(),
            other_folders: Vec::new(),
            folder,
        })
    }

    /// The folder with all files of this row.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The home, at its current path.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join(self.home.as_deref().unwrap_or(Path::new("home")))
    }

    /// The default path of the home.
    pub(super) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Moves the home to `name` in the folder of this row.
    pub(super) fn move_home(&mut self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let there = self.folder.path().join(name);
        fs::create_dir_all(there.parent().context("a folder")?)?;
        fs::rename(self.home(), &there)?;
        self.home = Some(there.clone());
        Ok(there)
    }

    /// A new folder on a file system other than the home's, if the machine has one.
    pub(super) fn on_another_file_system(&mut self) -> Result<Result<PathBuf, Tried>> {
        let none = |why: String| Ok(Err(Tried::No(format!("no other file system: {why}"))));
        let other = match TempDir::new_in("/dev/shm") {
            Ok(other) => other,
            Err(error) => return none(format!("/dev/shm: {error}")),
        };
        if fs::metadata(other.path())?.dev() == fs::metadata(self.folder.path())?.dev() {
            return none("/dev/shm is the same".to_owned());
        }
        let path = other.path().to_owned();
        self.other_folders.push(other);
        Ok(Ok(path))
    }

    /// Runs every program in a namespace where a shell script has made mounts. The script gets `arguments`.
    pub(super) async fn mounted(&mut self, script: &str, arguments: &[&Path]) -> Result<Tried> {
        match Namespace::new(script, arguments).await? {
            Ok(namespace) => {
                self.through = namespace.way_in();
                self.namespace = Some(namespace);
                Ok(Tried::Yes)
            }
            Err(why) => Ok(Tried::No(format!("no namespace with mounts of its own: {why}"))),
        }
    }

    /// Runs every program after this shell line.
    pub(super) fn after(&mut self, line: &str) {
        self.through = shell(line);
    }

    /// Runs every program as a user without privileges: as another one if the test runs as root.
    pub(super) async fn without_privileges(&mut self) -> Result<Tried> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Tried::Yes);
        }
        for path in [self.folder.path().to_owned(), self.home(), self.home().join("config.toml")] {
            // A row may have moved the path.
            if path.exists() {
                lchown(path, Some(OTHERS[0]), Some(OTHERS[0]))?;
            }
        }
        // Not `nobody`: the kernel gives that number to every user whom it does not know, so no door lets it in.
        let [user, group] = ["--reuid", "--regid"].map(|what| format!("{what}={}", OTHERS[0]));
        let other = ["setpriv", &user, &group, "--clear-groups", "--"];
        self.through.splice(0..0, other.map(OsString::from));
        // The test's own client is root's, and so another user's.
        self.flags.extend(["-c", "auth.local=any"].map(Into::into));
        let mut command = Command::new(&self.through[0]);
        command.args(&self.through[1..]).arg(paths::skein()?).arg("--version").stdin(Stdio::null());
        match command.output().await {
            Ok(output) if output.status.success() => Ok(Tried::Yes),
            Ok(output) => Ok(Tried::No(format!(
                "another user cannot run skein: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ))),
            Err(error) => Ok(Tried::No(format!("no setpriv: {error}"))),
        }
    }

    /// The path of a file in the surroundings, from outside their namespace.
    pub(super) fn seen(&self, path: &Path) -> PathBuf {
        match &self.namespace {
            Some(namespace) => namespace.seen(path),
            None => path.to_owned(),
        }
    }

    /// A command of `skein` in these surroundings.
    pub(super) fn command(&self, arguments: &[&OsStr]) -> Result<Command> {
        self.behind(&self.through, arguments, self.home.as_deref())
    }

    /// `skein serve` in these surroundings, on a home with another of its names.
    pub(super) fn serve_by(&self, name: Option<&Path>) -> Result<Command> {
        self.behind(&self.through, &["serve", "--listen", "ws://127.0.0.1:0"].map(OsStr::new), name)
    }

    /// `skein serve` in these surroundings.
    pub(super) fn serve(&self) -> Result<Command> {
        let through = [&self.through[..], &self.serve_through].concat();
        let home = self.home.as_deref();
        let mut command =
            self.behind(&through, &["serve", "--listen", "ws://127.0.0.1:0"].map(OsStr::new), home)?;
        command.args(&self.flags);
        Ok(command)
    }

    /// `skein app-server` in these surroundings.
    pub(super) fn app_server(&self) -> Result<Command> {
        let mut command = self.command(&[OsStr::new("app-server")])?;
        command.args(&self.flags);
        Ok(command)
    }

    fn behind(&self, through: &[OsString], arguments: &[&OsStr], home: Option<&Path>) -> Result<Command> {
        let skein = paths::skein()?.into_os_string();
        let words = [through, std::slice::from_ref(&skein)].concat();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(arguments).current_dir(self.folder.path()).kill_on_drop(true);
        if let Some(home) = home {
            command.arg("--home").arg(home);
        }
        if self.bare {
            command.env_clear();
        }
        for name in ["SKEIN_HOME", "SKEIN_LOG", "XDG_DATA_HOME", "CODEX_HOME"] {
            command.env_remove(name);
        }
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env(process::TAG, &self.tag);
        Ok(command)
    }

    /// The log of this row's servers.
    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Collects a server's log until its end.
    pub(super) fn take_log(&self, mut stderr: ChildStderr) -> JoinHandle<()> {
        let log = Arc::clone(&self.log);
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut bytes).await {
                log.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..count]);
            }
        })
    }
}

impl Reader {
    /// Standard output for a server, and the pipe to keep while it runs. An attentive reader gets
    /// `attentive`.
    pub(super) fn stdio(self, attentive: Stdio) -> Result<(Stdio, Option<PipeReader>)> {
        match self {
            Self::Attentive => Ok((attentive, None)),
            Self::Gone => Ok((pipe()?.1.into(), None)),
            Self::Idle => {
                let (reader, writer) = full_pipe()?;
                Ok((writer, Some(reader)))
            }
        }
    }
}

/// The command that runs a program after a shell line.
pub(super) fn shell(line: &str) -> Vec<OsString> {
    ["sh", "-c", &format!("{line}; exec \"$@\""), "sh"].map(OsString::from).to_vec()
}

/// A full pipe, which takes nothing until it is read.
fn full_pipe() -> Result<(PipeReader, Stdio)> {
    use std::io::Write;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let (reader, mut writer) = pipe()?;
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut taken = 0;
    while let Ok(bytes) = writer.write(b"x") {
        taken += bytes;
    }
    ensure!(taken > 0, "the pipe accepts no bytes");
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok((reader, writer.into()))
}
