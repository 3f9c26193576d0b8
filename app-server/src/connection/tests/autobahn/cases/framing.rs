//! Group 1: messages of all forms of a length.

use super::super::client::TEXT;
use super::super::script::{Case, Message};
use super::{echo, kinds};

const LENGTHS: [(usize, Option<usize>); 8] = [
    (0, None),
    (125, None),
    (126, None),
    (127, None),
    (128, None),
    (65_535, None),
    (65_536, None),
    (65_536, Some(997)),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, opcode, kind) in kinds("1.1", "1.2") {
        for (at, (length, chop)) in LENGTHS.into_iter().enumerate() {
            let writes = chop.map(|chop| format!(", in writes of {chop} octets")).unwrap_or_default();
            let about = format!("{length} octets of {kind}{writes}");
            let unit: &[u8] = if opcode == TEXT { b"*" } else { b"\xFE" };
            let message = Message { opcode, unit, length, fragment: None, chop };
            cases.push(echo(format!("{group}.{}", at + 1), about, message));
        }
    }
    cases
}
