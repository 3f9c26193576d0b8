//! Starts other programs for the user. None of them is a helper. The background server of a home, and a browser, outlive
//! the command that starts them, in a session of their own; systemctl ends before it.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use anyhow::Context;
use nix::libc;
use skein_app_server::policy::{BROWSER_START, SERVER_START};
use skein_base::tasks;
use skein_store::home::make_root;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

/// The mode of the log, which may quote anything.
const LOG_MODE: u32 = 0o600;

/// The most bytes of the log that an error quotes.
const QUOTED_BYTES: u64 = 16 << 10;

/// The log of a background server.
pub(super) fn log_path(root: &Path) -> PathBuf {
    root.join("server.log")
}

/// A background server that has not answered yet.
pub(super) struct StartingServer {
    child: Child,
    log: File,
    /// The end of the log before this start.
    before: u64,
}

/// The outcome of a start.
pub(super) enum Started {
    /// It accepts connections.
    Ready(u32),
    /// It has ended, with this status and these last words.
    Ended(ExitStatus, String),
}

impl StartingServer {
    /// Starts `skein serve` for a home at this address.
    ///
    /// # Errors
    /// The home, its log or the process cannot be made.
    pub(super) fn start(root: &Path, listen: &str) -> anyhow::Result<Self> {
        make_root(root)?;
        let path = log_path(root);
        let log = open_log(&path).with_context(|| path.display().to_string())?;
        let before = log.metadata().context("server.log")?.len();
        let program = std::env::current_exe().context("the path of this program")?;
        let errors = log.try_clone().context("server.log")?;
        let mut command = command(program.as_os_str());
        command.args(["serve", "--background", "--listen", listen, "--home"]).arg(root);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let child = command.spawn().context("the server cannot be started")?;
        Ok(Self { child, log, before })
    }

    /// Waits until it accepts connections, or has ended.
    ///
    /// # Errors
    /// It does neither for a long time.
    pub(super) async fn ready(mut self) -> anyhow::Result<Started> {
        let out = self.child.stdout.take().context("stdout of the server")?;
        let mut line = String::new();
        let mut out = BufReader::new(Receiver::from_owned_fd(OwnedFd::from(out))?);
        let read = tokio::time::timeout(SERVER_START, out.read_line(&mut line)).await;
        let seconds = SERVER_START.as_secs();
        let pid = self.child.id();
        read.with_context(|| format!("the server (process {pid}) has not started within {seconds} s"))??;
        if line.ends_with('\n') {
            return Ok(Started::Ready(pid));
        }
        let status = self.child.wait().context("the end of the server")?;
        Ok(Started::Ended(status, self.last_words()))
    }

    /// The errors of this start, without the program's name before them.
    fn last_words(&self) -> String {
        let end = self.log.metadata().map_or(self.before, |log| log.len());
        let from = self.before.min(end).max(end.saturating_sub(QUOTED_BYTES));
        let mut bytes = vec![0; usize::try_from(end - from).unwrap_or_default()];
        if self.log.read_exact_at(&mut bytes, from).is_err() {
            return String::new();
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let said = text.split_once("skein: ").map_or(text.as_str(), |(_, said)| said);
        said.trim_end().to_owned()
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(LOG_MODE).custom_flags(flags);
    let log = options.open(path)?;
    if !log.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file; move it away"));
    }
    log.set_permissions(Permissions::from_mode(LOG_MODE))?;
    Ok(log)
}

/// A command that will lead a session of its own: no key of this terminal reaches it.
#[expect(
    clippy::disallowed_methods,
    reason = "a server and a browser are no helpers: they outlive this process"
)]
fn command(program: &std::ffi::OsStr) -> Command {
    let mut command = Command::new(program);
    let own_session = || nix::unistd::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: setsid is async-signal-safe, and nothing else runs between fork and exec.
    unsafe { command.pre_exec(own_session) };
    command
}

/// Runs a program of the system to its end, without input.
///
/// # Errors
/// It cannot be started.
#[expect(clippy::disallowed_methods, reason = "a program of the system that answers and ends is no helper")]
pub(super) fn output(program: &str, arguments: &[&str]) -> io::Result<Output> {
    Command::new(program).args(arguments).stdin(Stdio::null()).output()
}

/// Whether a command names a program that is there.
pub(super) fn is_program(command: &str) -> bool {
    if command.contains('/') {
        return Path::new(command).exists() || !command.starts_with('/');
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(command).is_file())
}

/// The commands that open a page, the preferred first: those of `BROWSER`, or the desktop's.
fn browsers(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let named = variable("BROWSER").unwrap_or_default();
    let named: Vec<String> =
        named.split(':').filter(|name| !name.trim().is_empty()).map(str::to_owned).collect();
    if !named.is_empty() {
        return named;
    }
    if cfg!(target_os = "macos") {
        return vec!["open".to_owned()];
    }
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let has_display = is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
    if has_display { vec!["xdg-open".to_owned()] } else { Vec::new() }
}

/// The words of a browser's command, with the address in the place of `%s`, or at the end.
fn words(browser: &str, url: &str) -> Vec<String> {
    let mut words: Vec<String> = browser.split_whitespace().map(|word| word.replace("%s", url)).collect();
    if !browser.contains("%s") {
        words.push(url.to_owned());
    }
    words
}

/// Opens an address in the user's browser. Returns whether a browser took it.
pub(super) async fn browse(url: &str) -> bool {
    for browser in browsers(|name| std::env::var(name).ok()) {
        if shows(&browser, url).await {
            return true;
        }
    }
    false
}

/// Whether a browser takes the address: it ends well, or still runs after a moment.
async fn shows(browser: &str, url: &str) -> bool {
    let words = words(browser, url);
    let Some((program, arguments)) = words.split_first() else { return false };
    let mut command = command(program.as_ref());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let (done, ended) = oneshot::channel();
    let wait = move || {
        // Nobody waits for a browser that runs on.
        let _ = done.send(child.wait().is_ok_and(|status| status.success()));
    };
    if tasks::thread("skein-browser", wait).is_err() {
        return true;
    }
    match tokio::time::timeout(BROWSER_START, ended).await {
        Ok(is_well) => is_well.unwrap_or(false),
        // A browser that runs on shows the page.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_is_that_of_the_variable_or_of_the_desktop() {
        let of = |values: &[(&str, &str)]| {
            let values: Vec<(String, String)> =
                values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            browsers(move |name| {
                values.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
            })
        };
        assert_eq!(of(&[("BROWSER", "a:b --new %s")]), ["a", "b --new %s"]);
        if !cfg!(target_os = "macos") {
            assert_eq!(of(&[("DISPLAY", ":0")]), ["xdg-open"]);
            assert_eq!(of(&[("DISPLAY", ""), ("BROWSER", "")]), [""; 0]);
        }
        assert_eq!(words("b --new %s -x", "http://x"), ["b", "--new", "http://x", "-x"]);
        assert_eq!(words("b", "http://x"), ["b", "http://x"]);
    }
}
