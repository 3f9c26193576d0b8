//! The head of a request, as far as the decision about it needs it. Reading a head has no effect.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use skein_config::PublicUrl;
use skein_config::access::{Door, SentSecret, WebOrigin};

use super::super::tls::ServedCertificate;
use super::refusal::{AccessRefusal, RefusalReason};

/// The subprotocol of a client that sends its credential with the handshake. The server selects it in the answer.
pub(crate) const SUBPROTOCOL: &str = "skein.v1";
/// The start of the subprotocol that carries the credential.
const CREDENTIAL: &str = "skein.auth.";
/// Secrets in an address end in logs and histories.
const SECRET_PARAMETERS: [&str; 3] = ["token", "access_token", "ticket"];
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");
/// Headers by which a proxy names itself, beside those that begin with `X-Forwarded`.
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

/// The way by which a request has come, as the connection and the settings know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entrance<'a> {
    pub(crate) door: Door,
    /// The certificate that the client was shown, where the port speaks TLS.
    pub(crate) certificate: Option<&'a ServedCertificate>,
    pub(crate) public_url: Option<&'a PublicUrl>,
    /// The name of the port in `--listen`, in lower case.
    pub(crate) name: Option<&'a str>,
}

/// The parts of a head that a decision looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestHead {
    /// The door, which is the remote one for all that comes by `public_url`: from there comes the whole network of a proxy.
    pub(crate) door: Door,
    /// The door of its socket, whatever the head says. A program of this machine can send each head.
    pub(crate) socket: Door,
    /// Whether it has come by `public_url`.
    pub(crate) is_public: bool,
    /// The origin of the pages that the server serves at the request's `Host`.
    pub(crate) own: Option<WebOrigin>,
    pub(crate) sender: Sender,
    /// Whether a proxy or a tunnel has passed the request on.
    pub(crate) is_forwarded: bool,
    /// The credential that it carries.
    pub(crate) credential: Option<SentSecret>,
    /// Whether a browser asks for the script of a service worker.
    pub(crate) is_worker_script: bool,
}

impl RequestHead {
    /// Reads the head of a request at this entrance.
    ///
    /// # Errors
    /// The refusal of a head that nobody may send.
    pub(crate) fn read(entrance: Entrance<'_>, parts: &Parts) -> Result<Self, AccessRefusal> {
        let headers = &parts.headers;
        let host = host(entrance, headers, &parts.uri)?;
        no_secret_in_address(&parts.uri)?;
        no_body_behind_an_upgrade(headers)?;
        let public = entrance.public_url.filter(|_| entrance.door != Door::Unix);
        let by_host = public.filter(|url| url.has_host(&host));
        let own = match by_host {
            Some(url) => Some(url.origin().clone()),
            None if entrance.certificate.is_some() => WebOrigin::own("https", &host),
            None => WebOrigin::own("http", &host),
        };
        let sender = sender(headers, own.as_ref())?;
        // A proxy may send a Host of its own.
        let is_public = by_host.is_some() || public.is_some_and(|url| sender.page() == Some(url.origin()));
        Ok(Self {
            door: if is_public { Door::Remote } else { entrance.door },
            socket: entrance.door,
            is_public,
            own,
            is_forwarded: is_forwarded(headers),
            credential: credential(headers)?,
            is_worker_script: headers.get(SERVICE_WORKER).is_some_and(|value| value == "script"),
            sender,
        })
    }
}

/// The `Host` of a request. Unix sockets have no host, so theirs is not looked at.
fn host(entrance: Entrance<'_>, headers: &HeaderMap, target: &Uri) -> Result<String, AccessRefusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if entrance.door == Door::Unix {
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
    if is_served(entrance, &host) { Ok(host) } else { Err(AccessRefusal::misdirected(entrance.door)) }
}

/// Whether the server answers requests with this `Host`, in lower case. A name that anybody can lead here would make the
/// page of a stranger a page of the server; nobody can do that with an address.
fn is_served(entrance: Entrance<'_>, host: &str) -> bool {
    if WebOrigin::own("http", host).is_none() {
        return false;
    }
    if entrance.public_url.is_some_and(|url| url.has_host(host)) {
        return true;
    }
    let name = without_port(host);
    if is_loopback(name) || entrance.name == Some(name) {
        return true;
    }
    entrance.door == Door::Remote
        && (address(name).is_some()
            || entrance.certificate.is_some_and(|certificate| certificate.names(name)))
}

/// The name in the only `Host`, in lower case and without its port.
pub(super) fn name_of(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?.to_ascii_lowercase();
    Some(without_port(&host).to_owned())
}

/// A host of a `Host`, without its port.
fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').and_then(|end| host.get(..=end)).unwrap_or(host);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// The address that a host is, rather than a name.
fn address(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Whether a host without a port names this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || address(host).is_some_and(|ip| ip.is_loopback())
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

fn sender(headers: &HeaderMap, own: Option<&WebOrigin>) -> Result<Sender, AccessRefusal> {
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
        Some(site) if site == "same-origin" => own.cloned().map_or(Sender::MalformedPage, Sender::Page),
        Some(_) => Sender::Browser,
    })
}

/// Proxies name themselves by these headers. A proxy of the user would otherwise make its whole network that user.
fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| PROXY.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded"))
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
