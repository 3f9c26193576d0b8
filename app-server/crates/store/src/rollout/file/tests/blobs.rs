//! Texts that are too large for a line: their files, their return, and the item that replaces a lost one.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use skein_protocol::item::ThreadItem;
use skein_protocol::turn::UserInput;

use super::*;
use crate::policy;
use crate::rollout::Damage;
use crate::rollout::blob::BlobName;
use crate::rollout::record::{ItemCompleted, ItemsInjected, RecordBody, TurnStarted};

impl Fixture {
    /// Every file in the folder of texts, by its name there.
    fn blobs(&self) -> BTreeSet<String> {
        let entries =
            |path: PathBuf| fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
        let files = entries(self.paths.blobs()).flat_map(entries);
        files.map(|path| path.strip_prefix(self.paths.blobs()).unwrap().display().to_string()).collect()
    }

    fn blob(&self, text: &str) -> PathBuf {
        self.store.shared.places.blobs.path(BlobName::of(text.as_bytes()))
    }
}

fn record(seq: u64, body: impl Into<RecordBody>) -> Record {
    Record { seq: EventSeq(seq), at: skein_base::clock::WallMs(0), body: body.into() }
}

fn asked(seq: u64, text: &str) -> Record {
    let input = vec![UserInput::text(text.to_owned())];
    record(
        seq,
        TurnStarted { turn_id: "t".into(), input, item_id: Some("i".into()), client_id: None, terms: None },
    )
}

fn user_turn(seq: u64, text: &str) -> Record {
    record(seq, ItemCompleted { turn_id: "t".into(), item: ThreadItem::agent_message("a", text) })
}

async fn all(fixture: &Fixture, id: ThreadId) -> Vec<Record> {
    let (mut found, mut last) = (Vec::new(), EventSeq(0));
    loop {
        let page = fixture.store.read_after(id, last, 100).await.unwrap();
        last = page.records.last().map_or(last, |record| record.seq);
        found.extend(page.records);
        if !page.more {
            return found;
        }
    }
}

#[tokio::test]
async fn a_large_text_stands_once_beside_the_rollout_and_everybody_reads_it() {
    let mut fixture = Fixture::new();
    let (id, fork) = (thread(1), thread(2));
    let text = large();
    let records = vec![named(1, "small"), asked(2, &text), user_turn(3, &text), named(4, &text)];
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(records.clone(), Keep::Process)).await.unwrap();
    let name = BlobName::of(text.as_bytes()).to_string();
    assert_eq!(fixture.blobs(), [format!("{}/{name}", &name[..2])].into());
    assert_eq!(fs::read(fixture.blob(&text)).unwrap(), text.as_bytes());
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&fixture.blob(&text)), FILE_MODE);
    assert_eq!(mode(fixture.blob(&text).parent().unwrap()), FOLDER_MODE);
    assert_eq!(mode(&fixture.paths.blobs()), FOLDER_MODE);
    let line = fs::read_to_string(fixture.path(id)).unwrap();
    assert!(line.len() < 2_000, "{} bytes", line.len());
    let versions: Vec<&str> = line.lines().map(|line| &line[..6]).collect();
    assert_eq!(versions, [r#"{"v":1"#, r#"{"v":2"#, r#"{"v":2"#, r#"{"v":2"#], "only what needs it");

    fixture.store.copy(id, EventSeq(3), lease(fork), vec![named(4, &text)]).await.unwrap();
    for restarted in [false, true] {
        if restarted {
            fixture.restart();
        }
        assert_eq!(all(&fixture, id).await, records);
        assert_eq!(all(&fixture, fork).await, records);
        let page = fixture.store.read_back(id, None, 2).await.unwrap();
        assert_eq!(page.records, records[2..]);
        assert!(page.bytes > 2 * text.len(), "the texts count");
        assert_eq!(fixture.store.load(id).await.unwrap().end, records);
    }
    fixture.store.put(thread(3), Location::Archived, records.clone()).await.unwrap();
    assert_eq!(all(&fixture, thread(3)).await, records);
    assert_eq!(fixture.blobs().len(), 1, "the same text is kept once");
}

#[tokio::test]
async fn a_text_that_fits_into_a_line_stays_in_it() {
    let fixture = Fixture::new();
    let id = thread(1);
    let small = "x".repeat(policy::BLOB_TEXT);
    let many: Vec<Value> = (0..9).map(|_| json!(small)).collect();
    let records = vec![
        // A large line of small texts, and a large text in a small line.
        record(1, ItemsInjected { items: many }),
        user_turn(2, &"y".repeat(policy::BLOB_LINE - 200)),
    ];
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(records.clone(), Keep::Power)).await.unwrap();
    assert_eq!(fixture.blobs(), BTreeSet::new());
    assert_eq!(fs::read(fixture.path(id)).unwrap(), lines(&records), "as every version reads it");
}

