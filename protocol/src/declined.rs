//! The requests of Codex app-server v2 (0.169.0) that Skein does not offer, each with its reason. They get "method
//! not found", like any unknown name. Also the rows that the server never sends.

/// A method of the peer that is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declined {
    /// Name on the wire.
    pub wire: &'static str,
    /// Whether that can change.
    pub outlook: Outlook,
    /// The reason, and a replacement if there is one.
    pub reason: &'static str,
}

/// Whether Skein may offer a method later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outlook {
    /// Not built yet.
    NotYet,
    /// Not a purpose of Skein.
    OutOfScope,
}

const fn not_yet(wire: &'static str, reason: &'static str) -> Declined {
    Declined { wire, outlook: Outlook::NotYet, reason }
}

const fn out_of_scope(wire: &'static str, reason: &'static str) -> Declined {
    Declined { wire, outlook: Outlook::OutOfScope, reason }
}

/// A notification or request in the tables that this server never sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unraised {
    /// Name on the wire.
    pub wire: &'static str,
    /// The reason.
    pub reason: &'static str,
}

/// Every such row.
pub const UNRAISED: &[Unraised] = &[];

// The reasons of several methods.
const RELAY: &str = "a relay of the peer's own service; a client reaches Skein by its websocket address";
const SECTIONS: &str = "sections order the list of one product's client; clients keep them themselves";
const ATTACHMENTS: &str = "links from threads to things of other products belong to the peer's own apps";
const IMPORT: &str = "other agents' histories and helpers are taken over at the command line: skein import and skein mcp import";
const TERMINALS: &str = "Skein runs no shell; there are no terminals to list or end";
const GATEWAY: &str = "Skein has no accounts; a gateway's key comes from the environment";
const ENVIRONMENTS: &str = "turns run on the machine of the server; there are no remote environments";
const CLOUD: &str = "no provider signs in with a cloud account; keys of providers come from the environment";
const FILE_SEARCH: &str = "Skein is no file server; a search of files is a tool of a helper";
const CHANNEL: &str = "a channel of the peer's own apps; no helper of the MCP standard has it";
const COMMANDS: &str = "Skein runs no commands for clients; commands are tools of helpers";

