//! The promises of every [`RolloutStore`](super::RolloutStore), as one function for every store's tests.
#![expect(clippy::unwrap_used, reason = "a broken promise ends the test")]

use std::sync::Arc;
use std::time::Duration;

use skein_base::clock::{Clock, WallMs};
use skein_protocol::ids::{EventSeq, ThreadId, TurnId};
use skein_protocol::turn::UserInput;

use super::record::{Record, TurnStarted};
use super::{
    AppendError, CopyError, Keep, Lease, Location, LogEntry, MayHold, MoveError, OpenMarker, ReadError,
    RecordPage, RolloutStore,
};
use crate::home::Term;
use crate::testing::{closed, lease, named, names, opened, thread};

/// Checks every promise on empty stores that `new` makes, each with its guard.
pub async fn keeps_every_promise<G, S: RolloutStore>(new: impl AsyncFn() -> (G, S)) {
    macro_rules! promises {
        ($($promise:ident)+) => { $( {
            let (_kept, store) = new().await;
            $promise(&store).await;
        } )+ };
    }
    promises! {
        appended_records_are_read
        a_wrong_end_is_a_conflict
        a_later_owner_fences_an_earlier_one
        pages_meet_without_gap_or_repetition
        a_missing_rollout_is_missing
        an_open_thread_keeps_its_marker
        a_copy_begins_with_what_was_there
        a_copy_has_the_term_of_what_was_there
        every_thread_is_listed
        a_thread_is_whole_at_either_location
        a_prefilter_answers_for_each_thread_while_there_is_time
        a_deleted_rollout_is_missing_and_is_purged_when_it_is_old
        a_move_is_fenced_and_sets_the_open_marker
    }
}

async fn appended_records_are_read(store: &dyn RolloutStore) {
    let id = thread(1);
    let mut expected = EventSeq(0);
    for (from, to, keep) in [(1, 1, Keep::Power), (2, 4, Keep::Process), (5, 5, Keep::Power)] {
        expected = store.append(lease(id), expected, LogEntry::of(names(from, to), keep)).await.unwrap().head;
        assert_eq!(expected, EventSeq(to));
        assert_eq!(store.head(id).await.unwrap(), expected);
    }
    let same = store.append(lease(id), expected, LogEntry::of(Vec::new(), Keep::Power)).await.unwrap();
    assert_eq!(same.head, expected, "nothing is appended, only kept");
    assert_eq!(store.read_after(id, EventSeq(0), 100).await.unwrap().records, names(1, 5));
    for _ in 0..2 {
        store.release(id);
        let loaded = store.load(id).await.unwrap();
        assert_eq!((loaded.end, loaded.head), (names(1, 5), EventSeq(5)));
    }
    assert_eq!(store.counts().appends, 4);
}

async fn a_wrong_end_is_a_conflict(store: &dyn RolloutStore) {
    let id = thread(1);
    store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 3), Keep::Process)).await.unwrap();
    let tries = [
        (EventSeq(2), names(3, 3)),
        (EventSeq(4), names(5, 5)),
        (EventSeq(3), names(5, 5)),
        (EventSeq(3), names(3, 4)),
        (EventSeq(3), vec![named(4, "a"), named(4, "b")]),
        (EventSeq(0), names(1, 1)),
    ];
    for (expected, records) in tries {
        let refused =
            store.append(lease(id), expected, LogEntry::of(records, Keep::Power)).await.unwrap_err();
        assert!(matches!(refused, AppendError::Conflict { head: EventSeq(3), .. }), "{refused}");
    }
    let refused = store
        .append(lease(thread(2)), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power))
        .await
        .unwrap_err();
    assert!(matches!(refused, AppendError::Conflict { head: EventSeq(0), .. }), "{refused}");
    assert_eq!(store.load(id).await.unwrap().end, names(1, 3));
}

async fn a_later_owner_fences_an_earlier_one(store: &dyn RolloutStore) {
    let id = thread(1);
    let later = Lease { thread: id, term: Term(2) };
    store.append(lease(id), EventSeq(0), LogEntry::of(vec![opened(1, 1)], Keep::Power)).await.unwrap();
    store.append(later, EventSeq(1), LogEntry::of(vec![opened(2, 2)], Keep::Power)).await.unwrap();
    for reload in [false, true] {
        if reload {
            store.release(id);
        }
        let refused =
            store.append(lease(id), EventSeq(2), LogEntry::of(names(3, 3), Keep::Power)).await.unwrap_err();
        assert!(matches!(refused, AppendError::Fenced { term: Term(2), .. }), "{refused}");
    }
    store.append(later, EventSeq(2), LogEntry::of(vec![closed(3)], Keep::Power)).await.unwrap();
}

