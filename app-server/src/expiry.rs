//! Ends questions that nobody has answered in time. One task looks at the list of threads that wait, whether they are loaded
//! or not, so a question expires in the same way in a loaded thread, in a parked one and at the start of a server.

use std::sync::Arc;
use std::time::Duration;

use skein_protocol::ids::ThreadId;
use skein_store::index::{IndexError, ThreadFilter};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::policy;
use crate::thread::command::{Command, Edit};
use crate::thread::{Context, dispatch};

/// Looks for expired questions until `stop`.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    loop {
        let keep = context.config().questions.keep;
        let wait = match stop.run_until_cancelled(end_expired(&context)).await {
            Some(Ok(wait)) => wait,
            Some(Err(error)) => {
                tracing::warn!(%error, "questions do not expire: the list of threads cannot be read");
                policy::EXPIRY_LOOK
            }
            None => return,
        };
        let changed = context.settings.until_some(|config| (config.questions.keep != keep).then_some(()));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait.min(policy::EXPIRY_LOOK)) => {}
            () = changed => {}
        }
    }
}

/// Ends the questions whose time is over. Returns the time to the next one.
async fn end_expired(context: &Arc<Context>) -> Result<Duration, IndexError> {
    let (questions, now) = (context.config().questions, context.clock.wall().0);
    let (mut cursor, mut next) = (None, i64::MAX);
    loop {
        let page = context.index.list(ThreadFilter::waiting(), cursor, usize::MAX).await?;
        for row in &page.rows {
            for open in &row.waiting {
                match questions.expires_at(open.kind, open.asked.0) {
                    Some(at) if at <= now => end(context, row.id, open.id).await,
                    Some(at) => next = next.min(at),
                    None => {}
                }
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Duration::from_millis(u64::try_from(next.saturating_sub(now)).unwrap_or_default()));
        }
    }
}

/// Ends a question, and waits for that.
async fn end(context: &Arc<Context>, thread: ThreadId, question: i64) {
    tracing::info!(%thread, question, "nobody has answered a question within questions.keep; its turn is interrupted");
    let (done, ended) = oneshot::channel();
    dispatch::deliver(context, thread, Command::Edit(Edit::Expire(question, done)));
    // The sender is dropped, also where the thread is gone or cannot be loaded.
    ended.await.ok();
}
