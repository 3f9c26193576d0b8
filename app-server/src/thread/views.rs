//! Views of a thread: how answers show its settings and its goal. Pure.

use serde_json::{Map, Value};
use skein_base::clock::WallMs;
use skein_config::{Overrides, ServerConfig, secrets};
use skein_protocol::extension::{ThreadMoment, ThreadPicture};
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::settings::{
    AskForApproval, CollaborationMode, ModeKind, SandboxMode, SandboxPolicy, Settings,
};
use skein_protocol::thread::{
    QueuedSubmission, Thread, ThreadActiveFlag, ThreadGoal, ThreadResumeResponse, ThreadSettings,
    ThreadStartParams, ThreadStartResponse, ThreadStatus,
};
use skein_store::history::{History, RestartTurns, WaitingQuestion};
use skein_store::rollout::record::{Goal, QuestionKind, SecretValues, StoredSettings, WaitingMessage};

use crate::thread::directory;

/// The response of `thread/start`, without turns. The user decides on approvals, whatever reviewer the client names.
pub(crate) fn response(
    settings: &StoredSettings,
    thread: Thread,
    skein: ThreadMoment,
) -> ThreadStartResponse {
    let mut response = ThreadStartResponse::new(thread, settings.model.clone());
    response.approval_policy = approval_policy(settings);
    response.sandbox = sandbox_of(settings);
    response.reasoning_effort.clone_from(&settings.reasoning_effort);
    response.service_tier.clone_from(&settings.service_tier);
    response.skein = Some(skein);
    response
}

/// The response of `thread/resume`, without turns and cursors.
pub(crate) fn resumed(
    settings: &StoredSettings,
    thread: Thread,
    skein: ThreadMoment,
) -> ThreadResumeResponse {
    let collaboration_mode = settings.collaboration_mode.as_ref().map(|_| mode(settings));
    ThreadResumeResponse { collaboration_mode, ..response(settings, thread, skein).into() }
}

/// The settings of a thread, as the responses above show them.
pub(crate) fn shown_settings(id: ThreadId, settings: &StoredSettings) -> ThreadSettings {
    let thread = Thread::new(id, settings.cwd.clone(), settings.model_provider.clone(), 0);
    let picture = ThreadPicture { seq: EventSeq(0), epoch: Epoch(1) };
    let shown = response(settings, thread, picture.with(Vec::new()));
    ThreadSettings {
        active_permission_profile: shown.active_permission_profile,
        approval_policy: shown.approval_policy,
        approvals_reviewer: shown.approvals_reviewer,
        collaboration_mode: mode(settings),
        cwd: shown.cwd,
        disabled_plugin_ids: shown.disabled_plugin_ids,
        effort: shown.reasoning_effort,
        environments: None,
        model: shown.model,
        model_provider: shown.model_provider,
        multi_agent_mode: shown.multi_agent_mode,
        personality: settings.personality,
        sandbox_policy: shown.sandbox,
        service_tier: shown.service_tier,
        summary: settings.reasoning_summary,
    }
}

/// A goal as clients see it.
pub(crate) fn goal(thread_id: ThreadId, goal: &Goal) -> ThreadGoal {
    ThreadGoal {
        created_at: WallMs(goal.created_at_ms).seconds(),
        objective: goal.objective.clone(),
        status: goal.status,
        thread_id,
        time_used_seconds: WallMs(goal.time_used_ms).seconds(),
        token_budget: goal.token_budget,
        tokens_used: goal.tokens_used,
        updated_at: WallMs(goal.updated_at_ms).seconds(),
    }
}

/// The messages that wait, as clients see them.
pub(crate) fn queue(history: &History) -> Vec<QueuedSubmission> {
    history.queue().messages().map(queued).collect()
}

/// A message of the queue as clients see it.
pub(crate) fn queued(message: &WaitingMessage) -> QueuedSubmission {
    QueuedSubmission {
        client_user_message_id: message.client_id.clone(),
        id: message.id.clone(),
        input: message.input.clone(),
        responsesapi_client_metadata: message.metadata.clone(),
    }
}

/// The mode with the current model and effort.
fn mode(settings: &StoredSettings) -> CollaborationMode {
    let chosen = settings.collaboration_mode.as_ref();
    CollaborationMode {
        mode: chosen.map_or(ModeKind::Default, |chosen| chosen.mode),
        settings: Settings {
            developer_instructions: settings.mode_instructions().map(str::to_owned),
            model: settings.model.clone(),
            reasoning_effort: settings.reasoning_effort.clone(),
        },
    }
}

