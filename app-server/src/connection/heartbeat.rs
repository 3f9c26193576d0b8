//! Detects dead clients. Any byte is a sign of life, even of an incomplete message. A silent client gets a ping, and
//! is dropped without an answer. Clients that opted in to events receive heartbeats, because a web page sees no pings
//! but must detect a dead link, too.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use skein_base::clock::Clock;
use skein_config::Heartbeat;
use skein_protocol::ids::ConnectionId;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::outbox::{CloseReason, Outbox};
use crate::policy;

#[cfg(test)]
mod tests;

/// A client's last sign of life. Updated below the websocket, where bytes arrive.
#[derive(Debug)]
pub(crate) struct ClientLiveness {
    began: Instant,
    /// Milliseconds from `began` to the last sign.
    last: AtomicU64,
    /// The client's outbox, once connected.
    outbox: OnceLock<Outbox>,
}

impl ClientLiveness {
    /// The client is alive now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { began: now, last: AtomicU64::new(0), outbox: OnceLock::new() }
    }

    /// Records a sign of life.
    pub(crate) fn sign(&self, now: Instant) {
        let since = now.saturating_duration_since(self.began).as_millis();
        self.last.fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The client made room after a full buffer: it reads.
    pub(crate) fn sign_of_taking(&self, now: Instant) {
        self.sign(now);
        if let Some(outbox) = self.outbox.get() {
            outbox.took(now);
        }
    }

    /// The outbox that this client reads.
    pub(crate) fn takes_from(&self, outbox: &Outbox) {
        // A client has one connection.
        self.outbox.set(outbox.clone()).ok();
    }

    /// Whether the server has closed the connection because of its client.
    pub(crate) fn was_refused(&self) -> bool {
        self.outbox.get().and_then(Outbox::closed).is_some_and(CloseReason::is_refusal)
    }

    /// The time of the last sign.
    #[cfg(test)]
    pub(crate) fn last_sign(&self) -> Instant {
        self.last()
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

/// Whether this process itself was suspended, by a signal, a debugger or its machine. Bytes of clients were not read
/// meanwhile, so their silence means nothing.
struct StoodStill {
    /// The time of the next planned check.
    looks_at: Instant,
    /// Clients are not judged before.
    fair_from: Instant,
}

impl StoodStill {
    /// Whether this check is more than an interval late. Clients then get one more interval.
    fn is_new(&mut self, now: Instant, interval: Duration) -> bool {
        let is_late = now > self.looks_at + interval;
        if is_late {
            self.fair_from = now + interval;
        }
        is_late
    }
}

/// The times at which a server checks its clients, the same for the few connections of a group, so that an idle server
/// wakes once for all of them. Groups have different times, so that thousands of pings are not written at one moment. A
/// round includes everything due before the next one.
struct CheckRounds {
    since: Instant,
    step_ns: u64,
}

impl CheckRounds {
    /// The rounds of this connection, of a server that began at `since`.
    fn new(since: Instant, times: Heartbeat, connection: ConnectionId) -> Self {
        let step = times.ping.min(times.heartbeat) / policy::ROUNDS_IN_PING;
        let group = connection.0 / policy::CONNECTIONS_IN_ROUND % policy::ROUND_TIMES;
        let step_ns = nanoseconds(step).max(1);
        Self { since: since + Duration::from_nanos(step_ns / policy::ROUND_TIMES * group), step_ns }
    }

    fn number(&self, at: Instant) -> u64 {
        nanoseconds(at.saturating_duration_since(self.since)) / self.step_ns
    }

    fn at(&self, number: u64) -> Instant {
        self.since + Duration::from_nanos(number.saturating_mul(self.step_ns))
    }

    /// The first round after this moment.
    fn behind(&self, moment: Instant) -> Instant {
        self.at(self.number(moment).saturating_add(1))
    }

    /// The last round that is in time for `due`.
    fn in_time_for(&self, due: Instant) -> Instant {
        self.at(self.number(due))
    }

    /// The first round not before this moment.
    fn not_before(&self, moment: Instant) -> Instant {
        let round = self.in_time_for(moment);
        if round < moment { self.behind(moment) } else { round }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// When a connection gets pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pings {
    /// After silence. Each byte of a client shows that it lives.
    AfterSilence,
    /// Always. The other end of a link needs signs of life as well, whatever it sends itself.
    Steady,
}

impl Pings {
    /// The moment from which the pause to the next ping counts.
    fn since(self, last_sign: Instant, asked: Instant) -> Instant {
        match self {
            Self::AfterSilence => last_sign.max(asked),
            Self::Steady => asked,
        }
    }
}

/// Watches a client until it has been silent for too long, in the rounds since `since`. Calls `beat` for each
/// heartbeat, from `opted_in` on.
pub(super) async fn watch(
    life: &ClientLiveness,
    outbox: &Outbox,
    (times, pings, since): (Heartbeat, Pings, Instant),
    opted_in: &Notify,
    beat: impl Fn(),
) -> CloseReason {
    let rounds = CheckRounds::new(since, times, outbox.connection());
    let mut asked = Clock.now();
    let mut next_beat: Option<Instant> = None;
    let mut stood_still = StoodStill { looks_at: asked, fair_from: asked };
    loop {
        let now = Clock.now();
        let next_round = rounds.behind(now);
        if stood_still.is_new(now, times.ping) {
            outbox.ping();
            asked = now;
        }
        let last = life.last();
        let dead = (last + times.dead_after).max(stood_still.fair_from);
        if now >= dead {
            return CloseReason::Silent;
        }
        if now >= stood_still.fair_from && outbox.is_overdue(now) {
            return CloseReason::SlowClient;
        }
        if pings.since(last, asked) + times.ping < next_round {
            outbox.ping();
            asked = now;
        }
        if next_beat.is_some_and(|due| due < next_round) {
            beat();
            next_beat = Some(now + times.heartbeat);
        }
        let look = rounds.not_before(dead).min(rounds.in_time_for(pings.since(last, asked) + times.ping));
        let look = next_beat.map_or(look, |due| rounds.in_time_for(due).min(look));
        stood_still.looks_at = look;
        tokio::select! {
            () = tokio::time::sleep_until(look) => {}
            () = opted_in.notified() => next_beat = Some(Clock.now() + times.heartbeat),
        }
    }
}
