//! A thread's helpers as the server sees them: sessions over MCP with servers written in shell, good and bad.

use std::time::Duration;

use serde_json::{Value, json};
use skein_base::clock::Clock;
use skein_base::home_tag::HomeTag;
use skein_helpers::{
    Containment, HelperCall, HelperError, HelperEvent, HelperSet, HelperSpec, HttpSpec, Isolation, Secrets,
    Stage, StdioSpec, Transport,
};
use skein_protocol::extension::HelperState;
use skein_protocol::helper::{McpServerConnectionStatus, McpServerStartupState};
use skein_protocol::ids::ThreadId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::house::{BOUND, House, exists, until};

/// Answers what every MCP server is asked; its tool answers with the arguments' `say`. `$on_call` and `$on_cancel` are
/// evaluated for calls and cancellations, with the request's id in `$id`.
pub(crate) const SERVER: &str = r#"
say() { printf '{"jsonrpc":"2.0",%s}\n' "$1"; }
text() { say "\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"$1\"}]}"; }
while read -r line; do
  id=${line#*\"id\":}; id=${id%%[,\}]*}
  case $line in
    *'"initialize"'*) say "\"id\":$id,\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"sh\",\"version\":\"1\"}}" ;;
    *'"cursor":"more"'*) say "\"id\":$id,\"result\":{\"tools\":[{\"name\":\"${second:-second}\",\"inputSchema\":{\"type\":\"object\"}}]}" ;;
    *'"tools/list"'*) say "\"id\":$id,\"result\":{\"nextCursor\":\"more\",\"tools\":[{\"name\":\"first\",\"inputSchema\":{\"type\":\"object\"}}]}" ;;
    *'"tools/call"'*) eval "$on_call" ;;
    *'"notifications/cancelled"'*) eval "$on_cancel" ;;
  esac
done
"#;

/// A set of helpers under test.
pub(crate) struct Thread {
    pub house: House,
    pub set: HelperSet,
    pub events: mpsc::Receiver<HelperEvent>,
}

impl Thread {
    pub(crate) fn start(specs: impl FnOnce(&House) -> Vec<HelperSpec>) -> Self {
        Self::start_in(House::new(Containment::Auto), specs)
    }

    fn start_in(house: House, specs: impl FnOnce(&House) -> Vec<HelperSpec>) -> Self {
        let (sender, events) = mpsc::channel(64);
        let thread = ThreadId::new(Clock.new_id());
        let set = house.helpers.of_thread(thread, specs(&house), "/".into(), sender);
        Self { house, set, events }
    }

    pub(crate) async fn call(&self, server: &str, arguments: Value) -> Result<Value, HelperError> {
        let call = self.set.call(server, "first", arguments, CancellationToken::new());
        let answer = tokio::time::timeout(BOUND, call).await.expect("an end of the call");
        answer.map(|answer| answer.content[0]["text"].clone())
    }

    /// The next event of a start or an end: name, state and reason.
    pub(crate) async fn startup(&mut self) -> (String, McpServerStartupState, String) {
        match self.next_event().await {
            HelperEvent::Startup { name, state, error } => (name, state, error.unwrap_or_default()),
            HelperEvent::Liveness { name, state, .. } => panic!("{name} is {state:?}"),
        }
    }

    /// The next event.
    pub(crate) async fn next_event(&mut self) -> HelperEvent {
        let event = tokio::time::timeout(BOUND, self.events.recv()).await.expect("an event in time");
        event.expect("there are helpers")
    }

    /// The next event, without its text.
    async fn event(&mut self) -> (String, McpServerStartupState) {
        let (name, state, _) = self.startup().await;
        (name, state)
    }

    /// Why the next of its helpers that fails did.
    pub(crate) async fn failure(&mut self) -> String {
        loop {
            if let (_, McpServerStartupState::Failed, why) = self.startup().await {
                return why;
            }
        }
    }

    /// Where in its life the first helper is.
    pub(crate) fn state(&self) -> HelperState {
        self.set.statuses()[0].skein.as_ref().expect("it is told").state
    }

    pub(crate) async fn finish(self) {
        let reports = tokio::time::timeout(BOUND, self.set.stop()).await.expect("stopped in time");
        assert!(reports.iter().all(|report| report.survivors == 0), "{reports:?}");
        assert_eq!(self.set.alive(), 0);
        let counts = self.house.host.counts();
        assert_eq!((counts.starting, counts.ready, counts.stopping), (0, 0, 0));
        self.house.finish().await;
    }
}

/// An MCP server that does `on_call` when its tool is called.
pub(crate) fn server(house: &House, name: &str, on_call: &str) -> HelperSpec {
    let spec = HelperSpec { name: name.into(), ..house.script(SERVER) };
    spec.with_variable("on_call", on_call).with_variable("on_cancel", "exit 7")
}