/// A backward read, and a full page, read no text. A full page counts the size of the next text.
#[tokio::test]
async fn a_page_counts_texts_before_it_reads_them() {
    let fixture = Fixture::new();
    let id = thread(1);
    let text = |seq: u64| format!("{seq}{}", "z".repeat(policy::READ_PAGE_BYTES / 2));
    let records: Vec<Record> = (1..=4).map(|seq| user_turn(seq, &text(seq))).collect();
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(records.clone(), Keep::Process)).await.unwrap();
    // The disk refuses to read the text, so reading it fails the test.
    let refuse = |seq: u64| {
        let path = fixture.blob(&text(seq));
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(fixture.paths.root(), path).unwrap();
    };
    refuse(2);
    let page = fixture.store.read_after(id, EventSeq(0), 9).await.unwrap();
    assert_eq!((page.records, page.more), (records[..1].to_vec(), true), "the second has no room");
    assert_eq!(fixture.store.head(id).await.unwrap(), EventSeq(4));
    let page = fixture.store.read_back(id, None, 9).await.unwrap();
    assert_eq!((page.records, page.more), (records[3..].to_vec(), true));
}

type Harm = fn(&std::path::Path);

const HARMS: [(&str, Harm); 5] = [
    ("not there", |path| fs::remove_file(path).unwrap()),
    ("has 9 bytes", |path| fs::File::options().write(true).open(path).unwrap().set_len(9).unwrap()),
    ("not those that were written", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[7] ^= 1;
        fs::write(path, bytes).unwrap();
    }),
    ("no regular file", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
    ("a symbolic link", |path| {
        fs::rename(path, path.with_extension("x")).unwrap();
        symlink(path.with_extension("x"), path).unwrap();
    }),
];

/// The record means nothing without its text: it is damage, and never a torn end.
#[tokio::test]
async fn a_lost_text_that_the_thread_works_by_is_damage_in_its_place() {
    for (what, harm) in HARMS {
        // In the middle, at the end alone, and at the end behind others.
        for lost in [vec![2], vec![4], vec![3, 4], vec![2, 3, 4]] {
            let mut fixture = Fixture::new();
            let (id, text) = (thread(1), large());
            let named = |seq| if lost.contains(&seq) { named(seq, &text) } else { named(seq, "here") };
            let records: Vec<Record> = (1..=4).map(named).collect();
            fixture
                .store
                .append(lease(id), EventSeq(0), LogEntry::of(records.clone(), Keep::Power))
                .await
                .unwrap();
            let before = fs::read(fixture.path(id)).unwrap();
            harm(&fixture.blob(&text));
            fixture.restart();
            let left: Vec<Record> =
                records.iter().filter(|record| !lost.contains(&record.seq.0)).cloned().collect();
            assert_eq!(all(&fixture, id).await, left, "{what}");
            assert_eq!(fixture.store.read_back(id, None, 9).await.unwrap().records, left, "{what}");
            let loaded = fixture.store.load(id).await.unwrap();
            assert_eq!((loaded.end, loaded.head), (left, EventSeq(4)), "{what}: {lost:?}");
            assert_eq!((loaded.repair.cut, fs::read(fixture.path(id)).unwrap()), (0, before), "{what}");
            let places: Vec<EventSeq> =
                loaded.repair.damage.iter().map(|Damage { after, .. }| *after).collect();
            assert_eq!(places, lost.iter().map(|seq| EventSeq(seq - 1)).collect::<Vec<_>>(), "{what}");
            assert_eq!(fixture.store.head(id).await.unwrap(), EventSeq(4));
        }
    }
}

