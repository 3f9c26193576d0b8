//! A window on a thread: a client with its view, which can lose its connection and come back.

use anyhow::{Context, ensure};
use skein_protocol::approval::{ToolRequestUserInputAnswer, ToolRequestUserInputResponse};
use skein_protocol::extension::ResumeOptions;
use skein_protocol::ids::{RequestId, ThreadId, TurnId};
use skein_protocol::methods::{ThreadResume, ThreadStart};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::thread::{ThreadResumeParams, ThreadResumeResponse, ThreadStartParams};

use super::{Kind, View};
use crate::client::Client;
use crate::requests::resume_params;

/// How a window loses its connection. What was sent to it and not applied is lost each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// With a goodbye, as a page that is left.
    Goodbye,
    /// The socket is closed, without a word of the websocket.
    Drop,
    /// The socket is reset.
    Reset,
}

/// A client that shows one thread.
pub struct Window {
    /// What it shows.
    pub view: View,
    kind: Kind,
    /// It watches only.
    observes: bool,
    thread: ThreadId,
    /// `None` while it has no connection.
    client: Option<Client>,
}

impl Window {
    /// Makes a thread and shows it.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn start(kind: Kind, address: &str) -> anyhow::Result<Self> {
        let mut client = connect(kind, address).await?;
        let response = client.call::<ThreadStart>(ThreadStartParams::default()).await?.into();
        Self::showing(kind, false, client, &response)
    }

    /// Shows a thread that it has not seen before.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn open(kind: Kind, address: &str, thread: ThreadId) -> anyhow::Result<Self> {
        let mut client = connect(kind, address).await?;
        let (response, _) = resume(&mut client, resume_params(thread)).await?;
        Self::showing(kind, false, client, &response)
    }

    /// Shows a thread without keeping it loaded.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn observe(kind: Kind, address: &str, thread: ThreadId) -> anyhow::Result<Self> {
        let mut client = connect(kind, address).await?;
        let skein = Some(ResumeOptions { observe: true, ..ResumeOptions::default() });
        let params = ThreadResumeParams { skein, ..resume_params(thread) };
        let (response, _) = resume(&mut client, params).await?;
        Self::showing(kind, true, client, &response)
    }

    fn showing(
        kind: Kind,
        observes: bool,
        client: Client,
        shown: &ThreadResumeResponse,
    ) -> anyhow::Result<Self> {
        let view = View::new(kind, shown)?;
        Ok(Self { view, kind, observes, thread: shown.thread.id, client: Some(client) })
    }

    /// The thread that it shows.
    #[must_use]
    pub fn thread(&self) -> ThreadId {
        self.thread
    }

    /// Whether it has a connection, as far as it knows.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.is_some()
    }

    /// Its connection.
    ///
    /// # Errors
    /// When it has none.
    pub fn client(&mut self) -> anyhow::Result<&mut Client> {
        self.client.as_mut().context("this window has no connection")
    }

    /// Loses the connection.
    ///
    /// # Errors
    /// When a goodbye is not answered.
    pub async fn leave(&mut self, how: Leave) -> anyhow::Result<()> {
        let Some(client) = self.client.take() else { return Ok(()) };
        match how {
            Leave::Goodbye => client.close().await.map(drop),
            Leave::Drop => Ok(()),
            Leave::Reset => client.reset(),
        }
    }

    /// Connects anew and resumes: by number, or from nothing when it knows none.
    ///
    /// # Errors
    /// When it is refused, or what is shown contradicts what is known.
    pub async fn come_back(&mut self, address: &str) -> anyhow::Result<()> {
        self.client = Some(connect(self.kind, address).await?);
        self.resume().await
    }

    /// Resumes over the connection that it has.
    ///
    /// # Errors
    /// When it is refused, or what is shown contradicts what is known.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        let (seq, epoch) = self.view.at;
        let observe = self.observes;
        let skein = match self.kind {
            Kind::Numbered => ResumeOptions { observe, after_seq: Some(seq), epoch: Some(epoch) },
            Kind::Plain => ResumeOptions { observe, ..ResumeOptions::default() },
        };
        let params = ThreadResumeParams { skein: Some(skein), ..resume_params(self.thread) };
        let client = self.client.as_mut().context("this window has no connection")?;
        let (response, before) = resume(client, params).await?;
        for message in &before {
            self.view.hear(message)?;
        }
        self.view.resume(&response)
    }

    /// Takes the next message and applies it.
    ///
    /// # Errors
    /// When none comes, or it contradicts what is known.
    pub async fn hear_one(&mut self) -> anyhow::Result<()> {
        let client = self.client.as_mut().context("this window has no connection")?;
        let message = client.until("any message", |_| true).await?;
        self.view.hear(&message)
    }

    /// Takes messages until the view is as wanted.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&View) -> bool) -> anyhow::Result<()> {
        while !holds(&self.view) {
            if let Err(error) = self.hear_one().await {
                let (last, questions) = (self.view.turns.last(), &self.view.questions);
                return Err(error.context(format!("until {what}; shown is {last:#?} {questions:?}")));
            }
        }
        Ok(())
    }

    /// Takes so many messages, or fewer when there is something to stop for.
    ///
    /// # Errors
    /// As [`Window::hear_one`].
    pub async fn hear_some(&mut self, count: u64, stop: impl Fn(&View) -> bool) -> anyhow::Result<()> {
        for _ in 0..count {
            if stop(&self.view) {
                break;
            }
            self.hear_one().await?;
        }
        Ok(())
    }

    /// Begins a turn, or adds to the one that runs.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn start_turn(&mut self, text: &str) -> anyhow::Result<TurnId> {
        let thread = self.thread;
        self.client()?.start_turn(thread, text).await
    }

    /// Answers the question that is open.
    ///
    /// # Errors
    /// When there is none, or the connection has ended.
    pub async fn answer(&mut self, text: &str) -> anyhow::Result<RequestId> {
        let (id, question) = self.view.open_question().context("no question is open")?;
        ensure!(!question.questions.is_empty(), "a question without a question");
        let (id, name) = (id.clone(), question.questions[0].id.clone());
        let answer = ToolRequestUserInputAnswer { answers: vec![text.to_owned()] };
        let response = ToolRequestUserInputResponse { answers: [(name, answer)].into() };
        self.client()?.answer_request::<ItemToolRequestUserInput>(&id, &response).await?;
        Ok(id)
    }
}

async fn connect(kind: Kind, address: &str) -> anyhow::Result<Client> {
    match kind {
        Kind::Numbered => Client::numbered(address).await,
        Kind::Plain => Client::ready(address).await,
    }
}

/// Resumes. Returns the answer, and what came before it.
async fn resume(
    client: &mut Client,
    params: ThreadResumeParams,
) -> anyhow::Result<(ThreadResumeResponse, Vec<crate::client::Received>)> {
    let pending = client.start_call::<ThreadResume>(&params).await?;
    let mut before = Vec::new();
    loop {
        let message = client.until("the answer to a resume", |_| true).await?;
        if message.answers(pending.id()) {
            let answer = message.into_answer::<ThreadResumeResponse>()?;
            return Ok((answer.context("the resume is refused")?, before));
        }
        before.push(message);
    }
}
