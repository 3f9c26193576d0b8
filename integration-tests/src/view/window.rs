//! A window on a thread: a client with its view, which can lose its connection and come back.

use anyhow::{Context, ensure};
use skein_protocol::approval::{ToolRequestUserInputAnswer, ToolRequestUserInputResponse};
use skein_protocol::extension::ResumeOptions;
use skein_protocol::ids::{RequestId, ThreadId, TurnId};
use skein_protocol::methods::{ThreadResume, ThreadStart};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::thread::{ThreadResumeParams, ThreadResumeResponse, ThreadStartParams};

use super::{Contradiction, Kind, View};
use crate::client::{Client, End, Received};
use crate::home::PATIENCE;
use crate::requests::resume_params;

/// How a window loses its connection. Messages that it has not applied are always lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// With a close frame, like a page that the user leaves.
    Goodbye,
    /// The socket is closed without a close frame.
    Drop,
    /// The socket is reset.
    Reset,
}

/// A client that shows one thread.
pub struct Window {
    /// State of the view.
    pub view: View,
    kind: Kind,
    /// Whether it only observes.
    observes: bool,
    thread: ThreadId,
    /// `None` without a connection.
    client: Option<Client>,
}

impl Window {
    /// Makes a thread and shows it.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn start(kind: Kind, address: &str) -> anyhow::Result<Self> {
        let mut client = connect(kind, address).await?;
        let response = client.call::<ThreadStart>(ThreadStartParams::default()).await?.into();
        Self::showing(kind, false, client, &response)
    }

    /// Shows a thread for the first time.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn open(kind: Kind, address: &str, thread: ThreadId) -> anyhow::Result<Self> {
        let mut client = connect(kind, address).await?;
        let (response, _) = resume(&mut client, resume_params(thread)).await?;
        Self::showing(kind, false, client, &response)
    }

    /// Shows a thread without keeping it loaded.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
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

    /// Id of the shown thread.
    pub fn thread(&self) -> ThreadId {
        self.thread
    }

    /// Whether it has a connection, as far as it knows.
    pub fn is_connected(&self) -> bool {
        self.client.is_some()
    }

    /// The connection.
    ///
    /// # Errors
    /// Fails if there is none.
    pub fn client(&mut self) -> anyhow::Result<&mut Client> {
        self.client.as_mut().context("this window has no connection")
    }

    /// Loses the connection.
    ///
    /// # Errors
    /// Fails if the server does not answer a close frame.
    pub async fn leave(&mut self, how: Leave) -> anyhow::Result<()> {
        let Some(client) = self.client.take() else { return Ok(()) };
        match how {
            Leave::Goodbye => client.close().await.map(drop),
            Leave::Drop => Ok(()),
            Leave::Reset => client.reset(),
        }
    }

    /// Reconnects and resumes: after the last number, or from the start if it knows none.
    ///
    /// # Errors
    /// Fails if the server refuses, or the answer contradicts the view.
    pub async fn come_back(&mut self, address: &str) -> anyhow::Result<()> {
        let mut client = connect(self.kind, address).await?;
        self.resume_by(&mut client).await?;
        self.client = Some(client);
        Ok(())
    }

    /// Resumes over the current connection.
    ///
    /// # Errors
    /// Fails if the server refuses, or the answer contradicts the view.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        let mut client = self.client.take().context("this window has no connection")?;
        let resumed = self.resume_by(&mut client).await;
        self.client = Some(client);
        resumed
    }

    async fn resume_by(&mut self, client: &mut Client) -> anyhow::Result<()> {
        let (seq, epoch) = self.view.at;
        let observe = self.observes;
        let skein = match self.kind {
            Kind::Numbered => ResumeOptions { observe, after_seq: Some(seq), epoch: Some(epoch) },
            Kind::Plain => ResumeOptions { observe, ..ResumeOptions::default() },
        };
        let params = ThreadResumeParams { skein: Some(skein), ..resume_params(self.thread) };
        let (response, before) = resume(client, params).await?;
        for message in &before {
            self.view.apply(message)?;
        }
        self.view.resume(&response).context(Contradiction)
    }

    /// Whether its client has asked for numbers.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Takes the next message and applies it.
    ///
    /// # Errors
    /// Fails if none comes, or it contradicts the view.
    pub async fn receive_one(&mut self) -> anyhow::Result<()> {
        self.receive().await.map(drop)
    }

    /// Takes the next message, applies it, and returns it.
    ///
    /// # Errors
    /// Fails like [`Window::receive_one`]; with a [`Contradiction`] if the message contradicts the view.
    pub async fn receive(&mut self) -> anyhow::Result<Received> {
        let client = self.client.as_mut().context("this window has no connection")?;
        let message = client.until("any message", |_| true).await?;
        self.view.apply(&message)?;
        Ok(message)
    }

    /// Takes messages until the view is as wanted.
    ///
    /// # Errors
    /// Fails if that does not happen.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&View) -> bool) -> anyhow::Result<()> {
        while !holds(&self.view) {
            if let Err(error) = self.receive_one().await {
                let (last, questions) = (self.view.turns.last(), &self.view.questions);
                return Err(
                    error.context(format!("waiting until {what}; the view is {last:#?} {questions:?}"))
                );
            }
        }
        Ok(())
    }

    /// Takes messages until a turn has ended and nothing of it is missing.
    ///
    /// # Errors
    /// Fails if that does not happen.
    pub async fn until_turn_end(&mut self, turn: &TurnId) -> anyhow::Result<()> {
        self.until("the end of the turn", |view| view.has_ended(turn) && view.is_at_rest()).await
    }

    /// Runs turns until the server of `judge` has given up a client of the thread that does not read. This window receives everything.
    ///
    /// # Errors
    /// Fails if that does not happen within [`PATIENCE`].
    pub async fn until_one_is_given_up(&mut self, judge: &mut Client) -> anyhow::Result<()> {
        let until_given_up = async {
            while judge.status().await?.refusals.slow_clients == 0 {
                // At full speed more may wait at the thread's server than any link may hold.
                let turn = self.start_turn("/stream 2000 500 1000").await?;
                self.until_turn_end(&turn).await?;
            }
            anyhow::Ok(())
        };
        let given_up = tokio::time::timeout(PATIENCE, until_given_up).await;
        given_up.context("the server does not give up a client that does not read")?
    }

    /// Takes messages until the connection ends. Returns its end.
    ///
    /// # Errors
    /// Fails if something else ends the messages.
    pub async fn until_closed(&mut self) -> anyhow::Result<End> {
        loop {
            if let Err(error) = self.receive_one().await {
                let end = self.client()?.end();
                return end.with_context(|| format!("not the end of the connection: {error:#}"));
            }
        }
    }

    /// Takes up to `count` messages, and stops early if `stop` holds.
    ///
    /// # Errors
    /// Fails like [`Window::receive_one`].
    pub async fn receive_some(&mut self, count: u64, stop: impl Fn(&View) -> bool) -> anyhow::Result<()> {
        for _ in 0..count {
            if stop(&self.view) {
                break;
            }
            self.receive_one().await?;
        }
        Ok(())
    }

    /// Starts a turn, or adds to the running one.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn start_turn(&mut self, text: &str) -> anyhow::Result<TurnId> {
        let thread = self.thread;
        self.client()?.start_turn(thread, text).await
    }

    /// Answers the open question.
    ///
    /// # Errors
    /// Fails if there is none, or the connection has ended.
    pub async fn answer(&mut self, text: &str) -> anyhow::Result<RequestId> {
        let (id, question) = self.view.open_question().context("no question is open")?;
        ensure!(!question.questions.is_empty(), "a request without a question");
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

/// Resumes. Returns the answer, and the messages before it.
async fn resume(
    client: &mut Client,
    params: ThreadResumeParams,
) -> anyhow::Result<(ThreadResumeResponse, Vec<Received>)> {
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
