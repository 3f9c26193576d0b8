//! Helpers that connect to their server: from the helper itself, from a grandchild in a session of its own, from one that has shed
//! every process tag, and from one whose first thread has ended. The program that connects is this test program, run again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use nix::unistd::{Pid, setsid};
use rustix::process::{Resource, Rlimit, setrlimit};
use skein_base::clock::Clock;
use skein_base::home_tag::HomeTag;
use skein_base::system::peers::{peer_of_tcp, peer_of_unix};
use skein_base::system::proc::{self, Unsettled};
use skein_helpers::{Caller, Containment, HelperSpec, StdioSpec, Transport};
use skein_protocol::ids::ThreadId;
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use crate::house::{BOUND, House, exists, fork_away, until, without_first_thread};

/// Makes [`the_connector`] more than an empty test: one of [`WAYS`], or `ends`.
const ROLE: &str = "SKEIN_TEST_CONNECTOR";
/// The addresses to connect to.
const DOORS: &str = "SKEIN_TEST_DOORS";
/// The ways to connect.
const WAYS: [&str; 4] = ["itself", "grandchild", "shed", "leaderless"];

/// Not a test but a program: connects to both doors, and stays until they close.
#[test]
fn the_connector() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let doors = std::env::var(DOORS).unwrap();
    if role == "grandchild" || role == "shed" || role == "leaderless" {
        fork_away();
        setsid().unwrap();
        fork_away();
    }
    if role == "shed" {
        shed(&doors);
    }
    if role == "leaderless" {
        without_first_thread(move || connect(&role, &doors));
    }
    connect(&role, &doors);
}

fn connect(role: &str, doors: &str) {
    let (tcp, unix) = doors.split_once(' ').unwrap();
    let (mut tcp, mut unix) = (TcpStream::connect(tcp).unwrap(), UnixStream::connect(unix).unwrap());
    if role == "ends" {
        return;
    }
    // The server closes them.
    let _ = tcp.write_all(b"x").and_then(|()| unix.write_all(b"x"));
    let _ = tcp.read(&mut [0]);
    let _ = unix.read(&mut [0]);
    std::process::exit(0);
}

/// Runs again without environment, with lower limits, without other descriptors, and outside of the helper's cgroup.
fn shed(doors: &str) {
    for resource in [Resource::Rss, Resource::Locks] {
        setrlimit(resource, Rlimit { current: Some(1), maximum: Some(1) }).unwrap();
    }
    // Only where this user may write it.
    let _ = std::fs::write("/sys/fs/cgroup/cgroup.procs", "0");
    // SAFETY: nothing in this process uses a descriptor before the program is replaced.
    unsafe { skein_base::system::close_others() };
    let mut again = this_program("bare", doors);
    let error = std::os::unix::process::CommandExt::exec(again.env_clear().envs(roles("bare", doors)));
    panic!("{error}");
}

fn roles(role: &str, doors: &str) -> [(String, String); 2] {
    [(ROLE.to_owned(), role.to_owned()), (DOORS.to_owned(), doors.to_owned())]
}

