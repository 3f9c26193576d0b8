//! Reading page after page shows the whole history, in either direction, with and without a cursor of a resume.

use std::path::Path;

use proptest::prelude::*;
use skein_protocol::ids::TurnId;
use skein_protocol::thread::{ThreadItemsListCursor, ThreadResumeParams};
use skein_protocol::turn::TurnItemsView;
use skein_store::home::HomePaths;
use skein_store::rollout::memory::MemoryStore;
use skein_store::testing::{RecordedLife, THREAD};

use super::*;

fn wait<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(what)
}

fn life() -> impl Strategy<Value = RecordedLife> {
    prop::collection::vec(any::<[u16; 4]>(), 0..40).prop_map(|draws| RecordedLife::drawn(&draws))
}

/// The turns that the handler cuts its page from.
fn shown(store: &MemoryStore, wanted: &WantedPage) -> Shown {
    let now = wait(History::read_end(store, THREAD, 0)).unwrap();
    let turns = Turns::of(store, THREAD, now.taken_back(), wanted.as_of.map(|as_of| as_of.seq));
    let (mut stretch, older, newer) = wait(read(&turns, wanted)).unwrap();
    if let (Some(newest), Some(last), Some(_)) =
        (stretch.newest.take(), stretch.turns.back_mut(), wanted.as_of)
    {
        let now = wait(turns.to_end_of_turn(&newest)).unwrap();
        pages::as_published_then(last, &newest, &now);
    }
    Shown { turns: stretch.turns.into(), older, newer, as_of: wanted.as_of }
}

fn all_turns(store: &MemoryStore, cursor: Option<String>, limit: u32, direction: SortDirection) -> Vec<Turn> {
    let (items_view, sort_direction) = (Some(TurnItemsView::Full), Some(direction));
    let (mut cursor, mut seen) = (cursor, Vec::new());
    loop {
        let params = ThreadTurnsListParams {
            cursor,
            items_view,
            limit: Some(limit),
            sort_direction,
            thread_id: THREAD,
        };
        let wanted = pages::wanted_turns(&params).unwrap();
        let page = pages::turns(&shown(store, &wanted), &params, 1 << 20).unwrap();
        assert!(page.data.len() <= limit as usize);
        assert!(!page.data.is_empty() || page.next_cursor.is_none());
        seen.extend(page.data);
        let Some(next) = page.next_cursor else { return seen };
        cursor = Some(next);
    }
}

fn all_items(
    store: &MemoryStore,
    (cursor, turn_id): (Option<String>, Option<TurnId>),
    limit: u32,
    direction: SortDirection,
) -> Vec<String> {
    let (mut cursor, mut seen) = (cursor, Vec::new());
    loop {
        let params = ThreadItemsListParams {
            cursor: cursor.map(ThreadItemsListCursor::Page),
            defer_output: None,
            limit: Some(limit),
            sort_direction: Some(direction),
            thread_id: THREAD,
            turn_id: turn_id.clone(),
        };
        let wanted = pages::wanted_items(&params).unwrap();
        let page = pages::items(&shown(store, &wanted), &params, 1 << 20).unwrap();
        assert!(page.data.len() <= limit as usize);
        seen.extend(page.data.into_iter().map(|entry| entry.item.id().to_string()));
        let Some(next) = page.next_cursor else { return seen };
        cursor = Some(next);
    }
}

