//! Web origins (RFC 6454): the `Origin` of a request, and the patterns of `browser.origins`.

use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize, Serializer};

/// The hosts whose every port a pattern may allow.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// The scheme whose hosts are random names.
const WEBVIEW: &str = "vscode-webview";
/// Origins of many pages at once, which have to be named to be allowed.
const OPAQUE: [&str; 2] = ["null", "file://"];
/// The longest origin that is compared, in bytes: a scheme and a host name of 253 characters fit.
const MOST_BYTES: usize = 320;

/// The longest origin that a refusal shows with its command, in bytes. The body of a refusal has it twice.
const COMMAND_BYTES: usize = 160;

/// The origin of a page, exactly as the browser sends it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebOrigin(String);

/// The origins that one entry of `browser.origins` allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// Exactly this one.
    Exact(WebOrigin),
    /// Any port of this scheme and host.
    AnyPort(String),
    /// Any host of `vscode-webview://`.
    AnyWebview,
}

/// A text that is no origin, with the correction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadOrigin(String);

impl WebOrigin {
    /// Reads `SCHEME://HOST[:PORT]`, `null` or `file://`. Only lower-case letters, digits, `.`, `-`, `_` and a bracketed
    /// IPv6 address make a host, so that the text is safe to show and to paste.
    pub fn parse(text: &str) -> Option<Self> {
        if OPAQUE.contains(&text) {
            return Some(Self(text.to_owned()));
        }
        if text.len() > MOST_BYTES {
            return None;
        }
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
        (is_scheme && is_authority(authority)).then(|| Self(text.to_owned()))
    }

    /// The origin of a page that the server itself serves by this scheme at this `Host`; `None` for a text that is no host.
    pub fn own(scheme: &str, host: &str) -> Option<Self> {
        Self::parse(&format!("{scheme}://{host}"))
    }

    /// As a browser sends it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The command that allows this origin; `None` for one that nobody should allow without a thought: an opaque one, one so
    /// long that a refusal would cut it, and a host with `_`, which no name of DNS has. A shell takes each word as it stands: only brackets need quotes.
    pub fn command(&self) -> Option<String> {
        if self.is_opaque() || self.0.len() > COMMAND_BYTES || self.0.contains('_') {
            return None;
        }
        let quote = if self.0.contains('[') { "'" } else { "" };
        Some(format!("skein origins add {quote}{}{quote}", self.0))
    }

    /// Whether many unrelated pages share this origin.
    pub(crate) fn is_opaque(&self) -> bool {
        OPAQUE.contains(&self.0.as_str())
    }
}

/// The command that allows the origin in a text; `None` for a text that nobody should paste.
#[must_use]
pub fn origin_command(text: &str) -> Option<String> {
    WebOrigin::parse(text).and_then(|origin| origin.command())
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_authority(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let port = port.strip_prefix(':');
        let has_rest = rest.len() > address.len() + 1;
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_some_and(is_port) || !has_rest);
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
    !host.is_empty() && !host.ends_with('.') && host.chars().all(is_host) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    is_number && port.parse::<u16>().is_ok()
}

impl OriginPattern {
    /// Reads an entry of `browser.origins`.
    ///
    /// # Errors
    /// [`BadOrigin`], which says what to write.
    pub fn parse(text: &str) -> Result<Self, BadOrigin> {
        if text == format!("{WEBVIEW}://*") {
            return Ok(Self::AnyWebview);
        }
        if let Some(host) = text.strip_suffix(":*")
            && LOCAL_HOSTS
                .iter()
                .any(|local| host == format!("http://{local}") || host == format!("https://{local}"))
        {
            return Ok(Self::AnyPort(host.to_owned()));
        }
        WebOrigin::parse(text).map(Self::Exact).ok_or_else(|| BadOrigin(correction(text)))
    }

    /// Whether this entry allows the origin.
    pub(crate) fn allows(&self, origin: &WebOrigin) -> bool {
        match self {
            Self::Exact(exact) => exact == origin,
            Self::AnyPort(host) => {
                let rest = origin.as_str().strip_prefix(host.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
            }
            Self::AnyWebview => {
                origin.as_str().split_once("://").is_some_and(|(scheme, _)| scheme == WEBVIEW)
            }
        }
    }

    /// The risk of an entry that allows many unrelated pages at once, or none, as a clause about it.
    pub(crate) fn risk(&self) -> Option<&'static str> {
        match self {
            Self::Exact(exact) if exact.as_str() == "null" => {
                Some("\"null\" is the origin of every sandboxed frame and data: page, whoever wrote it")
            }
            Self::Exact(exact) if exact.is_opaque() => {
                Some("\"file://\" is the origin of every file that a page is opened from")
            }
            Self::Exact(exact) if has_usual_port(exact.as_str()) => {
                Some("no page has an origin with the port 80 of http or 443 of https: browsers leave it out")
            }
            Self::Exact(_) | Self::AnyPort(_) | Self::AnyWebview => None,
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => exact.fmt(f),
            Self::AnyPort(host) => write!(f, "{host}:*"),
            Self::AnyWebview => write!(f, "{WEBVIEW}://*"),
        }
    }
}

