use std::path::Path;

use proptest::prelude::*;
use skein_protocol::item::{McpToolCallStatus, ReasoningItem, ThreadItemBody};
use skein_protocol::turn::UserInput;

use super::*;
use crate::home::Term;
use crate::rollout::record::{
    Forked, ItemStarted, ItemText, ItemsInjected, Reverted, ThreadClosed, ThreadMeta, ThreadNamed,
    TurnStarted, TurnUsage,
};
use crate::rollout::{Keep, Lease, LogEntry, RolloutStore, line, memory::MemoryStore};
use crate::testing::decode;

/// Numbers and dates bodies, a second apart.
fn records(bodies: impl IntoIterator<Item = RecordBody>) -> Vec<Record> {
    (1u64..)
        .zip(bodies)
        .map(|(seq, body)| Record {
            seq: EventSeq(seq),
            at: WallMs(i64::try_from(seq).unwrap() * 1000),
            body,
        })
        .collect()
}

fn fold(records: &[Record]) -> History {
    let mut history = History::default();
    for record in records {
        history.apply(record);
    }
    history
}

fn id() -> ThreadId {
    ThreadId::new(Uuid::from_u128(0xabc))
}

fn created() -> RecordBody {
    let settings = StoredSettings {
        cwd: "/home/ada".to_owned(),
        model_provider: "echo".to_owned(),
        ..StoredSettings::default()
    };
    ThreadCreated {
        id: id(),
        source: SessionSource::VsCode,
        thread_source: None,
        originator: Some("test".to_owned()),
        cli_version: "1".to_owned(),
        forked_from: None,
        git_info: None,
        settings,
    }
    .into()
}

fn opened(epoch: u64) -> RecordBody {
    ThreadOpened { boot_id: Uuid::nil(), term: Term(1), epoch: Epoch(epoch) }.into()
}

fn turn_started(turn: &str, said: &str, client_id: Option<&str>) -> RecordBody {
    TurnStarted {
        turn_id: turn.into(),
        input: vec![UserInput::text(said)],
        item_id: Some(format!("{turn}-user").into()),
        client_id: client_id.map(str::to_owned),
        terms: None,
    }
    .into()
}

fn item_started(turn: &str, item: ThreadItem) -> RecordBody {
    ItemStarted { turn_id: turn.into(), item }.into()
}

fn item_completed(turn: &str, item: ThreadItem) -> RecordBody {
    ItemCompleted { turn_id: turn.into(), item }.into()
}

fn checkpoint(turn: &str, item: &str, to: ItemText, added: &str) -> RecordBody {
    ItemCheckpoint { turn_id: turn.into(), item_id: item.into(), to, added: added.to_owned() }.into()
}

fn turn_completed(turn: &str, status: TurnStatus) -> RecordBody {
    let header = ThreadHeader { updated_at_ms: None, ..History::default().header() };
    TurnCompleted {
        turn_id: turn.into(),
        started_at_ms: None,
        status,
        error: None,
        unsaved: false,
        header,
        place: None,
    }
    .into()
}

fn reasoning(id: &str) -> ThreadItem {
    let (content, summary) = (Vec::new(), Vec::new());
    ThreadItemBody::Reasoning(ReasoningItem { content, id: id.into(), summary }).into()
}

fn body_of(item: &ThreadItem) -> &ThreadItemBody {
    &item.body
}

