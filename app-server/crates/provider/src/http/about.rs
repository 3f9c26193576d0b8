//! What a provider's error is about, by its status and its words. Pure.

use skein_protocol::turn::CodexErrorInfo;

use super::said::Said;

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// Who we are.
    Key,
    /// What we may do, and it is known who we are.
    Forbidden,
    /// What was paid for is used up.
    Quota,
    /// Too many requests, or tokens, for now.
    Rate,
    /// Too much to do, there.
    Load,
    /// The conversation does not fit.
    Context,
    /// There is no such model.
    Model,
    /// What was asked.
    Request,
    /// What is there behaves as it should not.
    Server,
}

impl Said {
    /// What it is about.
    pub(crate) fn about(&self) -> About {
        if let Some(settled) = self.settled {
            return settled;
        }
        let has = |words: &[&str]| self.words.iter().any(|word| words.contains(&word.as_str()));
        let text = self.message.to_ascii_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        // A status may say less than the code: who has no access to a model is told 403.
        if has(MODEL) {
            About::Model
        } else if has(QUOTA) || self.status == Some(402) || says(QUOTA_PHRASES) && self.asked().is_none() {
            About::Quota
        } else if has(CONTEXT) || self.status == Some(413) || says(CONTEXT_PHRASES) {
            About::Context
        } else if has(KEY) || self.status == Some(401) || says(KEY_PHRASES) {
            About::Key
        } else if has(FORBIDDEN) || matches!(self.status, Some(403 | 407)) {
            About::Forbidden
        } else if self.status == Some(404) && says(&["model"]) {
            About::Model
        } else if has(RATE) || self.status == Some(429) {
            About::Rate
        } else if has(LOAD) || matches!(self.status, Some(503 | 529)) {
            About::Load
        } else if has(REQUEST)
            || says(REQUEST_PHRASES)
            || matches!(self.status, Some(400..500)) && !matches!(self.status, Some(408 | 409))
        {
            About::Request
        } else {
            About::Server
        }
    }
}

impl About {
    /// Whether the same request may be answered later.
    pub(crate) fn may_pass(self) -> bool {
        match self {
            Self::Rate | Self::Load | Self::Server => true,
            Self::Key | Self::Forbidden | Self::Quota | Self::Context | Self::Model | Self::Request => false,
        }
    }

    /// For programs. `http_status_code` is that of the answer.
    pub(crate) fn info(self, http_status_code: Option<u16>) -> CodexErrorInfo {
        match self {
            Self::Key => CodexErrorInfo::Unauthorized,
            // Clients take `unauthorized` for a sign-in that would help.
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
/// Google says the second one of its limits a minute, too, and then how long to wait.
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
/// Each with who says it, where that is not many.
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
/// LM Studio's, in a 200.
const REQUEST_PHRASES: &[&str] = &["unexpected endpoint"];
