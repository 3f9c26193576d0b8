//! `skein threads show` and `tail`: a conversation as text.

use clap::Args;
use skein_protocol::extension::ResumeOptions;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::methods::{ThreadRead, ThreadResume};
use skein_protocol::thread::{ThreadReadParams, ThreadResumeParams};
use skein_protocol::turn::{Turn, TurnStatus};

use super::super::chat::words;
use super::super::conversation::input::Interrupts;
use super::super::conversation::view::{TurnView, ViewForm, call_line};
use super::super::outputs::ThreadOutcome;
use super::super::{print_json, print_line, print_lines};
use super::{ThreadsHome, find, list, with_home};

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Its id, a unique part of the id, or @1 for the newest.
    thread: String,
    #[command(flatten)]
    target: ThreadsHome,
}

#[derive(Debug, Args)]
pub(super) struct TailThread {
    /// Its id, a unique part of the id, or @1 for the newest.
    thread: String,
    #[command(flatten)]
    target: ThreadsHome,
}

impl Show {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let read = with_home(&self.target, async |home| {
            let thread_id = find::thread(home, &self.thread).await?;
            Ok(home.call::<ThreadRead>(&ThreadReadParams { include_turns: true, thread_id }).await?.thread)
        });
        let thread = read.await?;
        if self.target.json {
            return print_json(&ThreadOutcome { thread: &thread });
        }
        print_line(&format!("{}  {}", thread.id, list::name(&thread)))?;
        for turn in &thread.turns {
            print_lines(self::turn(turn).trim_end())?;
        }
        Ok(())
    }
}

impl TailThread {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut interrupts = Interrupts::new()?;
        with_home(&self.target, async |home| {
            let thread = find::thread(home, &self.thread).await?;
            let skein = Some(ResumeOptions { observe: true, ..ResumeOptions::default() });
            let params = ThreadResumeParams { skein, ..ThreadResumeParams::new(thread) };
            let resumed = home.call::<ThreadResume>(&params).await?;
            let form = if self.target.json { ViewForm::Json } else { ViewForm::Text };
            let mut view = TurnView::new(form);
            if let Some(last) = resumed.thread.turns.last().filter(|_| form == ViewForm::Text) {
                print_lines(turn(last).trim_end())?;
            }
            loop {
                tokio::select! {
                    text = home.next() => view.show_message(&text?, thread)?,
                    () = interrupts.next() => return Ok(()),
                }
            }
        })
        .await
    }
}

/// The messages and calls of a turn, each after its author.
pub(in crate::cli) fn turn(turn: &Turn) -> String {
    let mut text = String::new();
    for item in &turn.items {
        if let ThreadItemBody::UserMessage(message) = &item.body {
            message_of(&mut text, "you", &words(&message.content));
        } else if let ThreadItemBody::AgentMessage(message) = &item.body {
            message_of(&mut text, "assistant", &message.text);
        } else {
            text.extend(call_line(item).map(|line| format!("  {line}\n")));
        }
    }
    match turn.status {
        TurnStatus::Completed => {}
        TurnStatus::Interrupted => text.push_str("  (interrupted)\n"),
        TurnStatus::InProgress => text.push_str("  (still running)\n"),
        TurnStatus::Failed => {
            let why = turn.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
            text.push_str(&format!("  (failed: {why})\n"));
        }
    }
    text
}

/// A line feed in a message of others begins an indented line, so that none looks like an author.
fn message_of(text: &mut String, author: &str, words: &str) {
    let words = words.trim_end().replace('\n', "\n  ");
    text.push_str(&format!("{author}: {words}\n"));
}
