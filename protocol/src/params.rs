//! The treatment of each param of the methods that start or configure threads and turns: whether a client can rely on
//! it, and why not.

use crate::{
    methods::{ThreadFork, ThreadResume, ThreadStart, TurnStart},
    table::Method,
};

/// A param of one of these methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Name of the method on the wire.
    pub method: &'static str,
    /// Name of the param on the wire.
    pub name: &'static str,
    /// Its treatment.
    pub treatment: Treatment,
}

/// The treatment of a param.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// The param does what its name says.
    Honoured,
    /// The param decides this, and nothing else.
    HonouredFor(&'static str),
    /// The server ignores the param for this reason.
    PassedOver(&'static str),
    /// The request fails for this reason.
    Refused(&'static str),
}

/// The methods that have such a table.
pub const METHODS: [&str; 4] =
    [ThreadStart::INFO.wire, ThreadResume::INFO.wire, ThreadFork::INFO.wire, TurnStart::INFO.wire];

/// The treatment of each param of `method`.
pub fn of(method: &str) -> impl Iterator<Item = &'static Param> {
    let rows = [START, RESUME, FORK, TURN].into_iter().flatten();
    rows.filter(move |row| row.method == method)
}

const fn honoured(method: &'static str, name: &'static str) -> Param {
    Param { method, name, treatment: Treatment::Honoured }
}

const fn honoured_for(method: &'static str, name: &'static str, what: &'static str) -> Param {
    Param { method, name, treatment: Treatment::HonouredFor(what) }
}

const fn passed_over(method: &'static str, name: &'static str, reason: &'static str) -> Param {
    Param { method, name, treatment: Treatment::PassedOver(reason) }
}

const fn refused(method: &'static str, name: &'static str, reason: &'static str) -> Param {
    Param { method, name, treatment: Treatment::Refused(reason) }
}

const REVIEWER: &str = "there is no automatic reviewer: every question goes to the user, and answers say so";
const SANDBOX: &str = "whether calls that the user would be asked about are made or refused under `approvalPolicy: never`; Skein runs no commands of its own, and confines no helper";
const PERMISSIONS: &str = "there is one profile, as Skein confines nobody";
const ROOTS: &str = "the working directory is the only root";
const ENVIRONMENTS: &str = "turns run on the machine of the server; there are no remote environments";
const AGENTS: &str = "no agent starts others";
const PROGRAMMES: &str = "belongs to the peer's own accounts";
const PLUGINS: &str = "there are no plugins";
const OWN_HISTORY: &str = "a thread is found by its id, in its own rollout";
const PREDICTIONS: &str = "predictions of the user's next input belong to the peer's own service";
const METADATA: &str = "it is for the peer's own service, and no provider of Skein's takes it";
const TREE: &str = "turns begin no other turns";

const START: &[Param] = &{
    const M: &str = ThreadStart::INFO.wire;
    [
        passed_over(M, "allowProviderModelFallback", "a provider that is not there is an error"),
        honoured(M, "approvalPolicy"),
        passed_over(M, "approvalsReviewer", REVIEWER),
        honoured(M, "baseInstructions"),
        honoured(M, "config"),
        honoured(M, "cwd"),
        passed_over(M, "daybreakEnabled", PROGRAMMES),
        honoured(M, "developerInstructions"),
        honoured(M, "dynamicTools"),
        passed_over(M, "environments", ENVIRONMENTS),
        honoured(M, "ephemeral"),
        passed_over(M, "experimentalRawEvents", "what a provider sends is not passed on in its own form"),
        passed_over(M, "historyMode", "each history can be read in pages, and whole where it fits"),
        passed_over(M, "mockExperimentalField", "exists for the peer's own tests"),
        honoured(M, "model"),
        honoured(M, "modelProvider"),
        passed_over(M, "multiAgentMode", AGENTS),
        passed_over(M, "permissions", PERMISSIONS),
        honoured(M, "personality"),
        passed_over(M, "projectId", "threads are grouped by working directory, not by project"),
        passed_over(M, "runtimeWorkspaceRoots", ROOTS),
        honoured_for(M, "sandbox", SANDBOX),
        passed_over(M, "selectedCapabilityRoots", PLUGINS),
        passed_over(M, "serviceName", "the client's name is the one of initialize"),
        honoured(M, "serviceTier"),
        passed_over(M, "sessionStartSource", "nothing depends on what made the client begin"),
        honoured(M, "threadSource"),
    ]
};

const RESUME: &[Param] = &{
    const M: &str = ThreadResume::INFO.wire;
    [
        honoured(M, "approvalPolicy"),
        passed_over(M, "approvalsReviewer", REVIEWER),
        honoured(M, "baseInstructions"),
        honoured(M, "config"),
        honoured(M, "cwd"),
        honoured(M, "developerInstructions"),
        honoured(M, "excludeTurns"),
        refused(M, "history", OWN_HISTORY),
        honoured(M, "initialTurnsPage"),
        honoured(M, "model"),
        honoured(M, "modelProvider"),
        refused(M, "path", OWN_HISTORY),
        passed_over(M, "permissions", PERMISSIONS),
        honoured(M, "personality"),
        passed_over(M, "runtimeWorkspaceRoots", ROOTS),
        honoured_for(M, "sandbox", SANDBOX),
        honoured(M, "serviceTier"),
        honoured(M, "threadId"),
    ]
};

const FORK: &[Param] = &{
    const M: &str = ThreadFork::INFO.wire;
    [
        honoured(M, "approvalPolicy"),
        passed_over(M, "approvalsReviewer", REVIEWER),
        refused(M, "attachToSource", "a fork stands by itself"),
        honoured(M, "baseInstructions"),
        honoured(M, "beforeTurnId"),
        honoured(M, "config"),
        honoured(M, "cwd"),
        passed_over(M, "deferGoalContinuation", "a goal begins no turns"),
        honoured(M, "developerInstructions"),
        honoured(M, "ephemeral"),
        honoured(M, "excludeTurns"),
        passed_over(M, "experimentalDisablePredictionMcp", PREDICTIONS),
        passed_over(M, "experimentalPredictionMode", PREDICTIONS),
        honoured(M, "lastTurnId"),
        honoured(M, "model"),
        honoured(M, "modelProvider"),
        refused(M, "path", OWN_HISTORY),
        passed_over(M, "permissions", PERMISSIONS),
        passed_over(M, "runtimeWorkspaceRoots", ROOTS),
        honoured_for(M, "sandbox", SANDBOX),
        honoured(M, "serviceTier"),
        honoured(M, "threadId"),
        honoured(M, "threadSource"),
    ]
};

const TURN: &[Param] = &{
    const M: &str = TurnStart::INFO.wire;
    [
        honoured(M, "additionalContext"),
        honoured(M, "approvalPolicy"),
        passed_over(M, "approvalsReviewer", REVIEWER),
        honoured(M, "clientUserMessageId"),
        honoured(M, "collaborationMode"),
        honoured(M, "cwd"),
        passed_over(M, "cyberAccessProgram", PROGRAMMES),
        passed_over(M, "disabledPluginIds", PLUGINS),
        honoured(M, "effort"),
        passed_over(M, "environments", ENVIRONMENTS),
        honoured(M, "input"),
        honoured(M, "model"),
        passed_over(M, "multiAgentMode", AGENTS),
        honoured(M, "outputSchema"),
        passed_over(M, "parentTurnId", TREE),
        passed_over(M, "permissions", PERMISSIONS),
        honoured(M, "personality"),
        passed_over(M, "responsesapiClientMetadata", METADATA),
        passed_over(M, "responsesapiClientMetadataPatch", METADATA),
        passed_over(M, "rootTurnId", TREE),
        passed_over(M, "runtimeWorkspaceRoots", ROOTS),
        honoured_for(M, "sandboxPolicy", SANDBOX),
        honoured(M, "serviceTier"),
        honoured(M, "serviceTierForTurn"),
        honoured(M, "summary"),
        honoured(M, "threadId"),
        refused(M, "toolOutput", "no turn begins with what came of a tool that nobody has called"),
        passed_over(M, "turnTrigger", "nothing depends on what made the client begin"),
    ]
};
