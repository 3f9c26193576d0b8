//! Groups 5 and 10: messages in several frames.

use super::super::client::{CONTINUATION, FIN, PING, PONG, TEXT, frame};
use super::super::script::{Case, Message, Step};
use super::{PROTOCOL_ERROR, Writes, answered, closed, echo, pong, text, whole};

const ALL_WRITES: [Writes; 3] = [Writes::Together, Writes::Frames, Writes::Octets];

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [("5.1", PING, "ping"), ("5.2", PONG, "pong")]
        .map(|(number, opcode, kind)| {
            let sent = Writes::Together.of(&[frame(opcode, b"one"), frame(FIN | CONTINUATION, b"two")]);
            Case::new(number, format!("a {kind} in two fragments"), closed(sent, PROTOCOL_ERROR))
        })
        .into();
    cases.extend(two_fragments());
    cases.extend(nothing_to_continue());
    cases.extend(out_of_order());
    cases
        .extend([(19, Writes::Together), (20, Writes::Frames)].map(|(at, writes)| between_pings(at, writes)));
    cases
}

/// A message that a library cuts into frames.
pub(super) fn auto() -> Vec<Case> {
    let message = Message { fragment: Some(1300), ..Message::text(65_536) };
    vec![echo("10.1.1".to_owned(), "65536 octets of text in fragments of 1300".to_owned(), message)]
}

/// Two fragments, alone and with a ping between them.
fn two_fragments() -> Vec<Case> {
    let (one, ping, two) = (frame(TEXT, b"one"), whole(PING, b"ping"), frame(FIN | CONTINUATION, b"two"));
    let alone = ALL_WRITES.into_iter().enumerate().map(|(at, writes)| {
        let sent = writes.of(&[one.clone(), two.clone()]);
        let about = format!("text in two fragments{}", writes.about());
        Case::new(format!("5.{}", 3 + at), about, answered(sent, [text("onetwo")]))
    });
    let with_ping = ALL_WRITES.into_iter().enumerate().map(|(at, writes)| {
        let sent = writes.of(&[one.clone(), ping.clone(), two.clone()]);
        let about = format!("a ping between two fragments{}", writes.about());
        Case::new(format!("5.{}", 6 + at), about, answered(sent, [pong("ping"), text("onetwo")]))
    });
    alone.chain(with_ping).collect()
}

/// A continuation without a first fragment, which ends a message or not, and a whole message.
fn nothing_to_continue() -> Vec<Case> {
    let mut cases = Vec::new();
    for (first, fin, kind) in [(9, FIN, "last"), (12, 0, "middle")] {
        for (at, writes) in ALL_WRITES.into_iter().enumerate() {
            let sent = writes.of(&[frame(fin | CONTINUATION, b"nothing"), whole(TEXT, b"Hello, world!")]);
            let about = format!("a {kind} fragment without a first one, then text{}", writes.about());
            cases.push(Case::new(format!("5.{}", first + at), about, closed(sent, PROTOCOL_ERROR)));
        }
    }
    cases
}

fn out_of_order() -> Vec<Case> {
    let first = |payload: &[u8]| frame(TEXT, payload);
    let middle = |payload: &[u8]| frame(CONTINUATION, payload);
    let last = |payload: &[u8]| frame(FIN | CONTINUATION, payload);
    let mut behind =
        Writes::Together.of(&[first(b"one"), last(b"two"), middle(b"three"), whole(TEXT, b"four")]);
    behind.push(text("onetwo"));
    let twice = |begin: Vec<u8>| {
        let once = [begin, first(b"two"), last(b"three")].concat();
        closed(vec![Step::Send(once.clone()), Step::Send(once)], PROTOCOL_ERROR)
    };
    let two_firsts = Writes::Together.of(&[first(b"one"), whole(TEXT, b"two")]);
    vec![
        Case::new("5.15", "two fragments, a third behind them, then text", closed(behind, PROTOCOL_ERROR)),
        Case::new("5.16", "twice: a middle fragment before a message", twice(middle(b"one"))),
        Case::new("5.17", "twice: a last fragment before a message", twice(last(b"one"))),
        Case::new("5.18", "two fragments, both with the opcode of text", closed(two_firsts, PROTOCOL_ERROR)),
    ]
}

/// Five fragments with two pings between them. The client waits for the first pong before it goes on.
fn between_pings(at: usize, writes: Writes) -> Case {
    let mut sent = writes.of(&[frame(TEXT, b"1"), frame(CONTINUATION, b"2"), whole(PING, b"first")]);
    sent.push(pong("first"));
    sent.extend(writes.of(&[
        frame(CONTINUATION, b"3"),
        frame(CONTINUATION, b"4"),
        whole(PING, b"second"),
        frame(FIN | CONTINUATION, b"5"),
    ]));
    let about = format!("five fragments around two pings{}", writes.about());
    Case::new(format!("5.{at}"), about, answered(sent, [pong("second"), text("12345")]))
}
