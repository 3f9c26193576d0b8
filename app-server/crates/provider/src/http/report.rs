//! Reads a provider's error report, in any known form. Pure. [`super::about`] classifies it.

use std::time::Duration;

use serde_json::Value;

use super::kind::ErrorKind;
use super::retry;

/// A provider's error report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorReport {
    /// The HTTP status, or the code that stands for it in a report without one.
    pub(crate) status: Option<u16>,
    /// The machine-readable words, in lower case: type, code, reason.
    pub(crate) words: Vec<String>,
    /// The text for people.
    pub(crate) message: String,
    /// The wait that the report asks for in a member of its own.
    pub(crate) wait: Option<Duration>,
    /// The kind of error, once determined.
    pub(crate) settled: Option<ErrorKind>,
}

impl ErrorReport {
    pub(crate) fn of_body(status: u16, body: &[u8]) -> Self {
        // A server that fails after it began to stream sends the error as the first event.
        let first = body.strip_prefix(b"data:").and_then(|rest| rest.split(|byte| *byte == b'\n').next());
        let report = match serde_json::from_slice(first.unwrap_or(body)) {
            Ok(value) => Self::of(&value),
            Err(_) => Self { message: plain(body), ..Self::default() },
        };
        Self { status: Some(status), ..report }
    }

    /// An error in place of an answer, in an event or in a body with status 200.
    pub(crate) fn in_place_of_answer(value: &Value) -> Option<Self> {
        let inner = single(value);
        let has_error = inner.get("error").is_some_and(|error| !error.is_null());
        let is_error = inner["object"] == "error" || inner["type"] == "error";
        // vLLM behind some hubs.
        let has_message = inner["error_message"].is_string();
        (has_error || is_error || has_message).then(|| Self::of(inner))
    }

    /// Reads an error in any known form.
    pub(crate) fn of(value: &Value) -> Self {
        let value = single(value);
        let found = ["error", "detail", "response"]
            .iter()
            .find_map(|key| value.get(key).filter(|error| !error.is_null()));
        let (error, message) = match found {
            Some(Value::String(message)) => (value, message.clone()),
            Some(inner @ Value::Object(_))
                if ["error", "message", "type", "code"].iter().any(|key| inner.get(key).is_some()) =>
            {
                let inner = inner.get("error").filter(|error| error.is_object()).unwrap_or(inner);
                (inner, message(inner))
            }
            Some(other @ (Value::Array(_) | Value::Object(_))) => (value, other.to_string()),
            _ => (value, message(value)),
        };
        let report = Self {
            status: status(error),
            words: words(error),
            message,
            wait: wait(error),
            ..Self::default()
        };
        let report = match error.pointer("/metadata/raw").and_then(cause) {
            Some(cause) => report.because(cause),
            None => report,
        };
        report.unfolded()
    }

    /// Unwraps an error whose message holds another error as JSON.
    fn unfolded(self) -> Self {
        let inner = serde_json::from_str(&self.message).ok();
        match inner
            .and_then(|inner| Self::in_place_of_answer(&inner))
            .filter(|inner| !inner.message.is_empty())
        {
            Some(inner) => Self { message: String::new(), ..self }.because(inner),
            None => self,
        }
    }

    /// The wait that the provider asks for, in a member or in the text.
    pub(crate) fn asked(&self) -> Option<Duration> {
        self.wait.or_else(|| retry::asked_in_words(&self.message))
    }

    /// Determines kind and wait before the text is shortened for display.
    pub(crate) fn settle(&mut self) {
        self.wait = self.asked();
        self.settled = Some(self.about());
    }

    /// Adds the report of the server behind the one that was asked.
    fn because(mut self, cause: Self) -> Self {
        if self.message.is_empty() || !self.message.contains(&cause.message) {
            let parts = [self.message, cause.message];
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            self.message = parts.join(": ");
        }
        self.words.extend(cause.words);
        self.status = self.status.or(cause.status);
        self.wait = self.wait.or(cause.wait);
        self
    }
}

/// Google's servers wrap an error in a list.
fn single(value: &Value) -> &Value {
    value.as_array().and_then(|list| list.first()).unwrap_or(value)
}