async fn pages_meet_without_gap_or_repetition(store: &dyn RolloutStore) {
    let id = thread(1);
    store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 50), Keep::Process)).await.unwrap();
    for limit in [1, 7, 49, 50, 51] {
        let (mut forward, mut back) = (Vec::new(), Vec::new());
        loop {
            let after = forward.last().map_or(EventSeq(0), |last: &Record| last.seq);
            let RecordPage { records, more, .. } = store.read_after(id, after, limit).await.unwrap();
            assert!(records.len() <= limit);
            forward.extend(records);
            if !more {
                break;
            }
        }
        assert_eq!(forward, names(1, 50), "forwards by {limit}");
        loop {
            let before = back.first().map(|first: &Record| first.seq);
            let RecordPage { mut records, more, .. } = store.read_back(id, before, limit).await.unwrap();
            assert!(records.len() <= limit);
            records.append(&mut back);
            back = records;
            if !more {
                break;
            }
        }
        assert_eq!(back, names(1, 50), "backwards by {limit}");
    }
    assert_eq!(store.read_after(id, EventSeq(50), 5).await.unwrap(), RecordPage::default());
    assert_eq!(store.read_after(id, EventSeq(99), 5).await.unwrap(), RecordPage::default());
    assert_eq!(store.read_back(id, Some(EventSeq(1)), 5).await.unwrap(), RecordPage::default());
}

async fn a_missing_rollout_is_missing(store: &dyn RolloutStore) {
    let id = thread(1);
    assert!(!store.exists(id).await.unwrap());
    assert!(matches!(store.load(id).await, Err(ReadError::Missing(missing)) if missing == id));
    assert!(matches!(store.head(id).await, Err(ReadError::Missing(_))));
    assert!(matches!(store.read_after(id, EventSeq(0), 1).await, Err(ReadError::Missing(_))));
    assert!(matches!(store.read_back(id, None, 1).await, Err(ReadError::Missing(_))));
    assert_eq!(store.open_markers().await.unwrap(), []);
    store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Process)).await.unwrap();
    assert!(store.exists(id).await.unwrap());
}

fn open_markers_of<const N: usize>(store: &dyn RolloutStore, threads: [ThreadId; N]) -> Vec<OpenMarker> {
    threads.map(|thread| store.open_marker(thread)).to_vec()
}

async fn an_open_thread_keeps_its_marker(store: &dyn RolloutStore) {
    let (one, other) = (thread(1), thread(2));
    store.append(lease(one), EventSeq(0), LogEntry::of(names(1, 1), Keep::Process)).await.unwrap();
    store.set_open_marker(other).await.unwrap();
    assert_eq!(store.open_markers().await.unwrap(), [one, other]);
    let before = open_markers_of(store, [one, other]);
    store.append(lease(one), EventSeq(1), LogEntry::of(names(2, 2), Keep::Process)).await.unwrap();
    store.release(one);
    assert_eq!(store.clear_open_markers(before.clone()).await.unwrap(), 1);
    assert_eq!(store.open_markers().await.unwrap(), [one], "it was changed since");
    let written = open_markers_of(store, [one]);
    store.relocate(lease(one), Location::Archived).await.unwrap();
    store.release(one);
    assert_eq!(store.clear_open_markers([written, before].concat()).await.unwrap(), 0);
    assert_eq!(store.open_markers().await.unwrap(), [one], "it was put elsewhere since");
    assert_eq!(store.clear_open_markers(open_markers_of(store, [one, other, thread(3)])).await.unwrap(), 1);
    assert_eq!(store.open_markers().await.unwrap(), []);

    store.load(one).await.unwrap();
    assert_eq!(store.open_markers().await.unwrap(), [], "a load that writes nothing marks nothing");
    store.append(lease(one), EventSeq(2), LogEntry::of(names(3, 3), Keep::Process)).await.unwrap();
    assert_eq!(store.open_markers().await.unwrap(), [one]);
    assert_eq!(store.counts().open_markers, 1);
}

