//! Walks over histories, also while they grow.

use std::sync::Arc;

use proptest::prelude::*;
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{Epoch, EventSeq, ItemId, ThreadId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::{
    SortDirection, ThreadItemsListAnchor, ThreadItemsListCursor, ThreadItemsListParams,
    ThreadItemsListResponse, ThreadTurnsListParams, TurnsPage,
};
use skein_protocol::turn::{Turn, TurnItemsView, TurnStatus, UserInput};
use skein_store::history::LoadedTurn;
use uuid::Uuid;

use super::{PageCursor, PageError, Shown, add_open_items, print, wanted_items, wanted_turns};

fn now(turns: &[Turn]) -> Shown {
    let held = (1..).zip(turns).map(|(at, turn)| LoadedTurn::of(turn.clone(), EventSeq(at)));
    Shown { turns: held.collect(), ..Shown::default() }
}

fn turns(all: &[Turn], params: &ThreadTurnsListParams) -> Result<TurnsPage, PageError> {
    super::turns(&now(all), params, usize::MAX)
}

fn items(all: &[Turn], params: &ThreadItemsListParams) -> Result<ThreadItemsListResponse, PageError> {
    super::items(&now(all), params, usize::MAX)
}

const THREAD: ThreadId = ThreadId::new(Uuid::from_u128(7));

fn item(turn: usize, item: usize) -> ThreadItem {
    ThreadItem::user_message(ItemId::from(format!("{turn}-{item}")), vec![UserInput::text("words")], None)
}

fn turn(number: usize, count: usize) -> Turn {
    let mut turn = Turn::new(TurnId::from(format!("turn {number}")), 5);
    turn.status = TurnStatus::Completed;
    turn.items = (0..count).map(|at| item(number, at)).collect();
    turn
}

/// A history whose turns have these numbers of items.
fn history(counts: &[usize]) -> Vec<Turn> {
    counts.iter().enumerate().map(|(number, count)| turn(number, *count)).collect()
}

fn turns_params(cursor: Option<String>, limit: u32, direction: SortDirection) -> ThreadTurnsListParams {
    let (items_view, sort_direction) = (Some(TurnItemsView::Full), Some(direction));
    ThreadTurnsListParams { cursor, items_view, limit: Some(limit), sort_direction, thread_id: THREAD }
}

fn items_params(cursor: Option<String>, limit: u32, direction: SortDirection) -> ThreadItemsListParams {
    ThreadItemsListParams {
        cursor: cursor.map(ThreadItemsListCursor::Page),
        defer_output: None,
        limit: Some(limit),
        sort_direction: Some(direction),
        thread_id: THREAD,
        turn_id: None,
    }
}

fn turn_ids(turns: &[Turn]) -> Vec<String> {
    turns.iter().map(|turn| turn.id.to_string()).collect()
}

fn item_ids(turns: &[Turn]) -> Vec<String> {
    turns.iter().flat_map(|turn| &turn.items).map(|item| item.id().to_string()).collect()
}

/// Reads all pages, and calls `grow` before each but the first. Each page must be full, with a cursor back to its own
/// beginning.
fn walk(
    all: &mut Vec<Turn>,
    mut grow: impl FnMut(&mut Vec<Turn>),
    mut page: impl FnMut(&[Turn], Option<String>) -> (Vec<String>, Option<String>),
) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let (ids, next) = page(all, cursor.take());
        seen.extend(ids);
        let Some(next) = next else { return seen };
        cursor = Some(next);
        grow(all);
    }
}

fn walk_turns(
    all: &mut Vec<Turn>,
    limit: u32,
    direction: SortDirection,
    grow: impl FnMut(&mut Vec<Turn>),
) -> Vec<String> {
    walk(all, grow, |all, cursor| {
        let page = turns(all, &turns_params(cursor, limit, direction)).unwrap();
        assert!(page.data.len() <= limit as usize);
        (turn_ids(&page.data), page.next_cursor)
    })
}

fn walk_items(
    all: &mut Vec<Turn>,
    limit: u32,
    direction: SortDirection,
    grow: impl FnMut(&mut Vec<Turn>),
) -> Vec<String> {
    walk(all, grow, |all, cursor| {
        let page = items(all, &items_params(cursor, limit, direction)).unwrap();
        assert!(page.data.len() <= limit as usize);
        let ids = page.data.iter().map(|entry| entry.item.id().to_string()).collect();
        (ids, page.next_cursor)
    })
}

/// Appends turns of these numbers of items before each page but the first, and an item to the previous last turn.
fn growing(appended: &[usize]) -> impl FnMut(&mut Vec<Turn>) {
    let mut appended = appended.iter().copied();
    move |all| {
        let Some(count) = appended.next() else { return };
        let number = all.len();
        if let Some(last) = all.last_mut() {
            let at = last.items.len();
            last.items.push(item(number - 1, at));
        }
        all.push(turn(number, count));
    }
}

