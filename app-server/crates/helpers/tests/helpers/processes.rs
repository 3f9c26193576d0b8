//! One helper and its guard: how it starts, what it sees, and every way in which it may refuse to end.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use futures_util::FutureExt;
use nix::sys::signal::Signal;
use skein_base::clock::Clock;
use skein_helpers::{Containment, HelperSpec, Stage, StdioSpec, Transport};

use crate::house::{BOUND, House, exists, kill, parent, until};

/// Ignores SIGTERM and the end of its input, and so does its child, in a session of its own. Prints both pids.
pub(crate) const STUBBORN: &str = r#"trap '' TERM
setsid sh -c 'echo $$; while :; do sleep 1000; done' &
echo $$
while :; do sleep 1000; done"#;

/// Signals 32 and 33, which the C library reserves and lets nobody touch.
const OF_THE_C_LIBRARY: u64 = 0x1_8000_0000;

#[tokio::test]
async fn a_polite_helper_ends_with_its_input() {
    let house = House::patient(Containment::Auto);
    let mut helper = house.start(&house.script("echo $$; exec cat"));
    let pid = helper.pid().await;
    assert_eq!(helper.life("it runs", |life| life.pid.is_some()).await.pid, Some(pid));
    let report = helper.stop().await;
    assert_eq!((report.survivors, report.stage), (0, Some(Stage::CloseInput)));
    assert!(!exists(pid));
    assert_eq!(helper.stop().await, report, "stopping again tells the same");
    house.finish().await;
}

#[tokio::test]
async fn a_busy_helper_ends_with_sigterm() {
    // Long enough for the signal on a machine that has much else to do.
    let house = House::with(Containment::Auto, Duration::from_secs(2), false);
    let mut helper = house.start(&house.script("echo $$; exec sleep 1000"));
    let pid = helper.pid().await;
    let report = helper.stop().await;
    assert_eq!((report.survivors, report.stage), (0, Some(Stage::Terminate)));
    assert!(!exists(pid));
    house.finish().await;
}

#[tokio::test]
async fn a_stubborn_helper_and_its_detached_child_end_in_both_containments() {
    for containment in [Containment::Guard, Containment::Auto] {
        let house = House::new(containment);
        let mut helper = house.start(&house.script(STUBBORN));
        let pids = [helper.pid().await, helper.pid().await];
        let report = helper.stop().await;
        assert_eq!((report.survivors, report.stage), (0, Some(Stage::Kill)));
        assert_eq!(pids.map(exists), [false, false]);
        assert_eq!(house.host.counts().killed_total, 1);
        house.finish().await;
    }
}

#[tokio::test]
async fn the_default_grace_leaves_time_to_kill_within_one_and_a_half_seconds() {
    let grace = skein_helpers::policy::HELPER_STOP_GRACE;
    assert!(grace * 2 < Duration::from_millis(1500), "both graces, and time for what the kernel does");
    let house = House::with(Containment::Auto, grace, false);
    let mut helper = house.start(&house.script(STUBBORN));
    let _both_run = [helper.pid().await, helper.pid().await];
    let report = helper.stop().await;
    assert_eq!((report.survivors, report.stage), (0, Some(Stage::Kill)), "no third grace: {report:?}");
    assert!(report.took >= grace * 2, "{report:?}");
    house.finish().await;
}

#[tokio::test]
async fn a_server_in_a_hurry_waits_for_no_grace() {
    let house = House::patient(Containment::Auto);
    let mut helper = house.start(&house.script(STUBBORN));
    let pids = [helper.pid().await, helper.pid().await];
    let (report, ()) = tokio::join!(helper.stop(), async { house.host.kill_all() });
    assert_eq!((report.survivors, report.stage, pids.map(exists)), (0, Some(Stage::Kill), [false, false]));
    house.finish().await;
}

