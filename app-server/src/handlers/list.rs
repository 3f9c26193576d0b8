//! Lists of threads, in memory and on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skein_base::tasks::BlockingPool;
use skein_protocol::error::WireError;
use skein_protocol::extension::{
    IndexingDetails, ListDetails, LoadedDetails, LoadedState, LoadedThread, SkeinCatalogResumeParams,
    SkeinCatalogResumeResponse, ThreadDetails,
};
use skein_protocol::ids::ThreadId;
use skein_protocol::question::{QuestionKind, WaitingDetails};
use skein_protocol::thread::{
    SortDirection, Thread, ThreadListCwdFilter, ThreadListParams, ThreadListResponse, ThreadLoadedListParams,
    ThreadLoadedListResponse, ThreadSortKey, ThreadStatus,
};
use skein_store::history::{ThreadRow, WaitingQuestion};
use skein_store::index::{self, Cursor, IndexError, SortKey, Span, ThreadFilter};
use tokio::time::timeout;

use super::paging;
use super::thread::status_of;
use crate::app::App;
use crate::links::loaded::RemoteThread;
use crate::outbox::reply::Reply;
use crate::policy;
use crate::router::session::ClientSession;
use crate::thread::directory;
use crate::thread::event::Materialised;
use crate::thread::machine::{Persistence, Phase};
use crate::thread::registry::ThreadHandle;

/// `thread/loaded/list`: from memory, whatever owners and helpers are doing.
pub(crate) fn loaded(
    session: &Arc<ClientSession>,
    params: ThreadLoadedListParams,
) -> Result<ThreadLoadedListResponse, WireError> {
    let services = &session.app;
    let after: Option<ThreadId> =
        params.cursor.as_deref().map(str::parse).transpose().map_err(|_| paging::bad_cursor())?;
    let own = services.registry.handles();
    let mut threads: Vec<LoadedThread> = own.iter().filter_map(|handle| details(services, handle)).collect();
    threads.extend(loaded_by_others(services));
    threads.retain(|thread| after.is_none_or(|after| thread.thread_id > after));
    threads.sort_by_key(|thread| thread.thread_id);
    let id = |thread: &LoadedThread| thread.thread_id.to_string();
    let (threads, next_cursor) = paging::page(threads, params.limit, id);
    let data = threads.iter().map(|thread| thread.thread_id).collect();
    Ok(ThreadLoadedListResponse { data, next_cursor, skein: Some(LoadedDetails { threads }) })
}

fn details(services: &App, handle: &ThreadHandle) -> Option<LoadedThread> {
    let counts = services.subscribers.counts(handle.id());
    handle.seen(|seen| {
        let state = match seen.phase {
            Phase::Loading => LoadedState::Loading,
            Phase::Idle => LoadedState::Idle,
            Phase::Running => LoadedState::Running,
            Phase::Unloading => LoadedState::Unloading,
            Phase::Gone => return None,
        };
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Some(LoadedThread {
            thread_id: handle.id(),
            state,
            status: seen.status.clone(),
            subscribers: number(counts.subscribers),
            observers: number(counts.observers),
            helpers: seen.helpers.as_ref().map_or(0, |set| number(set.alive())),
            ephemeral: seen.persistence == Persistence::Ephemeral,
            materialised: seen.materialised == Materialised::Yes,
            server: None,
        })
    })
}

/// The threads that other servers of the cluster have loaded.
fn loaded_by_others(services: &App) -> Vec<LoadedThread> {
    let Some(links) = &services.links else { return Vec::new() };
    let threads = links.loaded.all().into_iter().filter(|it| services.registry.handle(it.id).is_none());
    let shown = |RemoteThread { id, server, status, is_saved }: RemoteThread| LoadedThread {
        thread_id: id,
        state: match &status {
            ThreadStatus::Active { .. } => LoadedState::Running,
            ThreadStatus::NotLoaded | ThreadStatus::Idle | ThreadStatus::SystemError => LoadedState::Idle,
        },
        status,
        subscribers: 0,
        observers: 0,
        helpers: 0,
        ephemeral: false,
        materialised: is_saved,
        server: Some(server.to_string()),
    };
    threads.map(shown).collect()
}

/// `thread/list`: from the index.
pub(crate) async fn list(
    session: Arc<ClientSession>,
    params: ThreadListParams,
) -> Result<ThreadListResponse, WireError> {
    let services = &session.app;
    let cursor = cursor(params.cursor.as_deref())?;
    if asks_for_what_is_not_there(&params) {
        return Ok(empty(services));
    }
    let limit = index::page_size(params.limit);
    // Before the index: changes with a higher number may be missing from the page.
    let place = services.subscribers.catalog_place();
    let filter = filter(services, params).await.map_err(|error| error.to_wire())?;
    let page = services.index.list(filter, cursor, limit).await.map_err(|error| error.to_wire())?;
    let data = page.rows.iter().map(|row| shown(services, row));
    let read_states = page.rows.iter().map(|row| (row.id.to_string(), row.read_state())).collect();
    Ok(ThreadListResponse {
        data: data.collect(),
        backwards_cursor: page.back.map(|cursor| cursor.to_string()),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
        read_states: Some(read_states),
        skein: Some(ListDetails {
            indexing: page
                .indexing
                .map(|indexing| IndexingDetails { done: indexing.done, total: indexing.total }),
            place,
            needs_you: services.index.needs_you(),
        }),
    })
}

