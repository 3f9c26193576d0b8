//! The treatment of an open turn by a load, behind each of its records.

use skein_protocol::ids::EventSeq;
use skein_protocol::item::ThreadItem;
use skein_protocol::turn::UserInput;

use super::*;
use crate::rollout::record::{
    AnsweredBy, AnsweredCall, ForkOrigin, Forked, ItemCompleted, ItemStarted, QuestionEnd, Record,
    RecordBody, ThreadClosed, WantedInput,
};

const BOOT: Uuid = Uuid::from_u128(1);

fn turn() -> TurnId {
    "t".into()
}

fn started() -> RecordBody {
    let terms = TurnTerms { service_tier: Some("fast".to_owned()), ..TurnTerms::default() };
    TurnStarted {
        turn_id: turn(),
        input: vec![UserInput::text("hello")],
        item_id: Some("said".into()),
        client_id: None,
        terms: Some(Box::new(terms)),
    }
    .into()
}

fn begins(item: ThreadItem) -> RecordBody {
    ItemStarted { turn_id: turn(), item }.into()
}

fn ends(item: ThreadItem) -> RecordBody {
    ItemCompleted { turn_id: turn(), item }.into()
}

fn call(id: &str) -> ThreadItem {
    ThreadItem::mcp_tool_call(id, "files", "remove", serde_json::json!({}))
}

fn text(id: &str) -> ThreadItem {
    ThreadItem::agent_message(id, "words")
}

fn answer(calls: &[&str]) -> RecordBody {
    let call = |id: &&str| {
        let item_id = Some(ItemId::from((*id).to_owned()));
        let (name, arguments, id) = ("remove".to_owned(), "{}".to_owned(), format!("call-{id}"));
        let more = serde_json::Map::new();
        AnswerPart::Call(Box::new(AnsweredCall { item_id, refused: None, id, name, arguments, more }))
    };
    let (provider, model) = ("p".to_owned(), "m".to_owned());
    let parts = calls.iter().map(call).collect();
    ModelAnswer { turn_id: turn(), provider, model, parts, cut_by: None }.into()
}

/// The records of a turn whose only call the user has allowed.
fn permitted() -> [RecordBody; 6] {
    let (item, asked) = (begins(call("a")), asked(1, Some("a"), QuestionKind::Approval));
    [opened(BOOT), started(), item, answer(&["a"]), asked, answered(1)]
}

fn asked(id: i64, item: Option<&str>, kind: QuestionKind) -> RecordBody {
    let tool = AskedTool {
        server: "files".to_owned(),
        program: "p".to_owned(),
        name: "remove".to_owned(),
        hash: "h".to_owned(),
    };
    QuestionAsked {
        id,
        kind,
        turn_id: turn(),
        item_id: item.map(|item| item.to_owned().into()),
        method: "m".to_owned(),
        params: "{}".to_owned(),
        tool: Some(tool),
        client: None,
    }
    .into()
}

fn answered(id: i64) -> RecordBody {
    let by = AnsweredBy { client: "c".to_owned(), scope: "chat".to_owned() };
    QuestionAnswered { id, turn_id: turn(), by, answer: Some("{}".to_owned()) }.into()
}

fn begun(item: &str, attempt: u32, repeatable: bool) -> RecordBody {
    let (server, tool) = ("files".to_owned(), "remove".to_owned());
    CallBegun { turn_id: turn(), item_id: item.to_owned().into(), attempt, server, tool, repeatable }.into()
}

fn resumed(dropped: &[&str]) -> RecordBody {
    let dropped = dropped.iter().map(|item| (*item).to_owned().into()).collect();
    TurnResumed { turn_id: turn(), boot_id: BOOT, dropped }.into()
}

fn opened(boot_id: Uuid) -> RecordBody {
    let (term, epoch) = (crate::home::Term(1), skein_protocol::ids::Epoch(1));
    ThreadOpened { boot_id, term, epoch }.into()
}

fn record(seq: u64, body: RecordBody) -> Record {
    Record { seq: EventSeq(seq), at: WallMs(seq.cast_signed()), body }
}

fn history(bodies: &[RecordBody]) -> History {
    let mut history = History::of(skein_protocol::ids::ThreadId::new(Uuid::from_u128(7)));
    for body in bodies {
        let next: Record = record(history.seq().0 + 1, body.clone());
        history.apply(&next);
    }
    history
}

