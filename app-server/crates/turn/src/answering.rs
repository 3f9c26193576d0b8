//! A request to a model under way: the answer's events, and its end. The request makes no progress while nobody asks for
//! the next event, so the next try of one that broke off waits for its permission.

use std::future::Future;
use std::pin::Pin;

use skein_provider::{ModelEvent, ProviderError};
use tokio::sync::mpsc;

type AnswerEnd = Result<(), ProviderError>;

/// A request to a model under way.
pub(crate) struct Answering<F> {
    /// The provider, until it has ended.
    answer: Pin<Box<F>>,
    events: mpsc::Receiver<ModelEvent>,
    ended: Option<AnswerEnd>,
}

impl<F: Future<Output = AnswerEnd>> Answering<F> {
    /// The provider's future, and the events that it sends.
    pub(crate) fn new(answer: F, events: mpsc::Receiver<ModelEvent>) -> Self {
        Self { answer: Box::pin(answer), events, ended: None }
    }

    /// The next event; `None` behind the last one. Cancelling a wait loses nothing.
    pub(crate) async fn next(&mut self) -> Option<ModelEvent> {
        loop {
            tokio::select! {
                biased;
                event = self.events.recv() => return event,
                ended = &mut self.answer, if self.ended.is_none() => self.ended = Some(ended),
            }
        }
    }

    /// An event that has come already.
    pub(crate) fn try_next(&mut self) -> Option<ModelEvent> {
        self.events.try_recv().ok()
    }

    /// How the answer ended, behind its last event.
    pub(crate) async fn end(self) -> AnswerEnd {
        match self.ended {
            Some(ended) => ended,
            None => self.answer.await,
        }
    }
}
