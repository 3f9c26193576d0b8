//! Helpers that die, die again and again, or are unresponsive, and the calls that wait for them.

use std::time::Duration;

use futures_util::FutureExt;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use skein_helpers::{HelperError, HelperEvent, HelperSpec, OnUnresponsive, StdioSpec, Transport};
use skein_protocol::extension::HelperState;
use skein_protocol::helper::McpServerStartupState;
use skein_protocol::methods::ConfigMcpServerReload;
use skein_protocol::table::Method;
use tokio_util::sync::CancellationToken;

use crate::house::{BOUND, House, exists, kill, until};
use crate::sessions::{SERVER, Thread, server};

/// Stops itself in a call, and answers once it is continued.
const STOPS: &str = "kill -STOP $$; text ok";

fn pid(answer: Result<Value, HelperError>) -> i32 {
    answer.expect("an answer").as_str().and_then(|pid| pid.parse().ok()).expect("a pid")
}

fn stopping(house: &House, on_unresponsive: OnUnresponsive) -> HelperSpec {
    HelperSpec { on_unresponsive, ..server(house, "a", STOPS) }
}

impl Thread {
    /// The next that is told of signs of life.
    async fn liveness(&mut self) -> (HelperState, String) {
        loop {
            if let HelperEvent::Liveness { state, message, .. } = self.next_event().await {
                return (state, message.unwrap_or_default());
            }
        }
    }
}

#[tokio::test]
async fn a_helper_that_dies_between_calls_is_ready_again_with_an_event() {
    let mut thread = Thread::start(|house| vec![server(house, "a", "text $$")]);
    let first = pid(thread.call("a", json!({})).await);
    kill(first, Signal::SIGKILL);
    assert_eq!(thread.failure().await, "it ended with SIGKILL");
    for state in [McpServerStartupState::Starting, McpServerStartupState::Ready] {
        assert_eq!(thread.startup().await, ("a".into(), state, String::new()));
    }
    let second = pid(thread.call("a", json!({})).await);
    assert!(second != first && !exists(first));
    assert_eq!(thread.house.living().len(), 1);
    thread.finish().await;
}

#[tokio::test]
async fn a_call_of_a_helper_that_is_started_again_waits_for_it() {
    let thread = Thread::start(|house| vec![server(house, "a", "text $$")]);
    let first = pid(thread.call("a", json!({})).await);
    kill(first, Signal::SIGKILL);
    until("it is known", || thread.state() == HelperState::Restarting).await;
    assert_ne!(pid(thread.call("a", json!({})).await), first);
    thread.finish().await;
}

#[tokio::test]
async fn a_helper_in_a_loop_of_exits_is_given_up_until_somebody_asks_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = folder.path().join("gate");
    let mut thread = Thread::start(|house| {
        let script = format!("test -e {} || exit 9\n{SERVER}", gate.display());
        let spec = HelperSpec { name: "a".into(), ..house.script(&script) };
        vec![spec.with_variable("on_call", "text ok")]
    });
    let early = thread.call("a", json!({})).await.expect_err("it does not start").to_string();
    assert!(early.ends_with("it ended with exit code 9"), "one start is waited for: {early}");
    assert_eq!(thread.failure().await, "it ended with exit code 9", "once for all but the last");
    let why = thread.failure().await;
    assert!(why.contains("it failed 5 times within 60 s and is not started again before "), "{why}");
    assert_eq!(thread.state(), HelperState::Broken);
    let refused = thread.call("a", json!({})).await.expect_err("it is broken").to_string();
    assert!(refused.contains(ConfigMcpServerReload::INFO.wire), "{refused}");
    until("nothing runs", || thread.set.alive() == 0).await;
    std::fs::write(&gate, "").expect("a gate");
    thread.house.helpers.revive();
    assert_eq!(thread.startup().await.1, McpServerStartupState::Starting);
    assert_eq!(thread.startup().await.1, McpServerStartupState::Ready);
    assert_eq!(thread.call("a", json!({})).await, Ok(json!("ok")));
    thread.finish().await;
}

/// The supervisor takes an order later than it is given. A call in between must not get the reason of the old failure.
#[tokio::test]
async fn a_helper_that_was_given_up_takes_calls_from_the_moment_it_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("sh");
    let thread = Thread::start(|house| {
        let later = StdioSpec { command: program.display().to_string(), ..house.sh(SERVER) };
        let spec = HelperSpec::reached("a", Transport::Stdio(later));
        vec![HelperSpec { startup_timeout: BOUND, ..spec }.with_variable("on_call", "text ok")]
    });
    thread.call("a", json!({})).await.expect_err("no such program");
    until("it is given up", || thread.set.alive() == 0).await;
    assert_eq!(thread.state(), HelperState::Broken);
    std::os::unix::fs::symlink("/bin/sh", &program).expect("a program");
    thread.house.helpers.revive();
    assert_eq!(thread.call("a", json!({})).await, Ok(json!("ok")));
    thread.finish().await;
}

