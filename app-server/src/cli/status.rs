//! `skein status`: prints the state and counters of a running server.

use anyhow::Context;
use clap::Args;
use serde_json::value::RawValue;
use skein_base::clock::Clock;
use skein_helpers::levels;
use skein_protocol::budget::BudgetState;
use skein_protocol::envelope;
use skein_protocol::extension::{
    AdmissionCounts, AdmittedEntry, ClusterCounts, DoorKind, HelperCounts, IndexCounts, IndexState,
    LeftoverCounts, NodeStanding, OtherServer, PressureCounts, RefusalCounts, ReloadCounts, RepairCounts,
    RepairState, ReplayCounts, SkeinStatusResponse, StoreCounts, TextsCounts, TextsState, ThreadCounts,
    TurnCounts, UnloadCounts, ZeroCounts,
};
use skein_protocol::methods::{SkeinStatus, ThreadLoadedList, ThreadRead};
use skein_protocol::question::NeedsYou;
use skein_protocol::table::Method;
use skein_protocol::thread::{ThreadLoadedListResponse, ThreadReadParams, ThreadReadResponse};
use skein_store::home::listens;

use super::client::CliClient;
use super::conversation::view::cut;
use super::out::{one_line, refused};
use super::threads::list;
use super::{Where, call, print_line, print_lines};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    target: Where,
    /// Print every counter of the server.
    #[arg(long)]
    all: bool,
    /// Print the other servers of the database, and how many threads each has loaded.
    #[arg(long)]
    cluster: bool,
    /// Print the answer of the server as JSON, on one line.
    #[arg(long)]
    json: bool,
}

/// Loaded threads that are listed by name.
const LISTED: usize = 20;

impl StatusArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut client = CliClient::open(&self.target, self.json).await?;
        let answer = client.call(SkeinStatus::INFO.wire, None, |_| Ok(())).await?;
        if self.json {
            client.close().await;
            return print_line(&call::shown(&answer, true)?);
        }
        let status: SkeinStatusResponse =
            envelope::result(&answer).context("the server is of another version")?;
        let mut lines = vec![one_line(&sentence(&status)).into_owned()];
        lines.extend(loaded(&mut client).await?);
        lines.extend(waiting(&status.needs_you));
        lines.extend(status.day_budget.as_ref().map(day_budget));
        lines.extend(doubt(&status));
        client.close().await;
        if self.cluster {
            lines.extend(cluster(status.cluster.as_ref()));
        }
        if self.all {
            lines.push(table(&status));
        } else {
            lines.extend(
                refused_pages(&status).map(|(name, page)| one_line(&format!("{name} {page}")).into_owned()),
            );
            lines.push("skein status --all has every counter".to_owned());
        }
        print_lines(&lines.join("\n"))
    }
}

/// The questions that wait for the user.
fn waiting(NeedsYou { threads, questions, oldest_at }: &NeedsYou) -> Option<String> {
    let since = moment((*oldest_at)?);
    let (verb, place) = (if *questions == 1 { "waits" } else { "wait" }, counted(*threads, "thread"));
    Some(format!(
        "{} {verb} in {place}, the oldest since {since}: skein questions",
        counted(*questions, "question")
    ))
}

/// The use of models by all threads today.
fn day_budget(BudgetState { limit, used, .. }: &BudgetState) -> String {
    format!("{used} of {limit} tokens of today (UTC) are used (budget.day_tokens)")
}

/// That the database does not answer.
fn doubt(status: &SkeinStatusResponse) -> Option<String> {
    let cluster = status.cluster.as_ref().filter(|cluster| cluster.standing != NodeStanding::Sure)?;
    Some(one_line(&format!("the database {}", database(cluster))).into_owned())
}

