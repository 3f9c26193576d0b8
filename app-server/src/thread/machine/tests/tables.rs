//! Single sentences about the life of a thread.

mod unsaved;

use std::time::Duration;

use skein_protocol::error::WireError;
use tokio::time::Instant;

use super::world::{POLICY, start};
use crate::thread::effect::{
    Destination, Effect, MoveRefusal, ResumeFailure, SubscriptionEnd, UnloadRefusal,
};
use crate::thread::event::TurnKept;
use crate::thread::event::{Counts, Event, Force, Materialised, QueueState, WaiterId};
use crate::thread::machine::{CommandAdmission, Machine, Needs, Persistence, Phase, Policy};

const W: WaiterId = WaiterId(1);
const V: WaiterId = WaiterId(2);
const I: WaiterId = WaiterId(3);
const NOBODY: Event = Event::Subscribers(Counts { subscribers: 0, observers: 0 });
const SOMEBODY: Event = Event::Subscribers(Counts { subscribers: 1, observers: 0 });

fn unreadable() -> WireError {
    WireError::internal("any", "the rollout cannot be read")
}

struct Life {
    machine: Machine,
    now: Instant,
}

impl Life {
    fn new(persistence: Persistence, policy: Policy) -> Self {
        Self { machine: Machine::new(policy, persistence), now: start() }
    }

    /// A thread on disk with a subscriber.
    fn subscribed() -> Self {
        let mut life = Self::new(Persistence::Durable, POLICY);
        life.all([Event::Resume(W), Event::Loaded(Materialised::Yes), SOMEBODY]);
        life
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.machine.step(self.now, event)
    }

    fn all(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
        events.into_iter().flat_map(|event| self.step(event)).collect()
    }

    fn later(&mut self, by: Duration) -> Vec<Effect> {
        self.now += by;
        self.step(Event::DeadlinePassed)
    }
}

#[test]
fn an_orphaned_idle_thread_is_unloaded_at_once_by_default() {
    let policy = Policy { grace: Duration::ZERO, ..POLICY };
    let mut life = Life::new(Persistence::Durable, policy);
    life.all([Event::Resume(W), Event::Loaded(Materialised::Yes), SOMEBODY]);
    assert_eq!(life.step(NOBODY), [Effect::EndHelpers, Effect::CloseRollout]);
    assert_eq!(life.step(Event::RolloutClosed), []);
    let gone = [Effect::AnnounceNotLoaded, Effect::AnnounceClosed];
    assert_eq!(life.step(Event::HelpersEnded), gone);
}

/// A thread whose hard shutdown has reached the move.
fn moving(to: Destination) -> Life {
    let mut life = Life::subscribed();
    life.step(Event::Input(I));
    let effects = life.step(Event::Relocate { waiter: V, to });
    assert_eq!(effects, [Effect::StopTurn, Effect::EndHelpers]);
    assert_eq!(life.all([Event::HelpersEnded, Event::TurnEnded]), [Effect::CloseRollout]);
    assert_eq!(life.step(Event::RolloutClosed), [Effect::Move(to)]);
    life
}

#[test]
fn an_archive_is_published_in_the_peers_order_and_ends_the_subscriptions() {
    let mut life = moving(Destination::Archive);
    life.step(Event::Resume(W));
    let expected = [
        Effect::AnnounceNotLoaded,
        Effect::AnswerMove(V),
        Effect::AnnounceMove(Destination::Archive),
        Effect::FailResume(W, ResumeFailure::Archived),
        Effect::AnnounceClosed,
        Effect::EndSubscriptions(SubscriptionEnd::Moved),
    ];
    assert_eq!(life.step(Event::Moved), expected);
    assert_eq!(life.machine.phase(), Phase::Gone);
}

#[test]
fn a_deleted_thread_is_closed_for_its_subscribers_too() {
    let mut life = moving(Destination::Trash);
    life.step(Event::Resume(W));
    let expected = [
        Effect::AnnounceNotLoaded,
        Effect::AnswerMove(V),
        Effect::AnnounceMove(Destination::Trash),
        Effect::FailResume(W, ResumeFailure::Deleted),
        Effect::EndSubscriptions(SubscriptionEnd::Moved),
        Effect::AnnounceClosed,
    ];
    assert_eq!(life.step(Event::Moved), expected);
}

