//! The program with the pages: skein-client in Node, which takes a command a line.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Limit of an answer, and of the program's end.
const BOUND: Duration = Duration::from_secs(60);

/// The running program.
pub(crate) struct Pages {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Pages {
    /// Starts the program. Its pages connect to `address`.
    pub(crate) fn start(node: &Path, script: &Path, module: &Path, address: &str) -> Result<Self> {
        let mut command = Command::new(node);
        command.arg(script).arg(module).arg(address).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let commands = child.stdin.take().context("no stdin")?;
        let answers = child.stdout.take().context("no stdout")?;
        Ok(Self { child, commands, answers: BufReader::new(answers).lines() })
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn order(&mut self, command: &Value) -> Result<Value> {
        let ask = async {
            self.commands.write_all(format!("{command}\n").as_bytes()).await?;
            self.answers.next_line().await?.context("the program with the pages has ended")
        };
        let line = tokio::time::timeout(BOUND, ask).await.context("the pages do not answer")??;
        serde_json::from_str(&line).with_context(|| format!("{command}: {line}"))
    }

    /// The state of a page, with its link and unsent messages.
    pub(crate) async fn view(&mut self, tab: usize) -> Result<Value> {
        self.order(&json!({ "do": "view", "tab": tab })).await
    }

    /// Ends the program and waits for its exit.
    pub(crate) async fn end(mut self) -> Result<()> {
        drop(self.commands);
        let exit = tokio::time::timeout(BOUND, self.child.wait()).await.context("the pages do not end")??;
        ensure!(exit.success(), "the pages ended with {exit}");
        Ok(())
    }
}
