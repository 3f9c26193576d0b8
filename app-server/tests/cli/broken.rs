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

/// The doctor names the thing, and a start ends with its name and a remedy.
fn is_named(set_up: &str, doctor: &[&str], start: &[&str], make: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("disk")).unwrap();
    make(folder.path());
    for (arguments, parts) in [
        (&["doctor"][..], doctor),
        (&["serve", "--listen", "ws://127.0.0.1:0"], start),
        (&["run", "hello"], start),
    ] {
        let Some((code, text)) = after(set_up, folder.path(), arguments) else { return };
        assert_eq!(code, 1, "{set_up}: {arguments:?}: {text}");
        for part in parts {
            assert!(text.contains(part), "{set_up}: {arguments:?}: {part} is not in {text}");
        }
    }
}

#[test]
fn a_machine_without_proc_is_named() {
    let doctor = ["/proc/self/limits cannot be read", "mount a /proc"];
    let start = ["/proc/self/exe cannot be opened", "mount /proc"];
    is_named("mount -t tmpfs none /proc", &doctor, &start, |_| ());
}

#[test]
fn a_full_disk_is_named() {
    let set_up = "mount -t tmpfs -o size=256k none disk && mkdir -m 700 disk/home && \
        { dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null; test -s disk/fill; }";
    let doctor = ["disk/home has 0 KiB left", "make room on that disk, or name another home"];
    let start = ["disk/home/lock", "No space left on device", "make room on that disk, or name another path"];
    is_named(set_up, &doctor, &start, |_| ());
}

#[test]
fn a_home_of_another_user_is_named() {
    // Only root gives folders away. Below its user namespace it has no rights over them.
    let set_up = "! test -O disk/home && ! test -r disk/home";
    let doctor = ["disk/home cannot be used", "give the folder to this user, or name another with --home"];
    let start = ["disk/home", "Permission denied"];
    is_named(set_up, &doctor, &start, |folder| {
        let home = folder.join("disk/home");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let _only_of_root = std::os::unix::fs::chown(&home, Some(12345), Some(12345));
    });
}
