//! One thread at the terminal: its turns, events and questions. `skein run` and `skein chat` share it.

pub(super) mod dialog;
pub(super) mod event;
pub(super) mod input;
pub(super) mod view;

use std::collections::VecDeque;
use std::path::PathBuf;

use anyhow::Context;
use skein_protocol::ids::{RequestId, ThreadId, TurnId};
use skein_protocol::methods::{ThreadResume, ThreadStart, TurnInterrupt, TurnStart};
use skein_protocol::thread::{Thread, ThreadResumeParams, ThreadStartParams};
use skein_protocol::turn::{Turn, TurnInterruptParams, TurnStartParams, TurnStatus, UserInput};

use super::outputs::TurnOutcome;
use super::progress::Waiting;
use super::session::HomeClient;
use super::threads::find;
use dialog::{Dialog, DialogReply, DialogStep, UserQuestion};
use event::ThreadEvent;
use input::{Interrupts, UserLines};
use view::TurnView;

/// The way to answer questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Approval {
    /// Ask at the terminal; without one the turn ends with exit code 4.
    Ask,
    /// Refuse.
    Never,
    /// Approve calls; refuse other questions.
    All,
}

/// The end of a turn.
#[derive(Debug, PartialEq)]
pub(super) enum TurnEnd {
    /// As the server says.
    Done(Box<Turn>),
    /// A question that nobody could answer has ended it.
    Unanswered(Box<Turn>),
    /// The user has left before its end.
    Left,
}

/// A thread, and this client of it.
pub(super) struct ThreadClient {
    home: HomeClient,
    thread: ThreadId,
    model: String,
    name: Option<String>,
    turns: Vec<Turn>,
    /// Messages that came before they were asked for.
    early: VecDeque<String>,
}

impl ThreadClient {
    /// Goes on with the thread of a word, or begins one in the working directory. After an error this process serves
    /// nothing.
    ///
    /// # Errors
    /// The home is not available, or the server refuses.
    pub(super) async fn open(
        home: Option<PathBuf>,
        word: Option<&str>,
        model: Option<&str>,
        json: bool,
    ) -> anyhow::Result<Self> {
        let mut home = HomeClient::open(home, json).await?;
        let mut early = VecDeque::new();
        let waiting = Waiting::of("waiting for the thread", json);
        let opened = match word {
            Some(word) => resume(&mut home, word, &mut early).await,
            None => begin(&mut home, model, &mut early).await,
        };
        drop(waiting);
        match opened {
            Ok((thread, model)) => {
                let Thread { id, name, turns, .. } = thread;
                Ok(Self { home, thread: id, model, name, turns, early })
            }
            Err(error) => {
                home.close().await;
                Err(error)
            }
        }
    }

    /// The thread's id.
    pub(super) fn thread(&self) -> ThreadId {
        self.thread
    }

    /// A line about the thread.
    pub(super) fn headline(&self) -> String {
        let name = self.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
        format!("thread {}{name}, model {}", self.thread, self.model)
    }

    /// The newest turns that the resume has brought, the oldest first.
    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Sends a message, which begins a turn.
    ///
    /// # Errors
    /// The server refuses it, or is gone.
    pub(super) async fn send(&mut self, text: &str, model: Option<&str>) -> anyhow::Result<TurnId> {
        let params = TurnStartParams::new(self.thread, vec![UserInput::text(text)]);
        let params = TurnStartParams { model: model.map(str::to_owned), ..params };
        Ok(self.home.call_keeping::<TurnStart>(&params, &mut self.early).await?.turn.id)
    }

    /// Shows the turn until its end, and has its questions answered.
    ///
    /// # Errors
    /// The server is gone.
    pub(super) async fn follow(
        &mut self,
        turn: &TurnId,
        approval: Approval,
        lines: &mut UserLines,
        interrupts: &mut Interrupts,
        view: &mut TurnView,
    ) -> anyhow::Result<TurnEnd> {
        let mut following =
            Following { approval, open: VecDeque::new(), interrupted: false, unanswered: false };
        loop {
            let is_asking = !following.open.is_empty();
            view.wait(is_asking);
            tokio::select! {
                text = self.next() => {
                    if let Some(ended) = self.take(&text?, turn, &mut following, lines, view).await? {
                        return Ok(if following.unanswered { TurnEnd::Unanswered(ended) } else { TurnEnd::Done(ended) });
                    }
                }
                line = lines.next(), if is_asking => self.reply_with(line, turn, &mut following, view).await?,
                () = interrupts.next() => {
                    if following.interrupted {
                        return Ok(TurnEnd::Left);
                    }
                    following.interrupted = true;
                    self.interrupt(turn).await?;
                }
            }
        }
    }

    /// Handles one message; returns the turn if it has ended.
    async fn take(
        &mut self,
        text: &str,
        turn: &TurnId,
        following: &mut Following,
        lines: &mut UserLines,
        view: &mut TurnView,
    ) -> anyhow::Result<Option<Box<Turn>>> {
        let event = ThreadEvent::read(text, self.thread);
        view.show(text, &event)?;
        match event {
            ThreadEvent::Ended(ended) if ended.id == *turn => return Ok(Some(ended)),
            ThreadEvent::Question(question) => self.ask(question, turn, following, lines, view).await?,
            ThreadEvent::Unanswerable(id) => self.home.refuse(&id, "this client has no such tool").await?,
            ThreadEvent::Resolved(id) => following.resolved(&id, view)?,
            ThreadEvent::Ended(_)
            | ThreadEvent::Delta { .. }
            | ThreadEvent::Begun(_)
            | ThreadEvent::HelperStarts(_)
            | ThreadEvent::Finished(_)
            | ThreadEvent::Notice(_)
            | ThreadEvent::Other => {}
        }
        Ok(None)
    }