#[tokio::test]
async fn an_output_that_a_helper_closes_is_closed_also_in_a_namespace() {
    for containment in [Containment::Auto, Containment::Namespace] {
        if containment == Containment::Namespace && !has_namespaces() {
            continue;
        }
        let house = House::new(containment);
        let mut helper = house.start(&house.script("echo $$; exec >&-; exec sleep 1000"));
        helper.pid().await;
        let ended = tokio::time::timeout(BOUND, helper.stdout.next_line()).await;
        assert_eq!(ended.expect("its end in time").expect("text"), None, "{containment:?}");
        assert_eq!(helper.stop().await.survivors, 0);
        house.finish().await;
    }
}

#[tokio::test]
async fn a_daemon_that_forked_twice_ends_with_its_helper() {
    let house = House::new(Containment::Guard);
    let script = "(setsid sh -c 'trap \"\" TERM HUP; echo $$; while :; do sleep 1000; done' &) ; exec cat";
    let mut helper = house.start(&house.script(script));
    let daemon = helper.pid().await;
    until("the guard adopted the daemon", || {
        parent(daemon) == parent(helper.process.life().borrow().pid.unwrap_or(1))
    })
    .await;
    let report = helper.stop().await;
    assert_eq!((report.survivors, report.stage, exists(daemon)), (0, Some(Stage::Kill), false));
    house.finish().await;
}

#[tokio::test]
async fn a_chain_of_forks_is_caught_in_bounded_time() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, next) in [("same-session", "sh \"$0\" &"), ("own-sessions", "setsid sh \"$0\" &")] {
        let path = folder.path().join(name);
        // It also ends with a test that was killed.
        let alive = format!("kill -0 {} || exit", std::process::id());
        std::fs::write(&path, format!("trap '' TERM\n{alive}\n{next}\n")).expect("a script");
        for containment in [Containment::Guard, Containment::Auto] {
            let house = House::new(containment);
            let spec = house.script(&format!("sh {} & echo started; exec cat", path.display()));
            let mut helper = house.start(&spec);
            assert_eq!(helper.line().await, "started");
            let report = helper.stop().await;
            assert_eq!((report.survivors, report.stage), (0, Some(Stage::Kill)), "{name} {containment:?}");
            house.finish().await;
        }
    }
}

#[tokio::test]
async fn a_hundred_stubborn_helpers_take_as_long_as_one() {
    const MANY: usize = 100;
    // So long that what the processors need for a hundred does not count beside two graces of each.
    let grace = Duration::from_secs(3);
    let house = House::with(Containment::Auto, grace, false);
    let mut helpers: Vec<_> = (0..MANY).map(|_| house.start(&house.script(STUBBORN))).collect();
    for helper in &mut helpers {
        let _both_run = [helper.pid().await, helper.pid().await];
    }
    assert_eq!((house.host.counts().alive, house.host.counts().guards), (MANY, MANY));
    let asked = Clock.now();
    for report in futures_util::future::join_all(helpers.iter().map(|helper| helper.stop())).await {
        assert_eq!(report.survivors, 0);
    }
    // One takes two graces. One after the other they would take two hundred, and all that the processors need besides.
    let took = Clock.now() - asked;
    assert!(took >= grace * 2 && took < grace * 100, "{took:?}");
    house.finish().await;
}

#[tokio::test]
async fn a_program_that_cannot_run_is_reported_and_ends_by_itself() {
    let house = House::new(Containment::Auto);
    let missing = Transport::Stdio(StdioSpec { command: "no-such-program".into(), ..house.sh("") });
    let ended = house
        .start(&HelperSpec::reached("script", missing))
        .life("it is over", |life| life.over.is_some())
        .await
        .ended;
    let wanted = "cannot run \"no-such-program\": No such file or directory (os error 2); \
                  check `command` and the helper's PATH";
    assert_eq!(ended.as_deref(), Some(wanted));

    let nowhere = Transport::Stdio(StdioSpec { cwd: Some("/no/such/folder".into()), ..house.sh("") });
    let ended = house
        .start(&HelperSpec::reached("script", nowhere))
        .life("it is over", |life| life.over.is_some())
        .await
        .ended;
    let wanted =
        "cannot enter the working directory \"/no/such/folder\": No such file or directory (os error 2)";
    assert_eq!(ended.as_deref(), Some(wanted));
    house.finish().await;
}

