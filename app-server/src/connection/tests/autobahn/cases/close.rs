//! Group 7: the end of a connection that the client closes.

use super::super::client::{CLOSE, CONTINUATION, FIN, PING, Reply, TEXT, frame};
use super::super::script::{Case, Message, Step, Verdict};
use super::{NORMAL, NOT_UTF8, PROTOCOL_ERROR, answered, close_frame, closed, text, whole};

/// Codes that a client may send, in the order of the suite.
const VALID: [u16; 13] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
/// Codes that no frame may have.
const INVALID: [u16; 9] = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];

const UNDEFINED: &str = "RFC 6455, section 7.4.2, defines no code above 4999. The answer has 1002.";
const ECHOES_DROPPED: &str =
    "Messages that wait when the client's close frame comes are dropped. The close frame is answered.";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = order();
    cases.extend(payloads());
    let code = |group: &str, codes: &[u16], about: &str, answer: fn(u16) -> u16| {
        let codes = codes.iter().enumerate().map(|(at, code)| {
            let sent = vec![Step::Send(close_frame(*code, b""))];
            let about = format!("{about} {code}");
            Case::new(format!("{group}.{}", at + 1), about, closed(sent, answer(*code)))
        });
        codes.collect::<Vec<Case>>()
    };
    cases.extend(code("7.7", &VALID, "the valid code", |code| code));
    cases.extend(code("7.9", &INVALID, "the invalid code", |_| PROTOCOL_ERROR));
    let open = |_| PROTOCOL_ERROR;
    let undefined = code("7.13", &[5000, 65_535], "the code", open).into_iter();
    cases.extend(undefined.map(|case| case.with(Verdict::Informational, UNDEFINED)));
    cases
}

/// Frames before and behind the close frame.
fn order() -> Vec<Case> {
    let close = close_frame(NORMAL, b"");
    let behind = |number: &str, about: &str, before: Vec<u8>, behind: Vec<u8>| {
        let sent = vec![Step::Send(before), Step::Send(close.clone()), Step::Send(behind)];
        Case::new(number, about, closed(sent, NORMAL))
    };
    let hello = vec![Step::Send(whole(TEXT, b"Hello World!"))];
    let large = Message { unit: b"BAsd7&jh23", ..Message::text(256 << 10) };
    let at_once = vec![
        Step::Large(large),
        Step::Send([whole(TEXT, b"Hello World!"), close.clone(), whole(PING, b"")].concat()),
        Step::CloseBehindEchoes(NORMAL),
    ];
    vec![
        Case::new("7.1.1", "a message, then a close frame", answered(hello, [text("Hello World!")])),
        behind("7.1.2", "two close frames", Vec::new(), whole(CLOSE, b"")),
        behind("7.1.3", "a ping behind the close frame", Vec::new(), whole(PING, b"")),
        behind("7.1.4", "text behind the close frame", Vec::new(), whole(TEXT, b"Hello World!")),
        behind(
            "7.1.5",
            "a close frame between two fragments",
            frame(TEXT, b"one"),
            frame(FIN | CONTINUATION, b"two"),
        ),
        Case::new("7.1.6", "256 KiB of text, text, a close frame and a ping at once", at_once)
            .with(Verdict::Informational, ECHOES_DROPPED),
    ]
}

/// Payloads of a close frame.
fn payloads() -> Vec<Case> {
    let close = |number: &str, about: &str, frame: Vec<u8>, code: u16| {
        Case::new(number, about, closed(vec![Step::Send(frame)], code))
    };
    let no_code = vec![Step::Send(whole(CLOSE, b"")), Step::Get(Reply::Close(None))];
    let not_utf8 =
        [b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5".as_slice(), b"\xED\xA0\x80edited"].concat();
    vec![
        Case::new("7.3.1", "a close frame without a code", no_code),
        close("7.3.2", "a close frame with one octet", whole(CLOSE, b"a"), PROTOCOL_ERROR),
        close("7.3.3", "a close frame with a code", close_frame(NORMAL, b""), NORMAL),
        close("7.3.4", "a close frame with a reason", close_frame(NORMAL, b"Hello World!"), NORMAL),
        close(
            "7.3.5",
            "a close frame with a reason of 123 octets",
            close_frame(NORMAL, &[b'*'; 123]),
            NORMAL,
        ),
        close("7.3.6", "a reason of 124 octets", close_frame(NORMAL, &[b'*'; 124]), PROTOCOL_ERROR),
        close("7.5.1", "a reason that is not UTF-8", close_frame(NORMAL, &not_utf8), NOT_UTF8),
    ]
}
