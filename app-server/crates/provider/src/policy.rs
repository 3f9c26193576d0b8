//! Every number of this crate, with its unit, its reason and where it comes from.

use std::time::Duration;

/// The model of a fresh installation.
pub const DEFAULT_MODEL: &str = "echo";
/// The largest scenario of a scripted model, in bytes. Origin: guess; a file that somebody wrote.
pub(crate) const SCENARIO_BYTES: u64 = 1024 * 1024;
/// Tools that a model with an interface of OpenAI's takes, unless `max_tools` of its provider says otherwise. Origin: OpenAI
/// refuses a request with more.
pub(crate) const MODEL_TOOLS: u32 = 128;
/// Bytes of text per token in estimates. Origin: the peer's.
pub(crate) const TOKEN_BYTES: usize = 4;
/// How long a connection to a model's provider, with TLS, may take. Origin: as for helpers.
pub(crate) const MODEL_CONNECT: Duration = Duration::from_secs(10);
/// Redirects followed on the same server for one request to a model. Origin: as for helpers.
pub(crate) const MODEL_REDIRECTS: usize = 3;
/// How often a request without an answer is retried. Origin: the peer's default.
pub(crate) const MODEL_REQUEST_RETRIES: u32 = 4;
/// How often an answer that broke off is retried. Origin: the peer's default.
pub(crate) const MODEL_STREAM_RETRIES: u32 = 5;
/// How long a model's stream may be silent. Origin: the peer's default. Hosted models send keep-alives every few
/// seconds; a local one is silent while it reads a long conversation.
pub(crate) const MODEL_STREAM_IDLE: Duration = Duration::from_mins(5);
/// How long the final event may take after the finish reason. Origin: guess; usage follows at once.
pub(crate) const MODEL_LAST_WORD: Duration = Duration::from_secs(5);
/// The wait before the first retry; doubles up to the next constant. Origin: guess; with the peer's numbers some 4 s
/// for a request and 8 s for a stream.
pub(crate) const MODEL_RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest wait between two retries, if the provider names none. Origin: guess.
pub(crate) const MODEL_RETRY_MOST: Duration = Duration::from_secs(8);
/// The wait before the first retry after a rate limit, if the provider names none. Origin: guess; some limits are per
/// second.
pub(crate) const MODEL_RATE_FIRST: Duration = Duration::from_secs(2);
/// The growth of each further wait. Origin: guess; the usual four retries then span most of two minutes, and limits
/// are counted per minute.
pub(crate) const MODEL_RATE_GROWTH: u32 = 4;
/// The longest wait between two of these retries. Origin: as above.
pub(crate) const MODEL_RATE_MOST: Duration = Duration::from_mins(1);
/// The longest wait that a provider may ask for; beyond it the turn ends. Origin: guess; limits are counted in
/// minutes, and a user wants to know about a longer wait.
pub(crate) const MODEL_RETRY_AFTER_MOST: Duration = Duration::from_mins(2);
/// Bytes of one event of a model's stream. Origin: guess; the final event repeats the whole answer.
pub(crate) const MODEL_EVENT_BYTES: usize = 16 << 20;
/// Bytes of an error's body. Origin: guess.
pub(crate) const MODEL_ERROR_BYTES: usize = 64 << 10;
/// How long the body of an error may take. Origin: guess; the status tells most of it.
pub(crate) const MODEL_ERROR_PATIENCE: Duration = Duration::from_secs(10);
/// Characters shown of a provider's message. Origin: guess.
pub(crate) const MODEL_ERROR_SHOWN: usize = 600;
/// Items of one answer's stream that may be open at once: calls, blocks. Origin: guess; far above real answers.
pub(crate) const MODEL_OPEN_ITEMS: usize = 1024;
/// Bytes of one answer, emitted and held back. Origin: guess, as for one event; far above real answers.
pub(crate) const MODEL_ANSWER_BYTES: usize = 16 << 20;
/// Tokens of an answer if the interface requires a limit, and neither the settings nor the model table has one. With
/// a larger limit in the table, the default is at least this. Origin: the limit of all models of the fourth
/// generation.
pub const ANTHROPIC_OUTPUT_TOKENS: u32 = 32_000;
/// How long a fetched list of models is fresh. Origin: guess.
pub(crate) const MODEL_LIST_KEEP: Duration = Duration::from_mins(5);
/// How long to wait after a list could not be fetched. Origin: guess; somebody may be starting that server.
pub(crate) const MODEL_LIST_RETRY: Duration = Duration::from_secs(15);
/// How long a list of models may take. Origin: guess; nobody waits for it.
pub(crate) const MODEL_LIST_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a list. Origin: guess; 300 models of a hub are 600 KiB.
pub(crate) const MODEL_LIST_BYTES: usize = 4 << 20;
/// Models taken from a list. Origin: guess.
pub(crate) const MODEL_LIST_MOST: usize = 1000;
