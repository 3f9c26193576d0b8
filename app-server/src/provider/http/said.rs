//! What a provider says of an error, whatever its form, and what that means. Pure.

use serde_json::Value;
use skein_protocol::turn::CodexErrorInfo;

/// A provider's word for an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The status of HTTP, where there was one.
    pub status: Option<u16>,
    /// Its words for programs, in lower case: type and code.
    pub words: Vec<String>,
    /// Its words for people.
    pub message: String,
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Who we are.
    Key,
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
    /// Reads the body of an answer with this status.
    pub fn of_body(status: u16, body: &[u8]) -> Self {
        // Who has begun a stream when it fails has the error as its first event.
        let first = body.strip_prefix(b"data:").and_then(|rest| rest.split(|byte| *byte == b'\n').next());
        let said = match serde_json::from_slice(first.unwrap_or(body)) {
            Ok(value) => Self::of(&value),
            Err(_) => Self { message: plain(body), ..Self::default() },
        };
        Self { status: Some(status), ..said }
    }

    /// Reads an error in any of the forms that are known.
    pub fn of(value: &Value) -> Self {
        let error = ["error", "detail", "response"]
            .iter()
            .find_map(|key| value.get(key).filter(|error| !error.is_null()));
        match error {
            Some(Value::String(message)) => {
                let words = words(value);
                Self { status: None, words, message: message.clone() }
            }
            Some(inner @ Value::Object(_))
                if ["error", "message", "type", "code"].iter().any(|key| inner.get(key).is_some()) =>
            {
                let inner = inner.get("error").filter(|error| error.is_object()).unwrap_or(inner);
                Self { status: None, words: words(inner), message: message(inner) }
            }
            Some(other @ (Value::Array(_) | Value::Object(_))) => {
                Self { status: None, words: words(value), message: other.to_string() }
            }
            _ => Self { status: None, words: words(value), message: message(value) },
        }
    }

    /// What it is about.
    pub fn about(&self) -> About {
        let has = |words: &[&str]| self.words.iter().any(|word| words.contains(&word.as_str()));
        let text = self.message.to_ascii_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        // A status may say less than the code: who has no access to a model is told 403.
        if has(MODEL) {
            About::Model
        } else if has(QUOTA) || self.status == Some(402) || says(QUOTA_PHRASES) {
            About::Quota
        } else if has(CONTEXT) || says(CONTEXT_PHRASES) {
            About::Context
        } else if has(KEY) || matches!(self.status, Some(401 | 403 | 407)) {
            About::Key
        } else if self.status == Some(404) && says(&["model"]) {
            About::Model
        } else if has(RATE) || self.status == Some(429) {
            About::Rate
        } else if has(LOAD) || matches!(self.status, Some(503 | 529)) {
            About::Load
        } else if has(REQUEST)
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
    pub fn may_pass(self) -> bool {
        match self {
            Self::Rate | Self::Load | Self::Server => true,
            Self::Key | Self::Quota | Self::Context | Self::Model | Self::Request => false,
        }
    }

    /// For programs.
    pub fn info(self) -> CodexErrorInfo {
        match self {
            Self::Key => CodexErrorInfo::Unauthorized,
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
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "usage_limit_reached",
    "usage_not_included",
    "exceeded_budget",
    "budget_exceeded",
];
const QUOTA_PHRASES: &[&str] =
    &["credit balance is too low", "exceeded your current quota", "insufficient credits"];
const CONTEXT: &[&str] = &[
    "context_length_exceeded",
    "context_window_exceeded",
    "exceed_context_size_error",
    "model_context_window_exceeded",
];
const CONTEXT_PHRASES: &[&str] = &[
    "maximum context length",
    "context length exceeded",
    "context window",
    "prompt is too long",
    "exceeds the available context size",
    "input length and `max_tokens` exceed",
];
const KEY: &[&str] =
    &["invalid_api_key", "authentication_error", "permission_error", "permission_denied", "unauthorized"];
const MODEL: &[&str] = &["model_not_found", "model_not_available"];
const RATE: &[&str] = &[
    "rate_limit_exceeded",
    "rate_limit_error",
    "tokens",
    "requests",
    "too_many_requests",
    "throttling_error",
];
const LOAD: &[&str] = &[
    "overloaded_error",
    "overloaded",
    "server_overloaded",
    "server_is_overloaded",
    "slow_down",
    "engine_overloaded",
];
const REQUEST: &[&str] = &[
    "invalid_request_error",
    "invalid_prompt",
    "bad_request",
    "badrequesterror",
    "request_too_large",
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

fn words(error: &Value) -> Vec<String> {
    let said = ["type", "code", "status"].iter().filter_map(|key| error.get(key).and_then(Value::as_str));
    said.map(str::to_ascii_lowercase).collect()
}

fn message(error: &Value) -> String {
    let said = ["message", "error_description", "title"]
        .iter()
        .find_map(|key| error.get(key).and_then(Value::as_str));
    said.map_or_else(String::new, ToOwned::to_owned)
}

/// A body that is meant for people; nothing of a page.
fn plain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.starts_with('<') { String::new() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Status, body, what it is about, its words for people.
    const BODIES: &[(u16, &str, About, &str)] = &[
        (
            401,
            r#"{"error":{"message":"Incorrect API key","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            About::Key,
            r#"Incorrect API key"#,
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            About::Quota,
            r#"You exceeded"#,
        ),
        (
            429,
            r#"{"error":{"message":"Slow","type":"requests","code":"rate_limit_exceeded"}}"#,
            About::Rate,
            r#"Slow"#,
        ),
        (
            400,
            r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
            About::Context,
            r#"too long"#,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3 > 2"}}"#,
            About::Context,
            r#"prompt is too long: 3 > 2"#,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"x","message":"Your credit balance is too low"}}"#,
            About::Quota,
            r#"Your credit balance is too low"#,
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            About::Load,
            r#"Overloaded"#,
        ),
        (
            404,
            r#"{"error":{"message":"model x not found","type":"api_error"}}"#,
            About::Model,
            r#"model x not found"#,
        ),
        (404, r#"{"error":"path not found"}"#, About::Request, r#"path not found"#),
        (
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-0"}}"#,
            About::Model,
            r#"model: claude-0"#,
        ),
        (422, r#"{"detail":[{"msg":"field required"}]}"#, About::Request, r#"[{"msg":"field required"}]"#),
        (
            400,
            r#"{"object":"error","message":"bad","type":"BadRequestError","code":400}"#,
            About::Request,
            r#"bad"#,
        ),
        (500, r#"{}"#, About::Server, r#""#),
        (
            403,
            r#"{"error":{"message":"Project has no access to model x","type":"invalid_request_error","code":"model_not_found"}}"#,
            About::Model,
            r#"Project has no access to model x"#,
        ),
        (408, r#"{"detail":"late"}"#, About::Server, r#"late"#),
        (503, r#""busy""#, About::Load, r#""#),
    ];

    #[test]
    fn errors_of_every_provider_are_known_for_what_they_are() {
        for (status, body, about, message) in BODIES {
            let said = Said::of_body(*status, body.as_bytes());
            assert_eq!((said.about(), said.message.as_str()), (*about, *message), "{status} {body}");
        }
        assert_eq!(Said::of_body(502, b"<html>Bad Gateway</html>").message, "");
        let event = b"data: {\"error\": {\"message\": \"gone\"}}\n\ndata: [DONE]\n\n";
        assert_eq!(Said::of_body(500, event).message, "gone");
        assert_eq!(Said::of_body(502, b" upstream is gone\n").message, "upstream is gone");
    }

    #[test]
    fn errors_in_the_middle_of_a_stream_have_no_status() {
        let failed = json!({ "error": { "code": "server_error", "message": "sorry" } });
        assert_eq!(Said::of(&failed).about(), About::Server);
        let limited = json!({ "code": "rate_limit_exceeded", "message": "wait" });
        assert_eq!(Said::of(&limited).about(), About::Rate);
        assert_eq!(Said::of(&json!({ "code": "invalid_prompt", "message": "no" })).about(), About::Request);
    }
}
