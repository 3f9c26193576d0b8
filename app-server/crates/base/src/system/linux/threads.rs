//! A process whose first thread has ended while others run on: `/proc/PID` shows its numbers, but neither descriptors, environment,
//! memory nor network. Each of its other threads shows them. A thread that has left the common table of descriptors
//! (`CLONE_FILES` of unshare(2)) is not looked for.

use std::fs;
use std::iter;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat_raw};

/// The folders of a process's threads without the first one. None of a process that has ended.
pub(super) fn other_threads(pid: Pid) -> impl Iterator<Item = PathBuf> {
    let first = pid.to_string();
    let all = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    all.filter(move |thread| thread.file_name().to_str() != Some(&first)).map(|thread| thread.path())
}

/// The result of `read` in the folder of a process, or else in the first folder of its other threads that has one.
pub(super) fn read_shown<T>(pid: Pid, read: impl Fn(&Path) -> Option<T>) -> Option<T> {
    let own = iter::once(PathBuf::from(format!("/proc/{pid}")));
    // Listed only if the own one shows nothing.
    let others = iter::once_with(|| other_threads(pid)).flatten();
    own.chain(others).find_map(|folder| read(&folder))
}

/// A file of proc(5) about a process. Empty for one that has ended, or that this user may not read.
pub fn shown(pid: Pid, file: &str) -> Vec<u8> {
    let text = |folder: &Path| fs::read(folder.join(file)).ok().filter(|text| !text.is_empty());
    read_shown(pid, text).unwrap_or_default()
}

/// The inodes of a process's sockets. None of a process that has ended, or whose descriptors this user may not read.
pub fn sockets(pid: Pid) -> Vec<u64> {
    let mut found = Vec::new();
    if !matches!(add_sockets(format!("/proc/{pid}/fd").as_ref(), &mut found), Ok(Descriptors::All)) {
        for thread in other_threads(pid) {
            // A thread may have ended meanwhile; the others have the same descriptors.
            let _ = add_sockets(&thread.join("fd"), &mut found);
        }
    }
    found
}

/// The part of a list of descriptors that could be read.
enum Descriptors {
    All,
    /// There are none, as in a thread that has ended, or some disappeared during the look.
    Some,
}

fn add_sockets(folder: &Path, found: &mut Vec<u64>) -> rustix::io::Result<Descriptors> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut open = Dir::new(openat(CWD, folder, flags, Mode::empty())?)?;
    let (mut listed, mut read) = (0, 0);
    while let Some(entry) = open.read().transpose()? {
        if entry.file_name().to_bytes().starts_with(b".") {
            continue;
        }
        listed += 1;
        // By the whole path each look would begin at the root. The text of a socket is short; a longer one is cut.
        let mut text = [MaybeUninit::uninit(); 40];
        let Ok((text, _)) = readlinkat_raw(open.fd()?, entry.file_name(), &mut text) else { continue };
        read += 1;
        found.extend(socket_inode(text));
    }
    Ok(if read == listed && listed > 0 { Descriptors::All } else { Descriptors::Some })
}

/// `socket:[INODE]` of proc_pid_fd(5).
fn socket_inode(link: &[u8]) -> Option<u64> {
    let inode = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(inode).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::os::linux::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_sockets_among_the_descriptors_of_a_process_are_read() {
        let before = sockets(Pid::this());
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let inode = File::from(OwnedFd::from(one.try_clone().unwrap())).metadata().unwrap().st_ino();
        assert!(!before.contains(&inode) && sockets(Pid::this()).contains(&inode));
        let none = Pid::from_raw(i32::MAX);
        assert_eq!(
            (sockets(none), shown(none, "environ")),
            (Vec::new(), Vec::new()),
            "there is no such process"
        );
        assert_eq!(socket_inode(b"socket:[12]"), Some(12));
        for link in [&b"socket:[1"[..], b"socket:[]", b"pipe:[12]", b"/socket:[12]", b""] {
            assert_eq!(socket_inode(link), None);
        }
    }
}
