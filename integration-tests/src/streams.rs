//! `skein app-server` on standard streams, as another program starts it.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setpgid};
use serde_json::{Value, json};
use skein_protocol::ids::ThreadId;
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::methods::{Initialize, Initialized, ThreadStart, TurnStart};
use skein_protocol::notifications::ItemStarted;
use skein_protocol::server::{ClientInfo, InitializeCapabilities, InitializeParams};
use skein_protocol::table::{ClientNotification, Method, Notification};
use skein_protocol::thread::ThreadStartParams;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::client::BOUND;
use crate::paths;
use crate::requests::turn_params;

/// Puts a process into its own process group, as a shell does with each job. Ctrl-Z stops it only if its
/// parent can continue it.
fn in_a_group() -> io::Result<()> {
    Ok(setpgid(Pid::from_raw(0), Pid::from_raw(0))?)
}

/// A running program, and the messages it has sent.
#[derive(Debug)]
pub struct Streams {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// `None`: stderr is closed.
    errors: Option<ChildStderr>,
    waiting: VecDeque<Value>,
    record: Vec<Value>,
    last_id: i64,
}

impl Streams {
    /// Starts the program on a home and initialises.
    ///
    /// # Errors
    /// Fails if the program does not answer.
    pub async fn start(home: &Path) -> anyhow::Result<Self> {
        Self::start_as(home, None).await
    }

    /// Starts the program for a client with these capabilities.
    ///
    /// # Errors
    /// Fails if the program does not answer.
    pub async fn start_as(home: &Path, capabilities: Option<InitializeCapabilities>) -> anyhow::Result<Self> {
        Self::silent(home)?.introduced(capabilities).await
    }

    /// Starts the program with these `-c` settings.
    ///
    /// # Errors
    /// Fails if the program does not answer.
    pub async fn start_with(home: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        let flags: Vec<&str> = settings.iter().flat_map(|setting| ["-c", setting]).collect();
        Self::spawn(home, &flags, in_a_group)?.introduced(None).await
    }

    /// Starts the program after a call of `first` in the new process. `first` may only make system calls.
    ///
    /// # Errors
    /// Fails if the program does not answer.
    pub async fn start_after(home: &Path, first: fn() -> io::Result<()>) -> anyhow::Result<Self> {
        Self::spawn(home, &[], first)?.introduced(None).await
    }

    /// Starts a command that becomes the program, and initialises.
    ///
    /// # Errors
    /// Fails if the program does not answer.
    pub async fn run(command: Command) -> anyhow::Result<Self> {
        Self::piped(command)?.introduced(None).await
    }

    async fn introduced(self, capabilities: Option<InitializeCapabilities>) -> anyhow::Result<Self> {
        let mut streams = self;
        let client_info = ClientInfo { name: "streams".to_owned(), title: None, version: "1".to_owned() };
        streams.call::<Initialize>(InitializeParams { capabilities, client_info }).await?;
        streams.say(&json!({"method": Initialized::INFO.wire})).await?;
        Ok(streams)
    }

    /// Starts the program on a home and sends nothing.
    ///
    /// # Errors
    /// Fails if there is no such program.
    pub fn silent(home: &Path) -> anyhow::Result<Self> {
        Self::spawn(home, &[], in_a_group)
    }

    fn spawn(home: &Path, flags: &[&str], first: fn() -> io::Result<()>) -> anyhow::Result<Self> {
        let mut command = Command::new(paths::skein()?);
        command
            .args(["app-server", "--home"])
            .arg(home)
            .args(flags)
            .env_remove("SKEIN_HOME")
            .kill_on_drop(true);
        // SAFETY: callers pass functions that only make system calls.
        unsafe { command.pre_exec(first) };
        Self::piped(command)
    }

    fn piped(mut command: Command) -> anyhow::Result<Self> {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().context("skein app-server does not start")?;
        let input = child.stdin.take().context("no stdin")?;
        let output = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let errors = Some(child.stderr.take().context("no stderr")?);
        Ok(Self { child, input, output, errors, waiting: VecDeque::new(), record: Vec::new(), last_id: 0 })
    }

    /// Process id of the program.
    ///
    /// # Errors
    /// Fails if the process has ended.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the program has ended")
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Fails if the program no longer reads its input.
    pub async fn say(&mut self, message: &Value) -> anyhow::Result<()> {
        Ok(self.input.write_all(format!("{message}\n").as_bytes()).await?)
    }

