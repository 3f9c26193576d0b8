//! The thread's settings: requests that change them, and the records of changes.

use serde_json::{Value, json};
use skein_config::{ConfigErrors, Overrides, helpers_from_thread_config, secrets};
use skein_protocol::JsonObject;
use skein_protocol::budget::ThreadBudget;
use skein_protocol::event::ThreadSettingsUpdatedNotification;
use skein_protocol::notifications::ThreadSettingsUpdated;
use skein_protocol::settings::{
    AdditionalContextEntry, AdditionalContextKind, ApprovalsReviewer, AskForApproval, CollaborationMode,
    Personality, ReasoningEffort, ReasoningSummary, SandboxPolicy,
};
use skein_protocol::thread::{
    ThreadForkParams, ThreadResumeParams, ThreadSettingsUpdateParams, ThreadSettingsUpdateResponse,
    ThreadStartParams,
};
use skein_protocol::turn::TurnStartParams;
use skein_store::history::History;
use skein_store::rollout::Keep;
use skein_store::rollout::record::{ItemsInjected, RecordBody, StoredSettings, ThreadMeta};

use super::helper_side::HelperSide;
use super::log::Log;
use super::waiters::Waiters;
use crate::outbox::reply::Reply;
use crate::policy;
use crate::thread::{directory, views};

/// The settings that a request names. Each holds from then on.
#[derive(Debug, Default)]
pub(super) struct Given {
    approval_policy: Option<AskForApproval>,
    approvals_reviewer: Option<ApprovalsReviewer>,
    base_instructions: Option<String>,
    budget: ThreadBudget,
    collaboration_mode: Option<CollaborationMode>,
    config: Option<JsonObject>,
    cwd: Option<String>,
    developer_instructions: Option<String>,
    effort: Option<ReasoningEffort>,
    model: Option<String>,
    model_provider: Option<String>,
    personality: Option<Personality>,
    sandbox: Option<SandboxPolicy>,
    service_tier: Option<String>,
    summary: Option<ReasoningSummary>,
}

/// Settings of a request with equal field names.
macro_rules! named_in {
    ($place:expr, $($field:ident),+) => {
        Given { $($field: $place.$field.clone(),)+ ..Given::default() }
    };
}

/// Settings of requests about turns, and of `thread/settings/update`.
macro_rules! named_for_turns {
    ($params:expr) => {
        Given {
            sandbox: $params.sandbox_policy.clone(),
            ..named_in!(
                $params,
                approval_policy,
                approvals_reviewer,
                collaboration_mode,
                cwd,
                effort,
                model,
                personality,
                service_tier,
                summary
            )
        }
    };
}

/// Settings of requests for a thread.
macro_rules! named_for_a_thread {
    ($params:expr) => {
        Given {
            sandbox: $params.sandbox.map(views::sandbox),
            ..named_in!(
                $params,
                approval_policy,
                approvals_reviewer,
                base_instructions,
                config,
                cwd,
                developer_instructions,
                model,
                model_provider,
                service_tier
            )
        }
    };
}

impl From<&TurnStartParams> for Given {
    fn from(params: &TurnStartParams) -> Self {
        named_for_turns!(params)
    }
}

impl From<&ThreadSettingsUpdateParams> for Given {
    fn from(params: &ThreadSettingsUpdateParams) -> Self {
        named_for_turns!(params)
    }
}

impl From<&ThreadResumeParams> for Given {
    fn from(params: &ThreadResumeParams) -> Self {
        Self { personality: params.personality, ..named_for_a_thread!(params) }
    }
}

impl From<&ThreadForkParams> for Given {
    fn from(params: &ThreadForkParams) -> Self {
        named_for_a_thread!(params)
    }
}

