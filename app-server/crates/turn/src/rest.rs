//! A turn at rest: nothing is under way for it, and only answers are missed. A server that stops lets a turn that the next one
//! goes on with begin nothing more, and leaves it once it is at rest.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{Report, Stop, TurnRun};

/// Counts the strands of a turn that work. Its task is the only one that looks.
#[derive(Debug)]
pub(crate) struct Work {
    /// Cancelled when nothing more may begin.
    ends: CancellationToken,
    strands: AtomicUsize,
    /// Calls and requests that the owner has let begin.
    begun: AtomicUsize,
}

impl Work {
    /// The work of a turn that has begun.
    pub(crate) fn new(ends: CancellationToken) -> Self {
        Self { ends, strands: AtomicUsize::new(1), begun: AtomicUsize::new(0) }
    }

    fn add(&self, strands: usize) {
        self.strands.fetch_add(strands, Ordering::Relaxed);
    }

    fn remove_one(&self) {
        self.strands.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes that a call or a request begins, which the owner has granted.
    pub(crate) fn note_begun(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn is_at_rest(&self) -> bool {
        self.strands.load(Ordering::Relaxed) == 0
    }
}

impl TurnRun {
    /// Waits for an answer, which may never come. Nothing is under way for this strand meanwhile.
    pub(crate) async fn answer_from<T>(&self, wait: impl Future<Output = T>) -> Result<T, Stop> {
        self.work.remove_one();
        let answer = async {
            tokio::select! {
                biased;
                answer = wait => answer,
                never = self.leave() => never,
            }
        };
        let answer = self.unless_interrupted(answer).await;
        self.work.add(1);
        answer
    }

    /// Waits until a call or a request may begin: for ever where the server stops.
    pub(crate) async fn may_begin(&self) -> Result<(), Stop> {
        match self.work.ends.is_cancelled() {
            true => self.answer_from(std::future::pending()).await,
            false => Ok(()),
        }
    }

    /// Runs the strands of a round, which replace this one until all have ended.
    pub(crate) async fn side_by_side<T>(&self, strands: Vec<impl Future<Output = T>>) -> Vec<T> {
        let left = AtomicUsize::new(strands.len());
        self.work.add(strands.len().saturating_sub(1));
        let ends_one = &async |strand| {
            let end = strand.await;
            // The last one goes on as this strand.
            if left.fetch_sub(1, Ordering::Relaxed) > 1 {
                self.work.remove_one();
                self.report_rest().await;
            }
            end
        };
        join_all(strands.into_iter().map(ends_one)).await
    }

    /// Reports that the turn is at rest, if the server stops meanwhile. Never ends.
    async fn leave<T>(&self) -> T {
        self.work.ends.cancelled().await;
        self.report_rest().await;
        std::future::pending().await
    }

    async fn report_rest(&self) {
        if self.work.ends.is_cancelled() && self.work.is_at_rest() {
            self.report(Report::AtRest(self.work.begun.load(Ordering::Relaxed))).await;
        }
    }
}
