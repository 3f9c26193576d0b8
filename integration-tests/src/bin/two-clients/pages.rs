//! The programs with the pages: skein-client in Node, and in Python. Each takes a command a line.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Limit of an answer, and of the program's end.
const BOUND: Duration = Duration::from_secs(60);

/// Number of pages. The last one is in Python, the others are in Node.
pub(crate) const TABS: usize = 3;

/// The programs, and what they run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Programs {
    /// Node.
    #[arg(long)]
    node: PathBuf,
    /// The program for Node.
    #[arg(long)]
    script: PathBuf,
    /// The built skein-client of Node.
    #[arg(long)]
    module: PathBuf,
    /// Python, which finds its skein-client by itself.
    #[arg(long)]
    python: PathBuf,
    /// The program for Python.
    #[arg(long)]
    python_script: PathBuf,
}

/// All pages.
pub(crate) struct Pages {
    node: Program,
    python: Program,
}

impl Pages {
    /// Starts the programs. Their pages connect to `address`.
    pub(crate) fn start(programs: &Programs, address: &str) -> Result<Self> {
        let node = [&programs.script, &programs.module];
        Ok(Self {
            node: Program::start(&programs.node, &node, address)?,
            python: Program::start(&programs.python, &[&programs.python_script], address)?,
        })
    }

    /// Sends a command to the program of its page, and waits for the answer.
    pub(crate) async fn order(&mut self, command: &Value) -> Result<Value> {
        let tab = command["tab"].as_u64().context("a command without a page")?;
        let is_last = tab + 1 == TABS as u64;
        let program = if is_last { &mut self.python } else { &mut self.node };
        program.order(command).await
    }

    /// The state of a page, with its link and unsent messages.
    pub(crate) async fn view(&mut self, tab: usize) -> Result<Value> {
        self.order(&json!({ "do": "view", "tab": tab })).await
    }

    /// Ends the programs and waits for their exits.
    pub(crate) async fn end(self) -> Result<()> {
        self.node.end().await.context("Node")?;
        self.python.end().await.context("Python")
    }
}

/// A running program.
struct Program {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(program: &Path, given: &[&PathBuf], address: &str) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(given).arg(address).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let commands = child.stdin.take().context("no stdin")?;
        let answers = child.stdout.take().context("no stdout")?;
        Ok(Self { child, commands, answers: BufReader::new(answers).lines() })
    }

    async fn order(&mut self, command: &Value) -> Result<Value> {
        let ask = async {
            self.commands.write_all(format!("{command}\n").as_bytes()).await?;
            self.answers.next_line().await?.context("the program with the pages has ended")
        };
        let line = tokio::time::timeout(BOUND, ask).await.context("the pages do not answer")??;
        serde_json::from_str(&line).with_context(|| format!("{command}: {line}"))
    }

    async fn end(mut self) -> Result<()> {
        drop(self.commands);
        let exit = tokio::time::timeout(BOUND, self.child.wait()).await.context("the pages do not end")??;
        ensure!(exit.success(), "the pages ended with {exit}");
        Ok(())
    }
}
