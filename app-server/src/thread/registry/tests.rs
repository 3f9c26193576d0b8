use skein_protocol::access::Access;
use skein_protocol::ids::{ConnectionId, ThreadId, TurnId};
use tokio::sync::oneshot;

use super::{Claim, GivenAnswer, OwnerSlot, Registry, Undelivered};
use crate::thread::command::Command;
use crate::thread::machine::Persistence;

const T: ThreadId = ThreadId::new(uuid::Uuid::from_u128(1));

fn claimed(registry: &Registry) -> Box<OwnerSlot> {
    match registry.claim(T, Persistence::Durable) {
        Claim::Claimed(slot) => slot,
        other @ (Claim::Owned(_) | Claim::Closed) => panic!("{other:?}"),
    }
}

fn fence() -> Command {
    Command::Fence(oneshot::channel().0)
}

#[test]
fn one_of_many_claims_at_once_gets_the_slot() {
    let registry = Registry::new(4);
    let seats = std::thread::scope(|scope| {
        let claims: Vec<_> =
            (0..16).map(|_| scope.spawn(|| registry.claim(T, Persistence::Durable))).collect();
        let claims = claims.into_iter().map(|claim| claim.join().unwrap());
        claims.filter(|claim| matches!(claim, Claim::Claimed(_))).count()
    });
    assert_eq!(seats, 1);
}

#[test]
fn an_owner_that_leaves_takes_no_later_owner_with_it() {
    let registry = Registry::new(4);
    let first = claimed(&registry);
    registry.forget(&first.handle);
    let second = claimed(&registry);
    registry.forget(&first.handle);
    assert!(registry.handle(T).is_some(), "the second owner is still found");
    registry.forget(&second.handle);
    assert!(registry.handle(T).is_none());
}

#[test]
fn a_full_mailbox_is_an_answer_and_a_closed_one_gives_the_command_back() {
    let registry = Registry::new(1);
    let mut slot = claimed(&registry);
    let handle = registry.handle(T).unwrap();
    assert!(handle.send(fence()).is_ok());
    assert!(matches!(handle.send(fence()), Err(Undelivered::Full(Command::Fence(_)))));
    slot.mailbox.close();
    assert!(matches!(handle.send(fence()), Err(Undelivered::Gone(Command::Fence(_)))));
    assert!(slot.mailbox.try_recv().is_ok(), "what was accepted is still there to be handed on");
}

#[tokio::test]
async fn urgent_requests_pass_a_full_mailbox() {
    let registry = Registry::new(1);
    let slot = claimed(&registry);
    let handle = registry.handle(T).unwrap();
    assert!(handle.send(fence()).is_ok());
    handle.interrupt(TurnId::from("turn"));
    let answer = |text: i64| {
        let answer = Ok(serde_json::value::to_raw_value(&text).unwrap());
        handle.answer(GivenAnswer {
            by: ConnectionId(1),
            client: "test".to_owned(),
            access: Access::Chat,
            question: 7,
            answer,
        });
    };
    answer(1);
    answer(2);
    // Three reasons, one wake-up.
    handle.woken().await;
    let woken = slot.look();
    assert_eq!(woken.interrupt, Some(TurnId::from("turn")));
    let answers: Vec<&str> = woken.answers.iter().map(|given| given.answer.as_ref().unwrap().get()).collect();
    assert_eq!(answers, ["1"], "the first answer of a client counts");
    assert!(slot.look().interrupt.is_none() && slot.look().answers.is_empty());
}

#[test]
fn a_request_at_a_helper_counts_while_its_guard_lives() {
    let registry = Registry::new(1);
    let slot = claimed(&registry);
    let handle = registry.handle(T).unwrap();
    let guards = [handle.begin_request(), handle.begin_request()];
    assert_eq!(slot.requests(), 2);
    drop(guards);
    assert_eq!(slot.requests(), 0);
}

#[test]
fn nothing_is_claimed_of_a_closed_registry() {
    let registry = Registry::new(1);
    registry.close();
    assert!(matches!(registry.claim(T, Persistence::Durable), Claim::Closed));
}
