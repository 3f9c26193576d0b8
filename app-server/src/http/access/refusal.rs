//! The answers to requests that do not pass: one status, one reason, and a sentence with the way out.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use skein_config::access::{Door, SignedTokenRefusal, WebOrigin};

use crate::policy;

/// Why a request does not pass. The words are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RefusalReason {
    /// 400: no request of HTTP/1.1.
    Syntax,
    /// 400: no `Host`, two of them, or one that is none.
    Host,
    /// 421: a `Host` that is not served.
    Misdirected,
    /// 400: a secret in the address.
    Address,
    /// 400: two credentials.
    Credentials,
    /// 400: the credential without `skein.v1` beside it.
    Subprotocol,
    /// 400: an upgrade that is no websocket handshake of RFC 6455.
    Upgrade,
    /// 400: a body that is not the expected JSON.
    Body,
    /// 401: no credential, where one is needed.
    Missing,
    /// 401: a credential that has no possible form.
    Malformed,
    /// 401: a credential that was never given, or is forgotten.
    Unknown,
    /// 401
    Expired,
    /// 401
    Revoked,
    /// 401: a ticket that was used before.
    Used,
    /// 401: a ticket sent elsewhere than to `POST /auth/session`.
    Ticket,
    /// 401: a token of `--ws-auth signed-bearer-token` that is not valid.
    Signed(SignedTokenRefusal),
    /// 401: a credential that is bound to another origin.
    OtherOrigin,
    /// 401: a credential that only the server's user may send.
    User,
    /// 403: a page that is not allowed.
    Origin,
    /// 403: a browser, where none may come.
    Browser,
    /// 403: a helper.
    Helper,
    /// 403: the access is not enough.
    Forbidden,
    /// 404
    NotFound,
    /// 405
    Method,
    /// 413: a body above the limit.
    TooLarge,
    /// 415: a body of another type.
    MediaType,
    /// 431: a head above the limit.
    LargeHead,
    /// 429: too many wrong credentials.
    TooMany,
    /// 503: too many tickets are open, or processes begin too fast to see whether a helper connects.
    Busy,
    /// 503: too many connections are open, or begin.
    Full,
    /// 503: a credential that is not known here, while the database that may know it does not answer.
    Unread,
}

impl RefusalReason {
    /// The status and the word in the body.
    fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::Syntax => (StatusCode::BAD_REQUEST, "syntax"),
            Self::Host => (StatusCode::BAD_REQUEST, "host"),
            Self::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "host"),
            Self::Address => (StatusCode::BAD_REQUEST, "address"),
            Self::Credentials => (StatusCode::BAD_REQUEST, "credentials"),
            Self::Subprotocol => (StatusCode::BAD_REQUEST, "subprotocol"),
            Self::Upgrade => (StatusCode::BAD_REQUEST, "upgrade"),
            Self::Body => (StatusCode::BAD_REQUEST, "body"),
            Self::Missing => (StatusCode::UNAUTHORIZED, "missing"),
            Self::Malformed => (StatusCode::UNAUTHORIZED, "malformed"),
            Self::Unknown => (StatusCode::UNAUTHORIZED, "unknown"),
            Self::Expired => (StatusCode::UNAUTHORIZED, "expired"),
            Self::Revoked => (StatusCode::UNAUTHORIZED, "revoked"),
            Self::Used => (StatusCode::UNAUTHORIZED, "used"),
            Self::Ticket => (StatusCode::UNAUTHORIZED, "ticket"),
            Self::Signed(refusal) => (StatusCode::UNAUTHORIZED, signed_word(refusal)),
            Self::OtherOrigin => (StatusCode::UNAUTHORIZED, "origin"),
            Self::User => (StatusCode::UNAUTHORIZED, "user"),
            Self::Origin => (StatusCode::FORBIDDEN, "origin"),
            Self::Browser => (StatusCode::FORBIDDEN, "browser"),
            Self::Helper => (StatusCode::FORBIDDEN, "helper"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotFound => (StatusCode::NOT_FOUND, "notFound"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "tooLarge"),
            Self::LargeHead => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "tooLarge"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "mediaType"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "tooMany"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "full"),
            Self::Unread => (StatusCode::SERVICE_UNAVAILABLE, "storeUnavailable"),
        }
    }

    /// The refusal with this sentence.
    pub(crate) fn refusal(self, message: impl Into<String>) -> AccessRefusal {
        AccessRefusal { reason: self, message: message.into(), header: None }
    }

    /// Whether a right credential was missing.
    pub(crate) fn is_about_credentials(self) -> bool {
        matches!(self, Self::Missing | Self::User | Self::OtherOrigin) || self.is_wrong_credential()
    }

    /// Whether a secret was sent and is wrong. Missing ones and refused origins do not count.
    pub(crate) fn is_wrong_credential(self) -> bool {
        matches!(
            self,
            Self::Malformed
                | Self::Unknown
                | Self::Expired
                | Self::Revoked
                | Self::Used
                | Self::Ticket
                | Self::Signed(_)
        )
    }
}

