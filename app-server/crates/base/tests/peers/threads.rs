//! Processes whose first thread has ended while another runs, as the server reads them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, Uid, fork, geteuid};
use skein_base::system::{RunState, resident, shown, sockets, used};

/// Makes [`the_program`] more than an empty test.
const ROLE: &str = "SKEIN_TEST_LEADERLESS";
/// A user who is not root.
const USER: u32 = 1234;

/// Not a test but a program. Its child's first thread ends, and another one holds a connection until its input ends. It works for
/// each byte that it reads.
#[test]
#[expect(clippy::disallowed_methods, reason = "a program of its own")]
fn the_program() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    // SAFETY: the other threads of the test harness hold nothing that the child needs.
    if let ForkResult::Parent { child } = unsafe { fork() }.unwrap() {
        assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
        return;
    }
    std::thread::spawn(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut out, me) = (std::io::stderr(), Pid::this());
        while !fs::read_to_string(format!("/proc/{me}/stat")).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        let inode = File::from(OwnedFd::from(client.try_clone().unwrap())).metadata().unwrap().st_ino();
        writeln!(out, "{me} {inode}").unwrap();
        while std::io::stdin().read(&mut [0]).unwrap() > 0 {
            writeln!(out, "worked").unwrap();
        }
        std::process::exit(0);
    });
    // SAFETY: it ends only this thread, which owns nothing that the other one needs.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// [`the_program`], and the inode of its connection.
struct Leaderless {
    process: Child,
    output: BufReader<std::process::ChildStderr>,
    pid: Pid,
    inode: u64,
}

impl Leaderless {
    #[expect(clippy::disallowed_methods, reason = "no helper")]
    fn start(user: Uid) -> Self {
        let program = File::open("/proc/self/exe").unwrap();
        // By a descriptor: another user may not reach the folder of the program.
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.args(["--exact", "threads::the_program"]);
        command.env(ROLE, "1").current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        if user != geteuid() {
            command.uid(user.as_raw()).gid(user.as_raw());
        }
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stderr.take().unwrap());
        let line = line(&mut output);
        let (pid, inode) = line.split_once(' ').unwrap();
        Self { process, output, pid: Pid::from_raw(pid.parse().unwrap()), inode: inode.parse().unwrap() }
    }

    fn work(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        assert_eq!(line(&mut self.output), "worked");
    }

    fn finish(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

#[test]
fn a_process_whose_first_thread_has_ended_is_read_by_its_others() {
    let mut program = Leaderless::start(geteuid());
    assert_eq!(fs::read_dir(format!("/proc/{}/fd", program.pid)).unwrap().count(), 0, "as /proc shows it");
    assert!(sockets(program.pid).contains(&program.inode));
    let environment = String::from_utf8(shown(program.pid, "environ")).unwrap();
    assert!(environment.split('\0').any(|variable| variable == format!("{ROLE}=1")), "{environment}");
    let network = String::from_utf8(shown(program.pid, "net/tcp")).unwrap();
    assert!(network.contains(&program.inode.to_string()), "{network}");
    assert!(resident(program.pid).unwrap() > 0);
    program.work();
    program.finish();
}

#[test]
fn a_process_of_a_plain_user_whose_first_thread_has_ended_is_seen_to_work_and_to_be_stopped() {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root starts programs of another user");
        return;
    }
    let mut program = Leaderless::start(Uid::from_raw(USER));
    let before = used(program.pid).unwrap();
    program.work();
    let after = used(program.pid).unwrap();
    assert!(before.0 != after.0 && after.1 != RunState::Stopped, "{before:?} {after:?}");
    let signal = |signal| nix::sys::signal::kill(program.pid, signal).unwrap();
    signal(nix::sys::signal::Signal::SIGSTOP);
    assert!(
        (0..1_000_000).any(|_| used(program.pid).unwrap().1 == RunState::Stopped),
        "it is seen to be stopped"
    );
    signal(nix::sys::signal::Signal::SIGCONT);
    program.finish();
}
