//! Threads whose records wait for a storage that is away.

use super::*;

#[test]
fn records_that_wait_for_a_storage_that_is_away_keep_their_thread() {
    let mut life = Life::subscribed();
    life.all([Event::Unsaved(true), NOBODY]);
    assert_eq!(
        (life.machine.idle_since(), life.machine.deadline(), life.step(Event::Evict)),
        (None, None, vec![])
    );
    for force in [Force::No, Force::IfDeserted] {
        let refused = life.step(Event::Unload { waiter: V, force, others: 0 });
        assert_eq!(refused, [Effect::RefuseUnload(V, UnloadRefusal::Active)]);
    }
    life.now += POLICY.grace;
    assert_eq!(life.step(Event::Unsaved(false)), [Effect::EndHelpers, Effect::CloseRollout]);
}

#[test]
fn a_turn_that_waits_for_an_answer_is_parked_when_its_records_are_saved() {
    let mut life = Life::subscribed();
    life.all([Event::Input(I), Event::Turn { kept: TurnKept::Waits, questions: 1 }]);
    life.all([Event::Unsaved(true), NOBODY]);
    assert_eq!(
        (life.machine.idle_since(), life.machine.deadline(), life.step(Event::Evict)),
        (None, None, vec![])
    );
    life.now += POLICY.question_grace;
    assert_eq!(life.step(Event::DeadlinePassed), []);
    assert_eq!(
        life.step(Event::Unsaved(false)),
        [Effect::LeaveTurn, Effect::EndHelpers, Effect::CloseRollout]
    );
}
