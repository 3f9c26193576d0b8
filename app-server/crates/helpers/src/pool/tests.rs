//! The pool over doubles: who gets which instance, when it ends, and what those hear who hold it.

use std::path::PathBuf;

use skein_base::clock::Clock;
use skein_base::home_tag::HomeTag;
use skein_base::tasks::Tasks;
use skein_protocol::helper::McpServerStartupState as State;

use super::*;
use crate::containment::levels::Containment;
use crate::helpers::Helpers;
use crate::pool::double::Double;
use crate::process::host::HostOptions;
use crate::set::HelperSet;
use crate::spec::Isolation;
use skein_base::system::GuardExecutable;

mod schedules;

/// A server's helpers without processes.
pub(crate) struct House {
    pub helpers: Arc<Helpers>,
    pub started: mpsc::Receiver<Double>,
    tasks: Tasks,
}

impl House {
    pub(crate) fn new() -> Self {
        let tasks = Tasks::new();
        let options = HostOptions {
            guard: GuardExecutable::Path("/nowhere".into()),
            tasks: tasks.clone(),
            clock: Clock,
            stop_grace: Duration::ZERO,
            liveness: policy::HELPER_LIVENESS,
            containment: Containment::Guard,
            exclusive: false,
            home: HomeTag::of(&[Clock.new_id().as_bytes()]),
        };
        let (doubles, started) = mpsc::channel(64);
        let helpers = Helpers::with_doubles(options, doubles).expect("this system has subreapers");
        Self { helpers, started, tasks }
    }

    /// A thread with helpers, and what it hears.
    pub(crate) fn thread(
        &self,
        cwd: &str,
        specs: Vec<HelperSpec>,
    ) -> (HelperSet, mpsc::Receiver<HelperEvent>) {
        self.thread_as(ThreadId::new(Clock.new_id()), cwd, specs)
    }

    fn thread_as(
        &self,
        id: ThreadId,
        cwd: &str,
        specs: Vec<HelperSpec>,
    ) -> (HelperSet, mpsc::Receiver<HelperEvent>) {
        let (sender, events) = mpsc::channel(16);
        (self.helpers.of_thread(id, specs, cwd.into(), sender), events)
    }

    /// The next started double.
    pub(crate) fn next(&mut self) -> Double {
        self.started.try_recv().expect("one was started")
    }

    fn nothing_more(&mut self) {
        assert!(self.started.try_recv().is_err(), "another one was started");
    }

    pub(crate) async fn finish(self) {
        self.helpers.close().await;
        assert_eq!(self.helpers.idle(), PoolCounts::default());
        drop(self.helpers);
        self.tasks.finish().await;
    }
}

fn helper(isolation: Isolation) -> HelperSpec {
    HelperSpec { isolation, ..HelperSpec::new("a", "program") }
}

fn lingering(isolation: Isolation) -> HelperSpec {
    HelperSpec { linger: Duration::from_mins(1), ..helper(isolation) }
}

/// Lets the paused clock go on while everybody does what they can.
async fn pass(time: Duration) {
    tokio::time::timeout(time, std::future::pending::<()>()).await.unwrap_err();
}

async fn states(events: &mut mpsc::Receiver<HelperEvent>, count: usize) -> Vec<State> {
    let mut states = Vec::new();
    while states.len() < count {
        if let HelperEvent::Startup { state, .. } = events.recv().await.expect("more is told") {
            states.push(state);
        }
    }
    assert!(events.try_recv().is_err(), "nothing more is told");
    states
}