#[test]
fn a_restored_thread_is_loaded_for_waiting_resumes() {
    let mut life = moving(Destination::Threads);
    life.step(Event::Resume(W));
    let expected = [Effect::AnswerMove(V), Effect::AnnounceMove(Destination::Threads), Effect::Load];
    assert_eq!(life.step(Event::Moved), expected);
}

#[test]
fn a_move_that_fails_is_an_unload_like_any_other() {
    let mut life = moving(Destination::Archive);
    life.step(Event::Resume(W));
    let expected = [Effect::RefuseMove(V, MoveRefusal::Failed("full".to_owned())), Effect::Load];
    assert_eq!(life.step(Event::MoveFailed(MoveRefusal::Failed("full".to_owned()))), expected);
    let mut life = moving(Destination::Trash);
    let expected = life.later(POLICY.unload_limit);
    assert_eq!(expected[0], Effect::RefuseMove(V, MoveRefusal::NoAnswer));
    assert_eq!(life.machine.phase(), Phase::Gone, "a disk that does not answer holds nothing up");
}

#[test]
fn a_rollout_that_does_not_close_cannot_be_archived_but_can_be_deleted() {
    for (to, expected) in [
        (Destination::Archive, Effect::RefuseMove(V, MoveRefusal::NotClosed)),
        (Destination::Trash, Effect::Move(Destination::Trash)),
    ] {
        let mut life = Life::subscribed();
        life.all([Event::Relocate { waiter: V, to }, Event::HelpersEnded]);
        let effects = life.later(POLICY.unload_limit);
        assert_eq!(effects[..2], [Effect::AbandonRollout, expected]);
    }
}

#[test]
fn a_grace_is_waited_for_and_a_return_ends_it() {
    let mut life = Life::subscribed();
    assert_eq!(life.step(NOBODY), []);
    assert_eq!(life.machine.deadline(), Some(life.now + POLICY.grace));
    life.step(SOMEBODY);
    assert_eq!(life.machine.deadline(), None);
    life.step(NOBODY);
    assert_eq!(life.later(POLICY.grace), [Effect::EndHelpers, Effect::CloseRollout]);
}

#[test]
fn a_running_turn_outlives_its_subscribers_and_is_unloaded_after() {
    let mut life = Life::subscribed();
    assert_eq!(life.step(Event::Input(I)), [Effect::BeginTurn(I)]);
    assert_eq!(life.step(NOBODY), []);
    assert_eq!(life.machine.deadline(), None, "a turn may take as long as it takes");
    life.now += Duration::from_hours(5);
    assert_eq!(life.step(Event::TurnEnded), [Effect::EndHelpers, Effect::CloseRollout]);
}

#[test]
fn an_unmaterialised_thread_has_its_own_grace() {
    let mut life = Life::new(Persistence::Durable, POLICY);
    life.all([Event::Resume(W), Event::Loaded(Materialised::No), SOMEBODY, NOBODY]);
    assert_eq!(life.machine.deadline(), Some(life.now + POLICY.unmaterialised_grace));
    assert_eq!(life.all([Event::Resume(V)]), [Effect::AnswerResume(V)]);
    life.all([SOMEBODY, NOBODY]);
    assert_eq!(life.later(POLICY.unmaterialised_grace)[0], Effect::EndHelpers);
}

#[test]
fn an_ephemeral_orphan_is_interrupted_and_unloaded_at_once() {
    let mut life = Life::new(Persistence::Ephemeral, POLICY);
    let effects = life.all([Event::Resume(W), Event::Loaded(Materialised::No), SOMEBODY, Event::Input(I)]);
    assert!(!effects.contains(&Effect::StartHelpers), "its helpers wait for a turn that needs tools");
    assert_eq!(life.step(NOBODY), [Effect::StopTurn, Effect::EndHelpers]);
    assert_eq!(life.step(Event::TurnEnded), [Effect::CloseRollout]);
}

