//! Where a server listens, and what lets other machines in: `--listen`, `--tls-cert`, `public_url`, `trusted_proxies` and
//! `[listen]`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use skein_store::home::{STDIO, UNIX};

use super::problem::Problems;
use super::{ConfigError, Flags, PassedSockets, Place, ServerConfig};
use crate::access::WebOrigin;
use crate::policy;

const WEBSOCKET: &str = "ws://";
const SECURE: &str = "wss://";
const SYSTEMD: &str = "systemd://";
const FLAG: &str = "--listen";
const REMEDY: &str =
    "write ws://127.0.0.1:PORT (port 0 takes a free one), wss://ADDRESS:PORT, unix://PATH or systemd://";
/// The name of this machine for itself.
const LOCAL: &str = "localhost";

/// One place where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAt {
    /// A TCP port.
    Tcp {
        /// The address, or a name that has some.
        host: ListenHost,
        /// The port; 0 takes a free one.
        port: u16,
        /// Whether clients speak TLS there.
        tls: bool,
    },
    /// A unix socket at this path; `None` for the one in the home.
    Unix(Option<PathBuf>),
    /// The sockets that a service manager has opened (sd_listen_fds(3)).
    Systemd(PassedSockets),
}

/// The host of a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenHost {
    /// An address.
    Ip(IpAddr),
    /// A name; the server listens at each of its addresses.
    Name(String),
}

/// The files of a TLS key: PEM, the certificate first and then those that lead to its authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Rules for addresses that other machines reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ListenRules {
    /// Whether such an address may be served without TLS, and without a proxy that does it.
    pub plain: bool,
}

/// The address by which a proxy or a tunnel brings clients: `https://HOST[:PORT]`, or `http://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    origin: WebOrigin,
}

impl ListenAt {
    /// The usual place.
    pub(crate) fn usual() -> Self {
        Self::Tcp { host: ListenHost::Ip(Ipv4Addr::LOCALHOST.into()), port: policy::DEFAULT_PORT, tls: false }
    }

    /// Reads one `--listen`; `None` for standard streams, which are no place.
    fn parse(text: &str, passed: &PassedSockets) -> Result<Option<Self>, ConfigError> {
        let wrong = |what: String| wrong(FLAG, what, REMEDY);
        if text == STDIO {
            return Ok(None);
        }
        if let Some(path) = text.strip_prefix(UNIX) {
            return Ok(Some(Self::Unix((!path.is_empty()).then(|| PathBuf::from(path)))));
        }
        if text == SYSTEMD {
            return Ok(Some(Self::Systemd(passed.clone())));
        }
        let tls = text.starts_with(SECURE);
        let Some(rest) = text.strip_prefix(WEBSOCKET).or_else(|| text.strip_prefix(SECURE)) else {
            return Err(match text.split_once("://") {
                Some((scheme, _)) => wrong(format!("{scheme}:// is not supported")),
                None => wrong(format!("{text:?} is not a websocket address")),
            });
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) =
            host_and_port(rest).ok_or_else(|| wrong(format!("{rest:?} is not an address with a port")))?;
        Ok(Some(Self::Tcp { host, port, tls }))
    }
}

