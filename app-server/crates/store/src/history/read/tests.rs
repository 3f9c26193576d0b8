//! A read from any place gives what folding the whole history gives, at any length and any cut.

use proptest::prelude::*;
use skein_base::clock::WallMs;
use skein_protocol::turn::{Turn, TurnItemsView, TurnStatus};

use super::*;
use crate::rollout::record::{StoredSettings, ThreadMeta};
use crate::testing::{Happening, RecordedLife, THREAD};

fn wait<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(what)
}

fn life() -> impl Strategy<Value = RecordedLife> {
    prop::collection::vec(any::<[u16; 4]>(), 0..40).prop_map(|draws| RecordedLife::drawn(&draws))
}

/// The numbers of reverted turns.
fn numbers_taken_back(history: &History, life: &RecordedLife) -> Vec<u64> {
    let begins = life.records.iter().filter(|record| matches!(record.body, RecordBody::TurnStarted(_)));
    begins
        .map(|record| record.seq)
        .filter(|seq| history.taken_back().iter().any(|cut| cut.holds(*seq)))
        .map(|seq| seq.0)
        .collect()
}

fn of_held(turns: &[LoadedTurn]) -> Vec<(EventSeq, Turn)> {
    turns.iter().map(|held| (held.at, held.turn.clone())).collect()
}

/// The history in the memory of an owner that wrote all records: it drops old turns at the end of each.
fn loaded(life: &RecordedLife, bytes: usize) -> History {
    let mut history = History::of(THREAD);
    for record in &life.records {
        history.apply(record);
        if matches!(record.body, RecordBody::TurnCompleted(_)) {
            history.drop_oldest(bytes);
        }
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_load_shows_the_turns_that_the_owner_before_it_has_shown(
        happenings in prop::collection::vec(any::<[u16; 4]>().prop_map(Happening::drawn), 0..40), bytes in 1usize..60_000
    ) {
        let mut life = RecordedLife::begun();
        // An owner that takes turns back reads the turns before them.
        let stays = |happening: &&Happening| !matches!(happening, Happening::Revert(_));
        happenings.iter().filter(stays).for_each(|happening| life.happens(happening));
        let end = wait(History::read_end(&life.store(), THREAD, bytes)).unwrap();
        let before = loaded(&life, bytes);
        let (shown, more) = end.newest_turns(bytes);
        let (expected, more_before) = before.newest_turns(bytes);
        prop_assert!(shown == expected, "{} turns, not {}", shown.len(), expected.len());
        prop_assert_eq!(more, more_before);
        let known = end.messages.0.len();
        prop_assert!(known >= end.held_turns().len().min(policy::REMEMBERED_MESSAGES));
        prop_assert!(end.messages.0.iter().rev().eq(before.messages.0.iter().rev().take(known)));
    }

    #[test]
    fn the_end_of_a_history_says_of_it_what_the_whole_says(life in life(), bytes in 0usize..60_000) {
        let store = life.store();
        let whole = wait(History::read(&store, THREAD)).unwrap();
        let end = wait(History::read_end(&store, THREAD, bytes)).unwrap();
        prop_assert_eq!(end.row(), whole.row());
        prop_assert_eq!(
            (end.seq(), end.last_event(), end.last_lost(), end.epoch(), end.opened(), end.is_closed()),
            (whole.seq(), whole.last_event(), whole.last_lost(), whole.epoch(), whole.opened(), whole.is_closed())
        );
        prop_assert_eq!((end.settings(), end.usage(), end.header().name), (whole.settings(), whole.usage(), whole.header().name));
        prop_assert_eq!(end.open_items().collect::<Vec<_>>(), whole.open_items().collect::<Vec<_>>());
        prop_assert_eq!(numbers_taken_back(&end, &life), numbers_taken_back(&whole, &life));
        let (held, all) = (of_held(end.held_turns()), of_held(whole.held_turns()));
        prop_assert!(all.ends_with(&held));
        prop_assert!(end.has_older() || held.len() == all.len());
        prop_assert!(!whole.has_older());
    }

    #[test]
    fn stretches_read_from_either_end_are_the_whole(life in life(), turns in 1usize..9, items in 1usize..60) {
        let store = life.store();
        let whole = wait(History::read(&store, THREAD)).unwrap();
        let all = of_held(whole.held_turns());
        let read = Turns::of(&store, THREAD, whole.taken_back(), None);
        let enough = Enough { turns, items, ..Enough::ALL };
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let stretch = wait(read.back(before, enough)).unwrap();
            let (piece, more) = (stretch.turns.into_iter().collect::<Vec<_>>(), stretch.more);
            prop_assert!(!more || !piece.is_empty());
            before = piece.first().map(|held| held.at).or(before);
            seen.splice(0..0, of_held(&piece));
            if !more { break }
        }
        prop_assert_eq!(&seen, &all);
        // Forwards, each stretch begins with the last turn of the stretch before.
        let (mut seen, mut from, mut uncounted) = (Vec::new(), EventSeq(1), 0);
        loop {
            let stretch = wait(read.forward(from, Enough { uncounted, ..enough })).unwrap();
            let piece: Vec<LoadedTurn> = stretch.turns.into_iter().skip(uncounted).collect();
            prop_assert!(!stretch.more || !piece.is_empty());
            from = piece.last().map_or(from, |held| held.at);
            (seen, uncounted) = ([seen, of_held(&piece)].concat(), 1);
            if !stretch.more { break }
        }
        prop_assert_eq!(&seen, &all);
    }

    #[test]
    fn every_turn_is_found_unless_it_was_taken_back(life in life()) {
        let store = life.store();
        let whole = wait(History::read(&store, THREAD)).unwrap();
        let read = Turns::of(&store, THREAD, whole.taken_back(), None);
        for record in &life.records {
            if let RecordBody::TurnStarted(started) = &record.body {
                let there = whole.turn(&started.turn_id).map(|_| record.seq);
                prop_assert_eq!(wait(read.find(&started.turn_id)).unwrap(), there);
            }
        }
        prop_assert_eq!(wait(read.find(&"nowhere".into())).unwrap(), None);
    }
}