/// The plan in words: the calls with their states, the items that a model does not hear of, and what else matters.
fn plan(history: &History) -> String {
    let open = match history.next_load(RestartTurns::Asked) {
        NextLoad::Nothing => return "nothing".to_owned(),
        NextLoad::Interrupt => return "interrupt".to_owned(),
        NextLoad::Fail => return "fail".to_owned(),
        NextLoad::GoOn(open) => open,
    };
    let state = |item: &ThreadItem| {
        let state = match &history.open_call(item.id()).expect("a call").state {
            CallState::Paused => "go on with its inputs",
            CallState::Begins => "judge",
            CallState::Asked(_) => "wait",
            CallState::Answered(_) => "carry out",
            CallState::Begun { repeatable: true, .. } => "repeat",
            CallState::Begun { repeatable: false, .. } => "doubt",
        };
        format!("{} {state}", item.id())
    };
    let mut words: Vec<String> = open.calls.iter().map(state).collect();
    words.extend(open.dropped.iter().map(|item| format!("drop {item}")));
    words.extend(open.gone.iter().map(|question| format!("close {question}")));
    words.extend(open.is_done.then(|| "complete".to_owned()));
    words.extend(open.waits.then(|| "parked".to_owned()));
    if words.is_empty() { "ask the model".to_owned() } else { words.join(", ") }
}

/// The helper has two questions in the place of a result.
fn paused(item: &str) -> RecordBody {
    let [name, other] = ["a", "b"].map(str::to_owned);
    let input = |name| WantedInput { name, request: "{}".to_owned() };
    let tool = AskedTool {
        server: "s".to_owned(),
        program: "p".to_owned(),
        name: "t".to_owned(),
        hash: String::new(),
    };
    CallPaused {
        turn_id: turn(),
        item_id: item.to_owned().into(),
        inputs: vec![input(name), input(other)],
        roots: Vec::new(),
        state: Some("state".to_owned()),
        tool,
    }
    .into()
}

/// The calls of a turn, record by record, with the plan of a load behind each of them.
fn calls() -> Vec<(RecordBody, &'static str)> {
    let user = ThreadItem::user_message("said", vec![UserInput::text("hello")], None);
    vec![
        (opened(BOOT), "nothing"),
        (started(), "interrupt"),
        (begins(user.clone()), "interrupt"),
        (ends(user), "interrupt"),
        (begins(text("one")), "interrupt"),
        (ends(text("one")), "interrupt"),
        (begins(call("a")), "interrupt"),
        (begins(call("b")), "interrupt"),
        (answer(&["a", "b"]), "interrupt"),
        (begun("a", 1, true), "interrupt"),
        (asked(1, Some("b"), QuestionKind::Approval), "a repeat, b wait"),
        (ends(call("a")), "b wait, parked"),
        (answered(1), "b carry out"),
        (begun("b", 1, false), "b doubt"),
        (asked(2, None, QuestionKind::Elicitation), "b doubt, close 2"),
        (ThreadClosed {}.into(), "b doubt, close 2"),
        (opened(BOOT), "b doubt, close 2"),
        (QuestionClosed { id: 2, turn_id: turn(), why: QuestionEnd::HelperGone }.into(), "b doubt"),
        (resumed(&[]), "b doubt"),
        (asked(3, Some("b"), QuestionKind::MayHaveRun), "b wait, parked"),
        (answered(3), "b carry out"),
        (begun("b", 2, false), "b doubt"),
        (paused("b"), "b go on with its inputs"),
        (asked(4, Some("b"), QuestionKind::Elicitation), "b wait, parked"),
        (answered(4), "b go on with its inputs"),
        (asked(5, Some("b"), QuestionKind::Elicitation), "b wait, parked"),
        (
            QuestionClosed { id: 5, turn_id: turn(), why: QuestionEnd::Refused }.into(),
            "b go on with its inputs",
        ),
        (begun("b", 3, false), "b doubt"),
        (ends(call("b")), "ask the model"),
    ]
}

/// The answers behind the calls.
fn answers() -> Vec<(RecordBody, &'static str)> {
    let steer = ThreadItem::user_message("steer", vec![UserInput::text("and")], None);
    vec![
        (begins(text("two")), "drop two"),
        (ends(text("two")), "drop two"),
        (begins(text("three")), "drop two, drop three"),
        (resumed(&["two", "three"]), "ask the model"),
        (ends(text("three")), "ask the model"),
        (begins(text("four")), "drop four"),
        (begins(steer.clone()), "ask the model"),
        (ends(text("four")), "ask the model"),
        (ends(steer), "ask the model"),
        (begins(text("five")), "drop five"),
        (ends(text("five")), "drop five"),
        (answer(&[]), "complete"),
    ]
}

