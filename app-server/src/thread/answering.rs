//! Brings answers to questions whose thread may not be loaded: it was parked, or its server has ended.

use std::sync::Arc;

use serde_json::Value;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::error::WireError;
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::SkeinQuestionsAnswer;
use skein_protocol::question::SkeinQuestionsAnswerResponse;
use skein_protocol::table::Method;
use skein_store::index::{IndexError, ThreadFilter};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::command::{Command, Edit};
use super::questions::{self, AnswersOfOthers};
use super::registry::GivenAnswer;
use super::subscribers::Role;
use super::{Context, dispatch};
use crate::outbox::reply::{Divert, Reply};
use crate::outbox::{Frame, Outbox};

/// Delivers the answer of a request. Loads the thread where the question waits in one that is not loaded. `others` may have settled it.
pub(crate) fn deliver(
    context: &Arc<Context>,
    given: GivenAnswer,
    others: Option<Arc<dyn AnswersOfOthers>>,
    reply: Reply<SkeinQuestionsAnswerResponse>,
) {
    let question = given.question;
    let command = Command::Edit(Edit::Answer(Box::new(given), reply));
    if let Some(thread) = context.questions.thread(question) {
        return dispatch::deliver(context, thread, command);
    }
    let context = Arc::clone(context);
    context.tasks.clone().spawn(format!("question/{question}"), async move {
        match thread_of(&context, question).await {
            Ok(Some(thread)) => dispatch::deliver(&context, thread, command),
            Ok(None) => settle_late(&context, others, command).await,
            Err(error) => command.refuse(&context, &error.to_wire()),
        }
    });
}

/// Delivers a subscriber's answer to a question of a thread that was parked after it was asked, as soon as the storage serves.
/// Anything else is ignored. The answer holds a slot among the requests in flight.
pub(crate) fn deliver_to_parked(
    context: &Arc<Context>,
    outbox: Outbox,
    given: GivenAnswer,
    slot: OwnedSemaphorePermit,
) {
    let context = Arc::clone(context);
    context.tasks.clone().spawn(format!("question/{}", given.question), async move {
        tokio::select! {
            () = context.helpers.closing() => {}
            () = answer_when_served(&context, &outbox, &given) => {}
        }
        drop(slot);
    });
}

/// Tries as long as the client is there and the refusal names a time. It ends once the question is settled.
async fn answer_when_served(context: &Arc<Context>, outbox: &Outbox, given: &GivenAnswer) {
    while let Err(error) = answer_parked(context, outbox, given.clone()).await {
        let wait = error.retry_after().filter(|_| outbox.closed().is_none());
        let Some(wait) = wait else {
            tracing::warn!(question = given.question, %error, "a client's answer does not reach its thread");
            return;
        };
        tokio::time::sleep(wait).await;
    }
}

async fn answer_parked(context: &Arc<Context>, outbox: &Outbox, given: GivenAnswer) -> Result<(), WireError> {
    let thread = thread_of(context, given.question).await.map_err(|error| error.to_wire())?;
    let asked = |thread: &ThreadId| context.subscribers.role(given.by, *thread) == Some(Role::Subscriber);
    let Some(thread) = thread.filter(asked) else { return Ok(()) };
    let (send, outcome) = oneshot::channel();
    let (id, method) = (RequestId::Integer(given.question), SkeinQuestionsAnswer::INFO.wire);
    let divert = Divert::by(move |frame: Frame| drop(send.send(frame)));
    let reply = Reply::new(outbox.clone(), id, method, None).diverted(Some(divert));
    dispatch::deliver(context, thread, Command::Edit(Edit::Answer(Box::new(given), reply)));
    match outcome.await.as_deref().map(envelope::parse) {
        Ok(Ok(Incoming::Error { error, .. })) => Err(error),
        // It is granted, and the client has asked for no answer.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Answers a request about a question that no thread has.
async fn settle_late(context: &Context, others: Option<Arc<dyn AnswersOfOthers>>, command: Command) {
    let Command::Edit(Edit::Answer(given, reply)) = command else { return };
    let Ok(raw) = &given.answer else { return };
    let result: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    let past = match (context.questions.past_answer(given.question), others) {
        (None, Some(others)) => others.past_answer(given.question).await,
        (past, _) => past,
    };
    let late = questions::judge_late(given.question, &result, past);
    reply.send(late.map(|()| SkeinQuestionsAnswerResponse {}));
}

/// The thread, loaded or not, in which a question waits.
async fn thread_of(context: &Context, question: i64) -> Result<Option<ThreadId>, IndexError> {
    let mut cursor = None;
    loop {
        let page = context.index.list(ThreadFilter::waiting(), cursor, usize::MAX).await?;
        let asks = page.rows.iter().find(|row| row.waiting.iter().any(|waiting| waiting.id == question));
        match (asks, page.next) {
            (Some(row), _) => return Ok(Some(row.id)),
            (None, None) => return Ok(None),
            (None, next) => cursor = next,
        }
    }
}
