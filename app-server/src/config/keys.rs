//! Every key of `config.toml` and what it sets. A key that is not here is unknown.

use std::time::Duration;

use skein_protocol::settings::{AskForApproval, SandboxMode};

use super::problem::Problems;
use super::section::Section;
use super::tree::Table;
use super::{
    Config, Containment, ContextOverride, Durability, Heartbeat, Limits, ModelConfig, OrphanPolicy,
    RunningOrphans, ThreadConfig, helpers, providers,
};
use crate::policy;

/// Bounds of what `[limits]` takes. Below, no client could work; above, one message could take the machine's memory.
const LEAST_BYTES: usize = 64 * 1024;
const MOST_BYTES: usize = 1024 * 1024 * 1024;
const MOST_QUEUED: usize = 65_536;
const MOST_REPLAYED: usize = 1_000_000;
const MOST_THREADS: usize = 1_000_000;
const MOST_ROUNDS: usize = 1_000_000;

/// Changes `config` by what `settings` say.
pub(super) fn apply(config: &mut Config, settings: Table, problems: &mut Problems) {
    let mut root = Section::new("", settings, problems);
    set(&mut config.model, root.text("model"));
    let provider_place = root.place("model_provider");
    set(&mut config.model_provider, root.text("model_provider"));
    config.thread = ThreadConfig::read(&mut root);
    config.every_model = ModelConfig::read(&mut root);
    config.models = ModelConfig::read_each(&mut root);
    set(&mut config.approval_policy, root.approval_policy("approval_policy"));
    set(&mut config.sandbox_mode, root.choice("sandbox_mode", &SANDBOX_MODES));
    set(&mut config.asks, asks(&mut root));
    config.context = ContextOverride::read(&mut root).over(&config.context);
    let durability =
        [("turn", Durability::Turn), ("event", Durability::Event), ("process", Durability::Process)];
    set(&mut config.durability, root.choice("durability", &durability));
    root.section("trash", |section| set(&mut config.trash_keep, section.duration("keep")));
    root.section("search", |section| {
        set(&mut config.search_index, section.flag("index"));
        set(&mut config.search_page_time, section.duration("page_time"));
    });
    root.section("unload", |section| {
        set(&mut config.unload.grace, section.duration("grace"));
        set(&mut config.unload.unmaterialised_grace, section.duration("unmaterialised_grace"));
    });
    root.section("orphans", |section| apply_orphans(&mut config.orphans, section));
    root.section("helpers", |section| apply_helpers(config, section));
    root.section("limits", |section| apply_limits(&mut config.limits, section));
    root.section("connections", |section| apply_heartbeat(&mut config.heartbeat, section));
    root.section("shutdown", |section| {
        set(&mut config.shutdown_drain, section.duration("drain"));
        set(&mut config.shutdown_limit, section.duration("limit"));
    });
    let overrides = helpers::read(&mut root);
    let read = providers::read(&mut root);
    root.finish();
    config.providers = providers::lay_over(read, problems);
    if let Some(place) = provider_place {
        providers::check_default(&config.model_provider, &config.providers, place, problems);
    }
    helpers::lay_over(&mut config.helpers, overrides, problems);
}

/// The words of `approval_policy`.
pub(super) const APPROVAL_POLICIES: [(&str, Asking); 4] = [
    ("untrusted", Asking::Untrusted),
    ("on-request", Asking::OnRequest),
    ("never", Asking::Never),
    // What the peer had before `on-request`, and still reads.
    ("on-failure", Asking::OnRequest),
];

/// The words of `sandbox_mode`.
pub(super) const SANDBOX_MODES: [(&str, SandboxMode); 3] = [
    ("read-only", SandboxMode::ReadOnly),
    ("workspace-write", SandboxMode::WorkspaceWrite),
    ("danger-full-access", SandboxMode::DangerFullAccess),
];

/// When the user is asked, as far as one word says it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asking {
    Untrusted,
    OnRequest,
    Never,
}

impl From<Asking> for AskForApproval {
    fn from(asking: Asking) -> Self {
        match asking {
            Asking::Untrusted => Self::Untrusted,
            Asking::OnRequest => Self::OnRequest,
            Asking::Never => Self::Never,
        }
    }
}

/// Whether models may ask the user by a tool, also where they do not plan.
pub(super) fn asks(root: &mut Section<'_>) -> Option<bool> {
    let mut asks = None;
    root.section("features", |section| asks = section.flag("default_mode_request_user_input"));
    asks
}

fn apply_orphans(orphans: &mut OrphanPolicy, section: &mut Section<'_>) {
    let running = [("continue", RunningOrphans::Continue), ("interrupt", RunningOrphans::Interrupt)];
    set(&mut orphans.running, section.choice("running", &running));
    set(&mut orphans.running_limit, section.duration("running_limit").map(Some));
    set(&mut orphans.pending_grace, section.duration("pending_grace"));
}

fn apply_helpers(config: &mut Config, section: &mut Section<'_>) {
    let rungs = [
        ("auto", Containment::Auto),
        ("guard", Containment::Guard),
        ("cgroup", Containment::Cgroup),
        ("namespace", Containment::Namespace),
    ];
    set(&mut config.containment, section.choice("containment", &rungs));
    set(&mut config.helper_stop_grace, section.duration("stop_grace"));
    set(&mut config.helper_liveness, section.longer("liveness", skein_helpers::policy::HELPER_LOOK_LEAST));
}

fn apply_limits(limits: &mut Limits, section: &mut Section<'_>) {
    set(&mut limits.message_bytes, section.number("message_bytes", LEAST_BYTES, MOST_BYTES));
    set(&mut limits.answer_bytes, section.number("answer_bytes", LEAST_BYTES, MOST_BYTES));
    set(&mut limits.outbox_bytes, section.number("outbox_bytes", LEAST_BYTES, MOST_BYTES));
    set(&mut limits.requests_in_flight, section.number("requests_in_flight", 1, MOST_QUEUED));
    set(&mut limits.replay, section.number("replay", 0, MOST_REPLAYED));
    set(&mut limits.mailbox, section.number("mailbox", 1, MOST_QUEUED));
    // Zero is no limit, here and for the next two.
    let threads = section.number("loaded_threads", 0, MOST_THREADS);
    set(&mut limits.loaded_threads, threads.map(|most| Some(most).filter(|most| *most > 0)));
    let rounds = section.number("turn_rounds", 0, MOST_ROUNDS);
    set(&mut limits.turn_rounds, rounds.map(|most| Some(most).filter(|most| *most > 0)));
    set(&mut limits.memory, section.size("memory").map(|most| Some(most).filter(|most| *most > 0)));
}

fn apply_heartbeat(heartbeat: &mut Heartbeat, section: &mut Section<'_>) {
    set(&mut heartbeat.ping, section.longer("ping", Duration::ZERO));
    // Whoever is asked later is given up later too.
    let dead_after = section.longer("dead_after", heartbeat.ping);
    heartbeat.dead_after = dead_after.unwrap_or(heartbeat.ping * policy::DEAD_AFTER_PINGS);
    set(&mut heartbeat.heartbeat, section.longer("heartbeat", Duration::ZERO));
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
