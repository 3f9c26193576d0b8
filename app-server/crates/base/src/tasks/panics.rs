//! Panics of tasks and of other work: each is logged and counted once, where it happens.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::TaskName;

/// Logs and counts the panics of one piece of work.
pub(super) struct PanicWitness {
    name: TaskName,
    panics: Arc<AtomicU64>,
}

impl PanicWitness {
    pub(super) fn new(name: impl Into<TaskName>, panics: &Arc<AtomicU64>) -> Self {
        Self { name: name.into(), panics: Arc::clone(panics) }
    }

    /// Watches until the value is dropped.
    pub(super) fn watch(&self) -> PanicWatch<'_> {
        PanicWatch(self)
    }

    pub(super) fn around<F: Future>(self, future: F) -> Witnessed<F> {
        Witnessed { future, witness: self }
    }
}

/// Logs and counts a panic when the work beside it unwinds.
pub(super) struct PanicWatch<'w>(&'w PanicWitness);

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(task = %self.0.name, "a task panicked");
        }
    }
}

pin_project! {
    /// A future with a witness of its polls, not of its drop. It has the room of the future once; an async function that takes a future
    /// has it twice.
    pub(super) struct Witnessed<F> {
        #[pin]
        future: F,
        witness: PanicWitness,
    }
}

impl<F: Future> Future for Witnessed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _watch = this.witness.watch();
        this.future.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_has_the_room_of_its_work_once() {
        let witness = PanicWitness::new("work", &Arc::default());
        let work = async {
            let room = [0_u8; 1 << 10];
            tokio::task::yield_now().await;
            room.len()
        };
        let alone = size_of_val(&work);
        let witnessed = witness.around(work);
        assert!(size_of_val(&witnessed) < alone + 100);
        assert_eq!(witnessed.await, 1 << 10);
    }
}
