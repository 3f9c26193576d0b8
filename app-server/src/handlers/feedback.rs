//! `feedback/upload`: saves a user's report for the operator.

use std::sync::Arc;

use skein_base::tasks::BlockingPool;
use skein_protocol::error::WireError;
use skein_protocol::feedback::{FeedbackUploadParams, FeedbackUploadResponse};
use skein_protocol::ids::ThreadId;
use skein_store::home::HomePaths;

use crate::feedback::{self, FeedbackReport};
use crate::router::session::ClientSession;

/// `feedback/upload`
pub(crate) async fn upload(
    session: Arc<ClientSession>,
    params: FeedbackUploadParams,
) -> Result<FeedbackUploadResponse, WireError> {
    let services = &session.app;
    let id = services.clock.new_id();
    let thread = params.thread_id.unwrap_or_else(|| ThreadId::new(id));
    let originator = session.client().map(|client| client.name.clone()).unwrap_or_default();
    let report = FeedbackReport { id, at_ms: services.clock.wall().0, originator, params };
    let folder = HomePaths::new(&services.config().home).feedback();
    let keep = move || feedback::keep(&folder, &report);
    match services.tasks.blocking("feedback", BlockingPool::Sync, keep).await {
        Ok(Ok(file)) => {
            tracing::info!(file = %file.display(), "a user's feedback was kept");
            Ok(FeedbackUploadResponse { prompt_hash: None, thread_id: thread })
        }
        Ok(Err(error)) => Err(error.to_wire()),
        // The tracker has logged it.
        Err(_) => Err(WireError::internal("feedbackNotKept", "keeping the feedback broke off")),
    }
}