#[test]
fn a_turn_is_read_as_it_was_written() {
    let message = ThreadItem::agent_message("m", "Hallo!");
    let history = fold(&records([
        opened(1),
        created(),
        turn_started("t", "  hello\n", Some("c")),
        item_started("t", ThreadItem::agent_message("m", "")),
        checkpoint("t", "m", ItemText::Body, "Hal"),
        item_completed("t", message),
        turn_completed("t", TurnStatus::Completed),
    ]));
    assert_eq!((history.id(), history.seq(), history.epoch()), (id(), EventSeq(7), Epoch(1)));
    assert_eq!((history.open_turn(), history.open_items().count()), (None, 0));
    let turns = history.turns(TurnItemsView::Full);
    assert_eq!(
        (turns[0].started_at, turns[0].completed_at, turns[0].duration_ms),
        (Some(3), Some(7), Some(4000))
    );
    assert_eq!(turns[0].items.iter().map(|item| item.id().as_str()).collect::<Vec<_>>(), ["t-user", "m"]);
    let said = &turns[0].items[1];
    assert_eq!((said.started_at_ms, said.completed_at_ms), (Some(4000), Some(6000)));
    let row = history.row();
    assert_eq!((row.preview.as_str(), row.created, row.updated), ("hello", WallMs(2000), WallMs(7000)));
    assert_eq!(history.seen_message("c", &[UserInput::text("  hello\n")]), Some(&"t".into()));
    let thread = history.thread(ThreadStatus::Idle, &HomePaths::new(Path::new("/home")));
    assert_eq!((thread.id, thread.created_at, thread.updated_at, thread.turns), (id(), 2, 7, vec![]));
}

#[test]
fn a_user_message_has_one_place_in_its_turn() {
    let message = ThreadItem::user_message("t-user", vec![UserInput::text("hello")], Some("c".to_owned()));
    let before = records([created(), turn_started("t", "hello", Some("c"))]);
    let after = records([
        created(),
        turn_started("t", "hello", Some("c")),
        item_started("t", message.clone()),
        item_completed("t", message),
    ]);
    for records in [before, after] {
        let turns = fold(&records).turns(TurnItemsView::Full);
        assert_eq!(turns[0].items.len(), 1, "also when the crash came before the item's own records");
    }
}

/// A turn that ends in the middle of a thought, a message and a call.
fn cut_off() -> History {
    let call = ThreadItem::mcp_tool_call("call", "s", "tool", serde_json::Value::Null);
    fold(&records([
        created(),
        turn_started("t", "hello", None),
        item_started("t", reasoning("r")),
        checkpoint("t", "r", ItemText::Summary(0), "first "),
        checkpoint("t", "r", ItemText::Summary(0), "part"),
        checkpoint("t", "r", ItemText::Summary(1), "second"),
        checkpoint("t", "r", ItemText::Summary(9), "nowhere"),
        item_started("t", ThreadItem::agent_message("m", "H")),
        checkpoint("t", "m", ItemText::Body, "el"),
        checkpoint("t", "m", ItemText::Body, "lo"),
        item_started("t", call),
    ]))
}

#[test]
fn ended_items_of_an_open_turn_are_not_open() {
    let mut history = cut_off();
    let begun = item_started("t", ThreadItem::agent_message("done", ""));
    history.apply(&Record { seq: EventSeq(12), at: WallMs(12_000), body: begun });
    assert_eq!(history.open_items().count(), 4);
    let done = item_completed("t", ThreadItem::agent_message("done", "d"));
    history.apply(&Record { seq: EventSeq(13), at: WallMs(13_000), body: done });
    assert_eq!(history.open_items().count(), 3);
}

#[test]
fn a_turn_that_nobody_runs_is_shown_as_a_load_closes_it() {
    let mut closed = cut_off();
    for body in closed.closing_records(closed.at) {
        closed.apply(&Record { seq: closed.seq.next(), at: closed.at, body });
    }
    let last_event = cut_off().into_closed(RestartTurns::Asked);
    assert_eq!(last_event.turns(TurnItemsView::Full), closed.turns(TurnItemsView::Full));
    assert_eq!((last_event.open_turn(), last_event.open_items().count()), (None, 0));
    assert_eq!(
        (last_event.seq(), last_event.last_event()),
        (cut_off().seq(), cut_off().last_event()),
        "no record was written"
    );
    assert_eq!(last_event.clone().into_closed(RestartTurns::Asked), last_event);
}