/// This program as [`the_connector`].
#[expect(clippy::disallowed_methods, reason = "no helper")]
fn this_program(role: &str, doors: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(ARGS).envs(roles(role, doors));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

const ARGS: [&str; 2] = ["--exact", "callers::the_connector"];

/// The doors of a server.
struct Doors {
    tcp: TcpListener,
    unix: UnixListener,
    folder: TempDir,
}

/// A connection to both doors.
struct Connected {
    tcp: tokio::net::TcpStream,
    unix: tokio::net::UnixStream,
}

impl Doors {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { tcp, unix: UnixListener::bind(folder.path().join("door")).unwrap(), folder }
    }

    fn addresses(&self) -> String {
        format!("{} {}", self.tcp.local_addr().unwrap(), self.folder.path().join("door").display())
    }

    async fn accept(&self) -> Connected {
        let both = async { (self.tcp.accept().await.unwrap().0, self.unix.accept().await.unwrap().0) };
        let (tcp, unix) = tokio::time::timeout(BOUND, both).await.expect("connections in time");
        Connected { tcp, unix }
    }

    fn spec(&self, house: &House, way: &str, may_connect: bool) -> HelperSpec {
        // A session would stop the helper for the words that a test program prints, or for the end of its output.
        let mut stdio = house.sh(r#"exec "$0" "$@" 3>&1 >/dev/null"#);
        stdio.args.push(std::env::current_exe().unwrap().to_string_lossy().into_owned());
        stdio.args.extend(ARGS.map(str::to_owned));
        stdio.env.0.extend(roles(way, &self.addresses()));
        let transport = Transport::Stdio(StdioSpec { may_connect, ..stdio });
        HelperSpec { startup_timeout: BOUND, ..HelperSpec::reached(way, transport) }
    }
}

impl Connected {
    fn inode(&self) -> u64 {
        peer_of_tcp(self.tcp.local_addr().unwrap(), self.tcp.peer_addr().unwrap()).unwrap().inode
    }

    /// The helper behind each door.
    fn callers(&self, house: &House) -> [Option<Caller>; 2] {
        let peer = peer_of_unix(self.unix.as_fd()).unwrap();
        let by_pid = settled(|| house.helpers.helper_of_process(peer.pid.unwrap()));
        assert_eq!(settled(|| house.helpers.helper_of_peer(&peer)), by_pid);
        [behind_socket(house, self.inode()), by_pid]
    }
}

/// The first answer. On a machine that starts processes faster than a look sees them, a client is told to ask again.
fn settled(look: impl Fn() -> Result<Option<Caller>, Unsettled>) -> Option<Caller> {
    let began = Clock.now();
    loop {
        match look() {
            Ok(caller) => return caller,
            Err(Unsettled) => assert!(Clock.now() < began + BOUND, "no answer in time"),
        }
    }
}

fn behind_socket(house: &House, inode: u64) -> Option<Caller> {
    settled(|| house.helpers.helper_of_socket(inode))
}

fn caller(name: &str, may_connect: bool) -> Option<Caller> {
    Some(Caller { name: Some(name.to_owned()), thread: None, may_connect })
}

/// The isolation levels of this machine.
async fn levels() -> Vec<Containment> {
    let mut levels = vec![Containment::Guard, Containment::Auto];
    let house = House::new(Containment::Namespace);
    let helper = house.start(&house.script("exec cat"));
    let life = helper.life("it runs or not", |life| life.pid.is_some() || life.ended.is_some()).await;
    match life.ended {
        None => levels.push(Containment::Namespace),
        Some(why) => eprintln!("SKIPPED: the level \"namespace\" was not tested: {why}"),
    }
    helper.stop().await;
    house.finish().await;
    levels
}

#[tokio::test]
async fn a_helper_is_known_at_both_doors_however_it_connects_at_each_level() {
    for level in levels().await {
        for way in WAYS {
            for may_connect in [false, true] {
                let (house, doors) = (House::new(level), Doors::open().await);
                let helper = house.start(&doors.spec(&house, way, may_connect));
                let connected = doors.accept().await;
                let found = connected.callers(&house);
                let wanted = caller(way, may_connect);
                assert_eq!(found, [wanted.clone(), wanted], "{way} at {level:?}");
                drop(connected);
                helper.stop().await;
                house.finish().await;
            }
        }
    }
}

#[tokio::test]
async fn a_helper_whose_processes_live_for_a_moment_is_known_each_time() {
    let house = House::new(Containment::Guard);
    for _ in 0..20 {
        let doors = Doors::open().await;
        let helper = house.start(&doors.spec(&house, "grandchild", false));
        // At once: the parents of the process that connects are about to end.
        let connected = doors.accept().await;
        assert_eq!(behind_socket(&house, connected.inode()), caller("grandchild", false));
        drop(connected);
        helper.stop().await;
    }
    house.finish().await;
}

#[tokio::test]
async fn a_connection_that_is_opened_after_a_look_is_found_although_no_process_is_born() {
    let (house, doors) = (House::new(Containment::Guard), Doors::open().await);
    let helper = house.start(&doors.spec(&house, "itself", false));
    let first = doors.accept().await;
    // The table of this look serves the next one.
    assert_eq!(behind_socket(&house, 1), None);
    assert_eq!(behind_socket(&house, first.inode()), caller("itself", false));
    drop(first);
    helper.stop().await;
    assert_eq!(behind_socket(&house, 1), None);
    house.finish().await;
}

#[tokio::test]
async fn another_program_is_no_helper_while_a_helper_lives() {
    let (house, doors) = (House::new(Containment::Auto), Doors::open().await);
    for lives in [false, true] {
        let helper = lives.then(|| house.start(&house.script("exec cat")));
        let mut program = this_program("itself", &doors.addresses()).spawn().unwrap();
        let connected = doors.accept().await;
        assert_eq!(connected.callers(&house), [None, None], "a helper lives: {lives}");
        assert_eq!(settled(|| house.helpers.helper_of_process(Pid::this())), None);
        drop(connected);
        program.wait().unwrap();
        if let Some(helper) = helper {
            helper.stop().await;
        }
    }
    house.finish().await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "no helper")]