/// Reads `ADDRESS:PORT` or `NAME:PORT`.
fn host_and_port(text: &str) -> Option<(ListenHost, u16)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((ListenHost::Ip(address.ip()), address.port()));
    }
    let (name, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    // Of the addresses of this name, the first family is the one that all programs try.
    if name == LOCAL {
        return Some((ListenHost::Ip(Ipv4Addr::LOCALHOST.into()), port));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let is_number = name.chars().all(|c| c.is_ascii_digit() || c == '.');
    (!name.is_empty() && !is_number && name.chars().all(is_name))
        .then(|| (ListenHost::Name(name.to_owned()), port))
}

/// The places and the TLS files of a start. Every error is kept.
pub(crate) fn read(flags: &Flags, problems: &mut Problems) -> (Vec<ListenAt>, Option<TlsFiles>) {
    let places = places(flags, problems);
    let tls = tls(flags, &places).unwrap_or_else(|error| {
        problems.push(error);
        None
    });
    (places, tls)
}

fn places(flags: &Flags, problems: &mut Problems) -> Vec<ListenAt> {
    if flags.listen.is_empty() {
        return vec![ListenAt::usual()];
    }
    let mut places = Vec::new();
    for text in &flags.listen {
        match ListenAt::parse(text, &flags.passed) {
            Ok(Some(place)) if places.contains(&place) => {
                problems.push(wrong(FLAG, format!("{text} stands there twice"), "write it once"));
            }
            Ok(place) => places.extend(place),
            Err(error) => problems.push(error),
        }
    }
    places
}

/// An error where a certificate is given that no address uses. A service manager's sockets may speak TLS.
pub(crate) fn unused_certificate(config: &ServerConfig) -> Option<ConfigError> {
    let may_speak =
        |place: &ListenAt| matches!(place, ListenAt::Tcp { tls: true, .. } | ListenAt::Systemd(_));
    let is_for_scrapers = config.metrics.listen.is_some_and(|at| !at.ip().to_canonical().is_loopback());
    let is_used = is_for_scrapers || config.listen.iter().any(may_speak);
    let unused = || wrong("--tls-cert", "no address speaks TLS", "write --listen wss://ADDRESS:PORT");
    (config.tls.is_some() && !is_used).then(unused)
}

/// The files for the places with TLS.
fn tls(flags: &Flags, places: &[ListenAt]) -> Result<Option<TlsFiles>, ConfigError> {
    let is_needed = places.iter().any(|place| matches!(place, ListenAt::Tcp { tls: true, .. }));
    match (flags.tls_cert.clone(), flags.tls_key.clone()) {
        (None, None) if is_needed => {
            Err(wrong(FLAG, "wss:// needs a certificate", "add --tls-cert FILE --tls-key FILE"))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(wrong("--tls-cert", "the certificate needs its key", "add --tls-key FILE")),
        (None, Some(_)) => Err(wrong("--tls-key", "the key needs its certificate", "add --tls-cert FILE")),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
    }
}

fn wrong(flag: &str, what: impl Into<String>, remedy: &str) -> ConfigError {
    ConfigError::new(Place::Flag(flag.to_owned()), "", what, remedy)
}

impl fmt::Display for ListenHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip @ IpAddr::V4(_)) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// As `--listen` takes it.
impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, tls } => {
                write!(f, "{}{host}:{port}", if *tls { SECURE } else { WEBSOCKET })
            }
            Self::Unix(None) => f.write_str(UNIX),
            Self::Unix(Some(path)) => write!(f, "{UNIX}{}", path.display()),
            Self::Systemd(_) => f.write_str(SYSTEMD),
        }
    }
}

impl PublicUrl {
    /// Reads `https://HOST[:PORT]` or `http://HOST[:PORT]`, with or without a slash at its end.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (scheme, authority) = text.split_once("://")?;
        let host = without_usual_port(scheme, authority)?.to_ascii_lowercase();
        WebOrigin::parse(&format!("{scheme}://{host}")).map(|origin| Self { origin })
    }

    /// The origin of the page that it serves.
    pub fn origin(&self) -> &WebOrigin {
        &self.origin
    }

    /// Whether a `Host` in lower case is its own. Browsers leave the usual port out; other programs may not.
    pub fn has_host(&self, host: &str) -> bool {
        let own = self.origin.as_str().split_once("://");
        own.is_some_and(|(scheme, own)| without_usual_port(scheme, host) == Some(own))
    }

    /// Whether it leads each machine to itself.
    fn is_loopback(&self) -> bool {
        let host = self.origin.as_str().split_once("://").map_or("", |(_, host)| host);
        let name = host.strip_prefix('[').and_then(|host| host.split_once(']')).map(|(name, _)| name);
        let name = name.unwrap_or_else(|| host.split_once(':').map_or(host, |(name, _)| name));
        name == LOCAL || name.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
    }

    /// Whether its clients speak TLS.
    pub fn is_secure(&self) -> bool {
        self.origin.as_str().starts_with("https://")
    }
}

/// A host without the port that browsers leave out; `None` for another scheme.
fn without_usual_port<'a>(scheme: &str, host: &'a str) -> Option<&'a str> {
    let usual = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    Some(host.strip_suffix(usual).unwrap_or(host))
}

impl Serialize for PublicUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.origin.as_str())
    }
}

impl<'de> Deserialize<'de> for PublicUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = String::deserialize(from).ok().and_then(|text| Self::parse(&text));
        let read = read.ok_or_else(|| {
            D::Error::custom("write the address by which clients come, such as \"https://box.example.org\"")
        })?;
        if read.is_loopback() {
            return Err(D::Error::custom(
                "a page on this machine needs no public_url: leave it out, or write the address by which other machines \
                 come, such as \"https://box.example.org\"",
            ));
        }
        Ok(read)
    }
}

