//! Access control for all routes: programs on this machine, and no web pages. Clients have no identity yet, so any
//! `Origin` is refused.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Passes a request on, or refuses it.
pub(crate) async fn only_local(request: Request, next: Next) -> Response {
    match refusal(request.headers(), request.uri().authority()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

/// The refusal of a request: 403 for a page, 421 for another host.
fn refusal(headers: &HeaderMap, authority: Option<&Authority>) -> Option<(StatusCode, &'static str)> {
    if headers.contains_key(header::ORIGIN) {
        return Some((StatusCode::FORBIDDEN, "pages of browsers are not served here: send no Origin\n"));
    }
    let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    let host = host.or(authority.map(Authority::as_str)).unwrap_or_default();
    if is_local(host) {
        return None;
    }
    Some((
        StatusCode::MISDIRECTED_REQUEST,
        "this host is not served here: use 127.0.0.1, [::1] or localhost\n",
    ))
}

/// Whether a `Host` names this machine, with or without a port.
fn is_local(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.parse::<u16>().is_ok() => name,
        Some(_) | None => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(host: Option<&str>, origin: Option<&str>) -> Option<u16> {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(header::HOST, host.parse().unwrap());
        }
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        refusal(&headers, None).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn programs_on_this_machine_are_served() {
        for host in ["127.0.0.1:4500", "127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:4500", "[::1]"] {
            assert_eq!(status(Some(host), None), None, "{host}");
        }
    }

    #[test]
    fn hosts_that_are_not_this_machine_are_misdirected() {
        let hosts =
            ["example.com", "10.0.0.1:4500", "localhost.example.com", "127.0.0.1.example.com", "", "::1:80:"];
        for host in hosts {
            assert_eq!(status(Some(host), None), Some(421), "{host}");
        }
        assert_eq!(status(None, None), Some(421));
    }

    #[test]
    fn any_page_is_refused() {
        for origin in ["http://localhost:4500", "null", "https://example.com"] {
            assert_eq!(status(Some("localhost"), Some(origin)), Some(403), "{origin}");
        }
    }
}