#[test]
fn each_record_of_a_turn_decides_what_the_next_load_does() {
    let life = [calls(), answers()].concat();
    for behind in 0..life.len() {
        let bodies: Vec<RecordBody> = life.iter().take(behind + 1).map(|(body, _)| body.clone()).collect();
        let history = history(&bodies);
        assert_eq!(plan(&history), life[behind].1, "behind record {behind}: {:?}", life[behind].0);
        let row = history.row().waiting;
        assert_eq!(row.len(), history.open_questions().len());
        assert!(!history.goes_on(RestartTurns::None));
    }
    let bodies: Vec<RecordBody> = life.into_iter().map(|(body, _)| body).collect();
    let history = history(&bodies);
    let NextLoad::GoOn(open) = history.next_load(RestartTurns::Asked) else { panic!("it goes on") };
    assert_eq!(open.terms.service_tier.as_deref(), Some("fast"));
    assert_eq!(history.clone().into_closed(RestartTurns::Asked), history, "readers see it as it is");
    assert!(history.clone().into_closed(RestartTurns::None).open_turn().is_none());
    let ended = history.turn_completed_record(turn(), skein_protocol::turn::TurnStatus::Completed, None);
    let mut over = history;
    over.apply(&record(over.seq().0 + 1, ended));
    assert_eq!((plan(&over).as_str(), over.open_questions()), ("nothing", &[][..]));
}

#[test]
fn a_call_is_counted_and_keeps_the_tool_that_the_user_was_asked_about() {
    let bodies = [&permitted()[..], &[begun("a", 1, false), begun("a", 2, false)]].concat();
    let history = history(&bodies);
    let call = history.open_call(&"a".into()).unwrap();
    assert_eq!((call.attempts, call.tool.as_ref().unwrap().hash.as_str()), (2, "h"));
}

#[test]
fn behind_a_restore_each_decided_call_is_in_doubt() {
    let beginning = [opened(BOOT), started(), begins(call("a")), begins(call("b")), begins(call("c"))];
    let rest = [
        answer(&["a", "b", "c"]),
        asked(1, Some("a"), QuestionKind::Approval),
        asked(2, Some("b"), QuestionKind::Approval),
        answered(1),
    ];
    let bodies = [&beginning[..], &rest[..]].concat();
    assert_eq!(plan(&history(&bodies)), "a carry out, b wait, c judge");
    let restored = [&bodies[..], &[opened(Uuid::nil())][..]].concat();
    assert_eq!(plan(&history(&restored)), "a doubt, b wait, c doubt");
}

#[test]
fn a_turn_that_comes_no_further_fails_at_the_third_load_and_any_progress_counts() {
    let beginning = permitted();
    let again = [resumed(&[]), begun("a", 1, true), resumed(&[]), begun("a", 2, true), resumed(&[])];
    let bodies = [&beginning[..], &again[..]].concat();
    assert_eq!(plan(&history(&bodies)), "fail");
    let failed = history(&bodies).into_closed(RestartTurns::Asked);
    let status = failed.turns(skein_protocol::turn::TurnItemsView::Full)[0].status;
    assert_eq!(status, skein_protocol::turn::TurnStatus::Failed);
    let progress = [&bodies[..], &[ends(call("a"))][..]].concat();
    assert_eq!(plan(&history(&progress)), "ask the model");
}

#[test]
fn the_question_of_a_message_waits_like_that_of_a_call() {
    let bodies = [opened(BOOT), started(), begins(text("one")), asked(1, Some("one"), QuestionKind::Input)];
    assert_eq!(plan(&history(&bodies)), "one wait, parked");
    let answered = [&bodies[..], &[answered(1)][..]].concat();
    assert_eq!(plan(&history(&answered)), "one carry out");
    assert_eq!(history(&bodies).seq(), EventSeq(4));
}

#[test]
fn a_fork_does_not_go_on_with_the_turn_that_it_copies() {
    let bodies = [opened(BOOT), started(), begins(call("a")), answer(&["a"]), begun("a", 1, false)];
    let asked = [&bodies[..], &[asked(1, Some("a"), QuestionKind::MayHaveRun)][..]].concat();
    let mut history = history(&asked);
    assert_eq!(plan(&history), "a wait, parked");
    let from = skein_protocol::ids::ThreadId::new(Uuid::from_u128(8));
    history.forked =
        Some(ForkOrigin { from, seq: EventSeq(7), at_ms: 0, thread_source: None, originator: None });
    assert_eq!(plan(&history), "interrupt");
    // As an earlier version has written it.
    history.forked = history.forked.map(|forked| ForkOrigin { seq: EventSeq(0), at_ms: i64::MAX, ..forked });
    assert_eq!(plan(&history), "interrupt");
}

