//! Which requests are asked again when the server has ended before it answered, and what the client is told of the others.

use skein_protocol::error::WireError;
use skein_protocol::methods as m;
use skein_protocol::table::Method;

/// Bytes of messages that may wait behind the answer to a message of the user. Origin: the largest answer, which one of
/// them may be.
pub const MOST_HELD: usize = 16 << 20;

/// Whether a request may be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Twice does as much as once.
    Again,
    /// The same; refused for one of these reasons it was done the first time, or has become unnecessary.
    AgainUnless(&'static [&'static str]),
    /// It may have been done. This says how to find out.
    Never(&'static str),
}

/// What only reads, or says how something is to be and not what is to change.
const AGAIN: &[&str] = &[
    m::Initialize::INFO.wire,
    // Without a message of the user a thread is in memory only: the first one is gone with its server.
    m::ThreadStart::INFO.wire,
    m::ThreadResume::INFO.wire,
    m::ThreadUnsubscribe::INFO.wire,
    m::ThreadLoadedList::INFO.wire,
    m::ThreadList::INFO.wire,
    m::ThreadSearch::INFO.wire,
    m::ThreadSearchOccurrences::INFO.wire,
    m::ThreadRead::INFO.wire,
    m::ThreadTurnsList::INFO.wire,
    m::ThreadItemsList::INFO.wire,
    m::ThreadNameSet::INFO.wire,
    m::ThreadMetadataUpdate::INFO.wire,
    m::ThreadArchive::INFO.wire,
    m::ThreadUnarchive::INFO.wire,
    // The server remembers the messages that it has taken, by their ids.
    m::TurnStart::INFO.wire,
    // Its turn has ended with the server, so it is taken at most once.
    m::TurnSteer::INFO.wire,
    m::McpServerStatusList::INFO.wire,
    m::McpServerResourceRead::INFO.wire,
    m::ModelList::INFO.wire,
    m::ConfigRead::INFO.wire,
    m::ConfigMcpServerReload::INFO.wire,
    m::ConfigRequirementsRead::INFO.wire,
    m::AccountRead::INFO.wire,
    m::SkillsList::INFO.wire,
    m::HooksList::INFO.wire,
    m::PermissionProfileList::INFO.wire,
    m::CollaborationModeList::INFO.wire,
    m::SkeinThreadUnload::INFO.wire,
    m::SkeinConnectionLeave::INFO.wire,
    m::SkeinStatus::INFO.wire,
    m::SkeinHelpersList::INFO.wire,
    m::SkeinCatalogResume::INFO.wire,
    m::SkeinQuiesce::INFO.wire,
    m::RpcDiscover::INFO.wire,
];

/// The rule for a request. One that nobody has thought of is not repeated.
pub fn rule(method: &str) -> Rule {
    if AGAIN.contains(&method) {
        return Rule::Again;
    }
    match method {
        // A turn ends with its server.
        _ if method == m::TurnInterrupt::INFO.wire => {
            Rule::AgainUnless(&["noTurn", "notLoaded", "otherTurn"])
        }
        _ if method == m::ThreadDelete::INFO.wire => Rule::AgainUnless(&["threadNotFound"]),
        _ if method == m::ThreadFork::INFO.wire => Rule::Never(FORK),
        _ if method == m::McpServerToolCall::INFO.wire => Rule::Never(CALL),
        _ => Rule::Never("look whether it was done, and ask again where it was not"),
    }
}

const FORK: &str = "look whether the copy is in thread/list, and fork again where it is not";
const CALL: &str = "the tool may have been called; call it again if twice does no harm";

impl Rule {
    /// What the client is told when the request is not asked again; `again` when that was done once. Which was under way when
    /// two servers ended may be what they ended of.
    pub fn refusal(self, method: &str, again: bool) -> Option<WireError> {
        let hint = match self {
            Rule::Again | Rule::AgainUnless(_) if !again => return None,
            Rule::Again | Rule::AgainUnless(_) => {
                "it was asked twice; ask again if it is not what ended the server"
            }
            Rule::Never(hint) => hint,
        };
        let text = format!(
            "the server of the home has ended before it answered {method}; another one goes on: {hint}"
        );
        Some(WireError::internal("serverEnded", text).method(method))
    }

    /// Whether a refusal of the repeated request says that it was done.
    pub fn is_done(self, error: &WireError) -> bool {
        match self {
            Rule::AgainUnless(reasons) => reasons.contains(&error.reason()),
            Rule::Again | Rule::Never(_) => false,
        }
    }
}
