//! A fork may end with every turn that readers show, whatever is damaged.

use super::*;
use crate::history::read::tests::damaged;
use crate::testing::{RecordedLife, THREAD};

fn turn(n: usize) -> TurnId {
    format!("t{n}").as_str().into()
}

/// The ends of a fork with turn `n` and of a fork before it, in a history with these damaged records.
async fn ends(life: &RecordedLife, at: &[u64], n: usize) -> [Option<u64>; 2] {
    let (_dir, store) = damaged(life, at);
    let mut ends = [None, None];
    for (end, bound) in ends.iter_mut().zip([Bound::Through(turn(n)), Bound::Before(turn(n))]) {
        *end = History::cut(&store, THREAD, &bound).await.unwrap().map(|cut| cut.up_to.0);
    }
    ends
}

/// Two records, then four for each turn: the turns begin with 3, 7, 11 and 15.
fn two_of_four_taken_back() -> RecordedLife {
    RecordedLife::of_turns(4).reverted(1)
}

#[tokio::test]
async fn a_fork_finds_the_turns_before_what_was_taken_back() {
    let life = two_of_four_taken_back();
    assert_eq!(ends(&life, &[], 1).await, [Some(6), Some(2)]);
    assert_eq!(ends(&life, &[], 2).await, [Some(10), Some(6)]);
    assert_eq!(ends(&life, &[], 3).await, [None, None]);
    assert_eq!(ends(&life, &[], 4).await, [None, None]);
}

#[tokio::test]
async fn turns_before_what_was_taken_back_are_found_where_its_first_record_is_damaged() {
    let life = two_of_four_taken_back();
    for at in [&[11][..], &[11, 12, 13, 14], &[10, 11], &[11, 15]] {
        let (_dir, store) = damaged(&life, at);
        let shown = History::read(&store, THREAD).await.unwrap();
        for n in [1, 2] {
            assert!(shown.turn(&turn(n)).is_some(), "{at:?}: a reader shows turn {n}");
        }
        assert_eq!(ends(&life, at, 1).await, [Some(6), Some(2)], "{at:?}");
        assert_eq!(ends(&life, at, 2).await, [Some(10), Some(6)], "{at:?}: nothing of what was taken back");
        assert_eq!(ends(&life, at, 4).await, [None, None], "{at:?}");
    }
}

/// The earlier revert took back a part of the later one.
#[tokio::test]
async fn turns_of_two_reverts_stay_hidden() {
    // Turn 4 is taken back, then 3: records 19 and 20.
    let life = RecordedLife::of_turns(4).reverted(0).reverted(0);
    assert_eq!(ends(&life, &[11], 2).await, [Some(10), Some(6)]);
    for n in [3, 4] {
        assert_eq!(ends(&life, &[], n).await, [None, None]);
        assert_eq!(ends(&life, &[11], n).await, [None, None]);
    }
}

/// An earlier version did not record where its revert began.
#[tokio::test]
async fn a_revert_without_a_number_goes_by_the_turn() {
    let mut life = two_of_four_taken_back();
    for record in &mut life.records {
        if let RecordBody::Reverted(reverted) = &mut record.body {
            reverted.from = None;
        }
    }
    assert_eq!(ends(&life, &[], 2).await, [Some(10), Some(6)]);
    assert_eq!(ends(&life, &[], 3).await, [None, None]);
}
