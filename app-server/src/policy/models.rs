//! The numbers of models: their instructions, and how long answers wait.

use std::time::Duration;

/// The default instructions of a model.
pub(crate) const INSTRUCTIONS: &str = "You are a helpful assistant in a conversation with a user. You can call the tools that are \
    offered to you; use them where they help, several at once where they do not depend on each other, and say what came of \
    it. Be concise, and say plainly what you do not know or could not do.";
/// The instructions for a friendly tone.
pub(crate) const FRIENDLY: &str = "Be warm and friendly in what you say.";
/// The instructions for a pragmatic tone.
pub(crate) const PRAGMATIC: &str = "Be matter-of-fact: say what is needed, and nothing beside it.";
/// How long an answer that names the files of a thread's directory waits for them. Origin: guess; a user waits for it.
pub(crate) const CONTEXT_PATIENCE_OF_ANSWERS: Duration = Duration::from_secs(1);
/// How long a list of providers waits for those on this machine. Origin: guess; one that listens lists its models within
/// milliseconds, and one that does not is refused at once.
pub(crate) const LOCAL_PROVIDERS_WAIT: Duration = Duration::from_millis(300);