/// An item keeps its record and shows the loss.
#[tokio::test]
async fn a_lost_text_of_an_item_is_shown_until_the_same_text_is_written_again() {
    for (what, harm) in HARMS {
        let mut fixture = Fixture::new();
        let (id, text) = (thread(1), large());
        let records = vec![asked(1, &text), user_turn(2, "small"), user_turn(3, &text)];
        fixture
            .store
            .append(lease(id), EventSeq(0), LogEntry::of(records.clone(), Keep::Power))
            .await
            .unwrap();
        harm(&fixture.blob(&text));
        fixture.restart();
        let page = fixture.store.read_after(id, EventSeq(0), 9).await.unwrap();
        assert_eq!(page.lost, [EventSeq(1), EventSeq(3)], "{what}");
        assert_eq!(page.records, fixture.store.load(id).await.unwrap().end);
        assert_eq!(page.records[1], records[1]);
        for (record, in_words) in
            [(&page.records[0], asked as fn(u64, &str) -> Record), (&page.records[2], user_turn)]
        {
            let shown = format!("{:?}", record.body);
            let marker = format!("[A text of {} bytes that belongs here cannot be read: ", text.len());
            assert!(shown.contains(&marker) && shown.contains(what), "{what}: {shown}");
            // Nothing else in it changes.
            let from = shown.find('[').unwrap() + shown[shown.find('[').unwrap()..].find("[A text").unwrap();
            let to = from + shown[from..].find("more.]").unwrap() + "more.]".len();
            assert_eq!(*record, in_words(record.seq.0, &shown[from..to]), "{what}");
        }
        let again = fixture
            .store
            .append(lease(id), EventSeq(3), LogEntry::of(vec![user_turn(4, &text)], Keep::Power))
            .await;
        if what == "no regular file" {
            // Nothing can be written there.
            again.unwrap_err();
            continue;
        }
        again.unwrap();
        assert_eq!(
            all(&fixture, id).await,
            [records, vec![user_turn(4, &text)]].concat(),
            "{what}: it is back"
        );
    }
}

