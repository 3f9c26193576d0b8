//! Certificates and private keys in PEM files (RFC 7468) that the user names.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::files::open_regular;
use crate::policy;

/// A key with a password has one of these lines: the first by RFC 7468, section 11, the other by RFC 1421.
const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];

/// Why a file gives no certificate or key.
#[derive(Debug, thiserror::Error)]
pub enum PemFileError {
    /// It cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It has another form.
    #[error("{path} has no {what}: it should be a PEM file, with lines such as -----BEGIN {line}-----")]
    Form {
        /// The file.
        path: PathBuf,
        /// The kind of content that it should have.
        what: &'static str,
        /// The label of the first line.
        line: &'static str,
    },
    /// The key has a password, which nobody could type at a start.
    #[error(
        "the private key in {path} is encrypted; write it without a password: openssl pkey -in {path} -out key.pem"
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
}

impl PemFileError {
    /// The file has nothing of this kind.
    pub fn no_certificate(path: &Path, what: &'static str) -> Self {
        Self::Form { path: path.to_owned(), what, line: "CERTIFICATE" }
    }
}

/// The certificates of a file, at least one, in their order. Blocks.
///
/// # Errors
/// [`PemFileError`]
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    let text = content(path)?;
    match CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(PemFileError::no_certificate(path, "certificate")),
    }
}

/// The first private key of a file. Blocks.
///
/// # Errors
/// [`PemFileError`]
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemFileError> {
    let text = content(path)?;
    if ENCRYPTED.iter().any(|mark| text.windows(mark.len()).any(|part| part == *mark)) {
        return Err(PemFileError::Encrypted { path: path.to_owned() });
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| PemFileError::Form {
        path: path.to_owned(),
        what: "private key",
        line: "PRIVATE KEY",
    })
}

/// The bytes of a file, wiped at their end. A FIFO or a folder in its place is an error.
fn content(path: &Path) -> Result<Zeroizing<Vec<u8>>, PemFileError> {
    let failed = |source| PemFileError::Read { path: path.to_owned(), source };
    let file = open_regular(path).map_err(failed)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(policy::PEM_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