fn says_ok(house: &House, name: &str) -> HelperSpec {
    server(house, name, "text ok")
}

#[tokio::test]
async fn helpers_start_list_their_tools_take_calls_and_end() {
    let house = House::patient(Containment::Auto);
    let mut thread = Thread::start_in(house, |house| vec![says_ok(house, "a")]);
    let tools = thread.set.tools().await.expect("nothing is required");
    let names: Vec<_> = tools.iter().map(|tool| (tool.server.as_str(), tool.tool.name.as_str())).collect();
    assert_eq!(names, [("a", "first"), ("a", "second")], "from both pages");
    assert_eq!(thread.call("a", json!({})).await, Ok(json!("ok")));
    assert_eq!(thread.call("a", Value::Null).await, Ok(json!("ok")));
    let status = &thread.set.statuses()[0];
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Connected));
    assert_eq!(status.server_info.as_ref().map(|info| info.name.as_str()), Some("sh"));
    assert_eq!((thread.set.alive(), thread.house.host.counts().ready), (1, 1));
    assert_eq!(thread.event().await, ("a".into(), McpServerStartupState::Starting));
    assert_eq!(thread.event().await, ("a".into(), McpServerStartupState::Ready));
    let reports = thread.set.stop().await;
    assert_eq!((reports[0].name.as_str(), reports[0].stage), ("a", Some(Stage::CloseInput)));
    assert_eq!(thread.set.stop().await, reports);
    let late = thread.call("a", json!({})).await;
    assert_eq!(late, Err(HelperError::NotRunning { server: "a".into(), reason: "it was stopped".into() }));
    thread.finish().await;
}

#[tokio::test]
async fn a_call_that_cannot_be_asked_is_refused_with_what_to_do() {
    let thread = Thread::start(|house| {
        let disabled = HelperSpec { enabled: false, ..says_ok(house, "off") };
        let filtered = HelperSpec { disabled_tools: vec!["first".into()], ..says_ok(house, "filtered") };
        vec![disabled, filtered, says_ok(house, "a")]
    });
    let reason = |server: &'static str, arguments| {
        let call = thread.call(server, arguments);
        async { call.await.expect_err("it is refused").to_string() }
    };
    assert_eq!(reason("nobody", json!({})).await, "unknown MCP server 'nobody'");
    assert!(reason("off", json!({})).await.contains("enabled = true"));
    assert!(reason("filtered", json!({})).await.contains("disabled_tools"));
    assert!(reason("a", json!([1])).await.contains("must be an object, got an array"));
    let tools = thread.set.tools().await.expect("nothing is required");
    let names: Vec<_> = tools.iter().map(|tool| (tool.server.as_str(), tool.tool.name.as_str())).collect();
    assert_eq!(names, [("filtered", "second"), ("a", "first"), ("a", "second")]);
    assert_eq!(thread.set.statuses()[0].runtime_status, Some(McpServerConnectionStatus::Disabled));
    thread.finish().await;
}

