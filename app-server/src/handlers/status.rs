//! `skein/status`: the server's state and counters, from memory. Tests read them instead of guessing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use skein_base::durations::DurationCounts;
use skein_config::access::RefusedOrigin;
use skein_protocol::access::Access;
use skein_protocol::error::WireError;
use skein_protocol::extension::{
    AdmissionCounts, ClusterCounts, HelperCounts, LeftoverCounts, MemoryCounts, OtherServer, PressureCounts,
    RefusalCounts, RefusedOriginEntry, ReloadCounts, ReplayCounts, SkeinStatusParams, SkeinStatusResponse,
    StoreCounts, ThreadCounts, TurnCounts, UnloadCounts, ZeroCounts,
};
use skein_protocol::server::{
    ServerDiagnosticsGauge, ServerDiagnosticsParams, ServerDiagnosticsProcess, ServerDiagnosticsResponse,
};
use skein_store::home;

use crate::app::App;
use crate::memory;
use crate::router::session::ClientSession;
use crate::thread::budget;
use crate::thread::machine::Phase;

/// `skein/status`
pub(crate) fn status(
    session: &Arc<ClientSession>,
    _params: SkeinStatusParams,
) -> Result<SkeinStatusResponse, WireError> {
    let mut status = numbers(&session.app);
    if session.access() >= Access::Admin {
        status.admission.admitted = session.app.admitted.entries();
    }
    Ok(status)
}

/// `server/diagnostics`: some of them, in the peer's form.
pub(crate) fn diagnostics(
    session: &Arc<ClientSession>,
    _params: ServerDiagnosticsParams,
) -> Result<ServerDiagnosticsResponse, WireError> {
    let now = numbers(&session.app);
    let gauges = [
        ("connections", now.connections),
        ("threads.loaded", now.threads.loaded),
        ("threads.running", now.threads.running),
        ("helpers.alive", now.helpers.alive),
        ("tasks", now.tasks),
        ("outboxBytes", now.outbox_bytes),
    ];
    let gauge = |(name, value): (&str, u64)| ServerDiagnosticsGauge { name: name.to_owned(), value };
    let process = ServerDiagnosticsProcess {
        id: now.pid,
        physical_footprint_bytes: None,
        resident_memory_bytes: Some(now.memory.resident_bytes).filter(|bytes| *bytes > 0),
    };
    Ok(ServerDiagnosticsResponse { gauges: gauges.into_iter().map(gauge).collect(), process })
}

/// The numbers for status and metrics. Waits for nothing.
pub(crate) fn numbers(services: &App) -> SkeinStatusResponse {
    let (connections, _) = services.subscribers.totals();
    let threads = threads(services);
    let uptime = services.clock.wall().0.saturating_sub(services.started.0);
    let outboxes = services.subscribers.outboxes();
    let counters = &services.counters;
    SkeinStatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        home: services.config().home.display().to_string(),
        home_is_default: is_default(&services.config().home),
        address: services.served_at.address(),
        control_socket: services.served_at.control_socket(),
        started_at_ms: services.started.0,
        boot_id: services.start_id.to_string(),
        uptime_ms: u64::try_from(uptime).unwrap_or_default(),
        connections: number(connections),
        turns: turns(services, &threads),
        threads,
        helpers: helpers(services),
        tasks: number(services.tasks.count()),
        outbox_bytes: outboxes.iter().map(|outbox| number(outbox.bytes())).sum(),
        store: store(services),
        cluster: cluster(services),
        index: services.index.counts(),
        needs_you: services.index.needs_you(),
        day_budget: budget::of_today(services),
        texts: services.search.texts().counts(),
        repair: services.repair.counts(),
        refusals: refusals(services),
        admission: admission(services),
        replay: replay(services),
        unloads: unloads(services),
        reloads: reloads(services),
        panics_total: services.tasks.panics(),
        pressure: PressureCounts {
            squeezed_total: counters.evicted.get(),
            unrelieved_total: counters.unrelieved.get(),
        },
        memory: MemoryCounts { resident_bytes: memory::resident() },
    }
}

fn cluster(services: &App) -> Option<ClusterCounts> {
    let counts = services.cluster.as_ref()?.counts(services.clock.now());
    let others = services.links.as_ref().map(|links| links.loaded.servers()).unwrap_or_default();
    let other =
        |(name, loaded): (Arc<str>, usize)| OtherServer { name: name.to_string(), loaded: number(loaded) };
    let others: Vec<OtherServer> = others.into_iter().map(other).collect();
    let (observed, links) = (number(others.len()), services.subscribers.links());
    Some(ClusterCounts { observed, others, links, ..counts })
}