fn items_of(turns: &[Turn]) -> Vec<String> {
    turns.iter().flat_map(|turn| &turn.items).map(|item| item.id().to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn page_after_page_is_the_whole(life in life(), limit in 1u32..30) {
        let store = life.store();
        let mut all = wait(History::read(&store, THREAD)).unwrap().turns(TurnItemsView::Full);
        prop_assert_eq!(&all_turns(&store, None, limit, SortDirection::Asc), &all);
        prop_assert_eq!(all_items(&store, (None, None), limit, SortDirection::Asc), items_of(&all));
        for turn in &all {
            let only = (None, Some(turn.id.clone()));
            let items = items_of(std::slice::from_ref(turn));
            prop_assert_eq!(all_items(&store, only, limit, SortDirection::Asc), items);
        }
        let mut items = items_of(&all);
        all.reverse();
        items.reverse();
        prop_assert_eq!(&all_turns(&store, None, limit, SortDirection::Desc), &all);
        prop_assert_eq!(all_items(&store, (None, None), limit, SortDirection::Desc), items);
    }

    #[test]
    fn pages_from_a_cursor_of_a_resume_show_its_history(life in life(), limit in 1u32..30, bytes in 0usize..40_000) {
        let store = life.store();
        let then = wait(History::read_end(&store, THREAD, bytes)).unwrap();
        let whole = wait(History::read(&store, THREAD)).unwrap();
        let (turns, items) = cursors(&then);
        let open: Vec<String> = whole.open_items().map(|item| item.id().to_string()).collect();
        let mut all = items_of(&whole.turns(TurnItemsView::Full));
        all.retain(|item| !open.contains(item));
        all.reverse();
        let seen = all_turns(&store, turns, limit, SortDirection::Desc);
        let ids = |turns: &[Turn]| turns.iter().map(|turn| turn.id.clone()).collect::<Vec<_>>();
        let mut expected = ids(&whole.turns(TurnItemsView::Full));
        expected.reverse();
        prop_assert_eq!(ids(&seen), expected);
        prop_assert!(items_of(&seen).iter().all(|item| !open.contains(item)));
        prop_assert_eq!(all_items(&store, (items, None), limit, SortDirection::Desc), all);
    }

    #[test]
    fn a_resume_and_the_pages_behind_it_are_the_whole(life in life(), limit in 1u32..30, bytes in 0usize..40_000) {
        let store = life.store();
        let then = wait(History::read_end(&store, THREAD, bytes)).unwrap();
        let answer = answer(&then);
        let mut seen = answer.thread.turns;
        if let Some(older) = answer.skein.and_then(|picture| picture.older_turns) {
            let mut before = all_turns(&store, Some(older), limit, SortDirection::Desc);
            before.reverse();
            seen.splice(0..0, before);
        }
        prop_assert_eq!(seen, wait(History::read(&store, THREAD)).unwrap().turns(TurnItemsView::Full));
    }
}

/// The answer to a resume.
fn answer(history: &History) -> skein_protocol::thread::ThreadResumeResponse {
    let picture = ThreadPicture { seq: history.seq(), epoch: history.epoch() };
    let thread =
        history.thread(skein_protocol::thread::ThreadStatus::Idle, &HomePaths::new(Path::new("/home")));
    let mut response: skein_protocol::thread::ThreadResumeResponse =
        crate::thread::views::response(history.settings(), thread, picture.with(Vec::new())).into();
    let params: ThreadResumeParams =
        serde_json::from_value(serde_json::json!({ "threadId": THREAD })).unwrap();
    pages::show(&mut response, history, &params, skein_config::policy::ANSWER_BYTES);
    response
}

fn cursors(history: &History) -> (Option<String>, Option<String>) {
    let answer = answer(history);
    (answer.turns_backwards_cursor, answer.items_backwards_cursor)
}

#[test]
fn what_was_taken_back_is_no_place_to_go_on_from() {
    let life = RecordedLife::of_turns(5);
    let store = life.store();
    let params = |cursor| ThreadTurnsListParams {
        cursor,
        items_view: None,
        limit: Some(1),
        sort_direction: None,
        thread_id: THREAD,
    };
    let first = params(None);
    let wanted = pages::wanted_turns(&first).unwrap();
    let cursor = pages::turns(&shown(&store, &wanted), &first, 1 << 20).unwrap().next_cursor;
    let reverted = RecordedLife::of_turns(5).reverted(2).store();
    let next = params(cursor);
    let wanted = pages::wanted_turns(&next).unwrap();
    let refused = pages::turns(&shown(&reverted, &wanted), &next, 1 << 20);
    assert_eq!(refused.unwrap_err(), PageError::BadCursor);
}
