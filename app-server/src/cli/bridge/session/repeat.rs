//! Which requests are asked again when the server has ended before it answered, and what the client is told of the others.

use skein_protocol::error::WireError;
use skein_protocol::methods as m;
use skein_protocol::table::{Lane, Method};

/// Bytes of messages that may wait behind the answer to a message of the user. Origin: the largest answer, which one of
/// them may be.
pub(super) const MOST_HELD: usize = 16 << 20;

/// Whether a request may be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Twice does as much as once.
    Again,
    /// The same; refused for one of these reasons it was done the first time, or has become unnecessary.
    AgainUnless(&'static [&'static str]),
    /// It may have been done. This says how to find out.
    Never(&'static str),
}

/// What only reads, or says how something is to be and not what is to change. Beside these all that is answered from memory.
const AGAIN: &[&str] = &[
    // Without a message of the user a thread is in memory only: the first one is gone with its server.
    m::ThreadStart::INFO.wire,
    m::ThreadResume::INFO.wire,
    m::ThreadList::INFO.wire,
    m::ThreadSearch::INFO.wire,
    m::ThreadSearchOccurrences::INFO.wire,
    m::ThreadRead::INFO.wire,
    m::ThreadTurnsList::INFO.wire,
    m::ThreadItemsList::INFO.wire,
    m::ThreadNameSet::INFO.wire,
    m::ThreadMetadataUpdate::INFO.wire,
    m::ThreadSettingsUpdate::INFO.wire,
    m::ThreadGoalSet::INFO.wire,
    m::ThreadGoalGet::INFO.wire,
    m::ThreadArchive::INFO.wire,
    m::ThreadUnarchive::INFO.wire,
    // The server remembers the messages that it has taken, by their ids.
    m::TurnStart::INFO.wire,
    m::TurnSteer::INFO.wire,
    m::McpServerResourceRead::INFO.wire,
    m::ConfigMcpServerReload::INFO.wire,
    m::SkeinThreadUnload::INFO.wire,
    m::SkeinConnectionLeave::INFO.wire,
    m::SkeinHelpersList::INFO.wire,
    m::SkeinQuiesce::INFO.wire,
];

/// The rule for a request. One that nobody has thought of is not repeated.
pub(super) fn rule(method: &str) -> Rule {
    let is_inline = m::METHODS.iter().any(|known| known.wire == method && known.lane == Lane::Inline);
    if is_inline || AGAIN.contains(&method) {
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
        _ => Rule::Never(LOOK),
    }
}

const LOOK: &str = "look whether it was done, and ask again where it was not";
const FORK: &str = "look whether the copy is in thread/list, and fork again where it is not";
const CALL: &str = "the tool may have been called; call it again if twice does no harm";

impl Rule {
    /// What the client is told when the request is not asked again; `again` when that was done once. Which was under way when
    /// two servers ended may be what they ended of.
    pub(super) fn refusal(self, method: &str, again: bool) -> Option<WireError> {
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
    pub(super) fn is_done(self, error: &WireError) -> bool {
        match self {
            Rule::AgainUnless(reasons) => reasons.contains(&error.reason()),
            Rule::Again | Rule::Never(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new method has to be thought of: it is either here, or can be asked again.
    #[test]
    fn what_changes_something_by_a_step_is_never_asked_again() {
        let rules = m::METHODS.iter().map(|method| (method.wire, rule(method.wire)));
        let never: Vec<_> =
            rules.filter(|(_, rule)| *rule == Rule::Never(LOOK)).map(|(wire, _)| wire).collect();
        let expected = [
            // The revision that it expects is gone when it was done.
            m::ThreadReadStateUpdate::INFO.wire,
            // Its answer says whether there was one.
            m::ThreadGoalClear::INFO.wire,
            m::ThreadRevert::INFO.wire,
            m::ThreadRollback::INFO.wire,
            m::ThreadInjectItems::INFO.wire,
            m::ThreadCompactStart::INFO.wire,
            m::ConfigValueWrite::INFO.wire,
            m::ConfigBatchWrite::INFO.wire,
            m::FeedbackUpload::INFO.wire,
        ];
        assert_eq!(never, expected);
        assert_eq!(rule("nobody/knows"), Rule::Never(LOOK));
    }
}
