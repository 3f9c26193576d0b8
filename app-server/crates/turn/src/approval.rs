//! Decides whether a model's call of a helper's tool is made, needs the user's answer, or is refused. Pure.
//!
//! Three things decide, in this order: the settings of the tool, the user's earlier permission (until the thread is
//! unloaded), and the approval policy with the tool's own hints. docs/approvals.md describes the rules.

use serde_json::Value;
use skein_protocol::settings::{AskForApproval, SandboxPolicy};

use skein_helpers::ApprovalMode;

/// A tool's hints about itself (MCP's `annotations`). A helper writes its own hints: they may ask for more care, and a
/// tool that only reads is spared a question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hints {
    /// The tool changes nothing.
    pub read_only: Option<bool>,
    /// The tool may delete or overwrite.
    pub destructive: Option<bool>,
    /// The tool works on more than the helper's own data.
    pub open_world: Option<bool>,
}

impl Hints {
    /// Reads a tool's `annotations`; ignores values that are not booleans.
    #[must_use]
    pub fn of(annotations: Option<&Value>) -> Self {
        let said = |key| annotations.and_then(|said| said.get(key)).and_then(Value::as_bool);
        Self {
            read_only: said("readOnlyHint"),
            destructive: said("destructiveHint"),
            open_world: said("openWorldHint"),
        }
    }

    /// Whether the tool claims to only read. A claim to destroy as well overrides this.
    #[must_use]
    pub fn only_reads(self) -> bool {
        self.read_only == Some(true) && self.destructive != Some(true)
    }

    /// Whether the hints call for a question: the tool destroys, or changes something without a claim that this is
    /// harmless. A tool without hints does not warn.
    fn warns(self) -> bool {
        let changes = self.read_only == Some(false);
        let harmless = self.destructive == Some(false) && self.open_world != Some(true);
        self.destructive == Some(true) || (changes && !harmless)
    }
}

/// The approval policy of a turn (protocol: `approvalPolicy`, `sandboxPolicy`).
#[derive(Debug, Clone, Copy)]
pub struct ApprovalRules<'r> {
    /// When the user is asked.
    pub policy: &'r AskForApproval,
    /// If the sandbox confines nothing and the policy is never to ask, every call is made.
    pub sandbox: &'r SandboxPolicy,
}

/// The facts about a call that a judgement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// The settings of its tool.
    pub approval: ApprovalMode,
    /// The tool's annotations (MCP: `ToolAnnotations`).
    pub hints: Hints,
    /// The user has allowed the tool until the thread is unloaded.
    pub allowed: bool,
}

/// The verdict on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallVerdict {
    /// It is made.
    Go,
    /// The user is asked first.
    Ask {
        /// Whether the answer may hold for later calls of this tool, too.
        lasting: bool,
    },
    /// It is not made, and the model gets the reason.
    Refuse(CallRefusal),
}

/// Why a call is refused without a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallRefusal {
    /// The settings deny the tool.
    Denied,
    /// The call needs the user's approval, and the policy is never to ask.
    NeverAsked,
    /// The call needs the user's approval, and the policy excludes questions about tools.
    NotAskedAboutTools,
}

impl CallRefusal {
    /// The text for the model, which goes on without the call.
    #[must_use]
    pub fn for_model(self) -> &'static str {
        match self {
            Self::Denied => "this tool may not be called: the user's settings deny it",
            Self::NeverAsked => {
                "this call needs the user's approval, and the approval policy is never to ask; the call was not made"
            }
            Self::NotAskedAboutTools => {
                "this call needs the user's approval, and the approval policy has no questions about tools; \
                 the call was not made"
            }
        }
    }
}

/// Judges a call by the settings of its tool first, then by the policy. Pure.
#[must_use]
pub fn judge(rules: ApprovalRules<'_>, call: Judged) -> CallVerdict {
    match call.approval {
        ApprovalMode::Deny => CallVerdict::Refuse(CallRefusal::Denied),
        ApprovalMode::Approve => CallVerdict::Go,
        ApprovalMode::Auto if !asks(rules.policy, call.hints) || call.allowed => CallVerdict::Go,
        ApprovalMode::Writes if call.hints.only_reads() => CallVerdict::Go,
        ApprovalMode::Auto => put(rules, true),
        // These settings require a question each time.
        ApprovalMode::Prompt | ApprovalMode::Writes => put(rules, false),
    }
}

