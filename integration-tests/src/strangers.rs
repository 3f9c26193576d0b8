//! Helpers that others have written: whether they work under a server as they do elsewhere, and whether anything of them is
//! left.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use skein_protocol::helper::{ListMcpServerStatusParams, McpServerConnectionStatus, McpServerStatus};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{McpServerStatusList, ThreadStart};
use skein_protocol::thread::ThreadStartParams;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::client::Client;
use crate::home::{Helper, Home};
use crate::process::wait_until;

/// How long a start may take: package runners are slow on a machine that is busy.
const START_BOUND: Duration = Duration::from_secs(120);
/// Between two looks at how far a start is.
const LOOK: Duration = Duration::from_millis(20);
/// What is there after so long is left for good.
const LEFT_AFTER: Duration = Duration::from_secs(10);
/// The helper's name in the settings.
const NAME: &str = "stranger";

/// The head of the table that [`Met::row`] has the rows of.
pub const HEAD: &str = "helper                       processes  tools     ready      call      zero  left";

/// A helper and a question that it has to answer.
#[derive(Debug)]
pub struct Stranger {
    /// What it is called.
    pub name: String,
    helper: Helper,
    tool: String,
    arguments: Value,
    answer: &'static str,
    /// Where its thread works. It is told as its root, which wins over what its arguments say in helpers that heed roots.
    directory: Option<String>,
}

/// What became of it.
#[derive(Debug)]
pub struct Met {
    /// Its processes, without the guard.
    pub processes: usize,
    /// Its tools.
    pub tools: usize,
    /// From the start of its thread until it was ready.
    pub ready: Duration,
    /// The call of its tool.
    pub call: Duration,
    /// From the order to unload its thread until no process was left.
    pub zero: Duration,
    /// Processes that were left for good.
    pub left: usize,
}

impl Stranger {
    /// A program that is started so.
    #[must_use]
    pub fn new(name: &str, program: &str, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let helper = Helper::program(NAME, program, &args).set("startup_timeout_sec", 120);
        Self {
            name: name.to_owned(),
            helper,
            tool: String::new(),
            arguments: Value::Null,
            answer: "",
            directory: None,
        }
    }

    /// With this variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &Path) -> Self {
        self.helper = self.helper.set(&format!("env.{name}"), value.to_string_lossy().into_owned());
        self
    }

    /// In a thread that works there.
    #[must_use]
    pub fn at(self, directory: &str) -> Self {
        Self { directory: Some(directory.to_owned()), ..self }
    }

    /// Whose tool, called so, answers with a text that has `answer` in it.
    #[must_use]
    pub fn asked(self, tool: &str, arguments: Value, answer: &'static str) -> Self {
        Self { tool: tool.to_owned(), arguments, answer, ..self }
    }

    /// Starts it in a thread of a server of its own, calls it, and unloads the thread.
    ///
    /// # Errors
    /// When it does not do what it does elsewhere. What is left of it is no error but a number.
    pub async fn meet(&self) -> Result<Met> {
        let home = Home::setup().helper(self.helper.clone()).start().await?;
        let mut client = home.client().await?;
        let from = Instant::now();
        let params = ThreadStartParams { cwd: self.directory.clone(), ..ThreadStartParams::default() };
        let thread = client.call::<ThreadStart>(params).await?.thread.id;
        client.turn(thread, "hello").await?;
        let status = ready(&mut client, thread).await?;
        let ready = from.elapsed();
        ensure!(
            status.tools.contains_key(&self.tool),
            "it has no tool {}: {:?}",
            self.tool,
            status.tools.keys()
        );
        let from = Instant::now();
        let answer = client.tool(thread, NAME, &self.tool, self.arguments.clone()).await?;
        let call = from.elapsed();
        let text: String = answer.content.iter().filter_map(|block| block["text"].as_str()).collect();
        let is_well = answer.is_error != Some(true) && text.contains(self.answer);
        ensure!(is_well, "{} answers {text:?}", self.tool);
        let processes = home.family().helpers.len();
        ensure!(processes > 0, "it works, and none of its processes is to be seen");

        let from = Instant::now();
        client.unload(thread, true).await?;
        let none = || (home.family().count() == 0).then_some(());
        let zero = wait_until("zero", LEFT_AFTER, none).await;
        let (zero, left) = (zero.map_or(LEFT_AFTER, |()| from.elapsed()), home.family().count());
        client.close().await?;
        // What is left was counted; dropping the home ends it.
        if left == 0 {
            home.finish().await?
        } else {
            drop(home)
        }
        Ok(Met { processes, tools: status.tools.len(), ready, call, zero, left })
    }
}

/// Waits until the helper of the thread takes calls.
async fn ready(client: &mut Client, thread: ThreadId) -> Result<McpServerStatus> {
    let began = Instant::now();
    let mut looks = tokio::time::interval(LOOK);
    while began.elapsed() < START_BOUND {
        looks.tick().await;
        let params =
            ListMcpServerStatusParams { thread_id: Some(thread), ..ListMcpServerStatusParams::default() };
        let listed = client.call::<McpServerStatusList>(params).await?.data;
        let status = listed.into_iter().next().context("the thread has no helper")?;
        match status.runtime_status {
            Some(McpServerConnectionStatus::Connected) => return Ok(status),
            Some(McpServerConnectionStatus::Failed) => bail!("{}", status.tools_error.unwrap_or_default()),
            Some(_) | None => {}
        }
    }
    bail!("it is not ready within {START_BOUND:?}")
}

impl Met {
    /// A row below [`HEAD`].
    #[must_use]
    pub fn row(&self, name: &str) -> String {
        let Self { processes, tools, ready, call, zero, left } = self;
        let [ready, call, zero] = [ready, call, zero].map(|time| format!("{} ms", time.as_millis()));
        format!("{name:<28} {processes:>9} {tools:>6} {ready:>9} {call:>9} {zero:>9} {left:>5}")
    }
}

/// A page on loopback, for helpers that fetch some.
#[derive(Debug)]
pub struct Page {
    port: u16,
}

impl Page {
    /// Serves the text to everybody until this program ends.
    ///
    /// # Errors
    /// When nothing can be served.
    pub async fn serve(text: &'static str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever leaves before the end has lost interest.
                tokio::spawn(async move { answer(stream, text).await.ok() });
            }
        });
        Ok(Self { port })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

/// Reads the head of a request, and answers it.
async fn answer(stream: TcpStream, text: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let length = text.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n";
    stream.write_all(format!("{head}content-length: {length}\r\n\r\n{text}").as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_below_its_head() {
        let time = Duration::from_millis(1234);
        let met = Met { processes: 3, tools: 12, ready: time, call: time, zero: time, left: 0 };
        assert_eq!(met.row("everything (npx)").len(), HEAD.len());
    }
}
