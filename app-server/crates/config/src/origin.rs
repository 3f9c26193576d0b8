//! Where settings were read, so that a second look can tell whether anything has changed without reading them again.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use sha2::{Digest, Sha256};

use super::{ConfigErrors, Flags, ServerConfig, tree};

/// The place of settings, and what stood there.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    flags: Flags,
    file: PathBuf,
    /// The hash of the file's text; `None` where it could not be read, as when there is no file.
    hash: Option<[u8; 32]>,
}

impl fmt::Debug for Origin {
    /// Without the flags: they may have secrets in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Origin {
    pub(super) fn new(flags: &Flags, file: &Path, text: &io::Result<String>) -> Self {
        Self { flags: flags.clone(), file: file.to_owned(), hash: hash(text) }
    }

    /// The version of the file's text: another one for each other text; `None` where there is no file.
    pub(super) fn version(&self) -> Option<String> {
        self.hash.as_ref().map(shown)
    }

    /// The `-c` flags that win over the file.
    pub fn flags(&self) -> &[String] {
        &self.flags.settings
    }

    /// The settings that stand there now; `None` when they are the same. The text is compared and not its date: a file that
    /// is written twice within one tick of the clock may have the same.
    ///
    /// # Errors
    /// As [`ServerConfig::load`].
    pub fn look(&self) -> Option<Result<ServerConfig, ConfigErrors>> {
        let text = tree::read(&self.file);
        let same = match (&text, &self.hash) {
            (Ok(_), hash) => *hash == self::hash(&text),
            (Err(error), None) => error.kind() == io::ErrorKind::NotFound,
            (Err(_), Some(_)) => false,
        };
        (!same).then(|| ServerConfig::load(&self.flags))
    }
}

fn hash(text: &io::Result<String>) -> Option<[u8; 32]> {
    text.as_ref().ok().map(|text| Sha256::digest(text).into())
}

/// The version of a file with this text.
pub(super) fn version(text: &str) -> String {
    shown(&Sha256::digest(text).into())
}

fn shown(hash: &[u8; 32]) -> String {
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}
