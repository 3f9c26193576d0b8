use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::texts::term::fold;

fn thread(n: u128) -> ThreadId {
    ThreadId::new(Uuid::from_u128(n))
}

fn add_text(n: u128, begins: u64, text: &str) -> IndexChange {
    let (thread, seq) = (thread(n), EventSeq(begins + 5));
    IndexChange::Add(AddedTexts {
        thread,
        pieces: vec![(EventSeq(begins), fold(text))],
        known: IndexedThread { seq, name: None },
    })
}

fn new() -> (TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&dir.path().join("search")).unwrap();
    (dir, db)
}

fn found(db: &Db, term: &str) -> Vec<(ThreadId, EventSeq)> {
    let mut found = db.candidates(&query(&fold(term)).unwrap(), 100).unwrap().unwrap();
    found.sort_unstable();
    found
}

#[test]
fn it_names_the_threads_that_may_have_a_text_and_from_which_turn_on() {
    let (_dir, mut db) = new();
    let texts = [add_text(1, 3, "say \"NO\""), add_text(1, 30, "Zürich → Straße"), add_text(2, 3, "strasse")];
    db.change(&texts).unwrap();
    assert_eq!(found(&db, "\"no\""), [(thread(1), EventSeq(3))]);
    assert_eq!(found(&db, "STRASSE"), [(thread(1), EventSeq(30)), (thread(2), EventSeq(3))]);
    assert_eq!(found(&db, "ZÜRICH →"), [(thread(1), EventSeq(30))]);
    assert_eq!(found(&db, "nowhere"), []);
    assert_eq!(db.candidates(&query("strasse").unwrap(), 1).unwrap(), None, "more than wanted");
    assert_eq!(query("ab"), None);
    assert_eq!(query("a\0b\0"), None);
}

#[test]
fn what_is_known_of_a_thread_goes_with_it() {
    let (_dir, mut db) = new();
    db.change(&[add_text(1, 3, "needle"), add_text(2, 3, "needle")]).unwrap();
    let known = IndexedThread { seq: EventSeq(9), name: Some("a name".to_owned()) };
    let more = AddedTexts { thread: thread(1), pieces: Vec::new(), known: known.clone() };
    db.change(&[IndexChange::Add(more)]).unwrap();
    let asked = [thread(1), thread(2), thread(3)];
    let two = IndexedThread { seq: EventSeq(8), name: None };
    assert_eq!(db.known(&asked).unwrap(), [Some(known), Some(two.clone()), None]);
    db.change(&[IndexChange::Remove(thread(1)), IndexChange::Remove(thread(3))]).unwrap();
    assert_eq!(db.known(&asked).unwrap(), [None, Some(two), None]);
    assert_eq!(found(&db, "needle"), [(thread(2), EventSeq(3))]);
}

#[test]
fn another_connection_reads_what_was_written_and_files_are_private() {
    let (dir, mut db) = new();
    let folder = dir.path().join("search");
    let reader = Db::look(&folder).unwrap();
    db.change(&[add_text(1, 3, "needle")]).unwrap();
    assert_eq!(found(&reader, "needle").len(), 1);
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, FILE_MODE, "{:?}", entry.path());
    }
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, FOLDER_MODE);
    assert!(disk_bytes(&folder) > 0);
    // A kill keeps the written data.
    std::mem::forget(db);
    assert_eq!(found(&Db::open(&folder).unwrap(), "needle").len(), 1);
}

#[test]
fn a_file_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(dir.path()), "this is no database, but it is long enough to be one".repeat(100)).unwrap();
    assert!(matches!(Db::open(dir.path()), Err(DbError::Sqlite(_))));
}

#[test]
fn it_remembers_the_start_of_the_machine() {
    let (_dir, db) = new();
    assert_eq!(db.life().unwrap(), None);
    db.set_life(Uuid::from_u128(7)).unwrap();
    assert_eq!(db.life().unwrap(), Some(Uuid::from_u128(7)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_in_a_text_is_never_passed_over(before in ".{0,20}", needle in ".{3,12}", after in ".{0,20}") {
        let (_dir, mut db) = new();
        db.change(&[add_text(1, 1, &[before.as_str(), &needle, &after].concat())]).unwrap();
        for needle in [needle.to_uppercase(), needle.to_lowercase(), needle] {
            let held = fold(&[before.as_str(), &needle, &after].concat()).contains(&fold(&needle));
            if let Some(query) = query(&fold(&needle)).filter(|_| held) {
                prop_assert_eq!(db.candidates(&query, 10).unwrap().unwrap().len(), 1, "{:?}", needle);
            }
        }
    }
}

#[test]
fn a_change_for_which_there_is_no_room_is_made_later_and_the_rest_stays() {
    let (_dir, mut db) = new();
    db.change(&[add_text(1, 1, "needle")]).unwrap();
    let pages: i64 = db.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |db: &Db, pages: i64| {
        db.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    };
    limit(&db, pages);
    let long: String = (0..4_000).map(|n| format!("{n} ")).collect();
    let refused = db.change(&[add_text(2, 1, &long)]).unwrap_err();
    assert!(refused.is_passing(), "{refused}");
    assert_eq!(found(&db, "needle"), [(thread(1), EventSeq(1))]);
    limit(&db, i64::from(u32::MAX));
    db.change(&[add_text(2, 1, &long)]).unwrap();
    assert_eq!(found(&db, "3999"), [(thread(2), EventSeq(1))]);
}

#[test]
fn what_is_not_what_was_written_does_not_pass() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(dir.path()), "no database ".repeat(1_000)).unwrap();
    assert!(!Db::open(dir.path()).unwrap_err().is_passing());
}
