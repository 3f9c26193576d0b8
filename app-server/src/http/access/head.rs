//! The head of a request, as far as the decision about it needs it. Reading a head has no effect.

use std::net::{IpAddr, SocketAddr};

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use skein_config::access::{Door, SentSecret, WebOrigin};

use super::refusal::{AccessRefusal, RefusalReason};

/// The subprotocol of a client that sends its credential with the handshake. The server selects it in the answer.
pub(crate) const SUBPROTOCOL: &str = "skein.v1";
/// The start of the subprotocol that carries the credential.
const CREDENTIAL: &str = "skein.auth.";
/// Secrets in an address end in logs and histories.
const SECRET_PARAMETERS: [&str; 3] = ["token", "access_token", "ticket"];
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");
/// Headers by which a proxy names itself, beside `X-Forwarded-*`.
const PROXY: [&str; 3] = ["forwarded", "via", "x-real-ip"];

/// The sender of a request, as its head shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sender {
    /// No browser, and no proxy that says so.
    Program,
    /// A page of this origin.
    Page(WebOrigin),
    /// A page whose `Origin` is no origin.
    MalformedPage,
    /// A browser without an `Origin`: a navigation, an image, or a page's own `GET`.
    Browser,
}

impl Sender {
    /// The page, if one has sent its origin.
    pub(crate) fn page(&self) -> Option<&WebOrigin> {
        match self {
            Self::Page(origin) => Some(origin),
            Self::Program | Self::MalformedPage | Self::Browser => None,
        }
    }
}

/// The parts of a head that a decision looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestHead {
    /// The `Host`, in lower case; empty on a unix socket without one.
    pub(crate) host: String,
    pub(crate) sender: Sender,
    /// Whether a proxy or a tunnel has passed the request on.
    pub(crate) is_forwarded: bool,
    /// The credential that it carries.
    pub(crate) credential: Option<SentSecret>,
    /// Whether a browser asks for the script of a service worker.
    pub(crate) is_worker_script: bool,
}

impl RequestHead {
    /// Reads the head of a request at this door.
    ///
    /// # Errors
    /// The refusal of a head that nobody may send.
    pub(crate) fn read(door: Door, parts: &Parts) -> Result<Self, AccessRefusal> {
        let headers = &parts.headers;
        let host = host(door, headers, &parts.uri)?;
        no_secret_in_address(&parts.uri)?;
        no_body_behind_an_upgrade(headers)?;
        let sender = sender(headers, &host)?;
        Ok(Self {
            is_forwarded: is_forwarded(headers),
            credential: credential(headers)?,
            is_worker_script: headers.get(SERVICE_WORKER).is_some_and(|value| value == "script"),
            sender,
            host,
        })
    }
}

/// The `Host` of a request. Unix sockets have no host, so theirs is not looked at.
fn host(door: Door, headers: &HeaderMap, target: &Uri) -> Result<String, AccessRefusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if door == Door::Unix {
        let host = first.and_then(|host| host.to_str().ok()).unwrap_or_default();
        return Ok(host.to_ascii_lowercase());
    }
    let (Some(host), None) = (first, second) else {
        return Err(RefusalReason::Host.refusal("send exactly one Host"));
    };
    let Ok(host) = host.to_str() else { return Err(RefusalReason::Host.refusal("the Host is malformed")) };
    let host = host.to_ascii_lowercase();
    if target.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(&host)) {
        return Err(RefusalReason::Host.refusal("the target names another host than Host"));
    }
    if host.contains('@') {
        return Err(RefusalReason::Host.refusal("a Host has no credentials"));
    }
    if is_loopback(&host) { Ok(host) } else { Err(AccessRefusal::misdirected()) }
}

