//! The retry policy: which requests are repeated after their server has ended, and the error for the others.

use serde_json::value::RawValue;
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::methods as m;
use skein_protocol::table::{Lane, Method};
use skein_protocol::thread::ThreadQueueStartParams;

/// Bytes of messages that may wait for the answer to a user message. Origin: the largest answer, which may be among
/// them.
pub const MOST_HELD: usize = 16 << 20;

/// Whether a request may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryRule {
    /// Idempotent.
    Again,
    /// Idempotent; with one of these reasons of refusal it was done the first time, or is no longer needed.
    AgainUnless(&'static [&'static str]),
    /// It may have been done. Holds the way to find out.
    Never(&'static str),
}

/// Requests that read, or set an absolute state. All methods answered from memory are added.
const AGAIN: &[&str] = &[
    // A thread without a user message is in memory only: it is gone with its server.
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
    m::ThreadQueueAdd::INFO.wire,
    m::ThreadQueueList::INFO.wire,
    m::ThreadQueueUpdate::INFO.wire,
    m::ThreadQueueReorder::INFO.wire,
    m::ThreadArchive::INFO.wire,
    m::ThreadUnarchive::INFO.wire,
    // The server recognises repeated messages by their ids.
    m::TurnStart::INFO.wire,
    m::TurnSteer::INFO.wire,
    m::McpServerResourceRead::INFO.wire,
    m::ConfigMcpServerReload::INFO.wire,
    m::ModelProviderList::INFO.wire,
    m::SkeinBudgetSet::INFO.wire,
    m::SkeinThreadUnload::INFO.wire,
    m::SkeinQuestionsList::INFO.wire,
    m::SkeinConnectionLeave::INFO.wire,
    m::SkeinHelpersList::INFO.wire,
    m::SkeinCredentialList::INFO.wire,
    m::SkeinQuiesce::INFO.wire,
];

/// The rule for a request. Unknown ones are not repeated.
pub fn rule(method: &str, params: Option<&RawValue>) -> RetryRule {
    let is_inline = m::METHODS.iter().any(|known| known.wire == method && known.lane == Lane::Inline);
    if is_inline || AGAIN.contains(&method) {
        return RetryRule::Again;
    }
    match method {
        // A turn ends with its server.
        _ if method == m::TurnInterrupt::INFO.wire => {
            RetryRule::AgainUnless(&["noTurn", "notLoaded", "otherTurn"])
        }
        // The message with the id becomes a turn once. Without an id a second request would start another one.
        _ if method == m::ThreadQueueStart::INFO.wire => match names_message(params) {
            true => RetryRule::Again,
            false => RetryRule::Never(LOOK),
        },
        _ if method == m::ThreadDelete::INFO.wire => RetryRule::AgainUnless(&["threadNotFound"]),
        _ if method == m::ThreadFork::INFO.wire => RetryRule::Never(FORK),
        _ if method == m::McpServerToolCall::INFO.wire => RetryRule::Never(CALL),
        _ => RetryRule::Never(LOOK),
    }
}

fn names_message(params: Option<&RawValue>) -> bool {
    let params = envelope::params::<ThreadQueueStartParams>(params);
    params.is_ok_and(|params| params.queued_submission_id.is_some())
}

const LOOK: &str = "look whether it was done, and ask again where it was not";
const FORK: &str = "look whether the copy is in thread/list, and fork again where it is not";
const CALL: &str = "the tool may have been called; call it again if twice does no harm";

/// The refusal of a request that was sent to a server that has ended, and cannot be sent to another one.
pub fn not_repeated(ended: &str, method: &str) -> WireError {
    let text = format!("{ended} before it answered {method}: {LOOK}");
    WireError::internal("serverEnded", text).method(method)
}

impl RetryRule {
    /// The refusal of a request that is not repeated; `again` if it was repeated once. A request that was running
    /// when two servers ended may be the cause. `ended` says which server the request was sent to, and what became of it.
    pub fn refusal(self, ended: &str, method: &str, again: bool) -> Option<WireError> {
        let hint = match self {
            RetryRule::Again | RetryRule::AgainUnless(_) if !again => return None,
            RetryRule::Again | RetryRule::AgainUnless(_) => {
                "it was asked twice; ask again if it is not what ended the server"
            }
            RetryRule::Never(hint) => hint,
        };
        let text = format!("{ended} before it answered {method}; another one goes on: {hint}");
        Some(WireError::internal("serverEnded", text).method(method))
    }

    /// Whether the refusal of a repeated request means that it was done.
    pub fn is_done(self, error: &WireError) -> bool {
        match self {
            RetryRule::AgainUnless(reasons) => reasons.contains(&error.reason()),
            RetryRule::Again | RetryRule::Never(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each new method must be listed here or be safe to repeat.
    #[test]
    fn what_changes_something_by_a_step_is_never_asked_again() {
        let rules = m::METHODS.iter().map(|method| (method.wire, rule(method.wire, None)));
        let never: Vec<_> =
            rules.filter(|(_, rule)| *rule == RetryRule::Never(LOOK)).map(|(wire, _)| wire).collect();
        let expected = [
            // If it was done, the expected revision is gone.
            m::ThreadReadStateUpdate::INFO.wire,
            // The answer says whether there was one.
            m::ThreadGoalClear::INFO.wire,
            m::ThreadRevert::INFO.wire,
            m::ThreadRollback::INFO.wire,
            m::ThreadInjectItems::INFO.wire,
            m::ThreadCompactStart::INFO.wire,
            // A second answer would say that the queue had no such message.
            m::ThreadQueueDelete::INFO.wire,
            m::ThreadQueueStart::INFO.wire,
            m::ConfigValueWrite::INFO.wire,
            m::ConfigBatchWrite::INFO.wire,
            m::FeedbackUpload::INFO.wire,
            // A new server does not remember the answers of the old one.
            m::SkeinQuestionsAnswer::INFO.wire,
            // The list says whether it is there.
            m::SkeinCredentialAdd::INFO.wire,
            m::SkeinCredentialRevoke::INFO.wire,
        ];
        assert_eq!(never, expected);
        assert_eq!(rule("nobody/knows", None), RetryRule::Never(LOOK));
    }

    #[test]
    fn a_message_of_the_queue_is_started_again_only_by_its_id() {
        let start = |params: &str| {
            let params = RawValue::from_string(params.to_owned()).unwrap();
            rule(m::ThreadQueueStart::INFO.wire, Some(&params))
        };
        let thread = "00000000-0000-0000-0000-000000000001";
        assert_eq!(
            start(&format!(r#"{{"threadId": "{thread}", "queuedSubmissionId": "q"}}"#)),
            RetryRule::Again
        );
        for without in ["null", "{}"] {
            assert_eq!(start(without), RetryRule::Never(LOOK));
        }
        assert_eq!(start(&format!(r#"{{"threadId": "{thread}"}}"#)), RetryRule::Never(LOOK));
    }
}
