//! Groups 2 to 4: pings and pongs, reserved bits, and opcodes without a meaning.

use super::super::client::{BINARY, CLOSE, FIN, PING, PONG, TEXT, frame};
use super::super::script::{Case, Step};
use super::{NORMAL, PROTOCOL_ERROR, Writes, answered, close_frame, closed, pong, text, whole};

const HELLO: &[u8] = b"Hello, world!";
const NO_TEXT: &[u8] = b"\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF";

pub(super) fn pings() -> Vec<Case> {
    let ping = |number: &str, about: &str, payload: &[u8]| {
        let sent = vec![Step::Send(whole(PING, payload))];
        Case::new(number, about, answered(sent, [pong(payload)]))
    };
    let long = vec![0xFE; 125];
    let too_long = vec![Step::Send(whole(PING, &[0xFE; 126]))];
    let unsolicited = whole(PONG, b"unsolicited");
    let alone = |number: &str, about: &str, payload: &[u8]| {
        let sent = vec![Step::Send(whole(PONG, payload)), Step::Send(close_frame(NORMAL, b""))];
        Case::new(number, about, closed(sent, NORMAL))
    };
    let chopped = vec![Step::Chopped(1, whole(PING, &long))];
    let both = vec![Step::Send(unsolicited), Step::Send(whole(PING, b"ping"))];
    let mut cases = vec![
        ping("2.1", "a ping without payload", b""),
        ping("2.2", "a ping with text", HELLO),
        ping("2.3", "a ping with octets that are not UTF-8", NO_TEXT),
        ping("2.4", "a ping with 125 octets", &long),
        Case::new("2.5", "a ping with 126 octets", closed(too_long, PROTOCOL_ERROR)),
        Case::new("2.6", "a ping with 125 octets, a write for each octet", answered(chopped, [pong(&long)])),
        alone("2.7", "a pong that nobody asked for", b""),
        alone("2.8", "a pong with payload that nobody asked for", b"unsolicited"),
        Case::new("2.9", "such a pong, then a ping", answered(both, [pong("ping")])),
    ];
    for (number, writes) in [("2.10", Writes::Together), ("2.11", Writes::Octets)] {
        let payloads: Vec<String> = (0..10).map(|at| format!("payload-{at}")).collect();
        let frames: Vec<Vec<u8>> = payloads.iter().map(|payload| whole(PING, payload.as_bytes())).collect();
        let about = format!("ten pings{}", writes.about());
        cases.push(Case::new(number, about, answered(writes.of(&frames), payloads.iter().map(pong))));
    }
    cases
}

pub(super) fn reserved_bits() -> Vec<Case> {
    let alone = |number: &str, opcode: u8, payload: &[u8], bits: u8, kind: &str| {
        let sent = vec![Step::Send(frame(FIN | (bits << 4) | opcode, payload))];
        Case::new(number, format!("{kind} with reserved bits {bits}"), closed(sent, PROTOCOL_ERROR))
    };
    let behind_text = |number: &str, bits: u8, writes: Writes| {
        let bad = frame(FIN | (bits << 4) | TEXT, HELLO);
        behind_a_message(number, &format!("text with reserved bits {bits}"), bad, writes)
    };
    vec![
        alone("3.1", TEXT, HELLO, 1, "text"),
        behind_text("3.2", 2, Writes::Together),
        behind_text("3.3", 3, Writes::Frames),
        behind_text("3.4", 4, Writes::Octets),
        alone("3.5", BINARY, NO_TEXT, 5, "binary"),
        alone("3.6", PING, HELLO, 6, "a ping"),
        alone("3.7", CLOSE, b"", 7, "a close frame"),
    ]
}

/// A message, a bad frame, and a ping: the message is echoed, and the ping is not answered.
fn behind_a_message(number: &str, about: &str, bad: Vec<u8>, writes: Writes) -> Case {
    let mut sent = writes.of(&[whole(TEXT, HELLO), bad, whole(PING, b"")]);
    sent.push(text(HELLO));
    let about = format!("a message, {about}, and a ping{}", writes.about());
    Case::new(number, about, closed(sent, PROTOCOL_ERROR))
}

pub(super) fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, first) in [("4.1", 3), ("4.2", 11)] {
        for at in 0..5 {
            let (number, opcode) = (format!("{group}.{}", at + 1), first + at);
            // The first and the third have no payload.
            let payload = if at % 2 == 0 && at < 4 { b"" } else { HELLO };
            let bad = whole(opcode, payload);
            let about = format!("opcode {opcode} with {} octets", payload.len());
            cases.push(match at {
                0 | 1 => Case::new(number, about, closed(vec![Step::Send(bad)], PROTOCOL_ERROR)),
                4.. => behind_a_message(&number, &about, bad, Writes::Octets),
                _ => behind_a_message(&number, &about, bad, Writes::Together),
            });
        }
    }
    cases
}
