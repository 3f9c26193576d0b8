//! A whole conversation between a scripted model and third-party MCP servers: file reads and writes, a time,
//! parallel calls, a denied call, a failed call, an interrupted call. Afterwards the rollout must show the
//! same as the live client. Exits with 1 if a step fails or a process is left.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, Setup};
use skein_integration_tests::requests::agent_text;
use skein_integration_tests::view::{Kind, View};
use skein_protocol::approval::{McpServerElicitationAction, McpServerElicitationRequestResponse};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::item::{McpToolCallItem, McpToolCallStatus, ThreadItem, ThreadItemBody};
use skein_protocol::methods::{ThreadStart, ThreadTurnsList, TurnInterrupt};
use skein_protocol::notifications::{ItemMcpToolCallProgress, TurnCompleted};
use skein_protocol::server_requests::McpServerElicitationRequest;
use skein_protocol::thread::ThreadStartParams;
use skein_protocol::turn::{Turn, TurnInterruptParams, TurnStatus};

/// Script of the model. `FOLDER` is the folder with the files.
const SCENARIO: &str = include_str!("conversation/scenario.toml");

/// Lets a scripted model call MCP servers from npm and PyPI.
#[derive(Debug, Parser)]
#[command(name = "conversation")]
struct Arguments {
    /// Folder with the npm installation.
    #[arg(long)]
    npm: PathBuf,
    /// Folder of the Python venv.
    #[arg(long)]
    python: PathBuf,
    /// An empty folder that the file server may use.
    #[arg(long)]
    folder: PathBuf,
}

impl Arguments {
    fn setup(&self) -> Setup {
        let node = |name: &str, server: &str, args: &[&str]| {
            let program =
                self.npm.join(format!("node_modules/@modelcontextprotocol/server-{server}/dist/index.js"));
            let program = program.to_string_lossy().into_owned();
            let args = std::iter::once(program).chain(args.iter().map(|arg| (*arg).to_owned()));
            Helper::program(name, "node", &args.collect::<Vec<_>>()).set("startup_timeout_sec", 120)
        };
        let folder = self.folder.to_string_lossy().into_owned();
        let files = node("files", "filesystem", &[&folder]).set("default_tools_approval_mode", "approve");
        let files = files.set("tools.move_file.approval_mode", "prompt");
        let time = self.python.join("bin/mcp-server-time").to_string_lossy().into_owned();
        let time = Helper::program("time", &time, &[]).set("startup_timeout_sec", 120);
        let setup = Home::setup().helper(files).helper(time).helper(node("everything", "everything", &[]));
        setup.set("model_provider", "scripted").set("model", "scenario.toml")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let home = arguments.setup().start().await?;
    let folder = arguments.folder.to_string_lossy();
    std::fs::write(home.path().join("scenario.toml"), SCENARIO.replace("FOLDER", &folder))?;
    let mut out = std::io::stdout();
    let mut conversation = Conversation::begin(&home, &folder).await?;
    for (what, step) in STEPS {
        let began = Instant::now();
        step(&mut conversation, &arguments.folder).await.with_context(|| (*what).to_owned())?;
        writeln!(out, "{what:<58} ok {:>7.2} s", began.elapsed().as_secs_f64())?;
    }
    conversation.replay(&home).await?;
    writeln!(out, "{:<58} ok", "the rollout shows the same as the live client")?;
    home.finish().await?;
    writeln!(out, "{:<58} ok", "no process is left")?;
    Ok(ExitCode::SUCCESS)
}

/// A user message, and the checks of its turn.
type Step =
    for<'t> fn(&'t mut Conversation, &'t Path) -> futures_util::future::LocalBoxFuture<'t, Result<()>>;

const STEPS: &[(&str, Step)] = &[
    ("a file is written and read", |conversation, folder| Box::pin(conversation.files(folder))),
    ("a time, a file and a sum are asked for side by side", |conversation, _| {
        Box::pin(conversation.side_by_side())
    }),
    ("a call is denied, and the model gets the refusal", |conversation, folder| {
        Box::pin(conversation.denied(folder))
    }),
    ("a call fails, and the model goes on", |conversation, _| Box::pin(conversation.failing())),
    ("a call that would take a minute is interrupted", |conversation, _| {
        Box::pin(conversation.interrupted())
    }),
    ("the model knows all of it", |conversation, _| Box::pin(conversation.remembered())),
];

struct Conversation {
    client: Client,
    thread: ThreadId,
    turns: Vec<TurnId>,
}

impl Conversation {
    /// Starts a thread that works in this folder. Skein sends the folder as the helpers' root, which wins
    /// over their arguments.
    async fn begin(home: &Home, folder: &str) -> Result<Self> {
        let mut client = home.client().await?;
        let params = ThreadStartParams { cwd: Some(folder.to_owned()), ..ThreadStartParams::default() };
        let thread = client.call::<ThreadStart>(params).await?.thread.id;
        Ok(Self { client, thread, turns: Vec::new() })
    }

    /// Runs a whole turn. Returns the turn and its calls.
    async fn say(&mut self, text: &str) -> Result<(Turn, Vec<McpToolCallItem>)> {
        let turn = self.client.start_turn(self.thread, text).await?;
        self.end(turn).await
    }