/// Parses a cursor.
pub(super) fn cursor(text: Option<&str>) -> Result<Option<Cursor>, WireError> {
    let cursor = text.map(str::parse::<Cursor>).transpose();
    cursor.map_err(|bad| IndexError::from(bad).to_wire())
}

/// A thread as lists show it.
pub(super) fn shown(services: &App, row: &ThreadRow) -> Thread {
    let seen = services.registry.handle(row.id).map(|handle| handle.snapshot());
    let status = match services.links.as_ref().and_then(|links| links.loaded.status(row.id)) {
        Some(status) if seen.is_none() => status,
        Some(_) | None => status_of(seen.as_ref(), &row.waiting, services.config().restart.turns),
    };
    let mut thread = row.thread(status, &services.paths());
    thread.skein = waiting(services, &row.waiting);
    // The index may be late; an owner is not.
    if let Some(loaded) = seen.and_then(|seen| seen.thread) {
        thread.name = loaded.name;
    }
    thread
}

/// The questions that wait in a thread; `None` if there are none.
pub(super) fn waiting(services: &App, open: &[WaitingQuestion]) -> Option<ThreadDetails> {
    let policy = services.config().questions;
    let mut kinds: Vec<QuestionKind> = Vec::new();
    for WaitingQuestion { kind, .. } in open {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    let expires = |question: &WaitingQuestion| policy.expires_at(question.kind, question.asked.0);
    let waiting = WaitingDetails {
        questions: u64::try_from(open.len()).unwrap_or(u64::MAX),
        kinds,
        oldest_at: open.iter().map(|question| question.asked.0).min()?,
        expires_at: open.iter().filter_map(expires).min(),
    };
    Some(ThreadDetails { waiting })
}

/// `skein/catalog/resume`: from memory.
pub(crate) fn catalog(
    session: &Arc<ClientSession>,
    params: SkeinCatalogResumeParams,
    reply: Reply<SkeinCatalogResumeResponse>,
) {
    session.app.subscribers.catalog_since(&params, |answer| {
        reply.ok(&SkeinCatalogResumeResponse { needs_you: session.app.index.needs_you(), ..answer });
    });
}

/// Threads of Skein have no parents, attachments, projects or sections, so that such a filter matches none.
fn asks_for_what_is_not_there(params: &ThreadListParams) -> bool {
    params.ancestor_thread_id.is_some()
        || params.parent_thread_id.is_some()
        || params.attached_to_thread_id.is_some()
        || params.project_id.is_some()
        || params.section_id.is_some()
}

fn empty(services: &App) -> ThreadListResponse {
    let (place, needs_you) = (services.subscribers.catalog_place(), services.index.needs_you());
    ThreadListResponse {
        data: Vec::new(),
        backwards_cursor: None,
        next_cursor: None,
        read_states: Some(BTreeMap::new()),
        skein: Some(ListDetails { indexing: None, place, needs_you }),
    }
}

/// The filter and the order of a list.
pub(super) async fn filter(services: &App, params: ThreadListParams) -> Result<ThreadFilter, IndexError> {
    let times = params.skein.unwrap_or_default();
    let cwds = match params.cwd {
        None => Vec::new(),
        Some(ThreadListCwdFilter::One(cwd)) => vec![cwd],
        Some(ThreadListCwdFilter::Several(cwds)) => cwds,
    };
    Ok(ThreadFilter {
        archived: params.archived.unwrap_or(false),
        cwds: spellings(services, cwds).await?,
        model_providers: params.model_providers.unwrap_or_default(),
        originators: params.originators.unwrap_or_default(),
        source_kinds: params.source_kinds.unwrap_or_default(),
        created: Span::of_seconds(times.created_since, times.created_before),
        updated: Span::of_seconds(times.updated_since, times.updated_before),
        search: params.search_term.filter(|term| !term.is_empty()),
        excluded: params.excluded_thread_ids.unwrap_or_default().into_iter().collect(),
        sort: match params.sort_key {
            Some(ThreadSortKey::CreatedAt) | None => SortKey::Created,
            Some(ThreadSortKey::UpdatedAt | ThreadSortKey::RecencyAt | ThreadSortKey::SectionPosition) => {
                SortKey::Updated
            }
        },
        direction: params.sort_direction.unwrap_or(SortDirection::Desc),
    })
}

/// The folders in the spelling of the threads' rows. If the disk does not answer in time, only equal spellings count.
async fn spellings(services: &App, asked: Vec<String>) -> Result<Vec<String>, IndexError> {
    if asked.is_empty() {
        return Ok(asked);
    }
    let asked: Vec<String> = asked.iter().map(|cwd| directory::named(Some(cwd))).collect();
    let known = match services.index.directories(policy::DIRECTORIES).await {
        Err(away @ IndexError::Away(_)) => return Err(away),
        known @ (Ok(_) | Err(_)) => known.unwrap_or_default(),
    };
    let folders = asked.clone();
    let look = move || {
        let all = folders.iter().flat_map(|cwd| directory::same(cwd, known.iter().cloned()));
        all.collect::<BTreeSet<String>>()
    };
    let looked = services.tasks.blocking("look at directories", BlockingPool::Search, look);
    Ok(match timeout(policy::DIRECTORIES_LOOK, looked).await {
        Ok(Ok(same)) => same.into_iter().collect(),
        Ok(Err(_)) | Err(_) => asked,
    })
}
