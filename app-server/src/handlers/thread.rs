//! Threads: start, resume, unsubscribe, name, unload, read.

use std::sync::Arc;

use skein_config::{Overrides, helpers_from_thread_config};
use skein_helpers::{HelperSet, HelperSpec};
use skein_protocol::access::Access;
use skein_protocol::error::WireError;
use skein_protocol::extension::{
    SkeinThreadUnloadParams, SkeinThreadUnloadResponse, ThreadMoment, ThreadOwner, ThreadPicture,
};
use skein_protocol::ids::ThreadId;
use skein_protocol::settings::DynamicToolSpec;
use skein_protocol::thread::{
    Thread, ThreadReadParams, ThreadReadResponse, ThreadResumeParams, ThreadResumeResponse,
    ThreadSetNameParams, ThreadSetNameResponse, ThreadStartParams, ThreadStartResponse, ThreadStatus,
    ThreadUnsubscribeParams, ThreadUnsubscribeResponse, ThreadUnsubscribeStatus,
};
use skein_store::history::{History, RestartTurns, WaitingQuestion};
use skein_store::rollout::ReadError;
use skein_turn::own_tools;
use tokio::sync::mpsc;

use super::words::{self, LimitedText};
use super::{list, pages};
use crate::app::App;
use crate::outbox::reply::Reply;
use crate::policy;
use crate::router::session::ClientSession;
use crate::thread::command::{Command, Edit, Resume, Start, Unload};
use crate::thread::error::ThreadError;
use crate::thread::event::{Force, Materialised};
use crate::thread::machine::{Persistence, Phase};
use crate::thread::snapshot::Snapshot;
use crate::thread::subscribers::{Left, NoTicket, Role, Ticket};
use crate::thread::{budget, directory, dispatch, views};

/// `thread/start`
pub(super) fn start(
    session: &Arc<ClientSession>,
    params: ThreadStartParams,
    reply: Reply<ThreadStartResponse>,
) {
    let services = &session.app;
    let helpers = match wanted(services, &params) {
        Ok(helpers) => helpers,
        Err(error) => return reply.err(&error),
    };
    let named = params.skein.as_ref().and_then(|skein| skein.thread_id);
    let id = named.unwrap_or_else(|| ThreadId::new(services.clock.new_id()));
    let ticket = match ticket(session, id) {
        Ok(ticket) => ticket,
        Err(error) => return reply.err(&error),
    };
    let originator = session.client().map(|client| client.name.clone()).unwrap_or_default();
    let required = required_helpers(services, &helpers);
    let start = Start { params, helpers, required: None, surroundings: None, ticket, originator, reply };
    let looks = services.config().docs(&start.helpers.context).most > 0;
    if named.is_none() && required.is_empty() && !looks {
        return dispatch::deliver(&services.context, id, Command::Start(Box::new(start)));
    }
    let (services, ended) = (Arc::clone(services), session.ended.clone());
    let tasks = services.tasks.clone();
    tasks.spawn(format!("start/{id}"), async move {
        let mut start = start;
        let allowed = async {
            if named.is_some() {
                is_nowhere(&services, id).await?;
            }
            // The answer names the files that models read there.
            let cwd = directory::named(start.params.cwd.as_deref());
            start.surroundings = services.look_around(&cwd, &start.helpers.context).await;
            start.required = require(&services, id, &start, required).await?;
            Ok::<_, WireError>(())
        };
        match ended.run_until_cancelled(allowed).await {
            Some(Ok(())) => dispatch::deliver(&services.context, id, Command::Start(Box::new(start))),
            Some(Err(refusal)) => Command::Start(Box::new(start)).refuse(&services, &refusal),
            // The connection is closed.
            None => services.subscribers.end_resume(start.ticket),
        }
    });
}

/// The settings of a new thread, if valid together with the client's tools.
fn wanted(services: &App, params: &ThreadStartParams) -> Result<Overrides, WireError> {
    let words = [
        ("cwd", params.cwd.as_deref()),
        ("model", params.model.as_deref()),
        ("threadSource", params.thread_source.as_deref()),
    ];
    let own = overrides(services, params.config.as_ref(), params.model_provider.as_ref(), &words)?;
    check_tools(params.dynamic_tools.as_deref().unwrap_or_default())?;
    Ok(own)
}

