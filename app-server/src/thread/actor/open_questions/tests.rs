//! The open questions of a thread, without an owner.

use serde_json::json;
use skein_base::clock::Clock;

use super::super::wants::{self, AnswerEffect};
use super::*;
use crate::outbox::{Outbox, OutboxLimits};
use crate::thread::subscribers::ClientWishes;
use skein_protocol::error::WireError;
use skein_store::history::AnsweredQuestion;
use skein_turn::Answered;
use skein_turn::asking::Decision;

const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);

fn audience(connections: &[ConnectionId]) -> Audience {
    let limits = OutboxLimits { waiting_bytes: 1000, most_bytes: 1000, pause_bytes: 1000, merge_bytes: 1000 };
    let candidates = connections
        .iter()
        .map(|connection| {
            Arc::new(Receiver::of_client(Outbox::new(*connection, limits), ClientWishes::default()))
        })
        .collect();
    Audience { candidates, subscribed: connections.iter().copied().collect() }
}

fn one(connection: ConnectionId) -> Askable<'static> {
    Askable { connection, client: "" }
}

fn turn() -> Option<TurnId> {
    Some(TurnId::from("t".to_owned()))
}

fn words() -> (Wants, oneshot::Receiver<Answered>) {
    let (answer, answered) = oneshot::channel();
    (Wants::Words(answer), answered)
}

fn raw(answer: &serde_json::Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(answer).unwrap()
}

#[test]
fn the_first_readable_answer_of_a_client_that_was_asked_settles() {
    let mut questions = Questions::default();
    let (wants, mut answered) = words();
    questions.open(1, NewQuestion::bare(QuestionKind::Input, turn(), wants));
    let yes = json!({ "answers": { "q1": { "answers": ["yes"] } } });
    assert!(questions.take_answer(A, 1, Ok(raw(&yes))).is_none(), "it is not put yet");
    questions.put(1, &audience(&[A]));
    assert!(questions.take_answer(B, 1, Ok(raw(&yes))).is_none(), "B was not asked");
    assert!(questions.take_answer(A, 1, Ok(raw(&json!("?")))).is_none(), "unreadable");
    assert_eq!(questions.refused(&HashSet::from([A])).len(), 1);
    let settled = questions.take_answer(A, 1, Ok(raw(&yes))).unwrap();
    let (kind, of, wants) = questions.take(1).unwrap();
    assert_eq!((kind, of), (QuestionKind::Input, turn()));
    let AnswerEffect::Hand(hand) = wants.effect(kind, settled) else {
        panic!("somebody waits for the answer")
    };
    hand();
    assert_eq!(answered.try_recv(), Ok(Answered::Text("yes".to_owned())));
    assert!(questions.take(1).is_none());
}

#[test]
fn the_work_of_a_clients_tool_passes_to_the_next_connection() {
    let mut questions = Questions::default();
    let wants = Wants::ToolOutput(oneshot::channel().0);
    questions.open(1, NewQuestion::bare(QuestionKind::ClientCall, turn(), wants));
    assert!(!questions.can_pass(), "it is not put yet");
    let both = audience(&[A, B]);
    questions.put(1, &both);
    assert!(questions.can_pass());
    assert_eq!(
        (questions.open_for(&one(A), &both.subscribed), questions.open_for(&one(B), &both.subscribed)),
        (vec![1], vec![])
    );
    assert!(questions.take_answer(A, 1, Err(WireError::new(1, "any", "no"))).is_none());
    questions.pass_on(&both);
    assert_eq!(questions.open_for(&one(B), &both.subscribed), [1]);
}

#[test]
fn a_question_ends_with_its_turn_or_outside_of_turns() {
    for (gone, left, expected) in [(turn(), None, 1), (None, turn(), 2)] {
        let mut questions = Questions::default();
        questions.open(1, NewQuestion::bare(QuestionKind::Input, turn(), words().0));
        questions.open(2, NewQuestion::bare(QuestionKind::Input, None, words().0));
        assert_eq!((questions.of_turn(), questions.wait_outside()), (1, true));
        assert_eq!(questions.drop_of(gone.as_ref()), [expected]);
        assert_eq!(questions.wait_outside(), left.is_none());
        assert_eq!(questions.clear().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_somebody_begins_once_and_ends_with_whoever_comes() {
    let (mut questions, began) = (Questions::default(), Clock.now());
    let grace = Duration::from_secs(5);
    let wanted = [(true, Some(began + grace)), (true, Some(began + grace)), (false, None)];
    for (second, (unanswerable, at)) in (0..).zip(wanted) {
        questions.note_unanswerable(unanswerable, began + Duration::from_secs(second));
        assert_eq!(questions.unanswerable_at(grace), at);
    }
}

#[test]
fn a_thread_waits_for_the_user_but_not_for_a_clients_tool() {
    let table = [
        (QuestionKind::Input, vec![ThreadActiveFlag::WaitingOnUserInput]),
        (QuestionKind::Approval, vec![ThreadActiveFlag::WaitingOnApproval]),
        (QuestionKind::MayHaveRun, vec![ThreadActiveFlag::WaitingOnApproval]),
        (QuestionKind::Elicitation, vec![ThreadActiveFlag::WaitingOnApproval]),
        (QuestionKind::ClientCall, vec![]),
    ];
    for (kind, flags) in table {
        let mut questions = Questions::default();
        questions.open(1, NewQuestion::bare(kind, None, words().0));
        assert_eq!(questions.flags(), flags);
    }
}

/// The decision that a load carries out, of a client that wants to be asked never again.
fn always(kind: QuestionKind, scope: &str) -> Decision {
    let answer = Some(json!({ "action": "accept", "_meta": { "persist": "always" } }).to_string());
    let answered = AnsweredQuestion { kind, tool: None, scope: scope.to_owned(), answer };
    let GoesOn::Allowed(allowed) = wants::carried_out(&answered) else { panic!("a consent") };
    allowed.decision
}

#[test]
fn an_answer_reaches_over_a_restart_as_far_as_its_client_and_its_question() {
    assert_eq!(always(QuestionKind::Approval, "admin"), Decision::Always);
    assert_eq!(always(QuestionKind::Approval, "chat"), Decision::Session, "only admin changes settings");
    assert_eq!(always(QuestionKind::Approval, "?"), Decision::Session);
    assert_eq!(always(QuestionKind::MayHaveRun, "admin"), Decision::Once, "one call is made again");
}

#[test]
fn a_call_in_doubt_that_is_not_made_again_says_that_it_may_have_been_done() {
    for settled in [
        Settled::Permission(Decision::Declined),
        Settled::Judged(Permission::Refused("denied".to_owned())),
        Settled::Refused(Refusal::Cannot("no user".to_owned())),
    ] {
        let (answer, mut answered) = oneshot::channel();
        let wants = Wants::GoingOn(Some(answer), None);
        let AnswerEffect::Hand(hand) = wants.effect(QuestionKind::MayHaveRun, settled) else {
            panic!("the turn waits")
        };
        hand();
        let GoesOn::Refused(why) = answered.try_recv().unwrap() else { panic!("it is not made again") };
        assert!(why.contains("may have been done"), "{why}");
    }
}