/// A line for the cluster, and one for each other server.
fn cluster(counts: Option<&ClusterCounts>) -> Vec<String> {
    let Some(counts) = counts else {
        return vec!["The threads are in the home of this server alone.".to_owned()];
    };
    let others = counts.others.iter();
    let other =
        others.map(|OtherServer { name, loaded }| format!("  {name}  {} loaded", counted(*loaded, "thread")));
    let servers = counted(counts.others.len() as u64, "other server");
    let first = format!("cluster {}: {servers}; the database {}", counts.id, database(counts));
    std::iter::once(first).chain(other).map(|line| one_line(&line).into_owned()).collect()
}

/// When the database answered last.
fn database(ClusterCounts { standing, beat_age_ms, nodes, database, .. }: &ClusterCounts) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a beat of 200,000 years ago may be rounded")]
    let (age, took) = (*beat_age_ms as f64 / 1e3, database.beat_micros as f64 / 1e3);
    let why = database.failure.as_deref().map_or_else(String::new, |why| format!(": {why}"));
    match standing {
        NodeStanding::Sure if *nodes > 1 => {
            format!("answered in {took:.1} ms, {age:.1} s ago, to {nodes} servers{why}")
        }
        NodeStanding::Sure => format!("answered in {took:.1} ms, {age:.1} s ago{why}"),
        NodeStanding::Doubtful => format!("has not answered for {age:.1} s{why}"),
        NodeStanding::Lost => {
            format!("has not answered for {age:.1} s, so the server has ended its threads{why}")
        }
    }
}

/// A line for each loaded thread.
async fn loaded(client: &mut CliClient) -> anyhow::Result<Vec<String>> {
    let answer = client.call(ThreadLoadedList::INFO.wire, None, |_| Ok(())).await?;
    let loaded: ThreadLoadedListResponse = envelope::result(&answer)?;
    let mut lines = Vec::new();
    for thread_id in loaded.data.iter().take(LISTED) {
        let params =
            serde_json::to_string(&ThreadReadParams { include_turns: false, thread_id: *thread_id })?;
        let params = RawValue::from_string(params)?;
        // A thread that has just left is in no list any more.
        let Ok(answer) = client.call(ThreadRead::INFO.wire, Some(&params), |_| Ok(())).await else {
            continue;
        };
        let thread = envelope::result::<ThreadReadResponse>(&answer)?.thread;
        let age = list::age(Clock.wall(), thread.updated_at);
        let name = cut(&list::name(&thread), NAME);
        lines.push(format!("  {}  {age:>5}  {}{name}", thread.id, list::state(&thread.status)));
    }
    if loaded.data.len() > LISTED {
        lines.push(format!("  and {} more", loaded.data.len() - LISTED));
    }
    Ok(lines)
}

/// The longest name in a line, in characters.
const NAME: usize = 30;

/// The column of the numbers: two behind the longest name.
pub(super) const SUBJECT: usize = 14;

/// One line for each subject: its name, then its numbers.
pub(super) fn table(status: &SkeinStatusResponse) -> String {
    let rows = server(status).into_iter().chain(threads(status)).chain(helpers(status)).chain(work(status));
    let rows = rows.chain(doors(status)).chain(histories(status));
    let rows = rows.chain(status.cluster.iter().map(|cluster| ("database", database(cluster))));
    let line = |(name, numbers): (&str, String)| format!("{name:<SUBJECT$}{}", one_line(&numbers));
    rows.map(line).collect::<Vec<_>>().join("\n")
}

/// A sentence about a running server.
pub(super) fn sentence(status: &SkeinStatusResponse) -> String {
    let SkeinStatusResponse { pid, home, address, .. } = status;
    let at = if address.starts_with("ws://") { format!(" at {address}") } else { String::new() };
    let loaded = counted(status.threads.loaded, "thread");
    let (running, helpers) = (counted(status.turns.running, "turn"), counted(status.helpers.alive, "helper"));
    let up = up(status.uptime_ms);
    format!(
        "Process {pid} has served {home}{at} for {up}: {loaded} loaded, {running} running, {helpers} alive."
    )
}

/// A number with its thing.
pub(super) fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