async fn a_program_and_a_helper_are_known_on_a_machine_that_starts_processes_all_the_time() {
    let (house, doors) = (House::new(Containment::Guard), Doors::open().await);
    let helper = house.start(&doors.spec(&house, "itself", false));
    let of_helper = doors.accept().await;
    let mut program = this_program("itself", &doors.addresses()).spawn().unwrap();
    let of_program = doors.accept().await;
    let mut compiler = Command::new("sh").args(["-c", "while kill -0 $PPID; do (:); done"]).spawn().unwrap();
    let before = proc::born().unwrap();
    while proc::born().unwrap() < before + 1000 {
        assert_eq!(of_program.callers(&house), [None, None]);
        let wanted = caller("itself", false);
        assert_eq!(of_helper.callers(&house), [wanted.clone(), wanted]);
    }
    compiler.kill().unwrap();
    compiler.wait().unwrap();
    drop((of_helper, of_program));
    program.wait().unwrap();
    helper.stop().await;
    house.finish().await;
}

#[tokio::test]
async fn a_process_that_carries_a_tag_of_the_home_is_a_helpers_and_one_of_another_home_is_not() {
    let home = Clock.new_id().to_string();
    let house = House::at(&home, Containment::Auto, crate::house::GRACE, false);
    // The start-up clean-up would end the program that carries the home's tag.
    house.host.cleaned_up().await;
    for (tag, wanted) in
        [(HomeTag::of(&[home.as_bytes()]), Some(Caller::former())), (HomeTag::of(&[b"x"]), None)]
    {
        let doors = Doors::open().await;
        let mut program = this_program("itself", &doors.addresses());
        let mut program = program.env("SKEIN_HELPER", format!("{tag}-00000001-00000001")).spawn().unwrap();
        let connected = doors.accept().await;
        assert_eq!(connected.callers(&house), [None, wanted], "a former server's is found by its tag alone");
        drop(connected);
        program.wait().unwrap();
    }
    house.finish().await;
}

#[tokio::test]
async fn a_process_that_connected_and_ended_counts_as_a_helper_while_one_lives() {
    let (house, doors) = (House::new(Containment::Auto), Doors::open().await);
    for (lives, wanted) in [(false, None), (true, Some(Caller::former()))] {
        let helper = lives.then(|| house.start(&house.script("exec cat")));
        let mut program = this_program("ends", &doors.addresses()).spawn().unwrap();
        let connected = doors.accept().await;
        program.wait().unwrap();
        let peer = peer_of_unix(connected.unix.as_fd()).unwrap();
        assert!(peer.has_ended());
        assert_eq!(settled(|| house.helpers.helper_of_peer(&peer)), wanted, "a helper lives: {lives}");
        if let Some(helper) = helper {
            helper.stop().await;
        }
    }
    house.finish().await;
}

#[tokio::test]
async fn a_helper_of_one_thread_is_known_with_its_thread() {
    let (house, doors) = (House::new(Containment::Auto), Doors::open().await);
    let thread = ThreadId::new(Clock.new_id());
    let (events, _events) = mpsc::channel(64);
    // Its first process stays: the end of that one would end the process that has the socket.
    let specs = vec![doors.spec(&house, "itself", false)];
    let set = house.helpers.of_thread(thread, specs, "/".into(), events);
    let connected = doors.accept().await;
    let wanted = Some(Caller { thread: Some(thread), ..caller("itself", false).unwrap() });
    assert_eq!(connected.callers(&house), [wanted.clone(), wanted]);
    let pid = peer_of_unix(connected.unix.as_fd()).unwrap().pid.unwrap();
    tokio::time::timeout(BOUND, set.stop()).await.expect("stopped in time");
    until("its process is gone", || !exists(pid.as_raw())).await;
    assert_eq!(behind_socket(&house, 1), None);
    house.finish().await;
}