/// The word in the body of the refusal of a signed token.
fn signed_word(refusal: SignedTokenRefusal) -> &'static str {
    match refusal {
        SignedTokenRefusal::Invalid => "unknown",
        SignedTokenRefusal::Expired => "expired",
        SignedTokenRefusal::NotYet => "notYet",
        SignedTokenRefusal::Issuer => "issuer",
        SignedTokenRefusal::Audience => "audience",
    }
}

/// The answer to a request that does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessRefusal {
    pub(crate) reason: RefusalReason,
    pub(crate) message: String,
    /// A header that belongs to the status.
    header: Option<(HeaderName, String)>,
}

impl AccessRefusal {
    /// 421: a `Host` that is not served.
    pub(crate) fn misdirected(door: Door) -> Self {
        RefusalReason::Misdirected.refusal(match door {
            Door::Remote => {
                "this host is not served here: use the server's address, a name of its certificate or of --listen, or that of its setting public_url"
            }
            Door::Loopback | Door::Unix => {
                "this host is not served here: use 127.0.0.1, [::1] or localhost"
            }
        })
    }

    /// 403: a page that is not allowed, with the command that allows it if the text is safe to paste. An opaque origin and a very
    /// long one count as malformed.
    pub(crate) fn origin(origin: Option<&WebOrigin>) -> Self {
        let command = origin.and_then(|origin| Some((origin, origin.command()?)));
        let message = match command {
            Some((origin, command)) => format!("origin {origin} is not allowed; if it is yours: {command}"),
            None => "a malformed origin is not allowed".to_owned(),
        };
        RefusalReason::Origin.refusal(message)
    }

    /// 431: a head above the limit.
    pub(crate) fn large_head() -> Self {
        let text = format!("the head of a request has at most {} bytes and 100 headers", policy::HEAD_BYTES);
        RefusalReason::LargeHead.refusal(text)
    }

    /// 405 with the methods that the route has.
    pub(crate) fn method(allowed: &'static str) -> Self {
        let header = Some((header::ALLOW, allowed.to_owned()));
        Self { header, ..RefusalReason::Method.refusal(format!("this route has {allowed}")) }
    }

    /// 429 with the wait.
    pub(crate) fn too_many(seconds: u64) -> Self {
        let header = Some((header::RETRY_AFTER, seconds.to_string()));
        Self {
            header,
            ..RefusalReason::TooMany.refusal("too many wrong credentials; a right one passes at any time")
        }
    }

    /// 503: this limit of connections is reached.
    pub(crate) fn full(limit: &str, most: usize, wait: Duration) -> Self {
        let header = Some((header::RETRY_AFTER, wait.as_secs().max(1).to_string()));
        let text =
            format!("{most} connections are the limit ({limit}); close some, or raise it in config.toml");
        Self { header, ..RefusalReason::Full.refusal(text) }
    }

    /// 503: one address begins too many connections.
    pub(crate) fn fast(limit: &str, most: usize, wait: Duration) -> Self {
        let text = format!(
            "{most} new connections a second are the limit of one address ({limit}); connect later, or raise it in config.toml"
        );
        Self { message: text, ..Self::full(limit, most, wait) }
    }

    /// 503: nobody can say yet whether a helper connects.
    pub(crate) fn unsettled() -> Self {
        let header = Some((header::RETRY_AFTER, policy::UNDECIDED_WAIT.as_secs().to_string()));
        let text = "processes begin too fast here to see whether a helper connects; try again";
        Self { header, ..RefusalReason::Busy.refusal(text) }
    }

    /// 503: nobody can say yet whether the credential is good.
    pub(crate) fn unread() -> Self {
        let header = Some((header::RETRY_AFTER, policy::UNDECIDED_WAIT.as_secs().to_string()));
        let text = "this credential is not known here, and the database does not answer; try again";
        Self { header, ..RefusalReason::Unread.refusal(text) }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.reason.parts().0
    }

    /// The body, at most [`policy::REFUSAL_BYTES`].
    pub(super) fn body(&self) -> String {
        // The rest of the body is below a hundred bytes.
        let end = self.message.floor_char_boundary(policy::REFUSAL_BYTES - 100);
        let message = self.message.get(..end).unwrap_or_default();
        json!({ "reason": self.word(), "message": message }).to_string()
    }

    /// The word in the body.
    pub(crate) fn word(&self) -> &'static str {
        self.reason.parts().1
    }
}

impl IntoResponse for AccessRefusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The client has to begin anew anyway, and a refused upgrade leaves bytes behind that are no request.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some((name, value)) = self.header
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_stays_below_its_limit() {
        let refusal = RefusalReason::Origin.refusal("\u{e4}".repeat(5_000));
        let body = axum::body::to_bytes(refusal.into_response().into_body(), 1 << 20).await.unwrap();
        assert!(body.len() <= policy::REFUSAL_BYTES, "{}", body.len());
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
    }

    #[test]
    fn the_command_is_shown_only_for_an_origin_and_a_shell_takes_it_literally() {
        for (origin, command) in [
            ("http://localhost:5173", "skein origins add http://localhost:5173"),
            ("http://[::1]:5173", "skein origins add 'http://[::1]:5173'"),
        ] {
            let origin = WebOrigin::parse(origin).unwrap();
            assert!(AccessRefusal::origin(Some(&origin)).message.ends_with(command));
        }
        assert!(!AccessRefusal::origin(None).message.contains("skein origins"));
    }
}
