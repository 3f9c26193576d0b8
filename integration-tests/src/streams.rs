//! `skein app-server` on standard streams, as a program has it that starts one of its own.

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

/// Puts a process into a group of its own, as a shell does with each job: Ctrl-Z stops it, because its parent can continue it.
fn in_a_group() -> io::Result<()> {
    Ok(setpgid(Pid::from_raw(0), Pid::from_raw(0))?)
}

/// A program that was started, and what it has said.
#[derive(Debug)]
pub struct Streams {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// None: nobody reads them.
    errors: Option<ChildStderr>,
    heard: VecDeque<Value>,
    record: Vec<Value>,
    last_id: i64,
}

impl Streams {
    /// Starts the program on a home, and says hello.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start(home: &Path) -> anyhow::Result<Self> {
        Self::start_as(home, None).await
    }

    /// The same, for a client that can do and wants these.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start_as(home: &Path, capabilities: Option<InitializeCapabilities>) -> anyhow::Result<Self> {
        Self::silent(home)?.introduced(capabilities).await
    }

    /// The same with these `-c` settings.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start_with(home: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        let flags: Vec<&str> = settings.iter().flat_map(|setting| ["-c", setting]).collect();
        Self::spawn(home, &flags, in_a_group)?.introduced(None).await
    }

    /// The same for a process that calls `first` before it becomes the program. `first` may only make system calls.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start_after(home: &Path, first: fn() -> io::Result<()>) -> anyhow::Result<Self> {
        Self::spawn(home, &[], first)?.introduced(None).await
    }

    /// Starts a command that becomes the program, and says hello.
    ///
    /// # Errors
    /// When it does not answer.
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

    /// Starts the program on a home, and says nothing.
    ///
    /// # Errors
    /// When there is no such program.
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
        // SAFETY: the functions that are handed over only make system calls.
        unsafe { command.pre_exec(first) };
        Self::piped(command)
    }

    fn piped(mut command: Command) -> anyhow::Result<Self> {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().context("skein app-server does not start")?;
        let input = child.stdin.take().context("no stdin")?;
        let output = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let errors = Some(child.stderr.take().context("no stderr")?);
        Ok(Self { child, input, output, errors, heard: VecDeque::new(), record: Vec::new(), last_id: 0 })
    }

    /// Its process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("it has ended")
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When it does not read any more.
    pub async fn say(&mut self, message: &Value) -> anyhow::Result<()> {
        Ok(self.input.write_all(format!("{message}\n").as_bytes()).await?)
    }

    /// Sends what may be no message.
    ///
    /// # Errors
    /// When it does not read any more.
    pub async fn say_bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.input.write_all(bytes).await?)
    }

    /// Calls a method and waits for its result; what comes meanwhile is kept.
    ///
    /// # Errors
    /// When the answer is an error, or there is none.
    pub async fn call<M: Method>(&mut self, params: M::Params) -> anyhow::Result<M::Response> {
        let id = self.ask::<M>(params).await?;
        let answer = self.answer(id).await.with_context(|| format!("no answer to {}", M::INFO.wire))?;
        ensure!(answer["error"].is_null(), "{}: {answer}", M::INFO.wire);
        Ok(serde_json::from_value(answer["result"].clone())?)
    }

    /// Calls a method and does not wait; the request's id.
    ///
    /// # Errors
    /// When it does not read any more.
    pub async fn ask<M: Method>(&mut self, params: M::Params) -> anyhow::Result<i64> {
        self.last_id += 1;
        self.say(&json!({"id": self.last_id, "method": M::INFO.wire, "params": params})).await?;
        Ok(self.last_id)
    }

    /// The answer to a request, a result or an error; what comes meanwhile is kept.
    ///
    /// # Errors
    /// When there is none.
    pub async fn answer(&mut self, id: i64) -> anyhow::Result<Value> {
        let is_answer = |message: &Value| message["id"] == id && message["method"].is_null();
        if let Some(at) = self.heard.iter().position(is_answer) {
            return self.heard.remove(at).context("an answer");
        }
        loop {
            let message = self.line().await?;
            if is_answer(&message) {
                return Ok(message);
            }
            self.heard.push_back(message);
        }
    }

    /// The next request of the server.
    ///
    /// # Errors
    /// When none comes.
    pub async fn question(&mut self) -> anyhow::Result<Value> {
        loop {
            let message = match self.heard.pop_front() {
                Some(message) => message,
                None => self.line().await.context("no question")?,
            };
            if message["id"].is_i64() && message["method"].is_string() {
                return Ok(message);
            }
        }
    }

    /// Everything that it has said, in order.
    #[must_use]
    pub fn record(&self) -> &[Value] {
        &self.record
    }

    /// Closes its stderr, as programs do that want nothing of it.
    pub fn close_errors(&mut self) {
        self.errors = None;
    }

    /// Makes the pipe of its stderr hold one page: nobody reads from it, so it is full soon.
    ///
    /// # Errors
    /// When it is closed.
    pub fn narrow_errors(&self) -> anyhow::Result<()> {
        let errors = self.errors.as_ref().context("its stderr is closed")?;
        fcntl(errors, FcntlArg::F_SETPIPE_SZ(4096)).context("the pipe of stderr")?;
        Ok(())
    }

    /// Reads its log until a line has this part.
    ///
    /// # Errors
    /// When no such line comes.
    pub async fn logs(&mut self, part: &str) -> anyhow::Result<()> {
        let errors = self.errors.as_mut().context("its stderr is closed")?;
        let (mut line, found) = (Vec::new(), format!("no line of the log has {part:?}"));
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

    /// Sends a signal to its process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid()?.cast_signed()), signal).with_context(|| signal.to_string())
    }

    /// The params of the next notification of this kind that `fits`.
    ///
    /// # Errors
    /// When none comes.
    pub async fn next<N: Notification>(
        &mut self,
        fits: impl Fn(&N::Params) -> bool,
    ) -> anyhow::Result<N::Params> {
        loop {
            let message = match self.heard.pop_front() {
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

    /// Starts a thread and a turn in it, and waits until the turn's call of a helper has begun.
    ///
    /// # Errors
    /// When it does not come to that.
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

    /// Ends its input and waits for its end.
    ///
    /// # Errors
    /// When it has ended with an error, or not within `bound`.
    pub async fn end(self, bound: Duration) -> anyhow::Result<()> {
        let (code, said) = self.exit(bound).await?;
        ensure!(code == Some(0), "it has ended with {code:?}: {said}");
        Ok(())
    }

    /// The same, whatever its end: its exit code, and what it has said to stderr.
    ///
    /// # Errors
    /// When it has not ended within `bound`.
    pub async fn exit(self, bound: Duration) -> anyhow::Result<(Option<i32>, String)> {
        self.rest(bound).await.map(|(code, said, _)| (code, said))
    }

    /// The same, with the messages that nobody has taken yet.
    ///
    /// # Errors
    /// When it has not ended within `bound`, or prints what is no message.
    pub async fn rest(self, bound: Duration) -> anyhow::Result<(Option<i32>, String, Vec<Value>)> {
        let Self { mut child, input, output, errors, heard, .. } = self;
        drop(input);
        let mut rest = output.into_inner();
        let (mut said, mut shown) = (String::new(), Vec::new());
        let end = async {
            let errors = async {
                match errors {
                    Some(mut errors) => errors.read_to_string(&mut said).await,
                    None => Ok(0),
                }
            };
            tokio::try_join!(errors, rest.read_to_end(&mut shown))?;
            child.wait().await
        };
        let status =
            tokio::time::timeout(bound, end).await.with_context(|| format!("not within {bound:?}"))??;
        let mut messages = Vec::from(heard);
        for line in shown.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            messages.push(serde_json::from_slice(line)?);
        }
        Ok((status.code(), said, messages))
    }
}
