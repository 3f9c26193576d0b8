//! Every number of this crate, with its unit, its reason and where it comes from.

use std::time::Duration;

/// How often one call is judged if its tool changes between the decision and the call. Origin: guess; twice is rare,
/// and a helper that keeps changing its tools must not keep asking its user.
pub(crate) const CALL_JUDGED: usize = 3;
/// Events of a model waiting for their turn. Origin: guess.
pub const MODEL_EVENTS: usize = 64;
/// Progress messages of one tool call that may wait. Origin: guess; more is dropped by the helper's side.
pub(crate) const CALL_PROGRESS: usize = 16;
/// Bytes of one helper's instructions for a model. Origin: guess; a page, and a thousand tokens.
pub(crate) const HELPER_INSTRUCTIONS_BYTES: usize = 4 << 10;
/// Bytes of the instructions of all helpers of a thread together. Origin: guess; eight thousand tokens.
pub(crate) const HELPER_NOTES_BYTES: usize = 32 << 10;
/// Bytes of the reason for a missing helper, for a model. Origin: guess; a line.
pub(crate) const HELPER_REASON_BYTES: usize = 200;
/// Bytes of images in one request. Above it a note replaces the oldest. Origin: Anthropic accepts requests of 32 MB;
/// two of the largest images of a message fit.
pub(crate) const REQUEST_IMAGE_BYTES: usize = 28 * 1024 * 1024;
/// Bytes of texts of tool results in one request. Above it a note replaces the oldest. Origin: guess; above the
/// largest context windows, so that compaction comes first.
pub(crate) const REQUEST_RESULT_BYTES: usize = 16 * 1024 * 1024;
/// The part of such a limit that is freed in addition, one in so many, so that the next image does not change the
/// beginning of the request again. Origin: guess; providers cache the beginning.
pub(crate) const REQUEST_HEADROOM: usize = 8;
/// Bytes of a thread's conversation kept between its turns; a longer one is read from the rollout. Origin: guess; the
/// largest context window is about that much text.
pub(crate) const CONVERSATION_CACHED: usize = 4 * 1024 * 1024;
/// Bytes of such conversations of all threads. Origin: guess; 16 of the longest, or hundreds of usual ones.
pub(crate) const CONVERSATIONS_CACHED: usize = 64 * 1024 * 1024;
/// How often a model that writes no summary is asked again, each time for half as much, before the end of the
/// conversation stands for one. Origin: guess; each try costs an answer.
pub(crate) const COMPACTION_TRIES: usize = 3;
/// The least growth since a summary before the next one, in percent of the tokens at which a conversation is
/// compacted. Origin: guess; if the rest alone is above the limit, more summaries make no room.
pub(crate) const COMPACT_AGAIN_PERCENT: i64 = 10;
/// Bytes of a text per token. Origin: English and code, by the providers' own rule of thumb.
pub(crate) const BYTES_A_TOKEN: usize = 4;
/// Tokens of an image. Origin: the cost of the largest images at OpenAI and Anthropic.
pub(crate) const IMAGE_TOKENS: usize = 1_600;
/// Bytes of a text that a summary does not halve any further. Origin: guess; less fits everywhere.
pub(crate) const COMPACTION_LEAST: usize = 512;
/// Bytes of the user's last messages that a summary keeps word for word. Origin: guess; a few long messages.
pub const COMPACTION_LAST_WORDS: usize = 16 * 1024;
/// The largest image in a request, in bytes. Origin: providers accept 5 to 20 MiB; a message of a client fits.
pub(crate) const IMAGE_BYTES: usize = 10 * 1024 * 1024;
/// How long a turn reads its directory, before its model gets nothing about it. Origin: guess; a sleeping disk wakes
/// in that time.
pub(crate) const CONTEXT_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of text of one tool result for a model; of more, it gets the beginning and the end. Origin: the peer's limit
/// of 10,000 tokens, at four bytes a token.
pub(crate) const TOOL_RESULT_BYTES: usize = 40_000;
/// Bytes in base64 of an image of a tool result for a model. Origin: the smallest limit of the known providers, 5 MB.
pub(crate) const TOOL_IMAGE_BYTES: usize = 5_000_000;
/// Images of one tool result for a model. Origin: guess; a page of screenshots, and far below the providers' limits.
pub(crate) const TOOL_IMAGES: usize = 16;
/// Client tools of one thread. Origin: the limit of the strictest known provider.
pub(crate) const CLIENT_TOOLS: usize = 128;
/// Characters of the name of such a tool. Origin: the peer's limit.
pub(crate) const CLIENT_TOOL_NAME: usize = 128;
/// Characters of the name of a namespace of such tools. Origin: the peer's limit.
pub(crate) const CLIENT_NAMESPACE: usize = 64;
/// Concurrent questions of a model to the user. Origin: the peer's limit.
pub(crate) const QUESTIONS_AT_ONCE: usize = 3;
