//! Programs of a second user of this machine.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nix::unistd::Uid;

/// Two users that a machine hardly has, neither of them root.
pub const OTHERS: [u32; 2] = [64001, 64002];

/// Whether this process can start programs of other users: it is root, and its user namespace has more users than one. If not,
/// prints why.
pub fn has_others() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let covers = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().filter_map(|number| number.parse::<u64>().ok());
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        let range = first.zip(count).map(|(first, count)| first..first.saturating_add(count));
        range.is_some_and(|range| OTHERS.iter().all(|user| range.contains(&u64::from(*user))))
    };
    let has = Uid::effective().is_root() && map.lines().any(covers);
    if !has {
        eprintln!("SKIPPED: only root with other users in its user namespace starts programs of two users");
    }
    has
}

/// A program that another user can start, though that user may not reach its folder.
#[derive(Debug)]
pub struct OpenProgram(File);

impl OpenProgram {
    /// Opens it. It has to stay open until the child has started.
    ///
    /// # Errors
    /// The program cannot be opened.
    pub fn open(program: &Path) -> io::Result<Self> {
        File::open(program).map(Self)
    }

    /// Its path for a child of this process.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

/// Starts `program` as the user and group `user`, in `/`. `set_up` adds arguments and pipes. The user need not reach the
/// folder of the program.
///
/// # Errors
/// The program cannot be opened or started.
pub fn spawn_as(user: u32, program: &Path, set_up: impl FnOnce(&mut Command)) -> io::Result<Child> {
    let program = OpenProgram::open(program)?;
    let mut command = Command::new(program.path());
    command.uid(user).gid(user).current_dir("/");
    set_up(&mut command);
    command.spawn()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::process::Stdio;

    use serde_json::{Value, json};

    use super::*;
    use crate::paths;

    /// The whole output of a program of `user`.
    fn output(user: u32, program: &Path, args: &[&str]) -> String {
        let set_up = |command: &mut Command| {
            command.args(args).stdout(Stdio::piped());
        };
        let done = spawn_as(user, program, set_up).unwrap().wait_with_output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    #[test]
    fn a_program_of_another_user_runs_without_the_groups_of_this_one() {
        if !has_others() {
            return;
        }
        for user in OTHERS {
            assert_eq!(output(user, "/usr/bin/id".as_ref(), &["-u"]).trim(), user.to_string());
            assert_eq!(output(user, "/usr/bin/id".as_ref(), &["-G"]).trim(), user.to_string());
        }
    }

    #[test]
    fn another_user_connects_and_reports_what_it_got_or_leaves_behind_its_request() {
        if !has_others() {
            return;
        }
        for leaves in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let door = listener.local_addr().unwrap().to_string();
            let answer = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut client, _) = listener.accept().unwrap();
                    let mut head = [0; 4096];
                    let length = client.read(&mut head).unwrap();
                    let head = String::from_utf8_lossy(&head[..length]).into_owned();
                    assert!(
                        head.starts_with("GET /rpc HTTP/1.1\r\n") && head.contains("\r\nX-A: b\r\n"),
                        "{head}"
                    );
                    // A client that leaves may have closed already.
                    let _ = client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nnothing");
                    client.shutdown(Shutdown::Both).ok();
                });
                let asked =
                    json!({ "door": door, "target": "/rpc", "headers": ["X-A: b"], "leaves": leaves });
                let program = paths::mcp_helper().unwrap();
                let set_up = |command: &mut Command| {
                    command.args(["--connect", &asked.to_string()]).stdout(Stdio::piped());
                };
                let done = spawn_as(OTHERS[0], &program, set_up).and_then(Child::wait_with_output);
                // Ends the wait above if the program did not connect.
                drop(TcpStream::connect(&door));
                String::from_utf8(done.unwrap().stdout).unwrap()
            });
            let wanted =
                if leaves { json!({ "left": true }) } else { json!({ "status": 403, "body": "no" }) };
            assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), wanted);
        }
    }
}