#[tokio::test]
async fn a_helper_that_dies_in_a_call_ends_it_with_the_reason_and_its_last_words() {
    for (on_call, wanted) in [
        ("echo my last words >&2; exit 3", "it ended with exit code 3; its stderr ends with:\nmy last words"),
        ("kill -KILL $$", "it ended with SIGKILL"),
        ("exec >&-; while :; do sleep 1000; done", "it closed its output"),
        ("echo no JSON at all", "it printed what is no MCP message: \"no JSON at all\""),
        ("head -c 17000000 /dev/zero; echo", "it printed a line longer than 16777216 bytes"),
    ] {
        let mut thread = Thread::start(|house| vec![server(house, "a", on_call)]);
        let ended = thread.call("a", json!({})).await;
        let Err(HelperError::Ended { reason, .. }) = ended else { panic!("{on_call}: {ended:?}") };
        assert_eq!(reason, wanted);
        assert_eq!(thread.failure().await, wanted);
        for state in [McpServerStartupState::Starting, McpServerStartupState::Ready] {
            assert_eq!(thread.event().await, ("a".into(), state), "it is started again");
        }
        assert_eq!(thread.set.statuses()[0].runtime_status, Some(McpServerConnectionStatus::Connected));
        thread.finish().await;
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_at_once_and_notifies_the_helper() {
    let mut thread = Thread::start(|house| vec![server(house, "a", "echo called >&2")]);
    thread.set.tools().await.expect("nothing is required");
    let cancel = CancellationToken::new();
    let call = thread.set.call("a", "first", json!({}), cancel.clone());
    let (ended, ()) = tokio::join!(call, async {
        tokio::task::yield_now().await;
        cancel.cancel();
    });
    assert_eq!(ended, Err(HelperError::Cancelled { server: "a".into() }));
    // The script answers a cancellation by exiting with 7.
    let why = thread.failure().await;
    assert!(why.contains("exit code 7"), "{why}");
    thread.finish().await;
}

#[tokio::test]
async fn a_call_whose_caller_vanished_is_withdrawn() {
    let mut thread = Thread::start(|house| vec![server(house, "a", "echo called >&2")]);
    thread.set.tools().await.expect("nothing is required");
    let call = thread.set.call("a", "first", json!({}), CancellationToken::new());
    tokio::time::timeout(Duration::from_millis(50), call).await.expect_err("it never answers");
    let why = thread.failure().await;
    assert!(why.contains("exit code 7"), "{why}");
    thread.finish().await;
}

#[tokio::test]
async fn progress_arrives_in_order_before_the_answer() {
    let on_call = r#"token=${line#*\"progressToken\":}; token=${token%%[,\}]*}
        for n in 1 2 3; do
            say "\"method\":\"notifications/progress\",\"params\":{\"progressToken\":$token,\"progress\":$n,\"message\":\"step $n\"}"
        done; text ok"#;
    let thread = Thread::start(|house| vec![server(house, "a", on_call)]);
    let (sink, mut progress) = mpsc::channel(8);
    let (server, tool) = ("a".into(), "first".into());
    let call = HelperCall {
        server,
        tool,
        arguments: json!({}),
        meta: Value::Null,
        turn: None,
        judged: None,
        given: None,
    };
    let call = thread.set.call_with_progress(call, CancellationToken::new(), Some(sink));
    tokio::time::timeout(BOUND, call).await.expect("an end").expect("an answer");
    let mut heard = Vec::new();
    while let Some(step) = progress.recv().await {
        heard.push(step);
    }
    assert_eq!(heard, ["step 1", "step 2", "step 3"], "and the channel is closed after the call");
    thread.finish().await;
}

#[tokio::test]
async fn a_helper_that_hangs_at_start_fails_by_its_timeout_and_delays_nobody() {
    let mut thread = Thread::start(|house| {
        let mut deaf = house.script("while :; do sleep 1000; done");
        (deaf.name, deaf.startup_timeout) = ("deaf".into(), Duration::from_millis(300));
        vec![deaf, says_ok(house, "a")]
    });
    assert_eq!(thread.call("a", json!({})).await, Ok(json!("ok")));
    let refused = thread.call("deaf", json!({})).await.expect_err("it never starts").to_string();
    assert!(refused.contains("not ready after 0.3 s; see startup_timeout_sec"), "{refused}");
    loop {
        if thread.event().await == ("deaf".into(), McpServerStartupState::Failed) {
            break;
        }
    }
    until("the process is ended", || thread.set.alive() == 1).await;
    thread.finish().await;
}

#[tokio::test]
async fn a_required_helper_that_is_not_there_is_an_error_with_its_reason() {
    let thread = Thread::start(|house| {
        let mut broken = house.script("echo no licence >&2; exit 9");
        (broken.name, broken.required) = ("broken".into(), true);
        vec![says_ok(house, "a"), broken]
    });
    let reason = thread.set.tools().await.expect_err("it is required").to_string();
    let wanted =
        "helper \"broken\" is not running: it ended with exit code 9; its stderr ends with:\nno licence";
    assert_eq!(reason, wanted);
    thread.finish().await;
}

#[tokio::test]
async fn a_helper_behind_a_url_that_cannot_be_asked_says_why_and_disturbs_no_other() {
    let mut thread = Thread::start(|house| {
        let url = "http://127.0.0.1:9/mcp?key=s3cret".into();
        let http_headers = Secrets([("host".to_owned(), "elsewhere".to_owned())].into());
        let http = HttpSpec { url, http_headers, ..HttpSpec::default() };
        vec![HelperSpec::reached("docs", Transport::Http(http)), says_ok(house, "a")]
    });
    let why = thread.failure().await;
    assert!(why.starts_with("host of http_headers is a header of the protocol's own"), "{why}");
    assert_eq!(thread.call("a", json!({})).await, Ok(json!("ok")));
    let reason = thread.call("docs", json!({})).await.expect_err("it is not there").to_string();
    assert!(reason.starts_with("helper \"docs\" is not running: "), "{reason}");
    let status = &thread.set.statuses()[0];
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Failed));
    assert_eq!(status.http_origin.as_deref(), Some("http://127.0.0.1:9"));
    assert!(status.tools_error.as_ref().is_some_and(|told| told == &why), "{status:?}");
    assert_eq!(thread.set.tools().await.map(|tools| tools.len()), Ok(2));
    thread.finish().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let thread = Thread::start(|house| {
        let missing = StdioSpec { command: "no-such-program".into(), ..house.sh("") };
        vec![HelperSpec::reached("missing", Transport::Stdio(missing))]
    });
    let reason = thread.call("missing", json!({})).await.expect_err("nothing runs").to_string();
    assert!(reason.contains("cannot run \"no-such-program\""), "{reason}");
    assert!(reason.contains("it is not tried again before "), "{reason}");
    assert_eq!(thread.state(), HelperState::Broken);
    thread.finish().await;
}