/// Whether commands in any terminal of this user serve this home without `--home`.
fn is_default(home: &Path) -> bool {
    let variable = |name: &str| std::env::var_os(name).filter(|_| name != "SKEIN_HOME");
    home::default_home(&variable).is_ok_and(|default| default == home)
}

fn refusals(services: &App) -> RefusalCounts {
    let counters = &services.counters;
    RefusalCounts { overloaded: counters.overloaded.get(), slow_clients: counters.slow_clients.get() }
}

fn admission(services: &App) -> AdmissionCounts {
    let refusals = &services.refusals;
    let shown = |refused: RefusedOrigin| RefusedOriginEntry {
        origin: refused.origin.to_string(),
        at_ms: refused.at.0,
    };
    AdmissionCounts {
        origins_total: refusals.origins.get(),
        credentials_total: refusals.credentials.get(),
        helpers_total: refusals.helpers.get(),
        users_total: refusals.users.get(),
        last_origins: refusals.last_origins().into_iter().map(shown).collect(),
        // Names of others, which figures do not have.
        admitted: Vec::new(),
    }
}

fn replay(services: &App) -> ReplayCounts {
    ReplayCounts {
        events_total: services.counters.replayed_events.get(),
        gaps_total: services.counters.gaps.get(),
    }
}

fn turns(services: &App, threads: &ThreadCounts) -> TurnCounts {
    TurnCounts {
        running: threads.running,
        started_total: services.counters.turns_started.get(),
        completed_total: services.counters.turns.taken().count,
    }
}

fn threads(services: &App) -> ThreadCounts {
    let (_, counts) = services.subscribers.totals();
    let mut threads = ThreadCounts {
        subscriptions: number(counts.subscribers),
        observers: number(counts.observers),
        ..ThreadCounts::default()
    };
    for handle in services.registry.handles() {
        match handle.seen(|snapshot| snapshot.phase) {
            Phase::Loading => threads.loading += 1,
            Phase::Idle => threads.idle += 1,
            Phase::Running => threads.running += 1,
            Phase::Unloading => threads.unloading += 1,
            Phase::Gone => {}
        }
    }
    threads.loaded = threads.loading + threads.idle + threads.running + threads.unloading;
    threads
}

fn helpers(services: &App) -> HelperCounts {
    let (counts, idle) = (services.helpers.host().counts(), services.helpers.idle());
    let held = [("guard", counts.by_guard), ("cgroup", counts.by_cgroup), ("namespace", counts.by_namespace)];
    let containment: BTreeMap<String, u64> = held
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(by, count)| (by.to_owned(), number(count)))
        .collect();
    HelperCounts {
        alive: number(counts.alive),
        guards: number(counts.guards),
        starting: number(counts.starting),
        ready: number(counts.ready),
        stopping: number(counts.stopping),
        lingering: number(idle.lingering),
        quarantined: number(idle.quarantined),
        started_total: counts.started_total,
        stopped_total: counts.stopped_total,
        killed_total: counts.killed_total,
        containment,
        held: services.helpers.host().isolation(),
        zero: stops(services),
        leftovers: leftovers(services),
    }
}

fn leftovers(services: &App) -> LeftoverCounts {
    let leftovers = services.helpers.host().leftovers();
    LeftoverCounts {
        looked: leftovers.done,
        ended_total: number(leftovers.ended),
        left: number(leftovers.left),
    }
}

fn store(services: &App) -> StoreCounts {
    let counts = services.store.counts();
    let DurationCounts { last_ms, max_ms, .. } = services.store.sync_times();
    StoreCounts {
        appends_total: counts.appends,
        syncs_total: counts.syncs,
        sync_last_ms: last_ms,
        sync_max_ms: max_ms,
        errors_total: counts.errors,
        unsaved_records_total: services.counters.unsaved_records.get(),
        failing_since_ms: services.counters.disk_failures.since().map(|since| since.0),
        open_markers: counts.open_markers,
        loads_total: counts.loads,
        reads_total: counts.reads,
    }
}

fn stops(services: &App) -> ZeroCounts {
    let DurationCounts { count, last_ms, max_ms, .. } = services.helpers.host().stop_times().taken();
    ZeroCounts { total: count, last_ms, max_ms }
}

fn unloads(services: &App) -> UnloadCounts {
    let DurationCounts { count, last_ms, max_ms, .. } = services.counters.unloads.taken();
    UnloadCounts { total: count, last_ms, max_ms }
}

fn reloads(services: &App) -> ReloadCounts {
    let counters = &services.counters;
    let total = counters.reloads.get();
    let last_at_ms = (total > 0).then(|| counters.reload_last_at_ms.get());
    let unchanged_total = counters.reloads_unchanged.get();
    ReloadCounts { total, unchanged_total, refused_total: counters.reloads_refused.get(), last_at_ms }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
