//! A cgroup (version 2) for each helper, if the system permits it. One write kills the whole group, and no fork escapes it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Pid;
use skein_base::system::proc::{self, Process};

use crate::containment::tag::{CGROUP, StartTag};

/// The group of the server's own processes, once it has left the one in which it was started.
const LEAF: &str = "skein.server";
/// How often the processes of a group are moved until none is left.
const LEAVING_LOOKS: usize = 10;

/// The place of the server's own cgroup, parent of its helpers' groups. It is there while one of them is: a server that is killed
/// cannot remove it, but the guards of its helpers do.
#[derive(Debug)]
pub(crate) struct Parent {
    folder: PathBuf,
}

impl Parent {
    /// A parent called `name` below the cgroup this process is in. Tries once whether it can be made.
    ///
    /// # Errors
    /// There is no cgroup v2, it cannot be written, or it has no `cgroup.kill` (Linux before 5.14).
    pub(crate) fn make(name: &str) -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let (mount, root) = mount(&mounts).ok_or_else(|| io::Error::other("no cgroup v2 is mounted"))?;
        let path = own_path(&own).ok_or_else(|| io::Error::other("this process is in no cgroup v2"))?;
        let path =
            path.strip_prefix(&root).map_err(|_| io::Error::other("our cgroup is not mounted here"))?;
        // Without the slash that joining nothing leaves.
        Self::make_in(&mount.join(path).components().collect::<PathBuf>(), name)
    }

    fn make_in(ours: &Path, name: &str) -> io::Result<Self> {
        let why = |what: &str, error: io::Error| {
            io::Error::new(error.kind(), format!("{what} in {}: {error}", ours.display()))
        };
        let parent = Self { folder: ours.join(name) };
        fs::create_dir(&parent.folder).map_err(|error| why("no group can be made", error))?;
        // Moving a process needs both files: its new group's, and that of the nearest group above both.
        let writable = |path: PathBuf| fs::OpenOptions::new().write(true).open(path);
        let in_both =
            || writable(parent.folder.join("cgroup.procs")).and_then(|_| writable(ours.join("cgroup.procs")));
        let usable = writable(parent.folder.join("cgroup.kill"))
            .map_err(|error| why("no group can be killed", error))
            .and_then(|_| in_both().map_err(|error| why("no process can be moved to a group", error)));
        parent.remove();
        usable.map(|_| parent)
    }

    /// The folder of the cgroup that this process is in, in which this one was made.
    pub(crate) fn place(&self) -> Option<&Path> {
        self.folder.parent()
    }

    /// A group for one helper.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(crate) fn child(&self, name: &str) -> io::Result<Group> {
        let folder = self.folder.join(name);
        loop {
            match fs::create_dir(&self.folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _there => {}
            }
            match fs::create_dir(&folder) {
                // The last of the other groups ended just now, and the parent with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                made => return made.map(|()| Group { folder }),
            }
        }
    }

    /// Enables `controller` for the groups of helpers. Tries to enable it in this process's own group first. The kernel permits that only
    /// in a group without processes, and in the root of the hierarchy: so the server leaves its group for one below it.
    ///
    /// # Errors
    /// The controller cannot be enabled, or processes of others are in the server's group.
    pub(crate) fn pass_on(&self, controller: &str) -> io::Result<()> {
        let has = |folder: &Path| {
            fs::read_to_string(folder.join("cgroup.controllers"))
                .is_ok_and(|all| all.split_ascii_whitespace().any(|one| one == controller))
        };
        let pass = |folder: &Path| {
            let file = fs::OpenOptions::new().write(true).open(folder.join("cgroup.subtree_control"));
            file.and_then(|mut file| file.write_all(format!("+{controller}").as_bytes()))
        };
        let why = |error: io::Error| {
            let reason = format!("our cgroup cannot pass the controller {controller} on: {error}");
            io::Error::new(error.kind(), reason)
        };
        if !has(&self.folder) {
            let ours = self.folder.parent().unwrap_or(&self.folder);
            if !has(ours) {
                return Err(why(io::Error::other("it has it not itself")));
            }
            let passed = match pass(ours) {
                Err(error) if is_busy(&error) => leave(ours, Pid::this()).and_then(|()| pass(ours)),
                passed => passed,
            };
            passed.map_err(why)?;
        }
        pass(&self.folder).map_err(why)
    }

    /// Removes it with all that is in it. Groups that still have processes stay.
    pub(crate) fn remove(&self) {
        remove_tree(&self.folder);
    }
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EBUSY as i32)
}

