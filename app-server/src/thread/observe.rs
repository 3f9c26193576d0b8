//! Answers an observer of a thread that nobody has loaded: from the rollout, without loading it. The subscription
//! holds over later loads and unloads.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::thread::{ThreadResumeResponse, ThreadStatus};
use skein_protocol::turn::TurnItemsView;

use super::command::{Command, Resume};
use super::dispatch;
use super::error::ThreadError;
use super::history::History;
use super::pictures;
use super::subscribers::Role;
use crate::router::errors;
use crate::services::Services;

/// Reads the history, subscribes the observer, and makes sure that nothing happened in between; if something did,
/// begins anew, with the owner if there is one now.
pub async fn observe(services: Arc<Services>, id: ThreadId, resume: Resume) {
    let mut resume = resume;
    match try_observe(&services, id, &resume).await {
        Ok(Some(response)) => resume.reply.ok(&response),
        Ok(None) => {
            let ticket = services.subscribers.wait_again(resume.ticket, id);
            // A connection that is gone observes nothing.
            let Some(ticket) = ticket else { return };
            resume.ticket = ticket;
            dispatch::deliver(&services, id, Command::Resume(Box::new(resume)));
        }
        Err(error) => {
            services.subscribers.end_resume(resume.ticket);
            resume.reply.err(&error);
        }
    }
}

/// `None` when the thread has moved while it was read.
async fn try_observe(
    services: &Services,
    id: ThreadId,
    resume: &Resume,
) -> Result<Option<ThreadResumeResponse>, WireError> {
    let before = head(services, id).await?;
    let read = History::read(services.store.as_ref(), id).await;
    let history = read.map_err(|error| errors::read(error, id))?;
    if services.registry.handle(id).is_some() {
        return Ok(None);
    }
    if !services.subscribers.join(resume.ticket, id, Role::Observer) {
        return Err(errors::thread(&ThreadError::Withdrawn { id }));
    }
    // From here on the observer hears every owner. What an owner wrote before is seen by its number.
    if services.registry.handle(id).is_some() || head(services, id).await? != before {
        return Ok(None);
    }
    let mut response: ThreadResumeResponse = pictures::response(
        history.settings(),
        history.thread(ThreadStatus::NotLoaded),
        ThreadPicture { seq: history.seq(), epoch: history.epoch() },
    )
    .into();
    if !resume.params.exclude_turns {
        response.thread.turns = history.turns(TurnItemsView::Full);
    }
    Ok(Some(response))
}

/// The number of the last record. Not that of the history: damage at the end has taken numbers, and has no records.
async fn head(services: &Services, id: ThreadId) -> Result<EventSeq, WireError> {
    services.store.head(id).await.map_err(|error| errors::read(error, id))
}