#[tokio::test(start_paused = true)]
async fn each_thread_has_its_own_unless_its_settings_share() {
    for (isolation, cwds, wanted) in [
        (Isolation::Thread, ["/a", "/a"], 2),
        (Isolation::Project, ["/a", "/a"], 1),
        (Isolation::Project, ["/a", "/b"], 2),
        (Isolation::Shared, ["/a", "/b"], 1),
    ] {
        let mut house = House::new();
        let sets = cwds.map(|cwd| house.thread(cwd, vec![helper(isolation)]).0);
        let doubles: Vec<Double> = (0..wanted).map(|_| house.next()).collect();
        house.nothing_more();
        if isolation != Isolation::Shared {
            assert_eq!(doubles[0].directory, PathBuf::from(cwds[0]));
        }
        for (set, at) in sets.iter().zip(0..) {
            set.kill();
            let last = at == 1;
            assert_eq!(doubles[at.min(wanted - 1)].is_stopping(), wanted == 2 || last, "{isolation:?}");
        }
        drop(doubles);
        for set in sets {
            let reports = set.stop().await;
            assert!(reports.iter().all(|report| report.survivors == 0));
        }
        house.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_holder_gets_the_same_announcements() {
    let mut house = House::new();
    let (one, mut first) = house.thread("/a", vec![helper(Isolation::Shared)]);
    let double = house.next();
    double.announce(State::Starting);
    assert_eq!(states(&mut first, 1).await, [State::Starting]);
    let (two, mut second) = house.thread("/b", vec![helper(Isolation::Shared)]);
    assert_eq!(states(&mut second, 1).await, [State::Starting]);
    double.announce(State::Ready);
    assert_eq!(states(&mut first, 1).await, [State::Ready]);
    assert_eq!(states(&mut second, 1).await, [State::Ready]);
    let (three, mut third) = house.thread("/c", vec![helper(Isolation::Shared)]);
    assert_eq!(states(&mut third, 2).await, [State::Starting, State::Ready]);
    house.nothing_more();
    drop((one, two, three, double));
    house.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_lingers_is_taken_up_again_and_ends_when_nobody_comes() {
    for isolation in [Isolation::Thread, Isolation::Project, Isolation::Shared] {
        let mut house = House::new();
        let id = ThreadId::new(Clock.new_id());
        let (set, _heard) = house.thread_as(id, "/a", vec![lingering(isolation)]);
        let double = house.next();
        assert_eq!(set.stop().await, [], "nobody waits for what is kept");
        assert_eq!(house.helpers.idle().lingering, 1);
        pass(Duration::from_secs(50)).await;
        assert!(!double.is_stopping());
        let (set, _heard) = house.thread_as(id, "/a", vec![lingering(isolation)]);
        house.nothing_more();
        pass(Duration::from_mins(2)).await;
        assert!(!double.is_stopping(), "it is used");
        set.stop().await;
        pass(Duration::from_secs(59)).await;
        assert!(!double.is_stopping(), "its time begins anew");
        double.shutdown.stopping().await;
        // Told to end, and not gone yet.
        let (late, _heard) = house.thread_as(id, "/a", vec![lingering(isolation)]);
        let fresh = house.next();
        assert!(!fresh.is_stopping());
        drop((late, double, fresh));
        house.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_server_waits_for_no_linger() {
    let mut house = House::new();
    let threads: Vec<_> = (0..10).map(|_| house.thread("/a", vec![lingering(Isolation::Thread)])).collect();
    let doubles: Vec<Double> = threads.iter().map(|_| house.next()).collect();
    for (set, _) in &threads[1..] {
        set.stop().await;
    }
    let helpers = Arc::clone(&house.helpers);
    let began = Clock.now();
    let closing = house.tasks.spawn("close", async move { helpers.close().await });
    for double in &doubles[1..] {
        double.shutdown.stopping().await;
    }
    assert_eq!(Clock.now(), began, "at once");
    assert!(!doubles[0].is_stopping(), "its thread ends it");
    drop(threads);
    doubles[0].shutdown.stopping().await;
    assert!(!closing.is_finished(), "they are not gone yet");
    drop(doubles);
    closing.await.unwrap();
    house.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_by_itself_is_not_given_to_anybody_new() {
    let mut house = House::new();
    let (one, mut first) = house.thread("/a", vec![helper(Isolation::Shared)]);
    let double = house.next();
    double.seen.send_modify(|seen| seen.state = HelperState::Broken);
    double.announce(State::Failed);
    drop(double);
    assert_eq!(states(&mut first, 1).await, [State::Failed]);
    while !house
        .helpers
        .pool
        .table()
        .entries()
        .all(|(_, entry)| matches!(entry.state, InstanceState::Stopped))
    {
        tokio::task::yield_now().await;
    }
    let (two, mut second) = house.thread("/b", vec![helper(Isolation::Shared)]);
    let fresh = house.next();
    fresh.announce(State::Ready);
    assert_eq!(states(&mut first, 1).await, [State::Ready], "who has waited gets it too");
    assert_eq!(states(&mut second, 1).await, [State::Ready]);
    drop((one, two, fresh));
    house.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_while_it_is_kept_is_not_given_to_who_comes_back() {
    for isolation in [Isolation::Thread, Isolation::Shared] {
        let mut house = House::new();
        let id = ThreadId::new(Clock.new_id());
        let (set, _heard) = house.thread_as(id, "/a", vec![lingering(isolation)]);
        let double = house.next();
        set.stop().await;
        double.seen.send_modify(|seen| seen.state = HelperState::Broken);
        let (back, _heard) = house.thread_as(id, "/a", vec![lingering(isolation)]);
        let fresh = house.next();
        assert!(double.is_stopping() && !fresh.is_stopping());
        drop((set, back, double, fresh));
        house.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_spec_is_another_process_and_a_changed_policy_is_not() {
    let mut house = House::new();
    let (a, b) = (HelperSpec::new("a", "x"), HelperSpec::new("b", "x"));
    let (set, _heard) = house.thread("/a", vec![a.clone(), b.clone()]);
    let (first, second) = (house.next(), house.next());
    set.change(vec![HelperSpec { disabled_tools: vec!["t".into()], ..a.clone() }, b.clone()]);
    house.nothing_more();
    let changed = a.with_variable("A", "1");
    set.change(vec![changed.clone(), b, HelperSpec::new("c", "x")]);
    let (fresh, third) = (house.next(), house.next());
    assert_eq!((fresh.spec.name.as_str(), third.spec.name.as_str()), ("a", "c"));
    assert!(first.is_stopping() && !second.is_stopping());
    set.change(vec![changed]);
    house.nothing_more();
    assert!(second.is_stopping() && third.is_stopping() && !fresh.is_stopping());
    drop((first, second, third));
    let stopped = house.tasks.spawn("stop", async move { set.stop().await });
    fresh.shutdown.stopping().await;
    drop(fresh);
    assert_eq!(stopped.await.unwrap().len(), 1);
    house.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_ends_what_it_replaces_behind_the_calls_that_are_under_way() {
    let mut house = House::new();
    let (set, _heard) = house.thread("/a", vec![helper(Isolation::Thread)]);
    let old = house.next();
    let calls = [set.call_for_tests("a"), set.call_for_tests("a")];
    set.change(vec![helper(Isolation::Thread).with_variable("A", "1")]);
    let fresh = house.next();
    let [one, other] = calls;
    drop(one);
    assert!(!old.is_stopping(), "a call goes on");
    drop(other);
    assert!(old.is_stopping() && !fresh.is_stopping());
    drop((old, fresh, set));
    house.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unload_waits_for_what_a_change_has_ended() {
    let mut house = House::new();
    let (set, _heard) = house.thread("/a", vec![helper(Isolation::Thread)]);
    let old = house.next();
    set.change(Vec::new());
    assert!(old.is_stopping());
    let stopped = house.tasks.spawn("stop", async move { set.stop().await });
    pass(Duration::from_hours(1)).await;
    assert!(!stopped.is_finished());
    drop(old);
    assert_eq!(stopped.await.unwrap().len(), 1);
    house.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_respond_keeps_only_the_calls_that_are_under_way() {
    let mut house = House::new();
    let (one, mut first) = house.thread("/a", vec![helper(Isolation::Shared)]);
    let old = house.next();
    old.announce(State::Starting);
    assert_eq!(states(&mut first, 1).await, [State::Starting]);
    let stuck = one.call_for_tests("a");
    old.falls_silent();
    assert!(!old.is_stopping(), "a report is no sentence");
    let (two, mut second) = house.thread("/b", vec![helper(Isolation::Shared)]);
    let fresh = house.next();
    fresh.announce(State::Starting);
    assert_eq!(states(&mut first, 1).await, [State::Starting], "who has held it has the fresh one");
    assert_eq!(states(&mut second, 1).await, [State::Starting]);
    let call = one.call_for_tests("a");
    assert!(Arc::ptr_eq(&call.instance, &two.call_for_tests("a").instance));
    assert!(!old.is_stopping() && house.helpers.idle().quarantined == 1);
    drop(stuck);
    assert!(old.is_stopping() && !fresh.is_stopping());
    house.nothing_more();
    drop((call, one, two, old, fresh));
    house.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_enough_to_replace_it_and_a_thread_that_leaves_ends_its_calls() {
    let mut house = House::new();
    let (one, _first) = house.thread("/a", vec![helper(Isolation::Project)]);
    let old = house.next();
    let stuck = one.call_for_tests("a");
    old.falls_silent();
    let call = one.call_for_tests("a");
    let fresh = house.next();
    assert!(!Arc::ptr_eq(&call.instance, &stuck.instance) && !old.is_stopping());
    let stopped = house.tasks.spawn("stop", async move { one.stop().await });
    old.shutdown.stopping().await;
    fresh.shutdown.stopping().await;
    drop((stuck, call, fresh));
    pass(Duration::from_hours(1)).await;
    drop(old);
    stopped.await.unwrap();
    // One that a thread has alone is waited for.
    let (own, _heard) = house.thread("/a", vec![helper(Isolation::Thread)]);
    let double = house.next();
    double.falls_silent();
    drop(own.call_for_tests("a"));
    house.nothing_more();
    drop((own, double));
    house.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_mildest_terms_of_all_who_hold_it_count_for_an_instance() {
    use crate::spec::OnUnresponsive::{self, Fail, Report, Restart};

    let mut house = House::new();
    let spec = |on_unresponsive: OnUnresponsive, seconds| HelperSpec {
        on_unresponsive,
        startup_timeout: Duration::from_secs(seconds),
        ..helper(Isolation::Shared)
    };
    let (one, _heard) = house.thread("/a", vec![spec(Restart, 60)]);
    let double = house.next();
    let instance = Arc::clone(&one.call_for_tests("a").instance);
    let terms = || {
        let terms = *instance.options.borrow();
        (terms.on_unresponsive, terms.startup_timeout.as_secs())
    };
    assert_eq!(terms(), (Restart, 60));
    let (two, _heard) = house.thread("/b", vec![spec(Report, 5)]);
    assert_eq!(terms(), (Fail, 60), "only calls of those who want it end");
    one.change(vec![spec(Report, 1)]);
    assert_eq!(terms(), (Report, 5));
    two.change(vec![spec(Restart, 3)]);
    assert_eq!(terms(), (Fail, 3));
    drop(one);
    assert_eq!(terms(), (Restart, 3), "who has left has no say");
    house.nothing_more();
    drop((two, double, instance));
    house.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_lost_its_task_is_started_again_for_all_who_hold_it_and_nothing_else() {
    let mut house = House::new();
    let sets = ["/a", "/b"]
        .map(|cwd| house.thread(cwd, vec![helper(Isolation::Shared), HelperSpec::new("own", "program")]).0);
    let (failed, own, other) = (house.next(), house.next(), house.next());
    failed.seen.send_modify(|seen| seen.state = HelperState::Broken);
    drop(failed);
    while !house
        .helpers
        .pool
        .table()
        .entries()
        .any(|(_, entry)| matches!(entry.state, InstanceState::Stopped))
    {
        tokio::task::yield_now().await;
    }
    house.helpers.revive();
    let fresh = house.next();
    assert_eq!(fresh.spec.name, "a");
    house.helpers.revive();
    house.nothing_more();
    let [one, two] = sets.each_ref().map(|set| set.call_for_tests("a"));
    assert!(Arc::ptr_eq(&one.instance, &two.instance) && !own.is_stopping() && !other.is_stopping());
    drop((one, two, sets, fresh, own, other));
    house.finish().await;
}