/// Moves a process and those below it from the group at `ours` to one below it. That group stays, for the next server there.
fn leave(ours: &Path, us: Pid) -> io::Result<()> {
    let leaf = ours.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _made => {}
    }
    // A process may begin others before it has moved.
    for _ in 0..LEAVING_LOOKS {
        let there = fs::read_to_string(ours.join("cgroup.procs"))?;
        let pids: Vec<i32> = there.lines().filter_map(|line| line.parse().ok()).collect();
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids {
            let is_ours = |above: &Process| (above.pid == us).then_some(());
            if proc::find_above(Process::read, Pid::from_raw(pid), is_ours) == Ok(None)
                && Process::read(Pid::from_raw(pid)).is_some()
            {
                return Err(io::Error::other(format!(
                    "process {pid}, which is not of this server, is in it"
                )));
            }
            let moved = fs::OpenOptions::new().write(true).open(leaf.join("cgroup.procs"));
            match moved.and_then(|mut file| file.write_all(pid.to_string().as_bytes())) {
                // It has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                moved => moved?,
            }
        }
    }
    Err(io::Error::other("processes begin in it too fast"))
}

/// The cgroup of one helper. Removed on drop, when it has no process left.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
}

impl Group {
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether `pid` is, or as a zombie was, in it.
    pub(crate) fn has(&self, pid: Pid) -> bool {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        own_path(&groups).is_some_and(|path| self.is_on(&path))
    }

    /// Whether this group, or one below it, has the path of proc_pid_cgroup(5). The path begins at the root of the reader's cgroup
    /// namespace, so only names are compared: the helper's number, and the name of its server, as each server counts from 0.
    fn is_on(&self, path: &Path) -> bool {
        let names = |path: &Path| path.iter().map(OsStr::to_owned).collect::<Vec<_>>();
        let own = names(&self.folder);
        own.last_chunk::<2>().is_some_and(|own| names(path).array_windows::<2>().any(|two| two == own))
    }

    /// Limits the memory of all its processes together, without swap. Above the limit the kernel kills all of them: a helper that
    /// lost one of its processes would be half alive.
    ///
    /// # Errors
    /// The group has no such controller.
    pub(crate) fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        self.write("memory.max", &bytes.to_string())?;
        self.write("memory.oom.group", "1")?;
        match self.write("memory.swap.max", "0") {
            // A kernel that counts no swap.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            written => written,
        }
    }

    /// Limits the number of its processes and threads.
    ///
    /// # Errors
    /// The group has no such controller.
    pub(crate) fn limit_processes(&self, most: u64) -> io::Result<()> {
        self.write("pids.max", &most.to_string())
    }

    /// The number of its processes that the kernel killed for lack of memory.
    pub(crate) fn memory_kills(&self) -> u64 {
        self.events("memory.events", "oom_kill")
    }

    /// The number of forks that its limit of processes refused.
    pub(crate) fn refused_forks(&self) -> u64 {
        self.events("pids.events", "max")
    }

    fn events(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        count.unwrap_or_default()
    }

    /// Writes to an existing file of the kernel; never creates one.
    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(self.folder.join(file));
        file.and_then(|mut file| file.write_all(value.as_bytes()))
    }

    /// SIGKILL to everything in it, in one step.
    pub(crate) fn kill(&self) {
        kill(&self.folder);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// SIGKILL to every process of the cgroup at `folder` and of those below it.
pub(crate) fn kill(folder: &Path) {
    let file = fs::OpenOptions::new().write(true).open(folder.join("cgroup.kill"));
    // An error means that the group is gone.
    let _ = file.and_then(|mut file| file.write_all(b"1"));
}

/// Removes the group of a helper, and, with the last of them, the server's.
pub(crate) fn remove(folder: &Path) {
    remove_tree(folder);
    if let Some(parent) = folder.parent() {
        // Fails while another helper's group is in it.
        let _ = fs::remove_dir(parent);
    }
}

/// Kills all processes in the groups of former servers of this home, anywhere in the hierarchy (a new login has a new scope), and
/// removes empty groups. Returns the number of groups that it met.
pub(crate) fn end_former(mine: StartTag) -> usize {
    let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else { return 0 };
    let Some((root, _)) = mount(&mounts) else { return 0 };
    end_former_below(&root, mine)
}

fn end_former_below(root: &Path, mine: StartTag) -> usize {
    let of_this_home = format!("{CGROUP}{}-", mine.home);
    let mut folders = vec![root.to_owned()];
    let mut met = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(&of_this_home) || name == mine.cgroup() {
                folders.push(entry.path());
                continue;
            }
            met += 1;
            kill(&entry.path());
            // Fails while killed processes exit; the next pass tries again.
            remove_tree(&entry.path());
        }
    }
    met
}