#[test]
fn an_interrupted_turn_keeps_its_text_so_far() {
    let mut history = cut_off();
    assert_eq!(history.open_items().map(|item| item.id().as_str()).collect::<Vec<_>>(), ["r", "m", "call"]);
    let updated = history.row().updated;
    let closing = history.closing_records(WallMs(99_000));
    for (seq, body) in (12..).zip(closing) {
        history.apply(&Record { seq: EventSeq(seq), at: WallMs(99_000), body });
    }
    assert_eq!((history.open_turn(), history.open_items().count()), (None, 0));
    assert_eq!(history.closing_records(WallMs(0)), []);
    assert_eq!(history.row().updated, updated, "closing after a crash does not move the thread up in lists");
    let turn = history.turn(&"t".into()).unwrap();
    assert_eq!(
        (turn.status, turn.error.clone()),
        (TurnStatus::Interrupted, Some(TurnError::new(SERVER_ENDED)))
    );
    let [_, thought, said, called] = turn.items.as_slice() else { panic!("{turn:?}") };
    let ThreadItemBody::Reasoning(thought) = body_of(thought) else { panic!() };
    assert_eq!(thought.summary, ["first part", "second"]);
    let ThreadItemBody::AgentMessage(message) = body_of(said) else { panic!() };
    assert_eq!(message.text, "Hello");
    let ThreadItemBody::McpToolCall(call) = body_of(called) else { panic!() };
    assert_eq!(call.status, McpToolCallStatus::Failed);
    assert!(call.error.is_some());
    assert!(turn.items[1..].iter().all(|item| item.completed_at_ms == Some(99_000)));
}

#[test]
fn the_newest_messages_are_remembered() {
    let count = crate::policy::REMEMBERED_MESSAGES + 6;
    let mut bodies = vec![created()];
    for n in 0..count {
        bodies.push(turn_started(&format!("t{n}"), "x", Some(&format!("c{n}"))));
        bodies.push(turn_completed(&format!("t{n}"), TurnStatus::Completed));
    }
    let history = fold(&records(bodies));
    let x = [UserInput::text("x")];
    assert_eq!(history.seen_message("c5", &x), None);
    assert_eq!(history.seen_message("c6", &x), Some(&"t6".into()));
    let last = count - 1;
    assert_eq!(history.seen_message(&format!("c{last}"), &x), Some(&TurnId::from(format!("t{last}"))));
}

#[test]
fn names_settings_and_reverts_take_effect() {
    let settings = StoredSettings { model: "m2".to_owned(), ..StoredSettings::default() };
    let history = fold(&records([
        created(),
        ThreadNamed { name: Some("name".to_owned()) }.into(),
        turn_started("t1", "one", None),
        turn_started("t2", "two", None),
        ThreadMeta { settings: Some(settings.clone()), git_info: None }.into(),
        Reverted { before_turn_id: "t2".into(), from: None, epoch: Epoch(2) }.into(),
        Forked { from: id(), up_to: EventSeq(6), epoch: Epoch(3), thread_source: None, originator: None }
            .into(),
        ThreadClosed {}.into(),
    ]));
    assert_eq!((history.name(), history.settings(), history.epoch()), (Some("name"), &settings, Epoch(3)));
    assert!(history.is_closed());
    let turns = history.turns(TurnItemsView::NotLoaded);
    assert_eq!((turns.len(), turns[0].status, turns[0].items.len()), (1, TurnStatus::Interrupted, 0));
    assert_eq!(history.header().settings, Some(settings));
}

#[test]
fn a_thread_in_use_does_not_sink_when_the_clock_was_set_back() {
    let mut records = records([
        created(),
        turn_started("t1", "one", None),
        turn_completed("t1", TurnStatus::Completed),
        turn_started("t2", "two", None),
        item_started("t2", ThreadItem::agent_message("m", "")),
        checkpoint("t2", "m", ItemText::Body, "Hal"),
        turn_completed("t2", TurnStatus::Completed),
        Reverted { before_turn_id: "t2".into(), from: None, epoch: Epoch(2) }.into(),
        Forked { from: id(), up_to: EventSeq(8), epoch: Epoch(3), thread_source: None, originator: None }
            .into(),
    ]);
    records.iter_mut().skip(3).for_each(|record| record.at = WallMs(500));
    let mut history = History::default();
    for record in &records {
        let before = history.row().updated;
        history.apply(record);
        assert!(history.row().updated >= before, "{}", record.body.kind());
    }
    assert_eq!(history.row().updated, WallMs(3_000));
}

