//! Properties of every life of a helper.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use skein_base::clock::Clock;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

fn life(on_unresponsive: OnUnresponsive) -> Lifecycle {
    Lifecycle::new(LifeRules { liveness: LIMIT, on_unresponsive })
}

/// A life, what is known of it from outside, and the rules that are looked after at each step.
struct World {
    life: Lifecycle,
    now: Instant,
    began: bool,
    /// A process may be there.
    process: bool,
    calls: usize,
    /// The last sign of life, or the begin of the first outstanding call.
    sign: Instant,
    failures: Vec<Instant>,
    on_unresponsive: OnUnresponsive,
}

impl World {
    fn new(on_unresponsive: OnUnresponsive) -> Self {
        let now = Clock.now();
        Self {
            life: life(on_unresponsive),
            now,
            began: false,
            process: false,
            calls: 0,
            sign: now,
            failures: Vec::new(),
            on_unresponsive,
        }
    }

    fn take(&mut self, event: LifeEvent) -> TestCaseResult {
        let (before, watched) = (self.life.clone(), self.life.is_watched());
        self.receive(event, watched);
        let effects = self.life.step(self.now, event);
        let (was, is) = (before.state(), self.life.state());
        for effect in &effects {
            self.check(*effect, event)?;
        }
        prop_assert!(was != HelperState::Stopped || (is == was && effects.is_empty()), "stopped is final");
        if was == HelperState::Broken && is != was {
            prop_assert!(
                matches!(event, LifeEvent::Reopen | LifeEvent::Stop),
                "{event:?} closed the breaker"
            );
        }
        if is == HelperState::Broken && was != is {
            self.check_broken(event)?;
        }
        if is == HelperState::Unresponsive {
            prop_assert!(self.life.is_watched(), "nobody waits");
            prop_assert!(self.now - self.sign >= LIMIT, "it has shown life");
            prop_assert!(event != LifeEvent::Sign, "a sign ends it");
        }
        if was == HelperState::Busy && is != was && is != HelperState::Unresponsive {
            let ends = matches!(event, LifeEvent::Calls(0) | LifeEvent::Failed(_) | LifeEvent::Stop)
                || self.on_unresponsive == OnUnresponsive::Restart;
            prop_assert!(ends, "{event:?} took its calls");
        }
        if (event, before.duty(), is) == (LifeEvent::Gone, Duty::End, HelperState::Restarting) {
            let wait = self.life.deadline().expect("a next start") - self.now;
            let (least, most) = (policy::HELPER_BACKOFF_FIRST, policy::HELPER_BACKOFF_MOST);
            prop_assert!((least..=most).contains(&wait), "{wait:?}");
        }
        Ok(())
    }

    /// Keeps the books that the rules are held against.
    fn receive(&mut self, event: LifeEvent, watched: bool) {
        let up = self.life.duty() == Duty::Watch;
        match event {
            LifeEvent::Begin => self.began = true,
            LifeEvent::Ready if self.life.duty() == Duty::Start => (self.calls, self.sign) = (0, self.now),
            LifeEvent::Failed(FailureKind::Transient | FailureKind::Permanent)
                if up || self.life.duty() == Duty::Start =>
            {
                self.failures.push(self.now);
            }
            LifeEvent::Gone if self.life.duty() == Duty::End => self.process = false,
            LifeEvent::Calls(calls) if up => {
                if !watched {
                    self.sign = self.now;
                }
                self.calls = calls;
            }
            LifeEvent::Sign if up => self.sign = self.now,
            LifeEvent::Ready
            | LifeEvent::Failed(_)
            | LifeEvent::Gone
            | LifeEvent::Left
            | LifeEvent::Calls(_)
            | LifeEvent::Sign
            | LifeEvent::Quiet
            | LifeEvent::Deadline
            | LifeEvent::Reopen
            | LifeEvent::Stop => {}
        }
    }

    fn check(&mut self, effect: LifeEffect, event: LifeEvent) -> TestCaseResult {
        match effect {
            LifeEffect::Start => {
                prop_assert!(!self.process, "two processes at once");
                prop_assert!(self.began);
                self.process = true;
            }
            LifeEffect::End => {
                prop_assert!(self.process, "nothing runs");
                if event == LifeEvent::Quiet {
                    prop_assert_eq!(self.on_unresponsive, OnUnresponsive::Restart);
                    self.failures.push(self.now);
                }
            }
            LifeEffect::Ping => prop_assert!(self.now - self.sign >= LIMIT / 2 && self.calls > 0),
            LifeEffect::Unresponsive => prop_assert!(self.now - self.sign >= LIMIT && self.calls > 0),
            LifeEffect::FailCalls => prop_assert_eq!(self.on_unresponsive, OnUnresponsive::Fail),
            LifeEffect::Stopped => {
                prop_assert!(!self.process || event == LifeEvent::Left, "something is left")
            }
            LifeEffect::Recovered | LifeEffect::GivenUp => {}
        }
        Ok(())
    }