/// Whether a `Host` in lower case names this machine, with or without a port. Pages of it have an origin.
pub(crate) fn is_loopback(host: &str) -> bool {
    if WebOrigin::own(host).is_none() {
        return false;
    }
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let ip = bracketed.unwrap_or(name).parse::<IpAddr>();
    name == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn no_secret_in_address(target: &Uri) -> Result<(), AccessRefusal> {
    let parameters = form_urlencoded::parse(target.query().unwrap_or_default().as_bytes());
    let is_secret = |name: &str| SECRET_PARAMETERS.iter().any(|secret| name.eq_ignore_ascii_case(secret));
    if parameters.into_iter().any(|(name, _)| is_secret(&name)) {
        return Err(RefusalReason::Address.refusal(
            "a secret is not in an address: send Authorization: Bearer, or the subprotocols skein.v1 and \
             skein.auth.SECRET",
        ));
    }
    Ok(())
}

/// A body behind a handshake would be read as frames.
fn no_body_behind_an_upgrade(headers: &HeaderMap) -> Result<(), AccessRefusal> {
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if headers.contains_key(header::UPGRADE) && has_body {
        return Err(RefusalReason::Upgrade.refusal("a websocket handshake has no body"));
    }
    Ok(())
}

/// The origin of the page, if the head has exactly one.
pub(super) fn origin(headers: &HeaderMap) -> Option<WebOrigin> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return None };
    origin.to_str().ok().and_then(WebOrigin::parse)
}

fn sender(headers: &HeaderMap, host: &str) -> Result<Sender, AccessRefusal> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_page = origins.next().is_some();
    if origins.next().is_some() {
        return Err(RefusalReason::Origin.refusal("send one Origin"));
    }
    if is_page {
        return Ok(origin(headers).map_or(Sender::MalformedPage, Sender::Page));
    }
    Ok(match headers.get(SEC_FETCH_SITE) {
        None => Sender::Program,
        Some(site) if site == "same-origin" => {
            WebOrigin::own(host).map_or(Sender::MalformedPage, Sender::Page)
        }
        Some(_) => Sender::Browser,
    })
}

/// Proxies name themselves by these headers. A proxy of the user would otherwise make its whole network that user.
fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| PROXY.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-"))
}

/// The credential of a request: `Authorization: Bearer SECRET` (RFC 6750), or the subprotocol `skein.auth.SECRET`
/// beside [`SUBPROTOCOL`].
fn credential(headers: &HeaderMap) -> Result<Option<SentSecret>, AccessRefusal> {
    let mut found = Vec::new();
    for value in headers.get_all(header::AUTHORIZATION) {
        let text = value.to_str().unwrap_or_default();
        let (scheme, secret) = text.split_once(' ').unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(RefusalReason::Malformed.refusal("write Authorization: Bearer SECRET"));
        }
        found.push(SentSecret::new(secret.trim()));
    }
    let protocols: Vec<&str> = subprotocols(headers).collect();
    let offered = protocols.iter().filter_map(|protocol| protocol.strip_prefix(CREDENTIAL));
    let offered: Vec<SentSecret> = offered.map(SentSecret::new).collect();
    if !offered.is_empty() && !protocols.contains(&SUBPROTOCOL) {
        return Err(RefusalReason::Subprotocol.refusal("offer skein.v1 beside skein.auth.SECRET"));
    }
    found.extend(offered);
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(RefusalReason::Credentials.refusal("send one credential")),
    }
}

/// Takes the credential out of the headers, which outlive the decision. The other subprotocols stay.
pub(super) fn remove_credential(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    if subprotocols(headers).any(|protocol| protocol.starts_with(CREDENTIAL)) {
        let others = subprotocols(headers).filter(|protocol| !protocol.starts_with(CREDENTIAL));
        let others = HeaderValue::from_str(&others.collect::<Vec<_>>().join(", "));
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        headers.extend(others.ok().map(|others| (header::SEC_WEBSOCKET_PROTOCOL, others)));
    }
}

/// The subprotocols that a handshake offers.
pub(crate) fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}