    async fn ask(
        &mut self,
        question: UserQuestion,
        turn: &TurnId,
        following: &mut Following,
        lines: &mut UserLines,
        view: &mut TurnView,
    ) -> anyhow::Result<()> {
        let reply = match following.approval {
            Approval::All => question.approved(),
            Approval::Never => question.refused(),
            Approval::Ask if lines.open() => {
                let dialog = Dialog::new(question);
                if following.open.is_empty() {
                    view.prompt(&dialog.prompt())?;
                }
                following.open.push_back(dialog);
                return Ok(());
            }
            Approval::Ask => {
                following.unanswered = true;
                view.notice(
                    "a question needs an answer, and there is no terminal: --approve never or all decides",
                )?;
                self.send_reply(question.cancelled()).await?;
                return self.interrupt(turn).await;
            }
        };
        self.send_reply(reply).await
    }

    /// Gives a line of the user to the open question.
    async fn reply_with(
        &mut self,
        line: Option<String>,
        turn: &TurnId,
        following: &mut Following,
        view: &mut TurnView,
    ) -> anyhow::Result<()> {
        let Some(dialog) = following.open.front_mut() else { return Ok(()) };
        let Some(line) = line else {
            // The terminal is gone.
            following.unanswered = true;
            let open = std::mem::take(&mut following.open);
            for dialog in open {
                self.send_reply(dialog.into_question().cancelled()).await?;
            }
            return self.interrupt(turn).await;
        };
        match dialog.take(&line) {
            DialogStep::Again => view.prompt(&dialog.prompt())?,
            DialogStep::Done(reply) => {
                following.open.pop_front();
                self.send_reply(reply).await?;
                if let Some(next) = following.open.front() {
                    view.prompt(&next.prompt())?;
                }
            }
        }
        Ok(())
    }

    async fn send_reply(&mut self, reply: DialogReply) -> anyhow::Result<()> {
        match reply {
            DialogReply::Result(id, result) => self.home.answer(&id, &result).await,
            DialogReply::Refusal(id, why) => self.home.refuse(&id, why).await,
        }
    }

    async fn interrupt(&mut self, turn: &TurnId) -> anyhow::Result<()> {
        let params = TurnInterruptParams { thread_id: self.thread, turn_id: turn.clone() };
        // A turn that has ended meanwhile refuses it, and its end is on the way.
        let _ended = self.home.call_keeping::<TurnInterrupt>(&params, &mut self.early).await;
        Ok(())
    }

    async fn next(&mut self) -> anyhow::Result<String> {
        match self.early.pop_front() {
            Some(text) => Ok(text),
            None => self.home.next().await,
        }
    }

    /// Leaves the thread; a server in this process ends.
    pub(super) async fn close(self) {
        self.home.close().await;
    }
}

async fn begin(
    home: &mut HomeClient,
    model: Option<&str>,
    early: &mut VecDeque<String>,
) -> anyhow::Result<(Thread, String)> {
    let cwd = std::env::current_dir().context("the working directory")?;
    let cwd = Some(cwd.to_string_lossy().into_owned());
    let params = ThreadStartParams { cwd, model: model.map(str::to_owned), ..ThreadStartParams::default() };
    let started = home.call_keeping::<ThreadStart>(&params, early).await?;
    Ok((started.thread, started.model))
}

async fn resume(
    home: &mut HomeClient,
    word: &str,
    early: &mut VecDeque<String>,
) -> anyhow::Result<(Thread, String)> {
    let thread = find::thread(home, word).await?;
    let resumed = home.call_keeping::<ThreadResume>(&ThreadResumeParams::new(thread), early).await?;
    Ok((resumed.thread, resumed.model))
}

/// The state of a turn that is followed.
struct Following {
    approval: Approval,
    /// Questions that the user has to answer, the first of which is shown.
    open: VecDeque<Dialog>,
    interrupted: bool,
    unanswered: bool,
}

impl Following {
    /// Somebody else has answered a question.
    fn resolved(&mut self, id: &RequestId, view: &mut TurnView) -> anyhow::Result<()> {
        let was_shown = self.open.front().is_some_and(|dialog| dialog.id() == id);
        self.open.retain(|dialog| dialog.id() != id);
        if was_shown {
            view.notice("the question is settled")?;
            if let Some(next) = self.open.front() {
                view.prompt(&next.prompt())?;
            }
        }
        Ok(())
    }
}

/// The exit code of an interrupted turn.
pub(super) const INTERRUPTED: u8 = 130;

/// The exit code for the end of a turn.
pub(super) fn exit_code(end: &TurnEnd) -> u8 {
    match end {
        TurnEnd::Unanswered(_) => 4,
        TurnEnd::Left => INTERRUPTED,
        TurnEnd::Done(turn) => match turn.status {
            TurnStatus::Completed => 0,
            TurnStatus::Interrupted => INTERRUPTED,
            TurnStatus::Failed | TurnStatus::InProgress => 1,
        },
    }
}

/// The last line of `--json`.
pub(super) fn outcome(thread: ThreadId, end: &TurnEnd) -> TurnOutcome {
    let turn = match end {
        TurnEnd::Done(turn) | TurnEnd::Unanswered(turn) => Some(turn),
        TurnEnd::Left => None,
    };
    let error = turn.and_then(|turn| turn.error.as_ref()).map(|error| error.message.clone());
    TurnOutcome {
        complete: exit_code(end) == 0,
        thread_id: thread,
        turn_id: turn.map(|turn| turn.id.to_string()),
        status: turn.map(|turn| turn.status),
        error,
        exit_code: exit_code(end),
    }
}