/// A running turn without subscribers, under a limit.
fn alone(limit: Duration) -> Life {
    let mut life = Life::new(Persistence::Durable, Policy { running_limit: Some(limit), ..POLICY });
    life.all([Event::Resume(W), Event::Loaded(Materialised::Yes), SOMEBODY, Event::Input(I)]);
    life
}

#[test]
fn a_turn_is_interrupted_at_once_where_it_may_not_go_on_alone() {
    let mut life = alone(Duration::ZERO);
    assert_eq!(life.step(NOBODY), [Effect::StopTurn]);
    assert_eq!(life.machine.deadline(), None, "said once");
    assert_eq!(life.step(SOMEBODY), []);
    life.step(NOBODY);
    life.now += POLICY.grace;
    assert_eq!(life.step(Event::TurnEnded), [Effect::EndHelpers, Effect::CloseRollout]);
}

#[test]
fn a_turn_that_goes_on_alone_is_interrupted_at_its_limit() {
    let limit = Duration::from_hours(2);
    let mut life = alone(limit);
    assert_eq!(life.step(NOBODY), []);
    assert_eq!(life.machine.deadline(), Some(life.now + limit));
    life.step(SOMEBODY);
    assert_eq!(life.machine.deadline(), None, "somebody watches again");
    life.step(NOBODY);
    assert_eq!(life.later(limit - Duration::from_secs(1)), []);
    assert_eq!(life.later(Duration::from_secs(1)), [Effect::StopTurn]);
}

#[test]
fn the_limit_counts_from_the_turn_and_not_from_before_it() {
    let mut life = Life::new(
        Persistence::Durable,
        Policy { grace: Duration::from_hours(9), running_limit: Some(Duration::from_hours(1)), ..POLICY },
    );
    life.all([Event::Resume(W), Event::Loaded(Materialised::Yes), NOBODY]);
    life.now += Duration::from_hours(8);
    assert_eq!(life.step(Event::Input(I)), [Effect::BeginTurn(I)]);
    assert_eq!(life.machine.deadline(), Some(life.now + Duration::from_hours(1)));
}

/// A turn that the next load interrupts has so many questions.
fn asked(questions: usize) -> Event {
    Event::Turn { kept: TurnKept::No, questions }
}

#[test]
fn a_question_waits_for_somebody_to_come_back_whatever_the_limit_of_its_turn() {
    let mut life = alone(Duration::ZERO);
    life.step(asked(1));
    assert_eq!(life.step(NOBODY), []);
    assert_eq!(life.machine.deadline(), Some(life.now + POLICY.question_grace));
    assert_eq!(life.step(asked(0)), [Effect::StopTurn], "it waits for nobody any more");
}

#[test]
fn an_idle_thread_is_squeezed_out_under_its_subscribers() {
    let mut life = Life::subscribed();
    assert_eq!(life.machine.idle_since(), Some(life.now));
    assert_eq!(life.step(Event::Evict), [Effect::EndHelpers, Effect::CloseRollout]);
    assert_eq!(life.step(Event::Evict), [], "once");
    assert_eq!(life.step(Event::Resume(V)), [], "who resumes meanwhile loads it again");
    life.step(Event::RolloutClosed);
    assert_eq!(life.step(Event::HelpersEnded), [Effect::Load]);
}

#[test]
fn a_thread_that_works_or_cannot_be_loaded_again_is_not_evicted() {
    let mut life = Life::subscribed();
    life.step(Event::Requests(1));
    assert_eq!((life.machine.idle_since(), life.step(Event::Evict)), (None, vec![]));
    life.all([Event::Requests(0), Event::Input(I)]);
    assert_eq!((life.machine.idle_since(), life.step(Event::Evict)), (None, vec![]));
    let mut life = Life::new(Persistence::Durable, POLICY);
    life.all([Event::Resume(W), Event::Loaded(Materialised::No), SOMEBODY]);
    assert_eq!((life.machine.idle_since(), life.step(Event::Evict)), (None, vec![]));
}