/// Whether the policy requires a question, if the settings leave the decision to it.
fn asks(policy: &AskForApproval, hints: Hints) -> bool {
    match policy {
        AskForApproval::Untrusted => !hints.only_reads(),
        AskForApproval::OnRequest | AskForApproval::Granular(_) | AskForApproval::Never => hints.warns(),
    }
}

/// The verdict on a call that needs a question.
fn put(rules: ApprovalRules<'_>, lasting: bool) -> CallVerdict {
    match rules.policy {
        AskForApproval::Never if confines_nothing(rules.sandbox) => CallVerdict::Go,
        AskForApproval::Never => CallVerdict::Refuse(CallRefusal::NeverAsked),
        AskForApproval::Granular(about) if !about.mcp_elicitations => {
            CallVerdict::Refuse(CallRefusal::NotAskedAboutTools)
        }
        AskForApproval::Granular(_) | AskForApproval::OnRequest | AskForApproval::Untrusted => {
            CallVerdict::Ask { lasting }
        }
    }
}

/// Whether the policy lets helpers (MCP servers) ask the user.
#[must_use]
pub fn lets_helpers_ask(policy: &AskForApproval) -> bool {
    match policy {
        AskForApproval::Never => false,
        AskForApproval::Granular(about) => about.mcp_elicitations,
        AskForApproval::OnRequest | AskForApproval::Untrusted => true,
    }
}

