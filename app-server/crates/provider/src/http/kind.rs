//! Classifies a provider's error by its status and words. Pure.

use skein_protocol::turn::CodexErrorInfo;

use super::report::ErrorReport;

/// The kind of a provider's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// Authentication failed.
    Key,
    /// Authenticated, but not allowed.
    Forbidden,
    /// The paid quota is used up.
    Quota,
    /// Too many requests or tokens for now.
    Rate,
    /// The provider is overloaded.
    Load,
    /// The conversation is too long.
    Context,
    /// The model is unknown.
    Model,
    /// The request is invalid.
    Request,
    /// The provider failed.
    Server,
}

impl ErrorReport {
    pub(crate) fn about(&self) -> ErrorKind {
        if let Some(settled) = self.settled {
            return settled;
        }
        let has = |words: &[&str]| self.words.iter().any(|word| words.contains(&word.as_str()));
        let text = self.message.to_ascii_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        // Words before the status: a missing model can come with 403.
        if has(MODEL) {
            ErrorKind::Model
        } else if has(QUOTA) || self.status == Some(402) || says(QUOTA_PHRASES) && self.asked().is_none() {
            ErrorKind::Quota
        } else if has(CONTEXT) || self.status == Some(413) || says(CONTEXT_PHRASES) {
            ErrorKind::Context
        } else if has(KEY) || self.status == Some(401) || says(KEY_PHRASES) {
            ErrorKind::Key
        } else if has(FORBIDDEN) || matches!(self.status, Some(403 | 407)) {
            ErrorKind::Forbidden
        } else if self.status == Some(404) && says(&["model"]) {
            ErrorKind::Model
        } else if has(RATE) || self.status == Some(429) {
            ErrorKind::Rate
        } else if has(LOAD) || matches!(self.status, Some(503 | 529)) {
            ErrorKind::Load
        } else if has(REQUEST)
            || says(REQUEST_PHRASES)
            || matches!(self.status, Some(400..500)) && !matches!(self.status, Some(408 | 409))
        {
            ErrorKind::Request
        } else {
            ErrorKind::Server
        }
    }
}

impl ErrorKind {
    /// Whether the same request may succeed later.
    pub(crate) fn may_pass(self) -> bool {
        match self {
            Self::Rate | Self::Load | Self::Server => true,
            Self::Key | Self::Forbidden | Self::Quota | Self::Context | Self::Model | Self::Request => false,
        }
    }

    /// The kind for programs; `http_status_code` is the answer's.
    pub(crate) fn info(self, http_status_code: Option<u16>) -> CodexErrorInfo {
        match self {
            Self::Key => CodexErrorInfo::Unauthorized,
            // Clients take `unauthorized` for a request to sign in.
            Self::Forbidden => CodexErrorInfo::HttpConnectionFailed { http_status_code },
            Self::Quota => CodexErrorInfo::UsageLimitExceeded,
            Self::Rate => CodexErrorInfo::RateLimitExceeded,
            Self::Load => CodexErrorInfo::ServerOverloaded,
            Self::Context => CodexErrorInfo::ContextWindowExceeded,
            Self::Model => CodexErrorInfo::ModelNotFound,
            Self::Request => CodexErrorInfo::BadRequest,
            Self::Server => CodexErrorInfo::InternalServerError,
        }
    }
}

const QUOTA: &[&str] = &[
    "insufficient_quota",
    "insufficient_balance",
    "exceeded_current_quota_error",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "usage_limit_reached",
    "usage_not_included",
    "exceeded_budget",
    "budget_exceeded",
];
/// Google uses the second phrase for its limits per minute, too, and then names a wait.
const QUOTA_PHRASES: &[&str] = &[
    "credit balance is too low",
    "exceeded your current quota",
    "insufficient credits",
    "insufficient balance",
    "used all available credits",
    "doesn't have any credits",
    "spending limit",
];
const CONTEXT: &[&str] = &[
    "context_length_exceeded",
    "context_window_exceeded",
    "exceed_context_size_error",
    "model_context_window_exceeded",
    "model_max_prompt_tokens_exceeded",
    "request_too_large",
    "string_above_max_length",
];
/// With the servers that use it, if they are few.
const CONTEXT_PHRASES: &[&str] = &[
    "maximum context length",
    "context length exceeded",
    "context window",
    "contextwindowexceeded",                // LiteLLM
    "prompt is too long",                   // Anthropic, Fireworks
    "input length and `max_tokens` exceed", // Anthropic
    "input is too long",                    // Bedrock
    "input tokens exceeded",                // Bedrock
    "too many input tokens",                // Bedrock
    "input token count",                    // Gemini
    "maximum prompt length is",             // xAI
    "exceeded model token limit",           // Kimi
    "context length of only",               // LM Studio
    "exceeds the context length",           // LM Studio, Ollama
    "greater than the context length",      // LM Studio
    "context size has been exceeded",       // LM Studio
    "prompt token count of",                // Copilot
    "exceeds the available context size",   // llama.cpp
    "longer than the maximum model length", // vLLM
    "range of input length should be",      // Qwen
    "exceeds max length",                   // GLM
    "request too large for",                // OpenAI, Groq: more than the limit of a minute
];
const KEY: &[&str] = &[
    "invalid_api_key",
    "api_key_invalid",
    "authentication_error",
    "unauthorized",
    "unauthenticated",
    "unrecognizedclientexception",
    "expiredtokenexception",
];
const KEY_PHRASES: &[&str] =
    &["incorrect api key", "invalid api key", "api key not valid", "unregistered callers"];
const FORBIDDEN: &[&str] = &["permission_error", "permission_denied", "accessdeniedexception"];
const MODEL: &[&str] = &["model_not_found", "model_not_available"];
const RATE: &[&str] = &[
    "rate_limit_exceeded",
    "rate_limit_error",
    "rate_limited",
    "resource_exhausted",
    "tokens",
    "requests",
    "too_many_requests",
    "throttling_error",
    "throttlingexception",
    "servicequotaexceededexception",
];
const LOAD: &[&str] = &[
    "overloaded_error",
    "overloaded",
    "server_overloaded",
    "server_is_overloaded",
    "slow_down",
    "engine_overloaded",
    "engine_overloaded_error",
    "serviceunavailableexception",
    "modelnotreadyexception",
];
const REQUEST: &[&str] = &[
    "invalid_request_error",
    "invalid_prompt",
    "invalid_argument",
    "bad_request",
    "badrequesterror",
    "validationexception",
    "not_found_error",
    "content_policy_violation",
    "content_filter",
    "image_parse_error",
    "invalid_image",
    "invalid_image_format",
    "image_too_large",
    "unsupported_value",
    "unsupported_parameter",
];
/// LM Studio, with status 200.
const REQUEST_PHRASES: &[&str] = &["unexpected endpoint"];