#[test]
fn a_turn_that_waits_is_left_to_the_next_load_when_others_need_memory() {
    let mut life = Life::subscribed();
    life.step(Event::Input(I));
    let began = life.now;
    life.now += Duration::from_secs(1);
    life.step(Event::Turn { kept: TurnKept::Yes, questions: 1 });
    assert_eq!((life.machine.idle_since(), life.step(Event::Evict)), (None, vec![]), "it works");
    life.step(Event::Turn { kept: TurnKept::Waits, questions: 1 });
    assert_eq!(life.machine.idle_since(), Some(began));
    assert_eq!(life.step(Event::Evict), [Effect::LeaveTurn, Effect::EndHelpers, Effect::CloseRollout]);
}

#[test]
fn an_orphan_whose_queue_goes_on_stays_until_the_queue_is_quiet() {
    let mut life = Life::subscribed();
    life.step(Event::Queue(QueueState::Ready));
    assert_eq!(life.step(NOBODY), []);
    assert_eq!(
        (life.machine.idle_since(), life.machine.deadline(), life.step(Event::Evict)),
        (None, None, vec![])
    );
    life.all([Event::Input(I), Event::TurnEnded]);
    life.step(Event::Queue(QueueState::Quiet));
    let deadline = life.machine.deadline();
    assert!(deadline.is_some(), "its grace counts now");
    life.now = deadline.unwrap();
    assert_eq!(life.step(Event::DeadlinePassed), [Effect::EndHelpers, Effect::CloseRollout]);
}

#[test]
fn a_thread_is_idle_since_it_was_last_used() {
    let mut life = Life::subscribed();
    let uses: [&[Event]; 3] = [
        &[Event::Resume(V)],
        &[Event::Requests(1), Event::Requests(0)],
        &[Event::Input(I), Event::TurnEnded],
    ];
    for events in uses {
        life.now += Duration::from_secs(1);
        life.all(events.iter().cloned());
        assert_eq!(life.machine.idle_since(), Some(life.now), "{events:?}");
    }
    let used = life.now;
    life.now += Duration::from_secs(1);
    life.all([SOMEBODY, Event::Requests(0)]);
    assert_eq!(life.machine.idle_since(), Some(used), "a look is no use");
}

#[test]
fn a_new_policy_holds_at_once() {
    let mut life = Life::new(Persistence::Durable, Policy { grace: Duration::from_hours(1), ..POLICY });
    life.all([Event::Resume(W), Event::Loaded(Materialised::Yes), SOMEBODY, NOBODY]);
    assert_eq!(life.step(Event::Policy(POLICY)), []);
    assert_eq!(life.machine.deadline(), Some(life.now + POLICY.grace));
    let at_once = Policy { grace: Duration::ZERO, ..POLICY };
    assert_eq!(life.step(Event::Policy(at_once)), [Effect::EndHelpers, Effect::CloseRollout]);
}

#[test]
fn a_question_that_nobody_can_answer_ends_the_turn_after_its_grace() {
    let mut life = Life::subscribed();
    life.all([Event::Input(I), asked(1), NOBODY]);
    assert_eq!(life.machine.deadline(), Some(life.now + POLICY.question_grace));
    life.all([SOMEBODY]);
    assert_eq!(life.machine.deadline(), None, "somebody is there to answer");
    life.all([NOBODY]);
    assert_eq!(life.later(POLICY.question_grace), [Effect::StopTurn]);
    assert_eq!(life.machine.deadline(), None, "said once");
}

#[test]
fn a_request_under_way_at_a_helper_keeps_an_orphan_also_without_a_grace() {
    let mut life = Life::new(Persistence::Durable, Policy { grace: Duration::ZERO, ..POLICY });
    life.all([Event::Resume(W), Event::Loaded(Materialised::Yes), SOMEBODY, Event::Requests(1)]);
    assert_eq!(life.step(NOBODY), []);
    assert_eq!(life.step(Event::Requests(0)), [Effect::EndHelpers, Effect::CloseRollout]);
}

#[test]
fn a_request_under_way_at_a_helper_keeps_an_orphan() {
    let mut life = Life::subscribed();
    life.all([Event::Requests(1), NOBODY]);
    assert_eq!(life.machine.deadline(), None);
    life.now += POLICY.grace;
    assert_eq!(life.step(Event::Requests(0)), [Effect::EndHelpers, Effect::CloseRollout]);
}

