//! Notifies clients that the waiting questions of a thread have changed. One task reads the thread's row in the index, behind the
//! change, so that the notification and a list say the same.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::SkeinQuestionsChanged;
use skein_protocol::question::{QuestionSummary, SkeinQuestionsChangedNotification};
use skein_protocol::table::Recipients;
use skein_store::history::WaitingQuestion;
use skein_store::index::IndexError;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::catalog::AnnouncedTo;
use super::outgoing::Notice;
use crate::policy;

/// The threads whose questions have changed. Shared.
#[derive(Debug, Default)]
pub(crate) struct QuestionFeed {
    changed: Mutex<BTreeSet<ThreadId>>,
    one_more: Notify,
}

impl QuestionFeed {
    /// Notes that the row of this thread has other questions.
    pub(crate) fn note(&self, thread: ThreadId) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(thread);
        self.one_more.notify_one();
    }

    async fn next(&self) -> ThreadId {
        loop {
            let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            match changed {
                Some(thread) => return thread,
                None => self.one_more.notified().await,
            }
        }
    }
}

/// Publishes changes until `stop`.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    while let Some(thread) = stop.run_until_cancelled(context.question_feed.next()).await {
        if let Err(IndexError::Away(_)) = publish(&context, thread).await {
            context.question_feed.note(thread);
            stop.run_until_cancelled(sleep(policy::NEWS_PAUSE)).await;
        }
    }
}

/// Without a list no client can keep one; the next list says what waits.
async fn publish(context: &Context, thread: ThreadId) -> Result<(), IndexError> {
    let row = context.index.get(thread).await?;
    let policy = context.config().questions;
    let open = |waiting: WaitingQuestion| QuestionSummary {
        id: waiting.id,
        kind: waiting.kind,
        asked_at: waiting.asked.0,
        expires_at: policy.expires_at(waiting.kind, waiting.asked.0),
    };
    let waiting = row.map(|(row, _)| row.waiting).unwrap_or_default();
    let params = SkeinQuestionsChangedNotification {
        thread_id: thread,
        open: waiting.into_iter().map(open).collect(),
        needs_you: context.index.needs_you(),
    };
    let notice = Notice::new::<SkeinQuestionsChanged>(Recipients::All, &params, context.clock.wall(), None);
    context.subscribers.announce(thread, &notice.broadcast, AnnouncedTo::Listening);
    Ok(())
}