/// Settings in the `config` of a request. Its helpers are not among them.
impl From<&Overrides> for Given {
    fn from(named: &Overrides) -> Self {
        let base_instructions = named.thread.instructions.clone();
        let beside =
            named_in!(named.thread, developer_instructions, effort, personality, service_tier, summary);
        let sandbox = named.sandbox_mode.map(views::sandbox);
        let Overrides { approval_policy, model, model_provider, .. } = named.clone();
        let budget = named.budget.into();
        Self { base_instructions, budget, approval_policy, model, model_provider, sandbox, ..beside }
    }
}

/// Takes the settings of the fork or the resume of a load, before the helpers start, because they may name a directory.
/// Resumes that have joined the load change nothing, as for a loaded thread.
pub(super) fn take_those_of_the_load(log: &mut Log, helpers: &mut HelperSide, waiters: &Waiters) {
    helpers.take(waiters.resume_of_the_load().map(|resume| &resume.helpers));
    recall(log, helpers);
    if let Some(fork) = waiters.new_fork() {
        // A fork has these settings from the beginning.
        change_quietly(log, helpers, Keep::Power, (&fork.params).into());
    } else if let Some(resume) = waiters.resume_of_the_load() {
        change(log, helpers, Keep::Process, &resume.params);
    }
}

/// Gives the helpers the thread's recorded overrides, unless a request has named others.
pub(super) fn recall(log: &Log, helpers: &mut HelperSide) {
    helpers.recall(|| log.history().map_or(Ok(None), |history| recorded(history.settings())));
}

/// The overrides of the thread's first client, from its `config`.
pub(super) fn recorded(settings: &StoredSettings) -> Result<Option<Overrides>, ConfigErrors> {
    if settings.config.is_empty() {
        return Ok(None);
    }
    helpers_from_thread_config(&secrets::inline(&settings.config, &settings.secrets.0)).map(Some)
}

/// The thread's settings. Those of a new thread if their record is damaged and no turn has ended since.
pub(super) fn of(log: &Log, helpers: &HelperSide) -> StoredSettings {
    match log.history().map(History::settings).filter(|settings| !settings.model_provider.is_empty()) {
        Some(settings) => settings.clone(),
        None => helpers.new_settings(&ThreadStartParams::default(), &log.config()),
    }
}

pub(super) fn update(
    log: &mut Log,
    helpers: &HelperSide,
    params: &ThreadSettingsUpdateParams,
    reply: Reply<ThreadSettingsUpdateResponse>,
) {
    let changed = change_quietly(log, helpers, Keep::Power, params.into());
    log.acknowledge(reply, ThreadSettingsUpdateResponse {});
    if changed {
        notify(log, helpers);
    }
}

/// Applies the settings of a request, and notifies clients of a change.
pub(super) fn change<'a, P>(log: &mut Log, helpers: &HelperSide, keep: Keep, params: &'a P)
where
    Given: From<&'a P>,
{
    if change_quietly(log, helpers, keep, params.into()) {
        notify(log, helpers);
    }
}

/// Applies settings without a notification. Returns whether they have changed.
fn change_quietly(log: &mut Log, helpers: &HelperSide, keep: Keep, given: Given) -> bool {
    let before = of(log, helpers);
    let mut after = before.clone();
    take(&mut after, given);
    if after == before || !log.is_open() {
        return false;
    }
    log.record_one(ThreadMeta { settings: Some(after), git_info: None }, keep);
    true
}

fn notify(log: &mut Log, helpers: &HelperSide) {
    let thread_settings = views::shown_settings(log.id(), &of(log, helpers));
    let params = ThreadSettingsUpdatedNotification { thread_id: log.id(), thread_settings };
    log.notify::<ThreadSettingsUpdated>(&params, None);
}

