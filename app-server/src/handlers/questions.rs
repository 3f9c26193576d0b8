//! The questions that wait for an answer, of all threads.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::to_raw_value;
use skein_protocol::error::{STORE_UNAVAILABLE, WireError};
use skein_protocol::ids::ThreadId;
use skein_protocol::question::{
    ListedQuestion, SkeinQuestionsAnswerParams, SkeinQuestionsAnswerResponse, SkeinQuestionsListParams,
    SkeinQuestionsListResponse,
};
use skein_store::history::{History, TurnQuestion};
use skein_store::index::{self, ThreadFilter};

use super::list;
use crate::app::App;
use crate::outbox::reply::Reply;
use crate::router::session::ClientSession;
use crate::thread::answering;
use crate::thread::error::ThreadError;
use crate::thread::questions::AnswersOfOthers;
use crate::thread::registry::GivenAnswer;

/// `skein/questions/list`: the threads from the index, their questions from the rollouts.
pub(super) async fn list(
    session: Arc<ClientSession>,
    params: SkeinQuestionsListParams,
) -> Result<SkeinQuestionsListResponse, WireError> {
    let services = &session.app;
    if let Some(thread) = params.thread_id {
        return Ok(SkeinQuestionsListResponse {
            data: of_thread(services, thread).await?,
            next_cursor: None,
        });
    }
    let cursor = list::cursor(params.cursor.as_deref())?;
    let page = services.index.list(ThreadFilter::waiting(), cursor, index::page_size(params.limit)).await;
    let page = page.map_err(|error| error.to_wire())?;
    let mut data = Vec::new();
    for row in &page.rows {
        match of_thread(services, row.id).await {
            Ok(questions) => data.extend(questions),
            Err(error) if error.reason() == STORE_UNAVAILABLE => return Err(error),
            // It was deleted meanwhile, or its file is damaged.
            Err(error) => {
                tracing::debug!(thread = %row.id, %error, "the questions of a thread are not listed")
            }
        }
    }
    Ok(SkeinQuestionsListResponse { data, next_cursor: page.next.map(|cursor| cursor.to_string()) })
}

async fn of_thread(services: &App, id: ThreadId) -> Result<Vec<ListedQuestion>, WireError> {
    let history = History::read_end(services.store.as_ref(), id, 0).await;
    let history = history.map_err(|error| ThreadError::unreadable(error, id).to_wire())?;
    let is_with_other = services.links.as_ref().is_some_and(|links| links.loaded.status(id).is_some());
    let (name, loaded) =
        (history.name().map(str::to_owned), is_with_other || services.registry.handle(id).is_some());
    let policy = services.config().questions;
    let shown = |open: &TurnQuestion| ListedQuestion {
        id: open.asked.id,
        thread_id: id,
        thread_name: name.clone(),
        turn_id: open.asked.turn_id.clone(),
        item_id: open.asked.item_id.clone(),
        kind: open.asked.kind,
        method: open.asked.method.clone(),
        params: serde_json::from_str(&open.asked.params).unwrap_or(Value::Null),
        asked_at: open.at.0,
        expires_at: policy.expires_at(open.asked.kind, open.at.0),
        loaded,
    };
    Ok(history.open_questions().iter().map(shown).collect())
}

/// `skein/questions/answer`
pub(super) fn answer(
    session: &Arc<ClientSession>,
    params: SkeinQuestionsAnswerParams,
    reply: Reply<SkeinQuestionsAnswerResponse>,
) {
    let SkeinQuestionsAnswerParams { id, result } = params;
    // A JSON value can be printed.
    let Ok(raw) = to_raw_value(&result) else { return };
    let given = GivenAnswer {
        by: session.id(),
        client: session.client().map(|client| client.name.clone()).unwrap_or_default(),
        access: session.access(),
        question: id,
        answer: Ok(raw),
    };
    let others = session.app.links.clone().map(|links| links as Arc<dyn AnswersOfOthers>);
    answering::deliver(&session.app.context, given, others, reply);
}
