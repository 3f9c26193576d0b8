//! Group 6: text that is UTF-8, and text that is not. From 6.5 on the sequences are those of Markus Kuhn's decoder test.

use super::super::client::{CONTINUATION, FIN, PING, TEXT, frame, head, masked};
use super::super::script::{Case, Step, Verdict};
use super::{NOT_UTF8, Writes, answered, closed, pong, text, whole};

mod sequences;

/// A Greek word, whose letters have two and three octets.
const KOSME: &[u8] = b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5";
const MIXED: &str = "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!";

const WHOLE_FRAMES: &str = "tungstenite checks UTF-8 when a frame is complete, and closes with 1007 then. RFC 6455, section 8.1, \
                            sets no time.";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = valid();
    let surrogate = [KOSME, b"\xED\xA0\x80edited"].concat();
    let refused = |number: &str, about: &str, frames: &[Vec<u8>]| {
        Case::new(number, about, closed(Writes::Together.of(frames), NOT_UTF8))
    };
    cases.push(refused("6.3.1", "a surrogate within text", &[whole(TEXT, &surrogate)]));
    cases.push(refused("6.3.2", "a surrogate in fragments of one octet", &fragments(&surrogate, 1)));
    cases.extend(fail_fast());
    for (at, sequences) in sequences::all().into_iter().enumerate() {
        for (position, (is_valid, octets)) in sequences.octets.into_iter().enumerate() {
            let number = format!("6.{}.{}", at + 5, position + 1);
            let sent = vec![Step::Send(whole(TEXT, &octets))];
            let steps = if is_valid { answered(sent, [text(&octets)]) } else { closed(sent, NOT_UTF8) };
            cases.push(Case::new(number, sequences.about, steps));
        }
    }
    cases
}

/// A text in frames with this many octets each.
fn fragments(payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let last = payload.len().div_ceil(size) - 1;
    let frame = |(at, part): (usize, &[u8])| {
        let opcode = if at == 0 { TEXT } else { CONTINUATION };
        frame(if at == last { FIN | opcode } else { opcode }, part)
    };
    payload.chunks(size).enumerate().map(frame).collect()
}

fn valid() -> Vec<Case> {
    let (empty, end) = (frame(TEXT, b""), frame(FIN | CONTINUATION, b""));
    let three = |middle: &[u8]| vec![empty.clone(), frame(CONTINUATION, middle), end.clone()];
    let (mixed, split) = (MIXED.as_bytes(), 12);
    let in_two = vec![frame(TEXT, &mixed[..split]), frame(FIN | CONTINUATION, &mixed[split..])];
    let echoed = |number: &str, about: &str, frames: &[Vec<u8>], payload: &[u8]| {
        Case::new(number, about, answered(Writes::Together.of(frames), [text(payload)]))
    };
    vec![
        echoed("6.1.1", "text of 0 octets", &[whole(TEXT, b"")], b""),
        echoed("6.1.2", "three fragments of 0 octets", &three(b""), b""),
        echoed("6.1.3", "a fragment with text between two of 0 octets", &three(b"middle"), b"middle"),
        echoed("6.2.1", "text with letters of two octets", &[whole(TEXT, mixed)], mixed),
        echoed("6.2.2", "two fragments, cut between two letters", &in_two, mixed),
        echoed("6.2.3", "fragments of one octet", &fragments(mixed, 1), mixed),
        echoed("6.2.4", "fragments of one octet, with letters of three", &fragments(KOSME, 1), KOSME),
    ]
}

/// The text becomes invalid in its second part. In the first two cases a part is a frame, and in the others a write. The
/// server has read a frame when it answers the ping behind it.
fn fail_fast() -> Vec<Case> {
    let (bad, rest) = (b"\xF4\x90\x80\x80".as_slice(), b"edited".as_slice());
    let all = [KOSME, bad, rest].concat();
    let in_frames = |number: &str, about: &str, first: &[u8], second: &[u8]| {
        let sent = vec![
            Step::Send([frame(TEXT, first), whole(PING, b"first")].concat()),
            pong("first"),
            Step::Send(frame(CONTINUATION, second)),
        ];
        Case::new(number, about, closed(sent, NOT_UTF8))
    };
    let in_writes = |number: &str, about: &str, first: usize, second: usize| {
        let octets = masked(&all);
        let begin = [head(FIN | TEXT, all.len()), octets[..first].to_vec()].concat();
        let (second, rest) = octets[first..].split_at(second);
        let steps = vec![
            Step::Send(begin),
            Step::Send(second.to_vec()),
            Step::CloseNowOrAfter(NOT_UTF8, rest.to_vec()),
        ];
        Case::new(number, about, steps).with(Verdict::NonStrict, WHOLE_FRAMES)
    };
    vec![
        in_frames("6.4.1", "a code point above U+10FFFF in the second fragment", KOSME, bad),
        in_frames("6.4.2", "the fragment ends with its first wrong octet", &all[..12], &all[12..13]),
        in_writes("6.4.3", "the same in three writes of one frame", KOSME.len(), bad.len()),
        in_writes("6.4.4", "the write ends with its first wrong octet", 12, 1),
    ]
}