#[tokio::test]
async fn a_helper_that_ends_by_itself_is_reported_and_its_children_stay_until_the_stop() {
    let house = House::new(Containment::Auto);
    let mut helper = house.start(&house.script("sleep 1000 & echo $!; exit 3"));
    let child = helper.pid().await;
    let life = helper.life("it ended", |life| life.ended.is_some()).await;
    assert_eq!((life.ended.as_deref(), life.over), (Some("it ended with exit code 3"), None));
    assert!(exists(child));
    helper.stop().await;
    assert!(!exists(child));
    house.finish().await;

    let house = House::patient(Containment::Auto);
    let helper = house.start(&house.script("kill -SEGV $$"));
    let life = helper.life("it ended", |life| life.ended.is_some()).await;
    assert_eq!(life.ended.as_deref(), Some("it ended with SIGSEGV"));
    assert_eq!(helper.stop().await.stage, Some(Stage::CloseInput));
    house.finish().await;
}

#[tokio::test]
async fn a_dropped_helper_ends_all_the_same() {
    let house = House::new(Containment::Auto);
    let mut helper = house.start(&house.script(STUBBORN));
    let pids = [helper.pid().await, helper.pid().await];
    drop(helper);
    until("nothing is left", || pids.map(exists) == [false, false]).await;
    house.finish().await;
}

#[tokio::test]
async fn when_the_guard_is_killed_the_server_ends_what_it_left() {
    for containment in [Containment::Guard, Containment::Auto, Containment::Namespace] {
        if containment == Containment::Namespace && !has_namespaces() {
            return;
        }
        let house = House::new(containment);
        let mut helper = house.start(&house.script(STUBBORN));
        let pids = [helper.pid().await, helper.pid().await];
        let main = helper.life("it runs", |life| life.pid.is_some()).await.pid.expect("just looked");
        let namespaced = containment == Containment::Namespace;
        kill(if namespaced { parent(parent(main)) } else { parent(main) }, Signal::SIGKILL);
        let life = helper.life("it is over", |life| life.over.is_some()).await;
        assert_eq!(life.ended.as_deref(), Some("its guard died"));
        assert_eq!(life.over.map(|report| report.survivors), Some(0));
        // In a namespace these are numbers of others out here; the end of the test looks for all of its own.
        assert!(namespaced || pids.map(exists) == [false, false]);
        house.finish().await;
    }
}

#[tokio::test]
async fn a_guard_obeys_no_signal_and_a_stopped_one_is_done_without() {
    let house = House::new(Containment::Auto);
    let mut helper = house.start(&house.script(STUBBORN));
    let _both_run = [helper.pid().await, helper.pid().await];
    let main = helper.life("it runs", |life| life.pid.is_some()).await.pid.expect("just looked");
    let guard = parent(main);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1] {
        kill(guard, signal);
    }
    kill(guard, Signal::SIGSTOP);
    let report = helper.stop().await;
    assert_eq!((report.survivors, exists(guard), exists(main)), (0, false, false));
    house.finish().await;
}

