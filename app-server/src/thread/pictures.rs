//! What a thread looks like in the answers that show it; pure.

use std::path::PathBuf;

use skein_protocol::extension::ThreadPicture;
use skein_protocol::settings::{AskForApproval, SandboxMode, SandboxPolicy};
use skein_protocol::thread::{Thread, ThreadStartParams, ThreadStartResponse};

use crate::config::{Config, Overrides};
use crate::policy;
use crate::rollout::record::ThreadSettings;

/// The response of `thread/start`: whoever the client wants to decide on approvals, it is the user. As of `thread/resume`, it has no turns yet.
#[must_use]
pub fn response(settings: &ThreadSettings, thread: Thread, skein: ThreadPicture) -> ThreadStartResponse {
    let mut response = ThreadStartResponse::new(thread, settings.model.clone());
    response.approval_policy = approval_policy(settings);
    response.sandbox = sandbox_of(settings);
    response.reasoning_effort.clone_from(&settings.reasoning_effort);
    response.service_tier.clone_from(&settings.service_tier);
    response.skein = Some(skein);
    response
}

/// What a new thread works with: what its client says, over the client's `config`, over the configuration.
#[must_use]
pub fn new_settings(params: &ThreadStartParams, overrides: &Overrides, config: &Config) -> ThreadSettings {
    let or = |given: &Option<String>, over: &Option<String>, base: &str| {
        given.clone().or_else(|| over.clone()).unwrap_or_else(|| base.to_owned())
    };
    ThreadSettings {
        cwd: working_directory(params.cwd.as_deref()),
        model: or(&params.model, &overrides.model, &config.model),
        model_provider: or(&params.model_provider, &overrides.model_provider, &config.model_provider),
        reasoning_effort: None,
        service_tier: params.service_tier.clone(),
        approval_policy: Some(
            params
                .approval_policy
                .clone()
                .or_else(|| overrides.approval_policy.clone())
                .unwrap_or_else(|| config.approval_policy.clone()),
        ),
        approvals_reviewer: params.approvals_reviewer,
        sandbox: params.sandbox.map(sandbox),
        base_instructions: params.base_instructions.clone(),
        developer_instructions: params.developer_instructions.clone(),
        personality: params.personality,
        config: params.config.clone().unwrap_or_default(),
        dynamic_tools: params.dynamic_tools.clone().unwrap_or_default(),
        mode: None,
    }
}

/// When the user of a thread is asked. One that was made before this could be chosen is as the default has it.
#[must_use]
pub fn approval_policy(settings: &ThreadSettings) -> AskForApproval {
    settings.approval_policy.clone().unwrap_or(policy::DEFAULT_APPROVAL_POLICY)
}

/// What commands of a thread may touch; as Skein runs none, nothing is confined where nobody has asked for it.
#[must_use]
pub fn sandbox_of(settings: &ThreadSettings) -> SandboxPolicy {
    settings.sandbox.clone().unwrap_or(SandboxPolicy::DangerFullAccess)
}

/// The thread's directory: absolute, the server's own where none is named.
#[must_use]
pub fn working_directory(asked: Option<&str>) -> String {
    let own = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let directory = asked.map_or_else(|| own.clone(), |asked| own.join(asked));
    directory.to_string_lossy().into_owned()
}

/// The policy that a mode stands for.
#[must_use]
pub fn sandbox(mode: SandboxMode) -> SandboxPolicy {
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
