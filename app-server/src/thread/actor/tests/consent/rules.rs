//! The rules by which a call needs no answer, after docs/approvals.md: an independent copy of the part that the steps use.

use serde_json::{Value, json};

use skein_helpers::ApprovalMode;

/// A tool's description of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hints {
    Silent,
    Reads,
    Writes,
    Destroys,
    /// It claims to be read-only and destructive.
    Contradicts,
}

/// The approval mode of a tool in the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Auto,
    Prompt,
    Writes,
    Approve,
    Deny,
}

/// A thread's approval policy, with its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    OnRequest,
    Untrusted,
    NeverConfined,
    NeverFree,
}

impl Hints {
    pub(super) fn annotations(self) -> Value {
        match self {
            Self::Silent => json!({}),
            Self::Reads => json!({ "readOnlyHint": true }),
            Self::Writes => json!({ "readOnlyHint": false }),
            Self::Destroys => json!({ "destructiveHint": true }),
            Self::Contradicts => json!({ "readOnlyHint": true, "destructiveHint": true }),
        }
    }
}

impl Mode {
    pub(super) fn setting(self) -> ApprovalMode {
        match self {
            Self::Auto => ApprovalMode::Auto,
            Self::Prompt => ApprovalMode::Prompt,
            Self::Writes => ApprovalMode::Writes,
            Self::Approve => ApprovalMode::Approve,
            Self::Deny => ApprovalMode::Deny,
        }
    }
}

impl Policy {
    /// The form of `thread/start` and `thread/resume`.
    pub(super) fn params(self) -> Value {
        let (policy, sandbox) = match self {
            Self::OnRequest => ("on-request", "danger-full-access"),
            Self::Untrusted => ("untrusted", "danger-full-access"),
            Self::NeverConfined => ("never", "read-only"),
            Self::NeverFree => ("never", "danger-full-access"),
        };
        json!({ "approvalPolicy": policy, "sandbox": sandbox })
    }

    /// The form of `thread/settings/update`.
    pub(super) fn update(self) -> Value {
        let mut params = self.params();
        let sandbox = match self {
            Self::NeverConfined => json!({ "type": "readOnly", "networkAccess": false }),
            Self::OnRequest | Self::Untrusted | Self::NeverFree => json!({ "type": "dangerFullAccess" }),
        };
        params["sandboxPolicy"] = sandbox;
        params
    }
}

/// Whether a call needs no answer. `granted`: the user has allowed this form of the tool for the session.
pub(super) fn need_no_answer(policy: Policy, mode: Mode, hints: Hints, granted: bool) -> bool {
    if policy == Policy::NeverFree && mode != Mode::Deny {
        return true;
    }
    match mode {
        Mode::Approve => true,
        Mode::Deny | Mode::Prompt => false,
        Mode::Writes => hints == Hints::Reads,
        Mode::Auto if granted => true,
        Mode::Auto => match policy {
            Policy::Untrusted => hints == Hints::Reads,
            Policy::OnRequest | Policy::NeverConfined | Policy::NeverFree => {
                matches!(hints, Hints::Silent | Hints::Reads)
            }
        },
    }
}
