//! Masks secrets in users' arguments and addresses, and in texts of programs that know these secrets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::policy;

mod prose;

pub use prose::shown_text;

/// The replacement for a secret.
pub const MASK: &str = "***";

/// Parts of names of secrets.
const SECRET: &[&str] = &["token", "key", "secret", "passw", "pwd", "auth", "credential", "bearer", "cookie"];
/// Prefixes of a secret in a header's value.
const SCHEMES: &[&str] = &["bearer ", "basic "];

/// Whether a variable, a key or a flag is named like a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|word| name.contains(word)) && !["pwd", "oldpwd"].contains(&name.as_str())
}

/// Masks possible secrets in arguments. These are the value of a secret's name, in the same argument or behind a flag
/// in the next, and the text behind `Bearer`. Addresses lose their user, or else their query.
pub fn shown_args<'a>(args: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut of_flag = false;
    args.map(|arg| {
        let at = arg.find(['=', ':']).map(|at| at + 1);
        let name = arg.get(..at.unwrap_or(arg.len())).unwrap_or_default();
        let has = |text: &str, words: &[&str]| {
            let text = text.to_ascii_lowercase();
            words.iter().any(|word| text.contains(word))
        };
        let is_named = has(name, SECRET) || (at.is_some() && has(arg, SCHEMES));
        let is_address = arg.contains("://") && arg.contains('@');
        let is_next = std::mem::replace(&mut of_flag, is_named && at.is_none() && arg.starts_with('-'));
        match at {
            _ if is_next => MASK.to_owned(),
            Some(_) if is_named || is_address => format!("{name}{MASK}"),
            Some(_) if arg.contains("://") => shown_url(arg),
            Some(_) | None => arg.to_owned(),
        }
    })
    .collect()
}

/// Which arguments end with a mask in a secret's place. Another text that looks like a mask does not count.
pub fn masked_args(args: &[&str]) -> Vec<bool> {
    let unmasked = |arg: &&str| arg.strip_suffix(MASK).map_or((*arg).to_owned(), |front| format!("{front}x"));
    let unmasked: Vec<String> = args.iter().map(unmasked).collect();
    let shown = shown_args(unmasked.iter().map(String::as_str));
    args.iter().zip(shown).map(|(arg, shown)| arg.ends_with(MASK) && *arg == shown).collect()
}

/// An address without user, password and query, which may be secret.
pub fn shown_url(url: &str) -> String {
    let url = &*with_a_plain_user(url);
    let (front, query) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let (scheme, rest) = front.split_once("://").unwrap_or(("", front));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or_else(|| host.to_owned(), |(_, host)| format!("***@{host}"));
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    let query = query.get(..1).map(|mark| format!("{mark}***")).unwrap_or_default();
    format!("{scheme}{host}{path}{query}")
}

/// Scheme, host and port of an address.
pub fn origin(url: &str) -> String {
    let url = with_a_plain_user(url);
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", &url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{}", host.rsplit_once('@').map_or(host, |(_, host)| host))
}

/// An unparsable address may have a password with characters that end a host: everything before its last @ counts as
/// the user.
fn with_a_plain_user(url: &str) -> Cow<'_, str> {
    let end = url.rfind('@').filter(|_| reqwest::Url::parse(url).is_err());
    match end.and_then(|end| Some((url.split_once("://")?.0, &url[end..]))) {
        Some((scheme, rest)) => format!("{scheme}://{rest}").into(),
        None => url.into(),
    }
}

/// Names with values that may be secret. Debug output shows only the names.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(pub BTreeMap<String, String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Secrets to mask in texts of other programs. Clones share them.
#[derive(Clone, Default)]
pub struct Hidden(Arc<[String]>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hidden").field(&self.0.len()).finish()
    }
}