/// Every declined method, in the peer's order within each outlook.
pub const DECLINED: &[Declined] = &[
    not_yet(
        "thread/increment_elicitation",
        "nothing is paused by a question: without tool_timeout_sec no call of a tool has a limit",
    ),
    not_yet("thread/decrement_elicitation", "belongs to thread/increment_elicitation"),
    not_yet("thread/items/read", "thread/items/list defers no output, so there is none to fetch"),
    not_yet(
        "turn/settings/update",
        "model and effort of a running turn cannot be changed yet; turn/start adds to it with other policies",
    ),
    not_yet("thread/timeline/list", "thread/turns/list and thread/items/list read the history"),
    out_of_scope("userVerification/status", "belongs to the peer's own accounts and devices"),
    out_of_scope("userVerification/enroll", "belongs to the peer's own accounts and devices"),
    out_of_scope("userVerification/delete", "belongs to the peer's own accounts and devices"),
    out_of_scope("userVerification/verify", "belongs to the peer's own accounts and devices"),
    out_of_scope("userVerification/cancel", "belongs to the peer's own accounts and devices"),
    out_of_scope(
        "thread/sample",
        "side questions to the model beside a turn; an ephemeral thread does the same",
    ),
    out_of_scope(
        "thread/sample/cancel",
        "belongs to thread/sample; interrupt the turn of the ephemeral thread",
    ),
    out_of_scope(
        "thread/prediction/request",
        "predictions of the user's next input belong to the peer's own service",
    ),
    out_of_scope("thread/attachment/add", ATTACHMENTS),
    out_of_scope("thread/attachment/list", ATTACHMENTS),
    out_of_scope("thread/attachmentOwner/list", ATTACHMENTS),
    out_of_scope("thread/attachment/remove", ATTACHMENTS),
    out_of_scope("thread/section/move", SECTIONS),
    out_of_scope("thread/memoryMode/set", "Skein keeps no memories across threads"),
    out_of_scope("thread/memory/read", "Skein keeps no memories across threads"),
    out_of_scope("memory/status", "Skein keeps no memories across threads"),
    out_of_scope("memory/reset", "Skein keeps no memories across threads"),
    out_of_scope("rollout/compress", "rollouts are plain text on disk; the file system can compress them"),
    out_of_scope("thread/shellCommand", "Skein runs no shell; commands are tools of helpers"),
    out_of_scope("thread/approveGuardianDeniedAction", "Skein has no automatic reviewer of approvals"),
    out_of_scope("thread/backgroundTerminals/clean", TERMINALS),
    out_of_scope("thread/backgroundTerminals/list", TERMINALS),
    out_of_scope("thread/backgroundTerminals/terminate", TERMINALS),
    out_of_scope("project/list", "Skein groups threads by working directory, not by project"),
    out_of_scope("project/read", "Skein groups threads by working directory, not by project"),
    out_of_scope("project/create", "Skein groups threads by working directory, not by project"),
    out_of_scope("project/import", "Skein groups threads by working directory, not by project"),
    out_of_scope("project/update", "Skein groups threads by working directory, not by project"),
    out_of_scope("project/move", "Skein groups threads by working directory, not by project"),
    out_of_scope("project/delete", "Skein groups threads by working directory, not by project"),
    out_of_scope("threadSection/list", SECTIONS),
    out_of_scope("threadSection/create", SECTIONS),
    out_of_scope("threadSection/update", SECTIONS),
    out_of_scope("threadSection/delete", SECTIONS),
    out_of_scope("thread/guardianReview", "Skein has no automatic reviewer of approvals"),
    out_of_scope(
        "thread/prepareApprovedPlan",
        "plans that run as threads of their own belong to the peer's own client",
    ),
    out_of_scope("skills/extraRoots/set", "belongs to the peer's catalogue of skills"),
    out_of_scope("marketplace/add", "Skein has no marketplace; helpers are configured in config.toml"),
    out_of_scope("marketplace/remove", "Skein has no marketplace; helpers are configured in config.toml"),
    out_of_scope("marketplace/upgrade", "Skein has no marketplace; helpers are configured in config.toml"),
    out_of_scope("plugin/list", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/search", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/installed", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/reconcile", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/read", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/skill/read", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/share/save", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/share/updateTargets", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/share/list", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/share/checkout", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/share/delete", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("app/read", "apps belong to the peer's own service"),
    out_of_scope("app/list", "apps belong to the peer's own service"),
    out_of_scope("app/installed", "apps belong to the peer's own service"),
    out_of_scope("fs/readFile", "Skein is no file server; files are reached by helpers"),
    out_of_scope("fs/writeFile", "Skein is no file server; files are reached by helpers"),
    out_of_scope("fs/createDirectory", "Skein is no file server; files are reached by helpers"),
    out_of_scope("fs/getMetadata", "Skein is no file server; files are reached by helpers"),
    out_of_scope("fs/readDirectory", "Skein is no file server; files are reached by helpers"),
    out_of_scope("fs/remove", "Skein is no file server; files are reached by helpers"),
    out_of_scope("fs/copy", "Skein is no file server; files are reached by helpers"),
    out_of_scope("fs/watch", "Skein is no file server, and watches no files"),
    out_of_scope("fs/unwatch", "Skein is no file server, and watches no files"),
    out_of_scope("skills/config/write", "belongs to the peer's catalogue of skills"),
    out_of_scope("plugin/install", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("plugin/uninstall", "Skein has no plugins; helpers are configured in config.toml"),
    out_of_scope("thread/realtime/start", "Skein has no voice; conversations are text"),
    out_of_scope("thread/realtime/appendAudio", "Skein has no voice; conversations are text"),
    out_of_scope("thread/realtime/appendText", "Skein has no voice; conversations are text"),
    out_of_scope("thread/realtime/appendSpeech", "Skein has no voice; conversations are text"),
    out_of_scope("thread/realtime/stop", "Skein has no voice; conversations are text"),
    out_of_scope("thread/realtime/listVoices", "Skein has no voice; conversations are text"),
    out_of_scope("review/start", "reviews of code changes need the peer's own prompts and tools"),
    out_of_scope("account/gatewayOAuth/read", GATEWAY),
    out_of_scope("account/gatewayOAuth/login", GATEWAY),
    out_of_scope("account/gatewayOAuth/cancel", GATEWAY),
    out_of_scope("modelProvider/config/write", "providers are configured in config.toml"),
    out_of_scope("experimentalFeature/enablement/set", "there are no switches for features"),
    out_of_scope("remoteControl/enable", RELAY),
    out_of_scope("remoteControl/disable", RELAY),
    out_of_scope("remoteControl/status/read", RELAY),
    out_of_scope("remoteControl/pairing/start", RELAY),
    out_of_scope("remoteControl/pairing/status", RELAY),
    out_of_scope("remoteControl/client/list", RELAY),
    out_of_scope("remoteControl/client/revoke", RELAY),
    out_of_scope("mock/experimentalMethod", "exists for the peer's own tests"),
    out_of_scope("environment/add", ENVIRONMENTS),
    out_of_scope("environment/info", ENVIRONMENTS),
    out_of_scope("environment/status", ENVIRONMENTS),
    out_of_scope(
        "mcpServer/oauth/login",
        "Skein signs in nowhere: a helper over HTTP is given a token by name, as bearer_token_env_var",
    ),
    out_of_scope("mcpServer/event/stream/start", CHANNEL),
    out_of_scope("mcpServer/event/stream/stop", CHANNEL),
    out_of_scope("windowsSandbox/setupStart", "belongs to Windows; Skein runs on Linux"),
    out_of_scope("windowsSandbox/readiness", "belongs to Windows; Skein runs on Linux"),
    out_of_scope("account/login/start", "Skein has no accounts to sign in to"),
    out_of_scope("account/bedrock/discover", CLOUD),
    out_of_scope("account/bedrock/setup", CLOUD),
    out_of_scope("account/gcp/setup", CLOUD),
    out_of_scope("account/login/cancel", "Skein has no accounts to sign in to"),
    out_of_scope("accountSession/list", "Skein has no accounts to switch between"),
    out_of_scope("accountSession/switch", "Skein has no accounts to switch between"),
    out_of_scope("account/logout", "Skein has no accounts to sign out of"),
    out_of_scope("account/securitySetup/read", "Skein has no accounts to secure"),
    out_of_scope("account/rateLimitResetCredit/consume", "Skein has no accounts, and so no credits"),
    out_of_scope("account/workspaceMessages/read", "Skein has no accounts, and so no workspaces"),
    out_of_scope("account/sendAddCreditsNudgeEmail", "Skein has no accounts, and sends no mail"),
    out_of_scope(
        "feedback/save",
        "Skein writes no files for clients; feedback/upload keeps a report in the home",
    ),
    out_of_scope("command/exec", COMMANDS),
    out_of_scope("command/exec/write", COMMANDS),
    out_of_scope("command/exec/terminate", COMMANDS),
    out_of_scope("command/exec/resize", COMMANDS),
    out_of_scope("process/spawn", "Skein starts no processes for clients; only configured helpers"),
    out_of_scope("process/writeStdin", "Skein starts no processes for clients; only configured helpers"),
    out_of_scope("process/kill", "Skein starts no processes for clients; only configured helpers"),
    out_of_scope("process/resizePty", "Skein starts no processes for clients; only configured helpers"),
    out_of_scope("externalAgentConfig/detect", IMPORT),
    out_of_scope("externalAgentConfig/import", IMPORT),
    out_of_scope("externalAgentConfig/import/recordHistory", IMPORT),
    out_of_scope("externalAgentConfig/import/readHistories", IMPORT),
    out_of_scope("getConversationSummary", "replaced in the peer itself by thread/read"),
    out_of_scope("gitDiffToRemote", "Skein knows no repositories; git is a tool of a helper"),
    out_of_scope("getAuthStatus", "Skein has no accounts; keys of providers come from the environment"),
    out_of_scope("fuzzyFileSearch", FILE_SEARCH),
    out_of_scope("fuzzyFileSearch/sessionStart", FILE_SEARCH),
    out_of_scope("fuzzyFileSearch/sessionUpdate", FILE_SEARCH),
    out_of_scope("fuzzyFileSearch/sessionStop", FILE_SEARCH),
];