type StatusRow = (&'static str, String);

fn server(status: &SkeinStatusResponse) -> [StatusRow; 6] {
    let SkeinStatusResponse { version, pid, home, .. } = status;
    let control = Some(status.control_socket.as_str()).filter(|path| !path.is_empty());
    [
        ("server", format!("skein {version}, process {pid}")),
        ("address", listens(&status.address, control)),
        ("home", home.clone()),
        ("up", up(status.uptime_ms)),
        ("memory", format!("{} KiB", status.memory.resident_bytes / 1024)),
        ("connections", format!("{}; {} bytes wait to be sent", status.connections, status.outbox_bytes)),
    ]
}

fn threads(status: &SkeinStatusResponse) -> [StatusRow; 4] {
    let ThreadCounts { loaded, loading, idle, running, unloading, subscriptions, observers } =
        &status.threads;
    let PressureCounts { squeezed_total, unrelieved_total } = &status.pressure;
    let UnloadCounts { total, last_ms, max_ms } = &status.unloads;
    let (last, longest) = (took(*last_ms), took(*max_ms));
    let states = format!("{loading} loading, {idle} idle, {running} running, {unloading} unloading");
    [
        ("threads", format!("{loaded} loaded: {states}")),
        ("watched by", format!("{subscriptions} subscribers, {observers} observers")),
        ("unloads", format!("{total}; the last took {last}, the longest {longest}")),
        ("made room", format!("{squeezed_total} idle threads; none was idle {unrelieved_total} times")),
    ]
}

fn helpers(status: &SkeinStatusResponse) -> [StatusRow; 6] {
    let HelperCounts { alive, guards, starting, ready, stopping, .. } = &status.helpers;
    let HelperCounts { started_total, stopped_total, killed_total, containment, .. } = &status.helpers;
    let ZeroCounts { total, last_ms, max_ms } = &status.helpers.zero;
    let ends = format!("{total} told to; the last took {}, the longest {}", took(*last_ms), took(*max_ms));
    let held: Vec<String> = containment.iter().map(|(by, count)| format!("{count} by {by}")).collect();
    let held = if held.is_empty() { "-".to_owned() } else { held.join(", ") };
    let LeftoverCounts { looked, ended_total, left } = &status.helpers.leftovers;
    let found = format!("{ended_total} ended, {left} still there");
    let found = if *looked { found } else { "being looked for".to_owned() };
    [
        ("helpers", format!("{alive} alive: {starting} starting, {ready} ready, {stopping} stopping")),
        ("held", format!("{held}; {guards} guards")),
        ("containment", levels::summary(&status.helpers.held)),
        ("so far", format!("{started_total} started, {stopped_total} ended, {killed_total} of them killed")),
        ("ends", ends),
        ("left before", found),
    ]
}

fn took(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"))
}

fn work(status: &SkeinStatusResponse) -> [StatusRow; 8] {
    let TurnCounts { running, started_total, completed_total } = &status.turns;
    let StoreCounts { appends_total, syncs_total, errors_total, unsaved_records_total, open_markers, .. } =
        &status.store;
    let StoreCounts { sync_last_ms, sync_max_ms, .. } = &status.store;
    let RefusalCounts { overloaded, slow_clients } = &status.refusals;
    let ReplayCounts { events_total, gaps_total } = &status.replay;
    let ReloadCounts { total, unchanged_total: _, refused_total, last_at_ms: _ } = &status.reloads;
    let failed = format!("{errors_total} errors, {unsaved_records_total} records lost");
    let (last, longest) = (took(*sync_last_ms), took(*sync_max_ms));
    [
        ("turns", format!("{running} running; {completed_total} of {started_total} completed")),
        (
            "store",
            format!("{appends_total} writes, {syncs_total} syncs, {failed}, {open_markers} files open"),
        ),
        ("syncs", format!("the last took {last}, the longest {longest}")),
        ("refused", format!("{overloaded} requests, {slow_clients} slow clients")),
        ("replayed", format!("{events_total} events, {gaps_total} gaps")),
        ("settings", format!("read again {total} times, refused {refused_total} times")),
        ("faults", status.panics_total.to_string()),
        ("tasks", status.tasks.to_string()),
    ]
}

/// The open connections, and the requests that did not get in, with the pages among them.
fn doors(status: &SkeinStatusResponse) -> Vec<StatusRow> {
    let AdmissionCounts { origins_total, credentials_total, helpers_total, users_total, admitted, .. } =
        &status.admission;
    let counts = format!(
        "{origins_total} pages, {credentials_total} without a right credential, {helpers_total} helpers, {users_total} \
         other users"
    );
    let inside = admitted.iter().map(|entry| {
        let AdmittedEntry { who, door, origin, scope, connections } = entry;
        let page = origin.as_ref().map_or_else(String::new, |origin| format!(" of {origin}"));
        ("admitted", format!("{connections} of {who}{page}, by {}, scope {scope}", door_word(*door)))
    });
    inside.chain([("not admitted", counts)]).chain(refused_pages(status)).collect()
}

/// The last refused pages, the newest first, each with the command that lets it in.
fn refused_pages(status: &SkeinStatusResponse) -> impl Iterator<Item = StatusRow> {
    let pages = status.admission.last_origins.iter().rev();
    pages.map(|page| ("refused page", format!("at {}: {}", moment(page.at_ms), refused(&page.origin))))
}

fn door_word(door: DoorKind) -> &'static str {
    match door {
        DoorKind::Unix => "a unix socket",
        DoorKind::Loopback => "a loopback port",
        DoorKind::Remote => "a port of the network",
    }
}

