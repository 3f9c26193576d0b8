//! SHA-256 of a secret, which is all that lists and files have of it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 of a secret. Two of them are compared in constant time.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

/// A text that is no SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write the 64 hexadecimal digits of a SHA-256")]
pub struct BadDigest;

impl Digest {
    /// The digest of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`BadDigest`] for any other text.
    pub fn from_hex(text: &str) -> Result<Self, BadDigest> {
        let mut bytes = [0; 32];
        if text.len() != bytes.len() * 2 {
            return Err(BadDigest);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| digits.get(at).and_then(|digit| char::from(*digit).to_digit(16));
            let value = digit(0).zip(digit(1)).ok_or(BadDigest)?;
            *byte = u8::try_from(value.0 << 4 | value.1).map_err(|_| BadDigest)?;
        }
        Ok(Self(bytes))
    }

    /// The digest as 64 hexadecimal digits in lower case.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    /// Without the digest: the token of `--ws-auth` may be a weak word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_hex(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        // The example of FIPS 180-4.
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of("abc").to_hex(), hex);
        assert_eq!(Digest::from_hex(hex), Ok(Digest::of("abc")));
        assert_eq!(Digest::from_hex(&hex.to_uppercase()), Ok(Digest::of("abc")));
        assert_ne!(Digest::of("abc"), Digest::of("abd"));
        assert_eq!(format!("{:?}", Digest::of("abc")), "Digest");
    }

    #[test]
    fn other_texts_are_no_digest() {
        let multibyte = "ä".repeat(32);
        for text in ["", "ba", &"g".repeat(64), &"+1".repeat(32), &"a".repeat(65), multibyte.as_str()] {
            assert_eq!(Digest::from_hex(text), Err(BadDigest), "{text}");
        }
    }
}