#[test]
fn a_fork_knows_the_messages_of_its_own_turns_whatever_the_clock_says() {
    let mut records = records([
        created(),
        turn_started("t1", "one", Some("copied")),
        turn_completed("t1", TurnStatus::Completed),
        Forked { from: id(), up_to: EventSeq(3), epoch: Epoch(2), thread_source: None, originator: None }
            .into(),
        turn_started("t2", "two", Some("own")),
        turn_completed("t2", TurnStatus::Completed),
    ]);
    for step in [0, -5] {
        let at = |seq: EventSeq| WallMs(9_000 + step * seq.0.cast_signed());
        records.iter_mut().for_each(|record| record.at = at(record.seq));
        let mut history = fold(&records);
        history.refill([], false);
        assert_eq!(history.seen_message("own", &[UserInput::text("two")]), Some(&"t2".into()));
        assert_eq!(history.seen_message("copied", &[UserInput::text("one")]), None);
    }
}

#[test]
fn a_summary_is_the_question_and_the_last_answer() {
    let history = fold(&records([
        turn_started("t", "q", None),
        item_completed("t", ThreadItem::agent_message("a", "1")),
        item_completed("t", reasoning("r")),
        item_completed("t", ThreadItem::agent_message("b", "2")),
        item_completed("t", reasoning("s")),
    ]));
    let turn = history.turns(TurnItemsView::Summary).remove(0);
    assert_eq!(turn.items.iter().map(|item| item.id().as_str()).collect::<Vec<_>>(), ["t-user", "b"]);
    assert_eq!(turn.items_view, TurnItemsView::Summary);
}

/// Clients send up to 16 MiB with each request. The records keep them, and the history does not.
#[test]
fn injected_items_take_no_memory() {
    let added = ItemsInjected { items: vec![serde_json::json!({"text": "added".repeat(9)})] };
    let turn = [created(), turn_started("t", "hello", None), turn_completed("t", TurnStatus::Completed)];
    let mut history = fold(&records(turn.into_iter().chain([added.clone().into(), added.into()])));
    assert_eq!(history.seq(), EventSeq(5));
    assert!(!format!("{history:?}").contains("added"), "{history:?}");
    history.drop_oldest(0);
    assert_eq!(history.turns(TurnItemsView::Full).len(), 1);
}

fn any_body() -> impl Strategy<Value = RecordBody> {
    let turn = || (0u8..3).prop_map(|n| format!("t{n}"));
    let item = || {
        (0u8..4, ".{0,5}").prop_map(|(n, text)| match n {
            0 => reasoning("i0"),
            1 => ThreadItem::mcp_tool_call("i1", "s", "t", serde_json::Value::Null),
            n => ThreadItem::agent_message(format!("i{n}"), text),
        })
    };
    let ended =
        || prop::sample::select(vec![TurnStatus::Completed, TurnStatus::Failed, TurnStatus::Interrupted]);
    prop_oneof![
        1 => Just(created()),
        1 => (1u64..4).prop_map(opened),
        1 => Just(ThreadClosed {}.into()),
        1 => prop::option::of(".{0,5}").prop_map(|name| ThreadNamed { name }.into()),
        3 => (turn(), ".{0,5}", prop::option::of("[ab]")).prop_map(|(turn, said, client)| {
            turn_started(&turn, &said, client.as_deref())
        }),
        4 => (turn(), item()).prop_map(|(turn, item)| item_started(&turn, item)),
        4 => (turn(), 0u8..4, 0usize..3, ".{0,5}").prop_map(|(turn, n, part, added)| {
            let to = [ItemText::Body, ItemText::Summary(part), ItemText::Content(part)][part];
            checkpoint(&turn, &format!("i{n}"), to, &added)
        }),
        3 => (turn(), item()).prop_map(|(turn, item)| item_completed(&turn, item)),
        2 => (turn(), ended()).prop_map(|(turn, status)| turn_completed(&turn, status)),
        1 => turn().prop_map(|turn| Reverted { before_turn_id: turn.into(), from: None, epoch: Epoch(2) }.into()),
    ]
}

