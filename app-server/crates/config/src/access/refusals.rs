//! The refusals since the server's start, for status and metrics.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use skein_base::clock::WallMs;
use skein_base::counters::Counter;

use super::WebOrigin;
use crate::policy;

/// Counts of refused requests, and the last refused origins.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Requests of pages that are not allowed.
    pub origins: Counter,
    /// Requests with a missing or wrong credential.
    pub credentials: Counter,
    /// Requests of helpers.
    pub helpers: Counter,
    /// Connections of other users on unix sockets.
    pub users: Counter,
    last_origins: Mutex<VecDeque<RefusedOrigin>>,
}

/// A page that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedOrigin {
    /// Its origin.
    pub origin: WebOrigin,
    /// The last time.
    pub at: WallMs,
}

impl Refusals {
    /// Notes a refused page; `None` for a malformed origin. Repetitions only change the time.
    pub fn refuse_origin(&self, origin: Option<&WebOrigin>, at: WallMs) {
        self.origins.add_one();
        let Some(origin) = origin else { return };
        let mut last = self.last_origins.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|refused| refused.origin != *origin);
        if last.len() >= policy::REFUSED_ORIGINS {
            last.pop_front();
        }
        last.push_back(RefusedOrigin { origin: origin.clone(), at });
    }

    /// The last refused origins, the newest last.
    pub fn last_origins(&self) -> Vec<RefusedOrigin> {
        self.last_origins.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_origins_are_kept_once_each() {
        let refusals = Refusals::default();
        for port in 0..20_i64 {
            let origin = WebOrigin::parse(&format!("http://localhost:{}", 5_000 + port)).unwrap();
            refusals.refuse_origin(Some(&origin), WallMs(port));
            refusals.refuse_origin(Some(&origin), WallMs(port + 1));
        }
        let last = refusals.last_origins();
        assert_eq!(last.len(), policy::REFUSED_ORIGINS);
        assert_eq!((last[7].origin.as_str(), last[7].at), ("http://localhost:5019", WallMs(20)));
        assert_eq!(refusals.origins.get(), 40);
    }
}
