//! The announcements of a helper's starts. Clients show each failure to their user, so repeated failures are announced once, until the
//! helper is ready or given up. Pure.

/// The announcements of a helper so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Announcements {
    /// A start has failed, and the ones after it are the same news.
    failed: bool,
}

/// How something of a helper ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was ready before.
    OfReady,
    /// It was starting, and is started again.
    OfStart,
    /// It is not started again.
    Final,
}

impl Announcements {
    /// Whether a start is announced.
    pub(crate) fn starts(self) -> bool {
        !self.failed
    }

    /// Whether a failure was announced, and a further one is the same news.
    pub(crate) fn has_failed(self) -> bool {
        self.failed
    }

    pub(crate) fn ready(&mut self) {
        self.failed = false;
    }

    /// Whether this failure is announced.
    pub(crate) fn fails(&mut self, failure: Failure) -> bool {
        let before = std::mem::replace(&mut self.failed, failure == Failure::OfStart);
        !before || failure == Failure::Final
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_fails_again_is_announced_once_until_it_is_ready_or_given_up() {
        let mut announced = Announcements::default();
        assert!(announced.starts() && announced.fails(Failure::OfStart));
        for _ in 0..3 {
            assert!(!announced.starts() && !announced.fails(Failure::OfStart));
        }
        assert!(announced.fails(Failure::Final));
        // Somebody has asked for another try.
        assert!(announced.starts() && announced.fails(Failure::OfStart) && !announced.starts());
        announced.ready();
        assert!(announced.fails(Failure::OfReady) && announced.starts());
        assert!(announced.fails(Failure::OfStart) && !announced.fails(Failure::OfStart));
    }
}