impl Hidden {
    /// Keeps those of `secrets` that are long enough not to stand in any text.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> =
            secrets.into_iter().filter(|secret| secret.len() >= policy::SECRET_LEAST).collect();
        // The longest first: another one may be a part of it.
        secrets.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        secrets.dedup();
        Self(secrets.into())
    }

    /// Masks the secrets in a text.
    pub fn text(&self, said: &str) -> String {
        self.0.iter().fold(said.to_owned(), |said, secret| said.replace(secret, MASK))
    }

    /// The longest distance that a secret may begin before an offset and reach behind it, bytes.
    pub fn reach(&self) -> usize {
        self.0.first().map_or(0, String::len)
    }

    /// Masks the bytes behind the first `skipped`. A secret that begins before and ends behind is masked too.
    pub fn bytes(&self, said: &[u8], skipped: usize) -> Vec<u8> {
        let (mut shown, mut at) = (Vec::new(), 0);
        while let Some(left) = said.get(at..).filter(|left| !left.is_empty()) {
            let secret = self.0.iter().find(|secret| left.starts_with(secret.as_bytes()));
            let next = at + secret.map_or(1, String::len);
            if next > skipped {
                shown.extend_from_slice(secret.map_or(&left[..1], |_| MASK.as_bytes()));
            }
            at = next;
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_also_where_a_text_is_cut_in_the_middle_of_one() {
        let hidden = Hidden::new(["s3cret-s3cret", "s3cret", "on"].map(ToOwned::to_owned));
        assert_eq!(hidden.text("on s3cret-s3cret, s3crets"), "on ***, ***s");
        assert_eq!(hidden.bytes(b"a s3cret-s3cret b", 5), b"*** b");
        assert_eq!(hidden.bytes(b"a s3cret-s3cret b", 15), b" b");
        assert_eq!(Hidden::default().bytes(b"abc", 1), b"bc");
        assert!(!format!("{hidden:?}").contains("s3cret"));
    }

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (said, shown) in [
            ("https://example.org/mcp", "https://example.org/mcp"),
            ("https://example.org:8443", "https://example.org:8443"),
            ("https://me:s3cret@example.org/mcp", "https://***@example.org/mcp"),
            ("https://me:s3@cret@example.org/a@b", "https://***@example.org/a@b"),
            ("https://example.org/mcp?key=s3cret#x", "https://example.org/mcp?***"),
            ("me:s3cret@nowhere", "***@nowhere"),
            // An address that is not written as one.
            ("https://me:s3#cret@example.org/mcp", "https://***@example.org/mcp"),
            ("https://me:s3/cret?@example.org/mcp?k=s3cret", "https://***@example.org/mcp?***"),
            ("", ""),
        ] {
            assert_eq!(shown_url(said), shown);
        }
        assert_eq!(origin("https://me:s3cret@example.org:8443/mcp?x"), "https://example.org:8443");
        assert_eq!(origin("https://example.org?x"), "https://example.org");
        assert_eq!(origin("https://me:s3/cret@example.org/mcp"), "https://example.org");
    }

    #[test]
    fn values_named_like_a_secret_are_masked() {
        for (said, shown) in [
            (vec!["--root", "/", "--verbose"], vec!["--root", "/", "--verbose"]),
            (vec!["--api-key=s3cret", "x"], vec!["--api-key=***", "x"]),
            (vec!["--token", "s3cret", "x"], vec!["--token", "***", "x"]),
            (vec!["--PASSWORD", "--secret", "s3cret"], vec!["--PASSWORD", "***", "***"]),
            (vec!["MY_SECRET=a=b"], vec!["MY_SECRET=***"]),
            (vec!["--header", "Authorization: Bearer s3cret"], vec!["--header", "Authorization:***"]),
            (vec!["--db=postgres://me:s3cret@host/x"], vec!["--db=***"]),
            (vec!["keys.json"], vec!["keys.json"]),
            (
                vec!["mcp-remote", "https://a.example/mcp?x=s3cret"],
                vec!["mcp-remote", "https://a.example/mcp?***"],
            ),
            (vec!["--url=https://a.example/#s3cret"], vec!["--url=https://a.example/#***"]),
            (vec!["--url=https://a.example/mcp"], vec!["--url=https://a.example/mcp"]),
            (vec!["-H", "X-Any: Bearer s3cret", "Cookie: s3cret"], vec!["-H", "X-Any:***", "Cookie:***"]),
            (vec!["--bearer", "s3cret", "--pwd=s3cret"], vec!["--bearer", "***", "--pwd=***"]),
        ] {
            assert_eq!(shown_args(said.iter().copied()), shown);
        }
    }
}