#[test]
fn a_resume_during_the_unload_waits_for_its_end_and_loads_once() {
    let mut life = Life::subscribed();
    life.step(Event::Unload { waiter: V, force: Force::Yes, others: 0 });
    assert_eq!(life.all([Event::Resume(WaiterId(5)), Event::Resume(WaiterId(6))]), []);
    life.step(Event::RolloutClosed);
    assert_eq!(life.step(Event::HelpersEnded), [Effect::AnswerUnload(V), Effect::Load]);
    let effects = life.step(Event::Loaded(Materialised::Yes));
    let both = [Effect::AnswerResume(WaiterId(5)), Effect::AnswerResume(WaiterId(6))];
    assert_eq!(effects, [&[Effect::StartHelpers][..], &both[..]].concat());
}

#[test]
fn a_failed_load_refuses_every_waiting_resume_and_closes_nothing() {
    let mut life = Life::new(Persistence::Durable, POLICY);
    life.all([Event::Resume(W), Event::Resume(V)]);
    let failed = |who| Effect::FailResume(who, ResumeFailure::LoadFailed(unreadable()));
    assert_eq!(life.step(Event::LoadFailed(unreadable())), [failed(W), failed(V)]);
    assert_eq!(life.step(Event::Resume(W)), [], "gone says nothing more");
}

#[test]
fn a_failed_load_after_an_unload_is_published() {
    let mut life = Life::subscribed();
    life.step(Event::Unload { waiter: V, force: Force::Yes, others: 0 });
    life.all([Event::Resume(W), Event::RolloutClosed, Event::HelpersEnded]);
    let failed = Effect::FailResume(W, ResumeFailure::LoadFailed(unreadable()));
    assert_eq!(life.step(Event::LoadFailed(unreadable())), [failed, Effect::AnnounceNotLoaded]);
}

#[test]
fn a_withdrawn_resume_does_not_make_an_unload_load_again() {
    let mut life = Life::subscribed();
    life.step(Event::Unload { waiter: V, force: Force::Yes, others: 0 });
    life.step(Event::Resume(W));
    assert_eq!(life.step(Event::Withdrawn(W)), [Effect::FailResume(W, ResumeFailure::Withdrawn)]);
    life.all([Event::RolloutClosed, Event::HelpersEnded]);
    assert_eq!(life.machine.phase(), Phase::Gone);
}

#[test]
fn an_unload_is_refused_while_the_thread_is_active_or_shared_unless_forced() {
    let unload = |force, others| Event::Unload { waiter: V, force, others };
    let mut life = Life::subscribed();
    assert_eq!(life.step(unload(Force::No, 1)), [Effect::RefuseUnload(V, UnloadRefusal::Subscribed)]);
    life.step(Event::Input(I));
    assert_eq!(life.step(unload(Force::No, 0)), [Effect::RefuseUnload(V, UnloadRefusal::Active)]);
    let forced = [Effect::LeaveAsker(V), Effect::StopTurn, Effect::EndHelpers];
    assert_eq!(life.step(unload(Force::Yes, 1)), forced);
    assert_eq!(life.step(Event::TurnEnded), [Effect::CloseRollout]);
}

#[test]
fn an_ephemeral_thread_ends_with_its_last_subscriber_even_during_a_turn() {
    let unload = |others| Event::Unload { waiter: V, force: Force::IfDeserted, others };
    let mut life = Life::subscribed();
    life.step(Event::Input(I));
    assert_eq!(life.step(unload(1)), [Effect::RefuseUnload(V, UnloadRefusal::Subscribed)]);
    assert_eq!(life.step(unload(0)), [Effect::LeaveAsker(V), Effect::StopTurn, Effect::EndHelpers]);
}

#[test]
fn the_disk_is_given_up_after_the_limit_and_a_living_helper_never() {
    let mut life = Life::subscribed();
    life.step(Event::Unload { waiter: V, force: Force::Yes, others: 0 });
    assert_eq!(life.later(POLICY.unload_limit), [Effect::KillHelpers, Effect::AbandonRollout]);
    assert_eq!(life.later(POLICY.unload_limit), [Effect::KillHelpers]);
    assert_eq!(life.step(Event::HelpersEnded)[0], Effect::AnswerUnload(V));
}

