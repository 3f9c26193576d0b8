//! Whether settings of a request are weaker than those of the server. Pure; [`Consent`] has the order of approval policies,
//! [`is_looser`] that of sandboxes.

use skein_protocol::settings::{AskForApproval, SandboxMode, SandboxPolicy};

/// When calls need the user's consent.
#[derive(Debug, Clone, Copy)]
pub struct Consent<'a> {
    /// The approval policy.
    pub policy: &'a AskForApproval,
    /// Whether a sandbox confines the thread. Without one, `never` makes every call without a question.
    pub confined: bool,
}

impl Consent<'_> {
    /// Whether every call is made without a question.
    pub fn is_open(self) -> bool {
        *self.policy == AskForApproval::Never && !self.confined
    }

    /// Whether some call that `least` refuses or asks about would be made or asked about more easily.
    ///
    /// A policy is as strict as another one if it asks about every call that the other one asks about, and puts no kind of
    /// question that the other one declines by itself. `never` in a sandbox declines all of them. Nothing but `never` is as
    /// strict as that, and only `never` may become `never`: a later request could take the sandbox away alone.
    pub fn is_weaker_than(self, least: Consent<'_>) -> bool {
        use AskForApproval::{Never, Untrusted};
        if least.is_open() {
            return false;
        }
        if self.is_open() || (*self.policy == Never && *least.policy != Never) {
            return true;
        }
        let trusts_more = *least.policy == Untrusted && *self.policy != Untrusted;
        let mut kinds = questions(self.policy).into_iter().zip(questions(least.policy));
        trusts_more || kinds.any(|(put, least)| put && !least)
    }
}

/// Whether each kind of question is put to the user; a kind that is not put is declined.
fn questions(policy: &AskForApproval) -> [bool; 5] {
    match policy {
        AskForApproval::Untrusted | AskForApproval::OnRequest => [true; 5],
        AskForApproval::Never => [false; 5],
        AskForApproval::Granular(about) => [
            about.mcp_elicitations,
            about.request_permissions,
            about.rules,
            about.sandbox_approval,
            about.skill_approval,
        ],
    }
}

/// Whether a sandbox confines anything.
pub fn confines(sandbox: &SandboxPolicy) -> bool {
    match sandbox {
        SandboxPolicy::DangerFullAccess | SandboxPolicy::ExternalSandbox { .. } => false,
        SandboxPolicy::ReadOnly { .. } | SandboxPolicy::WorkspaceWrite { .. } => true,
    }
}

/// Whether a sandbox allows more than the mode `least`. The modes give no network, and no folders to write besides the
/// workspace.
pub fn is_looser(sandbox: &SandboxPolicy, least: SandboxMode) -> bool {
    match (least, sandbox) {
        (SandboxMode::DangerFullAccess, _) => false,
        (_, SandboxPolicy::DangerFullAccess | SandboxPolicy::ExternalSandbox { .. }) => true,
        (_, SandboxPolicy::ReadOnly { network_access }) => *network_access,
        (SandboxMode::ReadOnly, SandboxPolicy::WorkspaceWrite { .. }) => true,
        (
            SandboxMode::WorkspaceWrite,
            SandboxPolicy::WorkspaceWrite { network_access, writable_roots, .. },
        ) => *network_access || !writable_roots.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skein_protocol::settings::GranularApproval;

    use super::*;

    fn granular(kinds: [bool; 5]) -> AskForApproval {
        let [mcp_elicitations, request_permissions, rules, sandbox_approval, skill_approval] = kinds;
        AskForApproval::Granular(GranularApproval {
            mcp_elicitations,
            request_permissions,
            rules,
            sandbox_approval,
            skill_approval,
        })
    }

    /// Whether this policy may be asked for under that one, each in a sandbox or not.
    fn may(asked: (&AskForApproval, bool), least: (&AskForApproval, bool)) -> bool {
        let of = |(policy, confined)| Consent { policy, confined };
        !of(asked).is_weaker_than(of(least))
    }

    #[test]
    fn policies_have_an_order_from_untrusted_to_never() {
        use AskForApproval::{Never, OnRequest, Untrusted};
        let (all, none) = (granular([true; 5]), granular([false; 5]));
        for confined in [true, false] {
            let may =
                |asked: &AskForApproval, least: &AskForApproval| may((asked, confined), (least, confined));
            for policy in [&Untrusted, &OnRequest, &Never, &all, &none] {
                assert!(may(policy, policy), "{policy:?}");
            }
            assert!(may(&Untrusted, &OnRequest) && !may(&OnRequest, &Untrusted));
            assert!(!may(&Never, &OnRequest) && !may(&Never, &Untrusted));
            assert!(may(&all, &OnRequest) && may(&OnRequest, &all));
            assert!(!may(&all, &Untrusted));
        }
    }

    #[test]
    fn never_declines_in_a_sandbox_and_allows_everything_without_one() {
        use AskForApproval::{Never, OnRequest, Untrusted};
        let (inside, outside) = ((&Never, true), (&Never, false));
        let (all, none) = (granular([true; 5]), granular([false; 5]));
        for asked in [(&Untrusted, true), (&OnRequest, false), outside, inside] {
            assert!(may(asked, outside), "nothing is weaker than making every call");
        }
        for asked in [(&Untrusted, true), (&OnRequest, true), outside, (&all, true)] {
            assert!(!may(asked, inside), "{asked:?} asks about what is declined, or makes it");
        }
        assert!(may((&none, true), inside));
        assert!(!may(outside, (&OnRequest, true)) && !may(inside, (&OnRequest, true)));
    }

    #[test]
    fn a_kind_of_question_that_is_declined_stays_declined() {
        for kind in 0..5 {
            let mut without = [true; 5];
            without[kind] = false;
            let (all, without) = (granular([true; 5]), granular(without));
            assert!(may((&without, false), (&all, false)) && !may((&all, false), (&without, false)));
            assert!(!may((&AskForApproval::OnRequest, false), (&without, false)));
            assert!(!may((&AskForApproval::Untrusted, false), (&without, false)));
        }
    }

    #[test]
    fn sandboxes_have_an_order_from_reading_to_full_access() {
        use SandboxMode::{DangerFullAccess, ReadOnly, WorkspaceWrite};
        // Whether each sandbox is looser than these three modes.
        for (sandbox, than) in [
            (json!({ "type": "readOnly" }), [false, false, false]),
            (json!({ "type": "readOnly", "networkAccess": true }), [true, true, false]),
            (json!({ "type": "workspaceWrite" }), [true, false, false]),
            (json!({ "type": "workspaceWrite", "networkAccess": true }), [true, true, false]),
            (json!({ "type": "workspaceWrite", "writableRoots": ["/"] }), [true, true, false]),
            (json!({ "type": "workspaceWrite", "excludeSlashTmp": true }), [true, false, false]),
            (json!({ "type": "externalSandbox" }), [true, true, false]),
            (json!({ "type": "dangerFullAccess" }), [true, true, false]),
        ] {
            let policy = serde_json::from_value(sandbox.clone()).unwrap();
            let found = [ReadOnly, WorkspaceWrite, DangerFullAccess].map(|least| is_looser(&policy, least));
            assert_eq!(found, than, "{sandbox}");
            let is_confined = ["readOnly", "workspaceWrite"].iter().any(|kind| sandbox["type"] == *kind);
            assert_eq!(confines(&policy), is_confined, "{sandbox}");
        }
    }
}
