//! The lock of a home, and who holds it. The lock file also keeps the term.
//!
//! The lock (`flock` on `lock`) is the truth. `server.json`, the content of the lock file and `control.sock` are only what its holder has
//! written. A process that is refused asks the kernel for the holder (`/proc/locks`), so files of a killed server name nobody. A holder
//! that has not written yet where it listens gets a second, in which its end hands the home over. The lock is taken first, then leftovers
//! are replaced: in this order nobody removes the files of another.

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

use super::{FILE_MODE, Home, HomeError, HomePaths, ServerJson, Term, fault, read_regular};
use crate::policy;

/// The content of `lock`. Unknown members are left out when it is written again.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LockFile {
    term: u64,
    pid: u32,
    /// What the owner does: the sub-command of `skein`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doing: Option<String>,
}

/// What a server does with a home, as the lock file says it.
pub const SERVE: &str = "serve";

/// What a restore does with a home: it alone may take one into which another restore was cut off.
pub const RESTORE: &str = "restore";

/// Who has a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process, where the system or the process itself has said so.
    pub pid: Option<u32>,
    /// The sub-command of `skein` that it runs, once it has said so.
    pub doing: Option<String>,
    /// Where it listens, once it does: a websocket's address, or `stdio://`.
    pub address: Option<String>,
    /// The path of its control socket, once it has one.
    pub control_socket: Option<String>,
}

/// The address of a server on standard streams.
pub const STDIO: &str = "stdio://";
/// How the URL of a unix socket begins.
pub const UNIX: &str = "unix://";

/// Where a server listens, for people.
#[must_use]
pub fn listens(address: &str, control_socket: Option<&str>) -> String {
    let address = if address == STDIO { "stdio" } else { address };
    let control = control_socket.map(|path| format!(", control socket {path}")).unwrap_or_default();
    format!("{address}{control}")
}

impl Holder {
    /// Where it listens, as the end of a sentence; none while it has not said so.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        match self.address.as_deref()? {
            STDIO => Some(format!("on {}", listens(STDIO, self.control_socket.as_deref()))),
            address => Some(format!("at {address}")),
        }
    }

    /// Whether it is known by now where it listens, or that it never will. Never of one that is gone: what it was just
    /// starting has its lock for a moment more, between fork and exec.
    fn is_known(&self) -> bool {
        let says = self.address.is_some() || self.doing.as_ref().is_some_and(|doing| doing != SERVE);
        says && !self.pid.is_some_and(is_gone)
    }
}

/// Takes the lock. Somebody who has it and has not said yet where it listens is given a moment: who is refused wants
/// to know, and who is only about to end leaves the home to us.
pub(super) fn take(paths: &HomePaths) -> Result<Flock<File>, HomeError> {
    let path = paths.lock();
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .custom_flags(no_surprises())
        .open(&path)
        .and_then(only_regular)
        .map_err(|source| fault(&path, behind_a_link(source)))?;
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

/// The lock is opened through no link; the system's own words for that are of too many of them.
fn behind_a_link(error: io::Error) -> io::Error {
    if error.raw_os_error() != Some(Errno::ELOOP as i32) {
        return error;
    }
    io::Error::new(io::ErrorKind::InvalidInput, "it is a link; move it away")
}

/// Who has the home now, without touching the lock; `None` when nobody has, or the system does not tell.
#[must_use]
pub fn holder(paths: &HomePaths) -> Option<Holder> {
    let file = OpenOptions::new().read(true).custom_flags(no_surprises()).open(paths.lock()).ok()?;
    let file = only_regular(file).ok()?;
    let pid = locked_by(&file)?;
    Some(published_facts(paths, &file, Some(pid)))
}

/// A home that nobody serves, and that nobody can begin to serve until the value is dropped. Nothing in it was changed.
#[derive(Debug)]
pub struct Idle {
    /// None where the home has no lock: it was never served.
    lock: Option<Flock<File>>,
}

impl Idle {
    /// Takes the lock of the home at `root` without becoming its server.
    ///
    /// # Errors
    /// [`HomeError::Served`] when another process holds the lock, [`HomeError::Io`] otherwise.
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

    /// Whether the lock is held; a home that was never served has none.
    #[must_use]
    pub(crate) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

/// The term that the lock of a home says; `None` where it cannot be understood, or is empty.
///
/// # Errors
/// [`HomeError::Io`] when there is no such file, or it cannot be read.
pub fn read_term(root: &Path) -> Result<Option<Term>, HomeError> {
    let path = HomePaths::new(root).lock();
    let text = read_regular(&path).map_err(|source| fault(&path, source))?;
    Ok(serde_json::from_str::<LockFile>(&text).ok().map(|lock| Term(lock.term)))
}

fn holder_of(paths: &HomePaths, lock: &File) -> Holder {
    let pid = locked_by(lock);
    published_facts(paths, lock, pid)
}

/// What the holder has said of itself. What another process has left behind is not believed.
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

/// The process that holds the lock, as the kernel knows it (Linux: `/proc/locks`). A server that was started a moment
/// ago has written nothing yet, and one that was killed has left its words behind.
#[cfg(target_os = "linux")]
fn locked_by(lock: &File) -> Option<u32> {
    let seen = lock.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(seen.dev()), rustix::fs::minor(seen.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", seen.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let mut holders = locks.lines().filter_map(|line| holder_in(line, &file));
    holders.find(|pid| *pid > 0)
}

/// Elsewhere nobody but the holder itself tells.
#[cfg(not(target_os = "linux"))]
fn locked_by(_lock: &File) -> Option<u32> {
    None
}

/// The process of a line such as `1: FLOCK  ADVISORY  WRITE 708 00:13:12345 0 EOF`, when it is about `file`.
#[cfg(target_os = "linux")]
fn holder_in(line: &str, file: &str) -> Option<u32> {
    let mut words = line.split_whitespace();
    let kind = words.nth(1)?;
    // Of one that waits the second word is an arrow.
    let pid = words.nth(2)?;
    (kind == "FLOCK" && words.next()? == file).then(|| pid.parse().ok()).flatten()
}

/// Whether `pid` has ended. One that only waits to be reaped has.
fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid).map(Pid::from_raw);
    pid.is_ok_and(|pid| Process::read(pid).is_none_or(|process| process.zombie))
}

fn read(file: &File) -> Option<LockFile> {
    let mut bytes = vec![0; 256];
    let length = file.read_at(&mut bytes, 0).ok()?;
    serde_json::from_slice(bytes.get(..length)?).ok()
}

/// One more than what the lock file says, on disk before anything is done under it. A lock file that cannot be
/// understood gives the time in milliseconds: counting from 1 has never come that far, so the term still rises.
pub(super) fn raise_term(lock: &File, doing: &str) -> io::Result<Term> {
    let known = match (lock.metadata()?.len(), read(lock)) {
        (0, _) => 0,
        (_, Some(known)) => known.term,
        (_, None) => u64::try_from(Clock.wall().0).unwrap_or(u64::MAX / 2),
    };
    let term = known.saturating_add(1);
    write(lock, doing, term)
}

/// Writes the lock file, and brings it to disk.
pub(super) fn write(lock: &File, doing: &str, term: u64) -> io::Result<Term> {
    let says = LockFile { term, pid: std::process::id(), doing: Some(doing.to_owned()) };
    let text = serde_json::to_string(&says)?;
    lock.write_all_at(text.as_bytes(), 0)?;
    lock.set_len(text.len() as u64)?;
    lock.sync_all()?;
    Ok(Term(term))
}