#[test]
fn a_fenced_thread_ends_at_once_without_a_record_and_is_loaded_again_for_waiting_resumes() {
    let mut life = Life::subscribed();
    life.step(Event::Input(I));
    let given_up = [Effect::LeaveTurn, Effect::EndHelpers, Effect::KillHelpers, Effect::AbandonRollout];
    assert_eq!(life.step(Event::Fenced), given_up);
    assert_eq!(life.step(Event::Fenced), [], "the writer says it of each batch");
    let gone =
        [Effect::EndSubscriptions(SubscriptionEnd::Taken), Effect::AnnounceNotLoaded, Effect::AnnounceClosed];
    assert_eq!(life.step(Event::HelpersEnded), gone);
    let mut life = Life::subscribed();
    life.all([Event::Fenced, Event::Resume(V)]);
    let again = [Effect::EndSubscriptions(SubscriptionEnd::Taken), Effect::AnnounceClosed, Effect::Load];
    assert_eq!(life.step(Event::HelpersEnded), again);
}

#[test]
fn a_move_under_way_is_not_given_up_by_a_late_report_of_the_writer() {
    let mut life = moving(Destination::Archive);
    assert_eq!(life.step(Event::Fenced), []);
    life.step(Event::Moved);
    assert_eq!(life.machine.phase(), Phase::Gone);
}

#[test]
fn a_claim_for_a_change_starts_no_helper_until_somebody_resumes() {
    let mut life = Life::new(Persistence::Durable, POLICY);
    assert_eq!(life.all([Event::Loaded(Materialised::Yes), NOBODY]), []);
    assert_eq!(life.step(Event::Resume(W)), [Effect::StartHelpers, Effect::AnswerResume(W)]);
}

#[test]
fn a_stopping_server_loads_nothing_again() {
    let mut life = Life::subscribed();
    life.step(Event::Shutdown);
    assert_eq!(life.step(Event::Resume(V)), [Effect::FailResume(V, ResumeFailure::Shutdown)]);
    let mut loading = Life::new(Persistence::Durable, POLICY);
    loading.step(Event::Resume(W));
    assert_eq!(loading.step(Event::Shutdown), [Effect::FailResume(W, ResumeFailure::Shutdown)]);
    assert_eq!(loading.step(Event::Loaded(Materialised::Yes)), [Effect::EndHelpers, Effect::CloseRollout]);
}

#[test]
fn input_is_a_turn_a_steer_or_kept() {
    let mut life = Life::new(Persistence::Durable, POLICY);
    assert_eq!(life.step(Event::Input(I)), [Effect::DeferInput(I)]);
    life.all([Event::Loaded(Materialised::Yes), SOMEBODY]);
    assert_eq!(life.step(Event::Input(I)), [Effect::BeginTurn(I)]);
    assert_eq!(life.step(Event::Input(I)), [Effect::SteerTurn(I)]);
    assert_eq!(life.all([Event::Interrupt, Event::Interrupt]), [Effect::StopTurn]);
}

#[test]
fn a_command_is_carried_out_when_its_thread_has_what_it_needs() {
    use CommandAdmission::{ByTheNextOwner, Later, Never, Now};
    let needs = [Needs::Owner, Needs::EndOfLoad, Needs::Loaded, Needs::Helpers];
    let loading = Life::new(Persistence::Durable, POLICY);
    let idle = Life::subscribed();
    let mut running = Life::subscribed();
    running.step(Event::Input(I));
    let mut unloading = Life::subscribed();
    unloading.step(Event::Shutdown);
    let mut gone = Life::new(Persistence::Durable, POLICY);
    gone.step(Event::LoadFailed(unreadable()));
    let table = [
        (loading, [Now, Later, Later, Later]),
        (idle, [Now; 4]),
        (running, [Now; 4]),
        (unloading, [Now, Now, Later, Never]),
        (gone, [ByTheNextOwner; 4]),
    ];
    for (life, admissions) in table {
        assert_eq!(needs.map(|needs| life.machine.admission(needs)), admissions, "{:?}", life.machine);
    }
}