/// Addresses of proxies.
pub(crate) fn proxies<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpAddr>, D::Error> {
    Vec::<IpAddr>::deserialize(from)
        .map_err(|_| D::Error::custom("write a list of addresses, such as [\"127.0.0.1\"]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(listen: &[&str], tls: [Option<&str>; 2]) -> Result<ServerConfig, String> {
        let [tls_cert, tls_key] = tls.map(|file| file.map(PathBuf::from));
        let listen = listen.iter().map(|&text| text.to_owned()).collect();
        let flags = Flags { home: Some("/h".into()), listen, tls_cert, tls_key, ..Flags::default() };
        ServerConfig::load(&flags).map_err(|errors| errors.to_string())
    }

    fn written(listen: &[&str]) -> Vec<String> {
        load(listen, [Some("/c"), Some("/k")]).unwrap().listen.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_place_is_read_and_written_the_same_way() {
        let all = [
            "ws://127.0.0.1:0",
            "ws://[::]:4500",
            "wss://box.example.org:443",
            "unix://",
            "unix:///run/s",
            "systemd://",
        ];
        assert_eq!(written(&all), all);
        assert_eq!(written(&["ws://localhost:81/", "systemd://"]), ["ws://127.0.0.1:81", "systemd://"]);
        assert_eq!(load(&[], [None, None]).unwrap().listen, [ListenAt::usual()]);
        assert_eq!(load(&[STDIO], [None, None]).unwrap().listen, []);
    }

    #[test]
    fn other_places_are_refused_with_the_form() {
        for text in [
            "127.0.0.1:4500",
            "ws://127.0.0.1",
            "ws://1.2.3:4",
            "http://x:1",
            "ws://a b:1",
            "ws://x:65536",
            "ws://:1",
        ] {
            let error = load(&[text], [None, None]).unwrap_err();
            assert!(
                error.starts_with("--listen: ") && error.contains("ws://127.0.0.1:PORT"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_key_a_certificate_and_an_address_for_them_belong_together() {
        for (listen, tls, remedy) in [
            ("wss://x:1", [None, None], "add --tls-cert FILE --tls-key FILE"),
            ("wss://x:1", [Some("/c"), None], "add --tls-key FILE"),
            ("wss://x:1", [None, Some("/k")], "add --tls-cert FILE"),
            ("ws://127.0.0.1:1", [Some("/c"), Some("/k")], "write --listen wss://ADDRESS:PORT"),
        ] {
            let error = load(&[listen], tls).unwrap_err();
            assert!(error.contains(remedy), "{listen}: {error}");
        }
    }

    #[test]
    fn a_certificate_may_be_for_the_scrapers_of_other_machines_alone() {
        let load = |address: &str| {
            let settings = [format!("metrics.listen=\"{address}\""), "metrics.token_file=\"/t\"".to_owned()];
            let (tls_cert, tls_key) = (Some("/c".into()), Some("/k".into()));
            let home = Some("/h".into());
            let flags = Flags { home, tls_cert, tls_key, settings: settings.into(), ..Flags::default() };
            ServerConfig::load(&flags).map(drop).map_err(|errors| errors.to_string())
        };
        assert_eq!(load("0.0.0.0:9464"), Ok(()));
        assert!(load("127.0.0.1:9464").unwrap_err().contains("no address speaks TLS"));
    }

    #[test]
    fn a_public_url_of_this_machine_is_refused_with_the_reason() {
        let load = |url: &str| {
            let settings = vec![format!("public_url=\"{url}\"")];
            let flags = Flags { home: Some("/h".into()), settings, ..Flags::default() };
            ServerConfig::load(&flags).map_err(|errors| errors.to_string())
        };
        for url in [
            "https://localhost",
            "http://LOCALHOST:4500/",
            "https://127.0.0.1",
            "http://127.1.2.3:80",
            "https://[::1]:4500",
            "https://[::ffff:127.0.0.1]",
        ] {
            let error = load(url).unwrap_err();
            assert!(
                error.contains("needs no public_url: leave it out") && error.lines().count() == 1,
                "{error}"
            );
        }
        for url in ["https://localhost.example.org", "http://10.0.0.1:8080", "https://[2001:db8::1]"] {
            assert!(load(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_public_url_is_an_origin() {
        for (text, origin, hosts) in [
            (
                "https://Box.example.org/",
                "https://box.example.org",
                ["box.example.org", "box.example.org:443"],
            ),
            (
                "https://box.example.org:443",
                "https://box.example.org",
                ["box.example.org", "box.example.org:443"],
            ),
            ("http://10.0.0.1:8080", "http://10.0.0.1:8080", ["10.0.0.1:8080", "10.0.0.1:8080:80"]),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!(url.origin().as_str(), origin);
            assert!(
                hosts.into_iter().all(|host| url.has_host(host)) && !url.has_host("box.example.org:80"),
                "{text}"
            );
        }
        for text in [
            "box.example.org",
            "ws://box",
            "https://",
            "https://box/path",
            "https://u@box",
            "null",
            "file://",
        ] {
            assert_eq!(PublicUrl::parse(text), None, "{text}");
        }
    }
}