#[test]
fn a_history_lets_go_of_its_oldest_turns_and_says_so() {
    let mut life = RecordedLife::begun();
    for _ in 0..10 {
        life.happens(&Happening::Turn(1, 1_000, Some(TurnStatus::Completed)));
    }
    let mut history = wait(History::read(&life.store(), THREAD)).unwrap();
    let all = history.turns(TurnItemsView::Full);
    history.drop_oldest(4_000);
    let kept = history.turns(TurnItemsView::Full);
    assert!(history.has_older() && kept.len() < 5 && all.ends_with(&kept), "{}", kept.len());
    history.drop_oldest(0);
    assert_eq!(history.turns(TurnItemsView::Full), all[9..]);
    let (newest, more) = history.newest_turns(0);
    assert_eq!((newest, more), (all[9..].to_vec(), true));
}

#[test]
fn the_newest_turn_is_shown_however_long_it_is() {
    let mut life = RecordedLife::of_turns(3);
    let items = policy::WINDOW_PAGE;
    life.happens(&Happening::Turn(items, 100, Some(TurnStatus::Completed)));
    let end = wait(History::read_end(&life.store(), THREAD, 1_000)).unwrap();
    let (newest, more) = end.newest_turns(1_000);
    let shown: Vec<usize> = newest.iter().map(|turn| turn.items.len()).collect();
    assert_eq!((shown, more), (vec![items + 1], true));
}

#[test]
fn long_settings_take_no_turns_from_what_is_shown() {
    let long = Some("instructions ".repeat(5_000));
    let mut life =
        RecordedLife::with(StoredSettings { developer_instructions: long, ..StoredSettings::default() });
    (0..50).for_each(|_| life.happens(&Happening::Turn(1, 10, Some(TurnStatus::Completed))));
    let end = wait(History::read_end(&life.store(), THREAD, policy::HISTORY_WINDOW)).unwrap();
    assert_eq!((end.held_turns().len(), end.has_older()), (50, false));
}

