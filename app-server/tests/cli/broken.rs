//! Set-ups that need a machine of their own: no /proc, a full disk, a home of somebody else. Each has a mount namespace of
//! the test's user. A machine that has none of these names each set-up that it skips.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::skein;

/// Exit code of a script whose set-up this machine does not allow.
const NOT_HERE: i32 = 77;

/// The seconds after which a command counts as stalled, many times what it takes.
const PATIENCE: &str = "120";

/// The outcome of commands after a set-up, as root of a user namespace: exit code and all output. `None` if this machine
/// does not allow the set-up.
fn after(set_up: &str, folder: &Path, arguments: &[&str]) -> Option<(i32, String)> {
    let script = format!("{{ {set_up}; }} >&2 || exit {NOT_HERE}; exec \"$@\"");
    let program = skein(&[]).get_program().to_owned();
    let mut unshare = Command::new("unshare");
    unshare.args(["-Urm", "sh", "-c", &script, "sh", "timeout", "-s", "KILL", PATIENCE]);
    unshare.arg(program).args(arguments).current_dir(folder).stdin(Stdio::null());
    unshare.env("SKEIN_HOME", folder.join("disk/home")).env_remove("SKEIN_LOG");
    let allowed = Command::new("unshare").args(["-Urm", "true"]).output();
    let done = allowed.is_ok_and(|allowed| allowed.status.success()).then(|| unshare.output().unwrap());
    let Some(Output { status, stdout, stderr }) = done.filter(|done| done.status.code() != Some(NOT_HERE))
    else {
        // Past the capture of the test's output, so that a passing run shows it.
        let line = format!("SKIPPED: this machine does not allow `{set_up}` in a user namespace\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    };
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    Some((status.code().unwrap_or(-1), text))
}

/// A set-up that needs a machine of its own.
pub(super) struct BrokenMachine {
    pub(super) name: &'static str,
    /// Commands of a shell in a namespace, below the folder.
    pub(super) set_up: &'static str,
    /// Prepares the folder, outside of the namespace.
    pub(super) make: fn(&Path),
    /// Words of the doctor.
    pub(super) doctor: &'static [&'static str],
    /// Words of a start.
    start: &'static [&'static str],
}

pub(super) const MACHINES: [BrokenMachine; 4] = [
    BrokenMachine {
        name: "no /proc",
        set_up: "mount -t tmpfs none /proc",
        make: |_| (),
        doctor: &["/proc/self/limits cannot be read", "mount a /proc"],
        start: &["/proc/self/exe cannot be opened", "mount /proc"],
    },
    BrokenMachine {
        name: "a full disk",
        set_up: "mount -t tmpfs -o size=256k none disk && mkdir -m 700 disk/home && \
            { dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null; test -s disk/fill; }",
        make: |_| (),
        doctor: &["disk/home has 0 KiB left", "make room on that disk, or name another home"],
        start: &["disk/home/lock", "No space left on device", "make room on that disk, or name another path"],
    },
    BrokenMachine {
        name: "a disk that cannot be written",
        set_up: "mount -t tmpfs none disk && mkdir -m 700 disk/home && mount -o remount,ro disk",
        make: |_| (),
        doctor: &[
            "disk/home cannot be used",
            "Read-only file system",
            "mount it for writing, or name another",
        ],
        start: &["disk/home", "Read-only file system", "name another home (--home)"],
    },
    BrokenMachine {
        name: "a home of another user",
        // Only root gives folders away. Below its user namespace it has no rights over them.
        set_up: "! test -O disk/home && ! test -r disk/home",
        make: |folder| {
            let home = folder.join("disk/home");
            fs::create_dir(&home).unwrap();
            fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
            let _only_of_root = std::os::unix::fs::chown(&home, Some(12345), Some(12345));
        },
        doctor: &["disk/home cannot be used", "give the folder to this user, or name another with --home"],
        start: &["disk/home", "Permission denied"],
    },
];

impl BrokenMachine {
    /// The exit code of a command there, and all that it printed. `None` if this machine does not allow the set-up.
    pub(super) fn run(&self, arguments: &[&str]) -> Option<(i32, String)> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("disk")).unwrap();
        (self.make)(folder.path());
        after(self.set_up, folder.path(), arguments)
    }
}

#[test]
fn a_start_on_a_broken_machine_names_the_thing_and_a_way_out() {
    for machine in &MACHINES {
        for (arguments, parts) in [
            (&["doctor"][..], machine.doctor),
            (&["serve", "--listen", "ws://127.0.0.1:0"], machine.start),
            (&["run", "hello"], machine.start),
        ] {
            let Some((code, text)) = machine.run(arguments) else { continue };
            assert_eq!(code, 1, "{}: {arguments:?}: {text}", machine.name);
            for part in parts {
                assert!(text.contains(part), "{}: {arguments:?}: {part} is not in {text}", machine.name);
            }
        }
    }
}