    fn check_broken(&self, event: LifeEvent) -> TestCaseResult {
        let window = policy::HELPER_BREAKER_WINDOW;
        let recent = self.failures.iter().filter(|at| self.now - **at <= window).count();
        let why = matches!(event, LifeEvent::Failed(FailureKind::Permanent) | LifeEvent::Left);
        prop_assert!(why || recent >= policy::HELPER_BREAKER_FAILURES, "given up after {recent}");
        Ok(())
    }
}

fn event() -> impl Strategy<Value = LifeEvent> {
    prop_oneof![
        4 => Just(LifeEvent::Ready),
        4 => Just(LifeEvent::Failed(FailureKind::Transient)),
        1 => Just(LifeEvent::Failed(FailureKind::Permanent)),
        3 => Just(LifeEvent::Failed(FailureKind::Unreachable)),
        6 => Just(LifeEvent::Gone),
        1 => Just(LifeEvent::Left),
        6 => (0..4_usize).prop_map(LifeEvent::Calls),
        3 => Just(LifeEvent::Sign),
        6 => Just(LifeEvent::Quiet),
        6 => Just(LifeEvent::Deadline),
        1 => Just(LifeEvent::Reopen),
        1 => Just(LifeEvent::Begin),
    ]
}

fn rule() -> impl Strategy<Value = OnUnresponsive> {
    prop_oneof![Just(OnUnresponsive::Report), Just(OnUnresponsive::Fail), Just(OnUnresponsive::Restart)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn every_life_keeps_its_rules_and_can_be_stopped(
        rule in rule(),
        events in prop::collection::vec((event(), 0..20_000_u64), 0..120),
    ) {
        let mut world = World::new(rule);
        world.take(LifeEvent::Begin)?;
        for (event, pause) in events {
            world.now += Duration::from_millis(pause);
            if event == LifeEvent::Left {
                // Processes that the kernel holds count no more.
                world.process = world.process && world.life.duty() != Duty::End;
            }
            world.take(event)?;
        }
        world.take(LifeEvent::Stop)?;
        if world.life.duty() == Duty::End {
            prop_assert_eq!(world.life.state(), HelperState::Stopping);
            world.take(LifeEvent::Gone)?;
        }
        prop_assert_eq!((world.life.state(), world.life.duty()), (HelperState::Stopped, Duty::Over));
    }
}

/// One that is ready.
fn ready(on_unresponsive: OnUnresponsive) -> (Lifecycle, Instant) {
    let (mut life, now) = (life(on_unresponsive), Clock.now());
    assert_eq!(life.step(now, LifeEvent::Begin), [LifeEffect::Start]);
    assert_eq!(life.step(now, LifeEvent::Ready), []);
    (life, now)
}

/// Fails it, and returns how long it waits then, with the time of its next start.
fn fail(life: &mut Lifecycle, now: Instant) -> (Duration, Instant) {
    assert_eq!(life.step(now, LifeEvent::Failed(FailureKind::Transient)), [LifeEffect::End]);
    assert_eq!(life.step(now, LifeEvent::Gone), []);
    let until = life.deadline().expect("it is started again");
    assert_eq!(life.step(until, LifeEvent::Deadline), [LifeEffect::Start]);
    (until - now, until)
}

#[test]
fn a_call_of_hours_by_a_living_process_is_never_cut_and_a_silent_one_only_reported() {
    let (mut life, mut now) = ready(OnUnresponsive::Report);
    assert_eq!(life.step(now, LifeEvent::Calls(1)), []);
    for _ in 0..10_000 {
        now += Duration::from_secs(10);
        assert_eq!(life.step(now, LifeEvent::Quiet), []);
        assert_eq!(life.step(now, LifeEvent::Sign), []);
    }
    assert_eq!(life.step(now + LIMIT / 2, LifeEvent::Quiet), [LifeEffect::Ping]);
    assert_eq!(life.step(now + LIMIT, LifeEvent::Quiet), [LifeEffect::Unresponsive]);
    assert_eq!(life.state(), HelperState::Unresponsive);
    now += Duration::from_hours(1000);
    assert_eq!(life.step(now, LifeEvent::Quiet), [], "it is said once, and nothing is cut");
    assert_eq!(life.step(now, LifeEvent::Calls(2)), []);
    assert_eq!(life.state(), HelperState::Unresponsive, "a new call is no sign of life");
    assert_eq!(life.step(now, LifeEvent::Sign), [LifeEffect::Recovered]);
    assert_eq!(life.state(), HelperState::Busy);
}

#[test]
fn nobody_is_looked_at_who_has_nothing_to_do() {
    let (mut life, now) = ready(OnUnresponsive::Restart);
    assert!(!life.is_watched());
    assert_eq!(life.step(now + LIMIT * 100, LifeEvent::Quiet), []);
    assert_eq!(life.step(now + LIMIT * 100, LifeEvent::Calls(1)), []);
    let half = LIMIT * 100 + LIMIT / 2;
    assert_eq!(life.step(now + half - Duration::from_millis(1), LifeEvent::Quiet), []);
    assert_eq!(life.step(now + half, LifeEvent::Quiet), [LifeEffect::Ping], "its time begins with the call");
}

#[test]
fn a_server_that_did_not_run_has_found_no_silence() {
    let (mut life, now) = ready(OnUnresponsive::Restart);
    assert_eq!(life.step(now, LifeEvent::Calls(1)), []);
    // Nobody has looked for long. The helper has the time from the ping on to answer.
    let late = now + LIMIT * 100;
    assert_eq!(life.step(late, LifeEvent::Deadline), []);
    assert_eq!(life.step(late, LifeEvent::Quiet), [LifeEffect::Ping]);
    assert_eq!(life.step(late + LIMIT / 2 - Duration::from_millis(1), LifeEvent::Quiet), []);
    assert_eq!(life.state(), HelperState::Busy);
    assert_eq!(life.step(late + LIMIT / 2, LifeEvent::Quiet), [LifeEffect::Unresponsive, LifeEffect::End]);
}

#[test]
fn what_is_done_about_a_silent_one_is_as_configured() {
    for (rule, effects, state) in [
        (OnUnresponsive::Report, vec![LifeEffect::Unresponsive], HelperState::Unresponsive),
        (
            OnUnresponsive::Fail,
            vec![LifeEffect::Unresponsive, LifeEffect::FailCalls],
            HelperState::Unresponsive,
        ),
        (OnUnresponsive::Restart, vec![LifeEffect::Unresponsive, LifeEffect::End], HelperState::Restarting),
    ] {
        let (mut life, now) = ready(rule);
        assert_eq!(life.step(now, LifeEvent::Calls(1)), []);
        assert_eq!(life.step(now + LIMIT / 2, LifeEvent::Quiet), [LifeEffect::Ping]);
        assert_eq!(life.step(now + LIMIT, LifeEvent::Quiet), effects);
        assert_eq!(life.state(), state);
    }
}

#[test]
fn waits_double_up_to_their_most_and_begin_anew_after_a_time_of_health() {
    let (mut life, mut now) = ready(OnUnresponsive::Report);
    let mut waits = Vec::new();
    for _ in 0..10 {
        // Too slow for the breaker.
        now += policy::HELPER_BREAKER_WINDOW;
        let (wait, next) = fail(&mut life, now);
        waits.push(u64::try_from(wait.as_millis()).expect("a short wait"));
        now = next;
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000]);
    assert_eq!(life.step(now, LifeEvent::Ready), []);
    let (wait, _) = fail(&mut life, now + policy::HELPER_HEALTHY);
    assert_eq!(wait, policy::HELPER_BACKOFF_FIRST);
}

