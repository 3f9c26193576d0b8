//! A helper (MCP server process) that connects to its own server, to answer the question about its own call.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, PATIENCE, Setup};
use skein_integration_tests::{paths, zoo};
use skein_protocol::approval::{
    McpServerElicitationAction as Action, McpServerElicitationRequestResponse as Answer,
};
use skein_protocol::extension::AdmissionCounts;
use skein_protocol::ids::{RequestId, ThreadId, TurnId};
use skein_protocol::methods::{SkeinThreadUnload, ThreadResume};
use skein_protocol::server_requests::McpServerElicitationRequest as Approval;
use skein_protocol::turn::TurnStatus;
use tokio::io::{AsyncBufReadExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{greeting, request};

/// From where the helper connects: itself, a grandchild in a session of its own, one without any trace of a helper, and one whose
/// first thread has ended.
const WAYS: [&str; 4] = ["itself", "grandchild", "shed", "leaderless"];
/// A call of a tool that the user has to allow.
const DESTROY: &str = "/tool helper destroy";

/// A thread with a question to its user about a call of its helper.
struct Asked {
    home: Home,
    user: Client,
    thread: ThreadId,
    turn: TurnId,
    question: RequestId,
}

impl Asked {
    /// At a server with these settings, which listens at a port or a unix socket.
    async fn start(setup: Setup) -> Result<Self> {
        let home = setup.start().await?;
        let mut user = match home.address().strip_prefix("unix://") {
            Some(path) => Client::ready(&front(path.to_owned()).await?).await?,
            None => home.client().await?,
        };
        let thread = user.start_thread_with("words").await?;
        let turn = user.start_turn(thread, DESTROY).await?;
        let (question, _) = user.helper_question().await?;
        Ok(Self { home, user, thread, turn, question })
    }

    /// The doors of the server, as the tool `connect` takes them.
    fn doors(&self) -> Result<Vec<String>> {
        let address = self.home.address();
        let listener = address.strip_prefix("ws://").or(address.strip_prefix("unix://"));
        let control = self.home.path().join("control.sock");
        Ok(vec![control.to_string_lossy().into_owned(), listener.context("an address")?.to_owned()])
    }

    /// The messages by which the helper resumes its thread, accepts its own call, and unloads the thread by force.
    fn messages(&self) -> Vec<Value> {
        let thread = self.thread;
        let mut messages = greeting();
        messages.push(request::<ThreadResume>(2, json!({ "threadId": thread })));
        messages.push(json!({ "id": self.question, "result": { "action": "accept" } }));
        messages.push(request::<SkeinThreadUnload>(3, json!({ "threadId": thread, "force": true })));
        messages
    }

    /// The report of the helper about its attempt.
    async fn attempt(&mut self, door: &str, how: &str) -> Result<Value> {
        self.connect(door, json!({ "how": how })).await
    }

    /// The same; the helper closes the connection behind its messages, after so many microseconds.
    async fn leave(&mut self, door: &str, lingers: u64) -> Result<()> {
        let report = self.connect(door, json!({ "leaves": true, "lingers": lingers })).await?;
        ensure!(report == json!({ "left": true }), "{door}: {report}");
        Ok(())
    }

    async fn connect(&mut self, door: &str, mut asked: Value) -> Result<Value> {
        asked["door"] = json!(door);
        asked["messages"] = json!(self.messages());
        let report = self.user.tool(self.thread, "helper", "connect", asked).await?;
        let text = report.content[0]["text"].as_str().context("a text")?;
        serde_json::from_str(text).with_context(|| format!("{door}: {text}"))
    }

    /// Refused requests, whatever the reason.
    async fn refused(&mut self) -> Result<u64> {
        let admission = self.user.status().await?.admission;
        Ok(admission.helpers_total + admission.credentials_total)
    }

    /// The user still has the question, allows the call, and the turn ends.
    async fn the_user_answers(mut self) -> Result<()> {
        ensure!(self.user.status().await?.turns.running == 1, "the turn waits for the user");
        let seen = self.user.tool(self.thread, "helper", "look", json!({})).await?;
        ensure!(seen.content[0]["text"] == "seen 0", "the call waits for the user: {seen:?}");
        let yes = Answer { meta: None, action: Action::Accept, content: None };
        self.user.answer_request::<Approval>(&self.question, &yes).await?;
        ensure!(self.user.turn_end(&self.turn).await?.status == TurnStatus::Completed);
        ensure!(self.user.reply_text(&self.turn)?.as_deref() == Some("done 1"));
        self.home.finish().await
    }
}

/// A port that leads to a unix socket, for a client that knows ports only.
async fn front(path: String) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("ws://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let (Ok((mut client, _)), Ok(mut server)) =
            (listener.accept().await, UnixStream::connect(&path).await)
        {
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    Ok(address)
}

fn setup(level: &str, listen: &str) -> Result<Setup> {
    let setup = Home::setup().helper(Helper::named("helper")?);
    Ok(setup.set("helpers.containment", level).listen(listen))
}

/// Whether this machine has the loopback address of IPv6.
fn has_ipv6() -> bool {
    let has = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !has {
        eprintln!("SKIPPED: no [::1] here, so no door of IPv6 was tested");
    }
    has
}

/// All attempts at all doors of a server that listens there.
async fn tries_at(listen: &str) -> Result<()> {
    for level in zoo::available().iter().copied() {
        let mut asked = Asked::start(setup(level, listen)?).await?;
        let mut tries = 0;
        for door in asked.doors()? {
            for how in WAYS {
                let report = asked.attempt(&door, how).await?;
                let what = format!("{how} at {door}, level {level}: {report}");
                ensure!(report["status"] == 403, "{what}");
                let body: Value = serde_json::from_str(report["body"].as_str().context(what.clone())?)?;
                ensure!(body["reason"] == "helper", "{what}");
                tries += 1;
                ensure!(asked.user.status().await?.admission.helpers_total == tries, "{what}");
            }
        }
        asked.the_user_answers().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_helper_that_answers_its_own_question_is_refused_at_each_level() -> Result<()> {
    tries_at("ws://127.0.0.1:0").await
}

#[tokio::test]
async fn a_helper_is_refused_at_a_port_of_ipv6() -> Result<()> {
    if has_ipv6() { tries_at("ws://[::1]:0").await } else { Ok(()) }
}

#[tokio::test]
async fn a_helper_is_refused_at_a_named_socket() -> Result<()> {
    let folder = tempfile::tempdir()?;
    tries_at(&format!("unix://{}", folder.path().join("skein.sock").display())).await
}

#[tokio::test]
async fn a_helper_that_closes_behind_its_request_has_no_effect() -> Result<()> {
    // Over the time that the server looks for the helper, microseconds.
    const LINGERS: [u64; 12] = [0, 0, 0, 200, 400, 600, 800, 1_000, 1_500, 2_000, 4_000, 8_000];
    for local in ["same-user", "any"] {
        let setup = setup("auto", "ws://127.0.0.1:0")?.set("auth.local", local);
        let mut asked = Asked::start(setup).await?;
        for door in asked.doors()? {
            let before = asked.refused().await?;
            for lingers in LINGERS {
                asked.leave(&door, lingers).await?;
            }
            let all = |admission: &AdmissionCounts| {
                admission.helpers_total + admission.credentials_total - before == LINGERS.len() as u64
            };
            let refused = asked.user.until_status("the refusals", |status| all(&status.admission)).await;
            refused.with_context(|| format!("{door}, {local}"))?;
        }
        asked.the_user_answers().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_helper_that_may_connect_has_the_scope_chat() -> Result<()> {
    for how in WAYS {
        for at in 0..2 {
            let helper = Helper::named("helper")?.set("may_connect", true);
            let mut asked = Asked::start(Home::setup().helper(helper)).await?;
            let report = asked.attempt(&asked.doors()?[at].clone(), how).await?;
            let answers = report["answers"].as_array().with_context(|| report.to_string())?;
            assert_eq!(answers[1]["result"]["thread"]["id"], json!(asked.thread), "{report}");
            assert_eq!(answers[2]["error"]["data"]["reason"], "forbidden", "{report}");
            // Its answer counts: the settings trust it as they trust a page.
            asked.user.turn_end(&asked.turn).await?;
            assert_eq!(asked.user.reply_text(&asked.turn)?.as_deref(), Some("done 1"));
            assert_eq!(asked.refused().await?, 0);
            asked.home.finish().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_helper_is_refused_at_a_socket_that_another_process_relays() -> Result<()> {
    for level in zoo::available().iter().copied() {
        let mut asked = Asked::start(setup(level, "ws://127.0.0.1:0")?).await?;
        let socket = asked.home.beside().join("relay.sock");
        let mut relay = relay(&asked.home, &socket).await?;
        for how in WAYS {
            let report = asked.attempt(&socket.to_string_lossy(), how).await?;
            assert!(report["error"].is_string(), "{how}, level {level}: {report}");
        }
        // The user's own programs get through.
        let mut program = Client::ready(&front(socket.to_string_lossy().into_owned()).await?).await?;
        assert_eq!(program.loaded().await?, [asked.thread]);
        drop(program);
        relay.start_kill()?;
        relay.wait().await?;
        asked.the_user_answers().await?;
    }
    Ok(())
}

/// A second process that listens at a socket for the server of the home.
async fn relay(home: &Home, socket: &Path) -> Result<Child> {
    let mut command = Command::new(paths::skein()?);
    command
        .args(["app-server", "--listen", &format!("unix://{}", socket.display()), "--home"])
        .arg(home.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut relay = command.env_remove("SKEIN_HOME").spawn()?;
    let stdout = relay.stdout.take().context("no stdout")?;
    let line = timeout(PATIENCE, BufReader::new(stdout).lines().next_line()).await??;
    ensure!(line.is_some_and(|line| line.contains("relay.sock")), "the second process does not listen");
    Ok(relay)
}
