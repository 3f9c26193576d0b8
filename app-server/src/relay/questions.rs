//! Open questions to a client.

use skein_protocol::event::ServerRequestResolvedNotification;
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::notifications::ServerRequestResolved;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::RelayNotice;

/// A request of the server.
#[derive(Debug)]
pub struct OpenQuestion {
    /// The id.
    pub id: RequestId,
    /// The thread that asks, if one does.
    pub thread: Option<ThreadId>,
    /// The client's answer, kept until the server confirms it: it may have been lost.
    pub answer: Option<Utf8Bytes>,
}

/// The open questions to one client.
#[derive(Debug, Default)]
pub struct OpenQuestions(Vec<OpenQuestion>);

impl OpenQuestions {
    /// The question with this id.
    pub fn get(&self, id: &RequestId) -> Option<&OpenQuestion> {
        self.0.iter().find(|question| question.id == *id)
    }

    /// A new question of this thread.
    pub fn open(&mut self, id: RequestId, thread: Option<ThreadId>) {
        self.0.push(OpenQuestion { id, thread, answer: None });
    }

    /// Keeps the client's answer to a question. Returns whether it is open.
    pub fn answer(&mut self, id: &RequestId, answer: Utf8Bytes) -> bool {
        let question = self.0.iter_mut().find(|question| question.id == *id);
        question.map(|question| question.answer = Some(answer)).is_some()
    }

    /// The client's answers to questions of a thread that may have been lost.
    pub fn answers(&self, thread: ThreadId) -> Vec<Utf8Bytes> {
        let of_thread = self.0.iter().filter(|question| question.thread == Some(thread));
        of_thread.filter_map(|question| question.answer.clone()).collect()
    }

    /// A question is settled.
    pub fn settle(&mut self, id: &RequestId) {
        self.0.retain(|question| question.id != *id);
    }

    /// Forgets the questions of a thread.
    pub fn forget(&mut self, thread: Option<ThreadId>) {
        self.0.retain(|question| question.thread.is_none() || question.thread != thread);
    }

    /// Forgets the questions of all threads.
    pub fn forget_threads(&mut self) {
        self.0.retain(|question| question.thread.is_none());
    }

    /// Resolves the questions of a thread, except those still open.
    pub fn void(&mut self, thread: ThreadId, still: &[RequestId], now: i64) -> Vec<RelayNotice> {
        let void = |question: &OpenQuestion| question.thread == Some(thread) && !still.contains(&question.id);
        let (void, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0).into_iter().partition(void);
        self.0 = open;
        let resolved = void.into_iter().map(|question| {
            let resolved = ServerRequestResolvedNotification { request_id: question.id, thread_id: thread };
            RelayNotice::new::<ServerRequestResolved>(&resolved, now)
        });
        resolved.collect()
    }
}