#[tokio::test]
async fn a_helper_gets_three_descriptors_clean_signals_and_only_allowed_variables() {
    let house = House::new(Containment::Auto);
    let open = std::fs::File::open("/dev/null").expect("it exists");
    // SAFETY: dup(2) makes a descriptor that is nobody else's; it is not close-on-exec, which is the point.
    let inheritable = unsafe { OwnedFd::from_raw_fd(nix::libc::dup(open.as_raw_fd())) };
    let spec = house
        .script("ls /proc/$$/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status; env | sort; echo end; cat")
        .with_variable("TOKEN", "of the helper");
    let mut helper = house.start(&spec);
    assert_eq!([helper.line().await, helper.line().await, helper.line().await], ["0", "1", "2"]);
    for _ in 0..2 {
        let line = helper.line().await;
        let set = line.split('\t').nth(1).and_then(|set| u64::from_str_radix(set, 16).ok());
        assert_eq!(set.map(|set| set & !OF_THE_C_LIBRARY), Some(0), "{line}");
    }
    let mut names = Vec::new();
    loop {
        match helper.line().await {
            end if end == "end" => break,
            line => names.push(line.split('=').next().unwrap_or_default().to_owned()),
        }
    }
    let known =
        "HOME LANG LOGNAME OLDPWD PATH PWD SHELL SHLVL SKEIN_HELPER SKEIN_TEST TERM TMPDIR TOKEN TZ USER _";
    let strange = |name: &&String| !name.starts_with("LC_") && !known.split(' ').any(|known| known == **name);
    assert_eq!(names.iter().find(strange), None);
    assert!(
        ["PATH", "TOKEN", "SKEIN_HELPER"].iter().all(|name| names.iter().any(|seen| seen == name)),
        "{names:?}"
    );
    helper.stop().await;
    drop(inheritable);
    house.finish().await;
}

#[tokio::test]
async fn a_flood_on_stderr_neither_blocks_the_helper_nor_is_kept() {
    let house = House::new(Containment::Auto);
    let script =
        "head -c 50000000 /dev/zero | tr '\\0' x >&2; echo done; echo last words >&2; echo said; cat";
    let mut helper = house.start(&house.script(script));
    assert_eq!(helper.line().await, "done");
    assert_eq!(helper.line().await, "said");
    until("the end of stderr is there", || helper.process.stderr_tail().ends_with("last words")).await;
    assert!(helper.process.stderr_tail().len() <= skein_helpers::policy::HELPER_STDERR_TAIL_BYTES);
    helper.stop().await;
    house.finish().await;
}

#[tokio::test]
async fn a_helper_that_reads_nothing_holds_up_nobody_and_is_ended() {
    let house = House::new(Containment::Auto);
    let mut helper = house.start(&house.script("echo up; exec sleep 1000"));
    assert_eq!(helper.line().await, "up");
    let stdin = helper.stdin.take().expect("not taken yet");
    let mut sent = 0;
    // Each lets the writer take some of it; the last one finds no room.
    while let Some(sent_one) = stdin.send(vec![b'x'; 64 << 10].into()).now_or_never() {
        sent_one.expect("it lives");
        sent += 1;
        assert!(sent < 1000, "the queue to a helper has no bound");
        tokio::task::yield_now().await;
    }
    assert_eq!(tokio::time::timeout(BOUND, helper.stop()).await.expect("stopped").survivors, 0);
    house.finish().await;
}

/// Whether this system lets this user have what the isolation level "namespace" is made of: unshare(1) is asked for the same, so that a
/// fault of ours does not look like the system's.
#[expect(clippy::disallowed_methods, reason = "a program that is no helper")]
pub(crate) fn has_namespaces() -> bool {
    let user: &[&str] = if nix::unistd::getuid().is_root() { &[] } else { &["--user"] };
    let mut unshare = std::process::Command::new("unshare");
    let asked = unshare.args(user).args(["--pid", "--fork", "--mount-proc", "true"]).output();
    let reason = match asked {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("unshare(1): {error}"),
    };
    eprintln!("SKIPPED: {reason}, so the isolation level \"namespace\" was not tested");
    false
}

#[tokio::test]
async fn every_process_of_a_helper_carries_the_tag_whatever_it_sheds() {
    let house = House::new(Containment::Guard);
    let script = "(env -i setsid sh -c 'echo $$; exec sleep 1000' &); exec cat";
    let mut helper = house.start(&house.script(script));
    let bare = helper.pid().await;
    let main = helper.life("it runs", |life| life.pid.is_some()).await.pid.expect("just looked");
    let limits = |pid: i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
        let ours = |line: &&str| line.starts_with("Max resident set") || line.starts_with("Max file locks");
        text.lines().filter(ours).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(limits(bare).iter().all(|line| !line.contains("unlimited")), "{:?}", limits(bare));
    assert_eq!(limits(bare), limits(main));
    assert_eq!(limits(bare), limits(parent(main)), "its guard carries it too");
    assert_ne!(limits(bare), limits(std::process::id().cast_signed()));
    helper.stop().await;
    house.finish().await;
}

