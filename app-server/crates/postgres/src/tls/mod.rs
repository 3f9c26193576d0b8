//! TLS to the database (RFC 8446 and RFC 5246), as the address asks for it: the certificates that are trusted, and the one by
//! which the database knows this server.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;
use skein_base::files::open_regular;
use tokio_postgres_rustls::MakeRustlsConnect;

#[cfg(test)]
mod tests;

/// The value of `sslrootcert` that means the machine's own certificates (libpq).
const SYSTEM: &str = "system";
/// The mode in which the database must prove its name (libpq).
pub(crate) const VERIFY_FULL: &str = "verify-full";
/// The parameters that name a file.
const FILES: [&str; 3] = ["sslrootcert=", "sslcert=", "sslkey="];
/// The protocol's name in a handshake, which a database of version 17 wants where the handshake comes first.
const ALPN: &[u8] = b"postgresql";

/// The parameters of an address that concern TLS, by their names in libpq.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsParameters {
    /// `sslmode`
    pub(crate) mode: Option<String>,
    /// `sslrootcert`: the certificates of those who vouch for the database. `None` for the machine's.
    pub(crate) roots: Option<PathBuf>,
    /// `sslcert`: the certificate of this server.
    pub(crate) certificate: Option<PathBuf>,
    /// `sslkey`: the key of that certificate.
    pub(crate) key: Option<PathBuf>,
}

/// Why no TLS connection can be made.
#[derive(Debug, thiserror::Error)]
pub enum DbTlsError {
    /// A file cannot be read.
    #[error("{parameter}: {} cannot be read: {error}", file.display())]
    Read {
        /// The parameter of the address.
        parameter: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A file has another form.
    #[error("{parameter}: {} has no {what}: it should be a PEM file", file.display())]
    Form {
        /// The parameter of the address.
        parameter: &'static str,
        /// The file.
        file: PathBuf,
        /// The content that it should have.
        what: &'static str,
    },
    /// One of two parameters that need each other.
    #[error("sslcert and sslkey belong together: write both, or none of them")]
    OneOfTwo,
    /// The machine has no certificates.
    #[error(
        "this machine has no certificates to check the database with ({0}): name a file of certificates in sslrootcert"
    )]
    NoRoots(#[source] rustls::Error),
    /// The certificate and the key do not fit.
    #[error("sslcert and sslkey cannot be used: {0}")]
    Unfit(#[source] rustls::Error),
    /// The library has none of the versions.
    #[error("TLS cannot be spoken: {0}")]
    Versions(#[source] rustls::Error),
}

impl TlsParameters {
    /// Takes these parameters out of an address. The driver does not know them all. A file of certificates asks for TLS.
    pub(crate) fn split(url: &str) -> (String, Self) {
        let mut found = Self::default();
        let Some((place, query)) = url.split_once('?') else { return (url.to_owned(), found) };
        let mut others = Vec::new();
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "sslmode" => found.mode = Some(value),
                "sslrootcert" => found.roots = Some(value).filter(|value| value != SYSTEM).map(PathBuf::from),
                "sslcert" => found.certificate = Some(value.into()),
                "sslkey" => found.key = Some(value.into()),
                _other => others.push(parameter),
            }
        }
        let names_file =
            query.split('&').any(|parameter| FILES.iter().any(|file| parameter.starts_with(file)));
        found.mode = found.mode.or(names_file.then(|| VERIFY_FULL.to_owned()));
        let query = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
        (format!("{place}{query}"), found)
    }
}

/// Makes TLS connections by these parameters. Blocks.
pub(crate) fn connector(parameters: &TlsParameters) -> Result<MakeRustlsConnect, DbTlsError> {
    let verified = match &parameters.roots {
        Some(file) => builder()?.with_root_certificates(roots_in(file)?),
        None => builder()?.with_platform_verifier().map_err(DbTlsError::NoRoots)?,
    };
    let mut config = match (&parameters.certificate, &parameters.key) {
        (None, None) => verified.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates("sslcert", certificate)?;
            verified.with_client_auth_cert(chain, key_in(key)?).map_err(DbTlsError::Unfit)?
        }
        (Some(_), None) | (None, Some(_)) => return Err(DbTlsError::OneOfTwo),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

/// For connections without TLS. It trusts nobody.
pub(crate) fn unused() -> Result<MakeRustlsConnect, DbTlsError> {
    let config = builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, DbTlsError> {
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(DbTlsError::Versions)
}

fn roots_in(file: &Path) -> Result<RootCertStore, DbTlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _unusable) = roots.add_parsable_certificates(certificates("sslrootcert", file)?);
    if added == 0 { Err(no("sslrootcert", file, "certificate of an authority")) } else { Ok(roots) }
}

fn certificates(parameter: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, DbTlsError> {
    let open = open(parameter, file)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_reader_iter(open).collect();
    let read = read.map_err(|error| of_pem(error, parameter, file, "certificate"))?;
    if read.is_empty() { Err(no(parameter, file, "certificate")) } else { Ok(read) }
}

fn key_in(file: &Path) -> Result<PrivateKeyDer<'static>, DbTlsError> {
    let what = "private key without a password";
    PrivateKeyDer::from_pem_reader(open("sslkey", file)?).map_err(|error| of_pem(error, "sslkey", file, what))
}

fn open(parameter: &'static str, file: &Path) -> Result<std::fs::File, DbTlsError> {
    open_regular(file).map_err(|error| DbTlsError::Read { parameter, file: file.to_owned(), error })
}

fn of_pem(error: PemError, parameter: &'static str, file: &Path, what: &'static str) -> DbTlsError {
    if let PemError::Io(error) = error {
        return DbTlsError::Read { parameter, file: file.to_owned(), error };
    }
    no(parameter, file, what)
}

/// Why a connection was not made, if the reason is that the database did not prove its name.
pub(crate) fn distrust(error: &tokio_postgres::Error) -> Option<&CertificateError> {
    let broken = error.source()?.downcast_ref::<io::Error>()?.get_ref()?;
    if let rustls::Error::InvalidCertificate(why) = broken.downcast_ref::<rustls::Error>()? {
        return Some(why);
    }
    None
}

fn no(parameter: &'static str, file: &Path, what: &'static str) -> DbTlsError {
    DbTlsError::Form { parameter, file: file.to_owned(), what }
}