    /// Sends bytes that may not be a message.
    ///
    /// # Errors
    /// Fails if the program no longer reads its input.
    pub async fn say_bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.input.write_all(bytes).await?)
    }

    /// Calls a method and waits for its result. Other messages are kept.
    ///
    /// # Errors
    /// Fails if the answer is an error, or none comes.
    pub async fn call<M: Method>(&mut self, params: M::Params) -> anyhow::Result<M::Response> {
        let id = self.ask::<M>(params).await?;
        let answer = self.answer(id).await.with_context(|| format!("no answer to {}", M::INFO.wire))?;
        ensure!(answer["error"].is_null(), "{}: {answer}", M::INFO.wire);
        Ok(serde_json::from_value(answer["result"].clone())?)
    }

    /// Calls a method without waiting. Returns the request's id.
    ///
    /// # Errors
    /// Fails if the program no longer reads its input.
    pub async fn ask<M: Method>(&mut self, params: M::Params) -> anyhow::Result<i64> {
        self.last_id += 1;
        self.say(&json!({"id": self.last_id, "method": M::INFO.wire, "params": params})).await?;
        Ok(self.last_id)
    }

    /// The answer to a request, a result or an error. Other messages are kept.
    ///
    /// # Errors
    /// Fails if no answer comes.
    pub async fn answer(&mut self, id: i64) -> anyhow::Result<Value> {
        let is_answer = |message: &Value| message["id"] == id && message["method"].is_null();
        if let Some(at) = self.waiting.iter().position(is_answer) {
            return self.waiting.remove(at).context("an answer");
        }
        loop {
            let message = self.line().await?;
            if is_answer(&message) {
                return Ok(message);
            }
            self.waiting.push_back(message);
        }
    }

    /// The next request of the server.
    ///
    /// # Errors
    /// Fails if none comes.
    pub async fn question(&mut self) -> anyhow::Result<Value> {
        loop {
            let message = match self.waiting.pop_front() {
                Some(message) => message,
                None => self.line().await.context("no question")?,
            };
            if message["id"].is_i64() && message["method"].is_string() {
                return Ok(message);
            }
        }
    }

    /// All messages of the program, in order.
    pub fn record(&self) -> &[Value] {
        &self.record
    }

    /// Closes the program's stderr, as clients do that ignore it.
    pub fn close_errors(&mut self) {
        self.errors = None;
    }

    /// Shrinks the pipe of stderr to one page, so that it is full soon. The test does not read from it.
    ///
    /// # Errors
    /// Fails if stderr is closed.
    pub fn narrow_errors(&self) -> anyhow::Result<()> {
        let errors = self.errors.as_ref().context("its stderr is closed")?;
        fcntl(errors, FcntlArg::F_SETPIPE_SZ(4096)).context("the pipe of stderr")?;
        Ok(())
    }

    /// Reads the log until a line contains `part`.
    ///
    /// # Errors
    /// Fails if no such line comes.
    pub async fn logs(&mut self, part: &str) -> anyhow::Result<()> {
        let errors = self.errors.as_mut().context("its stderr is closed")?;
        let (mut line, found) = (Vec::new(), format!("no line of the log contains {part:?}"));
        let look = async {
            while !String::from_utf8_lossy(&line).contains(part) || !line.ends_with(b"\n") {
                if line.ends_with(b"\n") {
                    line.clear();
                }
                line.push(errors.read_u8().await?);
            }
            io::Result::Ok(())
        };
        tokio::time::timeout(BOUND, look).await.with_context(|| found.clone())?.context(found)
    }

    /// Sends a signal to the program.
    ///
    /// # Errors
    /// Fails if the process has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid()?.cast_signed()), signal).with_context(|| signal.to_string())
    }

    /// The params of the next notification of this kind that `fits`.
    ///
    /// # Errors
    /// Fails if none comes.
    pub async fn next<N: Notification>(
        &mut self,
        fits: impl Fn(&N::Params) -> bool,
    ) -> anyhow::Result<N::Params> {
        loop {
            let message = match self.waiting.pop_front() {
                Some(message) => message,
                None => self.line().await.with_context(|| format!("no {}", N::INFO.wire))?,
            };
            if message["method"] == N::INFO.wire {
                let params: N::Params = serde_json::from_value(message["params"].clone())?;
                if fits(&params) {
                    return Ok(params);
                }
            }
        }
    }

    /// Starts a thread and a turn, and waits until the turn has called a helper.
    ///
    /// # Errors
    /// Fails if the call does not begin.
    pub async fn hanging_turn(&mut self, text: &str) -> anyhow::Result<ThreadId> {
        let thread = self.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
        self.call::<TurnStart>(turn_params(thread, text)).await?;
        let is_call = |item: &ThreadItem| matches!(item.body, ThreadItemBody::McpToolCall(_));
        self.next::<ItemStarted>(|started| is_call(&started.item)).await?;
        Ok(thread)
    }

    async fn line(&mut self) -> anyhow::Result<Value> {
        let line = tokio::time::timeout(BOUND, self.output.next_line()).await;
        let line = line.with_context(|| format!("nothing within {BOUND:?}"))??;
        let message: Value = serde_json::from_str(&line.context("its output has ended")?)?;
        self.record.push(message.clone());
        Ok(message)
    }

    /// Closes the program's stdin and waits for its exit.
    ///
    /// # Errors
    /// Fails if the exit code is not 0, or the program takes longer than `bound`.
    pub async fn end(self, bound: Duration) -> anyhow::Result<()> {
        let (code, stderr) = self.exit(bound).await?;
        ensure!(code == Some(0), "the program has ended with {code:?}: {stderr}");
        Ok(())
    }

    /// Closes stdin and waits for any exit. Returns the exit code and stderr.
    ///
    /// # Errors
    /// Fails if the program takes longer than `bound`.
    pub async fn exit(self, bound: Duration) -> anyhow::Result<(Option<i32>, String)> {
        self.rest(bound).await.map(|(code, stderr, _)| (code, stderr))
    }

    /// Like [`Streams::exit`], and returns the messages that no call has taken.
    ///
    /// # Errors
    /// Fails if the program takes longer than `bound`, or prints something that is not a message.
    pub async fn rest(self, bound: Duration) -> anyhow::Result<(Option<i32>, String, Vec<Value>)> {
        let Self { mut child, input, output, errors, waiting, .. } = self;
        drop(input);
        let mut rest = output.into_inner();
        let (mut stderr, mut shown) = (String::new(), Vec::new());
        let end = async {
            let errors = async {
                match errors {
                    Some(mut errors) => errors.read_to_string(&mut stderr).await,
                    None => Ok(0),
                }
            };
            tokio::try_join!(errors, rest.read_to_end(&mut shown))?;
            child.wait().await
        };
        let status =
            tokio::time::timeout(bound, end).await.with_context(|| format!("not within {bound:?}"))??;
        let mut messages = Vec::from(waiting);
        for line in shown.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            messages.push(serde_json::from_slice(line)?);
        }
        Ok((status.code(), stderr, messages))
    }
}
