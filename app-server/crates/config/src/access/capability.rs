//! The secrets of `--ws-auth`, as in the peer: a token, of which the server keeps the digest only, or the secret by which programs
//! sign tokens of their own.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use skein_base::files::open_regular;
use zeroize::Zeroizing;

use super::{Digest, SignedTokenRules};
use crate::policy;

/// The credentials that `--ws-auth` accepts beside those of Skein.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WsAuth {
    /// One token for everybody.
    Capability(Digest),
    /// Each token with the right signature.
    Signed(SignedTokenRules),
}

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The token is too short to be a secret.
    #[error(
        "the token in {} has {characters} characters, fewer than {least}: write a random one there, such as that of \
         openssl rand -hex 32", path.display(), least = policy::CAPABILITY_TOKEN_LEAST
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// The length of the token.
        characters: usize,
    },
    /// It is no token of one line.
    #[error("{} has more than a token: write one line there", .0.display())]
    Long(PathBuf),
    /// The secret for signatures is too short to be one.
    #[error(
        "the shared secret in {} has {bytes} bytes, fewer than {least}: write a random one there, such as that of \
         openssl rand -hex 32", path.display(), least = policy::SHARED_SECRET_LEAST
    )]
    ShortSecret {
        /// The file.
        path: PathBuf,
        /// The length of the secret.
        bytes: usize,
    },
    /// It is no secret of one line.
    #[error(
        "{} is no text of one line: write a random one there, such as that of openssl rand -hex 32", .0.display()
    )]
    NoText(PathBuf),
    /// It cannot be read.
    #[error("the {what} file {} cannot be read: {source}", path.display())]
    Io {
        /// The name of its content.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// Reads the token in a file, without white space around it. Blocks.
///
/// # Errors
/// [`TokenFileError`], without the token.
pub fn read_token_file(path: &Path) -> Result<Digest, TokenFileError> {
    let text =
        read(path).map_err(|source| TokenFileError::Io { what: "token", path: path.to_owned(), source })?;
    let token = text.trim();
    if is_long(&text) || token.contains(char::is_whitespace) {
        return Err(TokenFileError::Long(path.to_owned()));
    }
    let characters = token.chars().count();
    if characters < policy::CAPABILITY_TOKEN_LEAST {
        return Err(TokenFileError::Short { path: path.to_owned(), characters });
    }
    Ok(Digest::of(token))
}

/// Reads the secret in a file, by which programs sign tokens, without white space around it. Blocks.
///
/// # Errors
/// [`TokenFileError`], without the secret.
pub fn read_shared_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, TokenFileError> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::InvalidData {
            return TokenFileError::NoText(path.to_owned());
        }
        TokenFileError::Io { what: "shared secret", path: path.to_owned(), source }
    };
    let text = read(path).map_err(failed)?;
    let secret = text.trim();
    if is_long(&text) || secret.contains('\n') {
        return Err(TokenFileError::NoText(path.to_owned()));
    }
    if secret.len() < policy::SHARED_SECRET_LEAST {
        return Err(TokenFileError::ShortSecret { path: path.to_owned(), bytes: secret.len() });
    }
    Ok(Zeroizing::new(secret.as_bytes().to_vec()))
}

/// The text of a file, or so much of it that [`is_long`] sees.
fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = open_regular(path)?;
    // Room for all of it: a text that grows would leave its beginning in freed memory.
    let most = policy::CAPABILITY_TOKEN_MOST;
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(most + 1).unwrap_or_default()));
    file.take(most + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn is_long(text: &str) -> bool {
    text.len() as u64 > policy::CAPABILITY_TOKEN_MOST
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_token_file_has_one_long_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read_token_file(&path).map_err(|error| error.to_string())
        };
        let word = "0123456789abcdef0123456789abcdef";
        assert_eq!(read(&format!(" {word}\n")), Ok(Digest::of(word)));
        for (text, why) in [
            ("", "has 0 characters"),
            (&word[1..], "has 31 characters"),
            (&format!("{word} {word}"), "more than a token"),
            (&"a".repeat(20_000), "more than a token"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why) && !error.contains(&word[1..]), "{error}");
        }
        let missing = read_token_file(&folder.path().join("missing")).unwrap_err();
        assert!(matches!(missing, TokenFileError::Io { .. }));
    }

    #[test]
    fn a_file_of_a_shared_secret_has_one_long_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read_shared_secret(&path).map_err(|error| error.to_string())
        };
        let words = &b"a secret may have spaces, the peer takes it"[..];
        assert_eq!(*read(&[b" ", words, b"\r\n"].concat()).unwrap(), words);
        // The length counts in bytes, as the peer's does.
        assert!(read("\u{e4}".repeat(16).as_bytes()).is_ok());
        for (bytes, why) in [
            (&b""[..], "has 0 bytes, fewer than 32"),
            (&words[..31], "has 31 bytes, fewer than 32"),
            (&[0xff; 40], "no text of one line"),
            (&[words, b"\n", words].concat(), "no text of one line"),
            (&[b'a'; 20_000], "no text of one line"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(why) && error.contains("openssl rand"), "{error}");
            assert!(!error.contains("spaces"), "{error}");
        }
        let missing = read_shared_secret(&folder.path().join("missing")).unwrap_err().to_string();
        assert!(
            missing.contains("the shared secret file") && missing.contains("cannot be read"),
            "{missing}"
        );
    }
}
