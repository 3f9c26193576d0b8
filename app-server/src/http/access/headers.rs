//! Headers of answers: protection for all of them, and CORS for pages of the settings.

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use skein_config::access::WebOrigin;

/// Headers of every answer that does not have its own.
const ALL: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::X_DNS_PREFETCH_CONTROL, "off"),
    (header::CACHE_CONTROL, "no-store"),
];
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Adds the headers to an answer. `page` is the allowed page that has asked. Every page may see the answer of a path that is
/// seen by all, but cannot read it.
pub(super) fn finish(mut answer: Response, page: Option<&WebOrigin>, seen_by_all: bool) -> Response {
    let headers = answer.headers_mut();
    for (name, value) in ALL {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    let policy = if page.is_some() || seen_by_all { "cross-origin" } else { "same-origin" };
    headers.entry(RESOURCE_POLICY).or_insert(HeaderValue::from_static(policy));
    if let Some(origin) = page.and_then(|page| HeaderValue::from_str(page.as_str()).ok()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    answer
}

/// Tells browsers to come by TLS only. It holds for every port of the host, so that only the settings can say that the host
/// has nothing else (RFC 6797).
pub(super) fn only_by_tls(mut answer: Response) -> Response {
    answer
        .headers_mut()
        .insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    answer
}

/// Whether a browser asks which requests a page may send (the Fetch standard's CORS preflight).
pub(super) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to an allowed page's preflight.
pub(super) fn preflight() -> Response {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}
