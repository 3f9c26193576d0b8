//! The lock of a home, and its holder. The lock file also keeps the term.
//!
//! The lock (`flock` on `lock`) is the truth. Its holder only writes `server.json`, the content of the lock file and
//! `control.sock`. A refused process asks the kernel for the holder (`/proc/locks`), so files of a killed server
//! mislead nobody. A holder without a published address gets a second: it publishes one, or ends and frees the home.
//! The lock comes first and the clean-up second, so nobody removes the files of another.

#[cfg(target_os = "linux")]
use std::fs;
use std::fs::{File, OpenOptions};
use std::io;
#[cfg(target_os = "linux")]
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use skein_base::clock::Clock;
use skein_base::files::{no_surprises, only_regular};
use skein_base::system::proc::Process;

use super::{Home, HomeError, HomePaths, ServerJson, Term, durable, fault, read_regular};
use crate::policy;

/// The content of `lock`. A rewrite drops unknown members.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LockFile {
    term: u64,
    pid: u32,
    /// The highest id that a question of this home may have. Missing in files of earlier versions.
    #[serde(default)]
    questions: i64,
    /// The form of the home. Missing in files of earlier versions, whose form is the first.
    #[serde(default = "first_form")]
    form: u32,
    /// The `skein` sub-command of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doing: Option<String>,
}

/// The form of homes that this version writes. Raise it when an earlier version must not write into such a home: it would lose
/// or misread something that skipping unknown records does not cover.
const FORM: u32 = 1;

fn first_form() -> u32 {
    1
}

/// Refuses a home whose last owner was a newer version with another form of homes.
pub(super) fn check_form(lock: &File, home: &Path) -> Result<(), HomeError> {
    match read(lock) {
        Some(known) if known.form > FORM => {
            Err(HomeError::Newer { home: home.to_owned(), form: known.form, known: FORM })
        }
        Some(_) | None => Ok(()),
    }
}

/// The lock file's word for a server.
pub const SERVE: &str = "serve";

/// The lock file's word for a restore: it alone may take a home with an interrupted restore.
pub const RESTORE: &str = "restore";

/// The holder of a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process, if the system or the process itself named it.
    pub pid: Option<u32>,
    /// Its `skein` sub-command, once published.
    pub doing: Option<String>,
    /// Its address, once it listens: that of a websocket, or `stdio://`.
    pub address: Option<String>,
    /// The path of its control socket, once published.
    pub control_socket: Option<String>,
}

/// The address of a server on standard streams.
pub const STDIO: &str = "stdio://";
/// The prefix of a unix socket's URL.
pub const UNIX: &str = "unix://";

/// The address of a server, for people.
pub fn listens(address: &str, control_socket: Option<&str>) -> String {
    let address = if address == STDIO { "stdio" } else { address };
    let control = control_socket.map(|path| format!(", control socket {path}")).unwrap_or_default();
    format!("{address}{control}")
}

impl Holder {
    /// Its address as the end of a sentence; none while it is unpublished.
    pub fn place(&self) -> Option<String> {
        match self.address.as_deref()? {
            STDIO => Some(format!("on {}", listens(STDIO, self.control_socket.as_deref()))),
            address => Some(format!("at {address}")),
        }
    }

    /// Whether its address is known, or it will never have one. False for a dead holder: a child between fork and
    /// exec may keep its lock for a moment.
    fn is_known(&self) -> bool {
        let says = self.address.is_some() || self.doing.as_ref().is_some_and(|doing| doing != SERVE);
        says && !self.pid.is_some_and(is_gone)
    }
}

/// Takes the lock. A holder without a published address gets a moment: it may publish one for the error, or end and
/// free the home.
pub(super) fn take(paths: &HomePaths) -> Result<Flock<File>, HomeError> {
    let path = paths.lock();
    let mut file = durable::open_private(&path).map_err(|source| fault(&path, behind_a_link(source)))?;
    let mut looks = 0;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, Errno::EWOULDBLOCK)) => {
                let holder = holder_of(paths, &back);
                if holder.is_known() || looks >= policy::HOME_LOOKS {
                    return Err(HomeError::Served { holder, home: paths.root().to_owned() });
                }
                file = back;
            }
            Err((_, errno)) => return Err(fault(&path, errno.into())),
        }
        looks += 1;
        std::thread::sleep(policy::HOME_LOOK);
    }
}

/// The lock is never opened through a link. The system's error for that speaks of too many links.
fn behind_a_link(error: io::Error) -> io::Error {
    if error.raw_os_error() != Some(Errno::ELOOP as i32) {
        return error;
    }
    io::Error::new(io::ErrorKind::InvalidInput, "it is a link; move it away")
}

/// The holder of the home, found without touching the lock; `None` without a holder, or if the system does not say.
pub fn holder(paths: &HomePaths) -> Option<Holder> {
    let file = OpenOptions::new().read(true).custom_flags(no_surprises()).open(paths.lock()).ok()?;
    let file = only_regular(file).ok()?;
    let pid = locked_by(&file)?;
    Some(published_facts(paths, &file, Some(pid)))
}

/// A home without a server. No server can take it while this value lives. It changes nothing in the home.
#[derive(Debug)]
pub struct Idle {
    /// None if the home has no lock file: no server ever had it.
    lock: Option<Flock<File>>,
}