/// Whether a thread of an earlier server exists nowhere, so that it can start again.
async fn is_nowhere(services: &App, id: ThreadId) -> Result<(), WireError> {
    let exists = services.registry.handle(id).is_some();
    match services.store.exists(id).await {
        Ok(on_disk) if exists || on_disk => Err(ThreadError::Exists { id }.to_wire()),
        Ok(_) => Ok(()),
        Err(error) => Err(ThreadError::unreadable(error, id).to_wire()),
    }
}

/// The helpers that a thread with these settings requires.
fn required_helpers(services: &App, own: &Overrides) -> Vec<HelperSpec> {
    let helpers = own.over(&services.config().helpers).unwrap_or_default();
    helpers.into_values().filter(|spec| spec.required && spec.enabled).collect()
}

/// Starts these helpers for the new thread, and waits for them. The thread's owner takes them over.
async fn require(
    services: &Arc<App>,
    id: ThreadId,
    start: &Start,
    required: Vec<HelperSpec>,
) -> Result<Option<HelperSet>, WireError> {
    if required.is_empty() {
        return Ok(None);
    }
    let cwd = views::new_settings(&start.params, &start.helpers, &services.config()).cwd;
    let (events, _nobody_hears) = mpsc::channel(skein_helpers::policy::HELPER_EVENTS);
    let set = services.helpers.of_thread(id, required, cwd.into(), events);
    let there = tokio::select! {
        biased;
        () = services.helpers.closing() => Err(ThreadError::Stopping { id }.to_wire()),
        there = set.tools() => there.map_err(|error| error.to_wire()).map(|_tools| ()),
    };
    there?;
    Ok(Some(set))
}

/// `thread/resume`
pub(crate) fn resume(
    session: &Arc<ClientSession>,
    params: ThreadResumeParams,
    reply: Reply<ThreadResumeResponse>,
) {
    let services = &session.app;
    let id = params.thread_id;
    if let Some(path) = unsupported(&params) {
        let text = format!("{path} is not supported: a thread is resumed by its id, from its own rollout");
        return reply.err(&WireError::invalid_params("unsupported", text).path(path).thread(id));
    }
    let words = [("cwd", params.cwd.as_deref()), ("model", params.model.as_deref())];
    let helpers = match overrides(services, params.config.as_ref(), params.model_provider.as_ref(), &words) {
        Ok(helpers) => helpers,
        Err(error) => return reply.err(&error.thread(id)),
    };
    if services.subscribers.catching_up(session.id()) >= policy::CATCH_UPS {
        services.counters.overloaded.add_one();
        return reply.err(&ThreadError::TooManyCatchUps { id, most: policy::CATCH_UPS }.to_wire());
    }
    let ticket = match ticket(session, id) {
        Ok(ticket) => ticket,
        Err(error) => return reply.err(&error),
    };
    // A connection that may only read keeps nothing loaded, and is asked nothing.
    let observes =
        session.access() < Access::Chat || params.skein.as_ref().is_some_and(|skein| skein.observe);
    let role = if observes { Role::Observer } else { Role::Subscriber };
    let resume = Resume { params, helpers, role, ticket, reply };
    dispatch::deliver(&services.context, id, Command::Resume(Box::new(resume)));
}

/// A place for this connection among those of the thread, which its request waits for.
///
/// # Errors
/// The connection has as many threads as it may have, or has ended.
pub(super) fn ticket(session: &ClientSession, id: ThreadId) -> Result<Ticket, WireError> {
    let services = &session.app;
    let most = services.config().limits.subscriptions;
    services.subscribers.begin_resume(session.id(), id, most).map_err(|none| match none {
        NoTicket::Full => ThreadError::TooManySubscriptions { id, most }.to_wire(),
        NoTicket::Gone => WireError::internal("dropped", "the connection has ended"),
    })
}

/// The first member that asks for a foreign history.
fn unsupported(params: &ThreadResumeParams) -> Option<&'static str> {
    if params.history.is_some() {
        return Some("history");
    }
    params.path.as_ref().map(|_| "path")
}

/// `thread/unsubscribe`
pub(crate) fn unsubscribe(
    session: &Arc<ClientSession>,
    params: ThreadUnsubscribeParams,
) -> Result<ThreadUnsubscribeResponse, WireError> {
    let services = &session.app;
    let id = params.thread_id;
    let status = match services.subscribers.leave(session.id(), id) {
        Left::Subscription | Left::WaitingResume => {
            services.registry.wake(id);
            ThreadUnsubscribeStatus::Unsubscribed
        }
        Left::Nothing if services.registry.handle(id).is_some() => ThreadUnsubscribeStatus::NotSubscribed,
        Left::Nothing => ThreadUnsubscribeStatus::NotLoaded,
    };
    Ok(ThreadUnsubscribeResponse { status })
}

