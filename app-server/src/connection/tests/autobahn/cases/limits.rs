//! Groups 9, 12 and 13: large and many messages, and compression.

use skein_config::Limits;

use super::super::client::{FIN, Reply, TEXT, head};
use super::super::script::{Case, Message, Step, Verdict};
use super::{NO_BINARY, NOT_TEXT, TOO_LARGE, answered, closed, echo, kinds};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const NO_COMPRESSION: &str =
    "The server does not offer `permessage-deflate`: its answer has no `Sec-WebSocket-Extensions`.";

/// Octets that repeat in the payloads of the suite.
fn unit(opcode: u8) -> &'static [u8] {
    if opcode == TEXT { b"BAsd7&jh23" } else { b"\x00\xFE\x23\xFA\xF0" }
}

pub(super) fn cases() -> Vec<Case> {
    let whole = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB]
        .map(|length| Message { unit: b"", ..Message::text(length) });
    let fragments = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB]
        .map(|fragment| Message { fragment: Some(fragment), ..Message::text(4 * MIB) });
    let chops =
        [64, 128, 256, 512, 1024, 2048].map(|chop| Message { chop: Some(chop), ..Message::text(MIB) });
    let mut cases = group(kinds("9.1", "9.2"), &whole);
    cases.extend(group(kinds("9.3", "9.4"), &fragments));
    cases.extend(group(kinds("9.5", "9.6"), &chops));
    cases.extend(rounds());
    cases
}

/// These messages as text and as binary.
fn group(kinds: [(&str, u8, &str); 2], messages: &[Message]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, opcode, kind) in kinds {
        for (at, message) in messages.iter().enumerate() {
            let fragments = message.fragment.map(|size| format!(" in fragments of {size}"));
            let writes = message.chop.map(|size| format!(" in writes of {size}"));
            let parts = fragments.or(writes).unwrap_or_default();
            let about = format!("{} KiB of {kind}{parts}", message.length / KIB);
            let message = Message { opcode, unit: unit(opcode), ..*message };
            cases.push(echo(format!("{group}.{}", at + 1), about, message));
        }
    }
    cases
}

/// Many small messages, each behind the echo of the one before it.
fn rounds() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, opcode, kind) in kinds("9.7", "9.8") {
        for (at, length) in [0, 16, 64, 256, 1024, 4096].into_iter().enumerate() {
            let message = Message { opcode, unit: unit(opcode), ..Message::text(length) };
            let number = format!("{group}.{}", at + 1);
            let about = format!("1000 times {length} octets of {kind}, one behind the other");
            let round = |_| [Step::Large(message), Step::GetLarge(message)];
            cases.push(if opcode == TEXT {
                Case::new(number, about, answered((0..1_000).flat_map(round).collect(), []))
            } else {
                let steps = closed(vec![Step::Large(message)], NOT_TEXT);
                Case::new(number, about, steps).with(Verdict::Refused, NO_BINARY)
            });
        }
    }
    cases
}

/// Cases of an extension, which the client offers and the server leaves out of its answer.
pub(super) fn compression() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, parts) in [(12, 5), (13, 7)] {
        for (part, size) in (1..=parts).flat_map(|part| (1..=18).map(move |size| (part, size))) {
            let hello = Message::text(5);
            let steps = answered(vec![Step::Large(hello)], [Step::GetLarge(hello)]);
            let case = Case::new(format!("{group}.{part}.{size}"), "an offer of compression", steps);
            let offer = Some("permessage-deflate; client_no_context_takeover; client_max_window_bits");
            cases.push(Case { offer, ..case.with(Verdict::NotOffered, NO_COMPRESSION) });
        }
    }
    cases
}

/// More than a client may send: declared, sent in one frame, and sent in fragments.
pub(super) fn above() -> Vec<Case> {
    // The suite's largest message is as large as the limit.
    let limit = Limits::default().message_bytes;
    let above = Message::text(limit + 1);
    let fragments = Message { fragment: Some(MIB), ..above };
    let close =
        |about: &str, step: Step| Case::new("", about, vec![step, Step::Get(Reply::Close(Some(TOO_LARGE)))]);
    vec![
        close("a length above the limit", Step::Send(head(FIN | TEXT, limit + 1))),
        close("a message above the limit", Step::Large(above)),
        close("fragments above the limit", Step::Large(fragments)),
    ]
}