    async fn end(&mut self, turn: TurnId) -> Result<(Turn, Vec<McpToolCallItem>)> {
        self.turns.push(turn.clone());
        self.client.next::<TurnCompleted>(|done| done.turn.id == turn).await?;
        let thread = self.client.read_thread(self.thread).await?;
        let turn =
            thread.turns.into_iter().find(|known| known.id == turn).context("the turn is in the thread")?;
        let call = |item: &ThreadItem| {
            let ThreadItemBody::McpToolCall(call) = &item.body else { return None };
            Some((**call).clone())
        };
        let calls = turn.items.iter().filter_map(call).collect();
        Ok((turn, calls))
    }

    async fn files(&mut self, folder: &Path) -> Result<()> {
        let (turn, calls) = self.say("write and read").await?;
        completed(&turn, &calls, 2)?;
        ensure!(std::fs::read_to_string(folder.join("notes.txt"))? == "woven", "the file is not as written");
        ensure!(last_words(&turn)?.contains("woven"), "{:?}", last_words(&turn)?);
        Ok(())
    }

    async fn side_by_side(&mut self) -> Result<()> {
        let (turn, calls) = self.say("side by side").await?;
        completed(&turn, &calls, 3)?;
        let words = last_words(&turn)?;
        let at = |part: &str| words.find(part).with_context(|| format!("{part} is not in {words:?}"));
        ensure!(at("Asia/Tokyo")? < at("woven")? && at("woven")? < at("42")?, "wrong order: {words:?}");
        Ok(())
    }

    async fn denied(&mut self, folder: &Path) -> Result<()> {
        let turn = self.client.start_turn(self.thread, "move it").await?;
        let (id, _) = self.client.next_request::<McpServerElicitationRequest>().await?;
        let action = McpServerElicitationAction::Decline;
        let decision = McpServerElicitationRequestResponse { meta: None, action, content: None };
        self.client.answer_request::<McpServerElicitationRequest>(&id, &decision).await?;
        let (turn, calls) = self.end(turn).await?;
        ensure!(turn.status == TurnStatus::Completed, "{turn:?}");
        ensure!(calls.len() == 1 && calls[0].status == McpToolCallStatus::Failed, "{calls:?}");
        ensure!(folder.join("notes.txt").exists(), "the file was moved");
        let words = last_words(&turn)?;
        ensure!(
            words.starts_with("Then not: ") && words.contains("the user declined this call"),
            "{words:?}"
        );
        Ok(())
    }

    async fn failing(&mut self) -> Result<()> {
        let (turn, calls) = self.say("read what is missing").await?;
        ensure!(turn.status == TurnStatus::Completed, "{turn:?}");
        ensure!(calls.len() == 1 && calls[0].status == McpToolCallStatus::Failed, "{calls:?}");
        ensure!(last_words(&turn)?.starts_with("It cannot be read"), "{:?}", last_words(&turn)?);
        Ok(())
    }

    async fn interrupted(&mut self) -> Result<()> {
        let turn_id = self.client.start_turn(self.thread, "take a minute").await?;
        self.client.next::<ItemMcpToolCallProgress>(|progress| progress.turn_id == turn_id).await?;
        let params = TurnInterruptParams { thread_id: self.thread, turn_id: turn_id.clone() };
        self.client.call::<TurnInterrupt>(params).await?;
        let (turn, calls) = self.end(turn_id).await?;
        ensure!(turn.status == TurnStatus::Interrupted, "{turn:?}");
        ensure!(calls.len() == 1 && calls[0].status == McpToolCallStatus::Failed, "{calls:?}");
        Ok(())
    }

    /// The model knows the five earlier turns: messages, calls and results.
    async fn remembered(&mut self) -> Result<()> {
        let (turn, _) = self.say("what do you know?").await?;
        // Its folder, the helpers' instructions, six user messages, four answers, and eight calls, each with
        // its result.
        let words = last_words(&turn)?;
        ensure!(words == "28 entries", "{words:?}");
        Ok(())
    }

    /// Unloads the thread, and reads it back from its rollout.
    async fn replay(mut self, home: &Home) -> Result<()> {
        let live = self.client.read_thread(self.thread).await?;
        let mut other = home.client().await?;
        self.client.close().await?;
        other.until_status("no thread is loaded", |status| status.threads.loaded == 0).await?;
        home.until_helpers(0).await?;
        let shown = other.resume(self.thread).await?;
        let view = View::new(Kind::Plain, &shown)?;
        view.same_as_read(&live)?;
        let ids: Vec<&TurnId> = live.turns.iter().map(|turn| &turn.id).collect();
        ensure!(ids == self.turns.iter().collect::<Vec<_>>(), "{ids:?}");
        let listed = other.call::<ThreadTurnsList>(serde_json::from_value(
            serde_json::json!({ "threadId": self.thread, "sortDirection": "asc", "itemsView": "full" }),
        )?);
        ensure!(listed.await?.data == live.turns, "the pages of the history differ from the live turns");
        Ok(())
    }
}

fn completed(turn: &Turn, calls: &[McpToolCallItem], count: usize) -> Result<()> {
    ensure!(turn.status == TurnStatus::Completed, "{turn:?}");
    ensure!(calls.len() == count, "{calls:?}");
    match calls.iter().find(|call| call.status != McpToolCallStatus::Completed) {
        Some(call) => bail!("{call:?}"),
        None => Ok(()),
    }
}

/// The model's last message in a turn.
fn last_words(turn: &Turn) -> Result<String> {
    turn.items.iter().rev().find_map(agent_text).context("the model sent no message")
}
