//! Connections: handshake, leave, and the fence for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use serde_json::value::RawValue;
use skein_protocol::access::Access;
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::extension::{
    EVENTS_EXTENSION, EVENTS_VERSION, EventsExtension, ServerExtensions, SkeinConnectionLeaveParams,
    SkeinConnectionLeaveResponse, SkeinQuiesceParams, SkeinQuiesceResponse,
};
use skein_protocol::methods::SkeinConnectionLeave;
use skein_protocol::server::{InitializeParams, InitializeResponse};
use skein_protocol::table::Method;
use tokio::sync::oneshot;

use super::words;
use crate::links::client::ClientLink;
use crate::outbox::reply::Reply;
use crate::router::session::ClientSession;
use crate::thread::command::{Command, Unload};
use crate::thread::event::Force;
use crate::thread::machine::Phase;
use crate::thread::registry::ThreadHandle;
use crate::thread::subscribers::{ClientWishes, Left, Role};
use crate::{policy, reload};

/// `initialize`
pub(crate) fn initialize(
    session: &Arc<ClientSession>,
    params: InitializeParams,
) -> Result<InitializeResponse, WireError> {
    let client_info = &params.client_info;
    words::check(&[
        ("clientInfo.name", Some(&client_info.name)),
        ("clientInfo.title", client_info.title.as_deref()),
        ("clientInfo.version", Some(&client_info.version)),
    ])?;
    let user_agent = format!(
        "skein/{} ({}; {}) {}/{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        client_info.name,
        client_info.version,
    );
    let wishes = ClientWishes::of(&params);
    let numbered = wishes.numbered;
    if session.is_initialised() || !session.introduce(params) {
        return Err(already_initialised());
    }
    let services = &session.app;
    services.subscribers.initialise(session.id(), wishes);
    let mut extensions = BTreeMap::new();
    if numbered {
        session.wants_heartbeat.notify_one();
        extensions.insert(EVENTS_EXTENSION.to_owned(), events_extension(session.heartbeat.heartbeat));
    }
    Ok(InitializeResponse {
        codex_home: services.config().home.display().to_string(),
        platform_family: std::env::consts::FAMILY.to_owned(),
        platform_os: std::env::consts::OS.to_owned(),
        user_agent,
        skein: Some(ServerExtensions { version: env!("CARGO_PKG_VERSION").to_owned(), extensions }),
    })
}

/// The error for a second `initialize`.
fn already_initialised() -> WireError {
    WireError::invalid_request("alreadyInitialized", "Already initialized")
        .hint("open another connection to begin anew")
}

/// The answer about the events extension.
fn events_extension(heartbeat: Duration) -> Value {
    let heartbeat_ms = u64::try_from(heartbeat.as_millis()).unwrap_or(u64::MAX);
    serde_json::to_value(EventsExtension { version: EVENTS_VERSION, heartbeat_ms }).unwrap_or_default()
}

/// `initialized`: the client is ready, so it receives the warnings about the settings.
pub(crate) fn initialized(session: &Arc<ClientSession>) {
    if !session.is_initialised() {
        return;
    }
    let services = &session.app;
    services.repair.notify_newcomer(services, session.id());
    for warning in &services.config().warnings {
        let broadcast = reload::config_warning(services, warning.to_string());
        services.subscribers.publish_to(session.id(), &broadcast);
    }
}

/// `skein/connection/leave`
pub(crate) fn leave(
    session: &Arc<ClientSession>,
    _params: SkeinConnectionLeaveParams,
    reply: Reply<SkeinConnectionLeaveResponse>,
) {
    let services = Arc::clone(&session.app);
    let reads_only = session.access() < Access::Chat;
    // First, so that no thread comes back here meanwhile.
    let links = session.leave_others();
    let mut alone = Vec::new();
    for thread in services.subscribers.threads_of(session.id()) {
        let watched = reads_only || services.subscribers.role(session.id(), thread) == Some(Role::Observer);
        let left = services.subscribers.leave(session.id(), thread);
        if left == Left::Nothing {
            continue;
        }
        if !watched && services.subscribers.counts(thread).subscribers == 0 {
            alone.extend(services.registry.handle(thread));
        }
        services.registry.wake(thread);
    }
    let tasks = services.tasks.clone();
    tasks.spawn("leave", async move {
        let left = u64::try_from(alone.len()).unwrap_or(u64::MAX);
        let end = services.clock.now() + policy::LEAVE_LIMIT;
        let ends = alone.into_iter().map(|handle| tokio::time::timeout_at(end, end_of(handle)));
        let (loaded, others) = tokio::join!(join_all(ends), join_all(links.iter().map(leave_other)));
        let loaded = u64::try_from(loaded.into_iter().filter(Result::is_err).count()).unwrap_or(u64::MAX);
        let sum = |sum: SkeinConnectionLeaveResponse, other: SkeinConnectionLeaveResponse| {
            SkeinConnectionLeaveResponse { left: sum.left + other.left, loaded: sum.loaded + other.loaded }
        };
        let own = SkeinConnectionLeaveResponse { left, loaded };
        reply.ok(&others.into_iter().flatten().fold(own, sum));
    });
}

/// Leaves the threads that another server has. `None` if the link to it breaks.
async fn leave_other(link: &ClientLink) -> Option<SkeinConnectionLeaveResponse> {
    let answer = link.ask(SkeinConnectionLeave::INFO.wire, RawValue::NULL, 2 * policy::LEAVE_LIMIT).await?;
    envelope::result(&answer.ok()?).ok()
}

/// Unloads a thread whose only client left for good, and waits for its end. The command is queued after the client's
/// own ones, which may not have started, and refused if another client has subscribed.
async fn end_of(handle: ThreadHandle) {
    let mut seen = handle.watch();
    let unload = Unload { force: Force::IfDeserted, reply: Reply::to_nobody() };
    // A terminated owner drops its ends of both channels.
    handle.mailbox().send(Command::Unload(unload)).await.ok();
    seen.wait_for(|seen| seen.phase == Phase::Gone).await.ok();
}

/// `skein/quiesce`: asks all owners, and waits in a task of its own.
pub(crate) fn quiesce(
    session: &Arc<ClientSession>,
    params: SkeinQuiesceParams,
    reply: Reply<SkeinQuiesceResponse>,
) {
    let services = Arc::clone(&session.app);
    if !services.config().test_fences {
        let text = "fences are for tests: start the server with --test-fences";
        return reply.err(&WireError::invalid_request("noFences", text));
    }
    if let Some(owner) = params.break_off.and_then(|thread| services.registry.handle(thread)) {
        owner.plant_fault();
    }
    let tasks = services.tasks.clone();
    tasks.spawn("quiesce", async move {
        let mut fences = Vec::new();
        for handle in services.registry.handles() {
            let (done, passed) = oneshot::channel();
            // A terminated owner has handled everything.
            if handle.mailbox().send(Command::Fence(done)).await.is_ok() {
                fences.push(passed);
            }
        }
        for fence in fences {
            fence.await.ok();
        }
        reply.ok(&SkeinQuiesceResponse {});
    });
}