proptest! {
    #[test]
    fn all_pages_together_are_the_history_in_either_direction(
        counts in prop::collection::vec(0usize..5, 0..8),
        limit in 1u32..9,
    ) {
        let mut all = history(&counts);
        let (mut by_turn, mut by_item) = (turn_ids(&all), item_ids(&all));
        prop_assert_eq!(&walk_turns(&mut all, limit, SortDirection::Asc, |_| {}), &by_turn);
        prop_assert_eq!(&walk_items(&mut all, limit, SortDirection::Asc, |_| {}), &by_item);
        by_turn.reverse();
        by_item.reverse();
        prop_assert_eq!(&walk_turns(&mut all, limit, SortDirection::Desc, |_| {}), &by_turn);
        prop_assert_eq!(&walk_items(&mut all, limit, SortDirection::Desc, |_| {}), &by_item);
    }

    #[test]
    fn later_turns_do_not_move_a_cursor(
        counts in prop::collection::vec(0usize..5, 0..8),
        appended in prop::collection::vec(0usize..3, 0..6),
        limit in 1u32..5,
    ) {
        let before = history(&counts);
        // Forwards: appended turns come at the end.
        let mut all = before.clone();
        let seen = walk_turns(&mut all, limit, SortDirection::Asc, growing(&appended));
        prop_assert_eq!(seen, turn_ids(&all));
        let mut all = before.clone();
        let seen = walk_items(&mut all, limit, SortDirection::Asc, growing(&appended));
        prop_assert_eq!(seen, item_ids(&all));
        // Backwards: appended turns are newer than the start of the walk.
        let reversed = |mut ids: Vec<String>| { ids.reverse(); ids };
        let seen = walk_turns(&mut before.clone(), limit, SortDirection::Desc, growing(&appended));
        prop_assert_eq!(seen, reversed(turn_ids(&before)));
        let seen = walk_items(&mut before.clone(), limit, SortDirection::Desc, growing(&appended));
        prop_assert_eq!(seen, reversed(item_ids(&before)));
    }

    #[test]
    fn a_backwards_cursor_turns_round_at_the_first_entry_of_its_page(
        counts in prop::collection::vec(1usize..5, 1..8),
        limit in 1u32..4,
    ) {
        let all = history(&counts);
        let first = turns(&all, &turns_params(None, limit, SortDirection::Desc)).unwrap();
        let mut grown = all.clone();
        growing(&[1, 1])(&mut grown);
        let back = turns(&grown, &turns_params(first.backwards_cursor, 9, SortDirection::Asc)).unwrap();
        prop_assert_eq!(turn_ids(&back.data), turn_ids(&grown[all.len() - 1..]));
        let first = items(&all, &items_params(None, limit, SortDirection::Asc)).unwrap();
        let back = items(&all, &items_params(first.backwards_cursor, 9, SortDirection::Desc)).unwrap();
        prop_assert_eq!(&back.data, &first.data[..1]);
    }

    #[test]
    fn any_text_is_a_cursor_or_refused(text in ".{0,60}") {
        let all = history(&[1, 2]);
        let refused = turns(&all, &turns_params(Some(text.clone()), 5, SortDirection::Asc));
        prop_assert_eq!(refused.unwrap_err(), PageError::BadCursor);
        let refused = items(&all, &items_params(Some(text), 5, SortDirection::Asc));
        prop_assert_eq!(refused.unwrap_err(), PageError::BadCursor);
    }
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let all = history(&[1, 2, 3]);
    let of_turns = turns(&all, &turns_params(None, 1, SortDirection::Asc)).unwrap().next_cursor;
    let of_items = items(&all, &items_params(None, 1, SortDirection::Asc)).unwrap().next_cursor;
    let refused = items(&all, &items_params(of_turns.clone(), 1, SortDirection::Asc));
    assert_eq!(refused.unwrap_err(), PageError::BadCursor);
    let refused = turns(&all, &turns_params(of_items, 1, SortDirection::Asc));
    assert_eq!(refused.unwrap_err(), PageError::BadCursor);
    let other = ThreadId::new(Uuid::from_u128(8));
    let params = ThreadTurnsListParams { thread_id: other, ..turns_params(of_turns, 1, SortDirection::Asc) };
    assert_eq!(turns(&all, &params).unwrap_err(), PageError::BadCursor);
}

