//! The token of `--ws-auth capability-token`, as in the peer. The server keeps its digest only.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use skein_base::files::open_regular;
use zeroize::Zeroizing;

use super::Digest;
use crate::policy;

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
    /// It cannot be read.
    #[error("the token file {} cannot be read: {source}", path.display())]
    Io {
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
    let fault = |source| TokenFileError::Io { path: path.to_owned(), source };
    let file = open_regular(path).map_err(fault)?;
    // Room for all of it: a text that grows would leave its beginning in freed memory.
    let most = policy::CAPABILITY_TOKEN_MOST;
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(most + 1).unwrap_or_default()));
    file.take(most + 1).read_to_string(&mut text).map_err(fault)?;
    let token = text.trim();
    if text.len() as u64 > most || token.contains(char::is_whitespace) {
        return Err(TokenFileError::Long(path.to_owned()));
    }
    let characters = token.chars().count();
    if characters < policy::CAPABILITY_TOKEN_LEAST {
        return Err(TokenFileError::Short { path: path.to_owned(), characters });
    }
    Ok(Digest::of(token))
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
}
