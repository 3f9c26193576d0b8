//! A turn as its user sees it: answers on stdout, everything else on stderr; or each message as a line of JSON.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};

use anyhow::Context;
use skein_app_server::telemetry;
use skein_protocol::ids::{ItemId, ThreadId};
use skein_protocol::item::{McpToolCallStatus, ThreadItem, ThreadItemBody};

use super::super::out::{Foreign, lines, one_line};
use super::super::print_line;
use super::super::progress::Waiting;
use super::event::ThreadEvent;

/// The longest line about a tool call, in characters.
const CALL_LINE: usize = 76;

/// The text of a wait if nothing else is known.
const MODEL: &str = "waiting for the model";

/// The output of a turn.
pub(in crate::cli) struct TurnView {
    form: ViewForm,
    out: Foreign<BufWriter<io::Stdout>>,
    /// Answers of which pieces were printed.
    streamed: HashSet<ItemId>,
    /// Whether the last printed character did not end a line.
    open_line: bool,
    /// The text of a wait.
    awaited: String,
    /// The line that says so.
    waiting: Option<Waiting>,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum ViewForm {
    /// For people.
    Text,
    /// Each message of the server as a line.
    Json,
}

impl TurnView {
    pub(in crate::cli) fn new(form: ViewForm) -> Self {
        let (out, streamed, awaited) = (Foreign::stdout(), HashSet::new(), MODEL.to_owned());
        Self { form, out, streamed, open_line: false, awaited, waiting: None }
    }

    /// Shows a message of the server about a thread.
    ///
    /// # Errors
    /// Stdout is broken.
    pub(in crate::cli) fn show_message(&mut self, text: &str, thread: ThreadId) -> anyhow::Result<()> {
        self.show(text, &ThreadEvent::read(text, thread))
    }

    /// The same for a message that was read.
    ///
    /// # Errors
    /// Stdout is broken.
    pub(super) fn show(&mut self, text: &str, event: &ThreadEvent) -> anyhow::Result<()> {
        match self.form {
            ViewForm::Json => print_line(text),
            ViewForm::Text => self.show_event(event),
        }
    }

    fn show_event(&mut self, event: &ThreadEvent) -> anyhow::Result<()> {
        match event {
            ThreadEvent::Delta { item, text } => {
                self.streamed.insert(item.clone());
                self.write(text)
            }
            ThreadEvent::Finished(item) => self.show_item(item),
            ThreadEvent::Notice(text) => self.notice(text),
            ThreadEvent::Ended(turn) => {
                self.awaits(MODEL.to_owned());
                self.end_line()?;
                match &turn.error {
                    Some(error) => self.notice(&error.message),
                    None => Ok(()),
                }
            }
            ThreadEvent::HelperStarts(name) => {
                self.awaits(format!("helper {name} starts"));
                Ok(())
            }
            ThreadEvent::Begun(item) => {
                self.awaits(call_line(item).unwrap_or_else(|| MODEL.to_owned()));
                Ok(())
            }
            ThreadEvent::Question(_)
            | ThreadEvent::Unanswerable(_)
            | ThreadEvent::Resolved(_)
            | ThreadEvent::Other => Ok(()),
        }
    }

    /// Shows what the turn waits for, unless the user is asked something or a line is incomplete.
    pub(super) fn wait(&mut self, is_asking: bool) {
        if is_asking || self.open_line || self.form == ViewForm::Json {
            self.waiting = None;
        } else if self.waiting.is_none() {
            self.waiting = Some(Waiting::of(&self.awaited, false));
        }
    }

    /// Names what the turn waits for from here on.
    fn awaits(&mut self, what: String) {
        self.waiting = None;
        self.awaited = what;
    }

    fn show_item(&mut self, item: &ThreadItem) -> anyhow::Result<()> {
        self.awaits(MODEL.to_owned());
        if let ThreadItemBody::AgentMessage(message) = &item.body {
            if !self.streamed.remove(&message.id) {
                self.write(&message.text)?;
            }
            return self.end_line();
        }
        match call_line(item) {
            Some(line) => self.notice(&line),
            None => Ok(()),
        }
    }