async fn a_thread_is_whole_at_either_location(store: &dyn RolloutStore) {
    let (id, other) = (thread(1), thread(2));
    for id in [id, other] {
        store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 2), Keep::Power)).await.unwrap();
    }
    let mut end = 2;
    for location in
        [Location::Active, Location::Archived, Location::Archived, Location::Active, Location::Archived]
    {
        store.relocate(lease(id), location).await.unwrap();
        assert_eq!(store.location(id).await.unwrap(), location);
        let locations = store.locations(vec![other, thread(9), id]).await.unwrap();
        assert_eq!(locations, [Some(Location::Active), None, Some(location)]);
        let archived = if location == Location::Archived { vec![id] } else { Vec::new() };
        assert_eq!(store.archived().await.unwrap(), archived);
        let mut all = store.threads().await.unwrap();
        all.sort_unstable();
        assert_eq!(all, [id, other], "both shelves, each thread once");
        // With the writer behind the move, or as the next owner.
        store
            .append(lease(id), EventSeq(end), LogEntry::of(names(end + 1, end + 1), Keep::Power))
            .await
            .unwrap();
        end += 1;
        assert_eq!(store.read_after(id, EventSeq(0), 99).await.unwrap().records, names(1, end));
        store.release(id);
        assert_eq!(store.head(id).await.unwrap(), EventSeq(end));
        assert_eq!(store.load(id).await.unwrap().end, names(1, end));
        assert!(store.exists(id).await.unwrap());
    }
    assert_eq!(store.location(other).await.unwrap(), Location::Active);
}

async fn a_deleted_rollout_is_missing_and_is_purged_when_it_is_old(store: &dyn RolloutStore) {
    for n in [1, 2, 3] {
        store.append(lease(thread(n)), EventSeq(0), LogEntry::of(names(1, 2), Keep::Process)).await.unwrap();
    }
    let gone = thread(2);
    store.relocate(lease(gone), Location::Archived).await.unwrap();
    store.trash(lease(gone), WallMs(1_000)).await.unwrap();
    store.trash(lease(thread(1)), WallMs(2_000)).await.unwrap();
    store.release(gone);
    assert_eq!(store.threads().await.unwrap(), [thread(3)]);
    assert_eq!(store.archived().await.unwrap(), []);
    assert!(!store.exists(gone).await.unwrap());
    assert!(matches!(store.location(gone).await, Err(ReadError::Missing(_))));
    assert!(matches!(store.load(gone).await, Err(ReadError::Missing(_))));
    assert!(matches!(store.read_after(gone, EventSeq(0), 9).await, Err(ReadError::Missing(_))));
    for again in
        [store.trash(lease(gone), WallMs(3_000)).await, store.relocate(lease(gone), Location::Active).await]
    {
        assert!(matches!(again, Err(MoveError::Read(ReadError::Missing(_)))), "{again:?}");
    }
    for (before, purged) in [(1_000, 0), (1_001, 1), (1_001, 0), (9_999, 1)] {
        assert_eq!(store.purge(WallMs(before)).await.unwrap(), purged, "before {before}");
    }
    assert_eq!(store.threads().await.unwrap(), [thread(3)], "nothing else is purged");
}

async fn a_move_is_fenced_and_sets_the_open_marker(store: &dyn RolloutStore) {
    let id = thread(1);
    let later = Lease { thread: id, term: Term(2) };
    store.append(later, EventSeq(0), LogEntry::of(vec![opened(1, 2)], Keep::Power)).await.unwrap();
    for reload in [false, true] {
        if reload {
            store.release(id);
        }
        for refused in
            [store.relocate(lease(id), Location::Archived).await, store.trash(lease(id), WallMs(1)).await]
        {
            assert!(matches!(refused, Err(MoveError::Fenced { term: Term(2), .. })), "{refused:?}");
        }
    }
    store.release(id);
    store.clear_open_markers(open_markers_of(store, [id])).await.unwrap();
    store.relocate(later, Location::Archived).await.unwrap();
    assert_eq!(store.open_markers().await.unwrap(), [id]);
    store.release(id);
    assert_eq!(store.clear_open_markers(open_markers_of(store, [id])).await.unwrap(), 1);
    store.trash(later, WallMs(1)).await.unwrap();
    assert_eq!(store.open_markers().await.unwrap(), [id], "who looks for it finds that it is gone");
    store.release(id);
    assert_eq!(store.clear_open_markers(open_markers_of(store, [id])).await.unwrap(), 1);
}

async fn every_thread_is_listed(store: &dyn RolloutStore) {
    for n in [1, 2, 3] {
        store.append(lease(thread(n)), EventSeq(0), LogEntry::of(names(1, 1), Keep::Process)).await.unwrap();
    }
    let mut listed = store.threads().await.unwrap();
    listed.sort_unstable();
    assert_eq!(listed, [thread(1), thread(2), thread(3)]);
}

