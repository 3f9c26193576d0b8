//! `skein service` beside a stand-in for systemctl, which really starts and stops the command of a unit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::schema::Schemas;
use super::{Serving, skein};

/// Records each call. A unit's process runs in a session of its own, with the variables of a user manager.
const SYSTEMCTL: &str = r#"#!/bin/sh
set -u
here=$(dirname "$0")
echo "$*" >> "$here/calls"
[ "$1" = --user ] || { echo "the system manager was called" >&2; exit 1; }
shift
for unit in "$@"; do :; done
file=$XDG_CONFIG_HOME/systemd/user/$unit
pidfile=$here/$unit.pid
# A process that nobody has waited for has no program any more.
running() { [ -f "$pidfile" ] && [ -e "/proc/$(cat "$pidfile")/exe" ]; }
start() {
  running && return
  # What systemd reads into a line: %% is a %, and $$ a $.
  line=$(sed -n 's/^ExecStart=//p' "$file" | sed -e 's/%%/%/g' -e 's/\$\$/\\$/g')
  eval "set -- $line"
  setsid "$@" > "$here/$unit.out" 2> "$here/$unit.log" < /dev/null &
  echo $! > "$pidfile"
}
stop() {
  running || return 0
  kill "$(cat "$pidfile")"
  while running; do sleep 0.05; done
  rm "$pidfile"
}
case "$1" in
  daemon-reload|reset-failed) ;;
  enable) [ -f "$file" ] || { echo "Unit $unit does not exist" >&2; exit 1; }; touch "$here/$unit.enabled"; start ;;
  disable) rm -f "$here/$unit.enabled"; stop ;;
  restart) stop; start ;;
  show)
    [ "$2" = --property=Version ] && { echo Version=252; exit; }
    load=not-found active=inactive sub=dead pid=0 enabled=
    [ -f "$file" ] && load=loaded
    running && active=active sub=running pid=$(cat "$pidfile")
    [ -f "$pidfile" ] && ! running && active=failed sub=failed
    [ -f "$here/$unit.enabled" ] && enabled=enabled
    printf '%s\n' LoadState=$load ActiveState=$active SubState=$sub UnitFileState=$enabled MainPID=$pid ;;
  *) echo "unknown: $*" >&2; exit 1 ;;
esac
"#;

/// A user with a home and a user manager.
struct User {
    folder: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let user = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(user.at("bin")).unwrap();
        user.systemctl(SYSTEMCTL);
        user
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn systemctl(&self, script: &str) {
        let program = self.at("bin/systemctl");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn home(&self) -> PathBuf {
        self.at("a home $of \"100%\"")
    }

    fn service(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = skein(&[&["service"], words, &["--home", self.home().to_str().unwrap()]].concat());
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.at("bin").display()));
        command.env("HOME", self.folder.path()).env("XDG_CONFIG_HOME", self.at("config"));
        let done = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    }

    fn json(&self, words: &[&str], wanted: i32) -> Value {
        let (code, out, err) = self.service(&[words, &["--json"]].concat());
        assert_eq!(code, Some(wanted), "{words:?}: {out}{err}");
        Schemas::new().is_described(&format!("skein service {}", words[0]), &out).unwrap()
    }

    /// The calls since the last look, without questions.
    fn orders(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.at("bin/calls")).unwrap_or_default();
        fs::write(self.at("bin/calls"), "").unwrap();
        let orders = calls.lines().filter(|line| !line.starts_with("--user show"));
        orders.map(|line| line.trim_start_matches("--user ").to_owned()).collect()
    }
}

impl Drop for User {
    /// Also after a failed assertion nothing stays.
    fn drop(&mut self) {
        for entry in fs::read_dir(self.at("bin")).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|kind| kind == "pid") {
                let pid = fs::read_to_string(entry.path()).unwrap_or_default();
                if let Ok(pid) = pid.trim().parse() {
                    kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
                }
            }
        }
    }
}

fn lives(pid: &Value) -> bool {
    Path::new(&format!("/proc/{pid}/exe")).exists()
}