#[tokio::test]
async fn helpers_can_be_stopped_while_they_start() {
    let mut thread = Thread::start(|house| {
        let mut starting = house.script("trap '' TERM; while :; do sleep 1000; done");
        starting.name = "starting".into();
        vec![starting, says_ok(house, "a")]
    });
    assert_eq!(thread.set.alive(), 2);
    thread.set.stop().await;
    assert_eq!(thread.set.alive(), 0);
    let mut states = Vec::new();
    while let Ok(Some(HelperEvent::Startup { name, state, .. })) =
        tokio::time::timeout(Duration::from_millis(1), thread.events.recv()).await
    {
        states.push((name, state));
    }
    assert!(states.contains(&("starting".into(), McpServerStartupState::Cancelled)), "{states:?}");
    thread.finish().await;
}

#[tokio::test]
async fn a_dropped_set_ends_its_helpers() {
    let house = House::new(Containment::Auto);
    let (sender, mut events) = mpsc::channel(8);
    let thread = ThreadId::new(Clock.new_id());
    let set = house.helpers.of_thread(thread, vec![says_ok(&house, "a")], "/".into(), sender);
    set.tools().await.expect("nothing is required");
    let pids = house.living();
    assert_eq!(pids.len(), 1);
    drop(set);
    until("the helper is gone", || !pids.iter().copied().any(exists)).await;
    while events.recv().await.is_some() {}
    house.finish().await;
}

#[tokio::test]
async fn a_shared_helper_is_one_process_and_each_thread_keeps_to_its_own_list_of_tools() {
    let house = House::new(Containment::Auto);
    let on_call = r#"second=third; say '"method":"notifications/tools/list_changed"'; text ok"#;
    let shared = HelperSpec { isolation: Isolation::Shared, ..server(&house, "a", on_call) };
    let thread = |spec: HelperSpec, cwd: &str| {
        let (sender, events) = mpsc::channel(8);
        let thread = ThreadId::new(Clock.new_id());
        (house.helpers.of_thread(thread, vec![spec], cwd.into(), sender), events)
    };
    let (one, _heard) = thread(shared.clone(), "/");
    let (two, _heard) = thread(HelperSpec { disabled_tools: vec!["first".into()], ..shared }, "/tmp");
    let names = async |set: &HelperSet| {
        let tools = set.tools().await.expect("nothing is required").into_iter();
        tools.map(|tool| tool.tool.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&one).await, ["first", "second"]);
    assert_eq!(names(&two).await, ["second"]);
    assert_eq!(house.host.counts().alive, 1);
    // A call of one changes the tools of both.
    one.call("a", "first", json!({}), CancellationToken::new()).await.expect("an answer");
    let listed = |set: &HelperSet| set.statuses()[0].tools.contains_key("third");
    until("both see the new tools", || listed(&one) && listed(&two)).await;
    assert_eq!(names(&two).await, ["third"]);
    assert_eq!(one.stop().await, [], "the other goes on");
    assert_eq!(house.host.counts().alive, 1);
    let reports = two.stop().await;
    assert_eq!((reports.len(), reports[0].survivors), (1, 0));
    house.finish().await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "no helper")]
async fn a_stop_does_not_wait_for_the_clean_up_after_a_former_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let (program, home) = (folder.path().join("skein-guard"), Clock.new_id().to_string());
    std::os::unix::fs::symlink("/bin/sh", &program).expect("a program");
    let tag = HomeTag::of(&[home.as_bytes()]);
    // The clean-up takes it for a guard that ends its helper, and gives it its time.
    let mut guard = std::process::Command::new(program)
        .args(["-c", "read _"])
        .env("SKEIN_HELPER", format!("{tag}-00000001-00000001"))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let house = House::at(&home, Containment::Auto, BOUND, false);
    let (sender, _events) = mpsc::channel(64);
    let thread = ThreadId::new(Clock.new_id());
    let set = house.helpers.of_thread(thread, vec![says_ok(&house, "a")], "/".into(), sender);
    tokio::time::timeout(BOUND / 2, set.stop()).await.expect("it did not start yet");
    assert!(!house.host.leftovers().done, "a start waits for it all the same");
    tokio::time::timeout(BOUND / 2, house.helpers.close()).await.expect("it stops");
    let left =
        tokio::time::timeout(BOUND / 2, house.host.cleaned_up()).await.expect("it ends with the server");
    assert_eq!((left.ended, left.left), (0, 1), "the next start looks again");
    drop(guard.stdin.take());
    guard.wait().expect("it is our child");
    house.finish().await;
}