    /// A line on stderr.
    ///
    /// # Errors
    /// Stdout is broken.
    pub(in crate::cli) fn notice(&mut self, text: &str) -> anyhow::Result<()> {
        self.end_line()?;
        self.waiting = None;
        telemetry::write(&format!("  {}\n", one_line(text)));
        Ok(())
    }

    /// A question on stderr; the user's line follows it.
    ///
    /// # Errors
    /// Stdout is broken.
    pub(in crate::cli) fn prompt(&mut self, text: &str) -> anyhow::Result<()> {
        self.end_line()?;
        self.waiting = None;
        telemetry::write(&lines(text));
        Ok(())
    }

    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.waiting = None;
        self.open_line = !text.ends_with('\n');
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).context("stdout")
    }

    /// Ends a line of an answer.
    fn end_line(&mut self) -> anyhow::Result<()> {
        if self.open_line { self.write("\n") } else { Ok(()) }
    }
}

/// A line about an item that is no message; `None` for items without one.
pub(in crate::cli) fn call_line(item: &ThreadItem) -> Option<String> {
    let line = match &item.body {
        ThreadItemBody::McpToolCall(call) => {
            let state = match call.status {
                McpToolCallStatus::Completed => "",
                McpToolCallStatus::Failed => " failed",
                McpToolCallStatus::InProgress => " runs",
            };
            let why = call.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
            format!("tool {}/{}{state} {}{why}", call.server, call.tool, call.arguments)
        }
        ThreadItemBody::DynamicToolCall(call) => format!("tool {} {}", call.tool, call.arguments),
        ThreadItemBody::ContextCompaction(_) => "older history was summed up for the model".to_owned(),
        ThreadItemBody::UserMessage(_)
        | ThreadItemBody::AgentMessage(_)
        | ThreadItemBody::HookPrompt(_)
        | ThreadItemBody::FunctionCallOutput(_)
        | ThreadItemBody::Plan(_)
        | ThreadItemBody::Reasoning(_)
        | ThreadItemBody::CommandExecution(_)
        | ThreadItemBody::FileChange(_)
        | ThreadItemBody::CollabAgentToolCall(_)
        | ThreadItemBody::SubAgentActivity(_)
        | ThreadItemBody::WebSearch(_)
        | ThreadItemBody::ImageView(_)
        | ThreadItemBody::Sleep(_)
        | ThreadItemBody::ImageGeneration(_)
        | ThreadItemBody::EnteredReviewMode(_)
        | ThreadItemBody::ExitedReviewMode(_) => return None,
    };
    Some(cut(&line, CALL_LINE))
}

/// A text of at most this many characters.
pub(in crate::cli) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_waits_visibly_between_lines_and_names_what_it_waits_for() {
        let mut view = TurnView::new(ViewForm::Text);
        let waits = |view: &mut TurnView, is_asking| {
            view.wait(is_asking);
            view.waiting.is_some().then(|| view.awaited.clone())
        };
        assert_eq!(waits(&mut view, false).as_deref(), Some(MODEL));
        assert_eq!(waits(&mut view, true), None, "the user types");
        view.show_event(&ThreadEvent::HelperStarts("files".to_owned())).unwrap();
        assert_eq!(waits(&mut view, false).as_deref(), Some("helper files starts"));
        let delta = |text: &str| ThreadEvent::Delta { item: ItemId::from("a"), text: text.to_owned() };
        view.show_event(&delta("one")).unwrap();
        assert_eq!(waits(&mut view, false), None, "the line of the answer is incomplete");
        view.show_event(&delta("\n")).unwrap();
        assert!(waits(&mut view, false).is_some());
        view.notice("a line").unwrap();
        assert!(view.waiting.is_none(), "two lines would stand in one another");
        assert_eq!(waits(&mut TurnView::new(ViewForm::Json), false), None);
    }
}