/// Removes a cgroup and, first, the groups that its helper made in it.
fn remove_tree(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    if let Err(error) = fs::remove_dir(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(folder = %folder.display(), %error, "a cgroup cannot be removed");
    }
}

/// The mount point of cgroup v2, and the root of the hierarchy there (proc_pid_mountinfo(5)). In a hybrid hierarchy it stands
/// beside mounts of version 1.
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
    use skein_base::home_tag::HomeTag;

    use super::*;
    use crate::process::start::sleeper;

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
    fn a_group_that_cannot_be_used_says_where_and_why_and_is_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("ours");
        let said = |error: io::Error| error.to_string().replace(folder.path().to_str().unwrap(), "");
        let error = said(Parent::make_in(&ours, "skein").unwrap_err());
        assert_eq!(error, "no group can be made in /ours: No such file or directory (os error 2)");
        // A folder that is no cgroup has no such file, as on an older kernel.
        fs::create_dir(&ours).unwrap();
        let error = said(Parent::make_in(&ours, "skein").unwrap_err());
        assert_eq!(error, "no group can be killed in /ours: No such file or directory (os error 2)");
        assert!(!ours.join("skein").exists());
    }

    #[test]
    fn only_groups_of_former_servers_of_this_home_go_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let start = |home: &[u8], start| StartTag::new(HomeTag::of(&[home]), start);
        let mine = start(b"home", 1);
        let former = format!("user.slice/{}", start(b"home", 2).cgroup());
        let names = [former.as_str(), &mine.cgroup(), &start(b"other", 2).cgroup(), "skein-1", "user.slice"]
            .map(str::to_owned);
        for name in &names {
            fs::create_dir_all(folder.path().join(name).join("helper")).unwrap();
        }
        assert_eq!((end_former_below(folder.path(), mine), end_former_below(folder.path(), mine)), (1, 0));
        let left: Vec<&String> = names.iter().filter(|name| folder.path().join(name).exists()).collect();
        assert_eq!(left, names[1..].iter().collect::<Vec<_>>());
    }

    /// The files that the kernel makes in a group's folder.
    fn kernel_files(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn limits_are_written_and_what_they_stopped_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("helper");
        let group = Group { folder: path.clone() };
        let written = |name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
        kernel_files(&path, &[]);
        assert_eq!(group.limit_memory(1).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(group.limit_processes(1).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!((group.memory_kills(), group.refused_forks()), (0, 0));
        kernel_files(&path, &[("memory.max", ""), ("memory.oom.group", ""), ("pids.max", "")]);
        group.limit_memory(1 << 20).unwrap();
        group.limit_processes(5).unwrap();
        assert_eq!(["memory.max", "memory.oom.group", "pids.max"].map(written), ["1048576", "1", "5"]);
        assert!(!path.join("memory.swap.max").exists(), "what the kernel has not made is left alone");
        let memory = "low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n";
        kernel_files(
            &path,
            &[("memory.events", memory), ("pids.events", "max 3\n"), ("memory.swap.max", "max")],
        );
        group.limit_memory(1 << 20).unwrap();
        assert_eq!(written("memory.swap.max"), "0ax", "written at the beginning, as the kernel wants it");
        assert_eq!((group.memory_kills(), group.refused_forks()), (2, 3));
    }

    #[test]
    fn a_controller_is_passed_on_only_by_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, parent) = (folder.path().to_owned(), Parent { folder: folder.path().join("skein") });
        kernel_files(&ours, &[("cgroup.controllers", "cpu pids\n"), ("cgroup.subtree_control", "")]);
        kernel_files(&parent.folder, &[("cgroup.controllers", ""), ("cgroup.subtree_control", "")]);
        let error = parent.pass_on("memory").unwrap_err().to_string();
        assert_eq!(error, "our cgroup cannot pass the controller memory on: it has it not itself");
        parent.pass_on("pids").unwrap();
        let passed = |folder: &Path| fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap();
        assert_eq!((passed(&ours), passed(&parent.folder)), ("+pids".to_owned(), "+pids".to_owned()));
    }

    /// A new group below that of this process; `None` where none can be made.
    fn new_group() -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = own_path(&fs::read_to_string("/proc/self/cgroup").ok()?)?;
        let (mount, root) = mount(&mounts)?;
        let place = mount.join(own.strip_prefix(root).ok()?).components().collect::<PathBuf>();
        let group = place.join(format!("unit-{}", std::process::id()));
        fs::create_dir(&group).is_ok().then_some(group)
    }

    #[test]
    fn a_process_leaves_its_group_with_those_below_it_and_others_stop_it() {
        let Some(ours) = new_group() else {
            eprintln!("SKIPPED: no cgroup v2 can be made here");
            return;
        };
        let mut both = [sleeper().unwrap(), sleeper().unwrap()];
        for process in &both {
            fs::write(ours.join("cgroup.procs"), process.id().to_string()).unwrap();
        }
        let there = |folder: &Path| fs::read_to_string(folder.join("cgroup.procs")).unwrap().lines().count();
        let [first, stranger] = both.each_ref().map(|process| Pid::from_raw(process.id().cast_signed()));
        let error = leave(&ours, first).unwrap_err().to_string();
        assert!(error.contains(&stranger.to_string()), "{error}");
        // Both are below this process.
        leave(&ours, Pid::this()).unwrap();
        assert_eq!((there(&ours), there(&ours.join(LEAF))), (0, 2));
        kill(&ours);
        for process in &mut both {
            process.wait().unwrap();
        }
        remove_tree(&ours);
        assert!(!ours.exists());
    }

    #[test]
    fn a_group_with_the_same_number_below_another_server_is_another_one() {
        let group = Group { folder: "/sys/fs/cgroup/user.slice/skein-1-1/00000000".into() };
        for path in ["/user.slice/skein-1-1/00000000", "/skein-1-1/00000000/below", "/../skein-1-1/00000000"]
        {
            assert!(group.is_on(path.as_ref()), "{path}");
        }
        for path in [
            "/skein-1-2/00000000",
            "/skein-1-1/00000001",
            "/skein-1-1/a/00000000",
            "/skein-1-1",
            "/00000000",
            "/",
        ] {
            assert!(!group.is_on(path.as_ref()), "{path}");
        }
    }

    #[test]
    fn the_own_group_is_the_one_without_controllers() {
        assert_eq!(own_path("4:memory:/a\n0::/user.slice/b\n"), Some("/user.slice/b".into()));
        assert_eq!(own_path("4:memory:/a\n"), None);
    }
}
