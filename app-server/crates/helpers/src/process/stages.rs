//! The stages of ending a helper, without clock and without signals.

use std::time::Duration;

use tokio::time::Instant;

/// How hard a helper was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its standard input was closed.
    CloseInput,
    /// SIGTERM to every process of its tree.
    Terminate,
    /// SIGKILL to every process of its tree, again and again until none is left.
    Kill,
}

/// Which stage is due. Time goes in, the next deadline comes out.
#[derive(Debug)]
pub(crate) struct Stages {
    grace: Duration,
    current: Option<(Stage, Instant)>,
}

impl Stages {
    /// Nothing was asked yet; each stage but the last gets `grace`.
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, current: None }
    }

    /// The stage that is in force.
    pub(crate) fn current(&self) -> Option<Stage> {
        self.current.map(|(stage, _)| stage)
    }

    /// Goes to `stage` unless it, or a harder one, is in force. Returns whether it was entered.
    pub(crate) fn enter(&mut self, now: Instant, stage: Stage) -> bool {
        let entered = self.current().is_none_or(|current| current < stage);
        if entered {
            self.current = Some((stage, now));
        }
        entered
    }

    /// The harder stage that is due at `now`, entered.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Stage> {
        let next = match self.deadline().filter(|deadline| *deadline <= now).and(self.current())? {
            Stage::CloseInput => Stage::Terminate,
            Stage::Terminate => Stage::Kill,
            Stage::Kill => return None,
        };
        self.enter(now, next).then_some(next)
    }

    /// When [`Stages::due`] has something to say next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (stage, since) = self.current?;
        match stage {
            Stage::CloseInput | Stage::Terminate => Some(since + self.grace),
            Stage::Kill => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use skein_base::clock::Clock;

    use super::*;

    const GRACE: Duration = Duration::from_millis(500);

    #[test]
    fn each_stage_gets_its_grace_and_kill_is_the_end() {
        let start = Clock.now();
        let mut stages = Stages::new(GRACE);
        assert_eq!((stages.deadline(), stages.due(start + GRACE)), (None, None));
        assert!(stages.enter(start, Stage::CloseInput));
        assert_eq!(stages.due(start + GRACE / 2), None);
        assert_eq!(stages.due(start + GRACE), Some(Stage::Terminate));
        assert_eq!(stages.due(start + GRACE), None);
        assert_eq!(stages.deadline(), Some(start + GRACE * 2));
        assert_eq!(stages.due(start + GRACE * 2), Some(Stage::Kill));
        assert_eq!((stages.deadline(), stages.due(start + GRACE * 9)), (None, None));
    }

    #[test]
    fn a_softer_stage_never_follows_a_harder_one() {
        let start = Clock.now();
        let mut stages = Stages::new(GRACE);
        assert!(stages.enter(start, Stage::Terminate));
        assert!(!stages.enter(start + GRACE, Stage::CloseInput));
        assert!(!stages.enter(start + GRACE, Stage::Terminate));
        assert_eq!(stages.deadline(), Some(start + GRACE), "asking again gives no second grace");
        assert!(stages.enter(start, Stage::Kill));
    }
}
