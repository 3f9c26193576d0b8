//! A cgroup (version 2) for each helper, where the system lets us make one: killing it is one write, and nothing that
//! forks can outrun it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

/// The server's own cgroup folder, parent of its helpers'. Removed by [`Parent::remove`].
#[derive(Debug)]
pub struct Parent {
    folder: PathBuf,
}

impl Parent {
    /// Makes `name` below the cgroup this process is in.
    ///
    /// # Errors
    /// There is no cgroup v2, it cannot be written, or it has no `cgroup.kill` (Linux before 5.14).
    pub fn make(name: &str) -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let (mount, root) = mount(&mounts).ok_or_else(|| io::Error::other("no cgroup v2 is mounted"))?;
        let path = own_path(&own).ok_or_else(|| io::Error::other("this process is in no cgroup v2"))?;
        let path =
            path.strip_prefix(&root).map_err(|_| io::Error::other("our cgroup is not mounted here"))?;
        let ours = mount.join(path);
        remove_of_the_dead(&ours);
        let parent = Self { folder: ours.join(name) };
        fs::create_dir(&parent.folder)?;
        // Moving a process needs both files: its new group's, and that of the nearest group above both.
        let writable = |path: PathBuf| fs::OpenOptions::new().write(true).open(path);
        let usable = writable(parent.folder.join("cgroup.kill"))
            .and_then(|_| writable(parent.folder.join("cgroup.procs")))
            .and_then(|_| writable(ours.join("cgroup.procs")));
        match usable {
            Ok(_) => Ok(parent),
            Err(error) => {
                parent.remove();
                Err(error)
            }
        }
    }

    /// A group for one helper.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn child(&self, name: &str) -> io::Result<Group> {
        let folder = self.folder.join(name);
        fs::create_dir(&folder)?;
        Ok(Group { folder })
    }

    /// Removes the folder with all that is in it. Groups that still have processes stay.
    pub fn remove(&self) {
        remove_tree(&self.folder);
    }
}

/// The cgroup of one helper. Removed on drop, when it has no process left.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
}

impl Group {
    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether `pid` is, or as a zombie was, in it.
    pub fn has(&self, pid: Pid) -> bool {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        self.folder
            .file_name()
            .and_then(OsStr::to_str)
            .zip(own_path(&groups))
            .is_some_and(|(name, path)| path.components().any(|part| part.as_os_str() == name))
    }

    /// SIGKILL to everything in it, in one step.
    pub fn kill(&self) {
        kill(&self.folder);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        remove_tree(&self.folder);
    }
}

/// SIGKILL to every process of the cgroup at `folder` and of those below it.
pub fn kill(folder: &Path) {
    // An error says that the group is gone.
    let _ = fs::write(folder.join("cgroup.kill"), "1");
}

/// Removes the group of a helper whose server is gone, and, with the last of them, the server's.
pub fn remove_abandoned(folder: &Path) {
    remove_tree(folder);
    if let Some(parent) = folder.parent() {
        // Refused while another guard's group is in it; that guard comes here too.
        let _ = fs::remove_dir(parent);
    }
}

/// Removes the groups of servers that were killed while they had no guard to do it. One that still has processes stays:
/// its guards are at work.
fn remove_of_the_dead(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let dead =
            name.to_str().and_then(server_of).is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if dead {
            remove_tree(&entry.path());
        }
    }
}

/// The pid in the name of a server's group, `skein-PID-ID`.
fn server_of(name: &str) -> Option<&str> {
    let (pid, _) = name.strip_prefix("skein-")?.split_once('-')?;
    (!pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit())).then_some(pid)
}

/// A cgroup is removed by removing its folder, the innermost first; a helper may have made groups of its own.
fn remove_tree(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    if let Err(error) = fs::remove_dir(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(folder = %folder.display(), %error, "a cgroup stays");
    }
}

/// Where cgroup v2 is mounted, and which part of the hierarchy that shows (proc_pid_mountinfo(5)). In a hybrid
/// hierarchy it is mounted beside those of version 1.
fn mount(mountinfo: &str) -> Option<(PathBuf, PathBuf)> {
    mountinfo.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        (back.split(' ').next() == Some("cgroup2")).then_some(())?;
        let mut fields = front.split(' ').skip(3);
        let root = unescape(fields.next()?);
        Some((unescape(fields.next()?), root))
    })
}

/// This process's place in the hierarchy (cgroups(7): version 2 has hierarchy 0 and no controllers).
fn own_path(cgroup: &str) -> Option<PathBuf> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::")).map(PathBuf::from)
}

/// Undoes the octal escapes of mountinfo.
fn unescape(field: &str) -> PathBuf {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    const DELEGATED: &str =
        "29 23 0:26 /user.slice /sys/fs/my\\040cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_mount_is_found_alone_beside_version_1_and_shown_in_part() {
        assert_eq!(mount(HYBRID), Some(("/sys/fs/cgroup/unified".into(), "/".into())));
        assert_eq!(mount(DELEGATED), Some(("/sys/fs/my cgroup".into(), "/user.slice".into())));
        assert_eq!(mount("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"), None);
    }

    #[test]
    fn only_the_groups_of_dead_servers_go() {
        let folder = tempfile::tempdir().unwrap();
        let alive = format!("skein-{}-a", std::process::id());
        // Above the highest pid that Linux gives.
        let names = ["skein-4194305-a", alive.as_str(), "skein-x-a", "skein-1", "user.slice"];
        for name in names {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::create_dir(folder.path().join("skein-4194305-a/helper")).unwrap();
        remove_of_the_dead(folder.path());
        let left: Vec<&str> = names.into_iter().filter(|name| folder.path().join(name).exists()).collect();
        assert_eq!(left, [alive.as_str(), "skein-x-a", "skein-1", "user.slice"]);
    }

    #[test]
    fn the_own_group_is_the_one_without_controllers() {
        assert_eq!(own_path("4:memory:/a\n0::/user.slice/b\n"), Some("/user.slice/b".into()));
        assert_eq!(own_path("4:memory:/a\n"), None);
    }
}