#[test]
fn five_failures_within_a_minute_open_the_breaker_and_only_a_person_closes_it() {
    let (mut life, mut now) = ready(OnUnresponsive::Report);
    for _ in 0..4 {
        now = fail(&mut life, now).1;
    }
    assert_eq!(life.step(now, LifeEvent::Failed(FailureKind::Transient)), [LifeEffect::End]);
    assert_eq!(life.state(), HelperState::Broken);
    assert_eq!(life.step(now, LifeEvent::Gone), [LifeEffect::GivenUp]);
    assert_eq!(life.step(now + LIMIT * 1000, LifeEvent::Deadline), []);
    assert_eq!(life.step(now, LifeEvent::Reopen), [LifeEffect::Start]);
    let (wait, _) = fail(&mut life, now);
    assert_eq!(wait, policy::HELPER_BACKOFF_FIRST, "all is forgiven");
}

#[test]
fn a_program_that_is_not_there_is_given_up_at_once() {
    let (mut life, now) = (life(OnUnresponsive::Report), Clock.now());
    assert_eq!(life.step(now, LifeEvent::Begin), [LifeEffect::Start]);
    assert_eq!(life.step(now, LifeEvent::Failed(FailureKind::Permanent)), [LifeEffect::End]);
    assert_eq!(life.step(now, LifeEvent::Gone), [LifeEffect::GivenUp]);
    assert_eq!(life.state(), HelperState::Broken);
}

#[test]
fn a_server_of_somebody_else_is_looked_for_ever_more_slowly_and_never_given_up() {
    let (mut life, mut now) = (life(OnUnresponsive::Report), Clock.now());
    assert_eq!(life.step(now, LifeEvent::Begin), [LifeEffect::Start]);
    let mut waits = Vec::new();
    for _ in 0..20 {
        assert_eq!(life.step(now, LifeEvent::Failed(FailureKind::Unreachable)), [LifeEffect::End]);
        assert_eq!(life.step(now, LifeEvent::Gone), []);
        let next = life.deadline().expect("another try");
        waits.push(next - now);
        now = next;
        assert_eq!(life.step(now, LifeEvent::Deadline), [LifeEffect::Start]);
    }
    assert_eq!((waits[0], waits[19]), (policy::HELPER_BACKOFF_FIRST, policy::HELPER_BACKOFF_MOST));
    assert!(waits.is_sorted());
}
