//! `/metrics`: the numbers of `skein/status` and distributions of durations, in the text form of Prometheus. All
//! values are read on request from the same place as `skein/status`.

mod page;
#[cfg(test)]
mod tests;

use std::fmt;

use axum::http::{HeaderMap, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use skein_base::counters::RequestDurations;
use skein_base::durations::DurationCounts;
use skein_protocol::budget::BudgetState;
use skein_protocol::extension::{
    AdmissionCounts, ClusterCounts, ContainmentRung, DatabaseCounts, HelperCounts, IndexCounts, IndexState,
    NodeStanding, PressureCounts, RefusalCounts, ReloadCounts, RepairCounts, RepairState, ReplayCounts,
    SkeinStatusResponse, StoreCounts, TextsCounts, TextsState, ThreadCounts, TurnCounts,
};
use skein_protocol::question::NeedsYou;

use self::page::MetricsPage;
use crate::app::App;
use crate::handlers;

/// The content type for clients that accept it, as Prometheus does.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content type for all others: older readers find all samples in the same text, and read new parts as comments.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All values at one moment.
#[derive(Debug)]
pub(crate) struct Scrape {
    status: SkeinStatusResponse,
    unloads: DurationCounts,
    /// Durations of helper stops.
    zeros: DurationCounts,
    /// Durations of file syncs.
    syncs: DurationCounts,
    turns: DurationCounts,
    tool_calls: DurationCounts,
    /// Durations of requests, by the lane of their method.
    requests: [(&'static str, DurationCounts); 4],
}

impl Scrape {
    /// Reads the current values. Waits for nothing.
    pub(crate) fn of(services: &App) -> Self {
        Self {
            status: handlers::numbers(services),
            unloads: services.counters.unloads.taken(),
            zeros: services.helpers.host().stop_times().taken(),
            syncs: services.store.sync_times(),
            turns: services.counters.turns.taken(),
            tool_calls: services.helpers.host().call_times().taken(),
            requests: requests(&services.counters.requests),
        }
    }

    ///
    /// # Errors
    /// Never: a string takes everything.
    pub(crate) fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("skein");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn requests(durations: &RequestDurations) -> [(&'static str, DurationCounts); 4] {
    let RequestDurations { inline, store, thread, helper } = durations;
    let lanes = [("inline", inline), ("store", store), ("thread", thread), ("helper", helper)];
    lanes.map(|(lane, durations)| (lane, durations.taken()))
}

/// The content type for these headers.
pub(crate) fn kind(headers: &HeaderMap) -> &'static str {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accepted| accepted.to_str().ok());
    let open = accepted.into_iter().any(|accepted| accepted.contains("application/openmetrics-text"));
    if open { OPEN_METRICS } else { PLAIN }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = MetricsPage(encoder);
        self.server(&mut page)?;
        threads(&mut page, &self.status.threads)?;
        page.histogram("unload_seconds", "From the decision to unload a thread to its end", &self.unloads)?;
        helpers(&mut page, &self.status.helpers)?;
        let stop = "From the order to stop a helper until no process of it was left";
        page.histogram("helper_zero_seconds", stop, &self.zeros)?;
        turns(&mut page, &self.status.turns)?;
        page.histogram("turn_seconds", "From the beginning of a turn to its end", &self.turns)?;
        let call = "From the call of a helper's tool to its result or failure";
        page.histogram("tool_call_seconds", call, &self.tool_calls)?;
        let request = "From the arrival of a request to its answer, by the lane of its method";
        page.histograms("request_seconds", request, "lane", &self.requests)?;
        store(&mut page, &self.status.store)?;
        page.histogram(
            "store_sync_seconds",
            "What the disk took to sync a history, or the database to commit to it",
            &self.syncs,
        )?;
        cluster(&mut page, self.status.cluster.as_ref())?;
        index(&mut page, &self.status.index)?;
        texts(&mut page, &self.status.texts)?;
        repair(&mut page, &self.status.repair)?;
        needs_you(&mut page, &self.status.needs_you)?;
        day_budget(&mut page, self.status.day_budget.as_ref())?;
        clients(&mut page, &self.status)
    }
}

impl Scrape {
    fn server(&self, page: &mut MetricsPage<'_>) -> fmt::Result {
        let status = &self.status;
        page.info("build", "What runs", &[("version", &status.version)])?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit for 200,000 years")]
        let started = status.started_at_ms as f64 / 1e3;
        page.seconds("start_time_seconds", "When the server started, since 1970", started)?;
        page.gauge("resident_memory_bytes", "Resident memory of the server", status.memory.resident_bytes)?;
        page.gauge("tasks", "Tasks that run", status.tasks)?;
        page.counter("panics", "Faults that ended one request, turn or thread", status.panics_total)?;
        let ReloadCounts { total, unchanged_total, refused_total, last_at_ms: _ } = &status.reloads;
        page.counter("reloads", "Reloads of the settings that were taken", *total)?;
        page.counter("reloads_unchanged", "Reloads that found nothing changed", *unchanged_total)?;
        page.counter("reloads_refused", "Reloads of settings that were wrong", *refused_total)?;
        let PressureCounts { squeezed_total, unrelieved_total } = &status.pressure;
        page.counter("threads_squeezed", "Idle threads that had to make room", *squeezed_total)?;
        page.counter("threads_unrelieved", "Times when none was idle that could make room", *unrelieved_total)
    }
}

fn day_budget(page: &mut MetricsPage<'_>, day: Option<&BudgetState>) -> fmt::Result {
    let Some(BudgetState { limit, used, .. }) = day else { return Ok(()) };
    let number = |tokens: i64| u64::try_from(tokens).unwrap_or_default();
    page.gauge("budget_day_tokens", "The limit of tokens of a day (UTC)", number(*limit))?;
    page.gauge("budget_day_tokens_used", "Tokens that all threads have used today (UTC)", number(*used))
}

fn needs_you(page: &mut MetricsPage<'_>, needs_you: &NeedsYou) -> fmt::Result {
    let NeedsYou { threads, questions, oldest_at } = needs_you;
    page.gauge("questions_open", "Questions that wait for a user, in all threads of the home", *questions)?;
    page.gauge("questions_threads", "Threads with such a question", *threads)?;
    let Some(oldest) = oldest_at else { return Ok(()) };
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit for 200,000 years")]
    let oldest = *oldest as f64 / 1e3;
    page.seconds("questions_oldest_seconds", "When the oldest of them was asked, since 1970", oldest)
}

fn threads(page: &mut MetricsPage<'_>, threads: &ThreadCounts) -> fmt::Result {
    let ThreadCounts { loaded, loading, idle, running, unloading, subscriptions, observers } = threads;
    page.gauge("threads_loaded", "Threads in memory", *loaded)?;
    let states = [("loading", *loading), ("idle", *idle), ("running", *running), ("unloading", *unloading)];
    page.gauges("threads", "Threads in memory by what they do", "state", &states)?;
    page.gauge("subscribers", "Subscriptions that keep a thread loaded", *subscriptions)?;
    page.gauge("observers", "Subscriptions that only watch", *observers)
}

fn helpers(page: &mut MetricsPage<'_>, helpers: &HelperCounts) -> fmt::Result {
    let HelperCounts { alive, guards, starting, ready, stopping, lingering, quarantined, .. } = helpers;
    let HelperCounts { started_total, stopped_total, killed_total, containment, held, leftovers, .. } =
        helpers;
    page.gauge("helpers_alive", "Helpers of which a process is left", *alive)?;
    let rungs = [ContainmentRung::Guard, ContainmentRung::Cgroup, ContainmentRung::Namespace];
    let by = rungs.map(|rung| (rung.word(), containment.get(rung.word()).copied().unwrap_or_default()));
    page.gauges("helpers_held", "Helpers alive by what holds them", "rung", &by)?;
    let in_force = rungs.map(|rung| (rung.word(), u64::from(held.in_force == Some(rung))));
    page.gauges("helpers_rung_in_force", "1 for what holds the next helper, all 0: none", "rung", &in_force)?;
    page.gauge(
        "helpers_subreaper",
        "Whether the server inherits what a dead guard leaves",
        held.subreaper.into(),
    )?;
    let states = [("starting", *starting), ("ready", *ready), ("stopping", *stopping)];
    page.gauges("helpers", "Helpers by where they are in their life", "state", &states)?;
    page.gauge("helpers_lingering", "Helpers that no thread uses, kept for a while", *lingering)?;
    page.gauge("helpers_quarantined", "Helpers that fell silent, kept for their calls", *quarantined)?;
    page.gauge("helper_guards", "Guards that are alive", *guards)?;
    page.counter("helpers_started", "Helpers that were started", *started_total)?;
    page.counter("helpers_stopped", "Helpers that ended, by themselves or told to", *stopped_total)?;
    page.counter("helpers_killed", "Helpers that had to be killed", *killed_total)?;
    page.gauge(
        "leftovers_looked",
        "Whether a former server's processes were looked for",
        leftovers.looked.into(),
    )?;
    page.counter(
        "leftovers_ended",
        "Processes of a former server that were found and ended",
        leftovers.ended_total,
    )?;
    page.gauge("leftovers", "Processes of a former server that cannot be ended", leftovers.left)
}

fn turns(page: &mut MetricsPage<'_>, turns: &TurnCounts) -> fmt::Result {
    let TurnCounts { running, started_total, completed_total } = turns;
    page.gauge("turns_running", "Turns that run", *running)?;
    page.counter("turns_started", "Turns that began", *started_total)?;
    page.counter("turns_completed", "Turns that ended, in whichever way", *completed_total)
}

fn store(page: &mut MetricsPage<'_>, store: &StoreCounts) -> fmt::Result {
    let StoreCounts { appends_total, syncs_total, errors_total, unsaved_records_total, .. } = store;
    let StoreCounts { open_markers, loads_total, reads_total, .. } = store;
    page.counter("store_appends", "Writes to histories", *appends_total)?;
    page.counter("store_syncs", "Syncs of histories", *syncs_total)?;
    page.counter("store_errors", "Writes and syncs that failed", *errors_total)?;
    page.counter("store_unsaved_records", "Records that were given up", *unsaved_records_total)?;
    page.counter("store_loads", "Histories that were opened to be loaded", *loads_total)?;
    page.counter("store_reads", "Histories that were opened to be read without a load", *reads_total)?;
    page.gauge("store_open_markers", "Histories whose end is not known to be closed", *open_markers)
}

fn cluster(page: &mut MetricsPage<'_>, cluster: Option<&ClusterCounts>) -> fmt::Result {
    let Some(ClusterCounts { standing, beat_age_ms, nodes, observed, links, database, .. }) = cluster else {
        return Ok(());
    };
    let DatabaseCounts { beat_micros, connections_busy, callers_waiting, .. } = database;
    let is_sure = u64::from(*standing == NodeStanding::Sure);
    page.gauge("cluster_sure", "1 while the database has confirmed a beat of the last two seconds", is_sure)?;
    page.gauge("cluster_nodes", "Servers of the database that live, this one included", *nodes)?;
    #[expect(clippy::cast_precision_loss, reason = "a beat of 200,000 years ago may be rounded")]
    let (age, took) = (*beat_age_ms as f64 / 1e3, *beat_micros as f64 / 1e6);
    page.gauge("cluster_observed", "Other servers whose announcements come here", *observed)?;
    page.gauge("cluster_links", "Links of other servers and their clients", *links)?;
    page.seconds("cluster_beat_age_seconds", "Since the last confirmed beat was sent", age)?;
    page.seconds("store_beat_seconds", "From the last confirmed beat to the answer of the database", took)?;
    page.gauge("store_connections_busy", "Connections for reads that are in use", *connections_busy)?;
    page.gauge("store_callers_waiting", "Callers that wait for such a connection", *callers_waiting)
}

fn index(page: &mut MetricsPage<'_>, index: &IndexCounts) -> fmt::Result {
    let IndexCounts { state, open_ms, disk_bytes, content_bytes, disk_percent: _, indexing } = index;
    let is = |at: IndexState| u64::from(*state == at);
    let states = [
        ("opening", is(IndexState::Opening)),
        ("building", is(IndexState::Building)),
        ("replacing", is(IndexState::Replacing)),
        ("ready", is(IndexState::Ready)),
        ("failed", is(IndexState::Failed)),
    ];
    page.gauges("index_state", "1 for where the list of threads is in its life", "state", &states)?;
    if let Some(ms) = open_ms {
        #[expect(clippy::cast_precision_loss, reason = "an opening of 200,000 years may be rounded")]
        page.seconds("index_open_seconds", "What its last opening took", *ms as f64 / 1e3)?;
    }
    page.gauge("index_disk_bytes", "Bytes of its files", *disk_bytes)?;
    page.gauge("index_content_bytes", "Bytes of its rows, without what storing them costs", *content_bytes)?;
    if let Some(progress) = indexing {
        page.gauge("index_threads_done", "Threads that its making has taken in", progress.done)?;
        page.gauge("index_threads_found", "Threads that its making has to take in", progress.total)?;
    }
    Ok(())
}

fn texts(page: &mut MetricsPage<'_>, texts: &TextsCounts) -> fmt::Result {
    let TextsCounts { state, done, behind, disk_bytes } = texts;
    let is = |at: TextsState| u64::from(*state == at);
    let states = [
        ("unused", is(TextsState::Unused)),
        ("building", is(TextsState::Building)),
        ("ready", is(TextsState::Ready)),
        ("failed", is(TextsState::Failed)),
    ];
    page.gauges("texts_state", "1 for where the index of what was said is in its life", "state", &states)?;
    page.gauge("texts_threads_done", "Threads that it was compared with", *done)?;
    page.gauge("texts_threads_behind", "Threads that each search looks at itself", *behind)?;
    page.gauge("texts_disk_bytes", "Bytes of its files", *disk_bytes)
}

fn repair(page: &mut MetricsPage<'_>, repair: &RepairCounts) -> fmt::Result {
    let RepairCounts { state, done, total, mended, failed } = repair;
    let is = |at: RepairState| u64::from(*state == at);
    let states = [
        ("scheduled", is(RepairState::Scheduled)),
        ("running", is(RepairState::Running)),
        ("complete", is(RepairState::Complete)),
    ];
    page.gauges("repair_state", "1 for how far the repair after the start is", "state", &states)?;
    page.gauge("repair_threads_found", "Threads that the end of a server left open", *total)?;
    page.gauge("repair_threads_done", "Those that were looked at", *done)?;
    page.gauge("repair_threads_mended", "Those that were mended", *mended)?;
    page.gauge("repair_threads_failed", "Those that could not be read or written", *failed)
}

fn clients(page: &mut MetricsPage<'_>, status: &SkeinStatusResponse) -> fmt::Result {
    let RefusalCounts { overloaded, slow_clients } = &status.refusals;
    let AdmissionCounts { origins_total, credentials_total, helpers_total, users_total, .. } =
        &status.admission;
    let ReplayCounts { events_total, gaps_total } = &status.replay;
    page.counter("refused_origins", "Requests of pages that are not allowed", *origins_total)?;
    page.counter("refused_credentials", "Requests without a right credential", *credentials_total)?;
    page.counter("refused_helpers", "Requests of helpers", *helpers_total)?;
    page.counter("refused_users", "Connections of other users to unix sockets", *users_total)?;
    page.gauge("connections", "Websocket connections", status.connections)?;
    page.gauge("outbox_bytes", "Bytes that wait to be sent", status.outbox_bytes)?;
    page.counter("refused_requests", "Requests that were answered with overloaded", *overloaded)?;
    page.counter("slow_clients", "Connections closed for not taking their messages", *slow_clients)?;
    page.counter("replayed_events", "Events that were told again to clients that came back", *events_total)?;
    page.counter("replay_gaps", "Histories that could not be continued, and were shown whole", *gaps_total)
}
