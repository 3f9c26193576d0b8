//! Events that wait for a storage that is away: of one thread, and of all.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// The bytes of the events of all threads.
#[derive(Debug, Default)]
pub(crate) struct Backlog(AtomicUsize);

impl Backlog {
    /// A thread that has no event here yet.
    pub(crate) fn share(self: &Arc<Self>) -> BacklogShare {
        BacklogShare { all: Arc::clone(self), own: 0 }
    }
}

/// The part of one thread. Its drop takes the part out.
#[derive(Debug)]
pub(crate) struct BacklogShare {
    all: Arc<Backlog>,
    own: usize,
}

impl BacklogShare {
    /// Sets the bytes of this thread's events. While they stay as they are, the counter that all threads share is not touched.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes == self.own {
            return;
        }
        self.all.0.fetch_add(bytes, Relaxed);
        self.all.0.fetch_sub(self.own, Relaxed);
        self.own = bytes;
    }

    /// The bytes of all threads.
    pub(crate) fn of_all(&self) -> usize {
        self.all.0.load(Relaxed)
    }
}

impl Drop for BacklogShare {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_is_the_sum_of_the_threads_that_are_there() {
        let all = Arc::new(Backlog::default());
        let (mut one, mut other) = (all.share(), all.share());
        one.set(5);
        other.set(7);
        one.set(3);
        assert_eq!(one.of_all(), 10);
        drop(one);
        assert_eq!(other.of_all(), 7);
    }
}
