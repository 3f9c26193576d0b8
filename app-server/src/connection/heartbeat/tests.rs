use std::cell::Cell;
use std::collections::HashMap;

use futures_util::FutureExt;
use skein_protocol::ids::ConnectionId;

use super::*;
use crate::outbox::{OutboxLimits, WriterAction};

const TIMES: Heartbeat = Heartbeat {
    ping: Duration::from_secs(20),
    dead_after: Duration::from_secs(60),
    heartbeat: Duration::from_secs(20),
};
const SECOND: Duration = Duration::from_secs(1);

fn outbox() -> Outbox {
    let limits = OutboxLimits { waiting_bytes: 100, most_bytes: 100, pause_bytes: 100, merge_bytes: 100 };
    Outbox::new(ConnectionId(1), limits)
}

/// Whether the client was pinged since the last check.
fn asked(outbox: &Outbox) -> bool {
    matches!(outbox.next().now_or_never(), Some(WriterAction::Ping))
}

/// Runs a client for some seconds with an action at each. Returns the times of pings, the time of its end, and the
/// number of heartbeats.
async fn live(seconds: u64, at: impl Fn(u64, &ClientLiveness, &Notify)) -> (Vec<u64>, Option<u64>, u32) {
    live_with(Pings::AfterSilence, seconds, at).await
}

