//! Random secrets. A secret leaves memory as zeros, and has no `Debug` and no `Display`.

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::Digest;

/// The random bytes of a secret.
const BYTES: usize = 32;
/// Their characters: base64url without padding.
const CHARACTERS: usize = 43;
/// The beginning of a token. Scanners for leaked secrets find it by this word.
const TOKEN: &str = "skein_";

/// A random secret, shown only by [`Secret::expose`].
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A new secret of 43 characters, for a ticket or a session.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> io::Result<Self> {
        Self::with_prefix("")
    }

    /// A new secret of `skein_` and 43 characters, for a token.
    ///
    /// # Errors
    /// As [`Secret::generate`].
    pub fn generate_token() -> io::Result<Self> {
        Self::with_prefix(TOKEN)
    }

    fn with_prefix(prefix: &str) -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        getrandom::fill(&mut *bytes).map_err(|error| io::Error::other(error.to_string()))?;
        // Room for all of it: a text that grows would leave its beginning in freed memory.
        let mut text = Zeroizing::new(String::with_capacity(TOKEN.len() + 2 * CHARACTERS));
        text.push_str(prefix);
        let mut characters = Zeroizing::new([0; CHARACTERS]);
        URL_SAFE_NO_PAD.encode_slice(*bytes, &mut *characters).map_err(io::Error::other)?;
        text.extend(characters.iter().map(|byte| char::from(*byte)));
        Ok(Self(text))
    }

    /// The secret itself, for its one reader.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

/// A secret that a request has sent, right or wrong.
#[derive(Clone, PartialEq, Eq)]
pub struct SentSecret(Zeroizing<String>);

impl SentSecret {
    /// Takes a copy, which is wiped at its end.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The secret itself, for the comparison.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SentSecret(..)")
    }
}

/// Whether a text has the form of one of our secrets.
pub(super) fn is_well_formed(text: &str) -> bool {
    let characters = text.strip_prefix(TOKEN).unwrap_or(text);
    let is_ours = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    characters.len() == CHARACTERS && characters.bytes().all(is_ours)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_secret_has_256_random_bits_in_its_form() {
        let secret = Secret::generate().unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(secret.expose()).unwrap().len(), BYTES);
        assert_eq!((secret.expose().len(), secret.digest()), (CHARACTERS, Digest::of(secret.expose())));
        let token = Secret::generate_token().unwrap();
        assert_eq!(token.expose().len(), TOKEN.len() + CHARACTERS);
        assert!(token.expose().starts_with(TOKEN));
        assert!(is_well_formed(secret.expose()) && is_well_formed(token.expose()));
        let many: HashSet<String> =
            (0..100).map(|_| Secret::generate().unwrap().expose().to_owned()).collect();
        assert_eq!(many.len(), 100);
    }

    #[test]
    fn other_forms_are_refused_before_any_look_at_the_list() {
        for text in ["", "skein_", &"a".repeat(42), &"a".repeat(44), &"+".repeat(43), &"é".repeat(43)] {
            assert!(!is_well_formed(text), "{text}");
        }
        assert!(is_well_formed(&format!("skein_{}", "a".repeat(43))));
        assert!(!is_well_formed(&format!("skein-{}", "a".repeat(43))));
    }
}
