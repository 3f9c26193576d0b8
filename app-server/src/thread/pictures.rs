//! What a thread looks like in the answers that show it; pure.

use std::path::PathBuf;

use skein_protocol::extension::ThreadPicture;
use skein_protocol::settings::{SandboxMode, SandboxPolicy};
use skein_protocol::thread::{Thread, ThreadStartParams, ThreadStartResponse};

use crate::config::{Config, Overrides};
use crate::rollout::record::ThreadSettings;

/// The response of `thread/start`; as of `thread/resume`, it has no turns yet.
#[must_use]
pub fn response(settings: &ThreadSettings, thread: Thread, skein: ThreadPicture) -> ThreadStartResponse {
    let mut response = ThreadStartResponse::new(thread, settings.model.clone());
    if let Some(policy) = &settings.approval_policy {
        response.approval_policy = policy.clone();
    }
    if let Some(reviewer) = settings.approvals_reviewer {
        response.approvals_reviewer = reviewer;
    }
    if let Some(sandbox) = &settings.sandbox {
        response.sandbox = sandbox.clone();
    }
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
        approval_policy: params.approval_policy.clone(),
        approvals_reviewer: params.approvals_reviewer,
        sandbox: params.sandbox.map(sandbox),
        base_instructions: params.base_instructions.clone(),
        developer_instructions: params.developer_instructions.clone(),
        personality: params.personality,
        config: params.config.clone().unwrap_or_default(),
    }
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