#[tokio::test]
async fn a_longer_startup_timeout_is_kept_by_the_next_start() {
    let mut slow = None;
    let mut thread = Thread::start(|house| {
        let startup_timeout = Duration::from_millis(100);
        let script = format!("sleep 0.6\n{SERVER}");
        let spec = HelperSpec { name: "a".into(), startup_timeout, ..house.script(&script) };
        slow = Some(spec.clone());
        vec![spec]
    });
    let spec = slow.expect("it was made");
    assert!(thread.failure().await.starts_with("it was not ready after 0.1 s"));
    thread.set.change(vec![HelperSpec { startup_timeout: Duration::from_mins(10), ..spec }]);
    thread.house.helpers.revive();
    // The next start after one that has failed is no news.
    assert_eq!(thread.startup().await.1, McpServerStartupState::Ready);
    thread.finish().await;
}

#[tokio::test]
async fn a_required_helper_that_never_started_is_not_waited_for_again_and_again() {
    let mut thread = Thread::start(|house| {
        let mut slow = house.script("while :; do sleep 1000; done");
        (slow.name, slow.required, slow.startup_timeout) = ("a".into(), true, Duration::from_millis(900));
        vec![slow]
    });
    thread.failure().await;
    let tools =
        thread.set.tools().now_or_never().expect("neither its back-off nor its next start is waited for");
    let why = tools.expect_err("it is required").to_string();
    assert!(why.contains("not ready after 0.9 s"), "{why}");
    thread.finish().await;
}

#[tokio::test]
async fn a_helper_that_waits_for_its_restart_is_stopped_at_once() {
    let mut thread =
        Thread::start(|house| vec![HelperSpec { name: "a".into(), ..house.script("trap '' TERM; exit 9") }]);
    thread.failure().await;
    until("it waits", || thread.state() == HelperState::Restarting).await;
    let reports = thread.set.stop().await;
    assert_eq!(reports[0].survivors, 0);
    assert_eq!((thread.state(), thread.set.alive()), (HelperState::Stopped, 0));
    thread.finish().await;
}

#[tokio::test]
async fn a_wedged_helper_is_reported_its_call_goes_on_and_new_ones_wait() {
    let mut thread = Thread::start(|house| vec![stopping(house, OnUnresponsive::Report)]);
    thread.set.tools().await.expect("nothing is required");
    let stopped = *thread.house.living().first().expect("a process");
    let cancel = CancellationToken::new();
    let mut events = std::mem::replace(&mut thread.events, tokio::sync::mpsc::channel(1).1);
    let look = async {
        while !matches!(events.recv().await, Some(HelperEvent::Liveness { .. })) {}
        assert_eq!(thread.state(), HelperState::Unresponsive);
        let second = thread.set.call("a", "first", json!({}), cancel.clone());
        let interrupt = async {
            let waiting = || thread.set.statuses()[0].skein.as_ref().map(|details| details.waiting);
            until("it is shown as waiting", || waiting() == Some(1)).await;
            cancel.cancel();
        };
        let (second, ()) = tokio::join!(second, interrupt);
        assert_eq!(second, Err(HelperError::Cancelled { server: "a".into() }));
        kill(stopped, Signal::SIGCONT);
        let Some(HelperEvent::Liveness { message: None, .. }) = events.recv().await else {
            panic!("that it lives is told")
        };
    };
    let (answer, ()) = tokio::join!(thread.call("a", json!({})), look);
    assert_eq!(answer, Ok(json!("ok")), "no call is cut");
    thread.finish().await;
}

#[tokio::test]
async fn a_wedged_helper_loses_its_calls_where_that_is_configured() {
    let mut thread = Thread::start(|house| vec![stopping(house, OnUnresponsive::Fail)]);
    let ended = thread.call("a", json!({})).await;
    assert_eq!(ended, Err(HelperError::Unresponsive { server: "a".into() }));
    let (state, message) = thread.liveness().await;
    assert_eq!(state, HelperState::Unresponsive);
    assert!(message.contains("no sign of life for 1 s"), "{message}");
    thread.finish().await;
}

#[tokio::test]
async fn a_wedged_helper_is_started_again_where_that_is_configured() {
    let mut thread = Thread::start(|house| vec![stopping(house, OnUnresponsive::Restart)]);
    let ended = thread.call("a", json!({})).await;
    let Err(HelperError::Ended { reason, .. }) = ended else { panic!("{ended:?}") };
    assert!(reason.contains("no sign of life"), "{reason}");
    thread.liveness().await;
    assert_eq!(thread.failure().await, reason);
    assert_eq!(thread.startup().await.1, McpServerStartupState::Starting);
    assert_eq!(thread.startup().await.1, McpServerStartupState::Ready);
    thread.finish().await;
}

#[tokio::test]
async fn a_helper_that_works_without_a_word_is_alive() {
    let burn = "end=$(($(date +%s) + 4)); while [ $(date +%s) -lt $end ]; do :; done; text ok";
    let mut thread = Thread::start(|house| vec![server(house, "a", burn)]);
    assert_eq!(thread.call("a", json!({})).await, Ok(json!("ok")));
    assert_eq!(thread.startup().await.1, McpServerStartupState::Starting);
    assert_eq!(thread.startup().await.1, McpServerStartupState::Ready);
    assert!(thread.events.try_recv().is_err(), "it was taken for dead");
    thread.finish().await;
}
