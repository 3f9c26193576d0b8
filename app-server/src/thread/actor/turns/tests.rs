//! Steers and ends of the running turn.

use serde_json::json;
use skein_base::clock::Clock;
use skein_base::tasks::{TaskGroup, Tasks};
use skein_turn::conversation_cache::ConversationCache;

use super::*;
use crate::outbox::reply::Reply;

const THREAD: ThreadId = ThreadId::new(uuid::Uuid::nil());

fn id(text: &str) -> TurnId {
    TurnId::from(text.to_owned())
}

/// A state in which the turn `t` runs, with the receiver of its steers.
fn running(takes_more: bool) -> (TurnState, mpsc::Receiver<Added>) {
    let mut children: TaskGroup<Child> = Tasks::new().group();
    let (steers, added) = mpsc::channel(1);
    let mut turns = TurnState::new(Arc::new(ConversationCache::default()).slot(THREAD));
    let task = children.spawn("turn".to_owned(), std::future::pending());
    turns.running = Some(RunningTurn {
        id: id("t"),
        task,
        window: 0,
        takes_more,
        cancel: CancellationToken::new(),
        ends_early: CancellationToken::new(),
        rests: false,
        begun: 0,
        held: Vec::new(),
        steers,
        ending: Ending::Own,
        began: Clock.now(),
    });
    (turns, added)
}

fn input(reply: InputReply) -> Input {
    let params = json!({ "threadId": THREAD, "input": [{ "type": "text", "text": "hello" }] });
    Input { params: serde_json::from_value(params).unwrap(), reply }
}

#[tokio::test]
async fn a_steer_is_for_the_turn_that_it_names() {
    let (takes, _added) = running(true);
    let (compacts, _added) = running(false);
    let idle = TurnState::new(Arc::new(ConversationCache::default()).slot(THREAD));
    let table = [
        (&takes, "t", None),
        (&takes, "", Some("NoTurnNamed")),
        (&takes, "other", Some("SteersOther")),
        (&compacts, "t", Some("NotSteerable")),
        (&idle, "t", Some("NothingToSteer")),
    ];
    for (turns, named, refusal) in table {
        let refused = turns.refusal_of_steer(THREAD, &id(named));
        let name = refused.map(|error| format!("{error:?}"));
        assert_eq!(name.as_deref().and_then(|name| name.split(' ').next()), refusal, "{named}");
    }
}

#[tokio::test]
async fn a_turn_takes_input_until_its_queue_is_full_or_closed() {
    let (turns, mut added) = running(true);
    let item = ItemId::from("i".to_owned());
    let more = || turns.steer(&item, &input(InputReply::Start(Reply::to_nobody())));
    assert!(matches!(more(), Ok(turn) if turn == id("t")));
    assert!(matches!(more(), Err(NotSteered::Full)));
    assert_eq!(added.try_recv().unwrap().item, item);
    let compact = turns.steer(&item, &input(InputReply::Compact(Reply::to_nobody())));
    assert!(matches!(compact, Err(NotSteered::Later)), "a compaction is a turn of its own");
    added.close();
    assert!(matches!(more(), Err(NotSteered::Later)), "the turn is ending");
}

#[tokio::test]
async fn an_outcome_is_the_turns_own_unless_the_server_or_the_disk_has_ended_it() {
    type Before = fn(&mut TurnState);
    let table: [(Before, bool, TurnStatus, bool); 4] = [
        (|_| {}, false, TurnStatus::Interrupted, true),
        (|turns: &mut TurnState| turns.cut_off("why"), true, TurnStatus::Interrupted, true),
        // A client has interrupted the turn before the server stopped.
        (
            |turns| {
                turns.stop();
                turns.cut_off("why");
            },
            false,
            TurnStatus::Interrupted,
            true,
        ),
        (|turns| assert!(turns.fail("full") && turns.fail("again")), true, TurnStatus::Failed, false),
    ];
    for (before, says_why, status, saved) in table {
        let (mut turns, _added) = running(true);
        before(&mut turns);
        let ended = turns.end(Outcome { status: TurnStatus::Interrupted, error: None }).unwrap();
        assert_eq!((ended.outcome.status, ended.saved), (status, saved));
        assert_eq!(ended.outcome.error.is_some(), says_why);
        assert_eq!((turns.has_failed(), turns.id()), (status == TurnStatus::Failed, None));
        assert!(!turns.fail("full"), "none runs");
    }
}
