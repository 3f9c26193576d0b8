//! `skein run`: one turn, for scripts and for people.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;

use super::conversation::input::{Interrupts, UserLines};
use super::conversation::view::{TurnView, ViewForm};
use super::conversation::{Approval, ThreadClient, TurnEnd, exit_code, outcome};
use super::{print_json, say};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The message. - stands for the text on standard input, alone or behind other words.
    #[arg(required = true, value_name = "PROMPT")]
    prompt: Vec<String>,
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Go on with a thread: its id, a unique part of the id, or @1 for the newest.
    #[arg(long, value_name = "THREAD")]
    thread: Option<String>,
    /// The model [default: that of the settings or the thread].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The answer to questions, such as whether a tool may run. ask asks at the terminal; without one the turn ends
    /// with exit code 4.
    #[arg(long, value_enum, value_name = "HOW", default_value = "ask")]
    approve: Approval,
    /// Print each message of the server as a line of JSON, and the outcome as the last one.
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let prompt = prompt(&self.prompt)?;
        // From here on Ctrl-C interrupts the turn.
        let mut interrupts = Interrupts::new()?;
        let opened =
            ThreadClient::open(self.home.clone(), self.thread.as_deref(), self.model.as_deref(), self.json);
        let mut conversation = tokio::select! {
            opened = opened => opened?,
            () = interrupts.next() => return Ok(ExitCode::from(exit_code(&TurnEnd::Left))),
        };
        let form = if self.json { ViewForm::Json } else { ViewForm::Text };
        let mut view = TurnView::new(form);
        let turned = async {
            let turn = conversation.send(&prompt, self.model.as_deref()).await?;
            let mut lines = if self.json { UserLines::None } else { UserLines::of_terminal() };
            conversation.follow(&turn, self.approve, &mut lines, &mut interrupts, &mut view).await
        };
        let ended = turned.await;
        let thread = conversation.thread();
        conversation.close().await;
        let ended = ended?;
        if self.json {
            print_json(&outcome(thread, &ended))?;
        } else if exit_code(&ended) != 0 {
            say(format_args!("the turn has not ended well; its thread: skein threads show {thread}"));
        }
        Ok(ExitCode::from(exit_code(&ended)))
    }
}

/// The message, with standard input in the place of `-`.
fn prompt(words: &[String]) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    for word in words {
        if word == "-" {
            ensure!(
                !std::io::stdin().is_terminal(),
                "- reads the message from standard input: pipe a text into it"
            );
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("stdin")?;
            parts.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        } else {
            parts.push(word.clone());
        }
    }
    let text = parts.join(if words.iter().any(|word| word == "-") { "\n\n" } else { " " });
    ensure!(!text.trim().is_empty(), "the message is empty: skein run \"hello\"");
    Ok(text)
}