impl Idle {
    /// Locks the home at `root` without becoming its server.
    ///
    /// # Errors
    /// [`HomeError::Served`] if another process holds the lock, [`HomeError::Io`] otherwise.
    pub(crate) fn keep(root: &Path) -> Result<Self, HomeError> {
        let paths = HomePaths::new(root);
        let path = paths.lock();
        let opened =
            OpenOptions::new().read(true).custom_flags(no_surprises()).open(&path).and_then(only_regular);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { lock: None }),
            Err(source) => return Err(fault(&path, source)),
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { lock: Some(lock) }),
            Err((file, Errno::EWOULDBLOCK)) => {
                Err(HomeError::Served { holder: holder_of(&paths, &file), home: paths.root().to_owned() })
            }
            Err((_, errno)) => Err(fault(&path, errno.into())),
        }
    }

    /// Whether the lock is held. A home that no server ever had has none.
    pub(crate) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

/// The term in a home's lock file; `None` if the file is empty or cannot be parsed.
///
/// # Errors
/// [`HomeError::Io`] if the file is missing, or cannot be read.
pub fn read_term(root: &Path) -> Result<Option<Term>, HomeError> {
    let path = HomePaths::new(root).lock();
    let text = read_regular(&path).map_err(|source| fault(&path, source))?;
    Ok(serde_json::from_str::<LockFile>(&text).ok().map(|lock| Term(lock.term)))
}

fn holder_of(paths: &HomePaths, lock: &File) -> Holder {
    let pid = locked_by(lock);
    published_facts(paths, lock, pid)
}

/// The published facts about the holder. Ignores files of another process.
fn published_facts(paths: &HomePaths, lock: &File, pid: Option<u32>) -> Holder {
    let says = Home::read_server_json(paths.root()).ok().flatten();
    let says = says.filter(|says| pid.is_none_or(|pid| says.pid == pid));
    let locked = read(lock).filter(|lock| pid.is_none_or(|pid| lock.pid == pid));
    Holder {
        pid: pid.or_else(|| says.as_ref().map(|says| says.pid)).or(locked.as_ref().map(|lock| lock.pid)),
        doing: locked.and_then(|lock| lock.doing),
        control_socket: says.as_ref().and_then(ServerJson::control_socket),
        address: says.and_then(|says| says.addresses.into_iter().next()),
    }
}

/// The process with the lock, as the kernel knows it (Linux: `/proc/locks`). A server that was started a moment ago
/// has written nothing, and a killed one has left its files.
#[cfg(target_os = "linux")]
fn locked_by(lock: &File) -> Option<u32> {
    let seen = lock.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(seen.dev()), rustix::fs::minor(seen.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", seen.ino());
    let look = || {
        let locks = fs::read_to_string("/proc/locks").ok()?;
        locks.lines().filter_map(|line| holder_in(line, &file)).find(|pid| *pid > 0)
    };
    // The kernel gives a long list in pieces, and a lock that goes away between two of them hides another one.
    (0..policy::LOCK_LOOKS).find_map(|_| look())
}

/// On other systems only the holder's own files name it.
#[cfg(not(target_os = "linux"))]
fn locked_by(_lock: &File) -> Option<u32> {
    None
}

/// The process in a line such as `1: FLOCK  ADVISORY  WRITE 708 00:13:12345 0 EOF`, if the line is about `file`.
#[cfg(target_os = "linux")]
fn holder_in(line: &str, file: &str) -> Option<u32> {
    let mut words = line.split_whitespace();
    let kind = words.nth(1)?;
    // The second word of a waiting lock is an arrow.
    let pid = words.nth(2)?;
    (kind == "FLOCK" && words.next()? == file).then(|| pid.parse().ok()).flatten()
}

/// Whether `pid` has ended. A zombie counts.
fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid).map(Pid::from_raw);
    pid.is_ok_and(|pid| Process::read(pid).is_none_or(|process| process.zombie))
}

fn read(file: &File) -> Option<LockFile> {
    let mut bytes = vec![0; 256];
    let length = file.read_at(&mut bytes, 0).ok()?;
    serde_json::from_slice(bytes.get(..length)?).ok()
}

/// Writes one more than the term in the lock file, and the next ids of questions, on disk before its owner does anything.
/// Returns both. If the file cannot be parsed, the time in milliseconds is the term: counting from 1 never came that far,
/// so the term still rises. Ids begin at the time, or above those of earlier owners: also a clock that was set back
/// repeats none.
pub(super) fn raise_term(lock: &File, doing: &str) -> io::Result<(Term, i64)> {
    let now = Clock.wall().0;
    let (known, given) = match (lock.metadata()?.len(), read(lock)) {
        (0, _) => (0, 0),
        (_, Some(known)) => (known.term, known.questions),
        (_, None) => (u64::try_from(now).unwrap_or(u64::MAX / 2), 0),
    };
    let first = now.max(given.saturating_add(1));
    let last = first.saturating_add(policy::QUESTION_IDS);
    write(lock, doing, (known.saturating_add(1), last)).map(|term| (term, first))
}

/// Writes the lock file, and syncs it. `questions` is the highest id of a question.
pub(super) fn write(lock: &File, doing: &str, (term, questions): (u64, i64)) -> io::Result<Term> {
    let says =
        LockFile { term, pid: std::process::id(), questions, form: FORM, doing: Some(doing.to_owned()) };
    let text = serde_json::to_string(&says)?;
    lock.write_all_at(text.as_bytes(), 0)?;
    lock.set_len(text.len() as u64)?;
    lock.sync_all()?;
    Ok(Term(term))
}
