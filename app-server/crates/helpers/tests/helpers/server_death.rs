//! When the server itself dies, its guards end everything; when a guard of a server that has its process to itself
//! dies, the server ends what it inherits. The server here is this test program, run again.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use rustix::process::{Resource, Rlimit, setrlimit};
use skein_base::clock::Clock;
use skein_base::home_tag::HomeTag;
use skein_helpers::{Containment, tagged_processes};
use tokio_util::sync::CancellationToken;

use crate::house::{
    GRACE, House, cgroups_of, exists, fork_away, freeze, kill, parent, until, without_first_thread,
};

/// Makes [`the_server`] more than an empty test, and names its containment.
const ROLE: &str = "SKEIN_TEST_SERVER";
/// Names its home.
const HOME: &str = "SKEIN_TEST_SERVER_HOME";
/// The script of its helper, instead of [`FAMILY`].
const SCRIPT: &str = "SKEIN_TEST_SERVER_SCRIPT";
/// Gives it a child that was there before its helpers, and is none.
const BYSTANDER: &str = "SKEIN_TEST_SERVER_BYSTANDER";
/// How often the stories of chains are played; 4 times without it.
const ROUNDS: &str = "SKEIN_TEST_ROUNDS";
/// The number of other processes beside a chain of forks; none without it. Not for a run with other tests, which they slow down.
const CROWD: &str = "SKEIN_TEST_CROWD";
/// Prints the pids of a deaf process in a session of its own, and of a polite one.
const FAMILY: &str = "setsid sh -c 'trap \"\" TERM HUP; echo $$; while :; do sleep 1000; done' & \
                      trap '' TERM; echo $$; cat; while :; do sleep 1000; done";

/// Not a test but a program: a server with one helper. Prints the helper's pids, and how it ended.
#[tokio::test]
async fn the_server() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let home = std::env::var(HOME).expect("who starts this names its home");
    let bystander = std::env::var_os(BYSTANDER).map(|_| bystander());
    let house = House::at(&home, containment(&role), GRACE, true);
    let stop = CancellationToken::new();
    house.tasks.spawn("reaper", Arc::clone(&house.host).reap_unowned_children(stop.clone()));
    let script = std::env::var(SCRIPT).unwrap_or_else(|_| FAMILY.to_owned());
    let mut helper = house.start(&house.script(&script));
    let pids = [helper.pid().await, helper.pid().await];
    let main = helper.life("it runs", |life| life.pid.is_some()).await.pid.expect("just looked");
    // Not `println!`, which the test harness keeps to itself.
    writeln!(std::io::stderr(), "{} {} {main}", pids[0], pids[1]).expect("somebody reads");
    let ended = helper.life("it is over", |life| life.over.is_some()).await.ended.expect("it is over");
    let counts = house.host.counts();
    writeln!(std::io::stderr(), "{ended}, {} guards, {} alive", counts.guards, counts.alive)
        .expect("somebody reads");
    if let Some(pid) = bystander {
        kill(pid, Signal::SIGKILL);
        until("who was no helper's is reaped", || !exists(pid)).await;
    }
    stop.cancel();
    house.finish().await;
}

/// Not waited for: it is as if another program had started it, and had then become this one.
#[expect(clippy::disallowed_methods, reason = "no helper")]
fn bystander() -> i32 {
    Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("it runs").id().cast_signed()
}

fn containment(role: &str) -> Containment {
    if role == "guard" { Containment::Guard } else { Containment::Auto }
}

/// A running [`the_server`].
struct Server {
    home: String,
    process: Child,
    output: Lines<BufReader<ChildStderr>>,
    /// The helper's processes.
    pids: [i32; 2],
    guard: i32,
}

fn start(role: &str) -> Server {
    start_with(role, FAMILY, Alone::Yes)
}

/// Whether helpers are all that a server ever has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    Yes,
    /// It has [`BYSTANDER`].
    No,
}

