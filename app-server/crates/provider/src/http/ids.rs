//! Ids of calls, as each interface accepts them. A conversation may hold ids of another provider, or of a server with
//! a form of its own (`functions.look:0`). Pure.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// The ids that a provider accepts. Any other id is replaced by its digest, the same in each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Any id up to so many bytes.
    Short(usize),
    /// Letters, digits, `-` and `_`, up to so many bytes.
    Plain(usize),
    /// Exactly nine letters and digits, as Mistral requires.
    Nine,
}

/// The alphabet of digests.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Name parts of Mistral's models, on any server.
const MISTRAL: [&str; 7] =
    ["mistral", "mixtral", "ministral", "codestral", "devstral", "magistral", "pixtral"];

impl Ids {
    /// The ids that Chat Completions accepts at this address for this model.
    pub(crate) fn of_chat(base_url: &str, model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let url = reqwest::Url::parse(base_url);
        let host = url.as_ref().ok().and_then(|url| url.host_str()).unwrap_or_default();
        let is_mistral = host == "mistral.ai" || host.ends_with(".mistral.ai");
        match is_mistral || MISTRAL.iter().any(|name| model.contains(name)) {
            true => Self::Nine,
            // OpenAI's limit; ids of other servers are short.
            false if host == "api.openai.com" => Self::Short(40),
            false => Self::Short(usize::MAX),
        }
    }

    /// This id, or its replacement.
    pub(crate) fn own(self, id: &str) -> Cow<'_, str> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let (fits, length) = match self {
            Self::Short(most) => (id.len() <= most, most.min(40)),
            Self::Plain(most) => (!id.is_empty() && id.len() <= most && id.bytes().all(plain), most.min(40)),
            Self::Nine => (id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()), 9),
        };
        if fits { Cow::Borrowed(id) } else { Cow::Owned(digest(id, length)) }
    }
}

/// At most 32 letters and digits.
fn digest(id: &str, length: usize) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    digest.iter().take(length).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_taken_stays_and_another_has_one_digest() {
        let uuid = "0199f0f0-0000-7000-8000-000000000000";
        for (ids, same, other) in [
            (Ids::Nine, "aB3dE6gH9", uuid),
            (Ids::Plain(64), "toolu_01-x", "functions.look:0"),
            (Ids::Short(40), "functions.look:0", &"x".repeat(41)),
        ] {
            assert_eq!(ids.own(same), same);
            let own = ids.own(other).into_owned();
            assert_ne!(own, other);
            assert_eq!(ids.own(other), own);
            assert_eq!(ids.own(&own), own, "what stands for an id is taken itself");
            assert!(own.bytes().all(|b| b.is_ascii_alphanumeric()), "{own}");
        }
        assert_eq!(Ids::Nine.own(uuid).len(), 9);
        assert_ne!(Ids::Nine.own("call_1"), Ids::Nine.own("call_2"));
    }

    #[test]
    fn models_of_mistral_are_known_by_their_server_and_by_their_names() {
        for (url, model, ids) in [
            ("https://api.mistral.ai/v1", "any", Ids::Nine),
            ("http://127.0.0.1:1/v1", "mistralai/Devstral-2", Ids::Nine),
            ("http://127.0.0.1:1/v1", "qwen3", Ids::Short(usize::MAX)),
            ("https://notmistral.ai/v1", "m", Ids::Short(usize::MAX)),
            ("https://api.openai.com/v1", "gpt-5", Ids::Short(40)),
        ] {
            assert_eq!(Ids::of_chat(url, model), ids, "{url} {model}");
        }
    }
}
