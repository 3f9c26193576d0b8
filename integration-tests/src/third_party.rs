//! Third-party MCP servers: whether they work under Skein as they do under other clients, and whether they
//! leave processes behind.

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

/// Limit of a start. Package runners are slow on a busy machine.
const START_BOUND: Duration = Duration::from_secs(120);
/// Pause between two looks at a start.
const LOOK: Duration = Duration::from_millis(20);
/// A process that lives this long after the end counts as left.
const LEFT_AFTER: Duration = Duration::from_secs(10);
/// Name of the helper in the settings.
const NAME: &str = "third_party";

/// Head of the table; [`Met::row`] makes its rows.
pub const HEAD: &str = "helper                       processes  tools     ready      call      stop  left";

/// A helper, and a question that it must answer.
#[derive(Debug)]
pub struct ThirdParty {
    /// Name for the table.
    pub name: String,
    helper: Helper,
    tool: String,
    arguments: Value,
    answer: &'static str,
    /// Working directory of its thread. Skein sends it as the helper's root, which wins over the helper's
    /// arguments.
    directory: Option<String>,
}

/// Result of a run.
#[derive(Debug)]
pub struct Met {
    /// Number of its processes, without the guard.
    pub processes: usize,
    /// Number of its tools.
    pub tools: usize,
    /// Time from the start of its thread until it is ready.
    pub ready: Duration,
    /// Duration of the tool call.
    pub call: Duration,
    /// Time from the unload request until no process is left.
    pub stopped: Duration,
    /// Number of processes left behind.
    pub left: usize,
}

impl ThirdParty {
    /// A helper with this program and arguments.
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

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &Path) -> Self {
        self.helper = self.helper.set(&format!("env.{name}"), value.to_string_lossy().into_owned());
        self
    }

    /// Sets the working directory of the thread.
    pub fn at(self, directory: &str) -> Self {
        Self { directory: Some(directory.to_owned()), ..self }
    }

    /// Sets the tool call, and a text that its answer must contain.
    pub fn asked(self, tool: &str, arguments: Value, answer: &'static str) -> Self {
        Self { tool: tool.to_owned(), arguments, answer, ..self }
    }

    /// Starts the helper in a thread of a new server, calls it, and unloads the thread.
    ///
    /// # Errors
    /// Fails if the helper does not work. Leftover processes are not an error; the result counts them.
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
        ensure!(processes > 0, "the helper works, but none of its processes is visible");

        let from = Instant::now();
        client.unload(thread, true).await?;
        let none = || (home.family().count() == 0).then_some(());
        let stopped = wait_until("no process", LEFT_AFTER, none).await;
        let (stopped, left) = (stopped.map_or(LEFT_AFTER, |()| from.elapsed()), home.family().count());
        client.close().await?;
        // The leftovers are counted; dropping the home ends them.
        if left == 0 {
            home.finish().await?
        } else {
            drop(home)
        }
        Ok(Met { processes, tools: status.tools.len(), ready, call, stopped, left })
    }
}

/// Waits until the helper of the thread accepts calls.
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
    bail!("the helper is not ready within {START_BOUND:?}")
}

impl Met {
    /// A row of the table below [`HEAD`].
    pub fn row(&self, name: &str) -> String {
        let Self { processes, tools, ready, call, stopped, left } = self;
        let [ready, call, stopped] = [ready, call, stopped].map(|time| format!("{} ms", time.as_millis()));
        format!("{name:<28} {processes:>9} {tools:>6} {ready:>9} {call:>9} {stopped:>9} {left:>5}")
    }
}

/// A page on loopback, for helpers that fetch pages.
#[derive(Debug)]
pub struct Page {
    port: u16,
}

impl Page {
    /// Serves the text to every client until this program ends.
    ///
    /// # Errors
    /// Fails if no port is free.
    pub async fn serve(text: &'static str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client may leave before the end.
                tokio::spawn(async move { answer(stream, text).await.ok() });
            }
        });
        Ok(Self { port })
    }

    /// Address of the page.
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
    fn a_row_is_as_wide_as_its_head() {
        let time = Duration::from_millis(1234);
        let met = Met { processes: 3, tools: 12, ready: time, call: time, stopped: time, left: 0 };
        assert_eq!(met.row("everything (npx)").len(), HEAD.len());
    }
}