/// The settings of a new thread: the request's params, then its `config`, then the configuration.
pub(crate) fn new_settings(
    params: &ThreadStartParams,
    overrides: &Overrides,
    config: &ServerConfig,
) -> StoredSettings {
    let defaults = overrides.thread.over(&config.thread);
    let or = |given: &Option<String>, over: &Option<String>, base: &str| {
        given.clone().or_else(|| over.clone()).unwrap_or_else(|| base.to_owned())
    };
    let mut settings = StoredSettings {
        cwd: directory::named(params.cwd.as_deref()),
        model: or(&params.model, &overrides.model, &config.model),
        model_provider: or(&params.model_provider, &overrides.model_provider, &config.model_provider),
        reasoning_effort: defaults.effort,
        reasoning_summary: defaults.summary,
        collaboration_mode: None,
        service_tier: params.service_tier.clone().or(defaults.service_tier),
        approval_policy: Some(
            params
                .approval_policy
                .clone()
                .or_else(|| overrides.approval_policy.clone())
                .unwrap_or_else(|| config.approval_policy.clone()),
        ),
        approvals_reviewer: params.approvals_reviewer,
        sandbox: Some(sandbox(params.sandbox.or(overrides.sandbox_mode).unwrap_or(config.sandbox_mode))),
        base_instructions: params.base_instructions.clone().or(defaults.instructions),
        developer_instructions: params.developer_instructions.clone().or(defaults.developer_instructions),
        personality: params.personality.or(defaults.personality),
        budget: overrides.budget.into(),
        config: Map::new(),
        secrets: SecretValues::default(),
        dynamic_tools: params.dynamic_tools.clone().unwrap_or_default(),
    };
    params.config.iter().for_each(|config| set_config(&mut settings, config));
    settings
}

/// Keeps the `config` of a request, with its secrets apart. Earlier secrets stay: a fork may begin before this request.
pub(crate) fn set_config(settings: &mut StoredSettings, config: &Map<String, Value>) {
    let (shown, found) = secrets::externalise(config);
    settings.config = shown;
    settings.secrets.add(found);
}

/// When the user is asked for approval. Threads without this setting use the default.
pub(crate) fn approval_policy(settings: &StoredSettings) -> AskForApproval {
    settings.approval_policy.clone().unwrap_or(skein_config::policy::DEFAULT_APPROVAL_POLICY)
}

/// The sandbox policy of a thread's commands. Threads without this setting use the default: Skein runs no commands.
pub(crate) fn sandbox_of(settings: &StoredSettings) -> SandboxPolicy {
    settings.sandbox.clone().unwrap_or_else(|| sandbox(skein_config::policy::DEFAULT_SANDBOX_MODE))
}

/// The flag that a thread shows during a question of this kind. A decision on a helper's question is an approval. The work
/// of a client's tool is no wait for the user.
fn flag(kind: QuestionKind) -> Option<ThreadActiveFlag> {
    match kind {
        QuestionKind::Input => Some(ThreadActiveFlag::WaitingOnUserInput),
        QuestionKind::Approval
        | QuestionKind::MayHaveRun
        | QuestionKind::Elicitation
        | QuestionKind::Budget => Some(ThreadActiveFlag::WaitingOnApproval),
        QuestionKind::ClientCall => None,
    }
}

/// The flags that a thread shows during questions of these kinds.
pub(crate) fn flags(kinds: impl Iterator<Item = QuestionKind> + Clone) -> Vec<ThreadActiveFlag> {
    let flags = [ThreadActiveFlag::WaitingOnApproval, ThreadActiveFlag::WaitingOnUserInput];
    let waits = |wanted: &ThreadActiveFlag| kinds.clone().any(|kind| flag(kind) == Some(*wanted));
    flags.into_iter().filter(waits).collect()
}

/// The status of a thread that is not loaded, by the questions in its records.
pub(crate) fn unloaded_status(waiting: &[WaitingQuestion], rule: RestartTurns) -> ThreadStatus {
    match rule {
        RestartTurns::Asked | RestartTurns::All if !waiting.is_empty() => {
            ThreadStatus::Active { active_flags: flags(waiting.iter().map(|question| question.kind)) }
        }
        RestartTurns::Asked | RestartTurns::All | RestartTurns::None => ThreadStatus::NotLoaded,
    }
}

/// The policy of a sandbox mode.
pub(crate) fn sandbox(mode: SandboxMode) -> SandboxPolicy {
    match mode {
        SandboxMode::ReadOnly => SandboxPolicy::ReadOnly { network_access: false },
        SandboxMode::WorkspaceWrite => SandboxPolicy::WorkspaceWrite {
            exclude_slash_tmp: false,
            exclude_tmpdir_env_var: false,
            network_access: false,
            writable_roots: Vec::new(),
        },
        SandboxMode::DangerFullAccess => SandboxPolicy::DangerFullAccess,
    }
}
