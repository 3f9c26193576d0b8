//! `skein chat`: a conversation in the terminal.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use skein_protocol::turn::UserInput;

use super::conversation::input::{Interrupts, UserLines};
use super::conversation::view::{TurnView, ViewForm};
use super::conversation::{Approval, INTERRUPTED, ThreadClient, TurnEnd, exit_code, outcome};
use super::outputs::TurnOutcome;
use super::threads::show;
use super::{out, print_json, print_lines, say};

/// The newest turns that a resumed chat shows.
const SHOWN_TURNS: usize = 3;

/// The exit code after a message that the server has refused.
const REFUSED: u8 = 1;

#[derive(Debug, Args)]
pub(super) struct Chat {
    /// The thread to go on with: its id, a unique part of the id, or @1 for the newest [default: a new one].
    #[arg(value_name = "THREAD", conflicts_with = "last")]
    thread: Option<String>,
    /// Go on with the newest thread.
    #[arg(long)]
    last: bool,
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The model of a new thread [default: that of the settings].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The answer to questions, such as whether a tool may run.
    #[arg(long, value_enum, value_name = "HOW", default_value = "ask")]
    approve: Approval,
    /// Read messages from standard input, one a line. Print each message of the server as a line of JSON, and the
    /// outcome of each turn as its last one.
    #[arg(long)]
    json: bool,
}

impl Chat {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut interrupts = Interrupts::new()?;
        let mut conversation = tokio::select! {
            opened = self.open() => opened?,
            () = interrupts.next() => return Ok(ExitCode::from(INTERRUPTED)),
        };
        let is_terminal = std::io::stdin().is_terminal() && !self.json;
        if is_terminal {
            let line = out::one_line(&conversation.headline()).into_owned();
            say(format_args!("{line}; Ctrl-C interrupts, twice leaves, Ctrl-D leaves"));
        }
        let mut lines = UserLines::of_stdin()?;
        let ended = self.converse(&mut conversation, &mut lines, &mut interrupts, is_terminal).await;
        let thread = conversation.thread();
        conversation.close().await;
        if is_terminal {
            say(format_args!("to go on: skein chat {thread}"));
        }
        ended
    }

    async fn open(&self) -> anyhow::Result<ThreadClient> {
        let word = if self.last { Some("@1") } else { self.thread.as_deref() };
        let conversation =
            ThreadClient::open(self.home.clone(), word, self.model.as_deref(), self.json).await?;
        let turns = if self.json { &[] } else { conversation.turns() };
        for turn in turns.iter().skip(turns.len().saturating_sub(SHOWN_TURNS)) {
            print_lines(show::turn(turn).trim_end())?;
        }
        Ok(conversation)
    }

    async fn converse(
        &self,
        conversation: &mut ThreadClient,
        lines: &mut UserLines,
        interrupts: &mut Interrupts,
        is_terminal: bool,
    ) -> anyhow::Result<ExitCode> {
        let mut last = 0;
        let mut interrupted = false;
        loop {
            prompt(is_terminal);
            let line = tokio::select! {
                line = lines.next() => line,
                () = interrupts.next() => {
                    if interrupted || !is_terminal {
                        return Ok(ExitCode::from(INTERRUPTED));
                    }
                    interrupted = true;
                    say("Ctrl-C again leaves");
                    continue;
                }
            };
            let Some(line) = line else {
                end_prompt(is_terminal);
                return Ok(ExitCode::from(last));
            };
            if line.trim().is_empty() {
                continue;
            }
            let Some(end) = self.turn(conversation, &line, lines, interrupts).await? else {
                last = REFUSED;
                continue;
            };
            if self.json {
                print_json(&outcome(conversation.thread(), &end))?;
            }
            if end == TurnEnd::Left {
                return Ok(ExitCode::from(INTERRUPTED));
            }
            last = exit_code(&end);
            // The second Ctrl-C leaves.
            interrupted = last == INTERRUPTED;
        }
    }

    /// One turn; `None` if the server has refused the message.
    async fn turn(
        &self,
        conversation: &mut ThreadClient,
        line: &str,
        lines: &mut UserLines,
        interrupts: &mut Interrupts,
    ) -> anyhow::Result<Option<TurnEnd>> {
        let turn = match conversation.send(line, None).await {
            Ok(turn) => turn,
            Err(error) => {
                self.refused(conversation, out::causes(&error))?;
                return Ok(None);
            }
        };
        let form = if self.json { ViewForm::Json } else { ViewForm::Text };
        let mut view = TurnView::new(form);
        // The lines of a program are messages, never answers to questions.
        let mut nobody = UserLines::None;
        let answers = if self.json { &mut nobody } else { lines };
        let end = conversation.follow(&turn, self.approve, answers, interrupts, &mut view).await?;
        if exit_code(&end) == INTERRUPTED && !self.json {
            view.notice("interrupted; Ctrl-C again leaves")?;
        }
        Ok(Some(end))
    }

    /// Prints why the server has refused a message.
    fn refused(&self, conversation: &ThreadClient, why: String) -> anyhow::Result<()> {
        if !self.json {
            say(why);
            return Ok(());
        }
        print_json(&TurnOutcome {
            complete: false,
            thread_id: conversation.thread(),
            turn_id: None,
            status: None,
            error: Some(why),
            exit_code: REFUSED,
        })
    }
}

fn prompt(is_terminal: bool) {
    if is_terminal {
        skein_app_server::telemetry::write("> ");
    }
}

fn end_prompt(is_terminal: bool) {
    if is_terminal {
        skein_app_server::telemetry::write("\n");
    }
}

/// The text of the user's input.
pub(super) fn words(content: &[UserInput]) -> String {
    let word = |input: &UserInput| input.as_text().map_or_else(|| "[a file]".to_owned(), str::to_owned);
    content.iter().map(word).collect::<Vec<_>>().join("\n")
}