/// `thread/name/set`
pub(crate) fn set_name(
    session: &Arc<ClientSession>,
    params: ThreadSetNameParams,
    reply: Reply<ThreadSetNameResponse>,
) {
    let name = params.name.trim().to_owned();
    if name.is_empty() {
        let error = WireError::invalid_params("emptyName", "thread name must not be empty");
        return reply.err(&error.path("name").thread(params.thread_id));
    }
    if let Err(error) = words::check(&[("name", Some(&name))]) {
        return reply.err(&error.thread(params.thread_id));
    }
    let command = Command::Edit(Edit::Name(name, reply));
    dispatch::deliver(&session.app.context, params.thread_id, command);
}

/// `skein/thread/unload`
pub(crate) fn unload(
    session: &Arc<ClientSession>,
    params: SkeinThreadUnloadParams,
    reply: Reply<SkeinThreadUnloadResponse>,
) {
    let force = if params.force { Force::Yes } else { Force::No };
    dispatch::deliver(&session.app.context, params.thread_id, Command::Unload(Unload { force, reply }));
}

/// `thread/read`: from the rollout, with the owner's work in progress added.
pub(super) async fn read(
    session: Arc<ClientSession>,
    params: ThreadReadParams,
) -> Result<ThreadReadResponse, WireError> {
    let services = &session.app;
    let ThreadReadParams { include_turns, thread_id: id } = params;
    // Before the file, so that turns that end meanwhile count as ended.
    let seen = services.registry.handle(id).map(|handle| handle.snapshot());
    if let Some(seen) = &seen
        && let Some(thread) = unwritten(seen)
    {
        if include_turns && thread.ephemeral {
            let what = "its turns cannot be read; omit includeTurns";
            return Err(ThreadError::Ephemeral { id, what }.to_wire());
        }
        let picture = ThreadPicture { seq: seen.seq, epoch: seen.epoch };
        let skein = Some(ThreadMoment { owner: owner_of(services, seen), ..picture.with(Vec::new()) });
        return Ok(ThreadReadResponse { read_state: None, thread, skein });
    }
    let failed = |error: ReadError| ThreadError::unreadable(error, id).to_wire();
    let history = History::read_shown(services.store.as_ref(), id, 0).await.map_err(failed)?;
    let waiting = history.row().waiting;
    let status = status_of(seen.as_ref(), &waiting, services.config().restart.turns);
    let mut thread = history.thread(status, &services.paths());
    thread.can_accept_direct_input = accepts_input(seen.as_ref());
    thread.skein = list::waiting(services, &waiting);
    if include_turns {
        let most = services.config().limits.answer_bytes;
        thread.turns = pages::all_turns(services, &history, seen.as_ref(), most)
            .await
            .map_err(failed)?
            .ok_or_else(|| ThreadError::HistoryTooLarge { id, most }.to_wire())?;
    }
    let owner = seen.as_ref().and_then(|seen| owner_of(services, seen));
    let skein = Some(ThreadMoment { owner, ..budget::end_of(services, &history) });
    Ok(ThreadReadResponse { read_state: Some(history.read_position().state()), thread, skein })
}

/// This server, while it has the thread loaded and is one of several.
fn owner_of(services: &App, seen: &Snapshot) -> Option<ThreadOwner> {
    services.owner(seen.term?)
}

/// A thread that exists only in memory.
pub(super) fn unwritten(seen: &Snapshot) -> Option<Thread> {
    match (seen.persistence, seen.materialised) {
        (Persistence::Durable, Materialised::Yes) => None,
        (Persistence::Ephemeral, _) | (Persistence::Durable, Materialised::No) => {
            let mut thread: Thread = seen.thread.clone()?;
            thread.status = seen.status.clone();
            thread.ephemeral = seen.persistence == Persistence::Ephemeral;
            Some(thread)
        }
    }
}