#[test]
fn a_service_is_installed_once_serves_the_home_and_is_removed() {
    let user = User::new();
    let listen = ["--listen", "ws://127.0.0.1:0"];
    let install = [&["install"], &listen[..]].concat();
    assert_eq!(user.json(&["status"], 1)["installed"], false);
    let made = user.json(&install, 0);
    let (unit, pid) = (made["unit"].as_str().unwrap(), &made["server"]["pid"]);
    assert_eq!(user.orders(), ["daemon-reload".to_owned(), format!("enable --now {unit}")]);
    assert!(lives(pid) && made["server"]["address"].as_str().unwrap().starts_with("ws://"), "{made}");
    // The server has this home, whatever systemd reads into its name.
    let status = user.json(&["status"], 0);
    assert_eq!((&status["systemd"]["pid"], &status["systemd"]["file"]), (pid, &"enabled".into()));
    assert_eq!((&status["server"]["pid"], status["home"].as_str()), (pid, user.home().to_str()));
    assert!(user.home().join("lock").exists());
    // A second time it changes nothing; with other words it starts the new unit.
    assert_eq!(&user.json(&install, 0)["server"]["pid"], pid);
    let again = user.json(&["install", "--listen", "unix://"], 0);
    assert!(&again["server"]["pid"] != pid && !lives(pid), "{again}");
    assert!(user.orders().contains(&format!("restart {unit}")));
    let removed = user.json(&["remove"], 0);
    assert_eq!(user.orders()[..2], [format!("disable --now {unit}"), "daemon-reload".to_owned()]);
    assert!(!Path::new(removed["file"].as_str().unwrap()).exists() && !lives(&again["server"]["pid"]));
    assert!(user.home().join("lock").exists(), "the home stays");
    let (code, out, _) = user.service(&["remove"]);
    assert!(code == Some(0) && out.contains("nothing to remove"), "{out}");
}

#[test]
fn a_unit_of_somebody_else_and_a_served_home_are_left_alone() {
    let user = User::new();
    let file = user.json(&["status"], 1)["file"].as_str().unwrap().to_owned();
    fs::create_dir_all(Path::new(&file).parent().unwrap()).unwrap();
    fs::write(&file, "[Service]\nExecStart=/bin/true\n").unwrap();
    for words in ["install", "remove"] {
        let (code, _, err) = user.service(&[words]);
        assert!(code == Some(1) && err.contains(&file) && err.contains("move it away"), "{words}: {err}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "[Service]\nExecStart=/bin/true\n");
    let (_, out, _) = user.service(&["status"]);
    assert!(out.contains("not written by skein service install"), "{out}");
    fs::remove_file(&file).unwrap();
    let serving = Serving::start(&user.home());
    let (code, _, err) = user.service(&["install"]);
    assert!(
        code == Some(1) && err.contains(&serving.child.id().to_string()) && err.contains("skein stop"),
        "{err}"
    );
    assert!(!Path::new(&file).exists());
    assert_eq!((serving.stop(Signal::SIGTERM), user.orders().len()), (Some(0), 0));
}

#[test]
fn a_server_that_cannot_start_is_named_with_its_log() {
    let user = User::new();
    fs::create_dir_all(user.home()).unwrap();
    fs::write(user.home().join("config.toml"), "model = 1\n").unwrap();
    let (code, _, err) = user.service(&["install", "--listen", "ws://127.0.0.1:0"]);
    assert!(code == Some(1) && err.contains("failed") && err.contains("journalctl --user --unit"), "{err}");
    assert_eq!(user.service(&["remove"]).0, Some(0));
}

#[test]
fn without_systemd_the_unit_is_printed_with_its_place() {
    let user = User::new();
    let (code, unit, err) = user.service(&["install", "--print"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for line in
        ["[Service]", "Restart=on-failure", "Delegate=yes", "NoNewPrivileges=yes", "WantedBy=default.target"]
    {
        assert!(unit.lines().any(|found| found == line), "{line}: {unit}");
    }
    user.systemctl("#!/bin/sh\necho 'Failed to connect to bus: No medium found' >&2\nexit 1\n");
    let (code, out, err) = user.service(&["install"]);
    assert_eq!((code, &out), (Some(1), &unit));
    assert!(err.contains("No medium found") && err.contains("config/systemd/user/skein-"), "{err}");
    assert!(!user.at("config").exists(), "nothing was written");
    let outcome = user.json(&["install"], 1);
    assert_eq!((outcome["text"].as_str(), &outcome["installed"]), (Some(unit.as_str()), &false.into()));
    assert!(user.json(&["status"], 1)["reason"].as_str().unwrap().contains("No medium found"));
    // Without the program.
    let mut command = skein(&["service", "install", "--home", user.home().to_str().unwrap()]);
    let done = command.env("PATH", user.at("nothing")).env("HOME", user.folder.path()).output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(1) && err.contains("does not run systemd"), "{err}");
}
