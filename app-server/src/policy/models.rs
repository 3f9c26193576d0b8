//! The numbers of models and their turns: conversations, results, requests.

use std::time::Duration;

/// What a model is told before everything else, where the client says nothing.
pub(crate) const INSTRUCTIONS: &str = "You are a helpful assistant in a conversation with a user. You can call the tools that are \
    offered to you; use them where they help, several at once where they do not depend on each other, and say what came of \
    it. Be concise, and say plainly what you do not know or could not do.";
/// What a model is told of a friendly tone.
pub(crate) const FRIENDLY: &str = "Be warm and friendly in what you say.";
/// What a model is told of a pragmatic tone.
pub(crate) const PRAGMATIC: &str = "Be matter-of-fact: say what is needed, and nothing beside it.";
/// Bytes of pictures in one request, as they are sent. Above it a note replaces the oldest. Origin: Anthropic takes requests of
/// 32 MB; two of the largest pictures that a message may have fit.
pub(crate) const REQUEST_PICTURE_BYTES: usize = 28 * 1024 * 1024;
/// Bytes of texts of tool results in one request. Above it a note replaces the oldest. Origin: guess; above what the largest
/// context windows take, so that compaction comes first.
pub(crate) const REQUEST_RESULT_BYTES: usize = 16 * 1024 * 1024;
/// Where one of these is exceeded, this part of it is freed beyond that, so that the next picture does not change the beginning
/// of the request again: one in so many. Origin: guess; providers cache the beginning.
pub(crate) const REQUEST_HEADROOM: usize = 8;
/// Bytes of a thread's conversation that are kept between its turns; the turn after a longer one reads the rollout. Origin:
/// guess; the largest context window is about that much text.
pub(crate) const CONVERSATION_CACHED: usize = 4 * 1024 * 1024;
/// Bytes of such conversations of all threads. Origin: guess; 16 of the longest, or hundreds of usual ones.
pub(crate) const CONVERSATIONS_CACHED: usize = 64 * 1024 * 1024;
/// Tokens that a model takes of which nothing is known, and the settings say nothing. Origin: what the current models of
/// every provider take at the least.
pub(crate) const CONTEXT_WINDOW: i64 = 128_000;
/// A conversation that fills this part of the window is compacted, in percent. Origin: guess; room for an answer and its
/// calls is left.
pub(crate) const COMPACT_AT_PERCENT: i64 = 90;
/// How often a model is asked for a summary and writes none, each time of half as much, before the end of the conversation
/// stands for one. Origin: guess; each try costs an answer.
pub(crate) const COMPACTION_TRIES: usize = 3;
/// What has to have come since a summary before the next one is written, in percent of the tokens at which a conversation is
/// compacted. Origin: guess; where the rest alone is above the limit, more summaries make no room.
pub(crate) const COMPACT_AGAIN_PERCENT: i64 = 10;
/// Bytes of a text that are about a token. Origin: English and code, by the providers' own rule of thumb.
pub(crate) const BYTES_A_TOKEN: usize = 4;
/// Tokens that a picture is about. Origin: what the largest pictures cost at OpenAI and Anthropic.
pub(crate) const PICTURE_TOKENS: usize = 1_600;
/// Bytes of a text below which a summary is not asked of half of it. Origin: guess; less fits everywhere.
pub(crate) const COMPACTION_LEAST: usize = 512;
/// Bytes of what the user said last that a summary keeps word for word. Origin: guess; a few long messages.
pub(crate) const COMPACTION_LAST_WORDS: usize = 16 * 1024;
/// The largest picture that a model is sent, in bytes. Origin: providers take 5 to 20 MiB; a message of a client fits.
pub(crate) const IMAGE_BYTES: usize = 10 * 1024 * 1024;
/// How long a turn waits for its directory, before its model is told nothing of it. Origin: guess; a disk that sleeps wakes up
/// in that time.
pub(crate) const CONTEXT_PATIENCE: Duration = Duration::from_secs(10);
/// The same for an answer that names the files. Origin: guess; a user waits for it.
pub(crate) const CONTEXT_PATIENCE_OF_ANSWERS: Duration = Duration::from_secs(1);
/// Bytes of the `AGENTS.md` files of a repository that a model reads. Origin: the peer's default.
pub(crate) const PROJECT_DOC_BYTES: usize = 32 * 1024;
/// The most that the settings may have for it. Origin: guess; a model reads it with every request.
pub(crate) const PROJECT_DOC_MOST: usize = 1024 * 1024;
/// Bytes of text of one tool result that a model reads; of more it gets the beginning and the end. Origin: the peer's limit
/// of 10,000 tokens, at four bytes a token.
pub(crate) const TOOL_RESULT_BYTES: usize = 40_000;
/// Bytes in base64 of a picture of a tool result that a model gets. Origin: the smallest limit of the known providers, 5 MB.
pub(crate) const TOOL_IMAGE_BYTES: usize = 5_000_000;
/// Pictures of one tool result that a model gets. Origin: guess; a page of screenshots, and far below the providers' limits.
pub(crate) const TOOL_IMAGES: usize = 16;
/// Tools that a client may bring along for one thread. Origin: the limit of the strictest known provider.
pub(crate) const CLIENT_TOOLS: usize = 128;
/// Characters of the name of such a tool. Origin: the peer's limit.
pub(crate) const CLIENT_TOOL_NAME: usize = 128;
/// Characters of the name of a namespace of such tools. Origin: the peer's limit.
pub(crate) const CLIENT_NAMESPACE: usize = 64;
/// Questions that a model may put to the user at once. Origin: the peer's limit.
pub(crate) const QUESTIONS_AT_ONCE: usize = 3;
/// The most that the settings may have for tries of a request, and of a stream. Origin: the peer's bound.
pub(crate) const MODEL_RETRIES_MOST: u32 = 100;