#[test]
fn settings_that_stay_as_they_are_are_written_once() {
    let long = |text: &str| Some(text.repeat(20_000));
    let mut life =
        RecordedLife::with(StoredSettings { developer_instructions: long("a"), ..StoredSettings::default() });
    (0..20).for_each(|_| life.happens(&Happening::Turn(1, 10, Some(TurnStatus::Completed))));
    let settings = StoredSettings { developer_instructions: long("b"), ..StoredSettings::default() };
    life.record(ThreadMeta { settings: Some(settings.clone()), git_info: None });
    (0..20).for_each(|_| life.happens(&Happening::Turn(1, 10, Some(TurnStatus::Completed))));
    let mut lines = Vec::new();
    life.records.iter().for_each(|record| crate::rollout::line::encode(record, &mut lines).unwrap());
    assert!(lines.len() < 150_000, "{} bytes for 40 turns of two words", lines.len());
    for bytes in [0, 1_000, policy::HISTORY_WINDOW] {
        let end = wait(History::read_end(&life.store(), THREAD, bytes)).unwrap();
        assert_eq!(end.settings(), &settings, "{bytes}");
    }
}

/// An earlier version wrote all settings into each header. A thread continues from there without them.
#[test]
fn a_rollout_with_all_settings_in_each_header_is_read_and_continued() {
    let settings = |model: &str| StoredSettings { model: model.to_owned(), ..StoredSettings::default() };
    let mut life = RecordedLife::with(settings("first"));
    (0..3).for_each(|_| life.happens(&Happening::Turn(1, 10, Some(TurnStatus::Completed))));
    life.record(ThreadMeta { settings: Some(settings("second")), git_info: None });
    (0..30).for_each(|_| life.happens(&Happening::Turn(1, 10, Some(TurnStatus::Completed))));
    let mut now = settings("none");
    for record in &mut life.records {
        now = record.body.settings().cloned().unwrap_or(now);
        if let RecordBody::TurnCompleted(completed) = &mut record.body {
            (completed.header.settings, completed.header.settings_at) = (Some(now.clone()), None);
        }
    }
    let written = life.records.len();
    life.history = wait(History::read_end(&life.store(), THREAD, 0)).unwrap();
    assert_eq!(life.history.settings(), &settings("second"));
    (0..30).for_each(|_| life.happens(&Happening::Turn(1, 10, Some(TurnStatus::Completed))));
    assert!(life.records.iter().skip(written).all(|record| record.body.settings().is_none()));
    let end = wait(History::read_end(&life.store(), THREAD, 0)).unwrap();
    assert_eq!(end.settings(), &settings("second"));
    let whole = wait(History::read(&life.store(), THREAD)).unwrap();
    assert_eq!((whole.settings(), whole.row()), (end.settings(), end.row()));
}

/// The settings are known if one record with them is readable, whichever records are damaged.
#[tokio::test]
async fn settings_are_known_while_one_record_has_them() {
    let settings = |model: &str| StoredSettings { model: model.to_owned(), ..StoredSettings::default() };
    let mut life = RecordedLife::with(settings("first"));
    for model in ["second", "third"] {
        (0..3).for_each(|_| life.happens(&Happening::Turn(1, 10, Some(TurnStatus::Completed))));
        life.record(ThreadMeta { settings: Some(settings(model)), git_info: None });
    }
    (0..3).for_each(|_| life.happens(&Happening::Turn(1, 10, Some(TurnStatus::Completed))));
    let say = |record: &&Record| record.body.settings().is_some();
    let said: Vec<u64> = life.records.iter().filter(say).map(|record| record.seq.0).collect();
    assert_eq!(said.len(), 6, "each when it is set, and in the next header");
    let cases = [(vec![], "third"), (vec![said[4]], "third"), (vec![said[5]], "third")];
    let lost =
        [(vec![said[4], said[5]], "second"), (said[1..].to_vec(), "first"), (said[2..].to_vec(), "first")];
    for (at, model) in cases.into_iter().chain(lost) {
        let (_dir, store) = damaged(&life, &at);
        let mut end = History::read_end(&store, THREAD, 0).await.unwrap();
        assert_eq!(end.settings().model, model, "{at:?}");
        // A new header has the settings, or names a record that has them.
        let seq = end.seq().next();
        let body = end.turn_completed_record("t9".into(), TurnStatus::Completed, None);
        let header = Record { seq, at: WallMs(0), body };
        let (named, is_there) = (end.header().settings_at, header.body.settings().is_some());
        assert!(is_there || !at.contains(&named.unwrap().0) || !at.contains(&said[5]), "{at:?}");
        end.apply(&header);
        assert_eq!(end.settings().model, model);
    }
}

