//! Every number of this crate, with its unit, its reason and where it comes from.

use std::time::Duration;

/// The model of a fresh installation.
pub const DEFAULT_MODEL: &str = "echo";
/// The largest scenario of a scripted model, in bytes. Origin: guess; a file that somebody wrote.
pub(crate) const SCENARIO_BYTES: u64 = 1024 * 1024;
/// Tools that a model with an interface of OpenAI's takes, unless `max_tools` of its provider says otherwise. Origin: OpenAI
/// refuses a request with more.
pub(crate) const MODEL_TOOLS: u32 = 128;
/// Bytes of a text that count as one token where nobody has counted. Origin: the peer's.
pub(crate) const TOKEN_BYTES: usize = 4;
/// How long a connection to a model's provider, with TLS, may take. Origin: as for helpers.
pub(crate) const MODEL_CONNECT: Duration = Duration::from_secs(10);
/// Redirects on the same server that are followed for one request to a model. Origin: as for helpers.
pub(crate) const MODEL_REDIRECTS: usize = 3;
/// How often a request to a model that got no answer is made again. Origin: the peer's default.
pub(crate) const MODEL_REQUEST_RETRIES: u32 = 4;
/// How often an answer that broke off is asked for again. Origin: the peer's default.
pub(crate) const MODEL_STREAM_RETRIES: u32 = 5;
/// How long a model may show no sign of life. Origin: the peer's default; the keep-alives of hosted models come each few
/// seconds, while a local one that reads a long conversation says nothing before its first word.
pub(crate) const MODEL_STREAM_IDLE: Duration = Duration::from_mins(5);
/// How long the last word of an answer may take once the reason of its end has come. Origin: guess; what it cost comes at once.
pub(crate) const MODEL_LAST_WORD: Duration = Duration::from_secs(5);
/// Before the first of these retries; doubles up to the next constant. Origin: guess; with the peer's numbers some 4 s for a
/// request and 8 s for a stream.
pub(crate) const MODEL_RETRY_FIRST: Duration = Duration::from_millis(250);
/// Between two of them, at most, where the provider does not say how long to wait. Origin: guess.
pub(crate) const MODEL_RETRY_MOST: Duration = Duration::from_secs(8);
/// Before the first retry after a rate limit, where the provider does not say how long to wait. Origin: guess; some limits are
/// those of a second.
pub(crate) const MODEL_RATE_FIRST: Duration = Duration::from_secs(2);
/// By this each further wait grows. Origin: guess; with the numbers beside it and the usual four retries most of two minutes,
/// and limits are counted per minute.
pub(crate) const MODEL_RATE_GROWTH: u32 = 4;
/// Between two of these retries, at most. Origin: as above.
pub(crate) const MODEL_RATE_MOST: Duration = Duration::from_mins(1);
/// The longest wait that a provider may ask for; one that wants more is taken at its word, and the turn ends. Origin: guess; limits
/// are counted in minutes, and who waits longer wants to know.
pub(crate) const MODEL_RETRY_AFTER_MOST: Duration = Duration::from_mins(2);
/// Bytes of one event of a model's stream. Origin: guess; the last event of an answer has all of it once more.
pub(crate) const MODEL_EVENT_BYTES: usize = 16 << 20;
/// Bytes of an answer that is an error. Origin: guess.
pub(crate) const MODEL_ERROR_BYTES: usize = 64 << 10;
/// How long the body of an error may take. Origin: guess; the status has said the most of it.
pub(crate) const MODEL_ERROR_PATIENCE: Duration = Duration::from_secs(10);
/// Characters of what a provider said that are shown. Origin: guess.
pub(crate) const MODEL_ERROR_SHOWN: usize = 600;
/// Items of one answer's stream that may be open at once: calls, blocks. Origin: guess; far above what models do.
pub(crate) const MODEL_OPEN_ITEMS: usize = 1024;
/// Bytes of one answer: of what is told of it, and of what is held back until it is whole. Origin: guess, as for
/// one event; many times what models write.
pub(crate) const MODEL_ANSWER_BYTES: usize = 16 << 20;
/// Tokens of an answer where the interface wants a bound, and neither the settings nor the table of models has one; where
/// the table has a larger one, at least so many. Origin: what all models of the fourth generation allow.
pub const ANTHROPIC_OUTPUT_TOKENS: u32 = 32_000;
/// How long a list of models that was fetched is taken for true. Origin: guess.
pub(crate) const MODEL_LIST_KEEP: Duration = Duration::from_mins(5);
/// How long nobody asks again for one that was not to be had. Origin: guess; somebody may be starting that server.
pub(crate) const MODEL_LIST_RETRY: Duration = Duration::from_secs(15);
/// How long a list of models may take. Origin: guess; nobody waits for it.
pub(crate) const MODEL_LIST_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of it. Origin: guess; 300 models of a hub are 600 KiB.
pub(crate) const MODEL_LIST_BYTES: usize = 4 << 20;
/// Models that are taken of it. Origin: guess.
pub(crate) const MODEL_LIST_MOST: usize = 1000;