fn all_text(history: &History) -> String {
    let turns = history.turns(TurnItemsView::Full);
    turns.iter().flat_map(|turn| &turn.items).fold(String::new(), |mut text, item| {
        if let ThreadItemBody::AgentMessage(message) = &item.body {
            text.push_str(&message.text);
        } else if let ThreadItemBody::Reasoning(reasoning) = &item.body {
            text.push_str(&reasoning.summary.concat());
            text.push_str(&reasoning.content.concat());
        }
        text
    })
}

proptest! {
    /// Closing a thread leaves nothing open and loses no text, wherever its life stops.
    #[test]
    fn closing_closes_everything(bodies in prop::collection::vec(any_body(), 0..60)) {
        let mut history = fold(&records(bodies));
        let (text, row, turns) = (all_text(&history), history.row(), history.turns(TurnItemsView::Full).len());
        let was_open = history.open_turn().is_some();
        prop_assert!(was_open || history.open_items().count() == 0, "an item is open only in an open turn");
        let closing = history.closing_records(WallMs(1_000_000));
        prop_assert_eq!(closing.is_empty(), !was_open);
        for body in closing {
            let seq = history.seq().next();
            history.apply(&Record { seq, at: WallMs(1_000_000), body });
        }
        prop_assert!(history.open_turn().is_none() && history.open_items().count() == 0);
        prop_assert_eq!(all_text(&history), text);
        // A turn that was cut off is unread.
        let read = history.read_position().clone();
        prop_assert_eq!(history.row(), ThreadRow { read, ..row });
        prop_assert_eq!(history.turns(TurnItemsView::Full).len(), turns);
    }

    /// Folding stored records gives the same history as folding the written ones. A repeated record changes nothing.
    #[test]
    fn a_load_comes_to_what_the_owner_had(bodies in prop::collection::vec(any_body(), 1..60)) {
        let written = records(bodies);
        let live = fold(&written);
        let mut from_lines = History::default();
        for record in &written {
            let mut bytes = Vec::new();
            line::encode(record, &mut bytes).unwrap();
            let read = decode(bytes.strip_suffix(b"\n").unwrap()).unwrap();
            from_lines.apply(&read);
            from_lines.apply(&read);
        }
        prop_assert_eq!(&from_lines, &live);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (store, lease) = (MemoryStore::default(), Lease { thread: live.id(), term: Term(9) });
        runtime.block_on(store.append(lease, EventSeq(0), LogEntry::of(written, Keep::Power))).unwrap();
        prop_assert_eq!(runtime.block_on(History::read(&store, live.id())).unwrap(), live);
    }
}

#[test]
fn a_failed_turn_says_why_and_usage_is_kept() {
    let count = |n| skein_protocol::event::TokenUsageBreakdown {
        cache_write_input_tokens: 0,
        cached_input_tokens: 0,
        input_tokens: n,
        output_tokens: n,
        reasoning_output_tokens: 0,
        total_tokens: 2 * n,
    };
    let usage = ThreadTokenUsage { last: count(1), model_context_window: None, total: count(5) };
    let mut history = fold(&records([
        created(),
        turn_started("t", "x", None),
        TurnUsage { turn_id: "t".into(), usage }.into(),
    ]));
    let error = Some(TurnError::new("the disk is full"));
    let (turn_id, header) = ("t".into(), history.header());
    let body = TurnCompleted {
        turn_id,
        started_at_ms: None,
        status: TurnStatus::Failed,
        error: error.clone(),
        unsaved: false,
        header,
        place: None,
    };
    history.apply(&Record { seq: EventSeq(4), at: WallMs(9_000), body: body.into() });
    assert_eq!(history.turns(TurnItemsView::Full)[0].error, error);
    assert_eq!(history.usage(), Some(&usage));
    assert_eq!(history.settings().cwd, "/home/ada");
}