fn histories(status: &SkeinStatusResponse) -> [StatusRow; 4] {
    let StoreCounts { loads_total, reads_total, .. } = &status.store;
    let IndexCounts { state, open_ms, disk_bytes, disk_percent, indexing, .. } = &status.index;
    let RepairCounts { state: repair, done, total, mended, failed } = &status.repair;
    let opened = open_ms.map_or_else(String::new, |ms| format!(", opened in {ms} ms"));
    let percent = disk_percent.map_or_else(String::new, |percent| format!(", {percent} % of its content"));
    let indexing = indexing.map_or_else(String::new, |at| format!(", {} of {} read", at.done, at.total));
    let index =
        format!("{}{opened}, {} KiB on disk{percent}{indexing}", index_word(*state), disk_bytes / 1024);
    let repair =
        format!("{}: {done} of {total} looked at, {mended} mended, {failed} failed", repair_word(*repair));
    let histories = format!("{loads_total} loads, {reads_total} reads");
    [("histories", histories), ("index", index), ("texts", texts(status)), ("repair", repair)]
}

fn texts(status: &SkeinStatusResponse) -> String {
    let TextsCounts { state, done, behind, disk_bytes } = &status.texts;
    let state = match state {
        TextsState::Unused => "nobody has searched",
        TextsState::Building => "being made",
        TextsState::Ready => "ready",
        TextsState::Failed => "failed",
    };
    format!("{state}, compared with {done} threads, {behind} behind, {} KiB on disk", disk_bytes / 1024)
}

fn index_word(state: IndexState) -> &'static str {
    match state {
        IndexState::Opening => "opening",
        IndexState::Building => "being made",
        IndexState::Replacing => "being replaced",
        IndexState::Ready => "ready",
        IndexState::Failed => "failed",
    }
}

fn repair_word(state: RepairState) -> &'static str {
    match state {
        RepairState::Scheduled => "scheduled",
        RepairState::Running => "running",
        RepairState::Complete => "complete",
    }
}

/// A time of day, with its date in UTC.
pub(super) fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| format!("{at:.0}"))
}

/// The two largest units of a duration.
fn up(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}.{} s", ms % 1000 / 100),
        (0, 0, min, s) => format!("{min} min {s} s"),
        (0, h, min, _) => format!("{h} h {min} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}
