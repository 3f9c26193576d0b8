//! TLS to the database (RFC 8446 and RFC 5246), as the address asks for it: the certificates that are trusted, and the one by
//! which the database knows this server.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;
use skein_base::pem::{self, PemFileError};
use tokio_postgres_rustls::MakeRustlsConnect;

#[cfg(test)]
mod tests;

/// The value of `sslrootcert` that means the machine's own certificates (libpq).
const SYSTEM: &str = "system";
/// The mode in which the database must prove its name (libpq).
pub(crate) const VERIFY_FULL: &str = "verify-full";
/// The protocol's name in a handshake, which a database of version 17 wants where the handshake comes first.
const ALPN: &[u8] = b"postgresql";

/// The parameters of an address that concern TLS, by their names in libpq.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsParameters {
    /// `sslmode`
    pub(crate) mode: Option<String>,
    /// `sslrootcert`: the certificates of those who vouch for the database; [`SYSTEM`] and `None` for the machine's.
    pub(crate) roots: Option<PathBuf>,
    /// `sslcert`: the certificate of this server.
    pub(crate) certificate: Option<PathBuf>,
    /// `sslkey`: the key of that certificate.
    pub(crate) key: Option<PathBuf>,
}

/// Why no TLS connection can be made.
#[derive(Debug, thiserror::Error)]
pub enum DbTlsError {
    /// A file gives no certificate or key.
    #[error("{parameter}: {source}")]
    File {
        /// The parameter of the address.
        parameter: &'static str,
        /// The fault of the file.
        source: PemFileError,
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
                "sslrootcert" => found.roots = Some(value.into()),
                "sslcert" => found.certificate = Some(value.into()),
                "sslkey" => found.key = Some(value.into()),
                _other => others.push(parameter),
            }
        }
        let names_file = [&found.roots, &found.certificate, &found.key].into_iter().any(Option::is_some);
        found.mode = found.mode.or(names_file.then(|| VERIFY_FULL.to_owned()));
        let query = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
        (format!("{place}{query}"), found)
    }
}

/// Makes TLS connections by these parameters. Blocks.
pub(crate) fn connector(parameters: &TlsParameters) -> Result<MakeRustlsConnect, DbTlsError> {
    let verified = match parameters.roots.as_deref().filter(|roots| *roots != Path::new(SYSTEM)) {
        Some(file) => builder()?.with_root_certificates(roots_in(file).map_err(of("sslrootcert"))?),
        None => builder()?.with_platform_verifier().map_err(DbTlsError::NoRoots)?,
    };
    let mut config = match (&parameters.certificate, &parameters.key) {
        (None, None) => verified.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = pem::certificates(certificate).map_err(of("sslcert"))?;
            let key = pem::private_key(key).map_err(of("sslkey"))?;
            verified.with_client_auth_cert(chain, key).map_err(DbTlsError::Unfit)?
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

fn roots_in(file: &Path) -> Result<RootCertStore, PemFileError> {
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(pem::certificates(file)?) {
        (0, _unusable) => Err(PemFileError::no_certificate(file, "certificate of an authority")),
        (_added, _unusable) => Ok(roots),
    }
}

fn of(parameter: &'static str) -> impl FnOnce(PemFileError) -> DbTlsError {
    move |source| DbTlsError::File { parameter, source }
}

/// Why a connection was not made, if the reason is that the database did not prove its name.
pub(crate) fn distrust(error: &tokio_postgres::Error) -> Option<&CertificateError> {
    let broken = error.source()?.downcast_ref::<io::Error>()?.get_ref()?;
    if let rustls::Error::InvalidCertificate(why) = broken.downcast_ref::<rustls::Error>()? {
        return Some(why);
    }
    None
}
