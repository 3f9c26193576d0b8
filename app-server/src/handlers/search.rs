//! Searches in names and messages.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::extension::{IndexingDetails, SearchDetails};
use skein_protocol::thread::{
    ThreadListParams, ThreadSearchOccurrencesParams, ThreadSearchOccurrencesResponse, ThreadSearchParams,
    ThreadSearchResponse, ThreadSearchResult, ThreadSearchSortKey, ThreadSortKey,
};
use skein_store::index;
use skein_store::texts::SearchTerm;
use tokio::time::Instant;

use super::{list, thread};
use crate::app::App;
use crate::policy;
use crate::router::session::ClientSession;
use crate::search::occurrences::{Hits, WantedHits};
use crate::search::{SearchError, SearchRequest};
use crate::thread::error::ThreadError;

/// `thread/search`
pub(crate) async fn threads(
    session: Arc<ClientSession>,
    params: ThreadSearchParams,
) -> Result<ThreadSearchResponse, WireError> {
    let services = &session.app;
    let term = Arc::new(term(&params.search_term)?);
    let cursor = list::cursor(params.cursor.as_deref())?;
    let limit = index::page_size(params.limit);
    let filter = list::filter(services, as_list(params)).await.map_err(|error| error.to_wire())?;
    let wanted = SearchRequest { term, filter, cursor, limit, until: until(services) };
    let found = services.search.search(services, wanted).await.map_err(|error| error.to_wire())?;
    let data = found.threads.iter().map(|(row, snippet)| ThreadSearchResult {
        snippet: snippet.text.clone(),
        thread: list::shown(services, row),
    });
    Ok(ThreadSearchResponse {
        data: data.collect(),
        backwards_cursor: found.back.map(|cursor| cursor.to_string()),
        next_cursor: found.next.map(|cursor| cursor.to_string()),
        skein: found.indexing.map(|indexing| SearchDetails {
            indexing: IndexingDetails { done: indexing.done, total: indexing.total },
        }),
    })
}

/// `thread/searchOccurrences`
pub(crate) async fn occurrences(
    session: Arc<ClientSession>,
    params: ThreadSearchOccurrencesParams,
) -> Result<ThreadSearchOccurrencesResponse, WireError> {
    let (services, id) = (&session.app, params.thread_id);
    let term = Arc::new(term(&params.search_term)?);
    let seen = services.registry.handle(id).map(|handle| handle.snapshot());
    if let Some(unwritten) = seen.as_ref().and_then(thread::unwritten) {
        if unwritten.ephemeral {
            return Err(ThreadError::Ephemeral { id, what: "it cannot be searched" }.to_wire());
        }
        return Ok(ThreadSearchOccurrencesResponse { data: Vec::new(), next_cursor: None });
    }
    let limit = params
        .limit
        .map_or(policy::OCCURRENCES_DEFAULT, |asked| usize::try_from(asked).unwrap_or(usize::MAX));
    let limit = limit.clamp(1, policy::OCCURRENCES_MOST);
    let wanted = WantedHits { thread: id, term, cursor: params.cursor, limit, until: until(services) };
    let Hits { hits, next } = match services.search.occurrences(services, wanted).await {
        Ok(hits) => hits,
        Err(SearchError::Read(error)) => return Err(ThreadError::unreadable(error, id).to_wire()),
        Err(error @ (SearchError::Term(_) | SearchError::Index(_) | SearchError::BadCursor)) => {
            return Err(error.to_wire().thread(id));
        }
    };
    Ok(ThreadSearchOccurrencesResponse { data: hits, next_cursor: next })
}

fn term(text: &str) -> Result<SearchTerm, WireError> {
    SearchTerm::new(text).map_err(|error| SearchError::from(error).to_wire())
}

fn until(services: &App) -> Instant {
    services.clock.now() + services.config().search.page_time
}

/// The list to search.
fn as_list(params: ThreadSearchParams) -> ThreadListParams {
    let sort_key = params.sort_key.map(|key| match key {
        ThreadSearchSortKey::CreatedAt => ThreadSortKey::CreatedAt,
        ThreadSearchSortKey::UpdatedAt => ThreadSortKey::UpdatedAt,
        ThreadSearchSortKey::RecencyAt => ThreadSortKey::RecencyAt,
    });
    ThreadListParams {
        archived: params.archived,
        current_account_only: params.current_account_only,
        include_attached_threads: params.include_attached_threads,
        sort_direction: params.sort_direction,
        sort_key,
        source_kinds: params.source_kinds,
        ..ThreadListParams::default()
    }
}