#[test]
fn a_cursor_of_another_thread_is_refused_in_every_form() {
    let other = ThreadId::new(Uuid::from_u128(8));
    let as_of = Some(ThreadPicture { seq: EventSeq(3), epoch: Epoch(1) });
    let end = PageCursor { thread: other, turn: None, at: None, item: None, as_of, inclusive: true };
    for cursor in
        [end.clone(), PageCursor { as_of: None, ..end.clone() }, PageCursor { turn: Some("t".into()), ..end }]
    {
        let params = turns_params(Some(print(&cursor)), 5, SortDirection::Desc);
        assert_eq!(wanted_turns(&params), Err(PageError::BadCursor));
        assert_eq!(turns(&history(&[1]), &params).unwrap_err(), PageError::BadCursor);
        let params = items_params(Some(print(&cursor)), 5, SortDirection::Desc);
        assert_eq!(wanted_items(&params), Err(PageError::BadCursor));
        assert_eq!(items(&history(&[1]), &params).unwrap_err(), PageError::BadCursor);
    }
}

#[test]
fn a_page_ends_before_it_has_too_many_bytes_and_goes_on_behind() {
    let all = now(&history(&[2, 2, 2]));
    let one = serde_json::to_vec(&all.turns[0].turn).unwrap().len();
    for (most_bytes, pages) in [(0, 3), (one, 3), (2 * one, 2), (3 * one, 1)] {
        let (mut seen, mut cursor, mut count) = (Vec::new(), None, 0);
        loop {
            let page =
                super::turns(&all, &turns_params(cursor.take(), 9, SortDirection::Asc), most_bytes).unwrap();
            (seen, count) = ([seen, turn_ids(&page.data)].concat(), count + 1);
            let Some(next) = page.next_cursor else { break };
            cursor = Some(next);
        }
        assert_eq!((seen, count), (turn_ids(&history(&[2, 2, 2])), pages), "{most_bytes} bytes");
    }
    let page = super::items(&all, &items_params(None, 9, SortDirection::Asc), 0).unwrap();
    assert_eq!((page.data.len(), page.next_cursor.is_some()), (1, true));
}

#[test]
fn the_items_of_one_turn_are_listed_behind_an_anchor() {
    let all = history(&[2, 4, 2]);
    let anchor = ThreadItemsListAnchor::Item { item_id: ItemId::from("1-1") };
    let mut params = ThreadItemsListParams {
        cursor: Some(ThreadItemsListCursor::Anchor(anchor)),
        turn_id: Some(TurnId::from("turn 1")),
        ..items_params(None, 9, SortDirection::Asc)
    };
    let ids = |params: &ThreadItemsListParams| -> Vec<String> {
        items(&all, params).unwrap().data.iter().map(|entry| entry.item.id().to_string()).collect()
    };
    assert_eq!(ids(&params), ["1-2", "1-3"]);
    params.sort_direction = Some(SortDirection::Desc);
    assert_eq!(ids(&params), ["1-0"]);
    params.turn_id = None;
    assert_eq!(items(&all, &params).unwrap_err(), PageError::AnchorWithoutTurn);
    let nowhere = TurnId::from("nowhere");
    params.turn_id = Some(nowhere.clone());
    assert_eq!(items(&all, &params).unwrap_err(), PageError::NoTurn { turn: nowhere });
}

#[test]
fn turns_are_summed_up_and_newest_first_unless_asked_otherwise() {
    let params = ThreadTurnsListParams {
        items_view: None,
        limit: None,
        sort_direction: None,
        ..turns_params(None, 1, SortDirection::Asc)
    };
    let page = turns(&history(&[3, 1]), &params).unwrap();
    assert_eq!(turn_ids(&page.data), ["turn 1", "turn 0"]);
    assert!(page.data.iter().all(|turn| turn.items_view == TurnItemsView::Summary && turn.items.len() == 1));
    assert_eq!(page.next_cursor, None);
}

#[test]
fn items_in_progress_go_into_their_own_turn_unless_they_are_done() {
    let running = TurnId::from("turn 1");
    let open = [item(1, 0), item(1, 1)].map(Arc::new);
    // The turn is not on disk yet: its items do not go into the previous turn.
    let mut all = history(&[1]);
    add_open_items(&mut all[0], Some(&running), &open);
    assert_eq!(item_ids(&all), ["0-0"]);
    let mut all = history(&[1, 1]);
    all[1].status = TurnStatus::InProgress;
    all[1].items[0].completed_at_ms = Some(5);
    add_open_items(&mut all[1], Some(&running), &open);
    assert_eq!(item_ids(&all), ["0-0", "1-0", "1-1"]);
    assert_eq!(all[1].items[0].completed_at_ms, Some(5), "what is done stays as it is");
    // The turn has ended, and items that are not in it were never saved.
    let mut all = history(&[1, 1]);
    add_open_items(&mut all[1], Some(&running), &open);
    assert_eq!(item_ids(&all), ["0-0", "1-0"]);
}