/// A file store with the records of `life`, where the lines at these numbers are damaged.
pub(crate) fn damaged(
    life: &RecordedLife,
    at: &[u64],
) -> (tempfile::TempDir, crate::rollout::file::FileStore) {
    use skein_base::tasks::Tasks;

    use crate::home::HomePaths;
    use crate::rollout::file::{FileStore, layer::DiskLayer};
    let dir = tempfile::tempdir().unwrap();
    let paths = HomePaths::new(dir.path());
    let mut bytes = Vec::new();
    for record in &life.records {
        let from = bytes.len();
        crate::rollout::line::encode(record, &mut bytes).unwrap();
        if at.contains(&record.seq.0) {
            bytes[from + 30] ^= 1;
        }
    }
    let name = THREAD.to_string();
    let folder = paths.threads().join(&name[name.len() - 2..]);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir_all(paths.open_markers()).unwrap();
    std::fs::write(folder.join(format!("{name}.jsonl")), bytes).unwrap();
    (dir, FileStore::open(&paths, std::sync::Arc::new(DiskLayer), Tasks::new()).unwrap())
}

/// The beginning, the middle of a turn, its last record, everything between two turns, a turn's first record.
#[tokio::test]
async fn damage_is_shown_where_it_is_however_the_history_is_read() {
    let life = RecordedLife::of_turns(6);
    // Two records, then four for each turn.
    let cases: [(&[u64], &[&str]); 5] = [
        (&[1, 2], &["damage-1-2"]),
        (&[8], &["damage-8-8"]),
        (&[10, 11], &["damage-10-11"]),
        (&[7, 8, 9, 10], &["damage-7-10"]),
        (&[1, 12, 20, 21], &["damage-1-1", "damage-12-12", "damage-20-21"]),
    ];
    for (at, expected) in cases {
        let (_dir, store) = damaged(&life, at);
        let whole = History::read(&store, THREAD).await.unwrap();
        let shown: Vec<String> = (whole.held_turns().iter().flat_map(|held| &held.turn.items))
            .map(|item| item.id().to_string())
            .filter(|id| id.starts_with(crate::history::DAMAGE_ID))
            .collect();
        assert_eq!(shown, expected);
        let all = of_held(whole.held_turns());
        let read = Turns::of(&store, THREAD, whole.taken_back(), None);
        let one = Enough { turns: 1, ..Enough::ALL };
        let stretch = read.back(None, Enough { turns: usize::MAX, ..one }).await.unwrap();
        assert_eq!(of_held(&stretch.turns.into_iter().collect::<Vec<_>>()), all, "backwards, {at:?}");
        let stretch = read.forward(EventSeq(1), Enough { turns: usize::MAX, ..one }).await.unwrap();
        assert_eq!(of_held(&stretch.turns.into_iter().collect::<Vec<_>>()), all, "forwards, {at:?}");
        let end = History::read_end(&store, THREAD, usize::MAX).await.unwrap();
        assert_eq!(of_held(end.held_turns()), all);
    }
}