/// The history, read after an owner, if any, published `seen`. A turn without an owner is shown as the next load will
/// close it.
pub(super) fn as_run(services: &App, history: History, seen: Option<&Snapshot>) -> History {
    let now = services.registry.handle(history.id()).map(|handle| handle.snapshot());
    let open = history.open_turn().map(|turn| &turn.id);
    let runs = |seen: &Snapshot| match seen.phase {
        // Turns open at its load were closed then, and never ran.
        Phase::Idle | Phase::Running | Phase::Unloading => open.is_none() || seen.cut_off.as_ref() != open,
        Phase::Loading | Phase::Gone => false,
    };
    // An owner may have appeared meanwhile, with a turn that was read.
    if [seen, now.as_ref()].into_iter().flatten().any(runs) {
        history
    } else {
        history.into_closed(services.config().restart.turns)
    }
}

/// The status of a thread by its owner's snapshot, or by the questions in its records.
pub(super) fn status_of(
    seen: Option<&Snapshot>,
    waiting: &[WaitingQuestion],
    rule: RestartTurns,
) -> ThreadStatus {
    match seen {
        Some(seen) if seen.phase != Phase::Gone && seen.status != ThreadStatus::NotLoaded => {
            seen.status.clone()
        }
        Some(_) | None => views::unloaded_status(waiting, rule),
    }
}

/// `canAcceptDirectInput`. A thread that is being loaded does not accept input yet.
fn accepts_input(seen: Option<&Snapshot>) -> Option<bool> {
    let seen = seen.filter(|seen| seen.phase != Phase::Gone);
    seen.and_then(|seen| (seen.status != ThreadStatus::NotLoaded).then_some(true))
}

/// The settings in the `config` member of a request, if all of it is valid.
pub(super) fn overrides(
    services: &App,
    config: Option<&serde_json::Map<String, serde_json::Value>>,
    model_provider: Option<&String>,
    words: &[LimitedText],
) -> Result<Overrides, WireError> {
    words::check(words)?;
    let overrides = match config {
        Some(config) => helpers_from_thread_config(config).map_err(|wrong| wrong.to_wire())?,
        None => Overrides::default(),
    };
    overrides.over(&services.config().helpers).map_err(|wrong| wrong.to_wire())?;
    check_provider(services, model_provider.or(overrides.model_provider.as_ref()))?;
    Ok(overrides)
}

/// Checks the client's tools.
fn check_tools(tools: &[DynamicToolSpec]) -> Result<(), WireError> {
    own_tools::check(tools).map_err(|wrong| WireError::invalid_params("badTools", wrong).path("dynamicTools"))
}

/// Checks the provider that a request names.
pub(super) fn check_provider(services: &App, asked: Option<&String>) -> Result<(), WireError> {
    match asked {
        Some(name) if services.providers.get(name).is_none() => {
            let known = services.providers.names().join(", ");
            Err(ThreadError::NoProvider { name: name.clone(), known }.to_wire())
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use skein_base::clock::WallMs;
    use skein_protocol::thread::ThreadActiveFlag;
    use skein_store::rollout::record::QuestionKind;

    use super::*;

    #[test]
    fn only_a_loaded_thread_accepts_input() {
        let loading = Snapshot::loading(Persistence::Durable);
        let idle = Snapshot { phase: Phase::Idle, status: ThreadStatus::Idle, ..loading.clone() };
        for (seen, accepts) in [(None, None), (Some(&loading), None), (Some(&idle), Some(true))] {
            assert_eq!(accepts_input(seen), accepts);
        }
    }

    #[test]
    fn a_thread_that_waits_for_an_answer_is_active_whether_it_is_loaded_or_not() {
        let waiting = [WaitingQuestion { id: 7, kind: QuestionKind::Approval, asked: WallMs(1) }];
        let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnApproval] };
        let loading = Snapshot::loading(Persistence::Durable);
        let gone = Snapshot { phase: Phase::Gone, ..loading.clone() };
        for (seen, waiting, rule, status) in [
            (None, &waiting[..], RestartTurns::Asked, waits.clone()),
            (Some(&loading), &waiting[..], RestartTurns::Asked, waits.clone()),
            (Some(&gone), &waiting[..], RestartTurns::All, waits),
            (None, &waiting[..], RestartTurns::None, ThreadStatus::NotLoaded),
            (None, &[], RestartTurns::Asked, ThreadStatus::NotLoaded),
            (Some(&loading), &[], RestartTurns::Asked, ThreadStatus::NotLoaded),
        ] {
            assert_eq!(status_of(seen, waiting, rule), status);
        }
    }
}