#[test]
fn a_fork_goes_on_with_a_turn_of_its_own_whatever_the_clock_says() {
    let (from, epoch) =
        (skein_protocol::ids::ThreadId::new(Uuid::from_u128(8)), skein_protocol::ids::Epoch(2));
    let (up_to, thread_source, originator) = (EventSeq(1), None, None);
    let forked = Forked { from, up_to, epoch, thread_source, originator }.into();
    let turn = [started(), begins(call("a")), answer(&["a"]), begun("a", 1, false)];
    let asks = asked(1, Some("a"), QuestionKind::MayHaveRun);
    let bodies = [&[opened(BOOT), forked][..], &turn, &[asks]].concat();
    for time in [|_| 5, |seq: i64| -seq] {
        let mut history = History::of(skein_protocol::ids::ThreadId::new(Uuid::from_u128(7)));
        for (seq, body) in (1..).zip(&bodies) {
            history.apply(&Record { at: WallMs(time(seq)), ..record(seq.cast_unsigned(), body.clone()) });
        }
        assert_eq!(plan(&history), "a wait, parked");
    }
}

#[test]
fn a_call_that_may_have_run_stays_in_doubt_when_its_question_ends_without_an_answer() {
    let bodies = [
        opened(BOOT),
        started(),
        begins(call("a")),
        answer(&["a"]),
        begun("a", 1, false),
        asked(1, Some("a"), QuestionKind::MayHaveRun),
        QuestionClosed { id: 1, turn_id: turn(), why: QuestionEnd::Refused }.into(),
    ];
    let history = history(&bodies);
    assert_eq!(plan(&history), "a doubt");
    let state = &history.open_call(&"a".into()).unwrap().state;
    assert_eq!(*state, CallState::Begun { repeatable: false, at: WallMs(5) }, "since it was begun");
}

#[test]
fn a_turn_that_waits_for_its_user_does_not_fail() {
    let bodies = [&permitted()[..], &[begun("a", 1, false)]].concat();
    let doubts = [resumed(&[]), resumed(&[]), resumed(&[]), asked(2, Some("a"), QuestionKind::MayHaveRun)];
    let bodies = [&bodies[..], &doubts[..]].concat();
    assert_eq!(plan(&history(&bodies)), "a wait, parked");
}

#[test]
fn an_answer_keeps_the_scope_of_its_client() {
    let bodies = permitted();
    let history = history(&bodies);
    let state = &history.open_call(&"a".into()).unwrap().state;
    let CallState::Answered(answered) = state else { panic!("{state:?}") };
    assert_eq!(answered.scope, "chat");
}

#[test]
fn a_text_whose_beginning_is_lost_belongs_to_the_answer_that_broke_off() {
    let mut history = History::default();
    let records = [opened(BOOT), started(), begins(call("a")), answer(&["a"]), ends(call("a"))];
    let records = records.into_iter().chain([asked(1, Some("b"), QuestionKind::Approval), answered(1)]);
    let mut seq = 0;
    let mut apply = |body: RecordBody, lost: u64| {
        seq += 1 + lost;
        history.apply(&Record { seq: EventSeq(seq), at: WallMs(0), body });
    };
    records.for_each(|body| apply(body, 0));
    // Its beginning has the number before it.
    apply(ends(text("answer")), 1);
    let NextLoad::GoOn(open) = history.next_load(RestartTurns::Asked) else { panic!("it goes on") };
    assert_eq!(open.dropped, [ItemId::from("answer".to_owned())]);
}

#[test]
fn the_answers_to_a_helper_are_kept_in_order_until_its_call_is_made_again() {
    let life = calls();
    let at = |count: usize| {
        let bodies: Vec<RecordBody> = life.iter().take(count).map(|(body, _)| body.clone()).collect();
        let history = history(&bodies);
        history.open_call(&"b".to_owned().into()).cloned()
    };
    let again = life.len() - 2;
    let paused = at(again).unwrap().paused.unwrap();
    assert!(matches!(&paused.answers[..], [Some(_), None]), "{paused:?}");
    let begun = at(again + 1).unwrap();
    assert_eq!((begun.paused, begun.pauses, begun.attempts), (None, 1, 3));
}
