//! The cases in the order of the suite, and what most of them have in common.

use super::client::{BINARY, CLOSE, FIN, Reply, TEXT, frame};
use super::script::{Case, Message, Step, Verdict};

mod close;
mod control;
mod fragments;
mod framing;
mod limits;
mod utf8;

/// All cases of the suite.
pub(super) fn all() -> Vec<Case> {
    let groups = [
        framing::cases(),
        control::pings(),
        control::reserved_bits(),
        control::opcodes(),
        fragments::cases(),
        utf8::cases(),
        close::cases(),
        limits::cases(),
        fragments::auto(),
        limits::compression(),
    ];
    groups.into_iter().flatten().collect()
}

/// Messages that are larger than the suite's, sent to their end.
pub(super) fn above_the_limit() -> Vec<Case> {
    limits::above()
}

const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const NOT_TEXT: u16 = 1003;
const NOT_UTF8: u16 = 1007;
const TOO_LARGE: u16 = 1009;

/// The reason why binary messages do not come back.
const NO_BINARY: &str =
    "A binary message. The protocol is JSON in text frames; the connection closes with 1003.";

/// How frames are cut into writes.
#[derive(Clone, Copy)]
enum Writes {
    Together,
    Frames,
    Octets,
}

impl Writes {
    /// The words that end a description.
    fn about(self) -> &'static str {
        match self {
            Self::Together => "",
            Self::Frames => ", a write for each frame",
            Self::Octets => ", a write for each octet",
        }
    }

    fn of(self, frames: &[Vec<u8>]) -> Vec<Step> {
        match self {
            Self::Together => vec![Step::Send(frames.concat())],
            Self::Frames => frames.iter().cloned().map(Step::Send).collect(),
            Self::Octets => vec![Step::Chopped(1, frames.concat())],
        }
    }
}

/// A frame that is a whole message.
fn whole(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(FIN | opcode, payload)
}

/// A close frame of a client.
fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    whole(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

fn text(payload: impl AsRef<[u8]>) -> Step {
    Step::Get(Reply::Text(payload.as_ref().to_vec()))
}

fn pong(payload: impl AsRef<[u8]>) -> Step {
    Step::Get(Reply::Pong(payload.as_ref().to_vec()))
}

/// The client receives all of these frames, and closes.
fn answered(mut sent: Vec<Step>, replies: impl IntoIterator<Item = Step>) -> Vec<Step> {
    sent.extend(replies);
    sent.push(Step::Send(close_frame(NORMAL, b"")));
    closed(sent, NORMAL)
}

/// The server closes with this code.
fn closed(mut sent: Vec<Step>, code: u16) -> Vec<Step> {
    sent.push(Step::Get(Reply::Close(Some(code))));
    sent
}

/// A message comes back if it is text, and is refused if it is binary.
fn echo(number: String, about: String, message: Message) -> Case {
    let steps = vec![Step::Large(message)];
    if message.opcode == TEXT {
        return Case::new(number, about, answered(steps, [Step::GetLarge(message)]));
    }
    Case::new(number, about, closed(steps, NOT_TEXT)).with(Verdict::Refused, NO_BINARY)
}

/// The subgroup's number, the opcode and its name, for text and binary.
fn kinds(text: &'static str, binary: &'static str) -> [(&'static str, u8, &'static str); 2] {
    [(text, TEXT, "text"), (binary, BINARY, "binary")]
}