async fn a_copy_begins_with_what_was_there(store: &dyn RolloutStore) {
    let (from, part, whole) = (thread(1), thread(2), thread(3));
    store.append(lease(from), EventSeq(0), LogEntry::of(names(1, 9), Keep::Process)).await.unwrap();
    let copied = store.copy(from, EventSeq(4), lease(part), vec![named(5, "another")]).await.unwrap();
    assert_eq!(copied.head, EventSeq(5));
    let mut expected = names(1, 4);
    expected.push(named(5, "another"));
    assert_eq!(store.read_after(part, EventSeq(0), 100).await.unwrap().records, expected);
    assert!(store.open_markers().await.unwrap().contains(&part));
    store.copy(from, EventSeq(9), lease(whole), Vec::new()).await.unwrap();
    assert_eq!(store.load(whole).await.unwrap().end, names(1, 9));
    // Both continue by themselves.
    store.append(lease(part), EventSeq(5), LogEntry::of(names(6, 6), Keep::Power)).await.unwrap();
    store.append(lease(from), EventSeq(9), LogEntry::of(names(10, 10), Keep::Power)).await.unwrap();
    assert_eq!(store.head(whole).await.unwrap(), EventSeq(9));
    let again = store.copy(from, EventSeq(4), lease(part), Vec::new()).await;
    assert!(matches!(again, Err(CopyError::Write(AppendError::Conflict { .. }))), "{again:?}");
    let missing = store.copy(thread(7), EventSeq(1), lease(thread(8)), Vec::new()).await;
    assert!(matches!(missing, Err(CopyError::Read(ReadError::Missing(_)))), "{missing:?}");
    assert_eq!(store.threads().await.unwrap().len(), 3);
}

/// An owner of the copy has no lower term than those of what was copied.
async fn a_copy_has_the_term_of_what_was_there(store: &dyn RolloutStore) {
    let of = |n: u128, term: u64| Lease { thread: thread(n), term: Term(term) };
    let begun = LogEntry::of(vec![opened(1, 5), named(2, "one")], Keep::Power);
    store.append(of(1, 5), EventSeq(0), begun).await.unwrap();
    store.copy(thread(1), EventSeq(2), of(2, 5), vec![named(3, "another")]).await.unwrap();
    let late = store.append(of(2, 4), EventSeq(3), LogEntry::of(names(4, 4), Keep::Power)).await;
    assert!(matches!(late, Err(AppendError::Fenced { term: Term(5), .. })), "{late:?}");
    store.append(of(2, 6), EventSeq(3), LogEntry::of(names(4, 4), Keep::Power)).await.unwrap();
}

async fn a_prefilter_answers_for_each_thread_while_there_is_time(store: &dyn RolloutStore) {
    let said = |seq, text: &str| {
        let (turn_id, input) = (TurnId::from("turn"), vec![UserInput::text(text)]);
        let started = TurnStarted { turn_id, input, item_id: None, client_id: None, terms: None };
        Record { seq: EventSeq(seq), at: WallMs(0), body: started.into() }
    };
    let [found, other, missing] = [1, 2, 3].map(thread);
    let records = vec![opened(1, 1), said(2, "hay"), said(3, "needle"), said(4, "hay"), said(5, "needle")];
    store.append(lease(found), EventSeq(0), LogEntry::of(records, Keep::Process)).await.unwrap();
    store
        .append(lease(other), EventSeq(0), LogEntry::of(vec![opened(1, 1), said(2, "hay")], Keep::Process))
        .await
        .unwrap();
    let may_hold: MayHold = Arc::new(|line| memchr::memmem::find(line, b"needle").is_some());
    let far = Clock.now() + Duration::from_secs(600);
    let prefilter = async |after, until| {
        let threads =
            [(found, after), (missing, 0), (other, 0)].map(|(thread, after)| (thread, EventSeq(after)));
        let answers = store.prefilter(threads.to_vec(), Arc::clone(&may_hold), until).await;
        answers.into_iter().map(|answer| answer.map_err(|error| error.to_string())).collect::<Vec<_>>()
    };
    let absent = || Err(ReadError::Missing(missing).to_string());
    assert_eq!(prefilter(0, far).await, [Ok(Some(EventSeq(3))), absent(), Ok(None)]);
    assert_eq!(prefilter(3, far).await, [Ok(Some(EventSeq(5))), absent(), Ok(None)]);
    assert_eq!(prefilter(5, far).await, [Ok(None), absent(), Ok(None)]);
    assert_eq!(
        prefilter(0, Clock.now()).await,
        [Ok(Some(EventSeq(3)))],
        "one in any case, and none behind the time"
    );
}