/// The report of the provider behind a hub: a text, JSON in a text, or JSON.
fn cause(raw: &Value) -> Option<ErrorReport> {
    let of = |value: &Value| Some(ErrorReport::of(value)).filter(|report| !report.message.is_empty());
    match raw {
        Value::String(text) => {
            let read = serde_json::from_str(text).ok().and_then(|value| of(&value));
            let plainly = || ErrorReport { message: plain(text.as_bytes()), ..ErrorReport::default() };
            Some(read.unwrap_or_else(plainly))
        }
        Value::Object(_) | Value::Array(_) => of(raw),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// A code that is an HTTP status, from servers that sent another status or none.
fn status(error: &Value) -> Option<u16> {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let codes = ["code", "status"].iter().filter_map(|key| number(error.get(key)?));
    codes.filter(|code| (400..600).contains(code)).find_map(|code| u16::try_from(code).ok())
}

fn words(error: &Value) -> Vec<String> {
    let own = ["type", "code", "status", "__type", "error_type"].iter().filter_map(|key| error.get(key));
    let kind = error.pointer("/metadata/error_type");
    let reasons = error["details"].as_array().into_iter().flatten().filter_map(|detail| detail.get("reason"));
    let report = own.chain(kind).chain(reasons).filter_map(Value::as_str);
    // AWS puts the service's name before the type.
    let report = report.map(|word| word.rsplit('#').next().unwrap_or(word).to_ascii_lowercase());
    report.filter(|word| word != "none" && !word.chars().all(|letter| letter.is_ascii_digit())).collect()
}

/// Google's detail with `retryDelay`.
fn wait(error: &Value) -> Option<Duration> {
    let details = error["details"].as_array().into_iter().flatten();
    details.filter_map(|detail| detail["retryDelay"].as_str()).find_map(retry::span)
}

fn message(error: &Value) -> String {
    let keys = ["message", "error_message", "error_description", "title"];
    match keys.iter().find_map(|key| error.get(key).filter(|report| !report.is_null())) {
        Some(Value::String(message)) => message.clone(),
        // Mistral lists the wrong members.
        Some(other @ (Value::Array(_) | Value::Object(_))) => other.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => String::new(),
    }
}

/// A body meant for people; empty for an HTML page.
fn plain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.starts_with('<') { String::new() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Status, body, kind of error, text for people.
    const BODIES: &[(u16, &str, ErrorKind, &str)] = &[
        (
            401,
            r#"{"error":{"message":"Incorrect API key","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            ErrorKind::Key,
            r#"Incorrect API key"#,
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            ErrorKind::Quota,
            r#"You exceeded"#,
        ),
        (
            429,
            r#"{"error":{"message":"Slow","type":"requests","code":"rate_limit_exceeded"}}"#,
            ErrorKind::Rate,
            r#"Slow"#,
        ),
        (
            400,
            r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
            ErrorKind::Context,
            r#"too long"#,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3 > 2"}}"#,
            ErrorKind::Context,
            r#"prompt is too long: 3 > 2"#,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"x","message":"Your credit balance is too low"}}"#,
            ErrorKind::Quota,
            r#"Your credit balance is too low"#,
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            ErrorKind::Load,
            r#"Overloaded"#,
        ),
        (
            404,
            r#"{"error":{"message":"model x not found","type":"api_error"}}"#,
            ErrorKind::Model,
            r#"model x not found"#,
        ),
        (404, r#"{"error":"path not found"}"#, ErrorKind::Request, r#"path not found"#),
        (
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-0"}}"#,
            ErrorKind::Model,
            r#"model: claude-0"#,
        ),
        (
            422,
            r#"{"detail":[{"msg":"field required"}]}"#,
            ErrorKind::Request,
            r#"[{"msg":"field required"}]"#,
        ),
        (
            400,
            r#"{"object":"error","message":"bad","type":"BadRequestError","code":400}"#,
            ErrorKind::Request,
            r#"bad"#,
        ),
        (500, r#"{}"#, ErrorKind::Server, r#""#),
        (
            403,
            r#"{"error":{"message":"Project has no access to model x","type":"invalid_request_error","code":"model_not_found"}}"#,
            ErrorKind::Model,
            r#"Project has no access to model x"#,
        ),
        (
            403,
            r#"{"type":"error","error":{"type":"permission_error","message":"not yours"}}"#,
            ErrorKind::Forbidden,
            "not yours",
        ),
        (403, r#"{"error":{"message":"gone","code":"invalid_api_key"}}"#, ErrorKind::Key, "gone"),
        (
            400,
            r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]"#,
            ErrorKind::Key,
            "API key not valid.",
        ),
        (
            429,
            r#"[{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"RetryInfo","retryDelay":"34s"}]}}]"#,
            ErrorKind::Rate,
            "You exceeded your current quota",
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan"}}"#,
            ErrorKind::Quota,
            "You exceeded your current quota, please check your plan",
        ),
        (
            400,
            r#"{"__type":"com.amazon.coral.service#ThrottlingException","message":"slow"}"#,
            ErrorKind::Rate,
            "slow",
        ),
        (408, r#"{"detail":"late"}"#, ErrorKind::Server, r#"late"#),
        (503, r#""busy""#, ErrorKind::Load, r#""#),
    ];

    #[test]
    fn errors_of_every_provider_are_known_for_what_they_are() {
        for (status, body, about, message) in BODIES {
            let report = ErrorReport::of_body(*status, body.as_bytes());
            assert_eq!((report.about(), report.message.as_str()), (*about, *message), "{status} {body}");
        }
        assert_eq!(ErrorReport::of_body(502, b"<html>Bad Gateway</html>").message, "");
        let event = b"data: {\"error\": {\"message\": \"gone\"}}\n\ndata: [DONE]\n\n";
        assert_eq!(ErrorReport::of_body(500, event).message, "gone");
        assert_eq!(ErrorReport::of_body(502, b" upstream is gone\n").message, "upstream is gone");
    }

    /// Status and body: a conversation that does not fit, in each provider's words.
    const TOO_LONG: &[(u16, &str)] = &[
        (
            400,
            r#"[{"error":{"code":400,"message":"The input token count (1300000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
        ),
        (
            400,
            r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 140000 tokens."}"#,
        ),
        (400, r#"{"message":"Input is too long for requested model."}"#),
        (
            400,
            r#"{"error":{"message":"Invalid request: Your request exceeded model token limit: 262144","type":"invalid_request_error"}}"#,
        ),
        (
            400,
            r#"{"error":"Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}"#,
        ),
        (
            400,
            r#"{"error":{"message":"prompt token count of 131000 exceeds the limit of 128000","code":"model_max_prompt_tokens_exceeded"}}"#,
        ),
        (
            413,
            r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
        ),
        (413, "<html>Request Entity Too Large</html>"),
        (
            400,
            r#"{"object":"error","message":"The decoder prompt (length 9000) is longer than the maximum model length of 4096.","type":"BadRequestError","code":400}"#,
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error"}}"#,
        ),
        (
            400,
            r#"{"error":{"message":"<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]"}}"#,
        ),
        (400, r#"{"error":{"code":"1261","message":"Prompt exceeds max length"}}"#),
        (
            400,
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"x\"}}"}}}"#,
        ),
        (
            400,
            r#"{"error":{"message":"litellm.ContextWindowExceededError: AnthropicException - too much","type":null,"code":"400"}}"#,
        ),
        (
            429,
            r#"{"error":{"message":"Request too large for gpt-4.1 on tokens per min (TPM): Limit 30000, Requested 40000.","type":"tokens","code":"rate_limit_exceeded"}}"#,
        ),
    ];

    #[test]
    fn a_conversation_that_does_not_fit_is_known_whoever_says_so() {
        for (status, body) in TOO_LONG {
            assert_eq!(
                ErrorReport::of_body(*status, body.as_bytes()).about(),
                ErrorKind::Context,
                "{status} {body}"
            );
        }
        let rate = r#"{"error":{"message":"Rate limit reached on tokens per min (TPM): Limit 30000, Used 20000, Requested 20000.","code":"rate_limit_exceeded"}}"#;
        assert_eq!(ErrorReport::of_body(429, rate.as_bytes()).about(), ErrorKind::Rate);
    }

    #[test]
    fn the_cause_behind_a_hub_is_reported_with_its_kind() {
        let raw = |raw: Value| json!({ "error": { "message": "Provider returned error", "code": 400, "metadata": { "raw": raw } } });
        let inner = json!({ "error": { "type": "invalid_request_error", "code": "model_not_found", "message": "no m" } });
        for whole in [raw(json!(inner.to_string())), raw(inner)] {
            let report = ErrorReport::of(&whole);
            assert_eq!(
                (report.message.as_str(), report.about()),
                ("Provider returned error: no m", ErrorKind::Model)
            );
        }
        let report = ErrorReport::of(&raw(json!("m is rate-limited upstream")));
        assert_eq!(report.message, "Provider returned error: m is rate-limited upstream");
        assert_eq!(ErrorReport::of(&raw(json!(7))).message, "Provider returned error");
        let folded = json!({ "error": { "message": "{\"error\":{\"message\":\"no m\",\"code\":\"model_not_found\"}}" } });
        assert_eq!(
            (ErrorReport::of(&folded).message.as_str(), ErrorReport::of(&folded).about()),
            ("no m", ErrorKind::Model)
        );
        // The code stands in for a missing status.
        let limited = json!({ "error": { "message": "slow", "code": 429 } });
        assert_eq!(
            (ErrorReport::of(&limited).about(), ErrorReport::of(&limited).status),
            (ErrorKind::Rate, Some(429))
        );
    }

    #[test]
    fn an_error_in_place_of_an_answer_is_found_whatever_its_form() {
        for error in [
            json!({ "error": { "message": "x" } }),
            json!([{ "error": { "message": "x" } }]),
            json!({ "error": "x" }),
            json!({ "object": "error", "message": "x", "code": 400 }),
            json!({ "type": "error", "error": { "message": "x" } }),
            json!({ "error_type": "context_length_exceeded", "error_message": "x" }),
        ] {
            let report = ErrorReport::in_place_of_answer(&error).map(|report| report.message);
            assert_eq!(report.as_deref(), Some("x"), "{error}");
        }
        for answer in [json!({ "error": null }), json!({ "object": "chat.completion" }), json!([]), json!(3)]
        {
            assert_eq!(ErrorReport::in_place_of_answer(&answer), None, "{answer}");
        }
    }

    #[test]
    fn errors_in_the_middle_of_a_stream_have_no_status() {
        let failed = json!({ "error": { "code": "server_error", "message": "sorry" } });
        assert_eq!(ErrorReport::of(&failed).about(), ErrorKind::Server);
        let limited = json!({ "code": "rate_limit_exceeded", "message": "wait" });
        assert_eq!(ErrorReport::of(&limited).about(), ErrorKind::Rate);
        assert_eq!(
            ErrorReport::of(&json!({ "code": "invalid_prompt", "message": "no" })).about(),
            ErrorKind::Request
        );
    }
}