/// No reference in a rollout makes a reader take a file that Skein did not write.
#[tokio::test]
async fn references_that_nobody_has_written_are_damage() {
    let fixture = Fixture::new();
    let id = thread(1);
    let text = large();
    fixture
        .store
        .append(lease(thread(9)), EventSeq(0), LogEntry::of(vec![named(1, &text)], Keep::Power))
        .await
        .unwrap();
    let (name, bytes) = (BlobName::of(text.as_bytes()), text.len());
    let line = |blobs: Value, members: &str| {
        let head = format!(
            r#"{{"v":2,"seq":2,"at":"2030-01-01T00:00:00.000Z","type":"thread.named","blobs":{blobs},{members}"#
        );
        format!("{head},\"crc\":\"{:08x}\"}}\n", crc32c::crc32c(head.as_bytes())).into_bytes()
    };
    let reference = |at: &str, bytes: u64| json!({ "at": at, "sha256": name, "bytes": bytes });
    let right = line(json!([reference("/name", bytes as u64)]), r#""name":"""#);
    let wrong = [
        line(json!([reference("/name", u64::MAX)]), r#""name":"""#),
        line(json!([reference("/name", bytes as u64), reference("/type", u64::MAX)]), r#""name":"""#),
        line(json!([reference("/name", bytes as u64 - 1)]), r#""name":"""#),
        line(json!([reference("/name", bytes as u64)]), r#""name":"said""#),
        line(json!([reference("/name", bytes as u64)]), r#""name":null"#),
        line(json!([reference("/name", bytes as u64), reference("/name", bytes as u64)]), r#""name":"""#),
        line(json!([reference("", bytes as u64)]), r#""name":"""#),
        line(json!([{ "at": "/name", "sha256": "../../../etc/passwd", "bytes": 1 }]), r#""name":"""#),
        line(json!({}), r#""name":"""#),
    ];
    for (case, line) in [vec![right], wrong.to_vec()].concat().into_iter().enumerate() {
        let whole = [lines(&[named(1, "a")]), line.clone(), lines(&[named(3, "c")])].concat();
        fixture.write(id, &whole);
        let found = all(&fixture, id).await;
        let numbers: Vec<u64> = found.iter().map(|record| record.seq.0).collect();
        let case = format!("{case}: {}", String::from_utf8_lossy(&line));
        assert_eq!(numbers, if case.starts_with("0:") { vec![1, 2, 3] } else { vec![1, 3] }, "{case}");
        assert!(found.iter().all(|record| *record != named(2, "")), "{case}: silently empty");
        assert_eq!(fixture.store.load(id).await.unwrap().end, found);
        fixture.store.release(id);
    }
}

/// Values with large texts and reference-like members anywhere.
fn value() -> impl Strategy<Value = Value> {
    let name =
        || prop::sample::select(vec!["blobs", "at", "sha256", "bytes", "a/b", "m~n", "~1", "", "0", "ö"]);
    let text = prop_oneof![
        ".{0,12}",
        (0usize..4, prop::sample::select(vec!["a", "ö", "🧵", "\"\\\n\u{0}"])).prop_map(|(times, unit)| {
            // Around the bound for texts, and above the bound for lines.
            unit.repeat((policy::BLOB_TEXT * times + 3) / unit.len())
        }),
        Just(json!([{ "at": "/items/0", "sha256": BlobName::of(b""), "bytes": 0 }]).to_string()),
    ];
    let leaf = prop_oneof![3 => text.prop_map(Value::from), 1 => Just(Value::Null), 1 => any::<i64>().prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn written_values_are_read_back_whatever_they_look_like(items in prop::collection::vec(prop::collection::vec(value(), 0..6), 1..4)) {
        let records: Vec<Record> =
            (1..).zip(items).map(|(seq, items)| record(seq, ItemsInjected { items })).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fixture = Fixture::new();
            let id = thread(1);
            fixture.store.append(lease(id), EventSeq(0), LogEntry::of(records.clone(), Keep::Process)).await.unwrap();
            prop_assert_eq!(&all(&fixture, id).await, &records);
            fixture.restart();
            prop_assert_eq!(&fixture.store.load(id).await.unwrap().end, &records);
            for (line, record) in fs::read(fixture.path(id)).unwrap().split(|byte| *byte == b'\n').zip(&records) {
                let read = line::RecordLine::of(line).unwrap();
                let inline = read.bytes() - line.len() as u64;
                let whole = lines(std::slice::from_ref(record)).len();
                prop_assert_eq!(read.blobs().is_empty(), inline == 0);
                if whole <= policy::BLOB_LINE {
                    prop_assert!(read.blobs().is_empty());
                }
                if !read.blobs().is_empty() {
                    prop_assert!(read.blobs().iter().all(|blob| blob.bytes > policy::BLOB_TEXT as u64));
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_text_that_is_lost_takes_no_room_on_a_page() {
    let fixture = Fixture::new();
    let (id, text) = (thread(1), large());
    let records = vec![named(1, "small"), asked(2, &text)];
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(records, Keep::Process)).await.unwrap();
    let whole = fixture.store.read_after(id, EventSeq(0), 10).await.unwrap();
    assert!(whole.bytes > text.len());
    fs::remove_file(fixture.blob(&text)).unwrap();
    let page = fixture.store.read_after(id, EventSeq(0), 10).await.unwrap();
    assert_eq!((page.records.len(), page.lost), (2, vec![EventSeq(2)]));
    assert!(page.bytes < policy::BLOB_LINE, "{}", page.bytes);
}