#[expect(clippy::disallowed_methods, reason = "a server in a process of its own")]
fn start_with(role: &str, script: &str, alone: Alone) -> Server {
    let home = Clock.new_id().to_string();
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "server_death::the_server", "--nocapture"])
        .env(ROLE, role)
        .env(HOME, &home)
        .env(SCRIPT, script)
        .envs((alone == Alone::No).then_some((BYSTANDER, "1")));
    let mut process =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("this program runs");
    let mut output = BufReader::new(process.stderr.take().expect("piped")).lines();
    let line = output.next().expect("a line").expect("text");
    let pids: Vec<i32> = line.split(' ').map(|pid| pid.parse().expect("a pid")).collect();
    Server { home, process, output, pids: [pids[0], pids[1]], guard: parent(pids[2]) }
}

#[tokio::test]
async fn a_killed_server_leaves_nothing() {
    for role in ["guard", "auto"] {
        let mut server = start(role);
        server.process.kill().expect("it runs");
        server.process.wait().expect("it is our child");
        until("the helper is gone", || server.pids.map(exists) == [false, false]).await;
        // The guard is this process's child now, as other tests here have made it a subreaper; else it is init's.
        let _ = waitpid(Pid::from_raw(server.guard), None);
        until("the guard is gone", || !exists(server.guard)).await;
        assert_eq!(cgroups_of(&server.home), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_server_with_a_process_of_its_own_ends_what_a_killed_guard_leaves() {
    for role in ["guard", "auto"] {
        let mut server = start(role);
        kill(server.guard, Signal::SIGKILL);
        let output = server.output.next().expect("a line").expect("text");
        assert_eq!(output, "its guard died, 0 guards, 0 alive");
        assert_eq!(server.pids.map(exists), [false, false]);
        assert!(server.process.wait().expect("it is our child").success());
        assert_eq!(cgroups_of(&server.home), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn who_was_a_child_before_the_helpers_outlives_a_killed_guard_and_is_reaped() {
    for role in ["guard", "auto"] {
        let mut server = start_with(role, FAMILY, Alone::No);
        kill(server.guard, Signal::SIGKILL);
        let output = server.output.next().expect("a line").expect("text");
        assert_eq!(output, "its guard died, 0 guards, 0 alive");
        assert_eq!(server.pids.map(exists), [false, false]);
        // It has failed where that one was gone, or stayed a zombie.
        let end = server.process.wait().expect("it is our child");
        assert!(end.success(), "{role}: {:?}", server.output.map_while(Result::ok).collect::<Vec<_>>());
    }
}

/// Stopped before they are killed: the last one to die would clean up.
async fn kill_both(server: &mut Server) {
    freeze(server.process.id().cast_signed()).await;
    freeze(server.guard).await;
    kill(server.guard, Signal::SIGKILL);
    server.process.kill().expect("it runs");
    server.process.wait().expect("it is our child");
    // As above.
    let _ = waitpid(Pid::from_raw(server.guard), None);
}

#[tokio::test]
async fn what_a_former_server_of_the_home_left_is_ended_by_the_next_and_by_no_other() {
    for role in ["guard", "auto"] {
        let mut server = start(role);
        kill_both(&mut server).await;
        let other = House::new(containment(role));
        assert_eq!(other.host.cleaned_up().await.ended, 0);
        assert!(exists(server.pids[0]), "{role}: a server of another home has ended it");
        let home = HomeTag::of(&[server.home.as_bytes()]);
        assert!(tagged_processes(home) > 0, "{role}: nobody carries the mark");
        let next = House::at(&server.home, containment(role), GRACE, false);
        let cleaned = next.host.cleaned_up().await;
        assert_eq!(tagged_processes(home), 0, "{role}");
        assert!(cleaned.ended > 0 && cleaned.left == 0, "{role}: {cleaned:?}");
        for pid in server.pids {
            // An orphan is this process's child or init's, and may wait to be reaped.
            let _ = waitpid(Pid::from_raw(pid), None);
            until("it is gone", || !exists(pid)).await;
        }
        other.finish().await;
        next.finish().await;
        assert_eq!(cgroups_of(&server.home), Vec::<PathBuf>::new());
    }
}

/// The helpers of both servers have the same number, which also names their cgroups.
#[tokio::test]
async fn what_another_server_left_is_not_ended_with_the_helper_of_a_killed_guard() {
    // From now on the processes of both fall to this process.
    let house = House::new(Containment::Auto);
    let mut server = start("auto");
    kill_both(&mut server).await;
    let home = HomeTag::of(&[server.home.as_bytes()]);
    // The two shells live for ever, and what they start for a moment.
    assert!(tagged_processes(home) >= server.pids.len(), "the server had a helper");
    let mut helper = house.start(&house.script(FAMILY));
    let _both_run = [helper.pid().await, helper.pid().await];
    let main = helper.life("it runs", |life| life.pid.is_some()).await.pid.expect("just looked");
    kill(parent(main), Signal::SIGKILL);
    helper.life("it is over", |life| life.over.is_some()).await;
    assert!(tagged_processes(home) >= server.pids.len(), "they live on");
    let next = House::at(&server.home, Containment::Auto, GRACE, false);
    assert_eq!(next.host.cleaned_up().await.left, 0);
    reap(&server);
    house.finish().await;
    next.finish().await;
}

/// Makes [`the_survivor`] more than an empty test.
const SURVIVOR: &str = "SKEIN_TEST_SURVIVOR";

/// Not a test but a program: has its tag in its environment alone, and its first thread has ended.
#[test]
fn the_survivor() {
    if std::env::var_os(SURVIVOR).is_none() {
        return;
    }
    fork_away();
    nix::unistd::setsid().expect("no leader yet");
    for resource in [Resource::Rss, Resource::Locks] {
        let limit = Rlimit { current: Some(1), maximum: Some(1) };
        setrlimit(resource, limit).expect("a lower limit is allowed");
    }
    without_first_thread(|| {
        // In one write: the shell that started this writes a line of its own to the same pipe.
        let line = format!("{}\n", Pid::this());
        std::io::stderr().write_all(line.as_bytes()).expect("somebody reads");
        loop {
            std::thread::park();
        }
    });
}

#[tokio::test]
async fn a_process_without_its_first_thread_that_a_former_server_left_is_ended_by_the_next() {
    let program = std::env::current_exe().expect("this program");
    let script = format!(
        "{SURVIVOR}=1 '{}' --exact server_death::the_survivor 2>&1 >/dev/null </dev/null; echo $$; exec sleep 1000",
        program.display()
    );
    let mut server = start_with("guard", &script, Alone::Yes);
    kill_both(&mut server).await;
    let next = House::at(&server.home, Containment::Guard, GRACE, false);
    let cleaned = next.host.cleaned_up().await;
    for pid in server.pids {
        let _ = waitpid(Pid::from_raw(pid), None);
        until("it is gone", || !exists(pid)).await;
    }
    assert_eq!((cleaned.ended, cleaned.left), (2, 0));
    next.finish().await;
}

#[tokio::test]
async fn a_stopped_guard_whose_server_died_is_ended_by_the_next_start() {
    let mut server = start("guard");
    freeze(server.guard).await;
    server.process.kill().expect("it runs");
    server.process.wait().expect("it is our child");
    assert!(exists(server.guard));
    let next = House::at(&server.home, Containment::Guard, GRACE, false);
    assert_eq!(next.host.cleaned_up().await.left, 0);
    let _ = waitpid(Pid::from_raw(server.guard), None);
    for pid in server.pids {
        let _ = waitpid(Pid::from_raw(pid), None);
        until("it is gone", || !exists(pid)).await;
    }
    next.finish().await;
}

/// Each link a program and a session of its own: it lives for milliseconds.
const NEW_PROGRAMS: &str = "kill -0 {test} || exit\nsetsid sh \"$0\" &";
/// Nothing but forks: a link lives for a fraction of a millisecond.
const ONLY_FORKS: &str = "f() { test -e '{link}' && kill -0 {test} && f & }\nf";

/// Processes of which each lives until it has started the next one, a session each, and the way to know whether one of them
/// lives: they hold a pipe, which no look at `/proc` can miss.
struct Chain {
    _folder: tempfile::TempDir,
    held: File,
    script: String,
}

impl Chain {
    /// `link_of` starts the next one; `{link}` is a file without which the chain ends, and `{test}` this process, which may be
    /// killed.
    fn new(link_of: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe with a name");
        let test = std::process::id().to_string();
        let next = link_of.replace("{link}", &link.to_string_lossy()).replace("{test}", &test);
        let lines = format!("trap '' TERM HUP\n{next}\n");
        std::fs::write(&link, lines).expect("a script");
        let held = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&pipe);
        let script = format!(
            "exec 9>{}; setsid sh {} </dev/null >/dev/null 2>&1 & exec 9>&-; sleep 1000 & echo $!; echo $$; exec sleep 1000",
            pipe.display(),
            link.display()
        );
        Self { _folder: folder, held: held.expect("its reader"), script }
    }

    /// Whether a link of it lives.
    fn lives(&mut self) -> bool {
        // 0 bytes: nobody has it open for writing any more. Nobody ever writes, so otherwise there is nothing to read.
        self.held.read(&mut [0]).is_err()
    }
}

/// Processes that make each look at all processes slow: a chain grows by many links meanwhile.
struct Crowd(Vec<Pid>);

impl Crowd {
    fn of(count: usize) -> Self {
        // Dead at once. Each stays in `/proc` until it is reaped.
        // SAFETY: the child calls nothing but `_exit`.
        let zombie = || match unsafe { fork() } {
            Ok(ForkResult::Parent { child }) => child,
            // SAFETY: it ends this process, which has done nothing yet.
            Ok(ForkResult::Child) => unsafe { nix::libc::_exit(0) },
            Err(error) => panic!("no room for a process: {error}"),
        };
        Self((0..count).map(|_| zombie()).collect())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = waitpid(*pid, None);
        }
    }
}

fn rounds() -> usize {
    number(ROUNDS, 4)
}

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Reaps what was inherited by this process, which is a subreaper.
fn reap(server: &Server) {
    for pid in server.pids {
        let _ = waitpid(Pid::from_raw(pid), None);
    }
}

#[tokio::test]
async fn a_chain_of_forks_that_outlived_server_and_guard_ends_with_the_next_start() {
    let (mut escaped, mut took) = (0, Vec::new());
    for kind in [NEW_PROGRAMS, ONLY_FORKS].into_iter().cycle().take(rounds()) {
        let mut chain = Chain::new(kind);
        let mut server = start_with("guard", &chain.script, Alone::Yes);
        assert!(chain.lives());
        kill_both(&mut server).await;
        assert!(chain.lives(), "nobody was there to end it");
        let next = House::at(&server.home, Containment::Guard, GRACE, false);
        let cleaned = next.host.cleaned_up().await;
        took.push(cleaned.took);
        // A killed process may still be exiting.
        escaped += usize::from(cleaned.left > 0 || gone(&mut chain).await.is_err());
        reap(&server);
        next.finish().await;
    }
    took.sort();
    assert_eq!(escaped, 0, "escaped of {}; the longest took {:?}", took.len(), took.last());
}

#[tokio::test]
async fn a_chain_of_forks_ends_when_its_guard_is_killed() {
    let _crowd = Crowd::of(number(CROWD, 0));
    let mut escaped = 0;
    // Half of them know their own by the mark alone.
    let alone = [Alone::Yes, Alone::Yes, Alone::No, Alone::No].into_iter().cycle();
    for (kind, alone) in [NEW_PROGRAMS, ONLY_FORKS].into_iter().cycle().zip(alone).take(rounds()) {
        let mut chain = Chain::new(kind);
        let mut server = start_with("guard", &chain.script, alone);
        assert!(chain.lives());
        kill(server.guard, Signal::SIGKILL);
        let output = server.output.next().expect("a line").expect("text");
        assert_eq!(output, "its guard died, 0 guards, 0 alive");
        escaped += usize::from(gone(&mut chain).await.is_err());
        server.process.wait().expect("it is our child");
    }
    assert_eq!(escaped, 0, "escaped of {}", rounds());
}

/// Whether nothing of the chain lives after what a killed process takes to be gone. Ends one that goes on.
async fn gone(chain: &mut Chain) -> Result<(), ()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..40 {
        ticks.tick().await;
        if !chain.lives() {
            return Ok(());
        }
    }
    // A chain that nobody catches ends when its script is not there any more.
    std::fs::remove_file(chain._folder.path().join("link")).expect("it is there");
    Err(())
}
