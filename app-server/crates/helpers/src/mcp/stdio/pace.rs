//! How fast one helper may be listened to while nobody waits for what it says. Pure: time comes in.

use tokio::time::Instant;

use crate::policy;

/// Counts messages that nobody waits for.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    since: Option<Instant>,
    strays: usize,
    read: usize,
}

impl Pace {
    /// A message was read. `true` when others should get a turn before the next one.
    pub(crate) fn count(&mut self) -> bool {
        self.read = (self.read + 1) % policy::HELPER_BREATH;
        self.read == 0
    }

    /// A message was for nobody. Until when the next one has to wait, when there were too many of them.
    pub(crate) fn stray(&mut self, now: Instant) -> Option<Instant> {
        let since = *self.since.get_or_insert(now);
        if now >= since + policy::HELPER_STRAYS_TIME {
            (self.since, self.strays) = (Some(now), 0);
        }
        self.strays += 1;
        let until = self.since? + policy::HELPER_STRAYS_TIME;
        (self.strays >= policy::HELPER_STRAYS).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_waits_for_the_end_of_its_time_and_others_for_nothing() {
        let (mut pace, start) = (Pace::default(), skein_base::clock::Clock.now());
        for _ in 1..policy::HELPER_STRAYS {
            assert_eq!(pace.stray(start), None);
        }
        let until = pace.stray(start).unwrap();
        assert_eq!(until, start + policy::HELPER_STRAYS_TIME);
        assert_eq!(pace.stray(until), None, "a new time begins");
        let slow = policy::HELPER_STRAYS_TIME / 10;
        let mut now = until;
        for _ in 0..10 * policy::HELPER_STRAYS {
            now += slow;
            assert_eq!(pace.stray(now), None);
        }
    }

    #[test]
    fn others_get_a_turn_again_and_again() {
        let mut pace = Pace::default();
        let turns = (0..10 * policy::HELPER_BREATH).filter(|_| pace.count()).count();
        assert_eq!(turns, 10);
    }
}
