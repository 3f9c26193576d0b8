//! A case: what the client sends, what the server must answer, and what the suite says about that.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::client::{CONTINUATION, FIN, RawClient, Reply, TEXT, frame, head, masked};

/// How long a server that checks octets as they come has for a close frame. A server that waits for the end of the frame
/// never sends one meanwhile, so that a busy machine makes no difference.
const FAIL_FAST: Duration = Duration::from_millis(300);

/// A case of the suite.
pub(super) struct Case {
    /// Its number in the suite.
    pub(super) number: String,
    pub(super) about: String,
    /// The extensions that the client offers.
    pub(super) offer: Option<&'static str>,
    pub(super) steps: Vec<Step>,
    pub(super) verdict: Verdict,
    /// The reason, unless the case has passed.
    pub(super) why: &'static str,
}

/// How the outcome stands to the suite's expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// As the suite expects it.
    Passed,
    /// The standard allows it, and the suite prefers something else.
    NonStrict,
    /// The standard leaves the outcome open.
    Informational,
    /// The server refuses the message on purpose.
    Refused,
    /// The case needs an extension that the server does not offer.
    NotOffered,
}

/// A part of a case. A case ends with the end of the connection.
pub(super) enum Step {
    /// Octets in one write.
    Send(Vec<u8>),
    /// Octets in writes of this many.
    Chopped(usize, Vec<u8>),
    /// A message without its octets in memory.
    Large(Message),
    /// A frame that must come next.
    Get(Reply),
    /// The echo of a message.
    GetLarge(Message),
    /// The server closes with this code after the octets so far, or else only after these further ones.
    CloseNowOrAfter(u16, Vec<u8>),
    /// Echoes that may come or not, then a close frame with this code.
    CloseBehindEchoes(u16),
}

/// A message that repeats `unit` up to its length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) opcode: u8,
    pub(super) unit: &'static [u8],
    pub(super) length: usize,
    /// Octets of each frame's payload; all by default.
    pub(super) fragment: Option<usize>,
    /// Octets of each write; a frame by default.
    pub(super) chop: Option<usize>,
}

impl Message {
    pub(super) fn text(length: usize) -> Self {
        Self { opcode: TEXT, unit: b"*", length, fragment: None, chop: None }
    }

    fn payload(&self) -> Vec<u8> {
        let mut payload = self.unit.repeat(self.length.div_ceil(self.unit.len()));
        payload.truncate(self.length);
        payload
    }
}

impl Case {
    pub(super) fn new(number: impl Into<String>, about: impl Into<String>, steps: Vec<Step>) -> Self {
        let (number, about, verdict) = (number.into(), about.into(), Verdict::Passed);
        Self { number, about, offer: None, steps, verdict, why: "" }
    }

    pub(super) fn with(self, verdict: Verdict, why: &'static str) -> Self {
        Self { verdict, why, ..self }
    }

    /// The first part of its number.
    pub(super) fn group(&self) -> &str {
        self.number.split('.').next().unwrap_or_default()
    }
}

/// A client in the middle of a case.
pub(super) struct Player {
    client: RawClient,
}

impl Player {
    /// Plays a case to the end of its connection.
    pub(super) async fn play(address: SocketAddr, case: &Case) -> Result<()> {
        let (client, answer) = RawClient::connect(address, case.offer).await?;
        ensure!(!answer.contains("sec-websocket-extensions"), "an extension was agreed on: {answer}");
        let mut player = Self { client };
        for step in &case.steps {
            player.step(step).await?;
        }
        player.expect(&Reply::End).await
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Send(octets) => self.send(octets).await,
            Step::Chopped(chop, octets) => {
                for octets in octets.chunks(*chop) {
                    self.send(octets).await;
                }
            }
            Step::Large(message) => self.send_large(message).await,
            Step::Get(reply) => self.expect(reply).await?,
            Step::GetLarge(message) => self.expect(&Reply::Text(message.payload())).await?,
            Step::CloseNowOrAfter(code, octets) => {
                let early = tokio::time::timeout(FAIL_FAST, self.client.next()).await;
                ensure!(early.is_err(), "the server fails fast now: say so in the table: {early:?}");
                self.send(octets).await;
                self.expect(&Reply::Close(Some(*code))).await?;
            }
            Step::CloseBehindEchoes(code) => {
                let mut reply = self.client.next().await?;
                while matches!(reply, Reply::Text(_)) {
                    reply = self.client.next().await?;
                }
                ensure!(reply == Reply::Close(Some(*code)), "expected {code}, found {reply:?}");
            }
        }
        Ok(())
    }

    /// Sends octets. A server may close the connection before it has all of them; its close frame says why.
    async fn send(&mut self, octets: &[u8]) {
        self.client.send(octets).await.ok();
    }

    async fn send_large(&mut self, message: &Message) {
        let payload = message.payload();
        let fragments = payload.chunks(message.fragment.unwrap_or(message.length).max(1));
        let last = fragments.len().saturating_sub(1);
        for (at, fragment) in fragments.enumerate() {
            let opcode = if at == 0 { message.opcode } else { CONTINUATION };
            let first = if at == last { opcode | FIN } else { opcode };
            let mut octets = head(first, fragment.len());
            octets.extend(masked(fragment));
            for octets in octets.chunks(message.chop.unwrap_or(octets.len())) {
                self.send(octets).await;
            }
        }
        if payload.is_empty() {
            self.send(&frame(message.opcode | FIN, &[])).await;
        }
    }

    async fn expect(&mut self, expected: &Reply) -> Result<()> {
        let found = self.client.next().await?;
        ensure!(found == *expected, "expected {expected:?}, found {found:?}");
        Ok(())
    }
}