impl Serialize for OriginPattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Whether an origin has the port that its scheme has anyway, which no browser sends (RFC 6454, section 6.2).
fn has_usual_port(origin: &str) -> bool {
    [("http://", ":80"), ("https://", ":443")]
        .iter()
        .any(|(scheme, port)| origin.starts_with(scheme) && origin.ends_with(port))
}

/// The correction for a text that is no pattern.
fn correction(text: &str) -> String {
    const FORM: &str = "write an origin, such as \"http://localhost:5173\"";
    if text.contains('*') {
        return format!(
            "{FORM}; the only wildcards are \"http://localhost:*\" (also for 127.0.0.1 and [::1]) and \"{WEBVIEW}://*\""
        );
    }
    let lower = text.to_lowercase();
    let bare = match lower.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default())
        }
        None => lower,
    };
    match WebOrigin::parse(&bare) {
        Some(origin) if !origin.is_opaque() => {
            format!("write \"{origin}\": no path, no slash at its end, lower case")
        }
        Some(_) | None => FORM.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_of_browsers_and_of_desktop_programs_are_read() {
        for text in [
            "http://localhost:5173",
            "https://chat.example.org",
            "http://127.0.0.1:4500",
            "http://[::1]:4500",
            "http://[::1]",
            "tauri://localhost",
            "app://chat",
            "vscode-webview://1k2j3h4",
            "chrome-extension://abcdefghijklmnop",
            "https://xn--bcher-kva.example",
            "null",
            "file://",
        ] {
            assert_eq!(WebOrigin::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn other_texts_are_no_origins() {
        for text in [
            "",
            "localhost",
            "http://",
            "http://localhost/",
            "http://localhost:5173/app",
            "http://LOCALHOST:5173",
            "HTTP://localhost",
            "http://user@localhost",
            "http://localhost.",
            "http://localhost:",
            "http://localhost:080",
            "http://localhost:65536",
            "http://[::1",
            "http://[::1]x",
            "http://[localhost]",
            "http://bücher.example",
            "http://a b",
            "http://a;rm",
            "http://a$(id)",
            "NULL",
        ] {
            assert_eq!(WebOrigin::parse(text), None, "{text}");
        }
        assert_eq!(WebOrigin::parse(&format!("http://{}", "a".repeat(10_000))), None);
    }

    #[test]
    fn wildcards_are_ports_of_this_machine_and_webviews() {
        let allows = |pattern: &str, origin: &str| {
            OriginPattern::parse(pattern).unwrap().allows(&WebOrigin::parse(origin).unwrap())
        };
        assert!(allows("http://localhost:*", "http://localhost:5173"));
        assert!(allows("http://localhost:*", "http://localhost"));
        assert!(allows("http://[::1]:*", "http://[::1]:80"));
        assert!(!allows("http://localhost:*", "https://localhost:5173"));
        assert!(!allows("http://localhost:*", "http://localhost.example.org:5173"));
        assert!(!allows("http://localhost:*", "http://localhostx"));
        assert!(allows("vscode-webview://*", "vscode-webview://a1b2"));
        assert!(!allows("vscode-webview://*", "vscode-webviews://a1b2"));
        assert!(allows("null", "null") && !allows("http://a:1", "null"));
        assert!(!allows("http://localhost:5173", "http://localhost:5174"));
    }

    #[test]
    fn a_wrong_pattern_says_what_to_write() {
        for (wrong, right) in [
            ("*", "the only wildcards"),
            ("http://*.example.org", "the only wildcards"),
            ("http://example.org:*", "the only wildcards"),
            ("http://localhost:5173/", "write \"http://localhost:5173\""),
            ("http://localhost:5173/app", "write \"http://localhost:5173\""),
            ("http://LocalHost:5173", "write \"http://localhost:5173\""),
            ("localhost:5173", "write an origin"),
            ("", "write an origin"),
        ] {
            let error = OriginPattern::parse(wrong).unwrap_err().to_string();
            assert!(error.contains(right), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_command_is_for_origins_of_one_page_that_a_person_can_read() {
        let command = |text: &str| WebOrigin::parse(text).unwrap().command();
        assert_eq!(command("http://[::1]:5173").unwrap(), "skein origins add 'http://[::1]:5173'");
        assert_eq!(command("app://chat").unwrap(), "skein origins add app://chat");
        for text in ["null", "file://", "http://my_host:80", &format!("http://{}", "a".repeat(200))] {
            assert_eq!(command(text), None, "{text}");
        }
    }

    #[test]
    fn an_entry_that_allows_many_pages_or_none_has_a_warning() {
        let risk = |text| OriginPattern::parse(text).unwrap().risk();
        for text in ["null", "file://", "http://localhost:80", "http://[::1]:80", "https://a.example:443"] {
            assert!(risk(text).is_some(), "{text}");
        }
        for text in ["http://localhost", "http://localhost:8080", "https://a.example:80", "app://chat:443"] {
            assert_eq!(risk(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_are_shown_as_they_are_written() {
        for text in ["http://localhost:*", "vscode-webview://*", "null", "app://chat"] {
            assert_eq!(OriginPattern::parse(text).unwrap().to_string(), text);
        }
        for (text, is_risk) in
            [("file://", true), ("null", true), ("http://localhost:*", false), ("a://b", false)]
        {
            assert_eq!(OriginPattern::parse(text).unwrap().risk().is_some(), is_risk, "{text}");
        }
    }
}