/// Applies the `config` of a request first, then its params. The handler has refused an unusable `config`.
fn take(settings: &mut StoredSettings, given: Given) {
    let named = given.config.as_ref().map(skein_config::helpers_from_thread_config);
    if let Some(Ok(named)) = named {
        take(settings, (&named).into());
    }
    set(&mut settings.approval_policy, given.approval_policy);
    set(&mut settings.approvals_reviewer, given.approvals_reviewer);
    set(&mut settings.base_instructions, given.base_instructions);
    settings.budget = settings.budget.narrowed(given.budget);
    if let Some(config) = given.config {
        views::set_config(settings, &config);
    }
    let own = |cwd: String| directory::named(Some(&cwd));
    set(&mut settings.cwd, given.cwd.map(own));
    set(&mut settings.developer_instructions, given.developer_instructions);
    set(&mut settings.model, given.model);
    set(&mut settings.model_provider, given.model_provider);
    set(&mut settings.personality, given.personality);
    set(&mut settings.reasoning_effort, given.effort);
    set(&mut settings.reasoning_summary, given.summary);
    set(&mut settings.sandbox, given.sandbox);
    set(&mut settings.service_tier, given.service_tier);
    choose_mode(settings, given.collaboration_mode.as_ref());
}

fn set<T>(setting: &mut T, given: Option<impl Into<T>>) {
    if let Some(given) = given {
        *setting = given.into();
    }
}

/// The instructions for a model: the thread's own or `usual`, the developer's, those of the mode, and the tone.
pub(super) fn instructions(settings: &StoredSettings, usual: &str) -> Option<String> {
    let tone = settings.personality.and_then(|personality| match personality {
        Personality::None => None,
        Personality::Friendly => Some(policy::FRIENDLY),
        Personality::Pragmatic => Some(policy::PRAGMATIC),
    });
    let base = settings.base_instructions.as_deref().unwrap_or(usual);
    let beside = settings.developer_instructions.as_deref();
    let parts = [Some(base), beside, settings.mode_instructions(), tone];
    let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.trim().is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// Applies a mode: its model and effort become the thread's. Without an effort the model uses its default.
fn choose_mode(settings: &mut StoredSettings, mode: Option<&CollaborationMode>) {
    let Some(mode) = mode else { return };
    if !mode.settings.model.is_empty() {
        settings.model.clone_from(&mode.settings.model);
    }
    settings.reasoning_effort.clone_from(&mode.settings.reasoning_effort);
    settings.collaboration_mode = Some(mode.clone());
}

/// The client's additional context of a turn, as a record behind the turn's beginning.
pub(super) fn context_of(params: &TurnStartParams) -> Option<RecordBody> {
    let items = context_items(params);
    (!items.is_empty()).then(|| ItemsInjected { items }.into())
}

/// The client's `additionalContext` of a turn, for the model only. Context of the application has the role `developer`,
/// untrusted context the role `user`.
pub(super) fn context_items(params: &TurnStartParams) -> Vec<Value> {
    let item = |(key, entry): (&String, &AdditionalContextEntry)| {
        let role = match entry.kind {
            AdditionalContextKind::Application => "developer",
            AdditionalContextKind::Untrusted => "user",
        };
        let text = format!("{}:\n{}", entry.name.as_ref().unwrap_or(key), entry.value);
        json!({ "type": "message", "role": role, "content": [{ "type": "input_text", "text": text }] })
    };
    params.additional_context.iter().flatten().map(item).collect()
}

/// The item that asks a model to continue an interrupted answer.
pub(super) fn continue_item() -> Value {
    let text =
        "(The answer to my last message broke off, as the disk was full or failed. Please go on with it.)";
    json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_gets_the_instructions_of_the_thread_its_mode_and_its_tone() {
        let mut settings = StoredSettings::default();
        assert_eq!(instructions(&settings, "usual").as_deref(), Some("usual"));
        let mode = json!({ "mode": "plan", "settings": { "model": "m", "developer_instructions": "Plan." } });
        choose_mode(&mut settings, serde_json::from_value(mode).ok().as_ref());
        settings.base_instructions = Some("own".to_owned());
        settings.developer_instructions = Some("beside".to_owned());
        settings.personality = Some(Personality::Friendly);
        let wanted = format!("own\n\nbeside\n\nPlan.\n\n{}", policy::FRIENDLY);
        assert_eq!(instructions(&settings, "usual"), Some(wanted));
        assert_eq!(settings.model, "m");
    }
}
