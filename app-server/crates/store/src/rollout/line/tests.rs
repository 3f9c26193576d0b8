use proptest::prelude::*;
use skein_protocol::ids::Epoch;
use skein_protocol::item::ThreadItem;
use skein_protocol::turn::UserInput;
use uuid::Uuid;

use super::*;
use crate::home::Term;
use crate::rollout::record::{
    Compacted, FileContent, FileRead, FilesRead, ItemCheckpoint, ItemCompleted, ItemText, KeptMessages,
    ThreadClosed, ThreadNamed, ThreadOpened, TurnStarted,
};
use crate::testing::decode;

fn text_of(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(record, &mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Record, LineError> {
    decode(bytes.strip_suffix(b"\n").unwrap_or(bytes))
}

/// Appends the right crc to a line without one.
fn sealed(line: &str) -> Vec<u8> {
    format!("{line},\"crc\":\"{:08x}\"}}", crc32c::crc32c(line.as_bytes())).into_bytes()
}

#[test]
fn a_line_is_what_the_format_says() {
    let body = ThreadOpened { boot_id: Uuid::nil(), term: Term(3), epoch: Epoch(2) };
    let record = Record { seq: EventSeq(7), at: WallMs(1_700_000_000_042), body: body.into() };
    let line = String::from_utf8(text_of(&record)).unwrap();
    let covered = concat!(
        r#"{"v":1,"seq":7,"at":"2023-11-14T22:13:20.042Z","type":"thread.opened","#,
        r#""bootId":"00000000-0000-0000-0000-000000000000","term":3,"epoch":2"#
    );
    assert_eq!(line.as_bytes(), [sealed(covered), b"\n".to_vec()].concat());
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283, "CRC-32C (Castagnoli), not another CRC-32");
    let closed = Record { seq: EventSeq(1), at: WallMs(0), body: ThreadClosed {}.into() };
    let line = String::from_utf8(text_of(&closed)).unwrap();
    assert!(
        line.starts_with(r#"{"v":1,"seq":1,"at":"1970-01-01T00:00:00.000Z","type":"thread.closed","crc":""#)
    );
}

#[test]
fn a_record_of_a_later_version_is_kept_and_skipped() {
    let lines = [
        r#"{"v":1,"seq":4,"at":"2030-01-01T00:00:00.000Z","type":"thread.dreamt","of":[1,2.5,null]"#,
        r#"{"v":3,"seq":4,"at":"2030-01-01T00:00:00.000Z","type":"thread.closed""#,
        r#"{"v":1,"seq":4,"at":"2030-01-01T00:00:00.000Z","type":"thread.named","name":{"of":"another form"}"#,
    ];
    for line in lines {
        let record = decode(&sealed(line)).unwrap();
        assert!(matches!(record.body, RecordBody::Unknown(_)), "{line}");
        assert_eq!(record.seq, EventSeq(4));
        assert_eq!(read(&text_of(&record)).unwrap(), record, "written again it is the same");
    }
}

#[test]
fn unknown_members_of_known_records_are_passed_over() {
    let line = r#"{"v":1,"seq":4,"at":"2030-01-01T00:00:00.000Z","type":"thread.named","name":"a","new":1"#;
    let record = decode(&sealed(line)).unwrap();
    assert_eq!(record.body, ThreadNamed { name: Some("a".to_owned()) }.into());
}

#[test]
fn a_line_without_a_record_is_refused() {
    assert_eq!(decode(b""), Err(LineError::NoCrc));
    assert_eq!(decode(br#"{"v":1}"#), Err(LineError::NoCrc));
    let upper = format!(r#"{{"v":1,"crc":"{:08X}"}}"#, 0xabcd_u32);
    assert_eq!(decode(upper.as_bytes()), Err(LineError::NoCrc), "one way to write it");
    assert!(matches!(decode(br#"{"v":1,"crc":"00000000"}"#), Err(LineError::Crc { found: 0, .. })));
    for head in
        [r#"{"v":1"#, r#"{"v":1,"seq":-1,"at":"2030-01-01T00:00:00Z","type":"x""#, "not json", "\u{0}"]
    {
        assert!(matches!(decode(&sealed(head)), Err(LineError::Head(_))), "{head}");
    }
}

#[test]
fn whitespace_that_an_editor_has_put_before_the_line_end_is_no_damage() {
    let record = Record { seq: EventSeq(1), at: WallMs(0), body: ThreadClosed {}.into() };
    let line = text_of(&record);
    let line = line.strip_suffix(b"\n").unwrap();
    for added in ["\r", " ", "\t \r"] {
        let saved = [line, added.as_bytes()].concat();
        assert_eq!(decode(&saved), Ok(record.clone()), "{added:?}");
        assert_eq!(super::seq(&saved), Ok(EventSeq(1)));
    }
}

#[test]
fn a_time_that_no_calendar_has_is_still_written() {
    for at in [i64::MIN, i64::MAX] {
        let record = Record { seq: EventSeq(1), at: WallMs(at), body: ThreadClosed {}.into() };
        assert!(read(&text_of(&record)).is_ok());
    }
}

fn body() -> impl Strategy<Value = RecordBody> {
    let text = || ".{0,40}";
    prop_oneof![
        prop::option::of(text()).prop_map(|name| ThreadNamed { name }.into()),
        (text(), text(), prop::option::of(text())).prop_map(|(turn, said, client_id)| {
            let input = vec![UserInput::text(said)];
            TurnStarted { turn_id: turn.into(), input, item_id: Some("i".into()), client_id, terms: None }
                .into()
        }),
        (text(), text(), any::<bool>(), 0usize..5).prop_map(|(turn, added, body, part)| {
            let to = if body { ItemText::Body } else { ItemText::Summary(part) };
            ItemCheckpoint { turn_id: turn.into(), item_id: "i".into(), to, added }.into()
        }),
        (text(), text()).prop_map(|(id, said)| {
            ItemCompleted { turn_id: "t".into(), item: ThreadItem::agent_message(id, said) }.into()
        }),
        (text(), text(), any::<bool>()).prop_map(|(turn, summary, results)| {
            let kept = if results { KeptMessages::Results } else { KeptMessages::Messages };
            Compacted { turn_id: turn.into(), summary, kept }.into()
        }),
        (text(), text(), 0usize..5).prop_map(|(turn, base64, at)| {
            let content = FileContent::Image { media_type: "image/png".into(), base64 };
            let files = vec![FileRead { at, content }];
            FilesRead { turn_id: turn.into(), item_id: "i".into(), files }.into()
        }),
    ]
}

proptest! {
    #[test]
    fn written_records_are_read(seq: u64, at in -62_000_000_000_000i64..250_000_000_000_000, body in body()) {
        let record = Record { seq: EventSeq(seq), at: WallMs(at), body };
        let line = text_of(&record);
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line, whatever is said");
        prop_assert_eq!(super::seq(&line[..line.len() - 1]).unwrap(), EventSeq(seq));
        prop_assert_eq!(read(&line).unwrap(), record);
    }

    #[test]
    fn a_changed_or_shortened_line_is_refused(body in body(), at: prop::sample::Index, flip in 1u8..) {
        let record = Record { seq: EventSeq(1), at: WallMs(0), body };
        let line = text_of(&record);
        let whole = &line[..line.len() - 1];
        prop_assert!(decode(&whole[..at.index(whole.len())]).is_err());
        let mut changed = whole.to_vec();
        changed[at.index(whole.len())] ^= flip;
        prop_assert!(decode(&changed).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
        let _ = decode(&sealed(&String::from_utf8_lossy(&bytes)));
    }
}