async fn live_with(
    rule: Pings,
    seconds: u64,
    at: impl Fn(u64, &ClientLiveness, &Notify),
) -> (Vec<u64>, Option<u64>, u32) {
    let (life, outbox, opted_in) = (ClientLiveness::new(Clock.now()), outbox(), Notify::new());
    let beats = Cell::new(0);
    let mut pings = Vec::new();
    let watch = watch(&life, &outbox, (TIMES, rule, Clock.now()), &opted_in, || beats.set(beats.get() + 1));
    let mut watch = std::pin::pin!(watch);
    for second in 0..=seconds {
        if let Some(reason) = (&mut watch).now_or_never() {
            assert_eq!(reason, CloseReason::Silent);
            return (pings, Some(second), beats.get());
        }
        if asked(&outbox) {
            pings.push(second);
        }
        at(second, &life, &opted_in);
        tokio::time::advance(SECOND).await;
    }
    (pings, None, beats.get())
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_asked_and_then_given_up() {
    assert_eq!(live(100, |_, _, _| {}).await, (vec![20, 40], Some(60), 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_anything_is_never_asked() {
    let trickle = |second: u64, life: &ClientLiveness, _: &Notify| {
        if second.is_multiple_of(14) {
            life.sign(Clock.now());
        }
    };
    assert_eq!(live(1_000, trickle).await, (vec![], None, 0));
}

/// The server of its client reads nothing else for long, while its client answers questions that others have asked.
#[tokio::test(start_paused = true)]
async fn a_link_that_sends_something_is_asked_all_the_same() {
    let trickle = |second: u64, life: &ClientLiveness, _: &Notify| {
        if second.is_multiple_of(14) {
            life.sign(Clock.now());
        }
    };
    let (pings, given_up, _) = live_with(Pings::Steady, 100, trickle).await;
    assert_eq!((pings, given_up), (vec![20, 40, 60, 80, 100], None));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays() {
    let answers = |second: u64, life: &ClientLiveness, _: &Notify| {
        if second.is_multiple_of(20) {
            life.sign(Clock.now());
        }
    };
    let (pings, given_up, _) = live(200, answers).await;
    assert_eq!((pings.len(), given_up), (10, None));
}

/// The server wakes once for a few clients, although they connected and spoke at different times.
#[tokio::test(start_paused = true)]
async fn the_clients_of_a_group_get_pings_and_heartbeats_in_the_same_rounds() {
    let since = Clock.now();
    let mut clients = Vec::new();
    for second in 0..20 {
        let opted_in = Notify::new();
        opted_in.notify_one();
        clients.push((ClientLiveness::new(Clock.now()), outbox(), opted_in, Cell::new(Vec::new())));
        tokio::time::advance(SECOND + Duration::from_millis(second)).await;
    }
    let noted = |at: &Cell<Vec<_>>| {
        let mut moments = at.take();
        moments.push(Clock.now() - since);
        at.set(moments);
    };
    let watches = clients.iter().map(|(life, outbox, opted_in, at)| {
        Box::pin(watch(life, outbox, (TIMES, Pings::AfterSilence, since), opted_in, move || noted(at)))
    });
    let mut watches: Vec<_> = watches.collect();
    for _ in 0..2_000 {
        for (watch, (life, outbox, _, at)) in watches.iter_mut().zip(&clients) {
            assert_eq!(watch.now_or_never(), None);
            if asked(outbox) {
                noted(at);
                life.sign(Clock.now());
            }
        }
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    for (.., at) in &clients {
        let moments = at.take();
        assert!(moments.len() >= 8, "asked and told every 20 s for 100 s: {moments:?}");
        let is_round = |at: &Duration| at.as_millis() % 5_000 < 50;
        assert!(moments.iter().all(is_round), "{moments:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_thousands_of_clients_few_are_checked_at_one_moment_and_each_as_often_as_ever() {
    let since = Clock.now();
    let step = TIMES.ping / policy::ROUNDS_IN_PING;
    let mut moments = HashMap::new();
    for connection in 0..10_000 {
        let rounds = CheckRounds::new(since, TIMES, ConnectionId(connection));
        let first = rounds.behind(since + TIMES.ping);
        assert!(first > since + TIMES.ping && first <= since + TIMES.ping + step, "{connection}");
        assert_eq!(rounds.behind(first), first + step);
        assert_eq!(rounds.in_time_for(first + step / 2), first);
        *moments.entry(first).or_insert(0) += 1;
    }
    assert!(moments.values().all(|clients| *clients <= 64), "{moments:?}");
    assert_eq!(moments.len() as u64, policy::ROUND_TIMES);
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_begins_with_the_opt_in() {
    let opts_in = |second: u64, life: &ClientLiveness, opted_in: &Notify| {
        life.sign(Clock.now());
        if second == 30 {
            opted_in.notify_one();
        }
    };
    assert_eq!(live(75, opts_in).await, (vec![], None, 2));
}

/// It shows signs of life and takes nothing, while nothing is added.
#[tokio::test(start_paused = true)]
async fn a_client_that_lives_and_takes_nothing_is_given_up_as_slow() {
    let (life, outbox, opted_in) = (ClientLiveness::new(Clock.now()), outbox(), Notify::new());
    outbox.push("x".repeat(60).into());
    outbox.push("x".repeat(60).into());
    let mut watch =
        std::pin::pin!(watch(&life, &outbox, (TIMES, Pings::AfterSilence, Clock.now()), &opted_in, || ()));
    for _ in 0..60 {
        life.sign(Clock.now());
        if let Some(reason) = (&mut watch).now_or_never() {
            return assert_eq!(reason, CloseReason::SlowClient);
        }
        tokio::time::advance(SECOND).await;
    }
    panic!("it is still waited for");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stood_still_looks_whether_its_clients_are_there() {
    let (life, outbox, opted_in) = (ClientLiveness::new(Clock.now()), outbox(), Notify::new());
    let mut watch =
        std::pin::pin!(watch(&life, &outbox, (TIMES, Pings::AfterSilence, Clock.now()), &opted_in, || {}));
    assert_eq!((&mut watch).now_or_never(), None);
    // Messages sent meanwhile are read later.
    tokio::time::advance(10 * TIMES.dead_after).await;
    assert_eq!((&mut watch).now_or_never(), None, "it may be there");
    assert!(asked(&outbox));
    tokio::time::advance(SECOND).await;
    life.sign(Clock.now());
    for _ in 0..30 {
        tokio::time::advance(SECOND).await;
        assert_eq!((&mut watch).now_or_never(), None);
    }
    // A dead client is dropped one interval after the server resumes.
    tokio::time::advance(10 * TIMES.dead_after).await;
    let mut waited = 0;
    while (&mut watch).now_or_never().is_none() {
        tokio::time::advance(SECOND).await;
        waited += 1;
    }
    let interval = TIMES.ping.as_secs();
    assert!(
        (interval..interval + 5).contains(&waited),
        "{waited}: an interval, and the wait for the next round"
    );
}