fn confines_nothing(sandbox: &SandboxPolicy) -> bool {
    match sandbox {
        SandboxPolicy::DangerFullAccess | SandboxPolicy::ExternalSandbox { .. } => true,
        SandboxPolicy::ReadOnly { .. } | SandboxPolicy::WorkspaceWrite { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use skein_config::access::Consent;
    use skein_protocol::settings::GranularApproval;

    use super::*;

    const FULL: SandboxPolicy = SandboxPolicy::DangerFullAccess;
    const READ: SandboxPolicy = SandboxPolicy::ReadOnly { network_access: false };
    const ONCE: CallVerdict = CallVerdict::Ask { lasting: false };
    const LASTING: CallVerdict = CallVerdict::Ask { lasting: true };
    const NEVER: CallVerdict = CallVerdict::Refuse(CallRefusal::NeverAsked);

    const SILENT: Hints = Hints { read_only: None, destructive: None, open_world: None };
    const READS: Hints = Hints { read_only: Some(true), ..SILENT };
    const WRITES: Hints = Hints { read_only: Some(false), ..SILENT };
    const DESTROYS: Hints = Hints { destructive: Some(true), ..SILENT };
    const ADDS: Hints = Hints { destructive: Some(false), ..WRITES };
    const SENDS: Hints = Hints { open_world: Some(true), ..ADDS };
    const CONTRADICTS: Hints = Hints { destructive: Some(true), ..READS };
    const LOOKS_OUT: Hints = Hints { open_world: Some(true), ..SILENT };

    fn granular(mcp_elicitations: bool) -> AskForApproval {
        AskForApproval::Granular(GranularApproval {
            mcp_elicitations,
            request_permissions: false,
            rules: true,
            sandbox_approval: true,
            skill_approval: false,
        })
    }

    fn verdict(
        policy: &AskForApproval,
        sandbox: &SandboxPolicy,
        approval: ApprovalMode,
        hints: Hints,
    ) -> CallVerdict {
        judge(ApprovalRules { policy, sandbox }, Judged { approval, hints, allowed: false })
    }

    #[test]
    fn by_the_default_who_says_nothing_is_called_and_who_warns_is_asked_about() {
        for (hints, expected) in [
            (SILENT, CallVerdict::Go),
            (READS, CallVerdict::Go),
            (LOOKS_OUT, CallVerdict::Go),
            (ADDS, CallVerdict::Go),
            (WRITES, LASTING),
            (SENDS, LASTING),
            (DESTROYS, LASTING),
            (CONTRADICTS, LASTING),
        ] {
            for policy in [AskForApproval::OnRequest, granular(true)] {
                assert_eq!(verdict(&policy, &FULL, ApprovalMode::Auto, hints), expected, "{hints:?}");
            }
        }
    }

    #[test]
    fn without_trust_only_who_says_that_it_reads_is_called() {
        for (hints, expected) in [
            (READS, CallVerdict::Go),
            (SILENT, LASTING),
            (ADDS, LASTING),
            (LOOKS_OUT, LASTING),
            (CONTRADICTS, LASTING),
        ] {
            assert_eq!(
                verdict(&AskForApproval::Untrusted, &FULL, ApprovalMode::Auto, hints),
                expected,
                "{hints:?}"
            );
        }
    }

    #[test]
    fn who_is_never_asked_has_everything_done_or_what_would_be_asked_refused() {
        for (sandbox, hints, approval, expected) in [
            (&FULL, DESTROYS, ApprovalMode::Auto, CallVerdict::Go),
            (&FULL, SILENT, ApprovalMode::Prompt, CallVerdict::Go),
            (&READ, SILENT, ApprovalMode::Auto, CallVerdict::Go),
            (&READ, DESTROYS, ApprovalMode::Auto, NEVER),
            (&READ, SILENT, ApprovalMode::Prompt, NEVER),
            (&READ, SILENT, ApprovalMode::Writes, NEVER),
            (&READ, READS, ApprovalMode::Writes, CallVerdict::Go),
            (&READ, DESTROYS, ApprovalMode::Approve, CallVerdict::Go),
        ] {
            let found = verdict(&AskForApproval::Never, sandbox, approval, hints);
            assert_eq!(found, expected, "{sandbox:?} {hints:?} {approval:?}");
        }
    }

    #[test]
    fn questions_about_tools_can_be_switched_off_alone() {
        let refused = CallVerdict::Refuse(CallRefusal::NotAskedAboutTools);
        assert_eq!(verdict(&granular(false), &FULL, ApprovalMode::Auto, DESTROYS), refused);
        assert_eq!(verdict(&granular(false), &FULL, ApprovalMode::Prompt, READS), refused);
        assert_eq!(verdict(&granular(false), &FULL, ApprovalMode::Auto, SILENT), CallVerdict::Go);
        assert!(!lets_helpers_ask(&granular(false)) && lets_helpers_ask(&granular(true)));
        assert!(!lets_helpers_ask(&AskForApproval::Never) && lets_helpers_ask(&AskForApproval::Untrusted));
    }

    #[test]
    fn what_the_settings_say_of_a_tool_goes_before_the_policy() {
        let on_request = AskForApproval::OnRequest;
        for (approval, hints, expected) in [
            (ApprovalMode::Approve, DESTROYS, CallVerdict::Go),
            (ApprovalMode::Deny, READS, CallVerdict::Refuse(CallRefusal::Denied)),
            (ApprovalMode::Prompt, READS, ONCE),
            (ApprovalMode::Writes, READS, CallVerdict::Go),
            (ApprovalMode::Writes, CONTRADICTS, ONCE),
            (ApprovalMode::Writes, SILENT, ONCE),
            (ApprovalMode::Writes, ADDS, ONCE),
        ] {
            assert_eq!(verdict(&on_request, &FULL, approval, hints), expected, "{approval:?} {hints:?}");
        }
        let never = AskForApproval::Never;
        assert_eq!(
            verdict(&never, &FULL, ApprovalMode::Deny, READS),
            CallVerdict::Refuse(CallRefusal::Denied)
        );
    }

    #[test]
    fn what_was_allowed_once_for_long_is_not_asked_again_where_that_can_be_allowed() {
        let policy = AskForApproval::OnRequest;
        let rules = ApprovalRules { policy: &policy, sandbox: &FULL };
        let again = |approval| judge(rules, Judged { approval, hints: DESTROYS, allowed: true });
        assert_eq!(again(ApprovalMode::Auto), CallVerdict::Go);
        assert_eq!(again(ApprovalMode::Prompt), ONCE);
        assert_eq!(again(ApprovalMode::Writes), ONCE);
        assert_eq!(again(ApprovalMode::Deny), CallVerdict::Refuse(CallRefusal::Denied));
    }

    #[test]
    fn hints_are_booleans_or_not_there() {
        let said =
            json!({"readOnlyHint": false, "destructiveHint": "yes", "openWorldHint": true, "title": "x"});
        let hints = Hints { read_only: Some(false), destructive: None, open_world: Some(true) };
        assert_eq!(Hints::of(Some(&said)), hints);
        for nothing in [None, Some(&json!(null)), Some(&json!([true]))] {
            assert_eq!(Hints::of(nothing), SILENT);
        }
    }

    fn any_hint() -> impl Strategy<Value = Option<bool>> {
        prop_oneof![Just(None), Just(Some(true)), Just(Some(false))]
    }

    fn any_hints() -> impl Strategy<Value = Hints> {
        (any_hint(), any_hint(), any_hint()).prop_map(|(read_only, destructive, open_world)| Hints {
            read_only,
            destructive,
            open_world,
        })
    }

    fn any_policy() -> impl Strategy<Value = AskForApproval> {
        prop_oneof![
            Just(AskForApproval::Untrusted),
            Just(AskForApproval::OnRequest),
            Just(AskForApproval::Never),
            any::<bool>().prop_map(granular),
        ]
    }

    fn any_mode() -> impl Strategy<Value = ApprovalMode> {
        prop_oneof![
            Just(ApprovalMode::Auto),
            Just(ApprovalMode::Prompt),
            Just(ApprovalMode::Writes),
            Just(ApprovalMode::Approve),
            Just(ApprovalMode::Deny),
        ]
    }

    fn any_call() -> impl Strategy<Value = Judged> {
        (any_mode(), any_hints(), any::<bool>()).prop_map(|(approval, hints, allowed)| Judged {
            approval,
            hints,
            allowed,
        })
    }

    fn is_go(verdict: CallVerdict) -> bool {
        verdict == CallVerdict::Go
    }

    proptest! {
        #[test]
        fn nobody_is_asked_who_does_not_want_to_be(call in any_call(), full in any::<bool>()) {
            let sandbox = if full { FULL } else { READ };
            for policy in [AskForApproval::Never, granular(false)] {
                let found = judge(ApprovalRules { policy: &policy, sandbox: &sandbox }, call);
                prop_assert!(!matches!(found, CallVerdict::Ask { .. }), "{policy:?} {found:?}");
            }
        }

        #[test]
        fn denied_is_denied_and_approved_is_made(call in any_call(), policy in any_policy()) {
            let rules = ApprovalRules { policy: &policy, sandbox: &READ };
            let with = |approval| judge(rules, Judged { approval, ..call });
            prop_assert_eq!(with(ApprovalMode::Deny), CallVerdict::Refuse(CallRefusal::Denied));
            prop_assert_eq!(with(ApprovalMode::Approve), CallVerdict::Go);
        }

        #[test]
        fn less_trust_never_makes_a_call_that_more_trust_asks_about(call in any_call()) {
            let go = |policy| is_go(judge(ApprovalRules { policy: &policy, sandbox: &READ }, call));
            prop_assert!(!go(AskForApproval::Untrusted) || go(AskForApproval::OnRequest));
            prop_assert!(!go(AskForApproval::OnRequest) || call.approval != ApprovalMode::Auto
                || go(AskForApproval::Never));
        }

        #[test]
        fn a_tool_that_says_that_it_destroys_is_never_called_more_easily(
            call in any_call(), policy in any_policy(), full in any::<bool>(),
        ) {
            let sandbox = if full { FULL } else { READ };
            let rules = ApprovalRules { policy: &policy, sandbox: &sandbox };
            let with = |destructive| judge(rules, Judged { hints: Hints { destructive, ..call.hints }, ..call });
            prop_assert!(!is_go(with(Some(true))) || is_go(with(Some(false))));
            prop_assert!(!is_go(with(Some(true))) || is_go(with(None)));
        }

        #[test]
        fn a_policy_that_counts_as_strict_makes_no_call_more_easily(
            call in any_call(), asked in any_policy(), least in any_policy(), full in any::<(bool, bool)>(),
        ) {
            let sandbox = |full| if full { FULL } else { READ };
            let found = |policy, full| judge(ApprovalRules { policy, sandbox: &sandbox(full) }, call);
            let rank = |verdict| match verdict {
                CallVerdict::Refuse(_) => 0,
                CallVerdict::Ask { .. } => 1,
                CallVerdict::Go => 2,
            };
            let consent = |policy, full: bool| Consent { policy, confined: !full };
            if !consent(&asked, full.0).is_weaker_than(consent(&least, full.1)) {
                prop_assert!(rank(found(&asked, full.0)) <= rank(found(&least, full.1)));
            }
        }

        #[test]
        fn what_may_last_does(call in any_call(), policy in any_policy()) {
            let rules = ApprovalRules { policy: &policy, sandbox: &READ };
            if judge(rules, call) == LASTING {
                prop_assert_eq!(judge(rules, Judged { allowed: true, ..call }), CallVerdict::Go);
            }
        }
    }
}