#[tokio::test]
async fn a_group_without_its_leader_and_one_with_it_both_end() {
    let house = House::new(Containment::Guard);
    // The first has a leader that is gone before its members; the second leads its own.
    let script = "trap '' TERM
        setsid sh -c 'trap \"\" TERM; (while :; do sleep 1000; done) & (while :; do sleep 1000; done) & echo gone' &
        setsid sh -c 'trap \"\" TERM; (while :; do sleep 1000; done) & echo led; while :; do sleep 1000; done' &
        while :; do sleep 1000; done";
    let mut helper = house.start(&house.script(script));
    let mut output = [helper.line().await, helper.line().await];
    output.sort();
    assert_eq!(output, ["gone", "led"]);
    let report = helper.stop().await;
    assert_eq!((report.survivors, report.stage), (0, Some(Stage::Kill)));
    house.finish().await;
}

#[tokio::test]
async fn in_a_namespace_a_helper_sees_only_its_own_and_all_of_it_ends() {
    if !has_namespaces() {
        return;
    }
    let house = House::new(Containment::Namespace);
    let mut helper = house.start(&house.script(&format!("ls /proc | grep -c '^[0-9]'; {STUBBORN}")));
    // The first process, the shell, `ls` and `grep`; the machine has many more.
    let seen: usize = helper.line().await.trim().parse().expect("a number");
    assert!(seen <= 5, "it sees {seen} processes");
    let inside = [helper.pid().await, helper.pid().await];
    let outside = helper.life("it runs", |life| life.pid.is_some()).await.pid.expect("just looked");
    assert!(inside.iter().all(|pid| *pid < 20), "these are no pids of a namespace: {inside:?}");
    assert!(house.living().contains(&outside));
    assert_eq!((house.host.counts().by_namespace, house.host.counts().by_guard), (1, 0));
    let report = helper.stop().await;
    assert_eq!((report.survivors, report.stage), (0, Some(Stage::Kill)));
    house.finish().await;
}

#[tokio::test]
async fn in_a_namespace_the_end_of_a_helper_is_reported_as_usual() {
    if !has_namespaces() {
        return;
    }
    let house = House::new(Containment::Namespace);
    let mut helper = house.start(&house.script("sleep 1000 & echo up; exit 3"));
    assert_eq!(helper.line().await, "up");
    let life = helper.life("it ended", |life| life.ended.is_some()).await;
    assert_eq!((life.ended.as_deref(), life.over), (Some("it ended with exit code 3"), None));
    assert_eq!(helper.stop().await.survivors, 0);

    let helper = house.start(&house.script("kill -SEGV $$"));
    let life = helper.life("it ended", |life| life.ended.is_some()).await;
    assert_eq!(life.ended.as_deref(), Some("it ended with SIGSEGV"));
    assert_eq!(helper.stop().await.survivors, 0);

    let missing = Transport::Stdio(StdioSpec { command: "no-such-program".into(), ..house.sh("") });
    let spec = HelperSpec { transport: missing, ..house.script("") };
    let ended = house.start(&spec).life("it is over", |life| life.over.is_some()).await.ended;
    assert!(
        ended.as_deref().is_some_and(|why| why.starts_with("cannot run \"no-such-program\"")),
        "{ended:?}"
    );

    house.finish().await;

    let house = House::patient(Containment::Namespace);
    let mut helper = house.start(&house.script("echo up; exec cat"));
    assert_eq!(helper.line().await, "up");
    let report = helper.stop().await;
    assert_eq!((report.survivors, report.stage), (0, Some(Stage::CloseInput)));
    house.finish().await;
}
